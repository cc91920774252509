"""Fewer weights: the smallest become zero.

In: tensors by name. Out: the same with zeros. The one idea: a weight near 0 changes little
(magnitude pruning, LeCun et al. 1990; Han et al., arXiv:1506.02626). Freely chosen, or 2 of every 4
neighbours, the pattern that some GPUs skip. Zeros save nothing by themselves: `pruned_bytes` counts
what formats that leave them out would take. Left out: training on afterwards, pruning by inputs.
"""

import math

import torch

from minillm.compress.quantize import is_layer_matrix

PATTERN_KEPT = 2
PATTERN_SIZE = 4


def magnitude_mask(weight: torch.Tensor, sparsity: float) -> torch.Tensor:
    """True where a weight stays: all but the `sparsity` share of smallest size."""
    if not 0 <= sparsity <= 1:
        raise ValueError(f"sparsity = {sparsity}: must lie between 0 (keep all) and 1 (keep none)")
    num_zeros = round(sparsity * weight.numel())
    smallest_first = weight.abs().flatten().argsort(stable=True)
    mask = torch.ones(weight.numel(), dtype=torch.bool)
    mask[smallest_first[:num_zeros]] = False
    return mask.view(weight.shape)


def two_of_four_mask(weight_NK: torch.Tensor) -> torch.Tensor:
    """True for the two largest of every four neighbours in a row; a row's rest of < 4 stays."""
    whole = weight_NK.shape[1] // PATTERN_SIZE * PATTERN_SIZE
    mask = torch.ones(weight_NK.shape, dtype=torch.bool)
    fours = weight_NK[:, :whole].abs().unflatten(1, (-1, PATTERN_SIZE))
    kept = fours.argsort(dim=-1, descending=True, stable=True)[..., :PATTERN_KEPT]
    mask[:, :whole] = torch.zeros(fours.shape, dtype=torch.bool).scatter_(-1, kept, True).flatten(1)
    return mask


def prune_state(
    tensors: dict[str, torch.Tensor], sparsity: float | None
) -> dict[str, torch.Tensor]:
    """Each matrix of the layers gets zeros, by itself; None asks for two of four."""
    pruned = {}
    for name, each in tensors.items():
        if is_layer_matrix(name, each):
            mask = two_of_four_mask(each) if sparsity is None else magnitude_mask(each, sparsity)
            each = each * mask
        pruned[name] = each
    return pruned


def pruned_bytes(num_weights: int, sparsity: float | None, bytes_per_weight: int = 2) -> int:
    """What a matrix takes if zeros are left out: a bit a weight says which, or 2 bits a kept one.

    `sparsity` is None for two of four; never more than the plain matrix.
    """
    if sparsity is None:
        kept = num_weights * PATTERN_KEPT // PATTERN_SIZE
        return kept * bytes_per_weight + math.ceil(2 * kept / 8)
    kept = num_weights - round(sparsity * num_weights)
    with_map = kept * bytes_per_weight + math.ceil(num_weights / 8)
    return min(with_map, num_weights * bytes_per_weight)
