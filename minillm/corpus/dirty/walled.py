"""Pages behind a robots.txt, and the robots.txt of each site of the dirty web.

In: a number and a seed. Out: pages, in turn one that its site forbids and one that it allows by a
longer rule; and each site's file. The idea: a random generator of their own, so that the other
pages of a seed stay what they are. A site says it in one of three ways: to all, to known crawlers,
by a pattern.
"""

import random
from collections.abc import Iterator, Mapping, Sequence

from minillm.corpus.dirty.web import DirtyPage, make_page

WALLED = "robots"  # the fault's name
FOR_ALL = "User-agent: *\nDisallow: /members/\nAllow: /members/open/\n"
ROBOTS_BY_SITE = {
    "river-news": FOR_ALL,
    "tiny-tales": (
        "User-agent: *\nDisallow:\n\n"
        "User-agent: GPTBot\nUser-agent: CCBot\nAllow: /members/open/\nDisallow: /members\n"
    ),
    "town-guide": "# no machines\nUser-agent: *\nAllow: /members/open/\nDisallow: /*bers/\n",
    "old-library": f"Sitemap: https://old-library.example/map\n{FOR_ALL}Crawl-delay: 5\n",
    "lonely-page": FOR_ALL,
}


def make_walled_pages(num_pages: int, seed: int = 0) -> list[DirtyPage]:
    """Pages below `members`, every other one of which its site's robots.txt keeps from us."""
    rng = random.Random(f"walled pages {seed}")
    return [
        make_page(f"members/open/{number}", None, (), {}, rng) if number % 2 else
        make_page(f"members/{number}", WALLED, (), {}, rng)
        for number in range(num_pages)
    ]  # fmt: skip


def robots_files(pages: Sequence[DirtyPage]) -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
    """The robots.txt of each site that a page is from, as a server sends it."""
    for site in sorted({page.document.source for page in pages}):
        headers = {"Content-Type": "text/plain", "WARC-Date": "2026-02-01T00:00:00Z"}
        yield f"https://{site}.example/robots.txt", ROBOTS_BY_SITE[site].encode(), headers
