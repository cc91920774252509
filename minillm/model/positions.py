"""How a model knows the order of words: by vectors added, turned, or by a price on distance.

Rotary, the default: queries and keys are turned by an angle that grows with their place, so that a
product depends on their distance alone (Su et al., "RoFormer", arXiv:2104.09864), in the half-split
layout of Llama checkpoints. Beside it: no positions (Kazemnejad et al., arXiv:2305.19466), a vector
added for each place, learned or of sines (Vaswani et al., arXiv:1706.03762, section 3.5), and a
price on distance, ALiBi (Press et al., arXiv:2108.12409). Longer contexts than those trained on:
`rope_scaling.py`. Left out: positions relative to buckets (T5), two-dimensional ones.
"""

import math
from typing import Literal, Protocol

import torch
from torch import nn

from minillm.batches.mask import restarted_positions

PositionKind = Literal["rotary", "none", "learned", "sinusoidal", "alibi"]
RopeScaling = Literal[None, "linear", "ntk", "yarn"]


class PositionFields(Protocol):
    """What of a model's configuration has to do with the order of words."""

    width: int
    num_heads: int
    head_width: int
    context_length: int
    initial_std: float
    positions: PositionKind
    rope_theta: float
    rope_scaling: RopeScaling
    rope_factor: float
    rope_trained_length: int | None


def rotary_angles(
    num_positions: int, head_width: int, theta: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin of the angles t · theta^(−2i/K), each [T, K]: its two halves are alike."""
    speed_of_pair = 1.0 / theta ** (torch.arange(0, head_width, 2).float() / head_width)
    angle_of_pair = torch.outer(torch.arange(num_positions).float(), speed_of_pair)
    angle_TK = torch.cat((angle_of_pair, angle_of_pair), dim=-1)
    return angle_TK.cos(), angle_TK.sin()


def rotate(x_BHTK: torch.Tensor, cos_TK: torch.Tensor, sin_TK: torch.Tensor) -> torch.Tensor:
    """Turn each pair (x_i, x_{i+K/2}) by its position's angle, whatever x is stored in."""
    first, second = x_BHTK.chunk(2, dim=-1)
    turned_BHTK = x_BHTK * cos_TK + torch.cat((-second, first), dim=-1) * sin_TK
    return turned_BHTK.to(x_BHTK.dtype)


def sinusoids(num_positions: int, width: int) -> torch.Tensor:
    """sin and cos of t · 10000^(−2i/D) in the columns 2i and 2i + 1: [T, D]."""
    speed = 10_000.0 ** (-torch.arange(0, width, 2).double() / width)
    angle = torch.outer(torch.arange(num_positions).double(), speed)
    return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(-2).float()


def position_ids(
    num_tokens: int, start: int | torch.Tensor, documents_BT: torch.Tensor | None
) -> torch.Tensor:
    """Where each token stands, [T]: from `start` on. [B, T] where each row has a start of its own,
    and in packed rows: there every document begins at 0."""
    if documents_BT is not None:
        return restarted_positions(documents_BT)
    if isinstance(start, torch.Tensor):
        return start[:, None] + torch.arange(num_tokens, device=start.device)
    return torch.arange(start, start + num_tokens)


class AddedPositions(nn.Module):
    """Adds a vector for each place: learned, or sines as loud as embeddings begin. Other kinds of
    positions add nothing."""

    def __init__(self, config: PositionFields) -> None:
        super().__init__()
        shape, std, table_TD = (config.context_length, config.width), config.initial_std, None
        if config.positions == "learned":
            self.weight = nn.Parameter(std * torch.randn(shape))
            return
        if config.positions == "sinusoidal":  # the root mean square of a sine is 1/√2
            table_TD = math.sqrt(2) * std * sinusoids(*shape)
        self.register_buffer("weight", table_TD, persistent=False)

    def forward(
        self, x_BTD: torch.Tensor, start: int | torch.Tensor, documents_BT: torch.Tensor | None
    ) -> torch.Tensor:
        if self.weight is None:
            return x_BTD
        place = position_ids(x_BTD.shape[1], start, documents_BT)
        return x_BTD + self.weight[place.to(self.weight.device)]


def alibi_slopes(num_heads: int) -> torch.Tensor:
    """2^(−8h/H) for h = 1 … H; where H is no power of two, the rest is taken from between: every
    second slope of twice the power of two below H."""
    power = 2 ** int(math.log2(num_heads))
    slopes = [2.0 ** (-8 * h / power) for h in range(1, power + 1)]
    between = [2.0 ** (-4 * h / power) for h in range(1, 2 * power, 2)]
    return torch.tensor(slopes + between[: num_heads - power])


def alibi_bias(
    slopes_H: torch.Tensor, num_queries: int, num_keys: int, offset: int | torch.Tensor
) -> torch.Tensor:
    """−slope · (t + offset − s), added to the scores: [1, H, T, S], or [B, H, T, S] by row."""
    if isinstance(offset, torch.Tensor):
        offset = offset[:, None, None, None]
    query_T1 = torch.arange(num_queries, device=slopes_H.device)[:, None] + offset
    distance_TS = query_T1 - torch.arange(num_keys, device=slopes_H.device)
    return -slopes_H[:, None, None] * distance_TS.view(-1, 1, num_queries, num_keys)


def head_slopes(config: PositionFields) -> torch.Tensor | None:
    """A slope for each head; none where positions are not ALiBi."""
    return alibi_slopes(config.num_heads) if config.positions == "alibi" else None
