"""The fused norm has the numbers and gradients of `RMSNorm`, and reads nothing beyond the ends."""

import math

import pytest
import torch

from minillm.model.transformer import RMSNorm

pytest.importorskip("triton", reason="triton has wheels for Linux alone")

from minillm.model import fused_norm  # noqa: E402  needs triton
from minillm.model.flash_inputs import INTERPRETED  # noqa: E402  needs triton
from minillm.model.fused_norm import fused_rms_norm  # noqa: E402  needs triton

DEVICE = "cpu" if INTERPRETED else "cuda"
EPSILON = 1e-5
UNITS = 4  # of float32's precision at the largest number; the excess measured was at most .4
SHAPES = [(1, 1), (1, 2), (7, 5), (2, 3, 48), (130, 100), (64, 64), (530, 257), (3, 5000)]


def results(norm, x: torch.Tensor, weight: torch.Tensor, grad: torch.Tensor) -> list[torch.Tensor]:
    """The output and the gradients of rows and weight, as float64."""
    x, weight = (each.detach().clone().requires_grad_() for each in (x, weight))
    y = norm(x, weight)
    y.backward(grad.to(y.dtype))
    return [each.detach().double() for each in (y, x.grad, weight.grad)]


def plain(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The model's own norm, with this weight as a leaf."""
    norm = RMSNorm(x.shape[-1], EPSILON)
    return torch.func.functional_call(norm, {"weight": weight}, x)


def exactly(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """The equation in float64."""
    return x / (x.square().mean(-1, keepdim=True) + EPSILON).sqrt() * weight


def fused(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    return fused_rms_norm(x, weight, EPSILON)


def check_rule(norm, shape: tuple[int, ...], dtype: torch.dtype, weight_dtype: torch.dtype) -> None:
    """The error is at most twice that of the model's norm in the same dtypes."""
    generator = torch.Generator().manual_seed(shape[-1])
    x, grad = (torch.randn(shape, generator=generator).to(DEVICE, dtype) for _ in "xg")
    weight = torch.randn(shape[-1], generator=generator).to(DEVICE, weight_dtype)
    exact = results(exactly, x.double(), weight.double(), grad.double())
    ours, theirs = results(norm, x, weight, grad), results(plain, x, weight, grad)
    for name, a, b, e in zip(("y", "grad x", "grad weight"), ours, theirs, exact, strict=True):
        error, plain_error = (float((each - e).abs().max()) for each in (a, b))
        floor = UNITS * torch.finfo(torch.float32).eps * float(e.abs().max())
        assert error <= 2 * plain_error + floor, f"{name}: {error:.1e}, plain {plain_error:.1e}"


@pytest.mark.parametrize("shape", SHAPES)
def test_error_is_at_most_twice_that_of_the_models_norm(shape: tuple[int, ...]):
    check_rule(fused, shape, torch.float32, torch.float32)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("weight_dtype", [torch.float32, None])
def test_reduced_precision_keeps_the_rule_too(
    dtype: torch.dtype, weight_dtype: torch.dtype | None
):
    check_rule(fused, (130, 100), dtype, weight_dtype or dtype)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_output_has_the_dtype_of_the_models_norm(dtype: torch.dtype):
    x, weight = torch.randn(3, 8, device=DEVICE, dtype=dtype), torch.ones(8, device=DEVICE)
    assert fused(x, weight).dtype == plain(x, weight).dtype


def test_gradient_of_the_weight_is_the_same_bits_twice():
    x, grad = (torch.randn(1100, 30, device=DEVICE) for _ in "xg")
    weight = torch.randn(30, device=DEVICE)
    once, again = (results(fused, x, weight, grad) for _ in range(2))
    assert all(torch.equal(a, b) for a, b in zip(once, again, strict=True))


def test_nothing_beyond_the_rows_is_read_or_written():
    """The rows in the middle of a longer piece of memory that holds NaN."""
    around = torch.full((60 + 7 * 5 + 9000,), math.nan, device=DEVICE)
    rows = around[60 : 60 + 35].view(7, 5)
    rows.copy_(torch.arange(35.0).reshape(7, 5))
    y = fused(rows, torch.ones(5, device=DEVICE))
    torch.testing.assert_close(y, plain(rows, torch.ones(5, device=DEVICE)))
    sums = torch.full((64,), -7.0, device=DEVICE)
    out = torch.full((9000,), -7.0, device=DEVICE)
    sizes = {"ROWS": 512, "WIDTH": 8}
    fused_norm.norm_kernel[(1,)](
        rows, torch.ones(5, device=DEVICE), out, sums, 7, 5, EPSILON, **sizes
    )
    assert (out[:35] != -7).all() and (out[35:] == -7).all() and (sums[7:] == -7).all()


def test_on_the_way_back_nothing_beyond_the_rows_is_summed():
    """What is read there is NaN; the weight's gradient is a sum over all rows of a tile."""
    around = torch.full((60 + 7 * 5 + 9000,), math.nan, device=DEVICE)
    x = around[60 : 60 + 35].view(7, 5)
    x.copy_(torch.arange(35.0).reshape(7, 5))
    weight, grad = torch.ones(5, device=DEVICE), torch.ones(7, 5, device=DEVICE)
    kept, found = x.detach().requires_grad_(), weight.clone().requires_grad_()
    fused(kept, found).backward(grad)
    *_, expected = results(plain, x, weight, grad)
    torch.testing.assert_close(found.grad.double(), expected, rtol=1e-5, atol=1e-5)
    assert kept.grad.isfinite().all()


@pytest.mark.parametrize("width", [4, 6])
def test_a_weight_of_another_width_is_refused(width: int):
    with pytest.raises(ValueError, match=rf"weight_D \({width},\).*the width of x's rows"):
        fused(torch.zeros(2, 5, device=DEVICE), torch.ones(width, device=DEVICE))


def test_rows_on_the_cpu_are_refused_where_there_is_no_interpreter(monkeypatch):
    monkeypatch.setattr(fused_norm, "INTERPRETED", False)
    with pytest.raises(ValueError, match="use `RMSNorm`, or start Python"):
        fused(torch.zeros(2, 3), torch.ones(3))


def mean_left_out(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A planted bug: the sum of squares in place of their mean."""
    return x / (x.square().sum(-1, keepdim=True) + EPSILON).sqrt() * weight


def scale_without_gradient(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A planted bug: right output, but the norm is taken for a constant."""
    scale = (x.square().mean(-1, keepdim=True) + EPSILON).rsqrt().detach()
    return x * scale * weight


def epsilon_outside(x: torch.Tensor, weight: torch.Tensor) -> torch.Tensor:
    """A planted bug: ε added to the root."""
    return x / (x.square().mean(-1, keepdim=True).sqrt() + EPSILON) * weight


@pytest.mark.parametrize("bug", [mean_left_out, scale_without_gradient, epsilon_outside])
def test_planted_bug_breaks_the_rule(bug):
    with pytest.raises(AssertionError):
        check_rule(bug, (7, 5), torch.float32, torch.float32)
