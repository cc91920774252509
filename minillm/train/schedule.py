"""How long training lasts, and how large its steps are on the way.

The learning rate is a pure function of the fraction done, so a schedule means the same for a
hundred steps, a million, or ten minutes; a run limited by the clock ends its schedule on time.
Cosine: Loshchilov & Hutter (arXiv:1608.03983); a long plateau with a short fall (WSD): Hu et al.
(arXiv:2404.06395). A step may begin small and grow, in batches. Left out: restarts.
"""

import math
from dataclasses import dataclass, field
from typing import Literal

from minillm.train.precision import Precision
from minillm.train.spikes import SpikeConfig

POSITIVE_FIELDS = (
    "max_steps", "max_minutes", "learning_rate", "clip_norm", "accumulate", "log_every_steps",
    "checkpoint_every_steps", "evaluate_every_steps", "evaluate_every_fraction",
    "statistics_every_steps", "keep_last",
)
CHOICES = {
    "optimizer": ("adamw", "muon"),
    "decay": ("cosine", "linear"),
    "precision": (None, "float32", "bfloat16", "float16"),
    "best_is": ("lowest", "highest"),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainingConfig:
    """How a model is trained. Exactly one of `max_steps` and `max_minutes` ends it."""

    max_steps: int | None = None
    max_minutes: float | None = None
    optimizer: Literal["adamw", "muon"] = "adamw"
    learning_rate: float = 2e-3
    warmup_fraction: float = 0.05
    decay_fraction: float = 1.0  # the last part, in which the rate falls; below 1 a plateau leads
    decay: Literal["cosine", "linear"] = "cosine"
    final_fraction: float = 0.1
    weight_decay: float = 0.1
    betas: tuple[float, float] = (0.9, 0.95)
    clip_norm: float = 1.0
    z_weight: float = 0.0  # of (ln Σ exp logits)² beside the surprise: z-loss
    accumulate: int = 1
    # over this first part of training a step grows from one batch to `accumulate`
    ramp_fraction: float = 0.0
    # the result is a running mean of the weights: those of a steps ago count average_decay^a
    average_decay: float | None = None
    # layers compute their inner tensors twice instead of keeping them
    recompute: bool = False
    # None: whichever this machine multiplies faster, measured at the start
    precision: Precision | None = None
    compile: bool | None = False  # None: where `max_minutes` repay it
    seed: int = 0
    log_every_steps: int = 1
    checkpoint_every_steps: int | None = None
    keep_last: int = 2
    # the figure of the evaluation whose best checkpoint is never deleted, and is the result
    keep_best: str | None = None
    best_is: Literal["lowest", "highest"] = "lowest"
    evaluate_every_steps: int | None = None
    evaluate_every_fraction: float | None = None
    statistics_every_steps: int | None = None
    tensorboard: bool = False
    spikes: SpikeConfig = SpikeConfig()

    def __post_init__(self) -> None:
        check_training(self)


# package only
def check_training(config: TrainingConfig) -> None:
    """ValueError naming field, value and what is allowed."""
    if (config.max_steps is None) == (config.max_minutes is None):
        raise ValueError(
            f"max_steps = {config.max_steps}, max_minutes = {config.max_minutes}: "
            "give exactly one of the two, it ends the training"
        )
    for name in POSITIVE_FIELDS:
        value = getattr(config, name)
        if value is not None and not 0 < value < math.inf:
            raise ValueError(f"{name} = {value}: must be above 0, and a finite number")
    for name in ("warmup_fraction", "final_fraction", "decay_fraction", "ramp_fraction"):
        value = getattr(config, name)
        if not 0 <= value <= 1:
            raise ValueError(f"{name} = {value}: must lie between 0 and 1")
    for name, allowed in CHOICES.items():
        value = getattr(config, name)
        if value not in allowed:
            raise ValueError(f"{name} = {value!r}: choose one of {', '.join(map(str, allowed))}")
    if not 0 <= config.z_weight < math.inf:
        raise ValueError(
            f"z_weight = {config.z_weight}: must be a number of at least 0, where 0 leaves the "
            "logits alone; 1e-4 is usual"
        )
    check_optimizer(config)
    if config.average_decay is not None and not 0 <= config.average_decay < 1:
        raise ValueError(
            f"average_decay = {config.average_decay}: must lie between 0 and 1, 1 left out; "
            "0.99 averages about the last hundred steps"
        )
    if config.keep_best is not None and not (
        config.evaluate_every_steps or config.evaluate_every_fraction
    ):
        raise ValueError(
            f"keep_best = {config.keep_best!r} with evaluate_every_steps = None and "
            "evaluate_every_fraction = None: the end alone would be evaluated, and be the best; "
            "give one of the two, or leave keep_best out"
        )
    if config.recompute and config.compile:
        raise ValueError(
            "recompute = True with compile = True: a compiled step chooses itself what it keeps; "
            "leave one of the two out"
        )
    if config.spikes.action == "rollback" and config.checkpoint_every_steps is None:
        raise ValueError(
            "spikes.action = 'rollback' with checkpoint_every_steps = None: there would be nothing "
            "to go back to but the start; save every so many steps, or take 'skip'"
        )


# package only
def check_optimizer(config: TrainingConfig) -> None:
    """ValueError naming what no optimizer can step with."""
    if not all(0 <= beta < 1 for beta in config.betas):
        remedy = "both must lie between 0 and 1, 1 left out; (0.9, 0.95) is usual"
        raise ValueError(f"betas = {config.betas}: {remedy}")
    if not 0 <= config.weight_decay < math.inf:
        raise ValueError(f"weight_decay = {config.weight_decay}: must be at least 0; 0.1 is usual")


@dataclass(kw_only=True, slots=True)
class TrainState:
    """Where a run stands: what the loop itself remembers between two steps."""

    step: int = 0
    elapsed_s: float = 0.0
    # of these the first steps of a compiled run and of its resumes, in which it is compiled
    compiling_s: float = 0.0
    num_targets: int = 0
    precision: Precision | None = None
    figures: dict[str, float] = field(default_factory=dict)
    # what spikes are measured by, and how often they were met
    recent_losses: list[float] = field(default_factory=list)
    recent_norms: list[float] = field(default_factory=list)
    recent_counts: list[int] = field(default_factory=list)
    num_skipped_in_a_row: int = 0
    num_rollbacks: int = 0
    best_step: int | None = None
    best_value: float | None = None


def fraction_done(state: TrainState, config: TrainingConfig) -> float:
    """0 at the start, 1 at the end: of the steps, or of the minutes without those of compiling."""
    if config.max_steps is not None:
        return state.step / config.max_steps
    left_s = 60 * config.max_minutes - state.elapsed_s
    trained_s = state.elapsed_s - state.compiling_s
    return trained_s / (trained_s + left_s) if left_s > 0 else 1.0


def seconds_left(state: TrainState, config: TrainingConfig) -> float:
    """Until the minutes are over; of steps, at the speed of those that compiled nothing."""
    if config.max_minutes is not None:
        return max(0.0, 60 * config.max_minutes - state.elapsed_s)
    num_compiling = int(state.compiling_s > 0)
    if state.step == num_compiling:
        return state.elapsed_s * (config.max_steps - state.step)
    seconds_a_step = (state.elapsed_s - state.compiling_s) / (state.step - num_compiling)
    return seconds_a_step * (config.max_steps - state.step)


# package only
def num_evaluations(config: TrainingConfig) -> int | None:
    """How often a run is evaluated, its end included; None where that hangs on the clock."""
    if every := config.evaluate_every_fraction:
        return math.ceil(1 / every - 1e-9)
    if config.evaluate_every_steps is None:
        return 1
    if config.max_steps is None:
        return None
    return math.ceil(config.max_steps / config.evaluate_every_steps)


def learning_rate(fraction: float, config: TrainingConfig) -> float:
    """Up from 0 over the warm-up, level, then down to final_fraction of the peak at the end."""
    if fraction < config.warmup_fraction:
        return config.learning_rate * fraction / config.warmup_fraction
    start = max(config.warmup_fraction, 1 - config.decay_fraction)
    fallen = min(1.0, max(0.0, fraction - start) / (1 - start)) if start < 1 else 0.0
    height = (1 + math.cos(math.pi * fallen)) / 2 if config.decay == "cosine" else 1 - fallen
    return config.learning_rate * (config.final_fraction + (1 - config.final_fraction) * height)


def num_batches(fraction: float, config: TrainingConfig) -> int:
    """How many batches a step takes: 1, 2, … `accumulate`, equally long each, over the ramp."""
    if fraction >= config.ramp_fraction:
        return config.accumulate
    return 1 + int(config.accumulate * fraction / config.ramp_fraction)
