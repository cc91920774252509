"""The one loop: batch → loss → gradients → clip → step, logged, evaluated, saved, until the schedule ends.

It knows neither texts nor tasks: batches and a pure `loss_fn(model, batch) -> (loss, figures)` are passed in, and so
are evaluation, saving and the averaging of gradients over processes. `figures["num_targets"]` says over how many
targets the loss is a mean; other figures are averaged and logged. A run is measured in the fraction done, of steps or of minutes, and the schedule is a function of that alone.
Left out: loss-spike handling, sharded checkpoints, gradient statistics by layer.
"""

import math
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Literal, Protocol, TypeVar

import torch
from torch import nn

from minillm.core.progress import Progress
from minillm.train.optimizer import Optimizer, clip_gradients, learning_rate
from minillm.train.precision import Precision, autocast, faster_precision

BatchType = TypeVar("BatchType")
Figures = dict[str, float]
LossFunction = Callable[[nn.Module, BatchType], tuple[torch.Tensor, Figures]]


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How a model is trained. Exactly one of `max_steps` and `max_minutes` ends it."""

    max_steps: int | None = None
    max_minutes: float | None = None
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 2e-3
    warmup_fraction: float = 0.05
    decay: Literal["cosine", "linear"] = "cosine"
    decay_fraction: float = 1.0
    final_fraction: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    accumulate: int = 1
    # None: whichever this machine multiplies faster, measured at the start
    precision: Precision | None = None
    compile: bool = False
    seed: int = 0
    log_every_steps: int = 1
    checkpoint_every_steps: int | None = None
    evaluate_every_steps: int | None = None
    evaluate_every_fraction: float | None = None
    from_folder: str | None = None

    # package only
    def __post_init__(self) -> None:
        if (self.max_steps is None) == (self.max_minutes is None):
            raise ValueError(
                f"max_steps = {self.max_steps}, max_minutes = {self.max_minutes}: give exactly one of the two"
            )
        for name in POSITIVE_FIELDS:
            value = getattr(self, name)
            if value is not None and value <= 0:
                raise ValueError(f"{name} = {value}: must be above 0")
        for name in ("warmup_fraction", "final_fraction", "decay_fraction"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must lie between 0 and 1")
        for name, allowed in CHOICES.items():
            if getattr(self, name) not in allowed:
                raise ValueError(f"{name} = {getattr(self, name)!r}: choose one of {', '.join(map(str, allowed))}")


POSITIVE_FIELDS = (
    "max_steps", "max_minutes", "learning_rate", "clip_norm", "accumulate", "log_every_steps",
    "checkpoint_every_steps", "evaluate_every_steps", "evaluate_every_fraction",
)
CHOICES = {
    "optimizer": ("adamw", "muon"), "decay": ("cosine", "linear"), "precision": (None, "float32", "bfloat16"),
}


# package only
class Log(Protocol):
    """Whatever takes a line of figures: `records.JsonLines`, or a list in a notebook."""

    def write(self, **fields: object) -> None: ...


@dataclass(kw_only=True, slots=True)
class TrainState:
    """Where a run stands: what the loop itself remembers between two steps."""

    step: int = 0
    elapsed_s: float = 0.0
    num_targets: int = 0
    figures: Figures = field(default_factory=dict)


def fraction_done(state: TrainState, config: TrainingConfig) -> float:
    """0 at the start, 1 at the end: of the steps, or of the minutes that steps have taken."""
    if config.max_steps is not None:
        return state.step / config.max_steps
    return state.elapsed_s / (60 * config.max_minutes)


def accumulate_gradients(
    model: nn.Module, batches: Iterator[BatchType], loss_fn: LossFunction, config: TrainingConfig
) -> Figures:
    """Gradients of the mean over *all* targets of `accumulate` batches, as if they were one big batch."""
    device = next(model.parameters()).device.type
    sums: dict[str, float | torch.Tensor] = {}
    num_targets = 0
    for _ in range(config.accumulate):
        with autocast(device, config.precision):
            loss, figures = loss_fn(model, next(batches))
        count = int(figures["num_targets"])
        (loss * count).backward()
        num_targets += count
        for name, value in {**figures, "loss": loss.detach(), "num_targets": 1}.items():
            sums[name] = sums.get(name, 0.0) + value * count
    gradients = [parameter.grad for parameter in model.parameters() if parameter.grad is not None]
    torch._foreach_div_(gradients, num_targets)
    return {name: value / num_targets for name, value in sums.items()} | {"num_targets": num_targets}


def training_step(
    model: nn.Module,
    batches: Iterator[BatchType],
    loss_fn: LossFunction,
    optimizer: Optimizer,
    config: TrainingConfig,
    *,
    fraction: float,
    average_gradients: Callable[[nn.Module], None] | None = None,
) -> Figures:
    """What happens ten thousand times: gradients, their length, the rate of this moment, one move."""
    figures = accumulate_gradients(model, batches, loss_fn, config)
    if average_gradients is not None:
        average_gradients(model)
    figures["gradient_norm"] = clip_gradients(model.parameters(), config.clip_norm)
    figures["learning_rate"] = learning_rate(
        fraction, peak=config.learning_rate, warmup_fraction=config.warmup_fraction,
        final_fraction=config.final_fraction, decay=config.decay, decay_fraction=config.decay_fraction,
    )
    optimizer.step(figures["learning_rate"])
    model.zero_grad(set_to_none=True)
    return figures


# package only
def is_multiple(step: int, every: int | None) -> bool:
    return every is not None and step % every == 0


# package only
def evaluation_is_due(state: TrainState, config: TrainingConfig, fraction_before: float) -> bool:
    """After every so many steps, or whenever the fraction done passes a multiple; the end is evaluated anyway."""
    fraction = fraction_done(state, config)
    if every := config.evaluate_every_fraction:
        return fraction < 1 and int(fraction / every + 1e-9) > int(fraction_before / every + 1e-9)
    return fraction < 1 and is_multiple(state.step, config.evaluate_every_steps)


# package only
@contextmanager
def stop_requests() -> Iterator[list[str]]:
    """The names of the signals that asked to stop, so that no step is cut in half; a second one interrupts at once."""
    requests: list[str] = []

    def note(number: int, _frame: object) -> None:
        requests.append(signal.Signals(number).name)
        if len(requests) > 1:
            raise KeyboardInterrupt("stopped twice: the step under way is lost, checkpoints are intact")

    # Python lets only the main thread set handlers; in another one signals act as they would without us
    numbers = (signal.SIGINT, signal.SIGTERM) if threading.current_thread() is threading.main_thread() else ()
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield requests
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# package only
def log_line(state: TrainState, figures: Figures, before: TrainState) -> dict[str, float | str]:
    """This step's figures as plain numbers, and the speed since the line before; ValueError if training diverged."""
    plain = {name: float(value) for name, value in figures.items() if name != "num_targets"}
    if not math.isfinite(plain["loss"]) or not math.isfinite(plain["gradient_norm"]):
        raise ValueError(
            f"learning_rate = {plain['learning_rate']:.2g}: at step {state.step} the loss is {plain['loss']}, training "
            "has diverged; lower learning_rate, or raise warmup_fraction"
        )
    speed = (state.num_targets - before.num_targets) / max(state.elapsed_s - before.elapsed_s, 1e-9)
    return {
        "event": "step", "step": state.step, **plain, "tokens": state.num_targets,
        "tokens_per_s": round(speed, 1), "elapsed_s": round(state.elapsed_s, 3),
    }


def evaluated(
    model: nn.Module, evaluate: Callable[[nn.Module, int], Figures], state: TrainState, log: Log
) -> Figures:
    """Ask the evaluation that was passed in, with the model at rest, and log its answer."""
    model.eval()
    figures = evaluate(model, state.step)
    model.train()
    log.write(event="evaluation", step=state.step, **figures)
    return figures


def train(
    model: nn.Module,
    batches: Iterator[BatchType],
    loss_fn: LossFunction,
    optimizer: Optimizer,
    config: TrainingConfig,
    *,
    state: TrainState,
    log: Log,
    average_gradients: Callable[[nn.Module], None] | None = None,
    evaluate: Callable[[nn.Module, int], Figures] | None = None,
    save: Callable[[TrainState], None] | None = None,
) -> TrainState:
    """Step until the schedule ends; log, evaluate and save on the way. A signal saves and stops."""
    model.train()
    if config.precision is None:
        config = replace(config, precision=faster_precision(next(model.parameters()).device.type))
    progress, logged = Progress("training"), replace(state)
    with stop_requests() as requests:
        while (fraction := fraction_done(state, config)) < 1:
            started_s = time.perf_counter()
            figures = training_step(
                model, batches, loss_fn, optimizer, config, fraction=fraction, average_gradients=average_gradients
            )
            state.step += 1
            state.num_targets += figures["num_targets"]
            state.elapsed_s += time.perf_counter() - started_s
            is_last = bool(requests) or fraction_done(state, config) >= 1
            is_saved = save is not None and (is_last or is_multiple(state.step, config.checkpoint_every_steps))
            if is_saved or is_multiple(state.step, config.log_every_steps):
                line = log_line(state, figures, logged)
                log.write(**line)
                logged = replace(state)
                progress.update(fraction_done(state, config), f"step {state.step:,} loss {line['loss']:.3f}")
            if evaluate is not None and evaluation_is_due(state, config, fraction):
                state.figures = evaluated(model, evaluate, state, log)
            if is_saved:
                save(state)
            if requests:
                raise KeyboardInterrupt(f"{requests[0]}: training stopped after step {state.step}")
    progress.close()
    if evaluate is not None:
        state.figures = evaluated(model, evaluate, state, log)
    return state
