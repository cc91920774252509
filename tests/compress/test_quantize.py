"""Codes, scales, packing: by hand, against torchao, within half a step whatever the weights."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.compress import quantize
from minillm.compress.quantize import (
    QuantizedWeight,
    Scheme,
    absmax_scales,
    codes_of,
    dequantize_state,
    dequantized,
    from_blocks,
    in_blocks,
    pack_int4,
    quantize_state,
    quantized,
    rounded_up,
    scheme_named,
    state_bytes,
    unpack_int4,
)

NAMES = (
    "int8-tensor", "int8-channel", "int8-g32", "int4-tensor", "int4-channel", "int4-g32",
    "int4-g64", "int4-g5",
)  # fmt: skip
# a product and a rounding in float32, of up to 127.5 steps: 2 · 2⁻²⁴ · 127.5 < 1e-4
HALF_A_STEP = 0.5 + 1e-4


def steps_of(weight: QuantizedWeight) -> torch.Tensor:
    """The scale of each single weight, `[N, K]`."""
    ones = in_blocks(torch.ones(weight.shape), weight.scheme)
    return from_blocks(ones * weight.scales.float()[..., None], weight.shape).double()


def error_in_steps(matrix: torch.Tensor, scheme: Scheme) -> float:
    weight = quantized(matrix, scheme)
    errors = (dequantized(weight).double() - matrix.double()).abs() / steps_of(weight)
    return float(errors.max())


def test_three_weights_by_hand() -> None:
    """absmax 7.5 at 4 bits: a step of 1; 7.5 has no code of its own and goes to 7, half a step."""
    row = torch.tensor([[0.4, -2.6, 7.5, -7.5]])
    weight = quantized(row, scheme_named("int4-channel"))
    assert weight.scales.tolist() == [[1.0]]
    assert codes_of(weight).tolist() == [[0, -3, 7, -8]]
    assert dequantized(weight).tolist() == [[0.0, -3.0, 7.0, -8.0]]


def test_eight_bits_by_hand() -> None:
    weight = quantized(torch.tensor([[127.5, 1.0, -63.6]]), scheme_named("int8"))
    assert weight.scales.tolist() == [[1.0]] and weight.codes.tolist() == [[127, 1, -64]]


@settings(max_examples=60, deadline=None)
@given(
    st.integers(1, 7), st.integers(1, 41), st.sampled_from(NAMES),
    st.integers(-30, 30), st.integers(0, 10_000),
)  # fmt: skip
def test_no_weight_is_further_than_half_a_step_from_its_code(rows, width, name, power, seed):
    chance = torch.Generator().manual_seed(seed)
    matrix = torch.randn(rows, width, generator=chance) * 2.0**power
    # outliers, zeros and exact maxima of both signs
    matrix[0, 0] *= 50
    matrix[-1, -1] = -matrix.abs().max()
    matrix[matrix.abs() < 2.0**power / 10] = 0
    assert error_in_steps(matrix, scheme_named(name)) <= HALF_A_STEP


@pytest.mark.parametrize("name", NAMES)
def test_a_step_that_is_too_short_is_seen_by_that_check(name, monkeypatch) -> None:
    monkeypatch.setattr(
        quantize, "absmax_scales", lambda blocks, scheme: absmax_scales(blocks, scheme) / 1.05
    )
    assert error_in_steps(torch.linspace(-1, 1, 123).reshape(3, 41), scheme_named(name)) > 0.51


def test_a_step_rounded_to_nearest_would_be_too_short(monkeypatch) -> None:
    """Why scales are rounded up: bfloat16's nearest is below the exact one for half of all rows."""
    matrix = torch.randn(64, 32, generator=torch.Generator().manual_seed(0))
    assert error_in_steps(matrix, scheme_named("int8-g32")) <= HALF_A_STEP
    monkeypatch.setattr(quantize, "rounded_up", lambda scales, dtype: scales.to(dtype))
    assert error_in_steps(matrix, scheme_named("int8-g32")) > 0.6


@given(st.floats(2.0**-120, 2.0**120, width=32))
def test_rounding_up_is_never_below_and_at_most_one_bfloat16_above(number: float) -> None:
    found = float(rounded_up(torch.tensor([number]), torch.bfloat16))
    assert number <= found <= number * (1 + 2**-7)


@given(st.lists(st.integers(-8, 7), max_size=33))
def test_packed_codes_come_back_and_take_half_a_byte_each(codes: list[int]) -> None:
    packed = pack_int4(torch.tensor(codes, dtype=torch.int8))
    assert packed.dtype == torch.uint8 and packed.numel() == math.ceil(len(codes) / 2)
    assert unpack_int4(packed, len(codes)).tolist() == codes


def test_two_codes_in_a_byte_by_hand() -> None:
    """3 + 8 = 11 in the low half, −8 + 8 = 0 in the high half: 11; then 7 and −1: 15 + 16 · 7."""
    packed = pack_int4(torch.tensor([3, -8, 7, -1], dtype=torch.int8))
    assert packed.tolist() == [11, 127]


def test_bytes_are_counted_as_stored() -> None:
    matrix = torch.randn(6, 64)
    assert quantized(matrix, scheme_named("int8-tensor")).num_bytes == 6 * 64 + 4
    assert quantized(matrix, scheme_named("int8")).num_bytes == 6 * 64 + 6 * 4
    assert quantized(matrix, scheme_named("int4")).num_bytes == 6 * 32 + 6 * 2 * 2
    assert quantized(torch.randn(3, 5), scheme_named("int4-channel")).num_bytes == 8 + 12


def test_codes_are_those_of_torchao() -> None:
    from torchao.quantization import Int8WeightOnlyConfig, quantize_

    torch.manual_seed(0)
    linear = torch.nn.Linear(193, 101, bias=False)
    ours = quantized(linear.weight, scheme_named("int8"))
    quantize_(linear, Int8WeightOnlyConfig(version=2))
    theirs = linear.weight
    assert torch.equal(ours.codes, theirs.qdata)
    assert torch.equal(ours.scales.flatten(), theirs.scale.flatten())


def test_one_weight_one_row_and_zeros() -> None:
    for name in NAMES:
        scheme = scheme_named(name)
        assert dequantized(quantized(torch.zeros(3, 7), scheme)).abs().max() == 0
        assert error_in_steps(torch.tensor([[-3.0]]), scheme) <= HALF_A_STEP
        assert error_in_steps(torch.full((1, 13), 1e-40), scheme) <= HALF_A_STEP


def test_more_scales_lose_less_where_rows_differ() -> None:
    chance = torch.Generator().manual_seed(0)
    matrix = torch.randn(32, 64, generator=chance) * torch.logspace(-2, 0, 32)[:, None]
    matrix[:, 5] *= 10
    losses = [
        float((dequantized(quantized(matrix, scheme_named(name))) - matrix).square().sum())
        for name in ("int4-tensor", "int4-channel", "int4-g32")
    ]
    assert losses[0] > 2 * losses[1] and losses[1] > 1.5 * losses[2]


@pytest.mark.parametrize("name", ["int5", "int4-row", "int8-g0", "int8-g-4", "", "int4-g"])
def test_an_unknown_scheme_is_refused_with_what_there_is(name: str) -> None:
    with pytest.raises(ValueError, match="int8 or int4.*int4-g64"):
        scheme_named(name)


def test_names_are_read_as_they_are_written() -> None:
    assert [scheme_named(name).name for name in NAMES] == list(NAMES)
    assert (scheme_named("int8").name, scheme_named("int4").name) == ("int8-channel", "int4-g32")


def test_weights_that_are_no_numbers_are_refused() -> None:
    for bad in (math.inf, math.nan):
        with pytest.raises(ValueError, match="inf or nan.*learning_rate"):
            quantized(torch.tensor([[1.0, bad]]), scheme_named("int8"))


def test_matrices_by_their_scheme_tables_by_theirs_norms_as_they_are() -> None:
    tensors = {
        "model.embed_tokens.weight": torch.randn(10, 8),
        "model.layers.0.mlp.up_proj.weight": torch.randn(6, 8),
        "model.norm.weight": torch.randn(8),
    }
    state = quantize_state(tensors, scheme_named("int4"), scheme_named("int8"))
    schemes = [each.scheme.name for each in state.values() if isinstance(each, QuantizedWeight)]
    assert schemes == ["int8-channel", "int4-g32"]
    assert state["model.norm.weight"] is tensors["model.norm.weight"]
    assert state_bytes(state) == (80 + 40) + (24 + 12) + 32
    back = dequantize_state(state)
    assert back.keys() == tensors.keys()
    assert torch.allclose(back["model.embed_tokens.weight"], tensors["model.embed_tokens.weight"],
                          atol=0.02)
