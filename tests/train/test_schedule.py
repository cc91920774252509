"""The learning rate at moments computed by hand; what a configuration refuses."""

import math

import pytest

from minillm.train.schedule import (
    TrainingConfig,
    TrainState,
    fraction_done,
    learning_rate,
    num_batches,
    seconds_left,
)

COSINE = TrainingConfig(max_steps=100, learning_rate=2.0, warmup_fraction=0.1, final_fraction=0.1)
PLATEAU = TrainingConfig(
    max_steps=100,
    learning_rate=2.0,
    warmup_fraction=0.1,
    final_fraction=0.0,
    decay="linear",
    decay_fraction=0.2,
)


@pytest.mark.parametrize(
    ("config", "fraction", "expected"),
    [
        (COSINE, 0.0, 0.0),
        (COSINE, 0.05, 1.0),
        (COSINE, 0.1, 2.0),
        (COSINE, 0.55, 1.1),  # half way down: the middle between 2.0 and 0.2
        (COSINE, 0.325, 0.2 + 1.8 * (1 + math.sqrt(0.5)) / 2),  # a quarter: cos 45°
        (COSINE, 1.0, 0.2),
        (COSINE, 1.7, 0.2),
        (PLATEAU, 0.1, 2.0),
        (PLATEAU, 0.5, 2.0),
        (PLATEAU, 0.8, 2.0),
        (PLATEAU, 0.9, 1.0),
        (PLATEAU, 1.0, 0.0),
    ],
)
def test_learning_rate_by_hand(config: TrainingConfig, fraction: float, expected: float) -> None:
    assert learning_rate(fraction, config) == pytest.approx(expected, abs=1e-12)


def test_without_warm_up_or_decay_the_rate_is_level() -> None:
    config = TrainingConfig(
        max_steps=10, learning_rate=0.5, warmup_fraction=0.0, decay_fraction=0.0
    )
    assert [learning_rate(step / 10, config) for step in range(11)] == [0.5] * 11


def test_the_rate_rises_then_never_rises_again() -> None:
    rates = [learning_rate(step / 997, COSINE) for step in range(998)]
    top = rates.index(max(rates))
    assert rates[: top + 1] == sorted(rates[: top + 1]) and rates[top:] == sorted(
        rates[top:], reverse=True
    )


def test_fraction_done_counts_steps_or_seconds() -> None:
    state = TrainState(step=25, elapsed_s=90.0)
    assert fraction_done(state, TrainingConfig(max_steps=100)) == 0.25
    assert fraction_done(state, TrainingConfig(max_minutes=2.0)) == 0.75


def test_the_schedule_of_minutes_begins_after_the_compiling_and_ends_with_the_minutes() -> None:
    minutes = TrainingConfig(max_minutes=2.0)
    assert fraction_done(TrainState(elapsed_s=40.0, compiling_s=40.0), minutes) == 0.0
    assert fraction_done(TrainState(elapsed_s=80.0, compiling_s=40.0), minutes) == 0.5
    assert fraction_done(TrainState(elapsed_s=120.0, compiling_s=40.0), minutes) == 1.0
    assert fraction_done(TrainState(elapsed_s=150.0, compiling_s=150.0), minutes) == 1.0


def test_the_time_that_is_left_is_the_clocks_or_that_of_the_steps_to_come() -> None:
    state = TrainState(step=25, elapsed_s=90.0, compiling_s=60.0)
    assert seconds_left(state, TrainingConfig(max_minutes=2.0)) == 30.0
    assert seconds_left(state, TrainingConfig(max_steps=100)) == 30.0 / 24 * 75
    assert seconds_left(TrainState(step=4, elapsed_s=8.0), TrainingConfig(max_steps=10)) == 12.0
    first = TrainState(step=1, elapsed_s=60.0, compiling_s=60.0)
    assert seconds_left(first, TrainingConfig(max_steps=3)) == 120.0
    assert seconds_left(TrainState(elapsed_s=130.0), TrainingConfig(max_minutes=2.0)) == 0.0


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({}, "give exactly one"),
        ({"max_steps": 3, "max_minutes": 1.0}, "give exactly one"),
        ({"max_steps": 0}, "max_steps = 0: must be above 0"),
        ({"max_minutes": -1.0}, "max_minutes = -1.0: must be above 0"),
        ({"max_minutes": math.nan}, "max_minutes = nan: must be above 0, and a finite number"),
        ({"max_minutes": math.inf}, "max_minutes = inf: must be above 0, and a finite number"),
        ({"max_steps": 3, "learning_rate": 0.0}, "learning_rate = 0.0: must be above 0"),
        ({"max_steps": 3, "accumulate": 0}, "accumulate = 0: must be above 0"),
        (
            {"max_steps": 3, "warmup_fraction": 2.0},
            "warmup_fraction = 2.0: must lie between 0 and 1",
        ),
        ({"max_steps": 3, "optimizer": "adam"}, "optimizer = 'adam': choose one of adamw, muon"),
        ({"max_steps": 3, "decay": "step"}, "decay = 'step': choose one of cosine, linear"),
        ({"max_steps": 3, "precision": "float8"}, "precision = 'float8': choose one of"),
        ({"max_steps": 3, "ramp_fraction": 1.5}, "ramp_fraction = 1.5: must lie between 0 and 1"),
        ({"max_steps": 3, "average_decay": 1.0}, "average_decay = 1.0: must lie between 0 and 1"),
        ({"max_steps": 3, "betas": (0.9, 1.0)}, r"betas = \(0.9, 1.0\): both must lie between 0"),
        ({"max_steps": 3, "betas": (-0.1, 0.9)}, "both must lie between 0 and 1, 1 left out"),
        ({"max_steps": 3, "weight_decay": -0.1}, "weight_decay = -0.1: must be at least 0"),
        ({"max_steps": 3, "recompute": True, "compile": True}, "leave one of the two out"),
    ],
)
def test_a_wrong_field_is_named_with_its_remedy(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        TrainingConfig(**fields)


def test_a_step_grows_by_one_batch_at_a_time_over_the_ramp() -> None:
    config = TrainingConfig(max_steps=16, accumulate=4, ramp_fraction=0.5)
    taken = [num_batches(step / 16, config) for step in range(16)]
    assert taken == [1, 1, 2, 2, 3, 3, 4, 4, *[4] * 8]


def test_without_a_ramp_every_step_takes_all_its_batches() -> None:
    config = TrainingConfig(max_steps=16, accumulate=3)
    assert {num_batches(step / 16, config) for step in range(17)} == {3}
