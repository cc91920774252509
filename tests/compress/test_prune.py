"""The smallest weights become zero, as many as asked, and zeros are counted honestly."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minillm.compress.prune import magnitude_mask, prune_state, pruned_bytes, two_of_four_mask


def test_the_smaller_half_goes_by_hand() -> None:
    weight = torch.tensor([[0.1, -3.0], [2.0, -0.2]])
    assert magnitude_mask(weight, 0.5).tolist() == [[False, True], [True, False]]
    assert magnitude_mask(weight, 0).all() and not magnitude_mask(weight, 1).any()


@given(st.integers(1, 9), st.integers(1, 13), st.floats(0, 1))
def test_exactly_as_many_go_as_asked_and_none_that_stays_is_smaller(rows, width, sparsity) -> None:
    # few different sizes: ties must not change how many go
    weight = torch.randint(-3, 4, (rows, width)).float()
    mask = magnitude_mask(weight, sparsity)
    assert int((~mask).sum()) == round(sparsity * rows * width)
    if mask.any() and not mask.all():
        assert weight[mask].abs().min() >= weight[~mask].abs().max()


@given(st.integers(1, 5), st.integers(1, 14))
def test_two_of_every_four_stay_the_largest(rows: int, width: int) -> None:
    weight = torch.randn(rows, width)
    mask = two_of_four_mask(weight)
    for row, kept in zip(weight.abs().tolist(), mask.tolist(), strict=True):
        for start in range(0, width // 4 * 4, 4):
            four, stays = row[start : start + 4], kept[start : start + 4]
            assert sum(stays) == 2
            assert sorted(four)[2:] == sorted(w for w, k in zip(four, stays, strict=True) if k)
        assert all(kept[width // 4 * 4 :])


def test_tables_and_norms_stay() -> None:
    tensors = {
        "model.embed_tokens.weight": torch.ones(4, 4),
        "model.layers.0.mlp.up_proj.weight": torch.arange(1.0, 17).view(4, 4),
        "model.norm.weight": torch.ones(4),
    }
    free, pattern = prune_state(tensors, 0.75), prune_state(tensors, None)
    assert int((free["model.layers.0.mlp.up_proj.weight"] == 0).sum()) == 12
    assert pattern["model.layers.0.mlp.up_proj.weight"].tolist()[0] == [0, 0, 3, 4]
    for name in ("model.embed_tokens.weight", "model.norm.weight"):
        assert free[name] is tensors[name] and pattern[name] is tensors[name]


@pytest.mark.parametrize("sparsity", [-0.1, 1.1])
def test_an_impossible_share_is_refused(sparsity: float) -> None:
    with pytest.raises(ValueError, match="sparsity.*between 0"):
        magnitude_mask(torch.ones(2, 2), sparsity)


def test_bytes_of_formats_by_hand() -> None:
    """100 weights of 2 bytes: half of them and a map of 100 bits; 2:4 with 2 bits a kept one."""
    assert pruned_bytes(100, 0.5) == 100 + 13
    assert pruned_bytes(100, None) == 100 + 13
    assert pruned_bytes(100, 0.0) == 200
    assert pruned_bytes(100, 0.03) == 200, "a map of few zeros costs more than it saves"
    assert pruned_bytes(100, 0.9) == 20 + 13
