"""Rotary positions: by hand, against complex numbers and transformers, and the law of distances."""

import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding, apply_rotary_pos_emb

from minillm.model.positions import rotary_angles, rotate

THETA = 100.0


def random_vectors(*shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(3))


def test_one_pair_is_turned_by_its_position() -> None:
    turned_TK = rotate(torch.tensor([[1.0, 0.0]]).expand(5, 2), *rotary_angles(5, 2, THETA))
    for position, (first, second) in enumerate(turned_TK.tolist()):
        assert first == pytest.approx(math.cos(position), abs=1e-6)
        assert second == pytest.approx(math.sin(position), abs=1e-6)


def test_two_pairs_lie_half_a_head_apart_and_turn_at_their_own_speed() -> None:
    x = torch.tensor([[1.0, 0.0, 0.0, 2.0]])  # pairs (1, 0) and (0, 2)
    cos_TK, sin_TK = rotary_angles(4, 4, THETA)
    turned = rotate(x, cos_TK[3:], sin_TK[3:])[0].tolist()
    fast, slow = 3.0, 3.0 / THETA**0.5
    by_hand = [math.cos(fast), -2 * math.sin(slow), math.sin(fast), 2 * math.cos(slow)]
    assert turned == pytest.approx(by_hand, abs=1e-6)


@pytest.mark.parametrize(("num_positions", "head_width"), [(1, 2), (7, 6), (33, 32), (50, 64)])
def test_turning_is_a_product_of_complex_numbers(num_positions: int, head_width: int) -> None:
    x_TK = random_vectors(num_positions, head_width).double()
    pairs = torch.complex(x_TK[:, : head_width // 2], x_TK[:, head_width // 2 :])
    speed = THETA ** (-torch.arange(head_width // 2).double() * 2 / head_width)
    angle = torch.arange(num_positions).double()[:, None] * speed
    expected = pairs * torch.polar(torch.ones_like(angle), angle)
    ours_TK = rotate(x_TK, *rotary_angles(num_positions, head_width, THETA))
    # float32 angles up to 50 are off by at most 50 · 2⁻²⁴ = 3e-6
    both = torch.cat((expected.real, expected.imag), dim=-1)
    torch.testing.assert_close(ours_TK, both, atol=2e-5, rtol=0)


def test_equal_to_transformers() -> None:
    config = LlamaConfig(hidden_size=64, num_attention_heads=4, rope_theta=THETA)
    q_BHTK, k_BHTK = random_vectors(2, 4, 13, 16), random_vectors(2, 4, 13, 16).flip(0)
    cos, sin = LlamaRotaryEmbedding(config)(q_BHTK, torch.arange(13)[None])
    theirs = apply_rotary_pos_emb(q_BHTK, k_BHTK, cos, sin)
    angles = rotary_angles(13, 16, THETA)
    assert torch.equal(rotate(q_BHTK, *angles), theirs[0])
    assert torch.equal(rotate(k_BHTK, *angles), theirs[1])


def products_by_place(q_K: torch.Tensor, k_K: torch.Tensor, turn_keys: bool = True) -> torch.Tensor:
    """The product of one query and one key, standing at every pair of 40 places."""
    angles = rotary_angles(40, len(q_K), THETA)
    q_TK = rotate(q_K.expand(40, -1), *angles)
    k_TK = rotate(k_K.expand(40, -1), *angles) if turn_keys else k_K.expand(40, -1)
    return q_TK @ k_TK.T


def depends_on_distance_alone(products_TS: torch.Tensor) -> bool:
    """Every diagonal holds one number: the places differ, their distance does not."""
    return all(
        torch.allclose(diagonal, diagonal[:1], atol=5e-5)
        for diagonal in (products_TS.diagonal(distance) for distance in range(-39, 40))
    )


def test_a_product_depends_on_the_distance_alone() -> None:
    q_K, k_K = random_vectors(2, 32)
    products_TS = products_by_place(q_K, k_K)
    assert depends_on_distance_alone(products_TS)
    assert products_TS[0].std() > 0.1  # and on the distance it does depend


def test_planted_bug_keys_that_are_not_turned_are_noticed() -> None:
    q_K, k_K = random_vectors(2, 32)
    assert not depends_on_distance_alone(products_by_place(q_K, k_K, turn_keys=False))


def test_lengths_stay_and_place_zero_stays() -> None:
    x_BHTK = random_vectors(2, 3, 11, 8)
    turned_BHTK = rotate(x_BHTK, *rotary_angles(11, 8, THETA))
    torch.testing.assert_close(turned_BHTK.norm(dim=-1), x_BHTK.norm(dim=-1))
    assert torch.equal(turned_BHTK[:, :, 0], x_BHTK[:, :, 0])


def test_bfloat16_vectors_are_turned_in_float32_and_rounded_once() -> None:
    x_TK = random_vectors(64, 16).bfloat16()
    angles = rotary_angles(64, 16, THETA)
    turned_TK = rotate(x_TK, *angles)
    assert turned_TK.dtype == torch.bfloat16
    assert torch.equal(turned_TK, rotate(x_TK.float(), *angles).bfloat16())
