"""The machine a run has: found once, passed in, never asked again.

`detect` also applies two settings that change speed and not results: see `keep_freed_memory` and
`allow_medium_precision`.
"""

import ctypes
import platform
from dataclasses import dataclass

import torch

# glibc's own numbers for mallopt's parameters (malloc.h)
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
MEDIUM_PRECISION_ERROR = 1e-4


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """Where tensors live, the precision of products, and which process of how many this is."""

    device: str
    dtype: torch.dtype
    rank: int = 0
    world_size: int = 1
    seed: int = 0


# package only
def detect(seed: int = 0) -> Runtime:
    """The best device here, and bfloat16 for products wherever the device multiplies it well."""
    keep_freed_memory()
    allow_medium_precision()
    device = "cuda" if torch.cuda.is_available() else "cpu"
    return Runtime(device=device, dtype=torch.bfloat16, seed=seed)


# package only
def keep_freed_memory() -> None:
    """Ask glibc to keep large freed blocks: a training step then reuses its pages."""
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


# package only
def allow_medium_precision() -> None:
    """Let float32 products use faster arithmetic where the error measured here stays small."""
    generator = torch.Generator().manual_seed(0)
    left, right = (torch.rand(256, 256, generator=generator) for _ in range(2))
    exact = left.double() @ right.double()
    torch.set_float32_matmul_precision("medium")
    error = ((left @ right).double() - exact).abs().max() / exact.abs().max()
    if error > MEDIUM_PRECISION_ERROR:
        torch.set_float32_matmul_precision("highest")
