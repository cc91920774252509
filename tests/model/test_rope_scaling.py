"""Scaled rotary positions: which pair is slowed by how much, by hand and as transformers has it."""

import math

import pytest
import torch
from transformers import LlamaConfig
from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

from minillm.model.positions import rotary_angles, rotate
from minillm.model.rope_scaling import (
    ntk_theta,
    pair_that_turns,
    scaled_angles,
    scaled_speeds,
    yarn_attention_factor,
    yarn_ramp,
)

THETA = 10_000.0


def test_unscaled_speeds_and_angles_are_the_plain_ones() -> None:
    for ours, plain in zip(scaled_angles(50, 24, THETA), rotary_angles(50, 24, THETA), strict=True):
        assert torch.equal(ours, plain)


@pytest.mark.parametrize("scaling", ["linear", "ntk", "yarn"])
def test_a_factor_of_one_changes_nothing(scaling: str) -> None:
    ours = scaled_angles(50, 24, THETA, scaling, 1.0, 128)
    for scaled, plain in zip(ours, rotary_angles(50, 24, THETA), strict=True):
        torch.testing.assert_close(scaled, plain, atol=4e-6, rtol=0)  # 50 · 2⁻²³ and a rounding


def test_linear_by_hand() -> None:
    """Place 4 at a factor of 4 is turned as place 1 was."""
    cos_TK, sin_TK = scaled_angles(5, 2, THETA, "linear", 4.0)
    assert (cos_TK[4, 0].item(), sin_TK[4, 0].item()) == pytest.approx((math.cos(1), math.sin(1)))


def test_ntk_keeps_the_fastest_pair_and_slows_the_slowest_by_the_factor() -> None:
    plain, scaled = (scaled_speeds(32, THETA, name, 4.0, None) for name in (None, "ntk"))
    ratio = (plain / scaled).tolist()
    assert ratio[0] == 1.0 and ratio[-1] == pytest.approx(4.0, rel=1e-6)
    assert ratio == sorted(ratio)
    assert ntk_theta(4, 100.0, 3.0) == pytest.approx(100 * 9)


def test_the_pair_that_turns_so_often_does() -> None:
    """Of the pair number i the angle at the trained length is 2π times the rotations asked for."""
    for times in (1, 4, 32):
        i = pair_that_turns(times, 512, 64, THETA)
        assert 512 * THETA ** (-2 * i / 64) == pytest.approx(2 * math.pi * times)


def test_yarn_by_hand() -> None:
    """K = 64, trained on 512: pair 3.25 turns 32 times, 15.29 once: the ramp goes from 3 to 16."""
    ramp = yarn_ramp(64, THETA, 512).tolist()
    assert ramp[:4] == [0, 0, 0, 0] and ramp[16:] == [1] * 16
    assert ramp[4] == pytest.approx(1 / 13) and ramp[15] == pytest.approx(12 / 13)
    plain, scaled = (scaled_speeds(64, THETA, name, 4.0, 512) for name in (None, "yarn"))
    assert torch.equal(plain[:4], scaled[:4])
    torch.testing.assert_close(scaled[16:], plain[16:] / 4)
    between = plain[4] * (12 / 13 + 1 / 13 / 4)
    assert scaled[4].item() == pytest.approx(between.item())


def test_yarn_s_temperature_multiplies_the_scores() -> None:
    """q·k grows by (0.1 ln s + 1)², which is the paper's 1/t."""
    q_K, k_K = torch.randn(2, 16, generator=torch.Generator().manual_seed(0)).double()
    loud = scaled_angles(9, 16, THETA, "yarn", 4.0, 6)
    soft = [each / yarn_attention_factor(4.0) for each in loud]
    products = [
        rotate(q_K.expand(9, -1), *angles) @ rotate(k_K.expand(9, -1), *angles).T
        for angles in (loud, soft)
    ]
    square = (0.1 * math.log(4) + 1) ** 2
    # angles are kept in float32: 16 products of numbers below 4, each off by 2⁻²³ or so
    torch.testing.assert_close(products[0], products[1] * square, atol=3e-5, rtol=0)


CASES = [
    (name, factor, head_width, trained, theta)
    for name in ("linear", "yarn")
    for factor in (1.0, 2.0, 4.0, 11.0)
    for head_width, trained, theta in ((2, 64, 10_000.0), (16, 24, 500.0), (64, 2048, 1e6))
]


@pytest.mark.parametrize(("name", "factor", "head_width", "trained", "theta"), CASES)
def test_speeds_are_transformers_to_the_last_bit(
    name: str, factor: float, head_width: int, trained: int, theta: float
) -> None:
    parameters = {"rope_type": name, "rope_theta": theta, "factor": factor}
    if name == "yarn":
        parameters["original_max_position_embeddings"] = trained
    config = LlamaConfig(
        hidden_size=4 * head_width, num_attention_heads=4, head_dim=head_width,
        max_position_embeddings=int(trained * factor), rope_parameters=parameters,
    )  # fmt: skip
    theirs, attention_factor = ROPE_INIT_FUNCTIONS[name](config)
    ours = scaled_speeds(head_width, theta, name, factor, trained)
    assert torch.equal(ours, theirs)
    assert attention_factor == (yarn_attention_factor(factor) if name == "yarn" else 1.0)


@pytest.mark.parametrize(
    "bug", ["ramp the wrong way", "no temperature", "rotations of the new length"]
)
def test_planted_bugs_in_yarn_are_noticed(bug: str) -> None:
    factor, trained = 4.0, 512
    kept = yarn_ramp(64, THETA, trained * 4 if bug == "rotations of the new length" else trained)
    kept = kept if bug == "ramp the wrong way" else 1 - kept
    plain = scaled_speeds(64, THETA, None, 1.0, None)
    speeds = plain / factor * (1 - kept) + plain * kept
    attention_factor = 1.0 if bug == "no temperature" else yarn_attention_factor(factor)
    angle_TK = torch.outer(torch.arange(600).float(), speeds).repeat(1, 2)
    ours = scaled_angles(600, 64, THETA, "yarn", factor, trained)[0]
    assert (angle_TK.cos() * attention_factor - ours).abs().max() > 1e-2


@pytest.mark.parametrize("scaling", [None, "linear", "ntk", "yarn"])
def test_scaled_too_a_product_depends_on_the_distance_alone(scaling: str | None) -> None:
    q_K, k_K = torch.randn(2, 32, generator=torch.Generator().manual_seed(3)).double()
    speed = scaled_speeds(32, THETA, scaling, 4.0, 128).double()
    angle_TK = torch.outer(torch.arange(200).double(), speed).repeat(1, 2)
    angles = angle_TK.cos(), angle_TK.sin()
    products_TS = rotate(q_K.expand(200, -1), *angles) @ rotate(k_K.expand(200, -1), *angles).T
    spread = max(
        (each.max() - each.min()).item()
        for each in (products_TS.diagonal(distance) for distance in range(-199, 200))
    )
    # 32 products of numbers below 4, angles up to 200 in float64: 32 · 16 · 200 · 2⁻⁵² = 2e-11
    assert spread < 2e-11
