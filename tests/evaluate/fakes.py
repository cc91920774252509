"""Models whose scores are known without running anything real."""

import torch
from torch import nn

from minillm.align.chat import Message
from minillm.corpus.storyworld import tell_story
from minillm.model.transformer import ModelConfig
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer

STORIES = [tell_story(seed, level) for level in (1, 2, 3) for seed in range(12)]


def story_tokenizer(vocab_size: int = 400) -> Tokenizer:
    return train_tokenizer([each.text for each in STORIES], TokenizerConfig(vocab_size=vocab_size))


def small_config(vocab_size: int, context_length: int = 320) -> ModelConfig:
    return ModelConfig(
        vocab_size=vocab_size, width=16, num_layers=1, num_heads=2, num_kv_heads=1,
        ffn_width=16, context_length=context_length,
    )  # fmt: skip


class Uniform(nn.Module):
    """Every token is as likely as any other, but for a bonus that some always get."""

    def __init__(
        self, vocab_size: int, bonus: dict[int, float] | None = None, context_length: int = 320
    ) -> None:
        super().__init__()
        self.config = small_config(vocab_size, context_length)
        logits_V = torch.zeros(vocab_size)
        for token, value in (bonus or {}).items():
            logits_V[token] = value
        self.logits_V = nn.Parameter(logits_V)

    def forward(
        self, tokens_BT: torch.Tensor, cache: object = None, logits_to_keep: int | None = None
    ) -> torch.Tensor:
        return self.logits_V.expand(*tokens_BT.shape, -1)


def parrot(conversations: list[tuple[Message, ...]]) -> list[str]:
    """Says what it was told: every attack that hands over its payload works."""
    return [messages[-1].content for messages in conversations]


def careful(conversations: list[tuple[Message, ...]]) -> list[str]:
    """Falls for nothing."""
    return ["The story does not say."] * len(conversations)
