"""Documents → files of tokens, piece by piece: a corpus need not fit into memory to be written.

In: documents, one after the other, of all splits mixed. Out: the files of each split, its index,
and at the very end `shards.json`. The one idea: tokens leave for the disk as soon as about a
megabyte of them waits, so memory grows by 16 bytes a document, the index, and by nothing else.
Until all is written the files have names that no reader looks for; where the disk is full, or
anything else goes wrong, they are removed, and what the folder held before stays.
"""

import errno
import hashlib
import io
import os
from array import array
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import numpy as np

from minillm.batches.description import (
    DESCRIPTION,
    SPLITS,
    Description,
    id_type,
    tokenizer_sha256,
)
from minillm.corpus.sources import Document
from minillm.tokenizer.bytepair import Tokenizer

WAITING_BYTES = 1 << 20
# the ways in which systems say that a file may not grow: disk, quota, limit of the process
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


# package only
@contextmanager
def naming_full_disk(path: Path) -> Iterator[None]:
    """An OSError that says where there was no room, and what to do."""
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        raise OSError(
            error.errno,
            f"{path}: no room left to write ({error.strerror}); nothing of these shards is kept: "
            "free space there or choose another folder, and run again",
        ) from None


# package only
def waiting_path(folder: Path, name: str) -> Path:
    """The name of a file that is not yet complete with all the others."""
    return folder / f".{name}.partial"


# package only
def open_file(path: Path) -> BinaryIO:
    """A file to write bytes to, without a buffer of its own: what is full, says so at once."""
    return open(path, "wb", buffering=0)


# package only
def write_all(file: BinaryIO, content: bytes, path: Path) -> None:
    """All bytes of `content`: the system may take a part of them at a time."""
    rest = memoryview(content)
    with naming_full_disk(path):
        while rest:
            rest = rest[file.write(rest) :]


# package only
def write_file(folder: Path, name: str, *parts: bytes) -> str:
    """A whole file under its waiting name; returns its SHA-256."""
    path, digest = waiting_path(folder, name), hashlib.sha256()
    with naming_full_disk(path):
        file = open_file(path)
    with file:
        for part in parts:
            write_all(file, part, path)
            digest.update(part)
        with naming_full_disk(path):
            os.fsync(file.fileno())
    return digest.hexdigest()


# package only
class SplitWriter:
    """One split's tokens → files of `tokens_per_shard`, under waiting names until all are done."""

    def __init__(self, folder: Path, split: str, tokens_per_shard: int, dtype: str) -> None:
        self.folder, self.split, self.dtype = folder, split, np.dtype(dtype)
        self.tokens_per_shard = tokens_per_shard
        self.waiting, self.num_waiting = [], 0
        self.num_tokens = self.num_bytes = 0
        self.index = array("q", (0, 0))
        self.names: list[str] = []
        self.sha256_by_name: dict[str, str] = {}
        self.file: BinaryIO | None = None

    def append(self, document: np.ndarray, num_bytes: int) -> None:
        """A document's tokens, its opening mark first, and its length in bytes of text."""
        self.wait(document)
        self.num_tokens += len(document)
        self.num_bytes += num_bytes
        self.index.extend((self.num_tokens, self.num_bytes))

    def wait(self, tokens: np.ndarray) -> None:
        """Keep tokens for the next write, or write if enough are waiting."""
        self.waiting.append(tokens.astype(self.dtype, copy=False))
        self.num_waiting += len(tokens)
        if self.num_waiting * self.dtype.itemsize >= WAITING_BYTES:
            self.write_waiting()

    def write_waiting(self) -> None:
        """All waiting tokens, cut where a file is full."""
        tokens = np.concatenate([*self.waiting, np.zeros(0, self.dtype)])
        self.waiting, self.num_waiting = [], 0
        while len(tokens):
            if self.file is None:
                self.open_next()
            part, tokens = np.split(tokens, [self.room])
            self.write(part.tobytes())
            self.room -= len(part)
            if self.room == 0:
                self.close_file()

    def finish(self, mark: int) -> dict[str, int]:
        """The closing mark, what still waits, and the index; returns what the split counts."""
        self.wait(np.array([mark], self.dtype))
        self.write_waiting()
        self.close_file()
        self.write_index()
        return {
            "documents": len(self.index) // 2 - 1,
            "tokens": self.num_tokens, "bytes": self.num_bytes,
        }  # fmt: skip

    # ---- files

    def open_next(self) -> None:
        """Begin the next file of the split."""
        self.names.append(f"{self.split}_{len(self.names):04d}.bin")
        path = waiting_path(self.folder, self.names[-1])
        with naming_full_disk(path):
            self.file = open_file(path)
        self.digest, self.room = hashlib.sha256(), self.tokens_per_shard

    def write(self, content: bytes) -> None:
        """Bytes into the current file and into its hash."""
        write_all(self.file, content, waiting_path(self.folder, self.names[-1]))
        self.digest.update(content)

    def close_file(self) -> None:
        """The current file is complete: note its hash."""
        if self.file is not None:
            with naming_full_disk(waiting_path(self.folder, self.names[-1])):
                os.fsync(self.file.fileno())
            self.file.close()
            self.file = None
            self.sha256_by_name[self.names[-1]] = self.digest.hexdigest()

    def write_index(self) -> None:
        """A line for each document and one more: tokens and bytes before it, as `numpy.save`."""
        name = f"{self.split}.index.npy"
        self.names.append(name)
        index, header = np.frombuffer(self.index, np.int64).reshape(-1, 2), io.BytesIO()
        fields = np.lib.format.header_data_from_array_1_0(index)
        np.lib.format.write_array_header_1_0(header, fields)
        parts = header.getvalue(), index.tobytes()
        self.sha256_by_name[name] = write_file(self.folder, name, *parts)

    def discard(self) -> None:
        """Remove all that was written and not published."""
        if self.file is not None:
            self.file.close()
        for name in self.names:
            waiting_path(self.folder, name).unlink(missing_ok=True)


# package only
def write_shards(
    folder: Path, documents: Iterable[Document], tokenizer: Tokenizer, tokens_per_shard: int
) -> dict[str, int]:
    """Encode each document into its split and write them; returns the figures of the manifest."""
    dtype, mark = id_type(tokenizer.vocab_size), tokenizer.end_of_text
    writers = {split: SplitWriter(folder, split, tokens_per_shard, dtype) for split in SPLITS}
    try:
        for document in documents:
            tokens = np.array([mark, *tokenizer.encode(document.text)], dtype)
            writers[document.split].append(tokens, len(document.text.encode()))
        counts = {split: writer.finish(mark) for split, writer in writers.items()}
        hashes = {name: each for w in writers.values() for name, each in w.sha256_by_name.items()}
        description = Description(
            tokens_per_shard=tokens_per_shard, id_type=dtype, counts=counts, files=hashes,
            tokenizer_sha256=tokenizer_sha256(tokenizer),
        )  # fmt: skip
        write_file(folder, DESCRIPTION, description.to_json())
    except BaseException:
        for writer in writers.values():
            writer.discard()
        waiting_path(folder, DESCRIPTION).unlink(missing_ok=True)
        raise
    (folder / DESCRIPTION).unlink(missing_ok=True)
    for name in [*hashes, DESCRIPTION]:
        waiting_path(folder, name).replace(folder / name)
    return {
        f"{split}_{name}": count for split in SPLITS for name, count in counts[split].items()
    }
