"""One module a chapter, `cNN_name.py`, whose `EXERCISES` is a tuple of `Exercise`."""
