"""A small made-up web, dirty in known ways, so that every step of the corpus can be measured.

In: a seed. Out: `DirtyPage`s: an HTML page as a crawler would bring it, and the truth about it:
what was planted, and the text that cleaning should leave. The one idea: who plants the dirt can
count what is found. Some of it is hard on purpose: leaks in other words, spam without a pattern,
numbers that only look personal. All towns, people, addresses and numbers are invented: e-mail at
example.org, telephone numbers reserved for fiction, card numbers that begin with a zero.
"""

import random
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from html import escape

from minillm.corpus.clean import decode_windows_1252, is_luhn_valid
from minillm.corpus.mix import LEVELS, STORY_LICENCE, story_seed
from minillm.corpus.sources import Document
from minillm.corpus.storyworld import tell_story

# The last site has so few pages that its boilerplate cannot be told from text.
SITES = {"river-news": 30, "tiny-tales": 30, "town-guide": 20, "old-library": 20, "lonely-page": 1}
MENU = ("Home", "Stories", "Towns", "About us", "Contact", "Sign in")
COOKIES = "We use cookies to make {site} better for you. By reading on you agree to our terms."
FOOTER = "Copyright 2026 {site}. All pages are served with care."
ADVERTS = (
    "Tired of old shoes? Get new ones today at half the price!",
    "Nine out of ten readers love our free newsletter. Join them now!",
    "You will not believe what this town did with its old bridge!",
)
MIN_COPIED_CHARACTERS = 250
NUM_LEAKED_STORIES = 20
NAME_STARTS = "Bran Cald Dûr Est Fjör Grün Kal Lév Mor Nór Pel Rös Sant Tal Vér Zel".split()
NAME_ENDS = "bridge by dorf haven holm lac mouth stad ton ville wick field".split()
GOODS = "bread cheese glass rope paper honey boats bells carpets clocks".split()
ARTICLE = (
    ("{town} is a town of {people} people on the river {river}.",
     "On the river {river} lies {town}, where {people} people live."),
    ("It was founded in {year} by traders from {other}.",
     "Traders from {other} built the first houses in {year}."),
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


# package only
@dataclass(frozen=True, slots=True)
class DirtyPage:
    """A page and the truth about it; faults are named like the steps that should find them."""

    document: Document
    clean_text: str
    faults: frozenset[str]
    copy_of: str | None = None
    personal_data: tuple[tuple[str, str], ...] = ()


# package only
def town_name(rng: random.Random) -> str:
    """The name of a town that does not exist."""
    return rng.choice(NAME_STARTS) + rng.choice(NAME_ENDS)


# package only
def make_article(rng: random.Random) -> str:
    """One paragraph about a town that does not exist."""
    words = {
        "town": town_name(rng), "other": town_name(rng), "quarter": town_name(rng),
        "river": rng.choice(NAME_STARTS) + "a", "goods": rng.choice(GOODS),
        "people": f"{rng.randrange(900, 90_000):,}", "pupils": rng.randrange(80, 900),
        "year": rng.randrange(1100, 1700), "later": rng.randrange(1700, 1990),
        "cold": rng.randrange(9, 35),
    }  # fmt: skip
    first, *others = ARTICLE
    chosen = [first, *rng.sample(others, rng.randrange(4, len(others) + 1))]
    return " ".join(rng.choice(ways).format_map(words) for ways in chosen)


# package only
def make_short_note(rng: random.Random) -> str:
    """A text worth keeping that is about as long as the shortest allowed."""
    is_long = rng.random() < 0.67
    words = "The market of {} is closed today because of the snow." if is_long else "{} is lovely."
    return words.format(town_name(rng))


# package only
def make_song(rng: random.Random) -> str:
    """A text worth keeping that says one line again and again, as songs do."""
    refrain, verse = f"Row, row, row to {town_name(rng)}", "I saw the {} of {} on the way"
    verses = [verse.format(rng.choice(GOODS), town_name(rng)) for _ in range(rng.randrange(3, 7))]
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
    """The text with an address, a telephone, a card number, and a number that is none of them."""
    name, last = rng.choice(("pat", "kim", "alex", "robin")), f"01{rng.randrange(100):02}"
    email = rng.choice((f"{name}.{last}@example.org",) * 4 + (f"{name} at example dot org",))
    phones = (f"(212) 555-{last}", f"212 555 {last}", f"+44 20 7946 {last}", f"212555{last}")
    phone, card = rng.choice(phones), make_card_number(rng)
    order = "00" + "".join(rng.choice("0123456789") for _ in range(14))
    line = f"Write to {email} or call {phone} and pay with {card}. Your order is number {order}."
    return f"{text}\n{line}", (("email", email), ("phone", phone), ("card", card))


# package only
def change_words(text: str, num_words: int, rng: random.Random) -> str:
    """The text with some words replaced, as somebody edits a page before putting it up again."""
    words = text.split(" ")
    for index in rng.sample(range(len(words)), min(len(words), num_words)):
        words[index] = rng.choice(("really", "today", "again", "there", "maybe"))
    return " ".join(words)


def damage(text: str) -> str:
    """Quotes become typographic, and then UTF-8 is read as Windows-1252: `“` becomes `â€œ`."""
    pieces = text.split('"')
    curly = "".join(each + "“”"[index % 2] for index, each in enumerate(pieces[:-1])) + pieces[-1]
    return decode_windows_1252(curly.encode())


# package only
def wrap_page(text: str, site: str, rng: random.Random) -> str:
    """The text inside an HTML page, with menu, notice, advertisement and script around it."""
    menu = "".join(f'<li><a href="/{number}">{item}</a></li>' for number, item in enumerate(MENU))
    lines = "\n".join(f"<p>{escape(line, quote=False)}</p>" for line in text.split("\n"))
    return (
        f"<html><head><title>{site}</title><script>count('{site}');</script></head>\n<body>\n"
        f"<ul>{menu}</ul>\n<div>{COOKIES.format(site=site)}</div>\n{lines}\n"
        f"<div>{rng.choice(ADVERTS)}</div>\n<div>{FOOTER.format(site=site)}</div>\n</body></html>"
    )


# package only
def make_stuffed(rng: random.Random) -> str:
    """Keywords in a row; one spammer in four varies them, and no count of pairs finds that one."""
    is_varied = rng.random() < 0.25
    goods = [rng.choice(GOODS) for _ in range(20 if is_varied else 1)]
    offers = (f"cheap {goods[number % len(goods)]} in {town_name(rng)}" for number in range(20))
    return " ".join(offers) + " to buy for the house."


# package only
def make_repeated(rng: random.Random) -> str:
    """One line again and again, among others that may be many."""
    line = "The shop of {} is open and has {} for all.".format
    others = [line(town_name(rng), rng.choice(GOODS)) for _ in range(rng.randrange(1, 6))]
    return "\n".join(others[:1] * rng.randrange(2, 8) + others[1:])


# package only
def make_symbols(rng: random.Random) -> str:
    """A table of signs and digits with hardly a word."""
    cells = " | ".join(f"#{rng.randrange(10, 99)}%" for _ in range(rng.randrange(2, 40)))
    return f"The table of the year is here to see. | {cells} | That was it, and thank you."


# package only
def make_list(rng: random.Random) -> str:
    """Words without a sentence; one list in four has common words too, and deceives the rule."""
    common = ["the", "of", "and"] if rng.random() < 0.25 else []
    return " ".join(rng.sample(NAME_STARTS, 12) + rng.sample(NAME_ENDS, 8) + common)


# package only
def make_leak(rng: random.Random) -> str:
    """An article and a held-out story; one leak in four is retold and will be missed."""
    seed = story_seed(rng.randrange(NUM_LEAKED_STORIES), "validation")
    story = tell_story(seed, rng.choice(LEVELS)).text
    told = change_words(story, len(story.split()) // 2, rng) if rng.random() < 0.25 else story
    return f"{make_article(rng)}\n{told}"


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
def make_page(
    identity: str, fault: str | None, earlier: Sequence[DirtyPage], rng: random.Random
) -> DirtyPage:
    """A page with at most one fault for which it should go, and sometimes damage to repair."""
    original = rng.choice(earlier) if fault in ("exact copy", "near copy") else None
    faults, personal = {fault} - {None}, ()
    if original is not None:
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
    (site,) = rng.choices(tuple(SITES), tuple(SITES.values()))
    licence = "all rights reserved" if fault == "licence" else STORY_LICENCE
    document = Document(identity, wrap_page(shown, site, rng), site, "web", licence, "en")
    for kind, value in personal:
        text = text.replace(value, f"<{kind}>")
    copy_of = original.document.id if original else None
    return DirtyPage(document, text, frozenset(faults), copy_of, personal)


# package only
def make_dirty_web(num_pages: int, seed: int = 0) -> list[DirtyPage]:
    """Pages, about half of them with a fault; a copy comes after its original, always."""
    rng = random.Random(f"dirty web {seed}")
    pages: list[DirtyPage] = []
    for number in range(num_pages):
        fault = rng.choice(FAULTS) if rng.random() < 0.5 else None
        clean = [page for page in pages if not page.faults - {"repair"}]
        long = [page for page in clean if len(page.clean_text) > MIN_COPIED_CHARACTERS]
        pages.append(make_page(f"web/{number}", fault if long else None, long, rng))
    return pages


def precision_and_recall(found: Collection[str], true: Collection[str]) -> tuple[float, float]:
    """The share of the found that is true, and the share of the true that is found."""
    num_right = len(set(found) & set(true))
    return num_right / max(1, len(found)), num_right / max(1, len(true))
