"""Rotary positions: a query and a key are turned by an angle that grows with their place in the text.

The product of the two then depends on the distance alone. Source: Su et al., "RoFormer" (arXiv:2104.09864),
in the half-split layout of Llama checkpoints. Other kinds of positions are left out here.
"""

import torch


def rotary_angles(num_positions: int, head_width: int, theta: float) -> tuple[torch.Tensor, torch.Tensor]:
    """cos and sin of position · theta^(-2i/K), each `[num_positions, head_width]`, float32."""
    inverse_frequency = 1.0 / theta ** (torch.arange(0, head_width, 2).float() / head_width)
    angle = torch.outer(torch.arange(num_positions).float(), inverse_frequency)
    angle = torch.cat((angle, angle), dim=-1)
    return angle.cos(), angle.sin()


def rotate(x_BHTK: torch.Tensor, cos_TK: torch.Tensor, sin_TK: torch.Tensor) -> torch.Tensor:
    """Turn each pair (x_i, x_{i+K/2}) by its position's angle."""
    first, second = x_BHTK.chunk(2, dim=-1)
    return x_BHTK * cos_TK + torch.cat((-second, first), dim=-1) * sin_TK
