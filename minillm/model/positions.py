"""Rotary positions: queries and keys are turned by an angle that grows with their place.

In: vectors with a position each. Out: the same vectors, turned. The product of two turned vectors
depends on their distance alone, which is the one idea. Source: Su et al., "RoFormer"
(arXiv:2104.09864), in the half-split layout of Llama checkpoints. Left out: other kinds of
positions, and contexts longer than those trained on.
"""

import torch


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
