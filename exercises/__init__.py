"""Exercises: one notebook a chapter, graded in its own cells and by `minillm check` in a terminal.

engine      grades a function, and knows by name how each exercise goes wrong
notebook    writes a chapter's notebook from its checks and solutions
checks      per chapter: questions, cases, hints, and the wrong answers
solutions   per chapter: the answers, as plain functions
"""
