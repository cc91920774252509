"""Tokens become logits, loss and text (notebooks 04, 05, 06)."""
