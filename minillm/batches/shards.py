"""Tokens on disk: one long sequence cut into files of one size, and an index of its documents.

In: documents and a tokenizer. Out, for each split: `train_0000.bin`, `train_0001.bin` … (uint16, as they
lie in memory), `train.index.npy` and `shards.json`. A document is stored as [<|endoftext|>, d1 … dn]: the
mark begins it and is, as a target, the end of the document before; one more mark closes the sequence.
So the target of position p is always the token at p + 1. Files are mapped, never read whole: the
operating system fetches the pages that a batch touches. A split is gathered in memory while it is
written (two bytes a token); left out: writing splits that do not fit there.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from minillm.core.progress import track
from minillm.core.records import Artifact, Run, atomic_write, make_artifact
from minillm.corpus.pipeline import read_documents
from minillm.corpus.sources import Document
from minillm.tokenizer.bytepair import Tokenizer

SPLITS = ("train", "validation")
DESCRIPTION = "shards.json"
MAX_UINT16_VOCABULARY = 1 << 16
REMEDY = "delete the folder to make the shards again"


@dataclass(frozen=True, kw_only=True, slots=True)
class BatchesConfig:
    """The shape and the order of batches. `batch_size` counts the rows of all ranks together."""

    context_length: int = 256
    batch_size: int = 16
    seed: int = 0
    # documents are packed and shuffled among this many neighbours: enough to fit and to mix,
    # few enough that a curriculum in their order survives the first epoch
    window_documents: int = 2048
    # a row may stay this empty before a document is cut to fill it
    max_waste_fraction: float = 0.03
    # 8 MiB a file: a damaged one is cheap to replace, and a long corpus spreads over many
    tokens_per_shard: int = 1 << 22

    # package only
    def __post_init__(self) -> None:
        for name in ("context_length", "batch_size", "window_documents", "tokens_per_shard"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1; give a positive count")
        if self.seed < 0:
            raise ValueError(f"seed = {self.seed}: must be 0 or more; leave the sign away")
        if not 0.0 <= self.max_waste_fraction <= 1.0:
            raise ValueError(
                f"max_waste_fraction = {self.max_waste_fraction}: must lie between 0 (cut documents until "
                "rows are full) and 1 (cut none that fits into a row); .03 is 3 %"
            )

    @property
    def max_gap(self) -> int:
        """The tokens of a row that may stay empty."""
        return int(self.max_waste_fraction * self.context_length)


@dataclass(frozen=True, kw_only=True, slots=True)
class Shards:
    """One split: its files, mapped, and where each document begins (the last offset is the end)."""

    files: tuple[np.ndarray, ...]
    tokens_per_shard: int
    offsets: np.ndarray
    document_bytes: np.ndarray

    @property
    def num_documents(self) -> int:
        return len(self.offsets) - 1

    @property
    def num_tokens(self) -> int:
        """Tokens of all documents, their opening marks included, the closing mark not."""
        return int(self.offsets[-1])

    @property
    def num_bytes(self) -> int:
        """UTF-8 bytes of the documents' text."""
        return int(self.document_bytes.sum())

    @property
    def end_of_text(self) -> int:
        return int(self.files[0][0])

    def read(self, start: int, stop: int) -> np.ndarray:
        """Tokens start … stop − 1 of the whole sequence: position p lies in file p // n at p % n."""
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
    """The sequence of all texts, and a line (tokens before, bytes before) for each, then the totals."""
    parts, index = [], [(0, 0)]
    for text in texts:
        tokens = np.array([tokenizer.end_of_text, *tokenizer.encode(text)], np.uint16)
        parts.append(tokens)
        index.append((index[-1][0] + len(tokens), index[-1][1] + len(text.encode())))
    parts.append(np.array([tokenizer.end_of_text], np.uint16))
    return np.concatenate(parts), np.array(index, np.int64)


def write_split(folder: Path, split: str, tokens: np.ndarray, index: np.ndarray, tokens_per_shard: int) -> None:
    """`split_0000.bin` … with `tokens_per_shard` tokens each (the last has the rest), and the index."""
    for number, start in enumerate(range(0, len(tokens), tokens_per_shard)):
        tokens[start : start + tokens_per_shard].tofile(folder / f"{split}_{number:04d}.bin")
    np.save(folder / f"{split}.index.npy", index)


# package only
def write_shards(
    folder: Path, documents: Iterable[Document], tokenizer: Tokenizer, tokens_per_shard: int
) -> dict[str, int]:
    """Encode the documents of each split and write them; returns the figures of the manifest."""
    assert tokenizer.vocab_size <= MAX_UINT16_VOCABULARY, f"{tokenizer.vocab_size} ids do not fit into uint16"
    texts: dict[str, list[str]] = {split: [] for split in SPLITS}
    for document in documents:
        texts[document.split].append(document.text)
    figures = {}
    for split in SPLITS:
        encoded = track(texts[split], f"encoding {split} documents")
        tokens, index = token_sequence(encoded, tokenizer)
        write_split(folder, split, tokens, index, tokens_per_shard)
        figures[f"{split}_documents"] = len(index) - 1
        figures[f"{split}_tokens"], figures[f"{split}_bytes"] = map(int, index[-1])
    atomic_write(folder / DESCRIPTION, json.dumps({"tokens_per_shard": tokens_per_shard, "type": "uint16"}))
    return figures


# package only
def map_file(path: Path, num_tokens: int) -> np.ndarray:
    """The tokens of one file, mapped; FileNotFoundError or ValueError where it is missing or cut off."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing, and the index counts on it; {REMEDY}")
    if path.stat().st_size != 2 * num_tokens:
        raise ValueError(
            f"{path}: {path.stat().st_size:,} bytes found, {2 * num_tokens:,} expected "
            f"({num_tokens:,} tokens of 2 bytes); {REMEDY}"
        )
    # a plain view of the map: np.memmap's own slices cost 5 µs each
    return np.asarray(np.memmap(path, np.uint16, mode="r"))


# package only
def read_index(path: Path) -> np.ndarray:
    """The index of a split; FileNotFoundError or ValueError where it cannot be one."""
    if not path.is_file():
        raise FileNotFoundError(f"{path}: missing; {REMEDY}, or look whether this is a folder of shards")
    try:
        index = np.load(path)
    except (ValueError, EOFError, OSError) as error:
        raise ValueError(f"{path}: not an index of documents ({error}); {REMEDY}") from None
    is_index = index.dtype == np.int64 and index.ndim == 2 and index.shape[1] == 2 and len(index) > 0
    if not is_index or index[0].any() or (np.diff(index[:, 0]) < 1).any() or (np.diff(index[:, 1]) < 0).any():
        raise ValueError(f"{path}: not an index of documents (offsets must start at 0 and rise); {REMEDY}")
    return index


# package only
def open_shards(path: Path, split: str) -> Shards:
    """Map a split's files. One clear error where a file is missing, cut off, or not what the index says."""
    if split not in SPLITS:
        raise ValueError(f"split = {split!r}: choose one of {', '.join(SPLITS)}")
    index = read_index(path / f"{split}.index.npy")
    tokens_per_shard = json.loads((path / DESCRIPTION).read_text(encoding="utf-8"))["tokens_per_shard"]
    total = int(index[-1, 0]) + 1
    files = tuple(
        map_file(path / f"{split}_{number:04d}.bin", min(tokens_per_shard, total - start))
        for number, start in enumerate(range(0, total, tokens_per_shard))
    )
    shards = Shards(
        files=files, tokens_per_shard=tokens_per_shard,
        offsets=index[:, 0].copy(), document_bytes=np.diff(index[:, 1]),
    )
    for document, offset in enumerate(shards.offsets.tolist()):
        if files[offset // tokens_per_shard][offset % tokens_per_shard] != shards.end_of_text:
            raise ValueError(
                f"{path / f'{split}.index.npy'}: document {document:,} should begin at token {offset:,}, but "
                f"the sequence has no opening mark there; {REMEDY}"
            )
    return shards


def make_shards(config: BatchesConfig, run: Run) -> Artifact:
    """Documents and tokenizer of this run → its shards."""
    documents, tokenizer = run.artifact("documents"), run.artifact("tokenizer")

    def write(folder: Path) -> dict[str, int]:
        encoder = Tokenizer.load(tokenizer.path / "tokenizer.json")
        return write_shards(folder, read_documents(documents.path), encoder, config.tokens_per_shard)

    return make_artifact(
        run, "shards", config=config, parents=[documents, tokenizer],
        code=("minillm.batches.shards", "minillm.tokenizer.bytepair"), write=write, summary=shards_summary,
    )


# package only
def shards_summary(figures: dict[str, int]) -> str:
    return (
        f"{figures['train_tokens']:,} tokens in {figures['train_documents']:,} documents to train on, "
        f"{figures['validation_tokens']:,} in {figures['validation_documents']:,} held out"
    )
