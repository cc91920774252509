"""SIGTERM and SIGINT: a training that is told to stop finishes its step, saves, and ends.

In: a signal, to this process or to that of another rank. Out: its name, asked for between two
steps. Left out: SIGKILL, which nobody hears; against it there are checkpoints.
"""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager

from minillm.train.ranks import Ranks
from minillm.train.schedule import TrainState
from minillm.train.watch import SpikeFound


# package only
@contextmanager
def stop_requests() -> Iterator[list[str]]:
    """The names of the signals that asked to stop: heard after a step, so that none is cut in half.

    A second signal interrupts at once.
    """
    requests: list[str] = []

    def note(number: int, _frame: object) -> None:
        requests.append(signal.Signals(number).name)
        if len(requests) > 1:
            raise KeyboardInterrupt(f"{requests[-1]} twice: stopped at once")

    # Python lets only the main thread set handlers; elsewhere signals act as they would anyway
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGINT, signal.SIGTERM) if is_main else ()
    before = {number: signal.signal(number, note) for number in numbers}
    try:
        yield requests
    except SpikeFound as spike:
        spike.requests = requests
        raise
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# package only
def wish_to_stop(requests: list[str], state: TrainState, ranks: Ranks) -> list[str]:
    """What the ranks agree on after a step: the clock, and whether any of them was told to stop."""
    state.elapsed_s, state.compiling_s, is_told = ranks.largest(
        state.elapsed_s, state.compiling_s, len(requests) > 0
    )
    return (requests or ["a signal to another rank"])[:1] if is_told else []
