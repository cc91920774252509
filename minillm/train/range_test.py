"""Which learning rates are worth a run? One short walk through all of them says where to look.

The rate grows by one factor a step, from far too small to far too large; the loss falls, then rises
(Smith, arXiv:1506.01186). Best rates of a whole run lie below the one where it turns: a hint, not a
result. The model is left as it was, to the last bit.
"""

import copy
import math
from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import nn

from minillm.train.averaging import optimizer_for
from minillm.train.loop import BatchType, LossFunction, accumulate_gradients
from minillm.train.optimizer import clip_gradients
from minillm.train.scaling import loss_scale
from minillm.train.schedule import TrainingConfig

# a loss so much above the lowest has turned for good
TURNED = 1.5
SMOOTHING = 0.8


@dataclass(frozen=True, kw_only=True, slots=True)
class RangeTest:
    """Rates in rising order, the loss that was seen at each, and the same smoothed."""

    rates: list[float]
    losses: list[float]
    smoothed: list[float]

    @property
    def turning_rate(self) -> float:
        """The rate at which the smoothed loss was lowest."""
        return self.rates[self.smoothed.index(min(self.smoothed))]


def range_test(
    model: nn.Module,
    batches: Iterator[BatchType],
    loss_fn: LossFunction,
    config: TrainingConfig,
    *,
    lowest: float = 1e-5,
    highest: float = 1.0,
    num_steps: int = 100,
) -> RangeTest:
    """Step on a copy of the model while the rate rises; stop early where the loss has turned."""
    if not 0 < lowest < highest or num_steps < 2:
        raise ValueError(
            f"lowest = {lowest}, highest = {highest}, num_steps = {num_steps}: rates must be above "
            "0 and rise, in at least 2 steps"
        )
    config, tried = replace(config, precision=config.precision or "float32"), copy.deepcopy(model)
    optimizer = optimizer_for(tried, config)
    rates: list[float] = []
    losses: list[float] = []
    smoothed: list[float] = []
    mean = 0.0
    with torch.random.fork_rng():
        for step in range(num_steps):
            rate = lowest * (highest / lowest) ** (step / (num_steps - 1))
            scale = loss_scale(optimizer)
            figures = accumulate_gradients(tried, batches, loss_fn, config, loss_scale=scale)
            loss = float(figures["loss"])
            mean = SMOOTHING * mean + (1 - SMOOTHING) * loss
            value = mean / (1 - SMOOTHING ** (step + 1))
            if not math.isfinite(loss) or (smoothed and value > TURNED * min(smoothed)):
                break
            rates, losses, smoothed = [*rates, rate], [*losses, loss], [*smoothed, value]
            clip_gradients(tried.parameters(), config.clip_norm)
            optimizer.step(rate)
            tried.zero_grad(set_to_none=True)
    if not rates:
        raise ValueError(f"the loss is {loss} before any step; look at model and batches")
    return RangeTest(rates=rates, losses=losses, smoothed=smoothed)
