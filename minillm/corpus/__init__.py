"""Text becomes documents: collected, cleaned, mixed (notebook 01)."""
