"""The ring by hand, against the plain sum, and the bytes it sends."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.scale.ring import bytes_sent_by_ring, ring_of_threads


def test_three_ranks_by_hand() -> None:
    tensors = [torch.tensor(row) for row in ([1.0, 2, 3], [10.0, 20, 30], [100.0, 200, 300])]
    ring_of_threads(tensors)
    assert [tensor.tolist() for tensor in tensors] == [[111, 222, 333]] * 3


@settings(deadline=None, max_examples=40)
@given(st.integers(1, 7), st.integers(0, 23))
def test_any_number_of_ranks_and_any_size_gives_the_sum(num_ranks: int, size: int) -> None:
    generator = torch.Generator().manual_seed(size)
    tensors = [torch.randint(1000, (size,), generator=generator) for _ in range(num_ranks)]
    expected = sum(tensor.clone() for tensor in tensors)
    ring_of_threads(tensors)
    assert all(torch.equal(tensor, expected) for tensor in tensors)


def test_every_rank_holds_the_same_bits_though_floats_round() -> None:
    generator = torch.Generator().manual_seed(0)
    tensors = [torch.randn(3, 35, generator=generator) for _ in range(5)]
    expected = sum(tensor.double() for tensor in tensors)
    ring_of_threads(tensors)
    assert all(torch.equal(tensor, tensors[0]) for tensor in tensors)
    torch.testing.assert_close(tensors[0].double(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 4, 6])
def test_each_rank_sends_two_n_minus_one_nths_of_the_bytes(num_ranks: int) -> None:
    tensors = [torch.ones(120) for _ in range(num_ranks)]
    assert ring_of_threads(tensors) == [bytes_sent_by_ring(480, num_ranks)] * num_ranks
