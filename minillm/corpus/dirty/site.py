"""What stands around a text on its page: menus, notices, advertisements, dates, footers.

In: a text and the name of its site. Out: HTML. The one idea: the frame's lines are known apart
from the text's, so both mistakes can be counted: frame that stays, and text that goes. Some of it
is hard on purpose: lines with a date or a name in them are seldom twice the same, and a site of
which there are few pages hides its frame.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

from minillm.corpus.dirty.texts import town_name

# The last site has so few pages that its boilerplate cannot be told from text.
SITES = {"river-news": 30, "tiny-tales": 30, "town-guide": 20, "old-library": 20, "lonely-page": 1}
MENU = ("Home", "Stories", "Towns", "About us", "Contact", "Sign in")
COOKIES = "We use cookies to make {site} better for you. By reading on you agree to our terms."
FOOTER = "Copyright 2026 {site}. All pages are served with care."
ADVERTS = (
    "Tired of old shoes? Get new ones today at half the price!",
    "Nine out of ten readers love our free newsletter. Join them now!",
    "You will not believe what this town did with its old bridge!",
    "Only {count} tickets left for the boat to the lake. Be quick!",
)
MONTHS = "January March April May July August October December".split()
AUTHORS = "Ada Bo Cleo Dev Esme Finn".split()
STAMPS = (
    "Published on {day} {month} {year}.",
    "Last changed: {day} {month} {year}, {hour:02}:{minute:02}.",
    "{count} people read this page, and {few} of them wrote a comment.",
    "Reading time: {few} minutes.",
    "Share this page with your {few} best friends.",
    "Written by {author}.",
    "Page {few} of {count}.",
    "Printed at {hour:02}:{minute:02} for a friend of {site}.",
    "This is letter {count} to our readers.",
    "Read next week: a letter from {town}.",
)


# package only
@dataclass(frozen=True, slots=True)
class Frame:
    """The lines around a text, those of links apart from the others."""

    links: tuple[str, ...]
    before: tuple[str, ...]
    after: tuple[str, ...]


# package only
def make_frame(site: str, rng: random.Random) -> Frame:
    """A menu, a notice, perhaps a line with a date; below the text adverts and a footer."""
    numbers = {
        "day": rng.randrange(1, 29), "month": rng.choice(MONTHS), "year": rng.randrange(2015, 2027),
        "hour": rng.randrange(24), "minute": rng.randrange(60), "few": rng.randrange(2, 30),
        "count": rng.randrange(30, 5000), "site": site, "town": town_name(rng),
        "author": rng.choice(AUTHORS),
    }  # fmt: skip
    stamps = [line.format_map(numbers) for line in rng.sample(STAMPS, rng.randrange(3))]
    adverts = [line.format_map(numbers) for line in rng.sample(ADVERTS, rng.randrange(1, 3))]
    cookies, footer = COOKIES.format_map(numbers), FOOTER.format_map(numbers)
    return Frame(MENU, (cookies, *stamps), (*adverts, footer))


# package only
def blocks(lines: Sequence[str], tag: str) -> str:
    """One element a line."""
    return "".join(f"<{tag}>{escape(line, quote=False)}</{tag}>\n" for line in lines)


# package only
def framed(text: str, site: str, frame: Frame, marks: str = "") -> str:
    """The page: its head with the marks of licence and encoding, the frame, and the text inside."""
    menu = "".join(f'<li><a href="/{n}">{item}</a></li>' for n, item in enumerate(frame.links))
    return (
        f'<html lang="en"><head><title>{site}</title>{marks}'
        f"<script>count('{site}');</script></head>\n<body>\n<ul>{menu}</ul>\n"
        f"{blocks(frame.before, 'div')}{blocks(text.split(chr(10)), 'p')}"
        f"{blocks(frame.after, 'div')}</body></html>"
    )


# package only
def wrap_page(text: str, site: str, rng: random.Random) -> str:
    """The text inside an HTML page, with menu, notice, advertisement and script around it."""
    return framed(text, site, make_frame(site, rng))
