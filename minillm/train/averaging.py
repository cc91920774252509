"""A running mean of the weights: the middle of the last steps, beside the run's own weights.

Steps jump about the bottom of the valley; their mean lies nearer to it than the last of them
(Polyak & Juditsky, 1992). θ̄ ← θ̄ + (1 − d) / (1 − dᵗ) · (θ − θ̄): after the first step the mean is
that step's weights, and what stood there before training counts nothing. Left out: means over part
of a run alone, means kept on another device.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch
from torch import nn

from minillm.train.optimizer import Optimizer, make_optimizer
from minillm.train.precision import direction_dtype
from minillm.train.scaling import LossScaled
from minillm.train.schedule import TrainingConfig


class Averaged:
    """An optimizer that keeps, beside the weights it moves, their exponential moving average."""

    def __init__(
        self, optimizer: Optimizer, parameters: dict[str, nn.Parameter], decay: float
    ) -> None:
        self.optimizer, self.parameters, self.decay = optimizer, parameters, decay
        self.num_steps = 0
        self.averages = [each.detach().clone() for each in parameters.values()]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        self.optimizer.step(learning_rate)
        self.num_steps += 1
        share = (1 - self.decay) / (1 - self.decay**self.num_steps)
        torch._foreach_lerp_(self.averages, list(self.parameters.values()), share)

    @torch.no_grad()
    def exchange(self) -> None:
        """Averages into the model and its weights here; a second time, and all is as it was."""
        for parameter, average in zip(self.parameters.values(), self.averages, strict=True):
            kept = parameter.detach().clone()
            parameter.copy_(average)
            average.copy_(kept)

    def state_tensors(self) -> dict[str, torch.Tensor]:
        named = zip(self.parameters, self.averages, strict=True)
        own = {"average.num_steps": torch.tensor(self.num_steps)}
        own |= {f"average.{name}": average for name, average in named}
        return self.optimizer.state_tensors() | own

    @torch.no_grad()
    def load_state_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self.optimizer.load_state_tensors(tensors)
        self.num_steps = int(tensors["average.num_steps"])
        for name, average in zip(self.parameters, self.averages, strict=True):
            average.copy_(tensors[f"average.{name}"])


def optimizer_for(model: nn.Module, config: TrainingConfig) -> Optimizer:
    """What the configuration asks for: AdamW or Muon, the average around it, the scale outermost.

    So a step that is left out for an overflow does not count in the average either.
    """
    optimizer: Optimizer = make_optimizer(
        model, config.optimizer, weight_decay=config.weight_decay, betas=config.betas,
        dtype=direction_dtype(config.precision),
    )
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    if config.average_decay is not None:
        optimizer = Averaged(optimizer, trained, config.average_decay)
    if config.precision == "float16":
        optimizer = LossScaled(optimizer, trained.values())
    return optimizer


# package only
@contextmanager
def average_in_place(optimizer: Optimizer) -> Iterator[None]:
    """Inside, the model has the averaged weights, if there are any; afterwards its own again."""
    inner = optimizer.optimizer if isinstance(optimizer, LossScaled) else optimizer
    averages = [inner] if isinstance(inner, Averaged) else []
    for each in averages:
        each.exchange()
    try:
        yield
    finally:
        for each in averages:
            each.exchange()


# package only
def of_the_average(
    evaluate: Callable[[nn.Module, int], dict] | None, optimizer: Optimizer
) -> Callable[[nn.Module, int], dict] | None:
    """The same evaluation, of the averaged weights where there are any: they are the result."""
    if evaluate is None:
        return None

    def evaluate_average(model: nn.Module, step: int) -> dict:
        with average_in_place(optimizer):
            return evaluate(model, step)

    return evaluate_average


# package only
def take_average(optimizer: Optimizer) -> None:
    """The averaged weights become the model's, at the end of a run."""
    inner = optimizer.optimizer if isinstance(optimizer, LossScaled) else optimizer
    if isinstance(inner, Averaged):
        inner.exchange()
