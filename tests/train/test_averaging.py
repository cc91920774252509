"""The running mean of the weights: its closed form, torch's, and where it is used."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from minillm.model.transformer import Transformer
from minillm.train.averaging import (
    Averaged,
    average_in_place,
    of_the_average,
    optimizer_for,
    take_average,
)
from minillm.train.optimizer import AdamW, ParameterGroup
from minillm.train.scaling import LossScaled
from minillm.train.schedule import TrainingConfig
from minillm.train.trainer import pretrain
from tests.train.tiny import losses, tiny_config, tiny_model, tiny_run, weights

DECAY, NUM_STEPS = 0.8, 12


class Given:
    """An optimizer that puts given weights in place."""

    def __init__(self, parameter: nn.Parameter, path: list[torch.Tensor]) -> None:
        self.parameter, self.path = parameter, iter(path)

    def step(self, learning_rate: float) -> None:
        self.parameter.data.copy_(next(self.path))

    def state_tensors(self) -> dict[str, torch.Tensor]:
        return {}

    def load_state_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        assert tensors is not None


def path() -> list[torch.Tensor]:
    return list(torch.randn(NUM_STEPS, 7, generator=torch.Generator().manual_seed(0)).double())


def averaged(make: Callable = Averaged) -> torch.Tensor:
    parameter = nn.Parameter(torch.full((7,), 1e6, dtype=torch.float64))
    optimizer = make(Given(parameter, path()), {"w": parameter}, DECAY)
    for _ in range(NUM_STEPS):
        optimizer.step(1.0)
    assert torch.equal(parameter.detach(), path()[-1])
    return optimizer.averages[0]


def closed_form() -> torch.Tensor:
    shares = [DECAY**age for age in range(NUM_STEPS)][::-1]
    return sum(s * w for s, w in zip(shares, path(), strict=True)) / sum(shares)


def test_the_average_is_the_weighted_mean_of_all_steps_and_of_nothing_before() -> None:
    torch.testing.assert_close(averaged(), closed_form())


class FromTheStart(Averaged):
    """Counts the untrained weights in."""

    def step(self, learning_rate: float) -> None:
        self.num_steps += 10**6
        super().step(learning_rate)


class BeforeTheMove(Averaged):
    """Averages the weights of the step before."""

    def step(self, learning_rate: float) -> None:
        before = self.optimizer
        self.optimizer = Given(nn.Parameter(torch.zeros(7)), path())
        super().step(learning_rate)
        self.optimizer = before
        before.step(learning_rate)


@pytest.mark.parametrize("bug", [FromTheStart, BeforeTheMove])
def test_planted_bugs_in_the_average_are_seen(bug: type[Averaged]) -> None:
    assert (averaged(bug) - closed_form()).abs().max() > 0.1


def test_far_into_a_run_the_average_is_torchs() -> None:
    from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

    model = nn.Linear(3, 2, bias=False)
    oracle = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(DECAY))
    made = torch.randn(NUM_STEPS, 2, 3, generator=torch.Generator().manual_seed(1))
    ours = Averaged(Given(model.weight, list(made)), {"w": model.weight}, DECAY)
    ours.num_steps = 10**6
    oracle.update_parameters(model)  # torch's first call copies
    for _ in range(NUM_STEPS):
        ours.step(1.0)
        oracle.update_parameters(model)
    torch.testing.assert_close(ours.averages[0], oracle.module.weight.detach())


def test_the_average_is_in_place_for_an_evaluation_and_gone_after_it() -> None:
    model = Transformer(tiny_model())
    config = TrainingConfig(max_steps=5, precision="float16", average_decay=DECAY)
    optimizer = optimizer_for(model, config)
    assert isinstance(optimizer, LossScaled) and isinstance(optimizer.optimizer, Averaged)
    own = [each.detach().clone() for each in model.parameters()]
    averages = [each.fill_(0.5) for each in optimizer.optimizer.averages]
    seen = []

    def evaluate(model: nn.Module, step: int) -> dict[str, float]:
        seen.extend(float(each.detach().min()) for each in model.parameters())
        return {}

    of_the_average(evaluate, optimizer)(model, 1)
    assert set(seen) == {0.5}
    assert all(torch.equal(a, b) for a, b in zip(own, model.parameters(), strict=True))
    with pytest.raises(ZeroDivisionError), average_in_place(optimizer):
        seen.append(1 / 0)
    assert all(torch.equal(a, b) for a, b in zip(own, model.parameters(), strict=True))
    assert all(float(each.max()) == 0.5 for each in averages)
    take_average(optimizer)
    assert all(float(each.detach().min()) == 0.5 for each in model.parameters())


def test_a_skipped_step_does_not_count_in_the_average() -> None:
    weights = nn.Parameter(torch.ones(3))
    adamw = AdamW([ParameterGroup(parameters={"w": weights}, weight_decay=0.0)])
    inner = Averaged(adamw, {"w": weights}, DECAY)
    optimizer = LossScaled(inner, [weights])
    for value in (1.0, float("inf"), 1.0):
        weights.grad = torch.full((3,), value)
        optimizer.step(0.1)
    assert inner.num_steps == adamw.num_steps == 2


def test_without_an_average_everything_is_as_it_was() -> None:
    model = Transformer(tiny_model())
    optimizer = optimizer_for(model, TrainingConfig(max_steps=5, precision="float32"))
    assert isinstance(optimizer, AdamW)
    own = [each.detach().clone() for each in model.parameters()]
    take_average(optimizer)
    assert all(torch.equal(a, b) for a, b in zip(own, model.parameters(), strict=True))
    assert of_the_average(None, optimizer) is None


def test_averaging_changes_the_result_of_a_run_and_not_its_way(tmp_path: Path) -> None:
    runs = {decay: tiny_run(tmp_path / str(decay)) for decay in (None, 0.5)}
    results = {
        decay: pretrain(tiny_config(run, average_decay=decay), run) for decay, run in runs.items()
    }
    assert losses(runs[None]) == losses(runs[0.5])
    assert weights(results[None]) != weights(results[0.5])
