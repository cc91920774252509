"""From sources to the documents of a run: read, taken through the steps, split, ordered, written.

In: a `CorpusConfig`. Out: `documents.jsonl` (training documents in training order, then validation
documents), `rejected.jsonl` (what was thrown away, and why) and the data card. The ideas: a step
either returns a document or says why not; and the order of the file is the curriculum, so that
whoever reads it from front to back trains on the mix that was asked for. Left out: text that does
not fit in memory (`sharded.py`).
"""

import json
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from minillm.core.progress import track
from minillm.core.records import (
    Artifact,
    Run,
    counted,
    make_artifact,
    read_json_lines,
    sha256_of,
    sized,
)
from minillm.corpus import mix, quality
from minillm.corpus.card import data_card
from minillm.corpus.cardpage import write_card
from minillm.corpus.clean import drop_boilerplate, page_to_text, repair_text
from minillm.corpus.contamination import drop_contaminated, without_canary
from minillm.corpus.duplicates import drop_near_copies, exact_duplicates
from minillm.corpus.ownfiles import read_own_files
from minillm.corpus.passages import passage_steps
from minillm.corpus.permission import no_opt_out
from minillm.corpus.personal import mask_personal_data
from minillm.corpus.sources import Document, Rejection, Step
from minillm.corpus.sources import known_sources, read_source, source_content

LICENCES = ("CC0-1.0", "public-domain", "CC-BY-SA-4.0", "PSF-2.0")


@dataclass(frozen=True, kw_only=True, slots=True)
class CorpusConfig:
    """What a model will read: stories of each level, found text or files, and what is held out."""

    stories: tuple[int, int, int] | tuple[int, int, int, int]
    starts: tuple[float, float, float] | tuple[float, float, float, float] = (0.0, 0.1, 0.25)
    sources: tuple[str, ...] = ()
    text_files: tuple[str, ...] = ()
    max_source_characters: int | None = None
    temperature: float = 1.0
    languages: tuple[str, ...] = ("en",)
    licences: tuple[str, ...] = LICENCES
    passages: bool = False
    validation_fraction: float = 0.02
    held_out_stories: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        check_corpus_config(self)


# package only
def check_corpus_config(config: CorpusConfig) -> None:
    """ValueError naming the first field whose value cannot be used."""
    for name in ("sources", "text_files", "languages", "licences"):
        if not isinstance(getattr(config, name), tuple):
            raise ValueError(f"{name} is {getattr(config, name)!r}; give a tuple of texts")
    mix.check_levels(config.stories, config.starts)
    for name in config.sources:
        if name not in known_sources():
            known = ", ".join(known_sources())
            raise ValueError(f"sources has {name!r}; there are {known}")
    limit = config.max_source_characters
    if limit is not None and limit < 1:
        raise ValueError(f"max_source_characters is {limit}; give at least 1, or None for no limit")
    if not config.temperature > 0:
        raise ValueError(
            f"temperature is {config.temperature}; give 1 to keep the sources' shares, more to even"
            " them"
        )
    fraction = config.validation_fraction
    if not 0 <= fraction <= 0.5:
        raise ValueError(f"validation_fraction is {fraction}; give 0 ≤ fraction ≤ 0.5")
    if config.held_out_stories < 0:
        raise ValueError(f"held_out_stories is {config.held_out_stories}; give a count ≥ 0")
    if not any(config.stories) and not config.sources and not config.text_files:
        raise ValueError("stories, sources and text_files are all empty; give at least one of them")


StepMaker = Callable[[Sequence[Document]], Step]


def steps(licences: Sequence[str] = LICENCES, passages: bool = False) -> dict[str, StepMaker]:
    """The steps in order, each made from the documents that reach it; last, if asked, the cuts."""
    makers: dict[str, StepMaker] = {
        "licence": lambda _: quality.allowed_licence(licences),
        "permission": lambda _: no_opt_out,
        "canary": lambda _: without_canary,
        "page to text": lambda _: page_to_text,
        "repair": lambda _: repair_text,
        "boilerplate": drop_boilerplate,
        "personal data": lambda _: mask_personal_data,
        "length": lambda _: quality.long_enough,
        "symbols": lambda _: quality.mostly_words,
        "repeated lines": lambda _: quality.few_repeated_lines,
        "repeated words": lambda _: quality.few_repeated_pairs,
        "common words": lambda _: quality.has_common_words,
        "exact copy": lambda _: exact_duplicates(),
        "near copy": drop_near_copies,
    }
    return makers | (passage_steps() if passages else {})


def apply_step(
    documents: Sequence[Document], step: Step
) -> tuple[list[Document], list[Rejection]]:
    """What a step lets through, and what it rejects, each in the order given."""
    results = [step(document) for document in documents]
    kept = [each for each in results if isinstance(each, Document)]
    return kept, [each for each in results if isinstance(each, Rejection)]


def apply_steps(
    documents: Sequence[Document], makers: dict[str, StepMaker]
) -> tuple[list[Document], list[Rejection]]:
    """Each step over all documents, then the next one over what is left."""
    kept, rejected = list(documents), []
    for make_step in makers.values():
        kept, thrown_out = apply_step(kept, make_step(kept))
        rejected += thrown_out
    return kept, rejected


# package only
def read_sources(config: CorpusConfig, missing: list[str]) -> list[Document]:
    """The documents of every source, up to the cap; a source that cannot be had is one warning."""
    documents = []
    for name in config.sources:
        try:
            found = list(read_source(known_sources()[name], config.languages))
        except OSError as error:
            missing.append(name)
            remedy = "the run goes on without it; to try again, delete the run's folder `documents`"
            warnings.warn(f"source {name}: {error}; {remedy}", stacklevel=2)
            continue
        documents += mix.capped(found, config.max_source_characters, config.seed)
    return documents


def told_stories(config: CorpusConfig) -> list[Document]:
    """Training stories of each level, and held-out ones: of a level, the same in every run."""
    documents = []
    for level, count in enumerate(config.stories, start=1):
        told = mix.tell_documents(level, count, "train")
        documents += track(told, f"stories of level {level}", count)
        documents += mix.tell_documents(level, config.held_out_stories, "validation")
    return documents


def found_documents(
    config: CorpusConfig, missing: list[str]
) -> tuple[list[Document], list[Rejection]]:
    """What the sources hold and the steps let through, some of it for validation."""
    makers = steps(config.licences, config.passages)
    kept, rejected = apply_steps(read_sources(config, missing), makers)
    if config.temperature != 1:
        kept = mix.temperature_mix(kept, config.temperature, config.seed)
    return [mix.hold_out(each, config.validation_fraction, config.seed) for each in kept], rejected


def without_leaks(documents: Sequence[Document]) -> tuple[list[Document], list[Rejection]]:
    """Held-out documents first, then the training documents that share no text with them."""
    held_out = [each for each in documents if each.split == "validation"]
    train = [each for each in documents if each.split == "train"]
    makers: dict[str, StepMaker] = {
        "exact copy": lambda _: exact_duplicates(),
        "contamination": lambda _: drop_contaminated(held_out),
    }
    return apply_steps(held_out + train, makers)


def gather(
    config: CorpusConfig, texts: Sequence[tuple[str, str]], missing: list[str]
) -> tuple[list[Document], list[Rejection]]:
    """All documents of a run, and what was rejected on the way.

    Stories skip the steps for found text: they are clean by construction, and their own tests hold
    near copies below 2 %. A user's text is taken as it is, copies and all.
    """
    if texts:
        stories, rejected = without_leaks(told_stories(config))
        return mix.held_out_tail(texts) + stories, rejected
    found, rejected = found_documents(config, missing)
    documents, leaks = without_leaks(found + told_stories(config))
    return documents, rejected + leaks


# package only
def write_json_lines(path: Path, records: Sequence[Document] | Sequence[Rejection]) -> None:
    """One record a line."""
    with open(path, "w", encoding="utf-8") as stream:
        for record in records:
            stream.write(json.dumps(asdict(record), ensure_ascii=False) + "\n")


# package only
def write_documents(
    config: CorpusConfig,
    texts: Sequence[tuple[str, str]],
    folder: Path,
    unusable: Sequence[Rejection] = (),
) -> dict[str, object]:
    """Gather, order and write; returns the figures of the artifact."""
    missing: list[str] = []
    documents, rejected = gather(config, texts, missing)
    rejected = [*unusable, *rejected]
    train = [each for each in documents if each.split == "train"]
    train = mix.training_order(train, config.starts, config.seed)
    validation = [each for each in documents if each.split == "validation"]
    if not train:
        raise ValueError(
            f"no document is left to train on ({len(rejected)} rejected, {len(missing)} sources"
            " missing); ask for stories too, or allow more licences"
        )
    write_json_lines(folder / "documents.jsonl", train + validation)
    write_json_lines(folder / "rejected.jsonl", rejected)
    card = data_card(train + validation, rejected, config.languages, config.licences)
    write_card(folder, card)
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
def documents_summary(figures: dict) -> str:
    """One line for a person: how much there is, and what is missing."""
    documents = counted(figures["num_documents"], "document")
    words = f"{documents}, {sized(figures['num_bytes'])}"
    missing = ", ".join(figures["missing_sources"])
    return f"{words} (without {missing})" if missing else words


# package only
def make_documents(config: CorpusConfig, run: Run) -> Artifact:
    """The corpus stage: `documents.jsonl`, `rejected.jsonl` and the data card of a run.

    A user's files are read first, so that a bad one stops the run before anything is written.
    """
    texts, unusable = read_own_files(config.text_files, run.path / "documents" / "rejected.jsonl")
    sources = () if texts else config.sources
    contents = [source_content(known_sources()[name]) for name in sources]
    return make_artifact(
        run,
        "documents",
        config=asdict(config) | {"contents": contents + [sha256_of(text) for _, text in texts]},
        parents=(),
        code=("minillm.corpus",),
        write=lambda folder: write_documents(config, texts, folder, unusable),
        summary=documents_summary,
    )


# package only
def read_documents(folder: Path, split: str | None = None) -> Iterator[Document]:
    """The documents of an artifact in the order of the file, of one split or of both."""
    for fields in read_json_lines(folder / "documents.jsonl"):
        if split is None or fields["split"] == split:
            yield Document(**fields)
