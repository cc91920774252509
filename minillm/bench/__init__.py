"""Ours against named peers, measured in the same run on the same data."""
