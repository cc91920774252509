"""The one loop: batch → loss → gradients → clip → step, until the schedule ends.

It knows neither texts nor tasks. Batches and a pure `loss_fn(model, batch) -> (loss, figures)` are
passed in, and so are evaluation, saving and the other processes (`ranks`), if there are any.
`figures["num_targets"]` says over how many targets the loss is a mean; the other figures are
averaged and logged. A `watch` looks at each step before it moves. Left out: asynchronous saving.
"""

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import TypeVar

import torch
from torch import nn

from minillm.core.progress import Progress
from minillm.train.optimizer import Optimizer, clip_gradients
from minillm.train.precision import PRECISIONS, autocast, faster_precision
from minillm.train.ranks import ALONE, Ranks
from minillm.train.scaling import loss_scale, scale_figures
from minillm.train.schedule import (
    TrainingConfig,
    TrainState,
    fraction_done,
    learning_rate,
    num_batches,
    seconds_left,
)
from minillm.train.signals import stop_requests, wish_to_stop
from minillm.train.watch import UNWATCHED, Log, Watch

BatchType = TypeVar("BatchType")
Figures = dict[str, float]
# a figure may stay on the device until it is logged: reading it there would wait for the device
StepFigures = dict[str, float | torch.Tensor]
LossFunction = Callable[[nn.Module, BatchType], tuple[torch.Tensor, StepFigures]]
Evaluation = Callable[[nn.Module, int], dict[str, float | str]]
AverageGradients = Callable[[nn.Module, StepFigures], StepFigures]


def accumulate_gradients(
    model: nn.Module,
    batches: Iterator[BatchType],
    loss_fn: LossFunction,
    config: TrainingConfig,
    average_gradients: AverageGradients = ALONE.average_gradients,
    *,
    fraction: float = 1.0,
    loss_scale: float = 1.0,
) -> StepFigures:
    """Gradients of the mean over *all* targets of several batches, as if they were one.

    Sums are added up, over other processes too, and divided once: means could not be. How many
    batches depends on the fraction done; float16 sums are kept `loss_scale` times as large.
    """
    device = next(model.parameters()).device.type
    sums: StepFigures = {}
    num_targets = 0
    for _ in range(num_batches(fraction, config)):
        with autocast(device, config.precision):
            loss, figures = loss_fn(model, next(batches))
        count = int(figures["num_targets"])
        if count:  # rows of padding alone have a mean over nothing: not a number
            (loss * (count * loss_scale)).backward()
        num_targets += count
        for name, value in {**figures, "loss": loss.detach()}.items():
            sums[name] = sums.get(name, 0.0) + (value * count if count else 0.0)
    sums = average_gradients(model, {**sums, "num_targets": num_targets})
    num_targets = sums["num_targets"]
    if num_targets == 0:
        raise ValueError("num_targets = 0: nothing to learn in these rows; give longer texts")
    gradients = [each.grad for each in model.parameters() if each.grad is not None]
    torch._foreach_div_(gradients, num_targets * loss_scale)
    means = {name: value / num_targets for name, value in sums.items()}
    return {**means, "num_targets": num_targets}


def wait_for_device(model: nn.Module) -> None:
    """A GPU is told what to do, and does it later: a clock that does not wait stops too soon."""
    if next(model.parameters()).is_cuda:
        torch.cuda.synchronize()


def training_step(
    model: nn.Module,
    batches: Iterator[BatchType],
    loss_fn: LossFunction,
    optimizer: Optimizer,
    config: TrainingConfig,
    *,
    fraction: float,
    average_gradients: AverageGradients = ALONE.average_gradients,
    watch: Watch = UNWATCHED,
) -> StepFigures:
    """What happens ten thousand times: gradients, their length, this moment's rate, one move."""
    figures = accumulate_gradients(
        model, batches, loss_fn, config, average_gradients,
        fraction=fraction, loss_scale=loss_scale(optimizer),
    )
    figures["gradient_norm"] = clip_gradients(model.parameters(), config.clip_norm)
    figures["learning_rate"] = learning_rate(fraction, config)
    if watch.allows_move(figures):
        optimizer.step(figures["learning_rate"])
        figures |= scale_figures(optimizer)
    else:
        figures["is_skipped"] = 1.0
    watch.after_move()
    model.zero_grad(set_to_none=True)
    wait_for_device(model)
    return figures


# package only
def is_multiple(step: int, every: int | None) -> bool:
    """Is it time for what happens every so many steps? Never, if that is None."""
    return every is not None and step % every == 0


# package only
def evaluation_is_due(state: TrainState, config: TrainingConfig, fraction_before: float) -> bool:
    """After so many steps, or when the fraction done passes a multiple; the end comes anyway."""
    fraction = fraction_done(state, config)
    if every := config.evaluate_every_fraction:
        return fraction < 1 and int(fraction / every + 1e-9) > int(fraction_before / every + 1e-9)
    return fraction < 1 and is_multiple(state.step, config.evaluate_every_steps)


# package only
def tokens_per_s(state: TrainState, before: TrainState) -> float:
    """The speed since an earlier moment of the run."""
    seconds = max(state.elapsed_s - before.elapsed_s, 1e-9)
    return (state.num_targets - before.num_targets) / seconds


# package only
def words_for(
    state: TrainState, figures: StepFigures, before: TrainState, config: TrainingConfig
) -> tuple[str, float | None]:
    """What stands beside the bar: step, loss, speed; and the time left where the clock ends it."""
    loss, speed = float(figures["loss"]), tokens_per_s(state, before)
    left_s = None if config.max_minutes is None else seconds_left(state, config)
    return f"step {state.step:,} loss {loss:.3f} {speed:,.0f} tokens/s", left_s


# package only
def logged_step(
    state: TrainState, figures: StepFigures, before: TrainState, log: Log
) -> TrainState:
    """Write a step's figures as plain numbers, with the speed since the line `before`.

    ValueError if training has diverged: this comes before saving, so no such state is kept.
    """
    plain = {name: float(value) for name, value in figures.items() if name != "num_targets"}
    loss, rate = plain["loss"], plain["learning_rate"]
    is_finite = math.isfinite(loss) and math.isfinite(plain["gradient_norm"])
    if not is_finite and not plain.get("is_skipped"):
        raise ValueError(
            f"learning_rate = {rate:.2g}: training has diverged (loss {loss} at step {state.step});"
            " lower learning_rate, or raise warmup_fraction"
        )
    log.write(
        event="step", step=state.step, **plain, tokens=state.num_targets,
        tokens_per_s=round(tokens_per_s(state, before), 1), elapsed_s=round(state.elapsed_s, 3),
    )
    return replace(state)


# package only
def count_step(
    state: TrainState, figures: StepFigures, seconds: float, *, is_compiling: bool = False
) -> None:
    """One more step, with its targets and its time."""
    state.step += 1
    state.num_targets += figures["num_targets"]
    state.elapsed_s += seconds
    state.compiling_s += seconds if is_compiling else 0.0


# package only
def with_precision(
    config: TrainingConfig, state: TrainState, model: nn.Module, ranks: Ranks = ALONE
) -> TrainingConfig:
    """The same configuration; a precision left open is measured once and kept on resuming."""
    device = next(model.parameters()).device.type
    measured = config.precision or state.precision or faster_precision(device)
    # ranks that measured differently would go different ways
    state.precision = PRECISIONS[int(ranks.largest(PRECISIONS.index(measured))[0])]
    return replace(config, precision=state.precision)


def note_best(state: TrainState, config: TrainingConfig) -> bool:
    """Is the last evaluation the best so far by the figure that decides? The state remembers it."""
    if config.keep_best is None or not state.figures:
        return False
    if config.keep_best not in state.figures:
        known = ", ".join(state.figures)
        raise ValueError(f"keep_best = {config.keep_best!r}: the evaluation has only {known}")
    value, sign = state.figures[config.keep_best], 1 if config.best_is == "lowest" else -1
    is_better = state.best_value is None or sign * value < sign * state.best_value
    if is_better and math.isfinite(value):
        state.best_step, state.best_value = state.step, value
    return is_better and math.isfinite(value)


def evaluated(
    model: nn.Module, evaluate: Evaluation | None, state: TrainState, log: Log
) -> Figures:
    """Ask the evaluation that was passed in, if any, and log its answer; texts stay in the log."""
    if evaluate is None:
        return {}
    model.eval()
    figures = evaluate(model, state.step)
    model.train()
    log.write(event="evaluation", step=state.step, **figures)
    return {name: value for name, value in figures.items() if not isinstance(value, str)}


def train(
    model: nn.Module, batches: Iterator[BatchType], loss_fn: LossFunction,
    optimizer: Optimizer, config: TrainingConfig, *,
    state: TrainState, log: Log, ranks: Ranks = ALONE,
    evaluate: Evaluation | None = None,
    save: Callable[[TrainState], None] | None = None,
    watch: Watch = UNWATCHED,
) -> TrainState:
    """Step until the schedule ends; log, evaluate, save on the way. A signal saves and ends it."""
    config = with_precision(config, state, model, ranks)
    logged, stop = replace(state), []
    compiles_in = state.step if config.compile else None  # its first step here
    model.train()
    with closing(Progress("training")) as progress, stop_requests() as requests:
        while not stop and (fraction := fraction_done(state, config)) < 1:
            started_s = time.perf_counter()
            figures = training_step(
                model, batches, loss_fn, optimizer, config, fraction=fraction,
                average_gradients=ranks.average_gradients, watch=watch,
            )
            seconds = time.perf_counter() - started_s
            count_step(state, figures, seconds, is_compiling=state.step == compiles_in)
            stop, is_last = wish_to_stop(requests, state, ranks), fraction_done(state, config) >= 1
            is_saved = stop or is_last or is_multiple(state.step, config.checkpoint_every_steps)
            is_asked = evaluation_is_due(state, config, fraction)
            if is_saved or is_asked or is_multiple(state.step, config.log_every_steps):
                progress.update(fraction, *words_for(state, figures, logged, config))
                logged = logged_step(state, figures, logged, log)
            if is_asked:
                state.figures = evaluated(model, evaluate, state, log)
                is_saved = note_best(state, config) or is_saved
            if save is not None and is_saved:
                save(state)
            if is_asked or is_saved:
                ranks.wait()  # no rank's clock runs while the first asks and saves
        if stop := stop or wish_to_stop(requests, state, ranks):
            raise KeyboardInterrupt(f"{stop[0]}: training stopped after step {state.step}")
    state.figures = evaluated(model, evaluate, state, log)
    return state
