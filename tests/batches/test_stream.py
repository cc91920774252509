"""Every token is predicted once an epoch; the whole state is one integer; ranks share the work."""

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice, pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.batches import stream as room
from minillm.batches.packing import Piece
from minillm.batches.shards import BatchesConfig, Shards
from minillm.batches.stream import IGNORE, Batch, Stream, epoch_rows
from minillm.model import loss
from tests.batches.numbered import MARK, numbered_shards

LENGTHS = [7, 1, 40, 3, 16, 17, 2, 9, 33, 5, 11, 8, 6, 21, 4, 13, 50, 10, 12, 19]


def config(**changes: float) -> BatchesConfig:
    return BatchesConfig(**{"context_length": 16, "batch_size": 3, "window_documents": 6} | changes)


def predictions(batches: Iterable[Batch]) -> Counter[tuple[int, int]]:
    """How often each (input, target) is trained on."""
    counted: Counter[tuple[int, int]] = Counter()
    for batch in batches:
        kept = batch.targets_BT != IGNORE
        counted.update(zip(batch.tokens_BT[kept].tolist(), batch.targets_BT[kept].tolist()))
    return counted


def neighbours(shards: Shards) -> Counter[tuple[int, int]]:
    """Each token with the one after it, as they lie in the files."""
    tokens = shards.read(0, shards.num_tokens + 1).tolist()
    return Counter(pairwise(tokens))


def epoch(stream: Stream) -> list[Batch]:
    return list(islice(stream, stream.num_batches_per_epoch))


def same(left: Batch, right: Batch) -> bool:
    return all(
        torch.equal(getattr(left, name), getattr(right, name))
        for name in ("tokens_BT", "targets_BT", "documents_BT")
    )


def test_every_token_is_predicted_exactly_once_an_epoch():
    shards = numbered_shards(LENGTHS)
    stream = Stream(shards, config())
    for number in range(3):
        assert predictions(epoch(stream)) == neighbours(shards), f"epoch {number}"
        stream = Stream(shards, config(), position=stream.position)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=25),
    context_length=st.integers(1, 19),
    batch_size=st.integers(1, 7),
    window_documents=st.integers(1, 30),
    max_waste_fraction=st.sampled_from([0.0, 0.03, 0.5, 1.0]),
    position=st.integers(0, 40),
)
def test_every_token_once_for_all_sizes(position, lengths, **sizes):
    shards = numbered_shards(lengths)
    stream = Stream(shards, BatchesConfig(**sizes), position=position)
    stream = Stream(shards, BatchesConfig(**sizes), position=stream.first)
    assert predictions(epoch(stream)) == neighbours(shards)


def test_files_of_any_size_give_the_same_batches(opened, numbered):
    whole, split = numbered(LENGTHS), opened(LENGTHS, 13)
    for left, right in zip(islice(Stream(whole, config()), 30), Stream(split, config())):
        assert same(left, right)


def test_resuming_repeats_and_skips_nothing_at_every_position_of_two_epochs():
    shards = numbered_shards(LENGTHS)
    stream = Stream(shards, config())
    first_epoch = stream.num_batches_per_epoch
    reference = list(islice(stream, 2 * first_epoch + 3))
    for position in range(2 * first_epoch + 2):
        resumed = Stream(shards, config(), position=position)
        assert same(next(resumed), reference[position])
        assert resumed.position == position + 1
        assert same(next(resumed), reference[position + 1])


def test_position_counts_the_batches_given_out():
    stream = Stream(numbered_shards(LENGTHS), config())
    for given_out in range(40):
        assert stream.position == given_out
        next(stream)


@pytest.mark.parametrize("world_size", [2, 3, 6])
@pytest.mark.parametrize("position", [0, 5, 17])
def test_ranks_together_are_one_process(world_size, position):
    shards, shape = numbered_shards(LENGTHS), config(batch_size=6)
    one = Stream(shards, shape, position=position)
    ranks = [
        Stream(shards, shape, rank=rank, world_size=world_size, position=position)
        for rank in range(world_size)
    ]
    for _ in range(12):
        whole, parts = next(one), [next(rank) for rank in ranks]
        for rank, part in enumerate(parts):
            assert torch.equal(part.tokens_BT, whole.tokens_BT[rank::world_size])
            assert torch.equal(part.targets_BT, whole.targets_BT[rank::world_size])
            assert torch.equal(part.documents_BT, whole.documents_BT[rank::world_size])


def global_batch(shards: Shards, shape: BatchesConfig, step: int, world_size: int) -> Batch:
    """What all ranks, each opened at this step alone, are given together."""
    parts = [
        next(Stream(shards, shape, rank=rank, world_size=world_size, position=step))
        for rank in range(world_size)
    ]
    names = ("tokens_BT", "targets_BT", "documents_BT")
    return Batch(*(
        torch.stack([getattr(part, name) for part in parts], dim=1).flatten(0, 1) for name in names
    ))  # fmt: skip


def whole_order(shards: Shards, shape: BatchesConfig, num_steps: int) -> list[Batch]:
    return list(islice(Stream(shards, shape), num_steps))


@settings(max_examples=20, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=40),
    seed=st.integers(0, 99),
    rows_per_rank=st.integers(1, 3),
    steps=st.lists(st.integers(0, 59), min_size=20, max_size=20),
)
def test_resuming_at_twenty_steps_is_exact_at_every_world_size(lengths, seed, rows_per_rank, steps):
    shards, shape = numbered_shards(lengths), config(seed=seed, batch_size=4 * rows_per_rank)
    reference = whole_order(shards, shape, 60)
    for step in steps:
        for world_size in (1, 2, 4):
            assert same(global_batch(shards, shape, step, world_size), reference[step])


@settings(max_examples=20, deadline=None)
@given(
    lives=st.lists(st.tuples(st.sampled_from([1, 2, 4]), st.integers(1, 9)), max_size=8),
    seed=st.integers(0, 99),
)
def test_another_world_size_at_resume_goes_on_with_the_same_global_batches(lives, seed):
    shards, shape = numbered_shards(LENGTHS), config(seed=seed, batch_size=4)
    reference = iter(Stream(shards, shape))
    position = 0
    for world_size, num_steps in lives:
        ranks = [
            Stream(shards, shape, rank=rank, world_size=world_size, position=position)
            for rank in range(world_size)
        ]
        for _ in range(num_steps):
            whole, parts = next(reference), [next(rank) for rank in ranks]
            for rank, part in enumerate(parts):
                assert torch.equal(part.tokens_BT, whole.tokens_BT[rank::world_size])
        assert {rank.position for rank in ranks} == {position + num_steps}
        position = ranks[0].position


def test_ranks_of_different_seeds_are_found():
    # planted: each rank shuffles for itself, so some tokens are read twice and others never
    shards, shape = numbered_shards(LENGTHS), config(batch_size=2, window_documents=100)
    counts: Counter[tuple[int, int]] = Counter()
    for rank in range(2):
        stream = Stream(shards, config(batch_size=2, window_documents=100, seed=rank),
                        rank=rank, world_size=2)
        counts += predictions(epoch(stream))
    assert counts != neighbours(shards) and max(counts.values()) == 2
    counts = sum(
        (predictions(epoch(Stream(shards, shape, rank=rank, world_size=2))) for rank in range(2)),
        Counter(),
    )
    assert counts == neighbours(shards)


# The first batches of four recipes, as they were when results were first recorded with them: a
# change of a single bit here makes every recorded training another one.
RECORDED = [
    ((11, 1, 200, 300), 60, "6f9a729bacf69cae",
     {"context_length": 64, "batch_size": 6, "window_documents": 50}),
    ((11, 1, 200, 300), 60, "e87664d5f98f4254",
     {"context_length": 64, "batch_size": 6, "window_documents": 50, "max_waste_fraction": 0.0,
      "seed": 3}),
    ((11, 1, 200, 300), 60, "283b3405622e3321",
     {"context_length": 33, "batch_size": 7, "window_documents": 1000, "max_waste_fraction": 1.0,
      "seed": 1}),
    ((12, 60, 330, 2000), 80, "1487a7c8aa937ba8", {}),
]  # fmt: skip


@pytest.mark.parametrize(("sizes", "num_batches", "expected", "shape"), RECORDED)
def test_the_order_is_the_recorded_one_to_the_last_bit(sizes, num_batches, expected, shape):
    seed, low, high, count = sizes
    shards = numbered_shards(np.random.default_rng(seed).integers(low, high, count).tolist())
    digest = hashlib.sha256()
    for batch in islice(Stream(shards, BatchesConfig(**shape)), num_batches):
        for part in (batch.tokens_BT, batch.targets_BT, batch.documents_BT):
            digest.update(part.numpy().tobytes())
    assert digest.hexdigest()[:16] == expected


def test_padding_is_masked_and_a_piece_of_its_own():
    shards = numbered_shards([3, 4])
    batch = next(Stream(shards, config(context_length=10, batch_size=1)))
    assert batch.tokens_BT.tolist() == [[0, 4, 5, 6, 0, 1, 2, 0, 0, 0]]
    assert batch.targets_BT.tolist() == [[4, 5, 6, 0, 1, 2, 0, IGNORE, IGNORE, IGNORE]]
    assert batch.documents_BT.tolist() == [[0, 0, 0, 0, 1, 1, 1, 2, 2, 2]]


def test_shapes_and_types_never_change():
    for batch in islice(Stream(numbered_shards(LENGTHS), config()), 40):
        for part in (batch.tokens_BT, batch.targets_BT, batch.documents_BT):
            assert part.shape == (3, 16)
        assert batch.tokens_BT.dtype == batch.targets_BT.dtype == torch.int64
        assert batch.documents_BT.dtype == torch.int32


def test_ordinals_start_at_zero_and_count_the_pieces():
    for batch in islice(Stream(numbered_shards(LENGTHS), config()), 40):
        assert (batch.documents_BT[:, 0] == 0).all()
        steps = batch.documents_BT.diff(dim=1)
        assert ((steps == 0) | (steps == 1)).all()
        # within a piece, the target is the next input; where a piece begins, a new ordinal does
        inside = (steps == 0) & (batch.targets_BT[:, 1:] != IGNORE)
        assert torch.equal(batch.tokens_BT[:, 1:][inside], batch.targets_BT[:, :-1][inside])
        marks = (batch.tokens_BT[:, 1:] == MARK) & (batch.targets_BT[:, 1:] != IGNORE)
        assert (steps[marks] == 1).all()


def test_batches_of_an_epoch_hold_nearly_equal_numbers_of_rows():
    # 20 rows in batches of 8: 6, 7 and 7, never 8, 8 and 4
    shards = numbered_shards([16] * 20)
    stream = Stream(shards, config(batch_size=8))
    rows = [int((batch.targets_BT[:, 0] != IGNORE).sum()) for batch in epoch(stream)]
    assert sorted(rows) == [6, 7, 7]


def places(shape: BatchesConfig, number: int, count: int = 4000) -> np.ndarray:
    """Of each document, at which row of the epoch its first piece is."""
    lengths = np.random.default_rng(5).integers(3, 30, count)
    place = np.zeros(count)
    for row, pieces in enumerate(epoch_rows(lengths, shape, number)):
        for document, start, _ in pieces:
            if start == 0:
                place[document] = row
    return place


def rank_correlation(left: np.ndarray, right: np.ndarray) -> float:
    return float(np.corrcoef(left.argsort().argsort(), right.argsort().argsort())[0, 1])


def test_epoch_zero_keeps_the_curriculum_and_shuffles_in_the_window():
    shape, documents = config(window_documents=200), np.arange(4000)
    place = places(shape, 0)
    assert rank_correlation(place, documents) > 0.99
    # without order, the mean of twenty correlations of 200 each has a deviation of .016
    inside = [
        rank_correlation(place[first : first + 200], documents[:200])
        for first in range(0, 4000, 200)
    ]
    assert abs(np.mean(inside)) < 5 * 0.016


def test_later_epochs_have_an_order_of_their_own():
    shape, documents = config(window_documents=200), np.arange(4000)
    first, second = places(shape, 1), places(shape, 2)
    # 5 deviations of a correlation of 4,000 independent places: 5 / √4000
    for left, right in ((first, documents), (second, documents), (first, second)):
        assert abs(rank_correlation(left, right)) < 5 / 4000**0.5


def test_the_seed_alone_decides_the_order():
    shards = numbered_shards(LENGTHS)
    pairs = zip(islice(Stream(shards, config(seed=3)), 30), Stream(shards, config(seed=3)))
    assert all(same(left, right) for left, right in pairs)
    pairs = zip(islice(Stream(shards, config(seed=3)), 30), Stream(shards, config(seed=4)))
    assert not all(same(left, right) for left, right in pairs)


def test_the_masked_target_is_the_one_that_the_loss_ignores():
    assert loss.IGNORE is IGNORE and torch.nn.CrossEntropyLoss().ignore_index == IGNORE


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rank": 2, "world_size": 2}, r"rank = 2: must lie between 0 and world_size − 1 = 1"),
        ({"rank": -1}, r"rank = -1: must lie"),
        ({"world_size": 2}, r"batch_size = 3: must be a multiple of world_size = 2.*change"),
        ({"position": -1}, r"position = -1: must be at least 0"),
    ],
)
def test_a_stream_that_cannot_be_names_what_is_wrong(changes, message):
    with pytest.raises(ValueError, match=message):
        Stream(numbered_shards(LENGTHS), config(), **changes)


def test_no_documents_are_an_error_and_not_an_endless_loop():
    with pytest.raises(ValueError, match="shards hold 0 documents.*give the corpus more text"):
        Stream(numbered_shards([]), config())


# ---- planted bugs: each is put in the place of the real thing, and the count above finds it

lay_out = room.batch_of_rows
deal = room.epoch_rows


def unshifted(*arguments) -> Batch:
    batch = lay_out(*arguments)
    targets_BT = torch.where(batch.targets_BT == IGNORE, IGNORE, batch.tokens_BT)
    return Batch(batch.tokens_BT, targets_BT, batch.documents_BT)


def last_target_lost(*arguments) -> Batch:
    """Targets from within the row only: the last of each row, and of each piece, is gone."""
    batch = lay_out(*arguments)
    targets_BT = batch.targets_BT.clone()
    targets_BT[:, -1] = IGNORE
    targets_BT[:, :-1][batch.documents_BT.diff(dim=1) != 0] = IGNORE
    return Batch(batch.tokens_BT, targets_BT, batch.documents_BT)


def unmasked(*arguments) -> Batch:
    batch = lay_out(*arguments)
    targets_BT = torch.where(batch.targets_BT == IGNORE, MARK, batch.targets_BT)
    return Batch(batch.tokens_BT, targets_BT, batch.documents_BT)


def stride_too_long(lengths, shape, number):
    """Every continuation begins one token late."""
    return [
        [Piece(doc, start + 1, n - 1) if start else Piece(doc, start, n) for doc, start, n in row]
        for row in deal(lengths, shape, number)
    ]


def last_row_dropped(lengths, shape, number):
    return deal(lengths, shape, number)[:-1]


@pytest.mark.parametrize(
    ("name", "planted"),
    [
        ("batch_of_rows", unshifted), ("batch_of_rows", last_target_lost),
        ("batch_of_rows", unmasked), ("epoch_rows", stride_too_long),
        ("epoch_rows", last_row_dropped),
    ],
)
def test_the_count_finds_planted_bugs(
    monkeypatch: pytest.MonkeyPatch, name: str, planted: Callable
):
    shards = numbered_shards(LENGTHS)
    monkeypatch.setattr(room, name, planted)
    assert predictions(epoch(Stream(shards, config()))) != neighbours(shards)


@pytest.mark.parametrize("shift", [-1, 1])
def test_the_count_finds_a_resume_that_is_one_off(shift):
    shards = numbered_shards(LENGTHS)
    stream = Stream(shards, config())
    half = list(islice(stream, stream.num_batches_per_epoch // 2))
    rest = stream.num_batches_per_epoch - len(half)
    resumed = Stream(shards, config(), position=stream.position + shift)
    assert predictions([*half, *islice(resumed, rest)]) != neighbours(shards)
    resumed = Stream(shards, config(), position=stream.position)
    assert predictions([*half, *islice(resumed, rest)]) == neighbours(shards)
