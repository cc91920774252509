"""The model: tokens in, logits out. A decoder of Llama's shape, with its checkpoints' weight names.

x ← x + attention(norm(x)); x ← x + feed_forward(norm(x)), L times, then one norm and the head.
RMSNorm (arXiv:1910.07467), SwiGLU (arXiv:2002.05202), grouped queries; positions rotary or another
kind. What a plain Llama has not stands in `variants`, and is off unless asked for. Nothing here
knows devices or ranks; a cache is anything with `extend(layer, k, v) -> (k, v)`. Left out: dropout,
biases, recomputing activations to save memory.
"""

from functools import partial
from typing import Protocol

import torch
from torch import nn

from minillm.model.attention import ATTENTION
from minillm.model.experts import Experts
from minillm.model.feed_forward import FeedForward
from minillm.model.initialise import initialise
from minillm.model.positions import AddedPositions, head_slopes, rotate
from minillm.model.rope_scaling import model_angles
from minillm.model.shape import ModelConfig
from minillm.model.variants import layer_window, refuse_forgetful_cache, residual_step


class Cache(Protocol):
    """Keeps a layer's keys and values and returns all so far; its owner keeps `num_tokens` true:
    one number where all rows are equally long, else one for each row, `[B]`."""

    num_tokens: int | torch.Tensor

    def extend(
        self, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]: ...


class RMSNorm(nn.Module):
    """y = x / √(mean(x²) + ε) · w, the quotient in float32, then rounded to x's dtype."""

    def __init__(self, width: int, epsilon: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(width))
        self.epsilon = epsilon

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        x_float = x_BTD.float()
        scale = torch.rsqrt(x_float.square().mean(dim=-1, keepdim=True) + self.epsilon)
        return self.weight * (x_float * scale).to(x_BTD.dtype)


class Attention(nn.Module):
    """Project to queries, keys, values; turn by position; attend; project back."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.layer, self.head_width = layer, config.head_width
        self.attend, self.window = ATTENTION[config.attention], layer_window(config, layer)
        self.register_buffer("slopes_H", head_slopes(config), persistent=False)
        kv_width = config.num_kv_heads * config.head_width
        self.q_proj = nn.Linear(config.width, config.width, bias=False)
        self.k_proj = nn.Linear(config.width, kv_width, bias=False)
        self.v_proj = nn.Linear(config.width, kv_width, bias=False)
        self.o_proj = nn.Linear(config.width, config.width, bias=False)
        norms = (RMSNorm(self.head_width, config.norm_epsilon) for _ in "qk")
        self.q_norm, self.k_norm = norms if config.qk_norm else (None, None)

    def forward(
        self, x_BTD: torch.Tensor, rotary: tuple[torch.Tensor, torch.Tensor] | None,
        cache: Cache | None, documents_BT: torch.Tensor | None,
    ) -> torch.Tensor:  # fmt: skip
        by_head = (-1, self.head_width)
        q_BHTK = self.q_proj(x_BTD).unflatten(-1, by_head).transpose(1, 2)
        k_BGTK = self.k_proj(x_BTD).unflatten(-1, by_head).transpose(1, 2)
        v_BGTK = self.v_proj(x_BTD).unflatten(-1, by_head).transpose(1, 2)
        if self.q_norm is not None:  # each head by itself, before it is turned
            q_BHTK, k_BGTK = self.q_norm(q_BHTK), self.k_norm(k_BGTK)
        if rotary is not None:
            q_BHTK, k_BGTK = rotate(q_BHTK, *rotary), rotate(k_BGTK, *rotary)
        k_BGSK, v_BGSK, offset = k_BGTK, v_BGTK, 0
        if cache is not None:
            k_BGSK, v_BGSK = cache.extend(self.layer, k_BGTK, v_BGTK)
            # keys before the new ones: fewer than tokens where the cache has dropped some
            is_by_row = isinstance(cache.num_tokens, torch.Tensor)
            offset = cache.num_tokens if is_by_row else k_BGSK.shape[2] - k_BGTK.shape[2]
        # without a window of its own the model has that of a sliding cache
        window = getattr(cache, "window", None) if self.window is None else self.window
        seen = {"documents_BT": documents_BT, "slopes_H": self.slopes_H, "window": window}
        seen = {name: each for name, each in seen.items() if each is not None}
        out_BHTK = self.attend(q_BHTK, k_BGSK, v_BGSK, offset=offset, **seen)
        return self.o_proj(out_BHTK.transpose(1, 2).reshape(x_BTD.shape))


class Layer(nn.Module):
    """Two steps along the residual stream, each with its own norm."""

    def __init__(self, config: ModelConfig, layer: int) -> None:
        super().__init__()
        self.input_layernorm = RMSNorm(config.width, config.norm_epsilon)
        self.self_attn = Attention(config, layer)
        self.post_attention_layernorm = RMSNorm(config.width, config.norm_epsilon)
        self.mlp = FeedForward(config) if config.num_experts is None else Experts(config)
        self.norm_position = config.norm_position

    def forward(
        self,
        x_BTD: torch.Tensor,
        rotary: tuple[torch.Tensor, torch.Tensor] | None,
        cache: Cache | None,
        documents_BT: torch.Tensor | None,
    ) -> torch.Tensor:
        attend = partial(self.self_attn, rotary=rotary, cache=cache, documents_BT=documents_BT)
        x_BTD = residual_step(x_BTD, self.input_layernorm, attend, self.norm_position)
        return residual_step(x_BTD, self.post_attention_layernorm, self.mlp, self.norm_position)


class Backbone(nn.Module):
    """Embedding, layers and last norm: all but the head (the `model.` of checkpoint names)."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.context_length = config.context_length
        self.embed_tokens = nn.Embedding(config.vocab_size, config.width)
        self.embed_positions = AddedPositions(config)
        self.layers = nn.ModuleList(Layer(config, layer) for layer in range(config.num_layers))
        self.norm = RMSNorm(config.width, config.norm_epsilon)
        cos, sin = model_angles(config)
        self.register_buffer("cos", cos, persistent=False)
        self.register_buffer("sin", sin, persistent=False)

    def rotary(
        self, start: int | torch.Tensor, num_places: int
    ) -> tuple[torch.Tensor, torch.Tensor] | None:
        """cos and sin from `start` on: `[T, K]`, or `[B, 1, T, K]` where each row has a start; none
        where positions are not rotary. ValueError beyond the context."""
        is_by_row = isinstance(start, torch.Tensor)
        stop = (int(start.max()) if is_by_row else start) + num_places
        if stop > self.context_length:
            raise ValueError(
                f"{stop} tokens: the context length is {self.context_length}; "
                "shorten the text or build the model with a larger context_length"
            )
        if self.cos is None:
            return None
        if not is_by_row:
            return self.cos[start:stop], self.sin[start:stop]
        place_B1T = start[:, None, None] + torch.arange(num_places, device=start.device)
        return self.cos[place_B1T], self.sin[place_B1T]

    def forward(
        self, tokens_BT: torch.Tensor, cache: Cache | None, documents_BT: torch.Tensor | None
    ) -> torch.Tensor:
        start = 0 if cache is None else cache.num_tokens
        rotary = self.rotary(start, tokens_BT.shape[1])
        x_BTD = self.embed_positions(self.embed_tokens(tokens_BT), start, documents_BT)
        for layer in self.layers:
            x_BTD = layer(x_BTD, rotary, cache, documents_BT)
        return self.norm(x_BTD)


class Transformer(nn.Module):
    """tokens_BT → logits_BTV."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.model = Backbone(config)
        self.lm_head = nn.Linear(config.width, config.vocab_size, bias=False)
        if config.tie_embeddings:
            self.lm_head.weight = self.model.embed_tokens.weight
        depth, last_norm = config.num_layers, config.initial_last_norm
        initialise(self, config.initial_std, depth, config.width_ratio, last_norm)

    def forward(
        self,
        tokens_BT: torch.Tensor,
        cache: Cache | None = None,
        documents_BT: torch.Tensor | None = None,
        logits_to_keep: int | None = None,
    ) -> torch.Tensor:
        """The next token's logits at every place; `documents_BT` keeps packed documents apart.

        With `logits_to_keep` (1 or more) at so many last places alone.
        """
        if logits_to_keep is not None and logits_to_keep < 1:
            raise ValueError(
                f"logits_to_keep = {logits_to_keep}: must be at least 1; None keeps all"
            )
        refuse_forgetful_cache(self.config, cache)
        x_BTD = self.model(tokens_BT, cache, documents_BT)
        if logits_to_keep is not None:
            x_BTD = x_BTD[:, -logits_to_keep:]
        return self.lm_head(x_BTD)

    @property
    def num_parameters(self) -> int:
        """Each stored number once: tied weights count once."""
        return sum(parameter.numel() for parameter in self.parameters())
