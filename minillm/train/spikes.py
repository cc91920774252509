"""Is this step far out of line? A yardstick that a few odd values cannot bend says so.

In: a loss (or a gradient's length), the recent ones, and over how many targets each was a mean.
Out: how many spreads it lies above their median. The median and the median deviation from it (MAD)
stay among the usual values while fewer than half are odd, however far out these lie; a mean and a
standard deviation are drawn up by the very spike they should show. What to do about a spike: note
it, leave its step out, or go back to the last checkpoint and read on behind the batch (Chowdhery et
al., arXiv:2204.02311, 5.1). Left out: single rows to blame, spikes of one layer alone.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

Action = Literal["log", "skip", "rollback"]
ACTIONS: tuple[Action, ...] = ("log", "skip", "rollback")
# of a normal distribution the standard deviation is so many median deviations
MAD_TO_STD = 1.4826
# recent losses that are all but equal would make any next one a spike
LEAST_SPREAD = 0.01


@dataclass(frozen=True, kw_only=True, slots=True)
class SpikeConfig:
    """What is done about a step far out of line (`action`; None: nothing is watched), and how far.

    A value more than `factor` spreads above the median of the last `window` ones is a spike.
    """

    action: Action | None = None
    factor: float = 8.0
    window: int = 64
    min_steps: int = 16  # so many steps are only looked at
    max_skips_in_a_row: int = 4
    max_rollbacks: int = 3
    margin_batches: int = 8  # a rollback leaves out so many behind the spike, too

    def __post_init__(self) -> None:
        check_spikes(self)


# package only
def check_spikes(config: SpikeConfig) -> None:
    """ValueError naming field, value and what is allowed."""
    if config.action is not None and config.action not in ACTIONS:
        raise ValueError(
            f"spikes.action = {config.action!r}: choose one of {', '.join(ACTIONS)}, or None"
        )
    if not config.factor > 0:
        raise ValueError(f"spikes.factor = {config.factor}: must be above 0, the usual is 8")
    if not 2 <= config.min_steps <= config.window:
        raise ValueError(
            f"spikes.min_steps = {config.min_steps}: must lie between 2 and window = "
            f"{config.window}: a spread needs two values, and no more are kept"
        )
    for name in ("max_skips_in_a_row", "max_rollbacks"):
        if getattr(config, name) < 1:
            raise ValueError(f"spikes.{name} = {getattr(config, name)}: must be at least 1")
    if config.margin_batches < 0:
        raise ValueError(f"spikes.margin_batches = {config.margin_batches}: must be at least 0")


@dataclass(frozen=True, kw_only=True, slots=True)
class Yardstick:
    """Where recent values lie, and how far apart, for a mean over so many targets."""

    middle: float
    spread: float

    def distance(self, value: float) -> float:
        """How many spreads above the middle; infinitely many where it is no number."""
        return (value - self.middle) / self.spread if math.isfinite(value) else math.inf


def yardstick(recent: Sequence[float], counts: Sequence[int], count: int) -> Yardstick:
    """Median and 1.4826·MAD of recent means over `counts` targets, for a mean over `count`.

    The noise of a mean falls with the root of its number: deviations are compared times √count.
    """
    middle = median(recent)
    pairs = zip(recent, counts, strict=True)
    noise = median(abs(value - middle) * math.sqrt(number) for value, number in pairs)
    spread = MAD_TO_STD * noise / math.sqrt(count)
    return Yardstick(middle=middle, spread=max(spread, LEAST_SPREAD * abs(middle), 1e-12))


def norms_at_most(norms: Sequence[float], counts: Sequence[int], count: int) -> list[float]:
    """Recent gradient lengths, each as long as it may be over `count` targets.

    E‖g‖² = ‖μ‖² + σ²/n: over fewer targets at most √(m/n) times as long, over more not longer.
    """
    pairs = zip(norms, counts, strict=True)
    return [norm * max(1.0, math.sqrt(number / count)) for norm, number in pairs]
