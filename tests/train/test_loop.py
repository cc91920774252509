"""The loop on small models: accumulation, overfitting, the clock, signals, divergence."""

import math
import os
import signal
from collections.abc import Iterator
from itertools import repeat

import pytest
import torch
from torch import nn

from minillm.batches.stream import IGNORE, Batch
from minillm.model.transformer import Transformer
from minillm.train import loop as module
from minillm.train.loop import accumulate_gradients, train, training_step
from minillm.train.optimizer import make_optimizer
from minillm.train.ranks import ALONE
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import pretraining_loss
from tests.train.tiny import CONTEXT, VOCAB_SIZE, tiny_model

LOSS = pretraining_loss(bytes_per_token=4.0, device="cpu")


class Lines(list):
    """A log in memory."""

    def write(self, **fields: object) -> None:
        self.append(fields)


class Clock:
    """A clock that moves by one second whenever it is read."""

    def __init__(self) -> None:
        self.now_s = 0.0

    def perf_counter(self) -> float:
        self.now_s += 1.0
        return self.now_s


def made_batch(num_rows: int, seed: int, first_ignored: int = CONTEXT) -> Batch:
    generator = torch.Generator().manual_seed(seed)
    tokens = torch.randint(VOCAB_SIZE, (num_rows, CONTEXT + 1), generator=generator)
    targets = tokens[:, 1:].clone()
    targets[:, first_ignored:] = IGNORE
    return Batch(tokens[:, :-1], targets, torch.zeros(num_rows, CONTEXT, dtype=torch.int32))


def joined(*batches: Batch) -> Batch:
    return Batch(
        *(
            torch.cat([getattr(each, name) for each in batches])
            for name in ("tokens_BT", "targets_BT", "documents_BT")
        )
    )


def config(**fields: object) -> TrainingConfig:
    return TrainingConfig(
        **{"max_steps": 10, "precision": "float32", "warmup_fraction": 0.0, **fields}
    )


def trained(
    batches: Iterator[Batch],
    settings: TrainingConfig,
    model: nn.Module | None = None,
    **options: object,
) -> tuple[TrainState, Lines, nn.Module]:
    if model is None:
        torch.manual_seed(0)
        model = Transformer(tiny_model())
    optimizer = make_optimizer(
        model, settings.optimizer, weight_decay=settings.weight_decay, betas=settings.betas
    )
    state, log = options.pop("state", TrainState()), Lines()
    train(model, batches, LOSS, optimizer, settings, state=state, log=log, **options)
    return state, log, model


def ragged_difference(accumulate: object = accumulate_gradients) -> float:
    """The largest difference between gradients of three ragged batches and of the one they form."""
    parts = [made_batch(2, 1, 5), made_batch(3, 2, 17), made_batch(1, 3)]
    gradients = []
    for batches in (parts, [joined(*parts)]):
        torch.manual_seed(0)
        model = Transformer(tiny_model()).double()
        accumulate(model, iter(batches), LOSS, config(accumulate=len(batches)))
        gradients.append(torch.cat([each.grad.flatten() for each in model.parameters()]))
    return (gradients[0] - gradients[1]).abs().max().item()


def test_accumulation_equals_one_big_batch_when_rows_are_ragged() -> None:
    """In float64 the order of the sums is all that differs (measured 4e-17)."""
    assert ragged_difference() < 1e-14


def unscaled(
    model: nn.Module, batches: Iterator[Batch], loss_fn: object, settings: TrainingConfig
) -> None:
    for _ in range(settings.accumulate):
        loss_fn(model, next(batches))[0].backward()


def mean_of_means(
    model: nn.Module, batches: Iterator[Batch], loss_fn: object, settings: TrainingConfig
) -> None:
    for _ in range(settings.accumulate):
        (loss_fn(model, next(batches))[0] / settings.accumulate).backward()


@pytest.mark.parametrize("bug", [unscaled, mean_of_means])
def test_planted_bugs_in_accumulation_are_seen(bug: object) -> None:
    assert ragged_difference(bug) > 1e-4


def test_accumulated_figures_are_means_over_targets() -> None:
    model = Transformer(tiny_model())
    parts = [made_batch(2, 1, 5), made_batch(1, 3)]
    figures = accumulate_gradients(model, iter(parts), LOSS, config(accumulate=2))
    expected = LOSS(model, joined(*parts))[0].item()
    assert figures["num_targets"] == 2 * 5 + CONTEXT
    assert figures["loss"].item() == pytest.approx(expected, rel=1e-6)
    assert figures["bits_per_byte"].item() == pytest.approx(expected / (4 * math.log(2)), rel=1e-6)


@pytest.mark.parametrize("kind", ["adamw", "muon"])
def test_training_starts_at_ln_v_and_overfits_one_batch(kind: str) -> None:
    settings = config(max_steps=150, learning_rate=2e-2, weight_decay=0.0, optimizer=kind)
    _, log, _ = trained(repeat(made_batch(2, 0)), settings)
    assert log[0]["loss"] == pytest.approx(math.log(VOCAB_SIZE), rel=0.01)
    assert log[-1]["loss"] < 0.05


def test_the_log_has_every_figure_and_adds_up() -> None:
    _, log, _ = trained(repeat(made_batch(2, 0)), config(max_steps=3))
    assert [line["step"] for line in log] == [1, 2, 3]
    assert [line["tokens"] for line in log] == [2 * CONTEXT * step for step in (1, 2, 3)]
    names = {
        "event",
        "step",
        "loss",
        "bits_per_byte",
        "learning_rate",
        "gradient_norm",
        "tokens",
        "tokens_per_s",
        "elapsed_s",
    }
    assert set(log[0]) == names
    assert log[0]["learning_rate"] == config().learning_rate


def test_log_evaluation_and_saving_come_when_they_are_due() -> None:
    saved, evaluated = [], []

    def evaluate(_model: nn.Module, step: int) -> dict[str, float]:
        evaluated.append(step)
        return {"score": float(step)}

    settings = config(log_every_steps=3, checkpoint_every_steps=4, evaluate_every_steps=5)
    state, log, _ = trained(
        repeat(made_batch(1, 0)),
        settings,
        evaluate=evaluate,
        save=lambda state: saved.append(state.step),
    )
    assert [line["step"] for line in log if line["event"] == "step"] == [3, 4, 5, 6, 8, 9, 10]
    assert evaluated == [5, 10] and saved == [4, 8, 10]
    assert state.figures == {"score": 10.0}


def test_evaluation_by_fraction() -> None:
    steps = []
    settings = config(max_steps=7, evaluate_every_fraction=0.25)
    trained(
        repeat(made_batch(1, 0)), settings, evaluate=lambda model, step: steps.append(step) or {}
    )
    assert steps == [2, 4, 6, 7]


def test_a_run_limited_by_minutes_ends_its_schedule_on_time(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "time", Clock())
    settings = config(max_steps=None, max_minutes=0.5, final_fraction=0.1)
    state, log, _ = trained(repeat(made_batch(1, 0)), settings)
    assert (state.step, state.elapsed_s) == (30, 30.0)
    assert log[-1]["learning_rate"] == pytest.approx(0.1 * settings.learning_rate, rel=0.1)


def test_a_resumed_run_continues_its_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "time", Clock())
    settings = config(max_steps=None, max_minutes=0.5)
    state, _, _ = trained(
        repeat(made_batch(1, 0)), settings, state=TrainState(step=20, elapsed_s=20.0)
    )
    assert state.step == 30


def test_the_warm_up_begins_after_the_compiling_also_when_resumed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock()
    monkeypatch.setattr(module, "time", clock)
    settings = config(max_steps=None, max_minutes=0.5, warmup_fraction=0.5, compile=True)

    def slow_at_first() -> Iterator[Batch]:
        clock.now_s += 9.0
        yield from repeat(made_batch(1, 0))

    state, log, _ = trained(slow_at_first(), settings)
    assert (state.step, state.elapsed_s, state.compiling_s) == (21, 30.0, 10.0)
    rates = [line["learning_rate"] / settings.learning_rate for line in log if "loss" in line]
    # 20 seconds are left to train in, the first half of them warms up
    assert rates[:12] == pytest.approx([0.0, *(second / 10 for second in range(11))])
    half = TrainState(step=11, elapsed_s=20.0, compiling_s=10.0)
    state, _, _ = trained(slow_at_first(), settings, state=half)
    assert (state.step, state.elapsed_s, state.compiling_s) == (12, 30.0, 20.0)


def test_gradients_are_averaged_before_they_are_clipped() -> None:
    model = Transformer(tiny_model())
    settings = config(clip_norm=1e-3)
    optimizer = make_optimizer(model, "adamw", weight_decay=0.0, betas=settings.betas)

    def ten_times(model: nn.Module, sums: dict) -> dict:
        for each in model.parameters():
            each.grad *= 10
        return sums

    norms = [
        float(
            training_step(
                model,
                repeat(made_batch(1, 0)),
                LOSS,
                optimizer,
                settings,
                fraction=1.0,
                average_gradients=hook,
            )["gradient_norm"]
        )
        for hook in (ALONE.average_gradients, ten_times)
    ]
    assert norms[1] == pytest.approx(10 * norms[0], rel=0.05)


def test_divergence_is_one_clear_error_and_is_never_saved() -> None:
    model = Transformer(tiny_model())
    with torch.no_grad():
        model.model.norm.weight.fill_(math.inf)
    saved = []
    with pytest.raises(ValueError, match="training has diverged.*lower learning_rate"):
        trained(
            repeat(made_batch(1, 0)), config(), model, save=lambda state: saved.append(state.step)
        )
    assert saved == []


def test_divergence_is_told_before_an_evaluation_meets_it() -> None:
    """Step 3 is not logged for itself, and is asked about."""
    model, asked = Transformer(tiny_model()), []

    def evaluate(_model: nn.Module, step: int) -> dict[str, float]:
        asked.append(step)
        return {"pairs": 0.0}  # of a model that says nothing at all: a number like any other

    def spoilt() -> Iterator[Batch]:
        yield from [made_batch(1, 0)] * 2
        with torch.no_grad():
            model.model.norm.weight.fill_(math.nan)
        yield from repeat(made_batch(1, 0))

    settings = config(
        log_every_steps=50, evaluate_every_steps=3, keep_best="pairs", best_is="highest"
    )
    with pytest.raises(ValueError, match="training has diverged .loss nan at step 3"):
        trained(spoilt(), settings, model, evaluate=evaluate, save=lambda state: asked.append(-1))
    assert asked == []


def test_a_signal_while_the_last_step_is_saved_is_heard() -> None:
    saved, asked = [], []

    def save(state: TrainState) -> None:
        saved.append(state.step)
        os.kill(os.getpid(), signal.SIGTERM)

    with pytest.raises(KeyboardInterrupt, match="SIGTERM: training stopped after step 10"):
        trained(
            repeat(made_batch(1, 0)), config(), save=save,
            evaluate=lambda _model, step: asked.append(step) or {},
        )
    assert saved == [10] and asked == []


def test_a_step_without_anything_to_learn_is_refused() -> None:
    with pytest.raises(ValueError, match="num_targets = 0: nothing to learn .*; give longer texts"):
        trained(repeat(made_batch(1, 0, first_ignored=0)), config())


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_finishes_the_step_saves_and_stops(number: signal.Signals) -> None:
    saved, before = [], signal.getsignal(number)

    def evaluate(_model: nn.Module, step: int) -> dict[str, float]:
        if step == 3:
            os.kill(os.getpid(), number)
        return {}

    with pytest.raises(KeyboardInterrupt, match=f"{number.name}: training stopped after step 4"):
        trained(
            repeat(made_batch(1, 0)),
            config(evaluate_every_steps=1),
            evaluate=evaluate,
            save=lambda state: saved.append(state.step),
        )
    assert saved == [4]
    assert signal.getsignal(number) is before


def test_precision_left_open_is_measured_and_one_given_is_kept(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen = []
    monkeypatch.setattr(module, "faster_precision", lambda device: "bfloat16")
    plain = module.autocast
    monkeypatch.setattr(
        module, "autocast", lambda device, name: seen.append(name) or plain(device, name)
    )
    for precision in (None, "float32", "bfloat16"):
        trained(repeat(made_batch(1, 0)), config(max_steps=1, precision=precision))
    assert seen == ["bfloat16", "float32", "bfloat16"]
