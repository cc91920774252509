"""Pages with texts that people wrote: parts of an encyclopaedia and a cookbook, chapters, scenes.

In: a number and a seed. Out: pages worth keeping, each with the name of the document that is its
text, whole and unchanged, and with that document's licence. The ideas: a random generator of their
own, so that the other pages of a seed stay what they are; the texts come with the course, drawn by
lot from documents that no classifier was trained on. A step that harms them is wrong about text,
and not about our templates. Left out: long chapters and scenes.
"""

import random
import re
from functools import cache
from itertools import chain, islice
from pathlib import Path

import minillm
from minillm.core.records import read_json_lines
from minillm.corpus.dirty.web import Content, DirtyPage, page_with
from minillm.corpus.sources import Document

FIXTURE = Path(minillm.__file__).parent.parent / "data" / "fixtures" / "real_texts.jsonl"
REAL_SOURCES = ("encyclopaedia", "recipes", "plays", "bible")
PAGE_SPACE = re.compile("[ \t]+")  # a page shows any run of these as one space
# Written in one way by the corpus, and so in the clean text: the only letters that it changes.
ONE_WAY = str.maketrans("“”‘’\u00a0", "\"\"'' ")


# package only
@cache
def real_texts() -> tuple[Document, ...]:
    """The texts that come with the course, in the order of the file."""
    if not FIXTURE.is_file():
        raise FileNotFoundError(f"texts {FIXTURE}: there is no such file; restore it with git")
    return tuple(Document(**fields) for fields in read_json_lines(FIXTURE))


def page_lines(text: str) -> str:
    """The lines of a text as a page can show them: none that is empty, one space between words."""
    lines = (PAGE_SPACE.sub(" ", line).strip(" ") for line in text.split("\n"))
    return "\n".join(line for line in lines if line)


def make_real_page(number: int, text: Document, rng: random.Random) -> DirtyPage:
    """One text in a page, with nothing planted among its words."""
    shown = page_lines(text.text)
    clean = shown.translate(ONE_WAY)
    content = Content(shown, licence=text.licence, clean_text=clean, origin=text.id)
    return page_with(content, f"real/{number}", None, rng)


def make_real_pages(num_pages: int, seed: int = 0) -> list[DirtyPage]:
    """Pages of each source in turn, no text twice: so never more pages than there are texts."""
    rng, by_source = random.Random(f"real texts {seed}"), []
    for name in REAL_SOURCES:
        mine = [each for each in real_texts() if each.source == name]
        by_source.append(rng.sample(mine, len(mine)))
    in_turn = islice(chain.from_iterable(zip(*by_source, strict=True)), num_pages)
    return [make_real_page(number, text, rng) for number, text in enumerate(in_turn)]
