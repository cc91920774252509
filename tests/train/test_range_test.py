"""The range test: rates rise by one factor, the model stays as it was, a known valley is read."""

import math
from itertools import repeat

import pytest
import torch
from torch import nn

from minillm.model.transformer import Transformer
from minillm.train.range_test import range_test
from tests.train.test_loop import LOSS, config, made_batch
from tests.train.tiny import tiny_model


def test_the_model_its_gradients_and_chance_are_as_they_were() -> None:
    torch.manual_seed(0)
    model = Transformer(tiny_model())
    before, chance = [p.detach().clone() for p in model.parameters()], torch.get_rng_state()
    found = range_test(model, repeat(made_batch(2, 0)), LOSS, config(), num_steps=30)
    assert all(torch.equal(a, b) for a, b in zip(before, model.parameters(), strict=True))
    assert all(each.grad is None for each in model.parameters())
    assert torch.equal(chance, torch.get_rng_state())
    assert len(found.rates) == len(found.losses) == len(found.smoothed) <= 30


def test_rates_rise_by_one_factor_from_the_lowest_to_the_highest() -> None:
    model = Transformer(tiny_model())
    batches = repeat(made_batch(1, 0))
    found = range_test(
        model, batches, LOSS, config(), lowest=1e-6, highest=1e-2, num_steps=5
    )
    assert found.rates == pytest.approx([1e-6, 1e-5, 1e-4, 1e-3, 1e-2])


def test_it_stops_where_the_loss_has_turned() -> None:
    """A number that AdamW moves by the rate: from 1 toward 0, then far beyond it."""

    class Valley(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.place = nn.Parameter(torch.tensor(1.0))

    def loss_fn(model: nn.Module, batch: object) -> tuple:
        return model.place.square() + 0.1, {"num_targets": 1}

    settings = config(weight_decay=0.0)
    found = range_test(
        Valley(), repeat(None), loss_fn, settings, lowest=1e-3, highest=1e3, num_steps=60
    )
    assert found.losses[0] == pytest.approx(1.1)
    assert 0.01 < found.turning_rate < 1
    assert len(found.rates) < 60 and found.rates[-1] < 100


@pytest.mark.parametrize("fields", [{"lowest": 0.0}, {"lowest": 2.0}, {"num_steps": 1}])
def test_a_wrong_range_is_refused(fields: dict) -> None:
    model = Transformer(tiny_model())
    with pytest.raises(ValueError, match="rates must be above 0 and rise"):
        range_test(model, repeat(made_batch(1, 0)), LOSS, config(), **fields)


def test_a_model_without_a_loss_is_told_apart_from_a_rate_that_is_too_high() -> None:
    model = Transformer(tiny_model())
    with torch.no_grad():
        model.model.norm.weight.fill_(math.nan)
    with pytest.raises(ValueError, match="the loss is nan before any step"):
        range_test(model, repeat(made_batch(1, 0)), LOSS, config())
