"""Progress that suits where it is read: a bar in a terminal, plain lines where output is recorded.

Everything goes to standard error, so that standard output holds results alone. Whether a notebook
has a reader, who may be shown a picture that grows, is asked of the message that runs its cell.
"""

import os
import sys
import time
from collections.abc import Iterable, Iterator
from typing import TextIO, TypeVar

Item = TypeVar("Item")

BAR_CELLS = 28
TERMINAL_INTERVAL_S = 0.1
PLAIN_INTERVAL_S = 10.0


# package only
def is_watched() -> bool:
    """Does a person look at this notebook while its cell runs?

    A front end that can ask its reader for input says so with each cell (`allow_stdin` of Jupyter's
    messages); papermill, nbval, nbconvert and nbclient say that they cannot. Nobody watches in CI.
    """
    if os.environ.get("CI") or "IPython" not in sys.modules:
        return False
    asked_by = getattr(sys.modules["IPython"].get_ipython(), "get_parent", dict)()
    return bool(asked_by.get("content", {}).get("allow_stdin", False))


# package only
def duration(seconds: float) -> str:
    """Seconds as a person says them: `8 s`, `2 min 05 s`, `1 h 10 min`."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


# package only
class Progress:
    """Shows a fraction done, with words beside it; `update` is cheap enough for every step."""

    def __init__(self, label: str, stream: TextIO | None = None) -> None:
        self.label = label
        self.stream = stream or sys.stderr
        self.is_terminal = self.stream.isatty()
        self.started_s = self.shown_s = time.monotonic()
        self.first_fraction: float | None = None

    def update(self, fraction_done: float, words: str = "", left_s: float | None = None) -> None:
        """Show the state if the last showing is long enough ago for this kind of output.

        How long is left is estimated, unless whoever calls knows it.
        """
        now_s = time.monotonic()
        if self.first_fraction is None:
            # work taken up again does not begin at 0, and what was done before took no time here
            self.first_fraction = fraction_done
        if now_s - self.shown_s < (TERMINAL_INTERVAL_S if self.is_terminal else PLAIN_INTERVAL_S):
            return
        self.shown_s = now_s
        done_here = fraction_done - self.first_fraction
        if left_s is None and done_here:
            left_s = (now_s - self.started_s) * (1 - fraction_done) / done_here
        left = "?" if left_s is None else duration(left_s)
        if self.is_terminal:
            full = round(BAR_CELLS * min(1.0, fraction_done))
            bar = "█" * full + "·" * (BAR_CELLS - full)
            self.stream.write(
                f"\r{self.label} {bar} {fraction_done:4.0%} {words} ({left} left)\x1b[K"
            )
        else:
            self.stream.write(f"{self.label} {fraction_done:4.0%} {words} ({left} left)\n")
        self.stream.flush()

    def close(self) -> None:
        """Clear the bar, so that what is printed next starts on a clean line."""
        if self.is_terminal:
            self.stream.write("\r\x1b[K")
            self.stream.flush()


# package only
def track(iterable: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Yield the items of `iterable` and show how many of `total` have passed."""
    total = total or (len(iterable) if hasattr(iterable, "__len__") else None)
    progress = Progress(label)
    try:
        for count, item in enumerate(iterable, start=1):
            yield item
            if total:
                progress.update(count / total, f"{count:,} of {total:,}")
    finally:
        progress.close()
