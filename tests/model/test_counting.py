"""What is counted from the shape is what PyTorch counts, allocates and keeps: to the last one."""

import dataclasses
import math
from collections.abc import Callable

import pytest
import torch
from torch.utils.checkpoint import checkpoint
from torch.utils.flop_counter import FlopCounterMode

from minillm.model import counting
from minillm.model.counting import (
    activation_bytes,
    approximate_training_flops,
    cache_bytes,
    forward_flops,
    head_flops,
    layer_flops,
    parameter_counts,
    peak_bytes,
    saved_bytes,
    training_flops,
)
from minillm.model.generate import KeyValueCache
from minillm.model.loss import chunked_cross_entropy, cross_entropy
from minillm.model.transformer import ModelConfig, Transformer

SHAPE = ModelConfig(
    vocab_size=61, width=24, num_layers=3, num_heads=6, num_kv_heads=2, ffn_width=37,
    context_length=29, attention="reference",
)  # fmt: skip
# odd sizes, all letters different; one row, one token; more layers; every way of sharing heads
SHAPES = [
    (SHAPE, 3, 17),
    (dataclasses.replace(SHAPE, num_kv_heads=6, tie_embeddings=False), 2, 29),
    (dataclasses.replace(SHAPE, num_kv_heads=1, num_layers=1, vocab_size=7), 5, 2),
    (dataclasses.replace(SHAPE, width=16, num_heads=1, num_kv_heads=1, ffn_width=101), 1, 1),
    (dataclasses.replace(SHAPE, width=64, num_heads=4, num_kv_heads=2, num_layers=7), 4, 13),
]


def batch(config: ModelConfig, num_rows: int, length: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(0)
    rows = torch.randint(config.vocab_size, (num_rows, length + 1), generator=generator)
    return rows[:, :-1].contiguous(), rows[:, 1:].contiguous()


def counted(work: Callable[[], object]) -> int:
    with FlopCounterMode(display=False) as counter:
        work()
    return counter.get_total_flops()


def recomputed(model: Transformer) -> Transformer:
    """The model, whose layers keep their input alone."""
    for layer in model.model.layers:
        forward = layer.forward
        layer.forward = lambda *given, forward=forward: checkpoint(
            forward, *given, use_reentrant=False
        )
    return model


# Parameters


LEARNED = dataclasses.replace(SHAPES[0][0], positions="learned")


@pytest.mark.parametrize("config", [*(config for config, *_ in SHAPES), LEARNED])
def test_parameters_by_part_are_those_of_the_model(config: ModelConfig) -> None:
    words = {
        "embedding": "embed_", "attention": "self_attn", "feed-forward": "mlp",
        "norms": "norm", "head": "lm_head",
    }  # fmt: skip
    parts = parameter_counts(config)
    named = dict(Transformer(config).named_parameters())
    for part, word in words.items():
        assert parts[part] == sum(each.numel() for name, each in named.items() if word in name)
    assert sum(parts.values()) == config.num_parameters


# Arithmetic


@pytest.mark.parametrize(("config", "num_rows", "length"), SHAPES)
def test_flops_forward_and_back_are_those_that_pytorch_counts(
    config: ModelConfig, num_rows: int, length: int
) -> None:
    model, (tokens_BT, targets_BT) = Transformer(config), batch(config, num_rows, length)
    num_tokens = num_rows * length
    assert counted(lambda: model(tokens_BT)) == forward_flops(config, num_tokens, length)
    step = counted(lambda: cross_entropy(model(tokens_BT), targets_BT).backward())
    assert step == training_flops(config, num_rows, length)


@pytest.mark.parametrize(("config", "num_rows", "length"), SHAPES)
def test_flops_of_recomputed_layers(config: ModelConfig, num_rows: int, length: int) -> None:
    model = recomputed(Transformer(config))
    tokens_BT, targets_BT = batch(config, num_rows, length)
    step = counted(lambda: cross_entropy(model(tokens_BT), targets_BT).backward())
    assert step == training_flops(config, num_rows, length, is_recomputed=True)


@pytest.mark.parametrize(
    "changes", [{"num_experts": 3}, {"norm_position": "post"}, {"qk_norm": True}], ids=str
)
def test_flops_of_recomputed_variants(changes: dict) -> None:
    """Experts' weights, and a norm behind the sum, need the last product's result."""
    config, num_rows, length = SHAPES[0]
    config = dataclasses.replace(config, attention="reference", **changes)
    model = recomputed(Transformer(config))
    tokens_BT, targets_BT = batch(config, num_rows, length)
    step = counted(lambda: cross_entropy(model(tokens_BT), targets_BT).backward())
    assert step == training_flops(config, num_rows, length, is_recomputed=True)


def test_flops_of_a_loss_in_chunks_are_those_of_the_plain_one() -> None:
    config, num_rows, length = SHAPES[0]
    model, (tokens_BT, targets_BT) = Transformer(config), batch(config, num_rows, length)
    x_BTD = model.model(tokens_BT, None, None).detach().requires_grad_()
    head_VD = model.lm_head.weight

    def step() -> None:
        chunked_cross_entropy(x_BTD, head_VD, targets_BT, chunk_tokens=7).backward()

    assert counted(step) == 3 * head_flops(config, num_rows * length)
    with torch.no_grad():
        forward = counted(lambda: chunked_cross_entropy(x_BTD, head_VD, targets_BT))
    assert forward == head_flops(config, num_rows * length)


@torch.no_grad()
def test_flops_with_a_cache_and_of_the_last_logits_alone() -> None:
    config, num_rows, _ = SHAPES[0]
    model, (tokens_BT, _) = Transformer(config), batch(config, num_rows, 20)
    cache = KeyValueCache()
    first = counted(lambda: model(tokens_BT[:, :15], cache, logits_to_keep=1))
    assert first == forward_flops(config, num_rows * 15, 15, num_logits=num_rows)
    cache.num_tokens = 15
    rest = counted(lambda: model(tokens_BT[:, 15:], cache))
    assert rest == forward_flops(config, num_rows * 5, 20)


def test_the_rule_of_six_leaves_out_scores_and_counts_norms() -> None:
    """Exact = 6·N·D − 6·norms·tokens + 12·L·D·T·tokens, term by term."""
    config, num_rows, length = SHAPES[0]
    num_tokens = num_rows * length
    rule = approximate_training_flops(config.num_parameters, num_tokens)
    scores = 12 * config.num_layers * config.width * length * num_tokens
    norms = 6 * parameter_counts(config)["norms"] * num_tokens
    assert training_flops(config, num_rows, length) == rule - norms + scores


@pytest.mark.parametrize("bug", ["head forgotten", "off by two", "keys as wide as queries"])
def test_a_planted_miscount_is_seen(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right_head, right_layers = head_flops, layer_flops
    if bug == "head forgotten":
        monkeypatch.setattr(counting, "head_flops", lambda config, count: 0)
    elif bug == "off by two":
        monkeypatch.setattr(counting, "layer_flops", lambda *given: right_layers(*given) // 2)
        monkeypatch.setattr(counting, "head_flops", lambda *given: right_head(*given) // 2)
    else:
        monkeypatch.setattr(
            counting, "layer_flops",
            lambda config, *given: right_layers(
                dataclasses.replace(config, num_kv_heads=config.num_heads), *given
            ),
        )  # fmt: skip
    config, num_rows, length = SHAPES[0]
    with pytest.raises(AssertionError):
        test_flops_forward_and_back_are_those_that_pytorch_counts(config, num_rows, length)


# Bytes

VARIANTS = (
    {}, {"qk_norm": True}, {"norm_position": "post"}, {"window": 4}, {"window": 50},
    {"window": 4, "full_every": 2}, {"positions": "none"}, {"positions": "learned"},
    {"positions": "sinusoidal"}, {"positions": "alibi"},
    {"positions": "alibi", "qk_norm": True, "window": 3},
)  # fmt: skip


@pytest.mark.parametrize(("config", "num_rows", "length"), SHAPES)
@pytest.mark.parametrize("attention", ["reference", "torch"])
@pytest.mark.parametrize("has_documents", [False, True], ids=["whole", "packed"])
@pytest.mark.parametrize("is_recomputed", [False, True], ids=["kept", "recomputed"])
def test_activation_bytes_are_what_autograd_keeps(
    config: ModelConfig, num_rows: int, length: int, attention: str,
    has_documents: bool, is_recomputed: bool,
) -> None:  # fmt: skip
    config = dataclasses.replace(config, attention=attention)
    model = Transformer(config)
    model = recomputed(model) if is_recomputed else model
    tokens_BT, targets_BT = batch(config, num_rows, length)
    documents_BT = (torch.arange(length) // 5).int().expand(num_rows, -1).contiguous()
    documents_BT = documents_BT if has_documents else None
    kept = saved_bytes(
        model, lambda: cross_entropy(model(tokens_BT, documents_BT=documents_BT), targets_BT)
    )
    assert kept == activation_bytes(
        config, num_rows, length, has_documents=has_documents, is_recomputed=is_recomputed
    )


@pytest.mark.parametrize("changes", VARIANTS, ids=str)
@pytest.mark.parametrize("attention", ["reference", "torch", "triton"])
@pytest.mark.parametrize("has_documents", [False, True], ids=["whole", "packed"])
@pytest.mark.parametrize("is_recomputed", [False, True], ids=["kept", "recomputed"])
@pytest.mark.filterwarnings("ignore:the Triton kernel prices no distance")  # PyTorch's is taken
def test_activation_bytes_of_variants_and_of_the_triton_kernel(
    changes: dict, attention: str, has_documents: bool, is_recomputed: bool
) -> None:
    if attention == "triton":
        pytest.importorskip("triton", reason="triton has wheels for Linux alone")
    config = dataclasses.replace(SHAPE, **changes)
    test_activation_bytes_are_what_autograd_keeps(
        config, 2, 9, attention, has_documents, is_recomputed
    )


@torch.no_grad()
@pytest.mark.parametrize("num_tokens", [1, 5, 29])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_cache_bytes_are_those_of_the_cache(num_tokens: int, dtype: torch.dtype) -> None:
    for config, num_rows, _ in SHAPES:
        cache = KeyValueCache()
        tokens_BT, _ = batch(config, num_rows, num_tokens)
        Transformer(config).to(dtype)(tokens_BT, cache)
        held = sum(each.nbytes for pair in cache.layers.values() for each in pair)
        assert held == num_rows * cache_bytes(config, num_tokens, dtype.itemsize)


def test_a_peak_by_hand() -> None:
    """1,000 numbers become twice 1,000, of which one goes before the next comes."""
    numbers = torch.ones(1000)

    def work() -> None:
        doubled = numbers * 2
        tripled = doubled + numbers
        del doubled
        _ = tripled.view(10, 100).T + 1
        tripled.add_(1)

    assert peak_bytes(work) == 2 * 4000
    assert peak_bytes(lambda: numbers.view(10, 100).add_(1)) == 0


def test_a_loss_in_chunks_never_holds_all_logits() -> None:
    num_tokens, width, vocab_size, chunk = 512, 16, 1000, 32
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.randn(num_tokens, width, generator=generator).requires_grad_()
    head_VD = torch.randn(vocab_size, width, generator=generator).requires_grad_()
    targets_N = torch.randint(vocab_size, (num_tokens,), generator=generator)
    plain = peak_bytes(lambda: cross_entropy(x_ND @ head_VD.T, targets_N).backward())
    chunked = peak_bytes(
        lambda: chunked_cross_entropy(x_ND, head_VD, targets_N, chunk_tokens=chunk).backward()
    )
    logits_bytes = 4 * num_tokens * vocab_size
    gradients = 4 * width * (num_tokens + vocab_size)
    # the logits, their logarithms of probabilities and both gradients do not live all at once
    assert plain > 2 * logits_bytes
    # of a chunk two tables, and the head's gradient of one chunk beside the sum and the result
    assert chunked < 2 * 4 * chunk * vocab_size + 3 * gradients
    assert math.isclose(plain / chunked, 18, rel_tol=0.5), (plain, chunked)
