"""Numbered documents, in memory and as files."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from minillm.batches.description import DESCRIPTION
from minillm.batches.shards import Shards, open_shards, write_split
from tests.batches.numbered import numbered_shards, numbered_tokens

WriteShards = Callable[[Sequence[int], int], Path]


@pytest.fixture
def written(tmp_path: Path) -> WriteShards:
    """Write numbered documents of these lengths as files; returns the folder."""

    def write(lengths: Sequence[int], tokens_per_shard: int) -> Path:
        write_split(tmp_path, "train", *numbered_tokens(lengths), tokens_per_shard)
        (tmp_path / DESCRIPTION).write_text(f'{{"tokens_per_shard": {tokens_per_shard}}}')
        return tmp_path

    return write


@pytest.fixture
def numbered() -> Callable[[Sequence[int]], Shards]:
    return numbered_shards


@pytest.fixture
def opened(written: WriteShards) -> Callable[..., Shards]:
    """Write them and open them."""
    return lambda lengths, per_shard: open_shards(written(lengths, per_shard), "train")
