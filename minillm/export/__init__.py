"""A model leaves for other people's engines, and theirs come in."""
