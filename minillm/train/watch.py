"""Who looks at a step before it moves the weights: nobody, or somebody who may say no.

A `Watch` is asked between the gradients and the move, when both loss and gradient are known and
nothing is changed yet. `SpikeWatch` keeps the recent losses and gradient lengths in the state of
the run, so that a resumed run decides as an uninterrupted one, and asks the other ranks, so that
all decide alike. A rollback is an exception: `resumable` catches it, and goes back.
"""

import math
from collections.abc import Callable, Sequence
from typing import Protocol

from minillm.train.ranks import ALONE, Ranks, Sums
from minillm.train.schedule import TrainState
from minillm.train.spikes import SpikeConfig, norms_at_most, yardstick


# package only
class Log(Protocol):
    """Whatever takes a line of figures: `records.JsonLines`, or a list in a notebook."""

    def write(self, **fields: object) -> None: ...


class Watch(Protocol):
    """Looks at every step: before the move, which it may forbid, and after it."""

    def allows_move(self, figures: Sums) -> bool:
        """May these gradients move the weights?"""

    def after_move(self) -> None:
        """The weights have moved, or this step was left out."""


# package only
class Unwatched:
    """Nobody looks."""

    def allows_move(self, figures: Sums) -> bool:
        return True

    def after_move(self) -> None:
        """Nothing was begun."""


UNWATCHED = Unwatched()


# package only
class Watches:
    """Several, asked in order: after a no nobody else is asked, and only those asked hear more."""

    def __init__(self, watches: Sequence[Watch]) -> None:
        self.watches, self.asked = watches, 0

    def allows_move(self, figures: Sums) -> bool:
        for self.asked, watch in enumerate(self.watches, start=1):
            if not watch.allows_move(figures):
                return False
        return True

    def after_move(self) -> None:
        for watch in self.watches[: self.asked]:
            watch.after_move()


class SpikeFound(Exception):
    """A spike for which the run goes back to its last checkpoint; `line` says what was seen.

    It reads on at `next_batch`. `requests` are signals heard meanwhile: it goes back, and stops.
    """

    def __init__(self, line: dict[str, object], next_batch: int) -> None:
        super().__init__(f"loss {line['loss']} at step {line['step']} is a spike")
        self.line, self.next_batch = line, next_batch
        self.requests: list[str] = []


class SpikeWatch:
    """Measures each step by the recent ones, and logs, leaves out or goes back where it is far out.

    `position` says how many batches have been read. With a scaled loss (`is_scaled`) a gradient
    that overflows belongs to the optimizer: only it can halve the scale.
    """

    def __init__(
        self, config: SpikeConfig, state: TrainState, log: Log, *,
        position: Callable[[], int], ranks: Ranks = ALONE, is_scaled: bool = False,
    ) -> None:
        self.config, self.state, self.log = config, state, log
        self.position, self.ranks, self.is_scaled = position, ranks, is_scaled
        self.num_read = position()

    def allows_move(self, figures: Sums) -> bool:
        loss, norm = float(figures["loss"]), float(figures["gradient_norm"])
        count, state = int(figures["num_targets"]), self.state
        first, self.num_read = self.num_read, self.position()
        if self.is_scaled and math.isfinite(loss) and not math.isfinite(norm):
            return True
        line = {"step": state.step + 1, "batches": [first, self.num_read - 1]}
        line |= seen(loss, norm, count, state, self.config)
        farthest = max(line["loss_distance"], line["norm_distance"])
        is_spike = self.ranks.largest(float(farthest > self.config.factor)) == [1.0]
        if is_spike:
            self.log.write(event="spike", action=self.config.action, **line)
        if is_spike and self.config.action != "log":
            leave_out(state, self.config, line)
            return False
        state.num_skipped_in_a_row = 0
        if math.isfinite(loss) and math.isfinite(norm):
            remember(state, loss, norm, count, self.config.window)
        return True

    def after_move(self) -> None:
        """All was decided before."""


def leave_out(state: TrainState, config: SpikeConfig, line: dict[str, object]) -> None:
    """Skip, or ask to go back; ValueError where that has been tried often enough."""
    if config.action == "rollback":
        refuse_another(state.num_rollbacks, "max_rollbacks", config.max_rollbacks, line)
        raise SpikeFound(line, line["batches"][1] + 1 + config.margin_batches)
    tried = state.num_skipped_in_a_row
    refuse_another(tried, "max_skips_in_a_row", config.max_skips_in_a_row, line)
    state.num_skipped_in_a_row += 1


def seen(
    loss: float, norm: float, count: int, state: TrainState, config: SpikeConfig
) -> dict[str, float]:
    """Loss and gradient norm, each with the usual one and its distance from that in spreads."""
    figures = {"loss": loss, "gradient_norm": norm}
    if len(state.recent_losses) < config.min_steps:
        # too early to know what is usual: only what is no number is far out
        far = [0.0 if math.isfinite(value) else math.inf for value in (loss, norm)]
        return figures | {"loss_distance": far[0], "norm_distance": far[1]}
    counts = state.recent_counts
    norms = norms_at_most(state.recent_norms, counts, count)
    for name, value, usual in (
        ("loss", loss, yardstick(state.recent_losses, counts, count)),
        ("norm", norm, yardstick(norms, [1] * len(norms), 1)),
    ):
        distance = round(usual.distance(value), 2)
        figures |= {f"usual_{name}": usual.middle, f"{name}_distance": distance}
    return figures


def remember(state: TrainState, loss: float, norm: float, count: int, window: int) -> None:
    """One more recent step; the oldest is forgotten."""
    state.recent_losses = [*state.recent_losses, loss][-window:]
    state.recent_norms = [*state.recent_norms, norm][-window:]
    state.recent_counts = [*state.recent_counts, count][-window:]


# package only
def refuse_another(num_tried: int, name: str, allowed: int, line: dict[str, object]) -> None:
    """ValueError where spikes keep coming: then it is not the batch."""
    if num_tried >= allowed:
        first, last = line["batches"]
        raise ValueError(
            f"spikes.{name} = {allowed}: another spike came after so many (step {line['step']}, "
            f"batches {first} to {last}, loss {line['loss']:.4g}, gradient norm "
            f"{line['gradient_norm']:.4g}); lower learning_rate, look at these batches, or raise "
            "spikes.factor, the number of spreads that is still usual"
        )
