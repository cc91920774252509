"""Request log → alarm: health, drift, misuse; users by script, and the page that shows it all."""
