"""Bytes and operations of a kernel, counted by hand and by listening to the interpreter."""

import pytest
import torch

triton = pytest.importorskip("triton", reason="triton has wheels for Linux alone")

import triton.language as tl  # noqa: E402  needs triton
from triton.runtime.interpreter import interpreter_builder  # noqa: E402  needs triton

from minillm.bench.traffic import counted_traffic  # noqa: E402  needs triton
from minillm.model.flash_inputs import INTERPRETED  # noqa: E402  needs triton

pytestmark = pytest.mark.skipif(not INTERPRETED, reason="Triton's interpreter is off with a GPU")


@triton.jit
def square_kernel(x, y, num_rows, EDGE: tl.constexpr):
    """y = x xᵀ, of which only the first rows are read and one number is written."""
    rows = tl.arange(0, EDGE)
    cells = rows[:, None] * EDGE + rows[None, :]
    tile = tl.load(x + cells, rows[:, None] < num_rows, 0.0)
    product = tl.dot(tile, tl.trans(tile), input_precision="ieee")
    tl.store(y, tl.sum(tl.sum(product, 1), 0))


def test_bytes_and_operations_by_hand():
    x, y = torch.ones(16, 16, dtype=torch.float16), torch.zeros(1)
    with counted_traffic() as traffic:
        square_kernel[(2,)](x, y, 5, EDGE=16)
    assert y.item() == 5 * 5 * 16
    assert traffic.read_bytes == 2 * 5 * 16 * 2, "two programs, five rows, 2 bytes"
    assert traffic.written_bytes == 2 * 4
    assert traffic.bytes == traffic.read_bytes + traffic.written_bytes
    assert traffic.operations == 2 * 2 * 16**3
    assert traffic.products == 2


def test_nothing_is_counted_afterwards_or_after_an_error():
    before = interpreter_builder.create_dot
    with pytest.raises(ZeroDivisionError), counted_traffic() as traffic:
        raise ZeroDivisionError
    assert interpreter_builder.create_dot == before
    square_kernel[(1,)](torch.ones(16, 16), torch.zeros(1), 5, EDGE=16)
    assert traffic.bytes == 0
