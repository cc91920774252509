"""A model whose matrices are codes: modules are replaced, all else of the model stays as it was.

In: a model and a quantised state. Out: the same `Transformer`, its `Linear`s and token table
reading codes. A few rows at a time (decoding) go to torch's own kernels, which read codes from
memory and never write the matrix out; many rows share the cost of writing it out once. The kernels
multiply in bfloat16. Left out: quantised activations, GPUs (there codes are written out).
"""

import copy
import functools
import warnings

import torch
import torch.nn.functional as F
from torch import nn

from minillm.compress.quantize import (
    QuantizedWeight,
    Scheme,
    State,
    codes_of,
    dequantized,
    quantized,
)
from minillm.core.runtime import multiplies_bfloat16
from minillm.model.transformer import Transformer

# the kernels load whole vector registers: a tensor that begins elsewhere (one read from a file) is
# a crash, not an error
ALIGNMENT_BYTES = 64
# above this, writing the matrix out once is cheaper than reading codes for every row
KERNEL_ROWS = 32
# what torch's kernels can do: widths in multiples of this (at others int8 reads beyond the row's
# end: garbage, or a crash), and with int4 these groups, and rows in multiples of this
KERNEL_WIDTH_MULTIPLE, KERNEL_GROUPS, KERNEL_ROW_MULTIPLE = 32, (32, 64, 128, 256), 16
# bfloat16 rounds by 2⁻⁹ of a number: inputs, scales and the result, each once
KERNEL_ERROR = 3 * 2**-9
CHECKED_SHAPE, CHECKED_ROWS = (32, 64), 3


# package only
def has_kernel(weight: QuantizedWeight) -> bool:
    """Can torch multiply these codes as they are?"""
    num_rows, width = weight.shape
    if weight.scheme.bits == 8:
        has_row_scales = not isinstance(weight.scheme.shared_by, int)
        return has_row_scales and width % KERNEL_WIDTH_MULTIPLE == 0
    fits = num_rows % KERNEL_ROW_MULTIPLE == 0 and weight.scheme.shared_by in KERNEL_GROUPS
    return fits and width % weight.scheme.shared_by == 0


# package only
def aligned(tensor: torch.Tensor) -> torch.Tensor:
    """The same numbers at an address that the kernels can load from."""
    return tensor.clone() if tensor.data_ptr() % ALIGNMENT_BYTES else tensor


# package only
def kernel_tensors(weight: QuantizedWeight) -> tuple[torch.Tensor, torch.Tensor]:
    """Codes and scales in the order that torch's kernels read."""
    if weight.scheme.bits == 8:
        scales_N = weight.scales.flatten().expand(weight.shape[0])
        return aligned(weight.codes), scales_N.bfloat16().contiguous()
    unsigned_NK = (codes_of(weight) + 8).int()
    scales_GN = weight.scales.T
    # the second number of a pair is what code 8 stands for: 0, as everywhere here
    pairs_GN2 = torch.stack((scales_GN, torch.zeros_like(scales_GN)), dim=-1)
    packed = torch._convert_weight_to_int4pack_for_cpu(unsigned_NK, 1)
    return packed, pairs_GN2.contiguous()


def kernel_product(
    x: torch.Tensor, codes: torch.Tensor, scales: torch.Tensor, scheme: Scheme
) -> torch.Tensor:
    """x · Wᵀ by torch's kernel, in bfloat16; the result has the dtype of x."""
    rows = aligned(x.reshape(-1, x.shape[-1]).bfloat16().contiguous())
    if scheme.bits == 8:
        product = torch._weight_int8pack_mm(rows, codes, scales)
    else:
        product = torch._weight_int4pack_mm_for_cpu(rows, codes, scheme.shared_by, scales)
    return product.view(*x.shape[:-1], -1).to(x.dtype)


# package only
@functools.cache
def kernel_is_right(bits: int) -> bool:
    """Does the kernel give the product that the codes stand for? If not: False, and a warning.

    False without bfloat16 instructions too: there it is slower than writing the matrix out.
    """
    if not multiplies_bfloat16("cpu"):
        return False
    chance = torch.Generator().manual_seed(0)
    scheme = Scheme(bits=bits, shared_by="channel" if bits == 8 else 32)
    weight = quantized(torch.randn(CHECKED_SHAPE, generator=chance), scheme)
    x = torch.randn(CHECKED_ROWS, CHECKED_SHAPE[1], generator=chance)
    try:
        found = kernel_product(x, *kernel_tensors(weight), scheme)
        reason = f"it is wrong by {product_error(found, x, weight):.2g} of the sum's size"
        is_right = product_error(found, x, weight) <= KERNEL_ERROR
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        is_right, reason = False, f"this torch has none that runs here ({type(error).__name__})"
    if not is_right:
        warnings.warn(
            f"torch's int{bits} kernel is not used: {reason}; matrices are written out as float32 "
            "before each product, which is slower",
            stacklevel=2,
        )
    return is_right


# package only
def product_error(found: torch.Tensor, x: torch.Tensor, weight: QuantizedWeight) -> float:
    """The largest error of a product, over the sum of the sizes of what was added up."""
    matrix_NK = dequantized(weight)
    sizes = x.abs() @ matrix_NK.abs().T
    return float(((found - x @ matrix_NK.T).abs() / sizes.clamp(min=1e-30)).max())


class QuantizedLinear(nn.Module):
    """x · Wᵀ where W is codes and scales."""

    def __init__(self, weight: QuantizedWeight, *, use_kernel: bool = True) -> None:
        super().__init__()
        self.shape, self.scheme = weight.shape, weight.scheme
        self.register_buffer("codes", weight.codes)
        self.register_buffer("scales", weight.scales)
        self.kernel: tuple[torch.Tensor, torch.Tensor] | None = None
        if use_kernel and has_kernel(weight) and kernel_is_right(weight.scheme.bits):
            self.kernel = kernel_tensors(weight)

    @property
    def stored(self) -> QuantizedWeight:
        return QuantizedWeight(
            codes=self.codes, scales=self.scales, shape=self.shape, scheme=self.scheme
        )

    @property
    def weight(self) -> torch.Tensor:
        """The matrix written out, anew each time."""
        return dequantized(self.stored)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        num_rows = x.numel() // x.shape[-1]
        if num_rows == 0:  # an expert that no token chose
            return x.new_empty(*x.shape[:-1], self.shape[0])
        if self.kernel is not None and num_rows <= KERNEL_ROWS and x.device.type == "cpu":
            return kernel_product(x, *self.kernel, self.scheme)
        return F.linear(x, self.weight.to(x.dtype))


class QuantizedEmbedding(nn.Module):
    """Rows of a token table whose every row is codes and one scale."""

    def __init__(self, weight: QuantizedWeight) -> None:
        super().__init__()
        self.shape, self.scheme = weight.shape, weight.scheme
        self.register_buffer("codes", weight.codes)
        self.register_buffer("scales", weight.scales)

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        if self.scheme.bits == 8 and self.scheme.shared_by == "channel":
            return self.codes[tokens_BT].float() * self.scales[tokens_BT]
        stored = QuantizedWeight(
            codes=self.codes, scales=self.scales, shape=self.shape, scheme=self.scheme
        )
        return dequantized(stored)[tokens_BT]


def with_quantized_modules(
    model: Transformer, state: State, *, use_kernels: bool = True
) -> Transformer:
    """Model → a copy whose Linear modules and token table read codes; norms are plain tensors.

    A tied head is the token table's codes a second time, not a second copy.
    """
    made = copy.deepcopy(model)
    parameters = dict(made.named_parameters())
    for name, each in state.items():
        if not isinstance(each, QuantizedWeight):
            parameters[name].data.copy_(each)
            continue
        path, _, attribute = name.removesuffix(".weight").rpartition(".")
        is_table = attribute == "embed_tokens"
        module = (
            QuantizedEmbedding(each) if is_table else QuantizedLinear(each, use_kernel=use_kernels)
        )
        setattr(made.get_submodule(path), attribute, module)
        if is_table and model.config.tie_embeddings:
            made.lm_head = QuantizedLinear(each, use_kernel=use_kernels)
    return made.eval().requires_grad_(False)
