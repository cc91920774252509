"""Has the model seen the test? How much of each evaluation item stands in the training text.

In: items and training texts. Out: for each item the share of its runs of 13 words that training
text holds too. The one idea: contamination is measured item by item, so that the score can be told
again for the clean items alone. What it misses: the same content in other words; and a world of few
phrases repeats some runs by chance.
"""

from collections.abc import Iterable, Mapping

from minillm.corpus.contamination import RUN_WORDS, word_runs


def overlaps(
    items: Mapping[str, str], training_texts: Iterable[str], size: int = RUN_WORDS
) -> dict[str, float]:
    """The share of each item's runs of words that occur in training; 0 for an item without any."""
    runs_by_item = {name: word_runs(text, size) for name, text in items.items()}
    wanted = set().union(*runs_by_item.values())
    seen: set[str] = set()
    for text in training_texts:
        seen |= wanted & word_runs(text, size)
    return {name: len(runs & seen) / max(1, len(runs)) for name, runs in runs_by_item.items()}
