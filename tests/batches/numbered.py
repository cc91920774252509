"""Shards whose tokens tell where they come from: each but the mark is a number of its own."""

from collections.abc import Sequence

import numpy as np

from minillm.batches.shards import Shards

MARK = 0


def numbered_tokens(lengths: Sequence[int]) -> tuple[np.ndarray, np.ndarray]:
    """The sequence MARK 1 2 3 MARK 5 6 … MARK and its index; 3 bytes a token."""
    ends = np.concatenate([[0], np.cumsum(np.array(lengths, np.int64))])
    tokens = np.arange(ends[-1] + 1).astype(np.uint16)
    tokens[ends] = MARK
    return tokens, np.stack([ends, 3 * ends], axis=1)


def numbered_shards(lengths: Sequence[int]) -> Shards:
    """The same in memory, without a file."""
    tokens, index = numbered_tokens(lengths)
    return Shards(
        files=(tokens,), tokens_per_shard=len(tokens),
        offsets=index[:, 0], document_bytes=np.diff(index[:, 1]),
    )
