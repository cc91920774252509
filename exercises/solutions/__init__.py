"""One module a chapter, `cNN_name.py`: the answers as plain functions.

A function's signature and docstring are also the stub that the learner finds in the notebook.
"""
