"""GPTQ: nothing to make up for means nearest codes; else the outputs are nearer than theirs."""

import pytest
import torch

from minillm.compress import gptq
from minillm.compress.gptq import error_paths, gptq_quantized, gptq_state, input_moments
from minillm.compress.quantize import codes_of, dequantized, quantize_state, quantized, scheme_named
from minillm.train.checkpoint import model_tensors
from tests.compress.small import small_model


def correlated_inputs(num_rows: int, width: int, seed: int = 0) -> torch.Tensor:
    chance = torch.Generator().manual_seed(seed)
    mixing = torch.randn(width // 4, width, generator=chance)
    hidden = torch.randn(num_rows, width // 4, generator=chance)
    return hidden @ mixing + 0.3 * torch.randn(num_rows, width, generator=chance)


@pytest.mark.parametrize("name", ["int4-channel", "int4-g32", "int8-g7", "int8"])
def test_inputs_without_correlation_give_the_nearest_codes(name: str) -> None:
    weight = torch.randn(9, 50, generator=torch.Generator().manual_seed(1))
    found = gptq_quantized(weight, torch.eye(50), scheme_named(name))
    expected = quantized(weight, scheme_named(name))
    assert torch.equal(codes_of(found), codes_of(expected))
    assert torch.equal(found.scales, expected.scales) and found.num_bytes == expected.num_bytes


@pytest.mark.parametrize("name", ["int4-channel", "int4-g32"])
def test_correlated_inputs_lose_less_than_half_of_what_nearest_codes_lose(name: str) -> None:
    weight = torch.randn(24, 64, generator=torch.Generator().manual_seed(1))
    x, unseen = (correlated_inputs(512, 64, 0)[part] for part in (slice(256), slice(256, None)))
    lost = [
        float(((weight - dequantized(each)) @ unseen.T).square().sum())
        for each in (
            gptq_quantized(weight, x.T @ x, scheme_named(name)),
            quantized(weight, scheme_named(name)),
        )
    ]
    assert lost[0] < 0.5 * lost[1]  # measured: .19 and .24


def test_errors_sent_the_wrong_way_are_seen_by_that_check(monkeypatch) -> None:
    monkeypatch.setattr(gptq, "error_paths", lambda moments: wrong(error_paths(moments)))

    def wrong(paths: torch.Tensor) -> torch.Tensor:
        diagonal = torch.diag(paths.diagonal())
        return diagonal - (paths - diagonal)

    with pytest.raises(AssertionError):
        test_correlated_inputs_lose_less_than_half_of_what_nearest_codes_lose("int4-g32")


def test_two_columns_by_hand() -> None:
    """Two equal inputs: what the first weight loses by rounding, the second makes up for.

    Step 1 (absmax 7.5 in the third row-mate column); .4 → 0 loses .4; 2.3 + .4 = 2.7 → 3, not 2.
    """
    weight = torch.tensor([[0.4, 2.3, 7.5]])
    moments = torch.tensor([[1.0, 1.0, 0.0], [1.0, 1.0, 0.0], [0.0, 0.0, 1.0]])
    assert codes_of(quantized(weight, scheme_named("int4-channel"))).tolist() == [[0, 2, 7]]
    found = gptq_quantized(weight, moments, scheme_named("int4-channel"))
    assert codes_of(found).tolist() == [[0, 3, 7]]


def test_moments_are_those_of_what_each_linear_is_given() -> None:
    model = small_model()
    batches = [torch.randint(0, 97, (2, 5)), torch.randint(0, 97, (1, 7))]
    moments = input_moments(model, batches)
    names = {name for name, each in model_tensors(model).items() if ".layers." in name
             and each.ndim == 2}
    assert names <= moments.keys()
    with torch.no_grad():
        embedded = torch.cat([model.model.embed_tokens(b).flatten(0, 1) for b in batches])
        x = model.model.layers[0].input_layernorm(embedded)
    for part in "qkv":
        found = moments[f"model.layers.0.self_attn.{part}_proj.weight"]
        torch.testing.assert_close(found, x.T @ x)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_a_state_has_the_same_names_and_bytes_as_with_nearest_codes() -> None:
    model = small_model()
    tensors = model_tensors(model)
    moments = input_moments(model, [torch.randint(0, 97, (4, 40))])
    layers, tables = scheme_named("int4"), scheme_named("int8")
    found, plain = gptq_state(tensors, moments, layers, tables), quantize_state(
        tensors, layers, tables
    )
    assert list(found) == list(plain)
    table = "model.embed_tokens.weight"
    assert torch.equal(found[table].codes, plain[table].codes)
    name = "model.layers.1.mlp.down_proj.weight"
    assert not torch.equal(found[name].codes, plain[name].codes)


def test_one_scale_for_the_whole_tensor_is_refused() -> None:
    with pytest.raises(ValueError, match="int4-tensor.*-channel"):
        gptq_quantized(torch.randn(2, 4), torch.eye(4), scheme_named("int4-tensor"))


def test_inputs_that_are_always_zero_do_no_harm() -> None:
    moments = torch.diag(torch.tensor([1.0, 0.0, 1.0, 1.0]))
    found = gptq_quantized(torch.randn(3, 4), moments, scheme_named("int4-channel"))
    assert torch.isfinite(dequantized(found)).all()
    zero = gptq_quantized(torch.randn(3, 4), torch.zeros(4, 4), scheme_named("int8"))
    assert torch.isfinite(dequantized(zero)).all()
