"""Loss scaling: float16 gradients lifted above their smallest number, and out of overflow again.

A float16 below 6e-8 is 0, and gradients are often smaller. So the loss, hence every gradient, is
multiplied by a power of two before the backward pass and divided again before clipping: nothing is
rounded by that. Which power? As large as does not overflow, found while training: an overflow
costs one step and halves the scale, a long time without doubles it (Micikevicius et al.,
arXiv:1710.03740, 3.2). Ranks decide alike: they look at gradients that are already added up.
"""

import math
from collections.abc import Iterable

import torch
from torch import nn

from minillm.train.optimizer import Optimizer

# the loss is a sum over a step's targets already: a mean's usual 65,536 would overflow at once
FIRST_SCALE = 2.0**10
GOOD_STEPS = 2000
# with gradients so much smaller than the loss overflow has another cause than the scale
LEAST_SCALE = 2.0**-16


def has_overflow(parameters: Iterable[nn.Parameter]) -> bool:
    """Is any gradient's number infinite, or not a number? One look at the device for all."""
    gradients = [each.grad for each in parameters if each.grad is not None]
    norms = torch._foreach_norm(gradients, math.inf)
    return not bool(torch.isfinite(torch.stack(norms)).all())


class LossScaled:
    """An optimizer that leaves out a step with an overflow, and keeps the scale of the loss.

    `step` finds the gradients divided by the scale already.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        parameters: Iterable[nn.Parameter],
        *,
        scale: float = FIRST_SCALE,
        good_steps: int = GOOD_STEPS,
    ) -> None:
        self.optimizer, self.parameters = optimizer, list(parameters)
        self.scale, self.good_steps = scale, good_steps
        self.num_good, self.is_skipped = 0, False

    def step(self, learning_rate: float) -> None:
        self.is_skipped = has_overflow(self.parameters)
        if self.is_skipped:
            self.scale, self.num_good = self.scale / 2, 0
            check_scale(self.scale)
            return
        self.optimizer.step(learning_rate)
        self.num_good += 1
        if self.num_good == self.good_steps:
            self.scale, self.num_good = self.scale * 2, 0

    def state_tensors(self) -> dict[str, torch.Tensor]:
        numbers = {"scaling.scale": self.scale, "scaling.num_good": float(self.num_good)}
        own = {name: torch.tensor(number, dtype=torch.float64) for name, number in numbers.items()}
        return self.optimizer.state_tensors() | own

    def load_state_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self.optimizer.load_state_tensors(tensors)
        self.scale = tensors["scaling.scale"].item()
        self.num_good = int(tensors["scaling.num_good"])


# package only
def check_scale(scale: float) -> None:
    """ValueError where halving does not help: then the gradients are not finite at any scale."""
    if scale < LEAST_SCALE:
        raise ValueError(
            f"precision = 'float16': gradients are not finite at a loss scale of {2 * scale:.2g} "
            "either; training has diverged: lower learning_rate, or take precision = 'bfloat16'"
        )


def loss_scale(optimizer: Optimizer) -> float:
    """What the loss is multiplied by before the backward pass: 1 but for float16."""
    return getattr(optimizer, "scale", 1.0)


def scale_figures(optimizer: Optimizer) -> dict[str, float]:
    """For the log: the scale that the next step takes, and whether this one was left out."""
    if not hasattr(optimizer, "scale"):
        return {}
    figures = {"loss_scale": optimizer.scale}
    return figures | {"is_skipped": 1.0} if optimizer.is_skipped else figures
