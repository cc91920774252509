"""The machine a run has: found once, passed in, never asked again.

`detect` also makes two settings of the process: `keep_freed_memory` changes speed alone,
`allow_medium_precision` lets float32 products differ by a small error, measured on the device.
Left out: finding rank and world size, which stay 0 and 1 in a single process.
"""

import ctypes
import platform
from dataclasses import dataclass

import torch

# glibc's own numbers for mallopt's parameters (malloc.h)
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
# Of the largest result; rounding to bfloat16 alone changes a number by up to 2e-3 of it.
MEDIUM_PRECISION_ERROR = 1e-4
MEASURED_WIDTH = 256


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Runtime:
    """Where tensors live, the numbers that products may take, which process of how many this is."""

    device: str
    dtype: torch.dtype
    rank: int = 0
    world_size: int = 1
    seed: int = 0


# package only
def detect(seed: int = 0) -> Runtime:
    """The best device here; bfloat16 for products where it has instructions for it, else float32.

    How fast those are, only a measurement tells: see `train.precision.faster_precision`.
    """
    device = "cuda" if torch.cuda.is_available() else "cpu"
    keep_freed_memory()
    allow_medium_precision(device)
    dtype = torch.bfloat16 if multiplies_bfloat16(device) else torch.float32
    return Runtime(device=device, dtype=dtype, seed=seed)


# package only
def multiplies_bfloat16(device: str) -> bool:
    """Has the device instructions for bfloat16 products (`avx512_bf16`, `amx_bf16`, …)?"""
    if device == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    capabilities = torch.cpu.get_capabilities()
    return any(bool(has) for name, has in capabilities.items() if name.endswith("bf16"))


# package only
def keep_freed_memory() -> None:
    """Ask glibc to keep large freed blocks: a training step then reuses its pages."""
    if platform.system() == "Linux" and platform.libc_ver()[0] == "glibc":
        libc = ctypes.CDLL(None)
        libc.mallopt(M_MMAP_THRESHOLD, 1 << 30)
        libc.mallopt(M_TRIM_THRESHOLD, (1 << 31) - 1)


# package only
def allow_medium_precision(device: str) -> None:
    """Let float32 products use faster arithmetic if its error here is at most 1e-4.

    Results then differ by up to that much from float32's own; above it, they stay float32's own.
    """
    torch.set_float32_matmul_precision("medium")
    if not product_error(device) <= MEDIUM_PRECISION_ERROR:
        torch.set_float32_matmul_precision("highest")


# package only
def product_error(device: str) -> float:
    """The largest error of a float32 product on this device, over the largest exact result."""
    generator = torch.Generator().manual_seed(0)
    shape = (MEASURED_WIDTH, MEASURED_WIDTH)
    left, right = (torch.rand(shape, generator=generator).to(device) for _ in range(2))
    exact = left.double() @ right.double()
    error = ((left @ right).double() - exact).abs().max() / exact.abs().max()
    return float(error)
