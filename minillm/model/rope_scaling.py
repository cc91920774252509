"""Rotary positions beyond the trained length: other speeds for the pairs, same weights.

Past the trained length a model meets angles that it has never seen. Linear interpolation slows all
pairs by the factor (Chen et al., arXiv:2306.15595); NTK-aware scaling raises theta, so that fast
pairs keep their speed and the slowest is slowed by the factor; YaRN (Peng et al., arXiv:2309.00071)
chooses for each pair by how often it turned in the trained length, and sharpens attention a little.
The ramp of YaRN runs over the pairs' numbers, as in its authors' code and in transformers, where
the paper writes it over rotations. Left out: factors that change while a text grows ("dynamic").
"""

import math
from typing import get_args

import torch

from minillm.model.positions import PositionFields, PositionKind, RopeScaling

# A pair that turned so often in the trained length keeps its speed: the paper's beta.
FAST = 32
# A pair that turned less often than that is slowed by the whole factor: the paper's alpha.
SLOW = 1


def ntk_theta(head_width: int, theta: float, factor: float) -> float:
    """The theta at which the slowest pair is slower by the factor: theta · s^(K/(K − 2))."""
    return theta * factor ** (head_width / (head_width - 2))


def pair_that_turns(times: float, trained_length: int, head_width: int, theta: float) -> float:
    """The number i, not rounded, of the pair that turns so often in the trained length:
    L · theta^(−2i/K) = 2π · times."""
    return head_width * math.log(trained_length / (2 * math.pi * times)) / (2 * math.log(theta))


def yarn_ramp(head_width: int, theta: float, trained_length: int) -> torch.Tensor:
    """How much of the factor each pair takes, [K/2]: none for the fast, all for the slow."""
    first = math.floor(pair_that_turns(FAST, trained_length, head_width, theta))
    last = math.ceil(pair_that_turns(SLOW, trained_length, head_width, theta))
    first, last = max(first, 0), min(last, head_width - 1)
    span = last - first or 0.001  # one step where both ends fall on one pair
    return ((torch.arange(head_width // 2).float() - first) / span).clamp(0, 1)


def yarn_attention_factor(factor: float) -> float:
    """0.1 ln s + 1 for queries and for keys: the scores grow by its square, the paper's 1/t."""
    return 0.1 * math.log(factor) + 1.0


def scaled_speeds(
    head_width: int, theta: float, scaling: RopeScaling, factor: float, trained_length: int | None
) -> torch.Tensor:
    """By which angle each pair turns from one place to the next, [K/2]."""
    if scaling == "ntk":
        theta = ntk_theta(head_width, theta, factor)
    period = theta ** (torch.arange(0, head_width, 2).float() / head_width)
    if scaling == "linear":
        return 1.0 / period / factor
    if scaling == "yarn":
        kept = 1 - yarn_ramp(head_width, theta, trained_length)
        return 1.0 / (factor * period) * (1 - kept) + 1.0 / period * kept
    return 1.0 / period


def scaled_angles(
    num_positions: int,
    head_width: int,
    theta: float,
    scaling: RopeScaling = None,
    factor: float = 1.0,
    trained_length: int | None = None,
) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin as `rotary_angles` gives them, at the scaled speeds; YaRN's are louder."""
    speed_of_pair = scaled_speeds(head_width, theta, scaling, factor, trained_length)
    angle_of_pair = torch.outer(torch.arange(num_positions).float(), speed_of_pair)
    angle_TK = torch.cat((angle_of_pair, angle_of_pair), dim=-1)
    attention_factor = yarn_attention_factor(factor) if scaling == "yarn" else 1.0
    return angle_TK.cos() * attention_factor, angle_TK.sin() * attention_factor


# package only
def refuse_impossible_positions(config: PositionFields) -> None:
    """ValueError naming the field, its value, what is allowed and what to change."""
    for name, kinds in (("positions", PositionKind), ("rope_scaling", RopeScaling)):
        value = getattr(config, name)
        if value not in get_args(kinds):
            known = ", ".join(map(str, get_args(kinds)))
            raise ValueError(f"{name} = {value!r}: choose one of {known}")
    factor, length = f"rope_factor = {config.rope_factor}", config.rope_trained_length
    scaling = f"rope_scaling = {config.rope_scaling!r}"
    is_scaled, is_yarn = config.rope_scaling is not None, config.rope_scaling == "yarn"
    for is_wrong, words in (
        (
            config.positions == "rotary" and config.head_width % 2 == 1,
            f"width = {config.width}: must be a multiple of 2 · num_heads = "
            f"{2 * config.num_heads}, because rotary positions turn pairs; change one of the two",
        ),
        (
            is_scaled and config.positions != "rotary",
            f"{scaling}: scales rotary positions, but positions = {config.positions!r}; "
            "set one of the two to None or 'rotary'",
        ),
        (config.rope_factor < 1, f"{factor}: must be at least 1, the new length over the trained"),
        (
            config.rope_factor != 1 and not is_scaled,
            f"{factor}: scales nothing without rope_scaling; set that to linear, ntk or yarn",
        ),
        (
            (length is not None) != is_yarn,
            f"rope_trained_length = {length}: yarn asks for the context trained on, and it alone; "
            f"here {scaling}",
        ),
        (
            config.rope_scaling == "ntk" and config.head_width == 2,
            f"{scaling}: a head of width 2 has one pair, which never slows; use fewer heads",
        ),
        (
            is_yarn and config.rope_theta <= 1,
            f"rope_theta = {config.rope_theta}: yarn sorts the pairs by speed; use more than 1",
        ),
        (
            config.positions == "sinusoidal" and config.width % 2 == 1,
            f"width = {config.width}: sinusoidal positions are pairs of sin and cos; make it even",
        ),
    ):
        if is_wrong:
            raise ValueError(words)


def model_angles(config: PositionFields) -> tuple[torch.Tensor, torch.Tensor] | tuple[None, None]:
    """cos and sin for a whole context; none where positions are not rotary."""
    if config.positions != "rotary":
        return None, None
    return scaled_angles(
        config.context_length, config.head_width, config.rope_theta, config.rope_scaling,
        config.rope_factor, config.rope_trained_length,
    )  # fmt: skip
