"""A mixed order is told from an unmixed one, and a buffer from a shuffle."""

import numpy as np
import pytest
import scipy.stats
from hypothesis import given
from hypothesis import strategies as st

from minillm.batches.order import buffer_shuffled, rank_correlation
from minillm.batches.shards import BatchesConfig
from minillm.batches.stream import epoch_rows

COUNT = 30_000


def begun(lengths: np.ndarray, config: BatchesConfig, epoch: int) -> list[int]:
    """Documents in the order in which an epoch begins them."""
    rows = epoch_rows(lengths, config, epoch)
    return [document for row in rows for document, start, _ in row if start == 0]


@given(order=st.lists(st.integers(-1000, 1000), min_size=2, max_size=40, unique=True))
def test_the_correlation_is_scipy_s(order):
    theirs = scipy.stats.spearmanr(np.arange(len(order)), order).statistic
    assert rank_correlation(order) == pytest.approx(theirs, abs=1e-12)


def test_correlations_by_hand():
    assert rank_correlation([3, 5, 9]) == 1 and rank_correlation([9, 5, 3]) == -1
    # ranks 1 0 2 3: differences 1 1 0 0; 1 − 6 · 2 / 60
    assert rank_correlation([20, 10, 30, 40]) == pytest.approx(0.8)


@pytest.mark.parametrize("order", [[], [1], [1, 1, 2]])
def test_what_is_no_order_is_refused(order):
    with pytest.raises(ValueError, match="an order has at least two, and each once"):
        rank_correlation(order)


@given(
    count=st.integers(0, 60), buffer_size=st.integers(1, 70), seed=st.integers(0, 5)
)
def test_a_buffer_gives_each_item_once_and_none_before_it_entered(count, buffer_size, seed):
    order = list(buffer_shuffled(range(count), buffer_size, seed))
    assert sorted(order) == list(range(count))
    assert all(item < place + buffer_size + 1 for place, item in enumerate(order))
    assert order == list(buffer_shuffled(range(count), buffer_size, seed))


def test_a_buffer_of_one_keeps_the_order_and_of_none_is_refused():
    assert list(buffer_shuffled("abc", 1, 0)) == ["a", "b", "c"]
    with pytest.raises(ValueError, match="buffer_size = 0: must be at least 1"):
        next(buffer_shuffled("abc", 0, 0))


@pytest.mark.parametrize(("buffer_size", "least"), [(100, 0.99), (1000, 0.98), (10_000, 0.5)])
def test_a_buffer_leaves_what_is_far_back_far_back(buffer_size, least):
    assert rank_correlation(list(buffer_shuffled(range(COUNT), buffer_size, 0))) > least


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("epoch", [1, 2, 3])
def test_epochs_after_the_curriculum_are_mixed(seed, epoch):
    lengths = np.random.default_rng(5).integers(20, 300, COUNT)
    order = begun(lengths, BatchesConfig(seed=seed), epoch)
    # chance alone: ± 1/√30,000 = .006
    assert abs(rank_correlation(order)) < 0.02


def test_epoch_zero_is_mixed_too_where_the_window_holds_all():
    lengths = np.random.default_rng(5).integers(20, 300, COUNT)
    kept, mixed = BatchesConfig(), BatchesConfig(window_documents=COUNT)
    assert rank_correlation(begun(lengths, kept, 0)) > 0.99
    assert abs(rank_correlation(begun(lengths, mixed, 0))) < 0.02
