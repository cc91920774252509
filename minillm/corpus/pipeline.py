"""From sources to the documents of a run: read, checked step by step, put in training order, written.

In: a `CorpusConfig`. Out: `documents.jsonl` (training documents in training order, then validation
documents) and `rejected.jsonl` (what was thrown away, and why). The one idea: the order of the file is
the curriculum, so that whoever reads it from front to back trains on the mix that was asked for.
"""

import json
import random
import warnings
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import sha256
from pathlib import Path

from minillm.core.progress import track
from minillm.core.records import Artifact, Run, make_artifact, read_json_lines, sha256_of
from minillm.corpus.sources import (
    Document, known_sources, read_source, read_text_file, source_content,
)
from minillm.corpus.storyworld import tell_story

STORY_LICENCE = "CC0-1.0"
LICENCES = (STORY_LICENCE, "public-domain", "CC-BY-SA-4.0", "PSF-2.0")

# Seeds below these are nobody's: notebooks and demonstrations tell stories that no model was trained on.
FIRST_SEED = {"train": 1_000_000, "validation": 2_000_000_000}


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusConfig:
    """What a model will read: how many stories of each level, which sources or files, what is held out."""

    stories: tuple[int, int, int]
    starts: tuple[float, float, float] = (0.0, 0.1, 0.25)
    sources: tuple[str, ...] = ()
    text_files: tuple[str, ...] = ()
    max_source_characters: int | None = None
    languages: tuple[str, ...] = ("en",)
    licences: tuple[str, ...] = LICENCES
    validation_fraction: float = 0.02
    held_out_stories: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        for name in ("stories", "starts", "sources", "text_files", "languages", "licences"):
            value = getattr(self, name)
            if isinstance(value, str):
                raise ValueError(f"{name} is the text {value!r}; give a tuple, such as ({value!r},)")
            object.__setattr__(self, name, tuple(value))
        if len(self.stories) != 3 or min(self.stories) < 0:
            raise ValueError(f"stories is {self.stories}; give three counts ≥ 0, one for each level")
        if len(self.starts) != 3 or not all(0 <= start < 1 for start in self.starts):
            raise ValueError(f"starts is {self.starts}; give three fractions, 0 ≤ fraction < 1")
        unknown = [name for name in self.sources if name not in known_sources()]
        if unknown:
            raise ValueError(f"sources has {unknown[0]!r}; known are {', '.join(known_sources())}")
        if self.max_source_characters is not None and self.max_source_characters < 1:
            raise ValueError(
                f"max_source_characters is {self.max_source_characters}; give a number ≥ 1, or None for no limit"
            )
        if not 0 <= self.validation_fraction <= 0.5:
            raise ValueError(f"validation_fraction is {self.validation_fraction}; give 0 ≤ fraction ≤ 0.5")
        if self.held_out_stories < 0:
            raise ValueError(f"held_out_stories is {self.held_out_stories}; give a count ≥ 0 for each level")
        if not any(self.stories) and not self.sources and not self.text_files:
            raise ValueError("stories, sources and text_files are all empty; give at least one of them")


def story_seed(index: int, split: str) -> int:
    """The seed of story number `index` of a split: the two splits never share one."""
    return FIRST_SEED[split] + index


def tell_documents(level: int, count: int, split: str) -> Iterator[Document]:
    """`count` stories of one level as documents."""
    for index in range(count):
        text = tell_story(story_seed(index, split), level).text + "\n"
        identity = f"stories/{level}/{split}/{index}"
        yield Document(identity, text, "stories", "story", STORY_LICENCE, "en", split, level)


def chance(identity: str, seed: int) -> float:
    """A number in [0, 1) that depends on a document's id and the seed alone, not on who came before it."""
    return int.from_bytes(sha256(f"{seed} {identity}".encode()).digest()[:8]) / 2**64


def training_place(document: Document, starts: tuple[float, float, float], seed: int) -> float:
    """A random place in [start of its level, 1); what has no level may come from the beginning.

    A user's file is one long document and comes first: late in the order, a short run would not reach it.
    """
    if document.source == "text":
        return 0.0
    start = starts[document.level - 1] if document.level else 0.0
    return start + (1 - start) * chance(document.id, seed)


def hold_out(document: Document, config: CorpusConfig) -> Document:
    """The document, marked as validation if its id draws one of the lots; stories and files have theirs."""
    is_drawn = chance(f"held out {document.id}", config.seed) < config.validation_fraction
    if document.source in ("stories", "text") or not is_drawn:
        return document
    return replace(document, split="validation")


def held_out_tail(texts: list[tuple[str, str]]) -> Iterator[Document]:
    """Training documents, then the last 10 % of all bytes as validation; the cut never splits a character.

    Rounded so that at least 10 % are held out; ValueError where nothing would be left to train on.
    """
    num_bytes = sum(len(text.encode()) for _, text in texts)
    left = num_bytes * 9 // 10
    if left < len(texts[0][1][0].encode()):
        raise ValueError(f"text of {num_bytes} bytes is too short to hold out its last 10 %; give more text")
    for number, (name, text) in enumerate(texts, start=1):
        data = text.encode()
        cut = min(left, len(data))
        while 0 < cut < len(data) and data[cut] & 0b1100_0000 == 0b1000_0000:
            cut -= 1
        left -= min(left, len(data))
        for split, part in (("train", data[:cut]), ("validation", data[cut:])):
            if part:
                identity = f"text/{number}/{name}/{split}"
                yield Document(identity, part.decode(), "text", "text", "user", "unknown", split)


# package only
def read_all_sources(config: CorpusConfig, missing: list[str]) -> Iterator[Document]:
    """The documents of every source, up to the cap; a source that cannot be had is one warning."""
    known = known_sources()
    for name in config.sources:
        try:
            documents = list(read_source(known[name], config.languages))
        except OSError as error:
            missing.append(name)
            warnings.warn(f"source {name} is left out: {error}. The run goes on without it", stacklevel=2)
            continue
        yield from capped(documents, config.max_source_characters, config.seed)


def capped(documents: list[Document], max_characters: int | None, seed: int) -> Iterator[Document]:
    """A random choice of documents, the same for the same seed, of at most `max_characters`."""
    total = 0
    for document in sorted(documents, key=lambda each: chance(each.id, seed)):
        total += len(document.text)
        if max_characters is not None and total > max_characters:
            return
        yield document


# package only
def write_documents(config: CorpusConfig, texts: list[tuple[str, str]], folder: Path) -> dict:
    """Everything from reading to writing; returns the figures of the artifact."""
    missing: list[str] = []
    documents = list(held_out_tail(texts)) if texts else list(read_all_sources(config, missing))
    counted = zip((1, 2, 3), config.stories)
    for level, count in counted:
        documents += track(tell_documents(level, count, "train"), f"stories {level}", count)
        documents += tell_documents(level, config.held_out_stories, "validation")
    documents = [hold_out(each, config) for each in documents]
    train = [each for each in documents if each.split == "train"]
    train.sort(key=lambda each: training_place(each, config.starts, config.seed))
    validation = [each for each in documents if each.split == "validation"]
    with open(folder / "documents.jsonl", "w", encoding="utf-8") as stream:
        for document in train + validation:
            stream.write(json.dumps(asdict(document), ensure_ascii=False) + "\n")
    return {
        "num_documents": len(train),
        "num_bytes": sum(len(each.text.encode()) for each in train),
        "num_validation_documents": len(validation),
        "num_validation_bytes": sum(len(each.text.encode()) for each in validation),
        "missing_sources": ", ".join(missing),
        "documents_by_source": dict(Counter(each.source for each in train)),
    }


# package only
def documents_summary(figures: dict) -> str:
    """One line for a person: how much there is, and what is missing."""
    words = f"{figures['num_documents']:,} documents, {figures['num_bytes'] / 1e6:.2f} MB"
    missing = figures["missing_sources"]
    return f"{words} (without {missing})" if missing else words


# package only
def make_documents(config: CorpusConfig, run: Run) -> Artifact:
    """The corpus stage: `documents.jsonl` and `rejected.jsonl` of a run.

    The user's files are read first, so that a wrong one stops the run before anything is written.
    """
    texts = [(Path(path).name, read_text_file(path)) for path in config.text_files]
    known = known_sources()
    contents = [source_content(known[name]) for name in config.sources if not texts]
    contents += [sha256_of(text) for _, text in texts]
    return make_artifact(
        run,
        "documents",
        config=asdict(config) | {"contents": contents},
        parents=(),
        code=("minillm.corpus",),
        write=lambda folder: write_documents(config, texts, folder),
        summary=documents_summary,
    )


def read_documents(folder: Path, split: str | None = None) -> Iterator[Document]:
    """The documents of an artifact in the order of the file, of one split or of both."""
    for fields in read_json_lines(folder / "documents.jsonl"):
        if split is None or fields["split"] == split:
            yield Document(**fields)
