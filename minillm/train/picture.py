"""A training run as a picture that grows while somebody watches, or is drawn once at its end.

In: the lines of a log, as they come. Out: loss, gradient norm and speed over the steps, with spikes
and rollbacks marked. `show` is what puts the figure before a reader's eyes; without one nothing is
drawn before `draw` is called, so that a run without a reader pays nothing. Every stage that trains
shows its run so in a notebook that a person runs.
"""

import sys
import time
from collections.abc import Callable, Iterable

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minillm.core.draw import COLOUR

PANELS = (
    ("loss", "loss (nats)", "model"),
    ("gradient_norm", "gradient norm", "highlight"),
    ("tokens_per_s", "tokens/s", "data"),
)


# package only
def kept_lines(lines: list[dict]) -> list[dict]:
    """Steps and spikes of the run that counted: a rollback gives up all from its step on."""
    kept: list[dict] = []
    for line in lines:
        if line["event"] == "rollback":
            kept = [each for each in kept if each["step"] < line["step"]]
        elif line["event"] in ("step", "spike"):
            kept.append(line)
    return kept


# package only
def draw_panel(ax: Axes, lines: list[dict], name: str, label: str, colour: str) -> None:
    """One figure over the steps; spikes and steps left out by a cross, rollbacks by a line."""
    kept = kept_lines(lines)
    steps = [line for line in kept if line["event"] == "step"]
    ax.plot(
        [line["step"] for line in steps], [line[name] for line in steps], color=COLOUR[colour]
    )
    is_odd = {line["step"] for line in kept if line["event"] == "spike" or line.get("is_skipped")}
    odd = {line["step"]: line[name] for line in kept if line["step"] in is_odd and name in line}
    ax.plot(list(odd), list(odd.values()), "x", color=COLOUR["wrong"], ms=7)
    for line in lines:
        if line["event"] == "rollback":
            ax.axvline(line["step"], color=COLOUR["reference"], lw=1, ls=":")
    ax.set(xlabel="step", ylabel=label)


# package only
def reader_of_the_notebook() -> Callable[[Figure], None]:
    """Shows a figure below the cell that runs, in the place of the one before."""
    ipython = sys.modules["IPython"]  # the notebook's own; the package does without
    return ipython.display.display(display_id=True).update


# package only
class LiveCurves:
    """A log that can be looked at: it keeps its lines, passes them on, and draws them.

    `lines` are those that the log has already: a run that goes on is shown whole.
    """

    def __init__(
        self,
        log: object | None = None,
        *,
        show: Callable[[Figure], None] | None = None,
        every_s: float = 2.0,
        lines: Iterable[dict] = (),
    ) -> None:
        self.lines: list[dict] = list(lines)
        self.log, self.show, self.every_s = log, show, every_s
        self.shown_s = time.monotonic()

    def write(self, **fields: object) -> None:
        self.lines.append(fields)
        if self.log is not None:
            self.log.write(**fields)
        if time.monotonic() - self.shown_s >= self.every_s:
            self.close()

    def close(self) -> None:
        """Show the run as it stands, to whom there is; at its end this is what stays."""
        if self.show is not None:
            figure = self.draw()
            self.show(figure)
            plt.close(figure)
            self.shown_s = time.monotonic()

    def draw(self) -> Figure:
        """The run so far, in three panels."""
        figure, axes = plt.subplots(1, len(PANELS), figsize=(10, 2.8))
        for ax, panel in zip(axes, PANELS, strict=True):
            draw_panel(ax, self.lines, *panel)
        return figure
