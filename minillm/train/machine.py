"""What the machine gives to a training run: operations a second, memory, and watts by assumption.

The peak is measured once a process, by large matrix products in the numbers that the run computes
in. Left out: a power meter. What a run is taken to draw is a constant with a name, and stands
beside every figure that is made with it.
"""

import resource
import sys
import time
from functools import cache

import torch

from minillm.train.precision import Precision

# Nobody measures the socket here: a busy processor core, and a large GPU at work, take about this.
ASSUMED_WATTS_A_THREAD = 10.0
ASSUMED_WATTS_A_GPU = 500.0
# products of this width keep each kind of machine busy
PEAK_WIDTH = {"cpu": 1024, "cuda": 8192}
PEAK_TRIES = 5


@cache
def peak_flops(device: str, precision: Precision) -> float:
    """Operations a second of the best of five large matrix products: what the machine can do."""
    width = PEAK_WIDTH.get(device, PEAK_WIDTH["cpu"])
    left, right = (
        torch.ones(width, width, dtype=getattr(torch, precision), device=device) for _ in "ab"
    )
    times_s = []
    for _ in range(PEAK_TRIES):
        started_s = time.perf_counter()
        (left @ right)[0, 0].item()  # reading a number waits until a GPU has finished
        times_s.append(time.perf_counter() - started_s)
    if device == "cuda":  # the peak of memory is to be the training's
        del left, right
        torch.cuda.reset_peak_memory_stats()
    return 2 * width**3 / min(times_s)


# package only
def memory_figures(device: str) -> dict[str, int]:
    """The most that this process has taken so far, of memory and of the device's own."""
    unit = 1 if sys.platform == "darwin" else 1024
    figures = {"resident_peak_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit}
    if device == "cuda":
        figures["device_peak_bytes"] = torch.cuda.max_memory_allocated()
    return figures


def assumed_watts(device: str) -> float:
    """What this training is taken to draw: an assumption, not a measurement."""
    if device == "cuda":
        return ASSUMED_WATTS_A_GPU
    return ASSUMED_WATTS_A_THREAD * torch.get_num_threads()
