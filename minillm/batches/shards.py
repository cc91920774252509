"""Tokens on disk: one long sequence cut into files of one size, and an index of its documents.

In: documents and a tokenizer. Out, for each split: `train_0000.bin`, `train_0001.bin` … (uint16),
`train.index.npy` and `shards.json`. A document is stored as [<|endoftext|>, d1 … dn]: the mark
begins it and is, as a target, the end of the document before; one more mark closes the sequence.
So the target of position p is always the token at p + 1. Files are mapped, not read: the operating
system fetches the pages that a batch touches. Beyond 65,536 ids each takes four bytes (uint32).
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minillm.batches.description import (
    REMEDY,
    SPLITS,
    id_type,
    map_ids,
    read_description,
    require_file,
)
from minillm.batches.writing import write_shards
from minillm.core.progress import track
from minillm.core.records import Artifact, Run, counted, make_artifact
from minillm.corpus.pipeline import read_documents
from minillm.tokenizer.bytepair import Tokenizer

# what decides the bytes of the artifact
CODE = tuple(f"minillm.batches.{name}" for name in ("description", "writing", "shards"))
COUNTS = ("num_documents", "num_validation_documents")


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
        if 0 <= start < stop:
            shard, first = divmod(start, self.tokens_per_shard)
            part = self.files[shard][first : first + stop - start]
            if len(part) == stop - start:
                return part
        assert 0 <= start <= stop <= self.num_tokens + 1, (start, stop, self.num_tokens)
        parts = [self.files[0][:0]]
        while start < stop:
            shard, first = divmod(start, self.tokens_per_shard)
            parts.append(self.files[shard][first : first + stop - start])
            start += len(parts[-1])
        return np.concatenate(parts)

    def document(self, index: int) -> np.ndarray:
        """[<|endoftext|>, d1 … dn]."""
        return self.read(int(self.offsets[index]), int(self.offsets[index + 1])).copy()


def token_sequence(texts: Iterable[str], tokenizer: Tokenizer) -> tuple[np.ndarray, np.ndarray]:
    """The sequence of all texts; and, a line for each, the tokens and bytes before it, then all."""
    parts, index, dtype = [], [(0, 0)], id_type(tokenizer.vocab_size)
    for text in texts:
        tokens = np.array([tokenizer.end_of_text, *tokenizer.encode(text)], dtype)
        parts.append(tokens)
        index.append((index[-1][0] + len(tokens), index[-1][1] + len(text.encode())))
    parts.append(np.array([tokenizer.end_of_text], dtype))
    return np.concatenate(parts), np.array(index, np.int64)


# package only
def shards_of(texts: Iterable[str], tokenizer: Tokenizer) -> Shards:
    """The texts as a split in memory: for experiments that leave nothing on disk."""
    tokens, index = token_sequence(texts, tokenizer)
    sizes = {"offsets": index[:, 0], "document_bytes": np.diff(index[:, 1])}
    return Shards(files=(tokens,), tokens_per_shard=len(tokens), **sizes)


def write_split(
    folder: Path, split: str, tokens: np.ndarray, index: np.ndarray, tokens_per_shard: int
) -> None:
    """`<split>_0000.bin` … of `tokens_per_shard` tokens each, the rest in the last; the index."""
    for number, start in enumerate(range(0, len(tokens), tokens_per_shard)):
        tokens[start : start + tokens_per_shard].tofile(folder / f"{split}_{number:04d}.bin")
    np.save(folder / f"{split}.index.npy", index)


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
def check_marks(path: Path, offsets: np.ndarray, files: tuple[np.ndarray, ...], size: int) -> None:
    """ValueError for the first document, or end of all, that does not begin with the mark."""
    for number, file in enumerate(files):
        first, end = np.searchsorted(offsets, [number * size, (number + 1) * size])
        wrong = np.flatnonzero(file[offsets[first:end] - number * size] != files[0][0])
        if len(wrong):
            document = int(first + wrong[0])
            raise ValueError(
                f"{path}: document {document:,} should begin at token {offsets[document]:,}, but "
                f"there is no opening mark; {REMEDY}"
            )


# package only
def open_shards(path: Path, split: str) -> Shards:
    """Map a split. One error where a file is missing, cut off, or not what the index says."""
    if split not in SPLITS:
        raise ValueError(f"split = {split!r}: choose one of {', '.join(SPLITS)}")
    index_path = path / f"{split}.index.npy"
    index, description = read_index(index_path), read_description(path)
    num_stored, size = int(index[-1, 0]) + 1, description.tokens_per_shard
    files = tuple(
        map_ids(path / f"{split}_{number:04d}.bin", min(size, num_stored - start), description)
        for number, start in enumerate(range(0, num_stored, size))
    )
    offsets = index[:, 0].copy()
    check_marks(index_path, offsets, files, size)
    return Shards(
        files=files, tokens_per_shard=size, offsets=offsets, document_bytes=np.diff(index[:, 1])
    )


def make_shards(config: BatchesConfig, run: Run) -> Artifact:
    """The stage: documents and tokenizer of a run → its shards."""
    documents, tokenizer = run.artifact("documents"), run.artifact("tokenizer")

    def write(folder: Path) -> dict[str, int]:
        encoder = Tokenizer.load(tokenizer.path / "tokenizer.json")
        total = sum(documents.figures.get(name, 0) for name in COUNTS)
        read = track(read_documents(documents.path), "encoding", total)
        return write_shards(folder, read, encoder, config.tokens_per_shard)

    return make_artifact(
        run, "shards", config=config, parents=[documents, tokenizer], code=CODE,
        write=write, summary=shards_summary,
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
