"""RMSNorm in one pass: y = x / √(mean(x²) + ε) · w, and its gradients, each row read once.

Written out line by line, PyTorch reads and writes the rows again for the square, the mean, the
product; a kernel that holds whole rows in registers reads x and writes y, and that is all. The
gradient of w is a sum over rows: each program sums its own rows, the host adds these sums, so the
same call gives the same bits. Zhang & Sennrich, RMSNorm, arXiv:1910.07467.

The same numbers as `RMSNorm` in `transformer.py`, all in float32 until the result is rounded: in
16 bits that is once, where `RMSNorm` rounds the quotient too, as transformers does.
Verified in the interpreter and compiled, not run on a GPU.
"""

import torch
import triton
import triton.language as tl
from torch.autograd.function import FunctionCtx, once_differentiable

from minillm.model.flash_inputs import INTERPRETED
from minillm.model.flash_selftest import check_interpreter

CELLS = 4096  # of rows in a program's registers: 32 a thread with four warps
STEPS = 16  # tiles of rows that one program of the backward pass sums


@triton.jit
def rows_of(first, num_rows, width, ROWS: tl.constexpr, WIDTH: tl.constexpr):
    """Where the cells of a tile of whole rows lie, and which exist."""
    rows, columns = first + tl.arange(0, ROWS)[:, None], tl.arange(0, WIDTH)[None, :]
    return rows.to(tl.int64) * width + columns, (rows < num_rows) & (columns < width)


@triton.jit
def norm_kernel(
    x, weight, y, scale, num_rows, width, epsilon, ROWS: tl.constexpr, WIDTH: tl.constexpr
):  # fmt: skip
    """One program: ROWS rows, read once and written once."""
    first = tl.program_id(0) * ROWS
    cells, is_inside = rows_of(first, num_rows, width, ROWS, WIDTH)
    row, column = first + tl.arange(0, ROWS), tl.arange(0, WIDTH)
    x_ND = tl.load(x + cells, is_inside, 0.0).to(tl.float32)  # N·D·e bytes
    weight_D = tl.load(weight + column, column < width, 0.0).to(tl.float32)  # D·e bytes a program
    scale_N = tl.rsqrt(tl.sum(x_ND * x_ND, 1) / width + epsilon)
    y_ND = x_ND * scale_N[:, None] * weight_D[None, :]
    tl.store(y + cells, y_ND.to(y.dtype.element_ty), is_inside)  # N·D·e bytes
    tl.store(scale + row, scale_N, row < num_rows)  # N·4 bytes, for the backward pass


@triton.jit
def grad_norm_kernel(
    x, weight, scale, grad_y, grad_x, parts, num_rows, width,
    ROWS: tl.constexpr, WIDTH: tl.constexpr, STEPS: tl.constexpr,
):  # fmt: skip
    """One program: STEPS tiles of rows, and their part of the gradient of the weight."""
    column = tl.arange(0, WIDTH)
    weight_D = tl.load(weight + column, column < width, 0.0).to(tl.float32)
    grad_weight_D = tl.zeros([WIDTH], tl.float32)
    for step in range(STEPS):
        first = (tl.program_id(0) * STEPS + step) * ROWS
        cells, is_inside = rows_of(first, num_rows, width, ROWS, WIDTH)
        row = first + tl.arange(0, ROWS)
        x_ND = tl.load(x + cells, is_inside, 0.0).to(tl.float32)  # N·D·e bytes
        grad_y_ND = tl.load(grad_y + cells, is_inside, 0.0).to(tl.float32)  # N·D·e bytes
        scale_N1 = tl.load(scale + row, row < num_rows, 0.0)[:, None]  # N·4 bytes
        unit_ND = x_ND * scale_N1
        grad_unit_ND = grad_y_ND * weight_D[None, :]
        along_N = tl.sum(grad_unit_ND * unit_ND, 1) / width  # x's own direction changes nothing
        grad_x_ND = (grad_unit_ND - unit_ND * along_N[:, None]) * scale_N1
        tl.store(grad_x + cells, grad_x_ND.to(grad_x.dtype.element_ty), is_inside)  # N·D·e bytes
        grad_weight_D += tl.sum(grad_y_ND * unit_ND, 0)
    part = tl.program_id(0).to(tl.int64) * width + column
    tl.store(parts + part, grad_weight_D, column < width)  # D·4 bytes a program


def row_tiles(width: int) -> dict[str, int]:
    """How many rows a program holds, and the least power of two that is not below their width."""
    padded = triton.next_power_of_2(width)
    return {"ROWS": max(1, CELLS // padded), "WIDTH": padded}


class FusedNorm(torch.autograd.Function):
    """Keeps the rows and one number a row: not the normed rows, which are made again."""

    @staticmethod
    def forward(
        ctx: FunctionCtx, x_ND: torch.Tensor, weight_D: torch.Tensor, epsilon: float
    ) -> torch.Tensor:
        num_rows, width = x_ND.shape
        dtype = torch.promote_types(x_ND.dtype, weight_D.dtype)
        y_ND = torch.empty_like(x_ND, dtype=dtype)
        scale_N = x_ND.new_empty(num_rows, dtype=torch.float32)
        tiles = row_tiles(width)
        sizes = num_rows, width, epsilon
        norm_kernel[(triton.cdiv(num_rows, tiles["ROWS"]),)](
            x_ND, weight_D, y_ND, scale_N, *sizes, **tiles
        )
        ctx.save_for_backward(x_ND, weight_D, scale_N)
        return y_ND

    @staticmethod
    @once_differentiable
    def backward(
        ctx: FunctionCtx, grad_y_ND: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor, None]:
        x_ND, weight_D, scale_N = ctx.saved_tensors
        num_rows, width = x_ND.shape
        tiles = row_tiles(width)
        num_programs = triton.cdiv(num_rows, tiles["ROWS"] * STEPS)
        grad_x_ND = torch.empty_like(x_ND)
        parts_PD = x_ND.new_empty(num_programs, width, dtype=torch.float32)
        tensors = x_ND, weight_D, scale_N, grad_y_ND.contiguous(), grad_x_ND, parts_PD
        grad_norm_kernel[(num_programs,)](*tensors, num_rows, width, STEPS=STEPS, **tiles)
        return grad_x_ND, parts_PD.sum(0).to(weight_D.dtype), None


# package only
def check_inputs(x: torch.Tensor, weight_D: torch.Tensor) -> None:
    """ValueError where nothing can run the kernels, or they would read beyond the weight."""
    if weight_D.shape != x.shape[-1:] or weight_D.device != x.device:
        raise ValueError(
            f"weight_D {tuple(weight_D.shape)} {weight_D.device}, x {tuple(x.shape)} {x.device}: "
            "the weight needs the width of x's rows, and x's device"
        )
    if not (x.is_cuda or INTERPRETED):
        raise ValueError(
            f"x {tuple(x.shape)} {x.device}: the kernel runs on a GPU; use `RMSNorm`, or start "
            "Python with TRITON_INTERPRET=1 (slow, for checking)"
        )


@torch.compiler.disable  # a graph is cut here: the compiler cannot look into the launches
def fused_rms_norm(x: torch.Tensor, weight_D: torch.Tensor, epsilon: float) -> torch.Tensor:
    """x / √(mean(x²) + ε) · w over the last axis, as `RMSNorm` of `transformer.py` computes it."""
    check_inputs(x, weight_D)
    dtype = torch.promote_types(x.dtype, weight_D.dtype)
    if INTERPRETED:  # which is wrong about bfloat16
        check_interpreter()
        x, weight_D = x.float(), weight_D.float()
    x_ND = x.reshape(-1, x.shape[-1]).contiguous()
    return FusedNorm.apply(x_ND, weight_D.contiguous(), epsilon).view_as(x).to(dtype)
