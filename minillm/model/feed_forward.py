"""The feed-forward part: each token by itself, made wider, gated, and made narrow again.

SwiGLU (Shazeer, arXiv:2002.05202): one product decides how much of the other passes. No biases.
"""

import torch
import torch.nn.functional as F
from torch import nn

from minillm.model.shape import ModelConfig


class FeedForward(nn.Module):
    """SwiGLU: down(silu(gate(x)) · up(x))."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.gate_proj = nn.Linear(config.width, config.ffn_width, bias=False)
        self.up_proj = nn.Linear(config.width, config.ffn_width, bias=False)
        self.down_proj = nn.Linear(config.ffn_width, config.width, bias=False)

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        return self.down_proj(F.silu(self.gate_proj(x_BTD)) * self.up_proj(x_BTD))
