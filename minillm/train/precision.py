"""In which numbers a step computes, and whether it is compiled.

bfloat16 keeps float32's range with 8 bits of precision: products run in it under autocast, while parameters,
gradients' sums and the optimizer's state stay float32 (Micikevicius et al., arXiv:1710.03740; bfloat16 needs no
loss scaling). Left out: float16 with loss scaling, float8.
"""

import os
import shutil
import sysconfig
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Literal, TypeVar

import torch

Function = TypeVar("Function", bound=Callable)


def autocast(device: str, precision: Literal["float32", "bfloat16"]) -> torch.autocast:
    """Inside this context, matrix products take their inputs in `precision`; sums and norms stay float32."""
    return torch.autocast(device, dtype=torch.bfloat16, enabled=precision == "bfloat16")


# package only
def missing_for_compile(device: str) -> str | None:
    """What torch.compile lacks on this machine, in words, or None if it can work."""
    if device == "cuda":
        return None
    if not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "g++", "clang++")):
        return "no C++ compiler (install g++)"
    if not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        return "no Python headers (install python3-dev)"
    return None


# package only
def compiled(function: Function, *, device: str, cache_folder: Path) -> Function:
    """`function` fused by torch.compile, its kernels kept in `cache_folder`; itself, with a warning, where that fails."""
    if reason := missing_for_compile(device):
        warnings.warn(f"torch.compile is not used: {reason}; steps run eagerly, about 1.3 to 1.7 times slower", stacklevel=2)
        return function
    os.environ.setdefault("TORCHINDUCTOR_CACHE_DIR", str(cache_folder))
    return torch.compile(function)
