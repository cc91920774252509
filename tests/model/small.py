"""A small model with fresh weights, and one that counts: its texts are known beforehand."""

from dataclasses import replace

import torch
from torch import nn

from minillm.model.transformer import Cache, ModelConfig, Transformer

SMALL = ModelConfig(
    vocab_size=61,
    width=24,
    num_layers=3,
    num_heads=6,
    num_kv_heads=2,
    ffn_width=37,
    context_length=29,
    initial_std=0.2,
)
PROMPTS = ([3, 1, 4], [1, 5, 9, 2, 6, 5, 3, 5, 8], [9], [7, 9, 3, 2])


def small_model(**changes: object) -> Transformer:
    torch.manual_seed(0)
    return Transformer(replace(SMALL, **changes)).eval()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Counting(nn.Module):
    """A model whose next token is the last one plus 1."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SMALL
        self.scale = nn.Parameter(torch.tensor(100.0))
        self.widths: list[int] = []

    def forward(
        self, tokens_BT: torch.Tensor, cache: Cache | None = None,
        logits_to_keep: int | None = None,
    ) -> torch.Tensor:  # fmt: skip
        self.widths.append(tokens_BT.shape[1])
        return nn.functional.one_hot((tokens_BT + 1) % 61, 61) * self.scale
