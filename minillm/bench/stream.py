"""How fast tokens are read, how well they are mixed, whether resuming is exact; peers beside it.

All readers read the same ids, stored on the same disk, in one process, and give int64 tensors of
`[16, 256]`, inputs and targets. What is counted: places that hold a token, once each. Raw reading
takes rows from the mapped files; the stream gives whole batches of packed documents with their
targets and ordinals; the peers are PyTorch's DataLoader over the same map, and Hugging Face's
`datasets` over the first 20,000 rows, cut beforehand. Nobody's first pass is counted.
"""

import tempfile
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader

from minillm.batches.description import DESCRIPTION, Description
from minillm.batches.order import buffer_shuffled, rank_correlation
from minillm.batches.packing import Piece
from minillm.batches.shards import BatchesConfig, Shards, open_shards, write_split
from minillm.batches.stream import Batch, Stream, epoch_rows
from minillm.bench.measuring import median_seconds

NUM_DOCUMENTS, SHORTEST, LONGEST = 100_000, 40, 330
NUM_IDS = 4096
TOKENS_PER_SHARD = 1 << 22
NUM_BATCHES, REPEATS = 400, 7
NUM_STEPS, WORLD_SIZES, NUM_RESUMED_DOCUMENTS = 20, (1, 2, 4), 5_000
BUFFER_SIZES = (1_000, 10_000)
NUM_PEER_SAMPLES = 20_000
# The aim is of raw shuffled reading, so that files are never what a training waits for.
BAR_TOKENS_PER_S, AIM_IS_OF = 50e6, "raw shuffled"

Pair = tuple[torch.Tensor, torch.Tensor]


# package only
def made_shards(folder: Path, num_documents: int) -> Shards:
    """Documents of random ids, as long as stories are, written and opened as any corpus is."""
    folder.mkdir(exist_ok=True)
    random = np.random.default_rng(0)
    lengths = random.integers(SHORTEST, LONGEST, num_documents)
    ends = np.concatenate([[0], np.cumsum(lengths)])
    tokens = random.integers(1, NUM_IDS, ends[-1] + 1).astype(np.uint16)
    tokens[ends] = 0
    write_split(folder, "train", tokens, np.stack([ends, 4 * ends], axis=1), TOKENS_PER_SHARD)
    description = Description(tokens_per_shard=TOKENS_PER_SHARD)
    (folder / DESCRIPTION).write_bytes(description.to_json())
    return open_shards(folder, "train")


# package only
class RawRows:
    """Row i is tokens i·T … (i+1)·T of the sequence, the last as a target alone."""

    def __init__(self, shards: Shards, context_length: int) -> None:
        self.shards, self.context_length = shards, context_length

    def __len__(self) -> int:
        return self.shards.num_tokens // self.context_length

    def stretch(self, number: int) -> np.ndarray:
        start = number * self.context_length
        return self.shards.read(start, start + self.context_length + 1)

    def __getitem__(self, number: int) -> Pair:
        row = torch.from_numpy(self.stretch(number).astype(np.int64))
        return row[:-1], row[1:]


# package only
def raw_batches(rows: RawRows, batch_size: int, order: np.ndarray) -> Iterator[Pair]:
    """Rows of the mapped files in this order, as inputs and targets."""
    for first in range(0, len(order) - batch_size + 1, batch_size):
        chosen = [rows.stretch(number) for number in order[first : first + batch_size].tolist()]
        block = torch.from_numpy(np.stack(chosen).astype(np.int64))
        yield block[:, :-1], block[:, 1:]


# package only
def loader_batches(rows: RawRows, batch_size: int) -> Iterator[Pair]:
    """PyTorch's DataLoader over the same rows of the same map, shuffled, in this process."""
    generator = torch.Generator().manual_seed(0)
    return iter(DataLoader(rows, batch_size, shuffle=True, generator=generator))


# package only
def peer_dataset(rows: RawRows, folder: Path, num_rows: int) -> object:
    """The same rows as a dataset of Hugging Face's, on disk; column `number` is their place."""
    import datasets
    import pyarrow

    datasets.disable_progress_bars()
    block = np.stack([rows.stretch(number) for number in range(num_rows)])
    flat = pyarrow.array(block.reshape(-1))
    columns = {
        "tokens": pyarrow.FixedSizeListArray.from_arrays(flat, block.shape[1]),
        "number": pyarrow.array(np.arange(num_rows)),
    }
    datasets.Dataset(pyarrow.table(columns)).save_to_disk(folder)
    return datasets.load_from_disk(folder)


# package only
def peer_batches(dataset: object, batch_size: int) -> Iterator[Pair]:
    """Shuffled batches of the dataset in its own torch form."""
    shuffled = dataset.select_columns("tokens").with_format("torch").shuffle(seed=0)
    for batch in shuffled.iter(batch_size):
        yield batch["tokens"][:, :-1], batch["tokens"][:, 1:]


# package only
def readers(
    shards: Shards, folder: Path, num_batches: int
) -> tuple[dict[str, Callable[[], object]], dict[str, int]]:
    """By name: what reads `num_batches` batches, and how many tokens these hold."""
    config = BatchesConfig()
    size, length = config.batch_size, config.context_length
    rows = RawRows(shards, length)
    sequential, mixed = np.arange(len(rows)), np.random.default_rng(0).permutation(len(rows))
    dataset = peer_dataset(rows, folder / "peer", min(len(rows), NUM_PEER_SAMPLES))
    # the second epoch: shuffled over all files; its packing is measured by itself
    lengths = np.diff(shards.offsets)
    stream = Stream(shards, config)
    stream.open_epoch(1, first=0)

    def read(batches: Iterator[object]) -> int:
        return sum(1 for _ in islice(batches, num_batches))

    def read_stream() -> int:
        stream.position = stream.first
        return read(stream)

    actions = {
        "raw sequential": lambda: read(raw_batches(rows, size, sequential)),
        "raw shuffled": lambda: read(raw_batches(rows, size, mixed)),
        "stream": read_stream,
        "torch DataLoader": lambda: read(loader_batches(rows, size)),
        "datasets": lambda: read(peer_batches(dataset, size)),
        "packing an epoch": lambda: epoch_rows(lengths, config, 1),
    }
    dealt = stream.rows[: len(stream.rows) * num_batches // stream.num_batches_per_epoch]
    tokens = dict.fromkeys(actions, num_batches * size * length)
    tokens["stream"] = sum(piece.length for row in dealt for piece in row)
    tokens["packing an epoch"] = shards.num_tokens
    return actions, tokens


# package only
def begun(rows: list[list[Piece]]) -> list[int]:
    """Documents in the order in which the rows begin them."""
    return [document for row in rows for document, start, _ in row if start == 0]


# package only
def correlations(shards: Shards, dataset: object) -> dict[str, float]:
    """Rank correlation with the order on disk: of our epochs, of buffers, of the peer's buffer."""
    lengths, config = np.diff(shards.offsets), BatchesConfig()
    found = {
        f"stream, epoch {epoch}": rank_correlation(begun(epoch_rows(lengths, config, epoch)))
        for epoch in range(3)
    }
    for size in BUFFER_SIZES:
        order = list(buffer_shuffled(range(shards.num_documents), size, seed=0))
        found[f"buffer of {size:,}"] = rank_correlation(order)
    numbers = dataset.select_columns("number").to_iterable_dataset()
    shuffled = numbers.shuffle(seed=0, buffer_size=BUFFER_SIZES[0])
    order = [sample["number"] for sample in shuffled]
    found[f"datasets, buffer of {BUFFER_SIZES[0]:,}"] = rank_correlation(order)
    return found


# package only
def same(left: Batch, right: Batch) -> bool:
    """Equal to the last bit."""
    names = ("tokens_BT", "targets_BT", "documents_BT")
    return all(torch.equal(getattr(left, name), getattr(right, name)) for name in names)


# package only
def resume_check(shards: Shards, config: BatchesConfig, num_steps: int, last: int) -> int:
    """Of `num_steps` random steps, each at every world size: how often all ranks, opened at that
    step alone, are given the uninterrupted stream's rows."""
    chosen = set(np.random.default_rng(0).choice(last, num_steps, replace=False).tolist())
    reference = {n: b for n, b in enumerate(islice(Stream(shards, config), last)) if n in chosen}
    exact = 0
    for step, whole in reference.items():
        for world_size in WORLD_SIZES:
            is_same = True
            for rank in range(world_size):
                place = {"rank": rank, "world_size": world_size, "position": step}
                parts = (whole.tokens_BT, whole.targets_BT, whole.documents_BT)
                expected = Batch(*(part[rank::world_size] for part in parts))
                is_same &= same(next(Stream(shards, config, **place)), expected)
            exact += is_same
    return exact


# package only
def measure(
    num_documents: int = NUM_DOCUMENTS, num_batches: int = NUM_BATCHES, repeats: int = REPEATS
) -> dict[str, object]:
    """Tokens a second by reader, rank correlations, and how many of the resumes were exact.

    `at_least_50_million` judges raw reading, of which the aim is, the stream's batches, and these
    with the packing of their epoch, each by itself. In epoch 0 the rank correlation is near 1 on
    purpose: it keeps the order of the documents.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shards = made_shards(folder, num_documents)
        actions, tokens = readers(shards, folder, num_batches)
        for action in actions.values():
            action()
        seconds = median_seconds(actions, repeats)
        per_s = {name: tokens[name] / seconds[name] for name in actions}
        from datasets import load_from_disk

        mixed = correlations(shards, load_from_disk(folder / "peer"))
        small = made_shards(folder / "resumed", NUM_RESUMED_DOCUMENTS)
        last = 2 * Stream(small, BatchesConfig()).num_batches_per_epoch
        exact = resume_check(small, BatchesConfig(), NUM_STEPS, last)
    whole = 1 / (1 / per_s["stream"] + 1 / per_s["packing an epoch"])
    judged = {name: per_s[name] for name in (AIM_IS_OF, "stream")} | {"stream with packing": whole}
    ours_by_epoch = [mixed[f"stream, epoch {epoch}"] for epoch in (1, 2)]
    return {
        "tokens_per_s": {name: round(value) for name, value in per_s.items()},
        "stream_with_packing_tokens_per_s": whole,
        # the libraries shuffle within what is timed, and pack nothing
        "stream_times_torch_dataloader": per_s["stream"] / per_s["torch DataLoader"],
        "stream_times_datasets": per_s["stream"] / per_s["datasets"],
        "with_packing_times_torch_dataloader": whole / per_s["torch DataLoader"],
        "with_packing_times_datasets": whole / per_s["datasets"],
        "at_least_50_million": {name: value >= BAR_TOKENS_PER_S for name, value in judged.items()},
        "aim_is_of": AIM_IS_OF,
        "rank_correlation": mixed,
        "largest_rank_correlation_after_epoch_0": max(map(abs, ours_by_epoch)),
        "exact_resumes": exact,
        "resumes": NUM_STEPS * len(WORLD_SIZES),
    }
