"""A model that reads codes is the model of the matrices that the codes stand for."""

import dataclasses
import warnings

import pytest
import torch
import torch.nn.functional as F

from minillm.compress import layers
from minillm.compress.layers import (
    KERNEL_ERROR,
    KERNEL_ROWS,
    QuantizedLinear,
    kernel_is_right,
    product_error,
    with_quantized_modules,
)
from minillm.compress.quantize import (
    dequantize_state,
    dequantized,
    quantize_state,
    quantized,
    scheme_named,
    state_bytes,
)
from minillm.model.generate import generate
from minillm.model.transformer import Transformer
from minillm.train.checkpoint import load_model_tensors, model_tensors
from tests.compress.small import small_model

NAMES = ("int8-tensor", "int8", "int8-g32", "int4-channel", "int4-g32", "int4-g7")


def written_out(model: Transformer, state: dict) -> Transformer:
    plain = Transformer(model.config).eval()
    load_model_tensors(plain, dequantize_state(state))
    return plain


@torch.no_grad()
@pytest.mark.parametrize("tie_embeddings", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("name", NAMES)
def test_logits_are_those_of_the_matrices_written_out(name: str, tie_embeddings: bool) -> None:
    model = small_model(tie_embeddings)
    state = quantize_state(model_tensors(model), scheme_named(name), scheme_named("int8"))
    made = with_quantized_modules(model, state, use_kernels=False)
    tokens_BT = torch.randint(0, 97, (3, 17), generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(made(tokens_BT), written_out(model, state)(tokens_BT))
    assert (made(tokens_BT) - model(tokens_BT)).abs().max() > 1e-3


def test_no_matrix_is_left_in_float_and_the_model_given_is_untouched() -> None:
    model = small_model()
    before = model_tensors(model)
    state = quantize_state(before, scheme_named("int4"), scheme_named("int8"))
    made = with_quantized_modules(model, state)
    assert max(parameter.ndim for parameter in made.parameters()) == 1
    assert all(torch.equal(before[name], each) for name, each in model_tensors(model).items())
    assert made.lm_head.codes.data_ptr() == made.model.embed_tokens.codes.data_ptr()
    buffers = {each.data_ptr(): each.nbytes for each in [*made.buffers(), *made.parameters()]}
    rotary = made.model.cos.nbytes + made.model.sin.nbytes
    assert sum(buffers.values()) - rotary == state_bytes(state)


@pytest.mark.parametrize("name", ["int8", "int8-tensor", "int4-g32", "int4-g64"])
@pytest.mark.parametrize("num_rows", [1, 5, KERNEL_ROWS, KERNEL_ROWS + 1])
def test_kernel_and_written_out_products_agree_as_far_as_bfloat16_goes(name, num_rows) -> None:
    chance = torch.Generator().manual_seed(2)
    weight = quantized(torch.randn(48, 128, generator=chance), scheme_named(name))
    x = torch.randn(num_rows, 128, generator=chance)
    linear = QuantizedLinear(weight)
    assert (linear.kernel is not None) == kernel_is_right(weight.scheme.bits)
    found = linear(x)
    assert found.dtype == torch.float32
    assert product_error(found, x, weight) <= KERNEL_ERROR  # measured: below a third of it
    if num_rows > KERNEL_ROWS:
        assert torch.equal(found, F.linear(x, dequantized(weight)))


@pytest.mark.parametrize(
    ("shape", "name"),
    [((16, 24), "int8"), ((16, 17), "int8-tensor"), ((16, 48), "int4"), ((17, 64), "int4"),
     ((16, 64), "int4-channel"), ((16, 64), "int8-g32"), ((1, 1), "int8"), ((3, 5), "int4")],
)  # fmt: skip
def test_shapes_that_a_kernel_cannot_do_are_written_out(shape, name) -> None:
    weight = quantized(torch.randn(shape), scheme_named(name))
    linear, x = QuantizedLinear(weight), torch.randn(2, shape[1])
    assert linear.kernel is None
    assert torch.equal(linear(x), F.linear(x, dequantized(weight)))


@pytest.mark.parametrize("name", ["int8", "int4"])
def test_codes_and_inputs_may_begin_at_any_address(name: str) -> None:
    """Tensors read from a file begin where the file says; the kernels would crash on them."""
    weight = quantized(torch.randn(48, 64), scheme_named(name))
    storage = torch.zeros(weight.codes.numel() + 8, dtype=weight.codes.dtype)
    moved = storage[8:].view(weight.codes.shape).copy_(weight.codes)
    assert moved.data_ptr() % 64
    elsewhere = dataclasses.replace(weight, codes=moved)
    x = torch.randn(3 * 64 + 4)[4:].view(3, 64)
    assert torch.equal(QuantizedLinear(elsewhere)(x), QuantizedLinear(weight)(x.clone()))
    assert torch.equal(QuantizedLinear(weight)(x.bfloat16()), QuantizedLinear(weight)(
        torch.cat((torch.zeros(4), x.flatten())).bfloat16()[4:].view(3, 64)))


def test_a_kernel_that_is_wrong_is_found_and_not_used(monkeypatch) -> None:
    monkeypatch.setattr(layers, "multiplies_bfloat16", lambda device: True)
    right = layers.kernel_product
    monkeypatch.setattr(layers, "kernel_product", lambda *given: right(*given) * 1.05)
    kernel_is_right.cache_clear()
    with pytest.warns(UserWarning, match="int4 kernel is not used: it is wrong by.*slower"):
        linear = QuantizedLinear(quantized(torch.randn(16, 32), scheme_named("int4")))
    kernel_is_right.cache_clear()
    assert linear.kernel is None and linear(torch.ones(2, 32)).shape == (2, 16)


def test_a_kernel_that_is_not_there_is_no_obstacle(monkeypatch) -> None:
    def gone(*_given: object) -> torch.Tensor:
        raise AttributeError("no such operator")

    monkeypatch.setattr(layers, "multiplies_bfloat16", lambda device: True)
    monkeypatch.setattr(layers, "kernel_product", gone)
    kernel_is_right.cache_clear()
    with pytest.warns(UserWarning, match="this torch has none that runs here"):
        assert not kernel_is_right(8)
    kernel_is_right.cache_clear()


def test_without_bfloat16_instructions_matrices_are_written_out_without_a_word(monkeypatch) -> None:
    monkeypatch.setattr(layers, "multiplies_bfloat16", lambda device: False)
    kernel_is_right.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert not kernel_is_right(8)
    kernel_is_right.cache_clear()


def test_a_quantised_model_generates_with_and_without_the_cache_alike() -> None:
    model = small_model()
    state = quantize_state(model_tensors(model), scheme_named("int8"), scheme_named("int8"))
    made = with_quantized_modules(model, state, use_kernels=False)
    runs = [
        generate(made, [1, 2, 3], max_tokens=20, temperature=0, use_cache=use_cache)
        for use_cache in (True, False)
    ]
    assert runs[0] == runs[1] and len(runs[0]) == 20
    assert len(generate(with_quantized_modules(model, state), [1, 2], max_tokens=9)) == 9
