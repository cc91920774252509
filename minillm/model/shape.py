"""The model's shape in numbers, and what of it cannot be.

One frozen configuration says all that decides which weights a model has and what it computes with
them. What does not fit together is refused here, with the remedy, before anything is built.
"""

import math
from dataclasses import dataclass, fields

from minillm.model.attention import ATTENTION
from minillm.model.positions import PositionKind, RopeScaling
from minillm.model.rope_scaling import refuse_impossible_positions
from minillm.model.variants import (
    Variants,
    feed_forward_parameters,
    norm_parameters,
    refuse_impossible_variants,
)


# package only
def refuse_impossible_shape(config: "ModelConfig") -> None:
    """ValueError naming the field, its value, what is allowed and what to change."""
    for field in fields(config):
        value = getattr(config, field.name)
        is_number = value is not None and not isinstance(value, bool | str)
        may_be_zero = field.name.endswith("_coefficient")
        if is_number and not (0 < value < math.inf or (may_be_zero and value == 0)):
            least = "at least 0, which is none" if may_be_zero else "above 0"
            raise ValueError(f"{field.name} = {value}: must be {least}, and a finite number")
    if config.width % config.num_heads:
        raise ValueError(
            f"width = {config.width}: must be a multiple of num_heads = {config.num_heads}, since "
            "all heads are equally wide; change one of the two"
        )
    if config.num_heads % config.num_kv_heads:
        raise ValueError(
            f"num_kv_heads = {config.num_kv_heads}: must divide num_heads = {config.num_heads}; "
            f"use {config.num_heads} (no sharing) or 1 (all share one)"
        )
    if config.attention not in ATTENTION:
        known = ", ".join(ATTENTION)
        raise ValueError(f"attention = {config.attention!r}: choose one of {known}")
    refuse_impossible_positions(config)
    refuse_impossible_variants(config)


@dataclass(frozen=True, kw_only=True, slots=True)
class ModelConfig(Variants):
    """The model's shape. `ffn_width` is F, `width` is D, `num_heads` H, `num_kv_heads` G."""

    vocab_size: int
    width: int
    num_layers: int
    num_heads: int
    num_kv_heads: int
    ffn_width: int
    context_length: int
    rope_theta: float = 10_000.0
    norm_epsilon: float = 1e-5
    tie_embeddings: bool = True
    attention: str = "torch"
    initial_std: float = 0.02
    positions: PositionKind = "rotary"
    rope_scaling: RopeScaling = None
    rope_factor: float = 1.0
    rope_trained_length: int | None = None
    initial_last_norm: float = 1.0  # its scale at the start; below 1 the first logits are small
    base_width: int | None = None  # None: first weights and steps do not follow the width

    def __post_init__(self) -> None:
        refuse_impossible_shape(self)

    @property
    def head_width(self) -> int:
        """K = D / H."""
        return self.width // self.num_heads

    @property
    def width_ratio(self) -> float:
        """D over the width for which `initial_std` and the learning rate were chosen; else 1."""
        return 1.0 if self.base_width is None else self.width / self.base_width

    @property
    def num_parameters(self) -> int:
        """V·D (twice if untied) + L·(2D² + 2D·G·K + 3D·F + 2D) + D, and what variants add."""
        attention = 2 * self.width * (self.width + self.num_kv_heads * self.head_width)
        layer = attention + feed_forward_parameters(self) + norm_parameters(self)
        embeddings = self.vocab_size * self.width * (1 if self.tie_embeddings else 2)
        places = self.context_length * self.width if self.positions == "learned" else 0
        return embeddings + places + self.num_layers * layer + self.width
