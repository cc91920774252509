"""Memory for time: a layer keeps its input alone, and computes the rest again when it is asked.

The backward pass needs every layer's inner tensors. Instead of keeping them, run the layer once
more when its turn comes (Chen et al., arXiv:1604.06174): one more forward pass without the head and
each layer's last product, about a quarter of a step, for a fraction of the memory. Numbers do not
change. Left out: choosing which tensors stay.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

Loss = Callable[[nn.Module, object], torch.Tensor]


@contextmanager
def recomputing(layers: Iterable[nn.Module]) -> Iterator[None]:
    """Inside, these layers keep only their inputs; the backward pass may come after."""
    layers = list(layers)
    for layer in layers:
        layer.forward = partial(checkpoint, layer.forward, use_reentrant=False)
    try:
        yield
    finally:
        for layer in layers:
            del layer.forward  # the class's own is found again


def recomputed(loss: Loss) -> Loss:
    """The same loss of a transformer, with the layers' inner tensors computed twice, kept never."""

    def loss_with_less_memory(model: nn.Module, batch: object) -> torch.Tensor:
        with recomputing(model.model.layers):
            return loss(model, batch)

    return loss_with_less_memory
