"""Weights in few bits: a matrix becomes small whole numbers (codes) and a scale for many of them.

In: tensors by name. Out: the same names, matrices as `QuantizedWeight`. The one idea: w ≈ code ·
scale, where the scale is the *smallest* step at which no weight lies further than half a step from
a code: 2 · absmax / (2ᵇ − 1), torchao's rule. Two codes of 4 bits share a byte. Scales shared by a
row follow LLM.int8() (arXiv:2208.07339), by groups of a row ZeroQuant (arXiv:2206.01861). Left
out: zero points (weights lie around 0), codes that are not evenly spaced, quantised activations.
"""

import re
from dataclasses import dataclass
from typing import Literal

import torch

Sharing = Literal["tensor", "channel"] | int
SCHEME_NAME = re.compile(r"int(4|8)(?:-(?:(tensor|channel)|g([1-9]\d*)))?")
DEFAULT_SHARING: dict[int, Sharing] = {8: "channel", 4: 32}
# below this a float32 loses digits, and so would the step
SMALLEST_SCALE = torch.finfo(torch.float32).tiny
# the token table is read by one row at a time and again by every token's logit: it is kept finer
TOKEN_TABLES = ("model.embed_tokens.weight", "lm_head.weight")


@dataclass(frozen=True, kw_only=True, slots=True)
class Scheme:
    """How many bits a code has, and which weights share a scale: all, a row, or so many of a row.

    A row of a weight matrix is an output channel: the weights of one output number.
    """

    bits: Literal[4, 8]
    shared_by: Sharing

    @property
    def name(self) -> str:
        """`int8-channel`, `int4-g32`, …: what `scheme_named` reads."""
        sharing = f"g{self.shared_by}" if isinstance(self.shared_by, int) else self.shared_by
        return f"int{self.bits}-{sharing}"

    @property
    def lowest(self) -> int:
        """−2ᵇ⁻¹; the highest code is −lowest − 1."""
        return -(2 ** (self.bits - 1))

    @property
    def scale_dtype(self) -> torch.dtype:
        """Two bytes where scales are many; four where they are few."""
        return torch.bfloat16 if isinstance(self.shared_by, int) else torch.float32


# package only
def scheme_named(name: str) -> Scheme:
    """`int8` (a scale a row), `int4` (a scale per 32), or in full: int4-tensor, int8-g64, …"""
    found = SCHEME_NAME.fullmatch(name)
    if not found:
        raise ValueError(
            f"scheme = {name!r}: give int8 or int4, alone or with -tensor, -channel or a group's "
            "size, for example int4-g64"
        )
    bits, whole, group_size = int(found[1]), found[2], found[3]
    sharing = int(group_size) if group_size else whole or DEFAULT_SHARING[bits]
    return Scheme(bits=bits, shared_by=sharing)


@dataclass(frozen=True, kw_only=True, slots=True)
class QuantizedWeight:
    """A matrix as stored: codes (two a byte at 4 bits), scales `[R, G]`, and what they mean."""

    codes: torch.Tensor
    scales: torch.Tensor
    shape: tuple[int, int]
    scheme: Scheme

    @property
    def num_bytes(self) -> int:
        """What codes and scales take, in memory and on disk."""
        return self.codes.nbytes + self.scales.nbytes


def in_blocks(weight_NK: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """The weights as `[R, G, size]`: each block shares a scale; a row's short last is padded by 0.

    R = G = 1 for the whole tensor; R = N rows and G = 1 by channel; G groups of a row otherwise.
    """
    if scheme.shared_by == "tensor":
        return weight_NK.reshape(1, 1, -1)
    if scheme.shared_by == "channel":
        return weight_NK[:, None, :]
    padding = -weight_NK.shape[1] % scheme.shared_by
    padded = torch.nn.functional.pad(weight_NK, (0, padding))
    return padded.unflatten(1, (-1, scheme.shared_by))


def from_blocks(blocks: torch.Tensor, shape: tuple[int, int]) -> torch.Tensor:
    """The inverse of `in_blocks`: padding dropped, rows joined."""
    num_rows, width = shape
    return blocks.reshape(num_rows, -1)[:, :width]


def rounded_up(scales: torch.Tensor, dtype: torch.dtype) -> torch.Tensor:
    """The smallest number of `dtype` that is not below: a step cut short would cut the range."""
    nearest = scales.to(dtype)
    above = torch.nextafter(nearest, torch.full_like(nearest, torch.inf))
    return torch.where(nearest.float() < scales, above, nearest)


def absmax_scales(blocks: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """One step a block, `[R, G]`: the codes' range, half a step wider at both ends, is ±absmax."""
    absmax = blocks.abs().amax(dim=-1)
    half_the_codes = (2**scheme.bits - 1) / 2
    scales = (absmax / half_the_codes).clamp(min=SMALLEST_SCALE)
    return rounded_up(scales, scheme.scale_dtype)


def nearest_codes(weights: torch.Tensor, scales: torch.Tensor, scheme: Scheme) -> torch.Tensor:
    """The nearest whole number of steps, within the codes that there are."""
    steps = weights * (1.0 / scales.float())
    return steps.round().clamp(scheme.lowest, -scheme.lowest - 1).to(torch.int8)


def pack_int4(codes: torch.Tensor) -> torch.Tensor:
    """Two codes of −8 … 7 in a byte, the first in its low half; each is stored as code + 8."""
    unsigned = (codes.flatten() + 8).to(torch.uint8)
    if unsigned.numel() % 2:
        unsigned = torch.cat((unsigned, unsigned.new_zeros(1)))
    return unsigned[0::2] | (unsigned[1::2] << 4)


def unpack_int4(packed: torch.Tensor, num_codes: int) -> torch.Tensor:
    """The inverse of `pack_int4`; half a byte too many is dropped."""
    both = torch.stack((packed & 15, packed >> 4), dim=1)
    return both.flatten()[:num_codes].to(torch.int8) - 8


def quantized_from(
    codes_NK: torch.Tensor, scales: torch.Tensor, scheme: Scheme
) -> QuantizedWeight:
    """Codes and scales in the form that is stored."""
    stored = pack_int4(codes_NK) if scheme.bits == 4 else codes_NK.contiguous()
    shape = (codes_NK.shape[0], codes_NK.shape[1])
    return QuantizedWeight(codes=stored, scales=scales, shape=shape, scheme=scheme)


def quantized(weight_NK: torch.Tensor, scheme: Scheme) -> QuantizedWeight:
    """The matrix in the nearest codes; ValueError for a weight that is no finite number."""
    if not torch.isfinite(weight_NK).all():
        raise ValueError(
            "weight: holds inf or nan, which no code can stand for; the model has diverged, "
            "train it again with a lower learning_rate"
        )
    blocks = in_blocks(weight_NK.detach().float(), scheme)
    scales = absmax_scales(blocks, scheme)
    codes = nearest_codes(blocks, scales[..., None], scheme)
    return quantized_from(from_blocks(codes, tuple(weight_NK.shape)), scales, scheme)


def codes_of(weight: QuantizedWeight) -> torch.Tensor:
    """The codes as a matrix `[N, K]` of int8, one number each."""
    num_rows, width = weight.shape
    if weight.scheme.bits == 8:
        return weight.codes
    return unpack_int4(weight.codes, num_rows * width).view(num_rows, width)


def dequantized(weight: QuantizedWeight) -> torch.Tensor:
    """code · scale: the matrix that the codes stand for, in float32."""
    blocks = in_blocks(codes_of(weight).float(), weight.scheme)
    return from_blocks(blocks * weight.scales.float()[..., None], weight.shape)


State = dict[str, torch.Tensor | QuantizedWeight]


def is_layer_matrix(name: str, tensor: torch.Tensor) -> bool:
    """Matrices of the layers but routers: small, and a rounded one picks other experts."""
    return tensor.ndim == 2 and ".layers." in name and not name.endswith(".mlp.gate.weight")


def scheme_of(name: str, tensor: torch.Tensor, layers: Scheme, tables: Scheme) -> Scheme | None:
    """Matrices of the layers, tables of tokens; norms, routers and learned places stay: None."""
    if name in TOKEN_TABLES:
        return tables
    return layers if is_layer_matrix(name, tensor) else None


def quantize_state(tensors: dict[str, torch.Tensor], layers: Scheme, tables: Scheme) -> State:
    """State dict → quantised state dict: each matrix by the scheme that is meant for it."""
    state: State = {}
    for name, tensor in tensors.items():
        scheme = scheme_of(name, tensor, layers, tables)
        state[name] = tensor if scheme is None else quantized(tensor, scheme)
    return state


def dequantize_state(state: State) -> dict[str, torch.Tensor]:
    """Quantised state dict → state dict of an ordinary model."""
    return {
        name: dequantized(each) if isinstance(each, QuantizedWeight) else each
        for name, each in state.items()
    }


def state_bytes(state: State) -> int:
    """The bytes of all numbers: codes, scales, and what stayed as it was."""
    return sum(
        each.num_bytes if isinstance(each, QuantizedWeight) else each.nbytes
        for each in state.values()
    )
