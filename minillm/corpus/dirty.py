"""A small made-up web, dirty in known ways, so that every step of the corpus can be measured.

In: a seed. Out: `DirtyPage`s: an HTML page as a crawler would bring it, and the truth about it: what was
planted, and the text that cleaning should leave. The one idea: who plants the dirt can count what is found.
Some of it is hard on purpose: leaks in other words, spam without a pattern, numbers that only look personal.
All towns, people, addresses and numbers are invented: e-mail at example.org, telephone numbers that are
reserved for fiction, card numbers that begin with a zero. Thin so far: one language, mild spam.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

from minillm.corpus.clean import decode_windows_1252, is_luhn_valid
from minillm.corpus.mix import LEVELS, STORY_LICENCE, story_seed
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import tell_story

SITES = "river-news.example tiny-tales.example town-guide.example old-library.example lonely-page.example".split()
SITE_WEIGHTS = (30, 30, 20, 20, 1)
MENU = ("Home", "Stories", "Towns", "About us", "Contact", "Sign in")
COOKIES = "We use cookies to make {site} better for you. By reading on you agree to our terms."
FOOTER = "Copyright 2026 {site}. All pages are served with care."
MIN_COPIED_CHARACTERS = 250
ADVERTS = (
    "Tired of old shoes? Get new ones today at half the price!",
    "Nine out of ten readers love our free newsletter. Join them now!",
    "You will not believe what this town did with its old bridge!",
)
NAME_STARTS = "Bran Cald Dûr Est Fjör Grün Kal Lév Mor Nór Pel Rös Sant Tal Vér Zel".split()
NAME_ENDS = "bridge by dorf haven holm lac mouth stad ton ville wick field".split()
GOODS = "bread cheese glass rope paper honey boats bells carpets clocks".split()
ARTICLE = (
    ("{town} is a town of {people} people on the river {river}.",
     "On the river {river} lies {town}, where {people} people live."),
    ("It was founded in {year} by traders from {other}.", "Traders from {other} built the first houses in {year}."),
    ("For a long time the town lived on {goods}, which it sold as far as {other}.",
     "Its {goods} was known even in {other}, and many families lived on it."),
    ("The café beside the market is the oldest house and has stood there since {later}.",
     "The oldest house, a café beside the market, is from {later}."),
    ("A bridge from {later} leads to the quarter that is named {quarter}.",
     "Since {later} a bridge has joined the town with {quarter} on the other side."),
    ("In winter it can be as cold as −{cold} °C, and the river freezes.",
     "The winters are hard: −{cold} °C was measured in {later}."),
    ("Each summer there is a feast at which everybody eats outside until late.",
     "When summer comes, all the people eat together in the streets for a day."),
    ("The school has {pupils} pupils and a garden that they look after themselves.",
     "There are {pupils} pupils at the school, and they grow beans in its garden."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DirtyPage:
    """A page and the truth: its faults are named like the steps that should find them."""

    document: Document
    clean_text: str
    faults: frozenset[str]
    copy_of: str | None = None
    personal_data: tuple[tuple[str, str], ...] = ()


# package only
def town_name(rng: random.Random) -> str:
    return rng.choice(NAME_STARTS) + rng.choice(NAME_ENDS)


# package only
def make_article(rng: random.Random) -> str:
    """One paragraph about a town that does not exist."""
    words = {
        "town": town_name(rng), "river": town_name(rng)[:4], "other": town_name(rng), "quarter": town_name(rng),
        "people": f"{rng.randrange(900, 90_000):,}", "year": rng.randrange(1100, 1700), "goods": rng.choice(GOODS),
        "later": rng.randrange(1700, 1990), "cold": rng.randrange(9, 35), "pupils": rng.randrange(80, 900),
    }  # fmt: skip
    first, *others = ARTICLE
    chosen = [first, *rng.sample(others, rng.randrange(4, len(others) + 1))]
    return " ".join(rng.choice(ways).format_map(words) for ways in chosen)


# package only
def make_short_note(rng: random.Random) -> str:
    """A text worth keeping that is about as long as the shortest allowed."""
    town = town_name(rng)
    return rng.choice((
        f"The market of {town} is closed today because of the snow.",
        f"{town} has a new bridge.",
        f"The river at {town} is high, and nobody may swim in it.",
    ))  # fmt: skip


# package only
def make_song(rng: random.Random) -> str:
    """A text worth keeping that says one line again and again, as songs do."""
    refrain = f"Row, row, row to {town_name(rng)}"
    verses = [f"I saw the {rng.choice(GOODS)} of {town_name(rng)} on the way" for _ in range(rng.randrange(3, 7))]
    return "\n".join(line for verse in verses for line in (verse, refrain))


# package only
def make_text(rng: random.Random) -> str:
    """A text worth keeping: mostly a story or an article."""
    draw = rng.random()
    if draw < 0.46:
        return tell_story(rng.randrange(1000, 900_000), rng.choice(LEVELS)).text
    if draw < 0.92:
        return make_article(rng)
    return make_short_note(rng) if draw < 0.96 else make_song(rng)


# package only
def make_card_number(rng: random.Random) -> str:
    """A number with a true check digit that no bank gives out: it begins with a zero."""
    digits = "0" + "".join(rng.choice("0123456789") for _ in range(14))
    digits += next(each for each in "0123456789" if is_luhn_valid(digits + each))
    return " ".join(digits[start : start + 4] for start in range(0, 16, 4))


# package only
def add_personal_data(text: str, rng: random.Random) -> tuple[str, tuple[tuple[str, str], ...]]:
    """The text with an address, a telephone and a card number, and a number that only looks like a card."""
    name, last = rng.choice(("pat", "kim", "alex", "robin")), f"1{rng.randrange(100):02}"
    email = rng.choice((f"{name}.{last}@example.org",) * 4 + (f"{name} at example dot org",))
    phone = rng.choice((f"(212) 555-0{last}", f"+44 20 7946 0{last}", f"212 555 0{last}", f"2125550{last}"))
    card = make_card_number(rng)
    order = "00" + "".join(rng.choice("0123456789") for _ in range(14))
    line = f"Write to {email} or call {phone} and pay with card {card}. Your order is number {order}."
    return f"{text}\n{line}", (("email", email), ("phone", phone), ("card", card))


# package only
def change_words(text: str, num_words: int, rng: random.Random) -> str:
    """The text with some words replaced, as when somebody edits a page before putting it up again."""
    words = text.split(" ")
    for index in rng.sample(range(len(words)), min(len(words), num_words)):
        words[index] = rng.choice(("really", "today", "again", "there", "maybe"))
    return " ".join(words)


def damage(text: str) -> str:
    """Quotes become typographic, and then UTF-8 is read as Windows-1252: `“No”` → `â€œNoâ€\x9d`."""
    pieces = text.split('"')
    curly = "".join(piece + "“”"[index % 2] for index, piece in enumerate(pieces[:-1])) + pieces[-1]
    return decode_windows_1252(curly.encode())


# package only
def wrap_page(text: str, site: str, rng: random.Random) -> str:
    """The text as the middle of an HTML page with menu, notice, advertisement and script around it."""
    menu = "".join(f'<li><a href="/{number}">{item}</a></li>' for number, item in enumerate(MENU))
    paragraphs = "\n".join(f"<p>{escape(line, quote=False)}</p>" for line in text.split("\n"))
    return (
        f"<!DOCTYPE html>\n<html><head><title>{site}</title><script>count('{site}');</script></head>\n"
        f"<body>\n<ul>{menu}</ul>\n<div>{COOKIES.format(site=site)}</div>\n{paragraphs}\n"
        f"<div>{rng.choice(ADVERTS)}</div>\n<div>{FOOTER.format(site=site)}</div>\n</body></html>"
    )


# package only
def make_stuffed(rng: random.Random) -> str:
    """Keywords in a row; one in four spammers varies them, and no count of pairs will find that one."""
    words = [rng.choice(GOODS)] * 20 if rng.random() < 0.75 else [rng.choice(GOODS) for _ in range(20)]
    return " ".join(f"cheap {word} in {town_name(rng)}" for word in words) + " to buy for the house."


# package only
def make_repeated(rng: random.Random) -> str:
    line = f"The shop of {town_name(rng)} is open and has {rng.choice(GOODS)} for all."
    return "\n".join([line] * rng.randrange(2, 8) + ["Come in and see it, and bring a friend with you."])


# package only
def make_symbols(rng: random.Random) -> str:
    cells = " | ".join(f"#{rng.randrange(10, 99)}%" for _ in range(rng.randrange(3, 40)))
    return f"The table of the year is here to see. | {cells} | That was it, and thank you."


# package only
def make_list(rng: random.Random) -> str:
    """Words without a sentence; one list in four has common words in it, which deceives the rule."""
    words = rng.sample(NAME_STARTS, 12) + rng.sample(NAME_ENDS, 8)
    return ", ".join(words + ["the", "of", "and"] * (rng.random() < 0.25))


# package only
def make_leak(rng: random.Random) -> str:
    """An article with a held-out story inside, mostly word for word; one in four is retold and will be missed."""
    story = tell_story(story_seed(rng.randrange(20), "validation"), rng.choice(LEVELS)).text
    return f"{make_article(rng)}\n{story if rng.random() < 0.75 else change_words(story, 25, rng)}"


BAD_TEXTS: dict[str, Callable[[random.Random], str]] = {
    "length": lambda rng: f"This page about {town_name(rng)} is not ready.",
    "symbols": make_symbols,
    "repeated lines": make_repeated,
    "repeated words": make_stuffed,
    "common words": make_list,
    "contamination": make_leak,
}
FAULTS = ("licence", *BAD_TEXTS, "exact copy", "near copy")


# package only
def make_page(identity: str, fault: str | None, earlier: Sequence[DirtyPage], rng: random.Random) -> DirtyPage:
    """One page with at most one fault for which it should go, and sometimes damage that can be repaired."""
    original = rng.choice(earlier) if fault in ("exact copy", "near copy") else None
    faults, personal = {fault} - {None}, ()
    if original:
        num_changed = rng.randrange(1, 4) if fault == "near copy" else 0
        text = change_words(original.clean_text, num_changed, rng)
    else:
        text = BAD_TEXTS.get(fault, make_text)(rng)
    if fault is None and rng.random() < 0.15:
        text, personal = add_personal_data(text, rng)
        faults.add("personal data")
    shown = text
    if rng.random() < 0.2 and damage(text) != text:
        shown = damage(text)
        faults.add("repair")
    site = rng.choices(SITES, SITE_WEIGHTS)[0]
    licence = "all rights reserved" if fault == "licence" else STORY_LICENCE
    document = Document(identity, wrap_page(shown, site, rng), site, "web", licence, "en")
    for kind, value in personal:
        text = text.replace(value, f"<{kind}>")
    return DirtyPage(document, text, frozenset(faults), original and original.document.id, personal)


def make_dirty_web(num_pages: int, seed: int = 0) -> list[DirtyPage]:
    """Pages of which about half have a fault for which they should go; copies come after their originals."""
    rng = random.Random(f"dirty web {seed}")
    pages: list[DirtyPage] = []
    for number in range(num_pages):
        fault = rng.choice(FAULTS) if rng.random() < 0.5 else None
        clean = [page for page in pages if not page.faults - {"repair"}]
        long = [page for page in clean if len(page.clean_text) > MIN_COPIED_CHARACTERS]
        pages.append(make_page(f"web/{number}", fault if long else None, long, rng))
    return pages
