"""Is Triton's interpreter to be trusted here? A kernel that is easy to check says so, once.

A version that answers with zeros would raise no error. So before a kernel is interpreted for the
first time, this one is, and what it leaves is compared with PyTorch: a masked load, a power, a
product, a maximum, a masked store.
"""

import functools

import torch
import triton
import triton.language as tl

EDGE = 16
ROWS = 11  # of the 16: the others must be neither read nor written


@triton.jit
def selftest_kernel(x, y, num_rows, EDGE: tl.constexpr):
    """y = 2ˣ (2ˣ)ᵀ less each row's maximum, on the rows there are."""
    rows = tl.arange(0, EDGE)
    cells = rows[:, None] * EDGE + rows[None, :]
    is_inside = rows[:, None] < num_rows
    powers = tl.exp2(tl.load(x + cells, mask=is_inside, other=0.0))
    product = tl.dot(powers, tl.trans(powers), input_precision="ieee")
    tl.store(y + cells, product - tl.max(product, 1)[:, None], mask=is_inside)


@functools.cache
def check_interpreter(device: str = "cpu") -> None:
    """RuntimeError if the kernel's numbers are not PyTorch's; on a GPU, it is the compiler's."""
    x = torch.arange(EDGE * EDGE, device=device).reshape(EDGE, EDGE) / EDGE**2
    y = torch.full_like(x, -7.0)
    selftest_kernel[(1,)](x, y, ROWS, EDGE=EDGE)
    powers = x.exp2()
    powers[ROWS:] = 1
    product = powers @ powers.T
    expected = torch.full_like(x, -7.0)
    expected[:ROWS] = (product - product.amax(1, keepdim=True))[:ROWS]
    if not torch.allclose(y, expected, rtol=1e-5, atol=1e-5):
        raise RuntimeError(
            f"Triton {triton.__version__} computes wrongly in its interpreter here (largest error "
            f"{float((y - expected).abs().max()):.1e} in a kernel of six lines); install the "
            "version that pyproject.toml names, or choose attention 'torch'"
        )
