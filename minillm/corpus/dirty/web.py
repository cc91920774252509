"""A small made-up web, dirty in known ways, so that every step of the corpus can be measured.

In: a seed. Out: `DirtyPage`s: an HTML page as a crawler would bring it, and the truth about it:
what was planted, and the text that cleaning should leave. The one idea: who plants the dirt can
count what is found. Some of it is hard on purpose: leaks in other words, spam without a pattern,
numbers that only look personal. All towns, people, addresses and numbers are invented.
"""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import cycle

from minillm.corpus.contamination import CANARY, Sets
from minillm.corpus.dirty.copies import (
    CopyWay,
    PlantedLeak,
    PlantedPassage,
    held_out_stories,
    near_copy,
    plant_leak,
)
from minillm.corpus.dirty.damage import ENCODINGS, damage
from minillm.corpus.dirty.faults import BAD_TEXTS
from minillm.corpus.dirty.languages import FOUND_LICENCE, LANGUAGES, foreign_lines, mixed_lines
from minillm.corpus.dirty.people import DECOYS, PERSONAL, add_sentences
from minillm.corpus.dirty.site import SITES, Frame, framed, make_frame
from minillm.corpus.dirty.texts import make_article, make_text
from minillm.corpus.mix import STORY_LICENCE
from minillm.corpus.sources import Document

MIN_COPIED_CHARACTERS = 250
# Of faulty pages, how often each fault: copies and leaks more often, they come in several ways.
FAULT_WEIGHTS = dict.fromkeys(("licence", "permission", *BAD_TEXTS), 2) | {
    "language": 2, "mixed language": 1, "canary": 2, "contamination": 4, "exact copy": 3,
    "near copy": 4,
}  # fmt: skip
FAULTS = tuple(FAULT_WEIGHTS)
# What is to be repaired, and no reason to throw a page away.
PASSAGE = "copied passage"
REPAIRS = frozenset(("repair", "encoding", "personal data", "decoys", PASSAGE))
CLOSED_LICENCE = "all rights reserved"
PUBLIC_DOMAIN = '<link rel="license" href="https://creativecommons.org/publicdomain/mark/1.0/">'
LICENCE_MARKS = {
    "public-domain": PUBLIC_DOMAIN,
    STORY_LICENCE: '<link rel="license" href="https://creativecommons.org/publicdomain/zero/1.0/">',
    FOUND_LICENCE: '<link rel="license" href="https://creativecommons.org/licenses/by-sa/4.0/">',
    CLOSED_LICENCE: '<meta name="copyright" content="all rights reserved">',
}
OPT_OUT_MARKS = (
    '<meta name="robots" content="noai, noimageai">', '<meta name="tdm-reservation" content="1">',
)  # fmt: skip
OPT_OUT_HEADERS = (("X-Robots-Tag", "noai"),)


# package only
@dataclass(frozen=True, slots=True)
class DirtyPage:
    """A page and the truth about it; a fault that a step of `steps()` should find has its name."""

    document: Document
    clean_text: str
    faults: frozenset[str]
    line_languages: tuple[str, ...] = ()
    copy_of: str | None = None
    copy_way: CopyWay | None = None
    leak: PlantedLeak | None = None
    personal_data: tuple[tuple[str, str], ...] = ()
    decoys: tuple[tuple[str, str], ...] = ()
    shown_text: str = ""
    frame: Frame = Frame((), (), ())
    encoding: str = "utf-8"
    declared: str | None = "utf-8"
    headers: tuple[tuple[str, str], ...] = ()
    passage: PlantedPassage | None = None
    origin: str | None = None

    @property
    def should_go(self) -> bool:
        """Has it a fault that no repair can mend?"""
        return bool(self.faults - REPAIRS)

    @property
    def language(self) -> str:
        """The language of its lines, or `mixed`."""
        return self.line_languages[0] if len(set(self.line_languages)) == 1 else "mixed"

    @property
    def url(self) -> str:
        """Its address; all names below `.example` belong to nobody."""
        return f"https://{self.document.source}.example/{self.document.id}"


# package only
@dataclass(slots=True)
class Content:
    """A text on its way to a page, and what was planted in it."""

    text: str
    line_languages: tuple[str, ...] = ()
    licence: str = STORY_LICENCE
    copy_of: str | None = None
    copy_way: CopyWay | None = None
    leak: PlantedLeak | None = None
    passage: PlantedPassage | None = None
    clean_text: str | None = None  # where it is another than the text
    origin: str | None = None  # of a text that was found: the id of its document


# package only
def make_content(
    fault: str | None, earlier: Sequence[DirtyPage], sets: Sets, rng: random.Random
) -> Content:
    """The text that has this fault, or one worth keeping."""
    if fault in ("exact copy", "near copy"):
        original = rng.choice(earlier)
        text, way = original.clean_text, None
        if fault == "near copy":
            text, way = near_copy(text, rng)
        return Content(text, copy_of=original.document.id, copy_way=way)
    if fault in ("language", "mixed language"):
        language, is_found = rng.choice(LANGUAGES), False
        lines = mixed_lines(language, rng)
        if fault == "language":
            lines, is_found = foreign_lines(language, rng)
        texts, languages = zip(*lines, strict=True)
        return Content("\n".join(texts), languages, FOUND_LICENCE if is_found else STORY_LICENCE)
    if fault == "contamination":
        text, leak = plant_leak(sets, rng)
        return Content(f"{make_article(rng)}\n{text}", leak=leak)
    if fault == "canary":
        return Content(f"{make_article(rng)}\n{CANARY}")
    return Content(BAD_TEXTS.get(fault or "", make_text)(rng))


# package only
def permission_marks(
    fault: str | None, licence: str, rng: random.Random
) -> tuple[str, tuple[tuple[str, str], ...]]:
    """What the page's head, and what its server's, say of its licence and of being learned from."""
    mark = LICENCE_MARKS[licence]
    if fault != "permission":
        return mark, ()
    if rng.random() < 1 / 3:
        return mark, OPT_OUT_HEADERS
    return mark + rng.choice(OPT_OUT_MARKS), ()


# package only
def make_page(
    identity: str, fault: str | None, earlier: Sequence[DirtyPage], sets: Sets, rng: random.Random
) -> DirtyPage:
    """A page with at most one fault for which it should go, and sometimes damage to repair."""
    return page_with(make_content(fault, earlier, sets, rng), identity, fault, rng)


# package only
def page_with(
    content: Content, identity: str, fault: str | None, rng: random.Random
) -> DirtyPage:
    """A page with this text and what stands around it; without a fault sometimes more in it.

    A found text is left as it is.
    """
    text = content.text
    clean = text if content.clean_text is None else content.clean_text
    faults, personal, decoys = {fault} - {None}, (), ()
    is_ours = fault is None and content.origin is None
    if is_ours and rng.random() < 0.3:
        text, clean, personal = add_sentences(text, clean, PERSONAL, rng.randrange(2, 6), rng)
        faults.add("personal data")
    if is_ours and rng.random() < 0.3:
        text, clean, decoys = add_sentences(text, clean, DECOYS, rng.randrange(1, 4), rng)
        faults.add("decoys")
    shown = text
    if rng.random() < 0.2 and damage(text) != text:
        shown = damage(text)
        faults.add("repair")
    (site,) = rng.choices(tuple(SITES), tuple(SITES.values()))
    licence = CLOSED_LICENCE if fault == "licence" else content.licence
    frame, (marks, headers) = make_frame(site, rng), permission_marks(fault, licence, rng)
    html = framed(shown, site, frame, marks)
    ((encoding, declared, _),) = rng.choices(ENCODINGS, [each[2] for each in ENCODINGS])
    if (encoding, declared) != ("utf-8", "utf-8"):
        faults.add("encoding")
    lines = content.line_languages or ("en",) * (1 + text.count("\n"))
    return DirtyPage(
        Document(identity, html, site, "web", licence, "en"), clean, frozenset(faults), lines,
        content.copy_of, content.copy_way, content.leak, personal, decoys, text, frame, encoding,
        declared, headers, content.passage, content.origin,
    )  # fmt: skip


# package only
def make_dirty_web(num_pages: int, seed: int = 0, sets: Sets | None = None) -> list[DirtyPage]:
    """Pages, about half of them with a fault; a copy comes after its original, always.

    `sets` are the evaluation sets that leak, by name and item; without them this room's own.
    """
    rng = random.Random(f"dirty web {seed}")
    sets = held_out_stories() if sets is None else sets
    turns = cycle(sorted(sets))  # each set leaks as often as any other
    pages: list[DirtyPage] = []
    originals: list[DirtyPage] = []
    for number in range(num_pages):
        is_faulty = rng.random() < 0.5
        (drawn,) = rng.choices(FAULTS, tuple(FAULT_WEIGHTS.values()))
        fault = drawn if is_faulty and originals else None
        turn = next(turns) if fault == "contamination" else None
        leaking = {name: items for name, items in sets.items() if name == turn}
        page = make_page(f"web/{number}", fault, originals, leaking, rng)
        pages.append(page)
        is_plain = page.faults <= {"repair", "encoding"}
        if is_plain and len(page.clean_text) > MIN_COPIED_CHARACTERS:
            originals.append(page)
    return pages
