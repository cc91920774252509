"""Tensor parallel: every rank computes a part of each matrix product, and sums join the parts.

In: a layer's weights. Out: per rank a share of the feed-forward's inner width and of the attention
heads. The one idea: cut the first matrix by its outputs and the second by its inputs; the
non-linear middle then needs nothing from other ranks, and one sum joins each block (Shoeybi et al.,
arXiv:1909.08053). Pure functions on one process, so that parts can be laid beside the whole; on
many, `sum` is an all-reduce. Left out: sharing the vocabulary and the residual stream.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F

from minillm.model.positions import rotate
from minillm.model.transformer import Attention, FeedForward, Layer, Transformer

Weights = dict[str, torch.Tensor]


def split_outputs(weight_OI: torch.Tensor, num_ranks: int) -> list[torch.Tensor]:
    """Each rank computes some of a product's outputs, from all of its inputs ("column split")."""
    return list(weight_OI.tensor_split(num_ranks, dim=0))


def split_inputs(weight_OI: torch.Tensor, num_ranks: int) -> list[torch.Tensor]:
    """Each rank adds its inputs' part to all outputs ("row split"): the sum is the product."""
    return list(weight_OI.tensor_split(num_ranks, dim=1))


def split_feed_forward(block: FeedForward, num_ranks: int) -> list[Weights]:
    """A share of the inner width F for each rank; any number of ranks up to F will do."""
    gates = split_outputs(block.gate_proj.weight, num_ranks)
    ups = split_outputs(block.up_proj.weight, num_ranks)
    downs = split_inputs(block.down_proj.weight, num_ranks)
    return [
        {"gate": gate, "up": up, "down": down}
        for gate, up, down in zip(gates, ups, downs, strict=True)
    ]


def feed_forward_part(x_BTD: torch.Tensor, part: Weights) -> torch.Tensor:
    """What one rank adds to the block's output."""
    inner_BTF = F.silu(x_BTD @ part["gate"].T) * (x_BTD @ part["up"].T)
    return inner_BTF @ part["down"].T


def split_attention(block: Attention, num_ranks: int) -> list[Weights]:
    """Whole heads for each rank, query heads beside the key/value heads that they read."""
    num_kv_heads = block.k_proj.weight.shape[0] // block.head_width
    if num_kv_heads % num_ranks:
        raise ValueError(
            f"num_ranks = {num_ranks}: must divide num_kv_heads = {num_kv_heads}, because a head "
            "cannot be cut; use fewer ranks or more heads"
        )
    projections = {"q": block.q_proj, "k": block.k_proj, "v": block.v_proj}
    cut = {name: split_outputs(each.weight, num_ranks) for name, each in projections.items()}
    cut["o"] = split_inputs(block.o_proj.weight, num_ranks)
    if block.slopes_H is not None:
        cut["slopes"] = split_outputs(block.slopes_H, num_ranks)
    return [{name: parts[rank] for name, parts in cut.items()} for rank in range(num_ranks)]


def attention_part(
    x_BTD: torch.Tensor,
    part: Weights,
    rotary: tuple[torch.Tensor, torch.Tensor] | None,
    head_width: int,
    attend: Callable[..., torch.Tensor],
    documents_BT: torch.Tensor | None = None,
) -> torch.Tensor:
    """What the heads of one rank add to the block's output."""
    q_BHTK, k_BGTK, v_BGTK = (
        (x_BTD @ part[name].T).unflatten(-1, (-1, head_width)).transpose(1, 2) for name in "qkv"
    )
    if rotary is not None:
        q_BHTK, k_BGTK = rotate(q_BHTK, *rotary), rotate(k_BGTK, *rotary)
    slopes = {"slopes_H": part["slopes"]} if "slopes" in part else {}
    out_BHTK = attend(q_BHTK, k_BGTK, v_BGTK, documents_BT=documents_BT, **slopes)
    return out_BHTK.transpose(1, 2).flatten(2) @ part["o"].T


# package only
def refuse_variants_of(layer: Layer) -> None:
    """ValueError for a layer that would be computed as another one: only the plain one is split."""
    block = layer.self_attn
    has = {
        "qk_norm": block.q_norm is not None,
        "window": block.window is not None,
        "norm_position": layer.norm_position != "pre",
        "num_experts": not isinstance(layer.mlp, FeedForward),
    }
    if found := [name for name, is_there in has.items() if is_there]:
        raise ValueError(
            f"{', '.join(found)}: tensor parallel splits plain layers alone; train this model with "
            "data parallel, or without the option"
        )


def split_layer(
    layer: Layer,
    x_BTD: torch.Tensor,
    rotary: tuple[torch.Tensor, torch.Tensor] | None,
    num_ranks: int,
    documents_BT: torch.Tensor | None = None,
) -> torch.Tensor:
    """A whole layer from its parts: two sums, so two all-reduces, one a block."""
    refuse_variants_of(layer)
    block, normed_BTD = layer.self_attn, layer.input_layernorm(x_BTD)
    x_BTD = x_BTD + sum(
        attention_part(normed_BTD, part, rotary, block.head_width, block.attend, documents_BT)
        for part in split_attention(block, num_ranks)
    )
    normed_BTD = layer.post_attention_layernorm(x_BTD)
    parts = split_feed_forward(layer.mlp, num_ranks)
    return x_BTD + sum(feed_forward_part(normed_BTD, part) for part in parts)


def split_logits(
    model: Transformer,
    tokens_BT: torch.Tensor,
    num_ranks: int,
    documents_BT: torch.Tensor | None = None,
) -> torch.Tensor:
    """The whole model's logits, every layer computed in `num_ranks` parts."""
    backbone, num_tokens = model.model, tokens_BT.shape[1]
    rotary = backbone.rotary(0, num_tokens)
    x_BTD = backbone.embed_positions(backbone.embed_tokens(tokens_BT), 0, documents_BT)
    for layer in backbone.layers:
        x_BTD = split_layer(layer, x_BTD, rotary, num_ranks, documents_BT)
    return model.lm_head(backbone.norm(x_BTD))


# package only
def bytes_summed_per_step(model: Transformer, batch_size: int, num_tokens: int) -> int:
    """Of activations, by all-reduces: two a layer forward and two backward, B·T·D numbers each."""
    config = model.config
    return 4 * config.num_layers * batch_size * num_tokens * config.width * 4
