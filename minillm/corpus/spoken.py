"""Lines whose language is known: many from the pinned sources, a few from the fixture.

In: the names of sources. Out: `Line`s, each with its language, its document, and whether that
document is held out. The idea: a test must not hold what training saw, so documents are held out
whole, one part of a program in all its languages at once, and a held-out line that also stands in a
training document is left out. Left out too: dialects, and lines in two languages.
"""

import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import minillm
from minillm.core.records import read_json_lines
from minillm.corpus.hits import precision_recall_f1
from minillm.corpus.mix import chance
from minillm.corpus.sources import Document, known_sources, read_source

FIXTURE = Path(minillm.__file__).parent.parent / "data" / "fixtures" / "languages.jsonl"
LANGUAGES = tuple("da de en es fr it nb nl pl pt sv".split())
SOURCES = ("encyclopaedia", "recipes", "django", "wagtail", "chat")
HELD_OUT_SHARE = 0.25
# Of each language and source, so that no language is known much better than the others.
MAX_TRAINING_LINES = 1500
MIN_LETTERS = 3
LIST_MARK = re.compile(r"^(?:-|\d+\.) ")


# package only
@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a known language, and where it stood."""

    text: str
    language: str
    source: str
    document: str
    split: str


# package only
def held_out_split(document: Document) -> str:
    """Drawn by the document's name without its language: translations go the same way."""
    name = document.id.replace(f"/{document.language}/", "/", 1)
    return "validation" if chance(f"held out {name}", 0) < HELD_OUT_SHARE else "train"


# package only
def lines_of(document: Document) -> Iterator[Line]:
    """The lines of a document that hold a few letters, without the marks of lists."""
    split = held_out_split(document)
    for line in document.text.split("\n"):
        text = LIST_MARK.sub("", line.strip())
        if sum(map(str.isalpha, text)) >= MIN_LETTERS:
            yield Line(text, document.language, document.source, document.id, split)


# package only
def without_repeats(lines: Iterable[Line]) -> list[Line]:
    """Each text once in a language, and no held-out line that training has, whatever its case."""
    trained: set[str] = set()
    kept: dict[tuple[str, str], Line] = {}
    for line in sorted(lines, key=lambda each: each.split):
        text = line.text.lower()
        if line.split == "train":
            trained.add(text)
        if line.split == "train" or text not in trained:
            kept.setdefault((line.language, text), line)
    return list(kept.values())


# package only
def spoken_lines(sources: Sequence[str] = SOURCES) -> list[Line]:
    """Every line of the pinned sources; OSError where one cannot be had."""
    known = known_sources()
    documents = (each for name in sources for each in read_source(known[name], LANGUAGES))
    return without_repeats(line for document in documents for line in lines_of(document))


# package only
def read_lines(path: Path = FIXTURE) -> list[Line]:
    """The lines of a file, by default those that come with the course."""
    if not path.is_file():
        raise FileNotFoundError(f"lines {path}: there is no such file; restore it with git")
    return [Line(**fields) for fields in read_json_lines(path)]


# package only
def json_lines(lines: Iterable[Line]) -> str:
    """The file that `read_lines` reads."""
    return "".join(json.dumps(asdict(line), ensure_ascii=False) + "\n" for line in lines)


# package only
def training_lines(lines: Iterable[Line]) -> dict[str, list[str]]:
    """Lines to train on by language, at most so many of a source, whole documents at the end."""
    by_place: dict[tuple[str, str], list[Line]] = defaultdict(list)
    for line in lines:
        if line.split == "train":
            by_place[line.language, line.source].append(line)
    chosen: list[Line] = []
    for found in by_place.values():
        drawn = sorted(found, key=lambda each: chance(each.text, 0))
        chosen += drawn[:MAX_TRAINING_LINES]
    spoken: dict[str, list[str]] = defaultdict(list)
    for line in sorted(chosen, key=lambda each: chance(each.document, 1)):
        spoken[line.language].append(line.text)
    return dict(spoken)


def passages(lines: Iterable[Line], num_characters: int) -> list[Line]:
    """Held-out documents cut into pieces that reach `num_characters` with their last word."""
    texts: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for line in lines:
        if line.split == "validation":
            texts[line.language, line.source, line.document].append(line.text)
    cut = []
    for (language, source, document), parts in texts.items():
        piece = ""
        for word in " ".join(parts).split():
            piece = f"{piece} {word}" if piece else word
            if len(piece) >= num_characters:
                cut.append(Line(piece, language, source, document, "validation"))
                piece = ""
    return cut


def f1_by_language(true: Sequence[str], found: Sequence[str]) -> dict[str, float]:
    """F1 of each language that occurs among the true ones."""
    scores = {}
    for language in sorted(set(true)):
        right = sum(one == two == language for one, two in zip(true, found, strict=True))
        counts = right, found.count(language), true.count(language)
        scores[language] = precision_recall_f1(*counts)[2]
    return scores


def macro_f1(true: Sequence[str], found: Sequence[str]) -> float:
    """The mean of the languages' F1: a rare language counts as much as a common one."""
    scores = f1_by_language(true, found)
    return sum(scores.values()) / len(scores)
