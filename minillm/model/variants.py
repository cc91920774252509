"""What a model may have that a plain Llama has not, each a field whose default changes nothing.

QK-norm: queries and keys are normed a head at a time, before positions turn them, so that no score
can exceed √K until training scales the norms (Henry et al., arXiv:2010.04245; as in Qwen3,
arXiv:2505.09388). Post-norm: the norm stands behind the sum, as in the first transformer (Vaswani
et al., arXiv:1706.03762; what it costs: Xiong et al., arXiv:2002.04745). Windows: a layer sees the
last tokens alone (Mistral 7B, arXiv:2310.06825). Experts have a file of their own. Left out: norms
in both places, biases.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from typing import Literal, Protocol, get_args

import torch

from minillm.model.caches import SlidingCache

NormPosition = Literal["pre", "post"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Variants:
    """The fields. Only every `full_every`-th layer is without the window, if that is given."""

    qk_norm: bool = False
    norm_position: NormPosition = "pre"
    window: int | None = None
    full_every: int | None = None
    num_experts: int | None = None
    experts_per_token: int = 2
    balance_coefficient: float = 0.01
    router_z_coefficient: float = 0.001


class LayerFields(Protocol):
    """What of a model's configuration decides how many numbers a variant stores."""

    width: int
    head_width: int
    ffn_width: int
    qk_norm: bool
    num_experts: int | None
    experts_per_token: int


def residual_step(
    x_BTD: torch.Tensor,
    norm: Callable[[torch.Tensor], torch.Tensor],
    part: Callable[[torch.Tensor], torch.Tensor],
    position: NormPosition,
) -> torch.Tensor:
    """pre: x + part(norm(x)). post: norm(x + part(x))."""
    return x_BTD + part(norm(x_BTD)) if position == "pre" else norm(x_BTD + part(x_BTD))


def layer_window(config: Variants, layer: int) -> int | None:
    """How many keys a query of this layer sees; none where it sees all before it."""
    is_full = config.full_every is not None and (layer + 1) % config.full_every == 0
    return None if is_full else config.window


def norm_parameters(config: LayerFields) -> int:
    """A layer's norms: 2D, and 2K for those of queries and keys."""
    return 2 * config.width + (2 * config.head_width if config.qk_norm else 0)


def feed_forward_parameters(config: LayerFields, is_active: bool = False) -> int:
    """3D·F; with experts so much for each, or each that a token uses, and D·E for the router."""
    one = 3 * config.width * config.ffn_width
    if config.num_experts is None:
        return one
    num_parts = config.experts_per_token if is_active else config.num_experts
    return num_parts * one + config.width * config.num_experts


# package only
EXPERTS = frozenset(
    ("num_experts", "experts_per_token", "balance_coefficient", "router_z_coefficient")
)


# package only
def refuse_variants(config: Variants, who: str, supported: frozenset[str] = frozenset()) -> None:
    """ValueError naming the first variant beyond `supported`, of which `who` does not know."""
    # without experts their fields change nothing
    known = supported | (EXPERTS if config.num_experts is None else frozenset())
    for field in fields(config):
        value = getattr(config, field.name)
        is_variant = field.name in Variants.__dataclass_fields__
        if is_variant and field.name not in known and value != field.default:
            raise ValueError(
                f"{field.name} = {value!r}: {who} knows nothing of it, and would compute something "
                f"else; use {field.default!r} there, or this package"
            )


# package only
def refuse_impossible_variants(config: Variants) -> None:
    """ValueError naming the field, its value, what is allowed and what to change."""
    known = get_args(NormPosition)
    if config.norm_position not in known:
        raise ValueError(
            f"norm_position = {config.norm_position!r}: choose one of {', '.join(known)}"
        )
    if config.full_every is not None and config.window is None:
        raise ValueError(
            f"full_every = {config.full_every}: without a window every layer sees all; give a "
            "window, or leave full_every out"
        )
    if config.full_every == 1:
        raise ValueError(
            f"full_every = 1: every layer sees all, and window = {config.window} means "
            "nothing; leave both out, or give 2 or more"
        )
    if config.num_experts is not None and config.experts_per_token > config.num_experts:
        raise ValueError(
            f"experts_per_token = {config.experts_per_token}: there are num_experts = "
            f"{config.num_experts}; use at most as many"
        )


# package only
def refuse_forgetful_cache(config: Variants, cache: object) -> None:
    """ValueError where a sliding cache is narrower than what the model's own windows show."""
    if not isinstance(cache, SlidingCache):
        return
    if config.window is not None and cache.window < config.window:
        raise ValueError(
            f"window = {cache.window} of the sliding cache: the model's queries see window = "
            f"{config.window} keys; use SlidingCache({config.window}) or a wider one"
        )
    if config.full_every is not None:
        raise ValueError(
            f"full_every = {config.full_every}: a sliding cache of window = {cache.window} forgets "
            "what full layers see; use a KeyValueCache or a StaticCache"
        )
