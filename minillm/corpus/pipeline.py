"""From sources to the documents of a run: read, taken through the steps, split, ordered, written.

In: a `CorpusConfig`. Out: `documents.jsonl` (training documents in training order, then validation
documents) and `rejected.jsonl` (what was thrown away, and why). The ideas: a step either returns a document
or says why not; and the order of the file is the curriculum, so that whoever reads it from front to back
trains on the mix that was asked for. Thin so far: one process, all text in memory.
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from minillm.core.progress import track
from minillm.core.records import Artifact, Run, make_artifact, read_json_lines, sha256_of
from minillm.corpus.clean import drop_boilerplate, mask_personal_data, page_to_text, repair_text
from minillm.corpus.contamination import drop_contaminated
from minillm.corpus.duplicates import drop_near_copies, exact_duplicates
from minillm.corpus.mix import LEVELS, capped, held_out_tail, hold_out, tell_documents, training_order
from minillm.corpus.quality import (
    allowed_licence, few_repeated_lines, few_repeated_pairs, has_common_words, long_enough, mostly_words,
)
from minillm.corpus.sources import (
    Document, Rejection, Step, known_sources, read_source, read_text_file, source_content,
)

LICENCES = ("CC0-1.0", "public-domain", "CC-BY-SA-4.0", "PSF-2.0")

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


StepMaker = Callable[[Sequence[Document]], Step]


def steps(licences: Sequence[str] = LICENCES) -> dict[str, StepMaker]:
    """The steps in order. A maker sees all documents that reached its step: some steps must count first."""
    return {
        "licence": lambda documents: allowed_licence(licences),
        "page to text": lambda documents: page_to_text,
        "repair": lambda documents: repair_text,
        "boilerplate": drop_boilerplate,
        "personal data": lambda documents: mask_personal_data,
        "length": lambda documents: long_enough,
        "symbols": lambda documents: mostly_words,
        "repeated lines": lambda documents: few_repeated_lines,
        "repeated words": lambda documents: few_repeated_pairs,
        "common words": lambda documents: has_common_words,
        "exact copy": lambda documents: exact_duplicates(),
        "near copy": drop_near_copies,
    }


def apply_step(documents: Sequence[Document], step: Step) -> tuple[list[Document], list[Rejection]]:
    """What a step lets through, and what it rejects, each in the order given."""
    results = [step(document) for document in documents]
    kept = [each for each in results if isinstance(each, Document)]
    return kept, [each for each in results if isinstance(each, Rejection)]


def apply_steps(
    documents: Sequence[Document], makers: dict[str, StepMaker]
) -> tuple[list[Document], list[Rejection]]:
    """Each step over all documents, then the next one over what is left."""
    rejected: list[Rejection] = []
    for make_step in makers.values():
        documents, thrown_out = apply_step(documents, make_step(documents))
        rejected += thrown_out
    return list(documents), rejected


# package only
def read_sources(config: CorpusConfig, missing: list[str]) -> list[Document]:
    """The documents of every source, up to the cap; a source that cannot be had is one warning."""
    documents = []
    for name in config.sources:
        try:
            found = list(read_source(known_sources()[name], config.languages))
        except OSError as error:
            missing.append(name)
            warnings.warn(f"source {name} is left out, the run goes on without it: {error}", stacklevel=2)
            continue
        documents += capped(found, config.max_source_characters, config.seed)
    return documents


def told_stories(config: CorpusConfig) -> list[Document]:
    """The training stories of every level, and the held-out ones, which do not depend on any setting."""
    documents = []
    for level, count in zip(LEVELS, config.stories):
        documents += track(tell_documents(level, count, "train"), f"stories of level {level}", count)
        documents += tell_documents(level, config.held_out_stories, "validation")
    return documents


def gather(config: CorpusConfig, texts: Sequence[tuple[str, str]]) -> tuple[list[Document], list[Rejection], list[str]]:
    """All documents of a run, what was rejected, and the names of missing sources.

    Stories skip the rules for found text: they are clean by construction, and no two are near copies (the
    story world's tests hold that below 2 %). A user's text is taken as it is.
    """
    missing: list[str] = []
    found = [] if texts else read_sources(config, missing)
    cleaned, rejected = apply_steps(found, steps(config.licences))
    cleaned = [hold_out(document, config.validation_fraction, config.seed) for document in cleaned]
    documents = (held_out_tail(texts) if texts else cleaned) + told_stories(config)
    held_out = [each for each in documents if each.split == "validation"]
    last = {"exact copy": lambda _: exact_duplicates(), "contamination": lambda _: drop_contaminated(held_out)}
    documents, copies = apply_steps(held_out + [each for each in documents if each.split == "train"], last)
    return documents, rejected + copies, missing


# package only
def write_documents(config: CorpusConfig, texts: Sequence[tuple[str, str]], folder: Path) -> dict:
    """Gather, order and write; returns the figures of the artifact."""
    documents, rejected, missing = gather(config, texts)
    train = [each for each in documents if each.split == "train"]
    train = training_order(train, config.starts, config.seed)
    validation = [each for each in documents if each.split == "validation"]
    write_json_lines(folder / "documents.jsonl", train + validation)
    write_json_lines(folder / "rejected.jsonl", rejected)
    return {
        "num_documents": len(train),
        "num_bytes": sum(len(each.text.encode()) for each in train),
        "num_validation_documents": len(validation),
        "num_validation_bytes": sum(len(each.text.encode()) for each in validation),
        "num_rejected": len(rejected),
        "documents_by_source": dict(Counter(each.source for each in train)),
        "rejected_by_step": dict(Counter(each.step for each in rejected)),
        "missing_sources": missing,
    }


# package only
def write_json_lines(path: Path, records: Sequence[Document] | Sequence[Rejection]) -> None:
    with open(path, "w", encoding="utf-8") as stream:
        for record in records:
            stream.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")


# package only
def documents_summary(figures: dict) -> str:
    """One line for a person: how much there is, and what is missing."""
    words = f"{figures['num_documents']:,} documents, {figures['num_bytes'] / 1e6:.2f} MB"
    missing = figures["missing_sources"]
    return f"{words} (without {', '.join(missing)})" if missing else words


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
