"""Shards → batches without end, in an order that follows from the seed alone.

Epoch 0 keeps the order of the documents, which may be a curriculum, up to packing and shuffling in
a window; later epochs shuffle the documents themselves. What a batch holds follows from the seed
and its number, so the whole state of a stream is one integer: how many batches it has given out.
Ranks see the same global batches, and each takes every world_size-th row of them: so a run may go
on with another number of ranks. Left out: reading ahead, which `prefetch` does.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch

from minillm.batches.packing import Piece, Rows, pack
from minillm.batches.shards import BatchesConfig, Shards

# the target that no loss counts: torch's own default
IGNORE = -100


@dataclass(frozen=True, slots=True)
class Batch:
    """Inputs, the token after each, and the ordinal of the piece that each lies in, by row."""

    tokens_BT: torch.Tensor
    targets_BT: torch.Tensor
    documents_BT: torch.Tensor

    def to(self, device: str) -> "Batch":
        parts = (self.tokens_BT, self.targets_BT, self.documents_BT)
        return Batch(*(part.to(device, non_blocking=True) for part in parts))


def epoch_rows(lengths: np.ndarray, config: BatchesConfig, epoch: int) -> Rows:
    """The rows of an epoch in the order of training: window by window, shuffled within each."""
    random = np.random.default_rng([config.seed, epoch])
    order = range(len(lengths)) if epoch == 0 else random.permutation(len(lengths)).tolist()
    rows = Rows()
    for first in range(0, len(order), config.window_documents):
        window = order[first : first + config.window_documents]
        packed = pack(lengths[window].tolist(), config.context_length, config.max_gap)
        for index in random.permutation(len(packed)):
            rows.append([(window[which], start, n) for which, start, n in packed[index]])
    return rows


def batch_of_rows(
    rows: list[list[Piece]], num_rows: int, shards: Shards, context_length: int
) -> Batch:
    """Lay the pieces side by side. The padding is <|endoftext|> without a target, and counts as
    one more piece of its row, so that no document can look at it."""
    marks_T = np.full(context_length, shards.end_of_text, np.int64)
    ignored_T = np.full(context_length, IGNORE, np.int64)
    offsets, tokens, targets, ordinals, lengths = shards.offsets, [], [], [], []
    for pieces in [*rows, *[[]] * (num_rows - len(rows))]:
        space = context_length
        for document, start, length in pieces:
            position = int(offsets[document]) + start
            stretch = shards.read(position, position + length + 1)
            tokens.append(stretch[:-1])
            targets.append(stretch[1:])
            lengths.append(length)
            space -= length
        tokens.append(marks_T[:space])
        targets.append(ignored_T[:space])
        lengths.append(space)
        ordinals.extend(range(len(pieces) + 1))
    documents = np.repeat(np.array(ordinals, np.int32), lengths)
    parts = np.concatenate(tokens, dtype=np.int64), np.concatenate(targets, dtype=np.int64)
    shape = (num_rows, context_length)
    return Batch(*(torch.from_numpy(part.reshape(shape)) for part in (*parts, documents)))


def rows_of_batch(rows: Sequence[list[Piece]], number: int, num_batches: int) -> list[list[Piece]]:
    """Rows dealt evenly, so that no batch at the end of an epoch is nearly empty."""
    return rows[len(rows) * number // num_batches : len(rows) * (number + 1) // num_batches]


class Stream:
    """Batches without end. `position` counts those given out; made with it, a stream goes on."""

    def __init__(
        self, shards: Shards, config: BatchesConfig, *,
        rank: int = 0, world_size: int = 1, position: int = 0,
    ) -> None:
        check_stream(shards, config, rank, world_size, position)
        self.shards, self.config, self.position = shards, config, position
        self.rank, self.world_size = rank, world_size
        self.open_epoch(0, first=0)
        while self.position >= self.first + self.num_batches_per_epoch:
            self.open_epoch(self.epoch + 1, first=self.first + self.num_batches_per_epoch)

    def open_epoch(self, epoch: int, first: int) -> None:
        """Deal the rows of an epoch whose first batch is number `first` of the stream."""
        self.epoch, self.first = epoch, first
        self.rows = epoch_rows(np.diff(self.shards.offsets), self.config, epoch)

    @property
    def num_batches_per_epoch(self) -> int:
        """Of this epoch: packed in another order, the next may need a row more or less."""
        return -(-len(self.rows) // self.config.batch_size)

    def __iter__(self) -> "Stream":
        return self

    def __next__(self) -> Batch:
        if self.position == self.first + self.num_batches_per_epoch:
            self.open_epoch(self.epoch + 1, first=self.position)
        number = self.position - self.first
        self.position += 1
        rows = rows_of_batch(self.rows, number, self.num_batches_per_epoch)
        num_rows = self.config.batch_size // self.world_size
        mine = rows[self.rank :: self.world_size]
        return batch_of_rows(mine, num_rows, self.shards, self.config.context_length)


# package only
def check_stream(
    shards: Shards, config: BatchesConfig, rank: int, world_size: int, position: int
) -> None:
    """ValueError where a stream cannot give what is asked of it."""
    if shards.num_documents == 0:
        raise ValueError("shards hold 0 documents: nothing to train on; give the corpus more text")
    if not 0 <= rank < world_size:
        raise ValueError(f"rank = {rank}: must lie between 0 and world_size − 1 = {world_size - 1}")
    if config.batch_size % world_size:
        raise ValueError(
            f"batch_size = {config.batch_size}: must be a multiple of world_size = {world_size}, "
            "because every rank takes as many rows; change batch_size"
        )
    if position < 0:
        raise ValueError(f"position = {position}: must be at least 0, the batches given out")
