"""Any model becomes scores with their size: the story world's checker reads what the model wrote."""
