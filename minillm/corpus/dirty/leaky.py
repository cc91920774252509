"""Pages that quote an evaluation set, beside those of the web itself.

In: a number, a seed, and sets. Out: pages, in each an item of the sets, which come in turns. The
idea: a random generator of their own, so that a set more leaves the other pages of a seed what
they are.
"""

import random
from itertools import cycle

from minillm.corpus.contamination import Sets
from minillm.corpus.dirty.web import DirtyPage, make_page


def make_leaky_pages(num_pages: int, seed: int, sets: Sets) -> list[DirtyPage]:
    """Pages below `quotes` with an item of one of these sets; without sets none."""
    rng = random.Random(f"leaky pages {seed}")
    turns = zip(range(num_pages), cycle(sorted(sets)), strict=False)
    return [
        make_page(f"quotes/{number}", "contamination", (), {name: sets[name]}, rng)
        for number, name in turns
    ]
