"""Exercise 01.11, which belongs to notebook 01h, with its wrong answers."""

from collections import Counter

from exercises.engine import Exercise, Mistake
from exercises.solutions import dealing as solutions

Shards = list[list[str]]


def counted(pages: list[str]) -> Counter[str]:
    """How many of the pages have each line."""
    return Counter(line for page in pages for line in set(page.split("\n")))


def each_shard_decides(shards: Shards, min_pages: int) -> list[str]:
    found = [solutions.shared_lines([pages], min_pages) for pages in shards]
    return sorted({line for lines in found for line in lines})


def all_shards_must_agree(shards: Shards, min_pages: int) -> list[str]:
    found = [set(solutions.shared_lines([pages], min_pages)) for pages in shards]
    return sorted(set.intersection(*found)) if found else []


def a_refrain_counts_twice(shards: Shards, min_pages: int) -> list[str]:
    total = Counter(line for pages in shards for page in pages for line in page.split("\n"))
    return sorted(line for line, count in total.items() if count >= min_pages)


def counts_shards(shards: Shards, min_pages: int) -> list[str]:
    return solutions.shared_lines([["\n".join(pages) for pages in shards if pages]], min_pages)


def seen_once_is_not_sent(shards: Shards, min_pages: int) -> list[str]:
    total: Counter[str] = Counter()
    for pages in shards:
        total.update({line: count for line, count in counted(pages).items() if count > 1})
    return sorted(line for line, count in total.items() if count >= min_pages)


def a_share_of_the_limit(shards: Shards, min_pages: int) -> list[str]:
    needed = min_pages / max(1, len(shards))
    return sorted({line for each in shards for line, n in counted(each).items() if n >= needed})


def mean_over_shards(shards: Shards, min_pages: int) -> list[str]:
    total = sum(map(counted, shards), Counter())
    return sorted(line for line, count in total.items() if count / len(shards) >= min_pages)


def last_shard_wins(shards: Shards, min_pages: int) -> list[str]:
    total: dict[str, int] = {}
    for pages in shards:
        total.update(counted(pages))
    return sorted(line for line, count in total.items() if count >= min_pages)


def above_the_limit(shards: Shards, min_pages: int) -> list[str]:
    return solutions.shared_lines(shards, min_pages + 1)


def in_order_of_arrival(shards: Shards, min_pages: int) -> list[str]:
    found = solutions.shared_lines(shards, min_pages)
    seen = [line for pages in shards for page in pages for line in page.split("\n")]
    return sorted(found, key=seen.index)


PAGES = [
    "we use cookies\nhens lay eggs\nback to top",
    "we use cookies\npeas are green\nback to top",
    "la la\nwe use cookies\nla la\nla la",
    "hens lay eggs\nla la\nla la",
    "we use cookies\nback to top",
    "about us\nrain again",
]

EXERCISES = (
    Exercise(
        id="01.11",
        title="Many shards, one decision",
        question=(
            "A line that many pages share, such as a notice about cookies, is none of the page's "
            "own. But no machine has all pages: each has a shard of them "
            "([01h](../notebooks/01h_many_machines.ipynb)). Return the lines that at least "
            "`min_pages` *pages* have, a refrain within one page counting once, and sorted: the "
            "same answer, however the pages were dealt out. Two shards of four pages each, all "
            "with the notice, have it eight times, though neither of them has it eight times."
        ),
        solution=solutions.shared_lines,
        cases=(
            ([PAGES], 3),
            ([PAGES[:3], PAGES[3:]], 4),
            ([PAGES[0::2], PAGES[1::2]], 3),
            ([PAGES[:2], PAGES[2:5:2], PAGES[3:]], 4),
            ([PAGES[3:], PAGES[:3]], 2),
            ([[page] for page in PAGES], 3),
            ([PAGES[:2], [], PAGES[2:]], 2),
            ([PAGES[:5], PAGES[5:]], 3),
            ([PAGES[:1], PAGES[1:]], 7),
            ([[], []], 1),
            ([], 2),
        ),
        mistakes=(
            Mistake(
                "each shard decides for itself",
                "A line with four pages here and four there is seen by nobody. Add the counts of "
                "all shards, then apply the limit, once.",
                each_shard_decides,
            ),
            Mistake(
                "all shards must agree",
                "A shard that has no page of a site cannot vote on its lines: counts add up, "
                "verdicts do not.",
                all_shards_must_agree,
            ),
            Mistake(
                "a refrain counts more than once",
                "A song may repeat its refrain: within one page each line counts once, so take a "
                "set of the page's lines.",
                a_refrain_counts_twice,
            ),
            Mistake(
                "counts shards instead of pages",
                "How many *shards* have a line depends on how pages were dealt out. Count each "
                "page of a shard.",
                counts_shards,
            ),
            Mistake(
                "leaves out what a shard saw once",
                "Rare here may be common everywhere: what is cut before the sum is missing in it.",
                seen_once_is_not_sent,
            ),
            Mistake(
                "gives each shard its part of the limit",
                "Half of the limit in one of two shards says nothing about the other: only the sum "
                "is compared with the limit.",
                a_share_of_the_limit,
            ),
            Mistake(
                "compares the mean of the shards",
                "The limit speaks of pages in all; a mean would shrink with every shard more.",
                mean_over_shards,
            ),
            Mistake(
                "the last shard's count replaces the others",
                "`dict.update` overwrites, where `Counter.update` adds: the count must grow.",
                last_shard_wins,
            ),
            Mistake("the limit itself is not enough", "At least means ≥.", above_the_limit),
            Mistake(
                "depends on the order of the shards",
                "Which shard comes first is chance, and a decision that is hashed must not depend "
                "on it: sort the lines.",
                in_order_of_arrival,
            ),
        ),
        hints=(
            "What must a shard collect, so that the sum of all collections is what one process "
            "would have counted?",
            "`set(page.split(\"\\n\"))` has each line of a page once; apply the limit after the "
            "last shard.",
        ),
    ),
)
