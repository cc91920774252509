"""Tokens on disk: one long sequence cut into files of one size, and an index of its documents.

In: documents and a tokenizer. Out, for each split: `train_0000.bin`, `train_0001.bin` … (uint16),
`train.index.npy` and `shards.json`. A document is stored as [<|endoftext|>, d1 … dn]: the mark
begins it and is, as a target, the end of the document before; one more mark closes the sequence.
So the target of position p is always the token at p + 1. Files are mapped, not read: the operating
system fetches the pages that a batch touches. Thin: a split is gathered in memory to be written.
"""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minillm.core.progress import track
from minillm.core.records import Artifact, Run, atomic_write, counted, make_artifact
from minillm.corpus.pipeline import read_documents
from minillm.corpus.sources import Document
from minillm.tokenizer.bytepair import Tokenizer

SPLITS = ("train", "validation")
DESCRIPTION = "shards.json"
MAX_UINT16_IDS = 1 << 16
REMEDY = "delete the folder to make the shards again"


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchesConfig:
    """The shape and the order of batches. `batch_size` counts the rows of all ranks together."""

    context_length: int = 256
    batch_size: int = 16
    seed: int = 0
    # documents are packed and shuffled among this many neighbours: enough to fit and to mix,
    # few enough that a curriculum in their order survives the first epoch
    window_documents: int = 512
    # a row may stay this empty before a document is cut to fill it; with stories of 95 tokens in
    # rows of 256 that wastes 1 % on average, and 3 % of the tokens lose their beginning (.03: 5 %)
    max_waste_fraction: float = 0.08
    # 8 MiB a file: a damaged one is cheap to replace, and a long corpus spreads over many
    tokens_per_shard: int = 1 << 22

    def __post_init__(self) -> None:
        check_config(self)

    @property
    def max_gap(self) -> int:
        """The tokens of a row that may stay empty."""
        return int(self.max_waste_fraction * self.context_length)


# package only
def check_config(config: BatchesConfig) -> None:
    """ValueError for the first field that cannot be."""
    for name in ("context_length", "batch_size", "window_documents", "tokens_per_shard"):
        value = getattr(config, name)
        if value < 1:
            raise ValueError(f"{name} = {value}: must be at least 1; give a positive count")
    if config.seed < 0:
        raise ValueError(f"seed = {config.seed}: must be at least 0; leave the sign away")
    if not 0.0 <= config.max_waste_fraction <= 1.0:
        raise ValueError(
            f"max_waste_fraction = {config.max_waste_fraction}: must lie between 0 (cut documents "
            "until rows are full) and 1 (cut only what is longer than a row); .08 allows 8 %"
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Shards:
    """A split: its files, and where each document begins (one offset more marks the end)."""

    files: tuple[np.ndarray, ...]
    tokens_per_shard: int
    offsets: np.ndarray
    document_bytes: np.ndarray

    @property
    def num_documents(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents with their opening marks, without the closing mark."""
        return int(self.offsets[-1])

    @property
    def num_bytes(self) -> int:
        return int(self.document_bytes.sum())

    @property
    def end_of_text(self) -> int:
        return int(self.files[0][0])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens start … stop − 1 of the sequence: position p is number p % n of file p // n."""
        assert 0 <= start <= stop <= self.num_tokens + 1, (start, stop, self.num_tokens)
        parts = [np.zeros(0, np.uint16)]
        while start < stop:
            shard, first = divmod(start, self.tokens_per_shard)
            parts.append(self.files[shard][first : first + stop - start])
            start += len(parts[-1])
        return np.concatenate(parts)

    def document(self, index: int) -> np.ndarray:
        """[<|endoftext|>, d1 … dn]."""
        return self.read(int(self.offsets[index]), int(self.offsets[index + 1]))


def token_sequence(texts: Iterable[str], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """The sequence of all texts; and, a line for each, the tokens and bytes before it, then all."""
    parts, index = [], [(0, 0)]
    for text in texts:
        tokens = np.array([tokenizer.end_of_text, *tokenizer.encode(text)], np.uint16)
        parts.append(tokens)
        index.append((index[-1][0] + len(tokens), index[-1][1] + len(text.encode())))
    parts.append(np.array([tokenizer.end_of_text], np.uint16))
    return np.concatenate(parts), np.array(index, np.int64)


def write_split(
    folder: Path, split: str, tokens: np.ndarray, index: np.ndarray, tokens_per_shard: int
) -> None:
    """`<split>_0000.bin` … of `tokens_per_shard` tokens each, the rest in the last; the index."""
    for number, start in enumerate(range(0, len(tokens), tokens_per_shard)):
        tokens[start : start + tokens_per_shard].tofile(folder / f"{split}_{number:04d}.bin")
    np.save(folder / f"{split}.index.npy", index)


# package only
def write_shards(
    folder: Path, documents: Iterable[Document], tokenizer: Tokenizer, tokens_per_shard: int
) -> dict[str, int]:
    """Encode the documents of each split and write them; returns the figures of the manifest."""
    if tokenizer.vocab_size > MAX_UINT16_IDS:
        raise ValueError(
            f"vocab_size = {tokenizer.vocab_size:,}: shards store an id in two bytes, so at most "
            f"{MAX_UINT16_IDS:,} ids; train a tokenizer with fewer"
        )
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for document in documents:
        texts[document.split].append(document.text)
    figures = {}
    for split in SPLITS:
        tokens, index = token_sequence(track(texts[split], f"encoding {split}"), tokenizer)
        write_split(folder, split, tokens, index, tokens_per_shard)
        figures[f"{split}_documents"] = len(index) - 1
        figures[f"{split}_tokens"], figures[f"{split}_bytes"] = index[-1].tolist()
    atomic_write(folder / DESCRIPTION, json.dumps({"tokens_per_shard": tokens_per_shard}))
    return figures


# package only
def require_file(path: Path) -> Path:
    """The path; FileNotFoundError if there is no such file."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing, without it the shards cannot be read; {REMEDY}")
    return path


# package only
def read_description(path: Path) -> int:
    """How many tokens a full file holds; ValueError where the description does not say it."""
    try:
        tokens_per_shard = json.loads(require_file(path).read_bytes())["tokens_per_shard"]
    except (ValueError, KeyError, TypeError):
        tokens_per_shard = None
    if not isinstance(tokens_per_shard, int) or tokens_per_shard < 1:
        raise ValueError(f"{path}: does not say tokens_per_shard, a positive count; {REMEDY}")
    return tokens_per_shard


# package only
def read_index(path: Path) -> np.ndarray:
    """The index of a split; ValueError where it cannot be one."""
    try:
        index = np.load(require_file(path))
    except (ValueError, EOFError) as error:
        raise ValueError(f"{path}: not an index of documents ({error}); {REMEDY}") from None
    has_shape = index.dtype == np.int64 and index.ndim == 2 and index.shape[1] == 2 and len(index)
    steps = np.diff(index, axis=0) if has_shape else None
    if steps is None or index[0].any() or (steps < (1, 0)).any():
        raise ValueError(f"{path}: its offsets do not start at 0 and rise; {REMEDY}")
    return index


# package only
def map_file(path: Path, num_tokens: int) -> np.ndarray:
    """The tokens of one file, mapped; ValueError where it has another size than the index says."""
    num_bytes = require_file(path).stat().st_size
    if num_bytes != 2 * num_tokens:
        raise ValueError(
            f"{path}: {num_bytes:,} bytes found, {2 * num_tokens:,} expected "
            f"({num_tokens:,} tokens of 2 bytes); {REMEDY}"
        )
    # a plain view of the map, because slices of np.memmap itself cost 5 µs each
    return np.asarray(np.memmap(path, np.uint16, mode="r"))


# package only
def open_shards(path: Path, split: str) -> Shards:
    """Map a split. One error where a file is missing, cut off, or not what the index says."""
    if split not in SPLITS:
        raise ValueError(f"split = {split!r}: choose one of {', '.join(SPLITS)}")
    index_path = path / f"{split}.index.npy"
    index, tokens_per_shard = read_index(index_path), read_description(path / DESCRIPTION)
    num_stored = int(index[-1, 0]) + 1
    files = tuple(
        map_file(path / f"{split}_{number:04d}.bin", min(tokens_per_shard, num_stored - start))
        for number, start in enumerate(range(0, num_stored, tokens_per_shard))
    )
    for document, offset in enumerate(index[:, 0].tolist()):
        if files[offset // tokens_per_shard][offset % tokens_per_shard] != files[0][0]:
            raise ValueError(
                f"{index_path}: document {document:,} should begin at token {offset:,}, but there "
                f"is no opening mark; {REMEDY}"
            )
    return Shards(
        files=files, tokens_per_shard=tokens_per_shard,
        offsets=index[:, 0].copy(), document_bytes=np.diff(index[:, 1]),
    )


def make_shards(config: BatchesConfig, run: Run) -> Artifact:
    """The stage: documents and tokenizer of a run → its shards."""
    documents, tokenizer = run.artifact("documents"), run.artifact("tokenizer")

    def write(folder: Path) -> dict[str, int]:
        encoder = Tokenizer.load(tokenizer.path / "tokenizer.json")
        return write_shards(
            folder, read_documents(documents.path), encoder, config.tokens_per_shard
        )

    return make_artifact(
        run, "shards", config=config, parents=[documents, tokenizer],
        code=("minillm.batches.shards",), write=write, summary=shards_summary,
    )


# package only
def shards_summary(figures: dict[str, int]) -> str:
    """One line for a person: what there is to train on, and what is held out."""
    train, validation = (
        f"{figures[f'{split}_tokens']:,} tokens in "
        + counted(figures[f"{split}_documents"], "document")
        for split in SPLITS
    )
    return f"{train}; held out: {validation}"
