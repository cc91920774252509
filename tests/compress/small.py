"""A model of 80,000 numbers, its weights large enough that every part moves the logits."""

import torch

from minillm.model.transformer import ModelConfig, Transformer


def small_model(tie_embeddings: bool = True) -> Transformer:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=97, width=64, num_layers=2, num_heads=4, num_kv_heads=2, ffn_width=80,
        context_length=48, initial_std=0.1, tie_embeddings=tie_embeddings,
    )  # fmt: skip
    return Transformer(config).eval()
