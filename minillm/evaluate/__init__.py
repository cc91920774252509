"""Any model becomes scores: the story world's checker reads what the model wrote."""
