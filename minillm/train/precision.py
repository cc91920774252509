"""In which numbers a step computes, and whether it is compiled.

bfloat16 keeps the range of float32 with 8 bits of precision: under autocast products take it,
while parameters, sums and the optimizer's state stay float32 (Micikevicius et al.,
arXiv:1710.03740). float16 has 11 bits and a narrow range, and needs its loss scaled (`scaling`). A
processor without bfloat16 instructions emulates them, far slower than float32 (notebook 07): so
where a recipe leaves the precision open, it is measured. Left out: training in float8.
"""

import os
import shutil
import sysconfig
import time
import warnings
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Literal, TypeVar

import torch

Precision = Literal["float32", "bfloat16", "float16"]
# in the order in which ranks that measured differently give way to each other
PRECISIONS: tuple[Precision, ...] = ("float32", "bfloat16", "float16")
# with some to spare
REPAID_AFTER_MINUTES = {"bfloat16": 5.0, "float32": 10.0}
Function = TypeVar("Function", bound=Callable)
# g++ 12.2 makes faulty code for Intel's processors with matrix units, and right code for older ones
# with registers as wide (LOG.md)
OLDER_PROCESSOR = {"cpp.march": "skylake-avx512"}
HALF_A_HEAD = 32

TIMED_WIDTH = 384
TIMED_TRIES = 5


def autocast(device: str, precision: Precision) -> torch.autocast:
    """Inside this context matrix products take their inputs in `precision`; sums stay float32."""
    dtype = torch.float16 if precision == "float16" else torch.bfloat16
    return torch.autocast(device, dtype=dtype, enabled=precision != "float32")


# package only
def direction_dtype(precision: Precision | None) -> torch.dtype:
    """In which numbers Muon makes its directions: small momenta would be 0 in float16."""
    return torch.bfloat16 if precision == "bfloat16" else torch.float32


def product_seconds(device: str, dtype: torch.dtype) -> float:
    """The best time of a matrix product of about 0.1 GFLOP."""
    left, right = (torch.ones(TIMED_WIDTH, TIMED_WIDTH, dtype=dtype, device=device) for _ in "ab")
    times_s = []
    for _ in range(TIMED_TRIES):
        started_s = time.perf_counter()
        (left @ right.T)[0, 0].item()  # reading a number waits until a GPU has finished
        times_s.append(time.perf_counter() - started_s)
    return min(times_s)


def faster_precision(device: str) -> Precision:
    """bfloat16 where this machine multiplies it at least as fast as float32, else float32."""
    is_faster = product_seconds(device, torch.bfloat16) <= product_seconds(device, torch.float32)
    return "bfloat16" if is_faster else "float32"


# package only
def missing_for_compile(device: str) -> str | None:
    """What torch.compile lacks on this machine, in words, or None if it can work."""
    if device == "cuda":
        return None
    if not shutil.which(os.environ.get("CXX", "g++")):
        return "there is no C++ compiler (install g++)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "Python's headers are missing (install python3-dev)"
    return None


# package only
def pays_to_compile(minutes: float, precision: Precision | None, device: str) -> bool:
    """Whether so many minutes of training repay compiling. On two cores it took two to five of them
    in bfloat16 (bench/train.json, train_slower.json), about seven in float32 (LOG.md); elsewhere it
    was not measured.
    """
    if missing_for_compile(device):
        return False
    if minutes > REPAID_AFTER_MINUTES["float32"]:
        return True
    is_enough = device == "cpu" and minutes > REPAID_AFTER_MINUTES["bfloat16"]
    return is_enough and (precision or faster_precision(device)) == "bfloat16"


# package only
def with_halves_swapped(keys: torch.Tensor) -> torch.Tensor:
    """A transpose, and the halves of each head swapped: as in the gradient of keys that turn."""
    doubled = keys.mT * 2
    return torch.cat([doubled[..., HALF_A_HEAD:], doubled[..., :HALF_A_HEAD]], dim=-1)


# package only
@cache
def trusted_options() -> dict[str, str] | None:
    """The first of torch.compile's options whose code for a CPU gets `with_halves_swapped` right.

    None if no code does: a step would not fail, but learn from wrong gradients. Only the fault that
    was found is looked for; another one would not be seen. Takes some ten seconds for each option.
    """
    keys = torch.randn(8, 2 * HALF_A_HEAD, 256, generator=torch.Generator().manual_seed(0))
    keys = keys.to(torch.bfloat16)
    has_wide_registers = torch.backends.cpu.get_cpu_capability() == "AVX512"
    for options in ({}, OLDER_PROCESSOR) if has_wide_registers else ({},):
        swapped = torch.compile(with_halves_swapped, options=options)(keys)
        if torch.equal(swapped, with_halves_swapped(keys)):
            return options
    return None


# package only
def compiled(function: Function, *, device: str, cache_folder: Path) -> Function:
    """`function` fused by torch.compile, its kernels kept in `cache_folder`.

    Where that cannot work, or not be trusted: the function itself, and a warning.
    """
    reason, options = missing_for_compile(device), {}
    if reason is None:
        os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder))
        options = trusted_options() if device == "cpu" else options
    if options is None:
        reason = "the C++ compiler's code computes wrong numbers on this machine (update g++)"
    if reason:
        warnings.warn(
            f"torch.compile is not used: {reason}; steps run eagerly, and slower",
            stacklevel=2,
        )
        return function
    return torch.compile(function, options=options)
