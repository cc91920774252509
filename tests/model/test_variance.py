"""How large numbers are in an untrained model: predicted, and as they are."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from minillm.model import variance
from minillm.model.transformer import ModelConfig, Transformer
from minillm.model.variance import (
    FirstWeights,
    Spread,
    first_weights,
    mean_product,
    measured_spread,
    normed,
    predicted_spread,
    silu,
    silu_slope,
)

DEEP = ModelConfig(
    vocab_size=61, width=128, num_layers=32, num_heads=4, num_kv_heads=2, ffn_width=344,
    context_length=48, initial_std=0.62 / math.sqrt(128),
)  # fmt: skip
GENERATOR = torch.Generator().manual_seed(5)
ROW = torch.randint(61, (49,), generator=GENERATOR).tolist()
TOKENS, TARGETS = ROW[:-1], ROW[1:]
NUM_SEEDS = 4


def drawn(config: ModelConfig, first: FirstWeights, seed: int) -> Transformer:
    """A model whose writing matrices are as large as `first` says."""
    torch.manual_seed(seed)
    model = Transformer(config)
    for name, parameter in model.named_parameters():
        if name.endswith(("o_proj.weight", "down_proj.weight")):
            parameter.data *= first.writer / first_weights(config).writer
    return model


def measured(config: ModelConfig, first: FirstWeights) -> Spread:
    """The mean over several draws of the weights."""
    found = [measured_spread(drawn(config, first, s), TOKENS, TARGETS) for s in range(NUM_SEEDS)]
    return Spread(
        stream=np.mean([each.stream for each in found], axis=0),
        gradient=np.mean([each.gradient for each in found], axis=0),
    )


def largest_error(predicted: np.ndarray, found: np.ndarray) -> float:
    return float(np.abs(np.log(found / predicted)).max())


# Logarithms of mean squares at width 128, means of four draws: the stream was off by .12 at most,
# gradients by .15 (both without the scale of depth). Half as much again, and twice, is allowed.
ALLOWED_STREAM, ALLOWED_GRADIENT = 0.18, 0.30


@pytest.fixture(scope="module")
def scaled() -> Spread:
    return measured(DEEP, first_weights(DEEP))


def test_stream_and_gradients_through_32_layers_are_as_predicted(scaled: Spread) -> None:
    predicted = predicted_spread(DEEP, TOKENS, TARGETS, first_weights(DEEP))
    assert len(predicted.stream) == len(predicted.gradient) == 33
    assert largest_error(predicted.stream, scaled.stream) < ALLOWED_STREAM
    assert largest_error(predicted.gradient, scaled.gradient) < ALLOWED_GRADIENT


def test_without_the_scale_of_depth_too() -> None:
    first = first_weights(DEEP)
    unscaled = replace(first, writer=first.inside)
    predicted, found = predicted_spread(DEEP, TOKENS, TARGETS, unscaled), measured(DEEP, unscaled)
    assert largest_error(predicted.stream, found.stream) < ALLOWED_STREAM
    assert largest_error(predicted.gradient, found.gradient) < ALLOWED_GRADIENT
    scaled = predicted_spread(DEEP, TOKENS, TARGETS, first)
    assert predicted.stream[-1] > 50 * scaled.stream[-1]


@pytest.mark.parametrize(("width_ratio", "last_norm"), [(0.5, 1.0), (4.0, 1.0), (4.0, 0.3)])
def test_weights_that_follow_the_width_are_predicted(width_ratio: float, last_norm: float) -> None:
    config = replace(
        DEEP, num_layers=4, base_width=int(128 / width_ratio), initial_last_norm=last_norm
    )
    first = first_weights(config)
    predicted, found = predicted_spread(config, TOKENS, TARGETS, first), measured(config, first)
    assert largest_error(predicted.stream, found.stream) < ALLOWED_STREAM
    # the way back through the scores is left out: of this relative size
    allowed = ALLOWED_GRADIENT + math.log1p((config.width * first.inside**2) ** 2)
    assert largest_error(predicted.gradient, found.gradient) < allowed
    # planted: the last norm's scale forgotten
    forgotten = predicted.gradient * (width_ratio / last_norm) ** 2
    assert largest_error(forgotten, found.gradient) > 2 * allowed


@pytest.mark.parametrize(
    ("changes", "words"),
    [({"positions": "learned"}, "positions = 'learned': .*use 'rotary' or 'none'"),
     ({"qk_norm": True}, "qk_norm = True: this prediction knows nothing of it")],
)  # fmt: skip
def test_what_is_not_predicted_is_refused(changes: dict, words: str) -> None:
    config = replace(DEEP, **changes)
    with pytest.raises(ValueError, match=words):
        predicted_spread(config, TOKENS, TARGETS, first_weights(config))


@pytest.mark.parametrize(
    "bug", ["scaled by √L", "scaled by 2L", "gate forgotten", "every token hears itself alone"]
)
def test_a_wrong_prediction_is_seen(
    bug: str, scaled: Spread, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = first_weights(DEEP)
    if bug == "scaled by √L":
        first = replace(first, writer=first.writer * math.sqrt(2))
    elif bug == "scaled by 2L":
        first = replace(first, writer=first.inside / 64)
    elif bug == "gate forgotten":
        monkeypatch.setattr(variance, "mean_product", lambda f, v, rho: v * rho)
    else:
        monkeypatch.setattr(np, "tril", lambda ones: np.diag(np.arange(1.0, len(ones) + 1)))
    predicted = predicted_spread(DEEP, TOKENS, TARGETS, first)
    assert largest_error(predicted.stream, scaled.stream) > 2 * ALLOWED_STREAM


def test_mean_products_by_hand() -> None:
    """E[a·b] = v·ρ; E[a²·b²] = v²(1 + 2ρ²)."""
    correlation = np.array([-1.0, -0.3, 0.0, 0.7, 1.0])
    np.testing.assert_allclose(mean_product(lambda x: x, 2.5, correlation), 2.5 * correlation,
                               atol=1e-12)
    np.testing.assert_allclose(
        mean_product(lambda x: x**2, 0.5, correlation), 0.25 * (1 + 2 * correlation**2)
    )


@pytest.mark.parametrize("function", [silu, silu_slope])
@pytest.mark.parametrize("spread", [0.1, 0.384, 2.0])
def test_mean_products_of_the_gate_are_those_of_many_draws(function, spread: float) -> None:
    random, count, rho = np.random.default_rng(0), 200_000, 0.6
    a = random.normal(size=count)
    b = rho * a + math.sqrt(1 - rho**2) * random.normal(size=count)
    products = function(math.sqrt(spread) * a) * function(math.sqrt(spread) * b)
    expected = mean_product(function, spread, np.array(rho))
    # five standard errors
    assert abs(products.mean() - expected) < 5 * products.std() / math.sqrt(count)


def test_a_norm_makes_mean_squares_one() -> None:
    products_TT = np.array([[4.0, 3.0], [3.0, 9.0]])
    ones_TT, sizes_TT = normed(products_TT, 0.0)
    np.testing.assert_allclose(ones_TT, [[1, 0.5], [0.5, 1]])
    np.testing.assert_allclose(sizes_TT, [[4, 6], [6, 9]])


def test_measuring_leaves_the_model_as_it_was() -> None:
    model = drawn(replace(DEEP, num_layers=2), first_weights(DEEP), 0)
    measured_spread(model, TOKENS, TARGETS)
    assert all(each.grad is None for each in model.parameters())
    assert not model.model.embed_tokens._forward_hooks
