"""An action in a process of its own: its result, and the memory that it took at its peak.

In one process the peak of whoever comes first would hide all that come later. Linux alone.
"""

import ctypes
import gc
import resource
from collections.abc import Callable
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import TypeVar

BYTES_PER_MIB = 2**20

Result = TypeVar("Result")


# package only
def send_result_and_peak(action: Callable[[], object], connection: Connection) -> None:
    """Run an action; send its result, and by how many MiB the process's peak memory rose."""
    before = resident_bytes()
    result = action()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    connection.send((result, (peak - before) / BYTES_PER_MIB))


# package only
def resident_bytes() -> int:
    """The memory that this process has in use, as Linux counts it."""
    with open("/proc/self/statm", encoding="ascii") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


# package only
def in_own_process(action: Callable[[], Result]) -> tuple[Result, float]:
    """An action's result, and the memory in MiB that it needs at its peak beyond what was there.

    A forked process begins with the memory of its parent, peak included; what the parent has freed
    but not given back would be used unseen, so it is given back first.
    """
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    context = get_context("fork")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=send_result_and_peak, args=(action, sender))
    process.start()
    sender.close()  # or nobody would see that a process which failed sends nothing
    result_and_peak = receiver.recv()
    process.join()
    return result_and_peak
