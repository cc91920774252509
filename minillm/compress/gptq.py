"""Codes that make up for one another: what one column loses, the columns after it win back.

In: a matrix W and the second moments H = Σ x xᵀ of its inputs. Out: codes as in `quantize`. The one
idea: not the weights must stay near, but the outputs W x, and inputs are correlated; so each
column's rounding error is spread over the columns not yet rounded, as H says (GPTQ,
arXiv:2210.17323, from Optimal Brain Surgeon). Left out: reordering columns, moments taken anew
after each layer, blocks of columns (they make it fast on large matrices).
"""

from collections.abc import Iterable

import torch
from torch import nn

from minillm.compress.quantize import (
    QuantizedWeight,
    Scheme,
    State,
    absmax_scales,
    is_layer_matrix,
    nearest_codes,
    quantize_state,
    quantized_from,
)

# of the mean of H's diagonal: added to it, so that H can be inverted
DAMPING_FRACTION = 0.01


@torch.no_grad()
def input_moments(
    model: nn.Module, batches: Iterable[torch.Tensor]
) -> dict[str, torch.Tensor]:
    """Σ x xᵀ of what each Linear is given, by the name of its weight, over batches of tokens."""
    moments: dict[str, torch.Tensor] = {}

    def watch(name: str) -> nn.Module:
        def add(_module: nn.Module, inputs: tuple[torch.Tensor, ...]) -> None:
            rows = inputs[0].detach().flatten(0, -2).float()
            moments[name] = moments.get(name, 0) + rows.T @ rows

        return add

    hooks = [
        module.register_forward_pre_hook(watch(f"{name}.weight"))
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
    ]
    try:
        for tokens_BT in batches:
            model(tokens_BT)
    finally:
        for hook in hooks:
            hook.remove()
    return moments


def error_paths(moments_KK: torch.Tensor) -> torch.Tensor:
    """U, upper triangular, with UᵀU = H⁻¹: row k says where column k's error goes."""
    damping = DAMPING_FRACTION * moments_KK.diagonal().mean().clamp(min=1e-12)
    damped = moments_KK.double() + damping * torch.eye(len(moments_KK), dtype=torch.float64)
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(damped))
    return torch.linalg.cholesky(inverse, upper=True).float()


@torch.no_grad()
def gptq_quantized(
    weight_NK: torch.Tensor, moments_KK: torch.Tensor, scheme: Scheme
) -> QuantizedWeight:
    """Round column by column; what is lost goes, weighted by U, to the columns on the right."""
    if scheme.shared_by == "tensor":
        raise ValueError(
            f"scheme = {scheme.name!r}: GPTQ sets scales on its way through the columns; "
            "use -channel or a group's size"
        )
    left_NK, paths_KK = weight_NK.detach().clone().float(), error_paths(moments_KK)
    width = left_NK.shape[1]
    size = width if scheme.shared_by == "channel" else scheme.shared_by
    codes, scales = [], []
    for column in range(width):
        if column % size == 0:
            block = left_NK[:, None, column : column + size]
            scales.append(absmax_scales(block, scheme))
        scale_N = scales[-1][:, 0]
        codes.append(nearest_codes(left_NK[:, column], scale_N, scheme))
        lost_N = left_NK[:, column] - codes[-1].float() * scale_N.float()
        left_NK[:, column:] -= torch.outer(
            lost_N / paths_KK[column, column], paths_KK[column, column:]
        )
    return quantized_from(torch.stack(codes, dim=1), torch.cat(scales, dim=1), scheme)


def gptq_state(
    tensors: dict[str, torch.Tensor],
    moments: dict[str, torch.Tensor],
    layers: Scheme,
    tables: Scheme,
) -> State:
    """Like `quantize_state`, the layers' matrices by GPTQ; the token table is only looked up."""
    inside = {name: each for name, each in tensors.items() if is_layer_matrix(name, each)}
    outside = {name: each for name, each in tensors.items() if name not in inside}
    state = quantize_state(outside, layers, tables)
    state |= {
        name: gptq_quantized(each, moments[name], layers) for name, each in inside.items()
    }
    return {name: state[name] for name in tensors}
