"""How large the numbers in an untrained model are, forward and back, before it is built.

In: a shape, the size of its first weights, a text. Out: the mean square of the residual stream, and
of the loss' gradient there, after each layer. The one idea: a sum of D products of a vector and
independent weights is normal, so that only products of *pairs of tokens*, averaged over D, need be
followed through the layers (Poole et al., arXiv:1606.05340; Schoenholz et al., arXiv:1611.01232).
Scores are taken as 0, so that every token hears all before it alike: right while the first weights
are small. Left out: the way back through the scores, of relative size (D·σ²)².
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from torch import nn

from minillm.model.loss import cross_entropy
from minillm.model.transformer import ModelConfig
from minillm.model.variants import refuse_variants

# The gate is smooth: further terms of its series are below a millionth
NUM_TERMS = 12
NUM_NODES = 80

Function = Callable[[np.ndarray], np.ndarray]


@dataclass(frozen=True, kw_only=True, slots=True)
class FirstWeights:
    """Standard deviations: of the embedding, of matrices inside, of the two that write."""

    embedding: float
    inside: float
    writer: float


def first_weights(config: ModelConfig) -> FirstWeights:
    """What `initialise` draws."""
    inside = config.initial_std / math.sqrt(config.width_ratio)
    writer = inside / math.sqrt(2 * config.num_layers)
    return FirstWeights(embedding=config.initial_std, inside=inside, writer=writer)


def silu(x: np.ndarray) -> np.ndarray:
    """x · σ(x), which SwiGLU's gate passes through."""
    return x / (1 + np.exp(-x))


def silu_slope(x: np.ndarray) -> np.ndarray:
    """Its derivative, σ(x) · (1 + x · (1 − σ(x)))."""
    gate = 1 / (1 + np.exp(-x))
    return gate * (1 + x * (1 - gate))


def mean_product(function: Function, variance: float, correlation: np.ndarray) -> np.ndarray:
    """E[f(a)·f(b)] for normal a and b of this variance and these correlations ρ: Σ c_k² ρ^k, where
    c_k is the part of f along the k-th Hermite polynomial."""
    nodes, weights = np.polynomial.hermite_e.hermegauss(NUM_NODES)
    values = function(math.sqrt(variance) * nodes) * weights / weights.sum()
    total = np.zeros_like(correlation)
    for order in range(NUM_TERMS):
        polynomial = np.polynomial.hermite_e.hermeval(nodes, [0] * order + [1])
        part = (values * polynomial).sum() / math.sqrt(math.factorial(order))
        total += part**2 * correlation**order
    return total


def normed(products_TT: np.ndarray, epsilon: float) -> tuple[np.ndarray, np.ndarray]:
    """What a norm makes of the products, and the sizes that it divided two tokens by."""
    size_T = np.sqrt(products_TT.diagonal() + epsilon)
    sizes_TT = np.outer(size_T, size_T)
    return products_TT / sizes_TT, sizes_TT


@dataclass(frozen=True, kw_only=True, slots=True)
class Spread:
    """Mean squares after the embedding and after each layer: of the stream, of gradients there."""

    stream: np.ndarray
    gradient: np.ndarray


# package only
def refuse_unpredicted(config: ModelConfig) -> None:
    """ValueError for a model that is more than a plain decoder."""
    refuse_variants(config, "this prediction")
    if config.positions not in ("rotary", "none"):
        raise ValueError(
            f"positions = {config.positions!r}: what they add is not in this prediction; use "
            "'rotary' or 'none'"
        )


def predicted_spread(
    config: ModelConfig, tokens: Sequence[int], targets: Sequence[int], first: FirstWeights
) -> Spread:
    """Of one row and its mean loss. `products_TT` are averages of x_t · x_s, `slopes_TT` those of
    the gradients at t and s."""
    refuse_unpredicted(config)
    D, F, V, num_tokens = config.width, config.ffn_width, config.vocab_size, len(tokens)
    inner, written = D * first.inside**2, D * first.writer**2
    average_TT = np.tril(np.ones((num_tokens, num_tokens))) / np.arange(1, num_tokens + 1)[:, None]
    products_TT = first.embedding**2 * np.equal.outer(tokens, tokens)
    stream, passed = [products_TT.diagonal().mean()], []
    for _ in range(config.num_layers):
        heard_TT, heard_sizes_TT = normed(products_TT, config.norm_epsilon)
        products_TT = products_TT + inner * written * average_TT @ heard_TT @ average_TT.T
        read_TT, read_sizes_TT = normed(products_TT, config.norm_epsilon)
        gates_TT = mean_product(silu, inner, read_TT)
        products_TT = products_TT + F / D * written * inner * read_TT * gates_TT
        slopes = mean_product(silu_slope, inner, read_TT) * inner * read_TT + gates_TT
        passed.append((heard_sizes_TT, F / D * inner * written * slopes / read_sizes_TT))
        stream.append(products_TT.diagonal().mean())
    sizes_TT = normed(products_TT, config.norm_epsilon)[1]
    # a softmax of equal logits less a one in the target's place, through the head and the last norm
    head = first.embedding * config.initial_last_norm / config.width_ratio
    is_same_TT = np.equal.outer(targets, targets)
    slopes_TT = (head / num_tokens) ** 2 * (is_same_TT - 1 / V) / sizes_TT
    gradient = [slopes_TT.diagonal().mean()]
    for heard_sizes_TT, read_slopes_TT in reversed(passed):
        slopes_TT = slopes_TT * (1 + read_slopes_TT)
        back_TT = average_TT.T @ slopes_TT @ average_TT
        slopes_TT = slopes_TT + inner * written * back_TT / heard_sizes_TT
        gradient.append(slopes_TT.diagonal().mean())
    return Spread(stream=np.array(stream), gradient=np.array(gradient[::-1]))


def measured_spread(model: nn.Module, tokens: Sequence[int], targets: Sequence[int]) -> Spread:
    """The same of a model that was built and drawn; its gradients are cleared."""
    passed: list[torch.Tensor] = []

    def keep(part: nn.Module, given: object, x_BTD: torch.Tensor) -> None:
        x_BTD.retain_grad()
        passed.append(x_BTD)

    parts = (model.model.embed_tokens, *model.model.layers)
    hooks = [part.register_forward_hook(keep) for part in parts]
    device = next(model.parameters()).device
    tokens_BT, targets_BT = (torch.tensor([ids], device=device) for ids in (tokens, targets))
    try:
        cross_entropy(model(tokens_BT), targets_BT).backward()
    finally:
        for hook in hooks:
            hook.remove()
    model.zero_grad(set_to_none=True)
    return Spread(
        stream=np.array([x_BTD.square().mean().item() for x_BTD in passed]),
        gradient=np.array([x_BTD.grad.square().mean().item() for x_BTD in passed]),
    )
