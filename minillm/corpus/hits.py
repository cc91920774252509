"""How good a search is: what share of the found is right, what share of the true is found.

In: how many are right, found and true, or the things themselves. Out: precision, recall, F1. The
one idea: one definition for all of the course, so that figures of two places can be compared. Who
finds nothing finds nothing wrong: precision 1. Where there is nothing to find, nothing is missed.
"""

from collections.abc import Collection


def precision_recall_f1(
    num_right: int, num_found: int, num_true: int
) -> tuple[float, float, float]:
    """right / found, right / true, and their harmonic mean 2 · right / (found + true)."""
    pairs = ((num_right, num_found), (num_right, num_true), (2 * num_right, num_found + num_true))
    precision, recall, f1 = (part / whole if whole else 1.0 for part, whole in pairs)
    return precision, recall, f1


def precision_and_recall(found: Collection[str], true: Collection[str]) -> tuple[float, float]:
    """The share of the found that is true, and the share of the true that is found."""
    precision, recall, _ = precision_recall_f1(len(set(found) & set(true)), len(found), len(true))
    return precision, recall
