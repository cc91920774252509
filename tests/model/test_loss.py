"""The loss: by hand, against PyTorch, and every token of a text scored once and only once."""

import math
from collections.abc import Iterator, Sequence

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from minillm.model import loss
from minillm.model.loss import (
    IGNORE,
    ChunkedCrossEntropy,
    bits_per_byte,
    chunked_cross_entropy,
    cross_entropy,
    scored_pieces,
    scoring_batch,
    total_nats,
    z_penalty,
)
from minillm.model.transformer import ModelConfig, Transformer

CONTEXT_LENGTH = 12
LENGTHS = (2, 3, 12, 13, 14, 40, 5)


def small_model(tie_embeddings: bool = True) -> Transformer:
    torch.manual_seed(0)
    return Transformer(
        ModelConfig(
            vocab_size=31,
            width=16,
            num_layers=2,
            num_heads=2,
            num_kv_heads=1,
            ffn_width=24,
            context_length=CONTEXT_LENGTH,
            initial_std=0.3,
            tie_embeddings=tie_embeddings,
        )
    )


def random_documents() -> list[list[int]]:
    generator = torch.Generator().manual_seed(4)
    return [torch.randint(31, (length,), generator=generator).tolist() for length in LENGTHS]


class UniformModel(torch.nn.Module):
    """Holds every token equally likely."""

    def __init__(self, vocab_size: int) -> None:
        super().__init__()
        self.logit = torch.nn.Parameter(torch.zeros(vocab_size))

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.logit.expand(*tokens_BT.shape, -1)


def test_cross_entropy_by_hand() -> None:
    logits_BTV = torch.tensor([[[0.0, math.log(3)], [math.log(4), 0.0]]])
    # probabilities of the targets: 3/4 and 1/5
    expected = (math.log(4 / 3) + math.log(5)) / 2
    assert cross_entropy(logits_BTV, torch.tensor([[1, 1]])).item() == pytest.approx(expected)


def test_ignored_targets_neither_count_nor_have_gradients() -> None:
    logits_BTV = torch.randn(2, 3, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets_BT = torch.tensor([[1, IGNORE, 2], [IGNORE, IGNORE, 6]])
    value = cross_entropy(logits_BTV, targets_BT)
    kept = [-logits_BTV[b, t].log_softmax(-1)[v] for b, t, v in ((0, 0, 1), (0, 2, 2), (1, 2, 6))]
    torch.testing.assert_close(value, torch.stack(kept).mean())
    (gradient_BTV,) = torch.autograd.grad(value, logits_BTV)
    assert torch.equal(gradient_BTV.abs().sum(-1) > 0, targets_BT != IGNORE)


def test_bfloat16_logits_are_summed_in_float32() -> None:
    logits_BTV = torch.randn(1, 5, 1000, generator=torch.Generator().manual_seed(0)).bfloat16()
    targets_BT = torch.tensor([[0, 10, 100, 500, 999]])
    assert cross_entropy(logits_BTV, targets_BT) == cross_entropy(logits_BTV.float(), targets_BT)


def test_huge_logits_do_not_overflow() -> None:
    logits_BTV = torch.tensor([[[1e4, 0.0]]])
    assert cross_entropy(logits_BTV, torch.tensor([[0]])).item() == 0.0
    assert cross_entropy(logits_BTV, torch.tensor([[1]])).item() == 1e4


# In chunks


def head_and_targets(
    num_tokens: int, width: int = 7, vocab_size: int = 31, dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """Logits of a size at which every part of the gradient counts; a third of targets ignored."""
    generator = torch.Generator().manual_seed(3)
    x_ND = torch.randn(num_tokens, width, generator=generator, dtype=dtype)
    head_VD = torch.randn(vocab_size, width, generator=generator, dtype=dtype)
    targets_N = torch.randint(vocab_size, (num_tokens,), generator=generator)
    targets_N[1::3] = IGNORE
    return x_ND.requires_grad_(), head_VD.requires_grad_(), targets_N


def plain_loss(
    x_ND: torch.Tensor, head_VD: torch.Tensor, targets_N: torch.Tensor, z_weight: float = 0.0
) -> torch.Tensor:
    logits_NV = x_ND @ head_VD.T
    return cross_entropy(logits_NV, targets_N) + z_weight * z_penalty(logits_NV, targets_N)


@pytest.mark.parametrize("num_tokens", [1, 13, 40])
@pytest.mark.parametrize("chunk_tokens", [1, 5, 13, 39, 100])
@pytest.mark.parametrize("z_weight", [0.0, 0.3])
def test_in_chunks_loss_and_gradients_are_the_plain_ones(
    num_tokens: int, chunk_tokens: int, z_weight: float
) -> None:
    x_ND, head_VD, targets_N = head_and_targets(num_tokens)
    plain = plain_loss(x_ND, head_VD, targets_N, z_weight)
    chunked = chunked_cross_entropy(
        x_ND, head_VD, targets_N, chunk_tokens=chunk_tokens, z_weight=z_weight
    )
    torch.testing.assert_close(chunked, plain)
    # another factor from above, as accumulation has
    expected = torch.autograd.grad(3 * plain, (x_ND, head_VD))
    found = torch.autograd.grad(3 * chunked, (x_ND, head_VD))
    for ours, theirs in zip(found, expected, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_target_that_no_token_has_is_refused_in_chunks_too() -> None:
    x, head = torch.randn(5, 4), torch.randn(7, 4)
    for target in (-1, 7):
        with pytest.raises((IndexError, RuntimeError), match="out of bounds"):
            chunked_cross_entropy(x, head, torch.tensor([1, 2, target, 3, 4]))


@pytest.mark.parametrize("z_weight", [0.0, 0.3])
def test_in_chunks_gradients_are_those_of_finite_differences(z_weight: float) -> None:
    x_ND, head_VD, targets_N = head_and_targets(11, dtype=torch.float64)
    assert torch.autograd.gradcheck(
        lambda x, head: chunked_cross_entropy(
            x, head, targets_N, chunk_tokens=4, z_weight=z_weight
        ),
        (x_ND, head_VD),
    )


@pytest.mark.parametrize("bug", ["no one-hot", "ignored ones pull too", "half the slope of z"])
def test_a_planted_bug_in_the_chunks_is_seen(bug: str, monkeypatch: pytest.MonkeyPatch) -> None:
    right = ChunkedCrossEntropy.backward
    x_ND, head_VD, targets_N = head_and_targets(11, dtype=torch.float64)

    def wrong(ctx, gradient: torch.Tensor) -> tuple[torch.Tensor | None, ...]:
        x, head, given = x_ND.detach(), head_VD.detach(), targets_N
        counts = (given != IGNORE) if bug != "ignored ones pull too" else torch.ones_like(given)
        log_z = (x @ head.T).logsumexp(-1, keepdim=True)
        slope = 1 + (1 if bug == "half the slope of z" else 2) * 0.3 * log_z
        pull = (x @ head.T - log_z).exp() * slope
        if bug != "no one-hot":
            pull = pull - torch.nn.functional.one_hot(given.clamp(min=0), 31)
        pull = pull * counts[:, None] / (given != IGNORE).sum() * gradient
        return pull @ head, *right(ctx, gradient)[1:]

    monkeypatch.setattr(ChunkedCrossEntropy, "backward", staticmethod(wrong))
    with pytest.raises(RuntimeError, match="Jacobian mismatch"):
        test_in_chunks_gradients_are_those_of_finite_differences(0.3)


@pytest.mark.parametrize("tie_embeddings", [True, False], ids=["tied", "untied"])
def test_in_chunks_the_whole_model_gets_the_same_gradients(tie_embeddings: bool) -> None:
    torch.manual_seed(0)
    model = small_model(tie_embeddings=tie_embeddings)
    tokens_BT = torch.randint(31, (3, 12))
    targets_BT = torch.randint(31, (3, 12))
    targets_BT[0, :5] = IGNORE
    cross_entropy(model(tokens_BT), targets_BT).backward()
    expected = {name: each.grad.clone() for name, each in model.named_parameters()}
    model.zero_grad()
    x_BTD = model.model(tokens_BT, None, None)
    chunked_cross_entropy(x_BTD, model.lm_head.weight, targets_BT, chunk_tokens=7).backward()
    for name, each in model.named_parameters():
        torch.testing.assert_close(each.grad, expected[name], msg=name)


def test_in_chunks_bfloat16_is_as_near_to_float32_as_the_plain_loss_is() -> None:
    x_ND, head_VD, targets_N = head_and_targets(64, width=32)
    exact = torch.autograd.grad(plain_loss(x_ND, head_VD, targets_N), (x_ND, head_VD))
    errors = []
    for loss_of in (plain_loss, chunked_cross_entropy):
        with torch.autocast("cpu", torch.bfloat16):
            value = loss_of(x_ND, head_VD, targets_N)
        assert value.dtype == torch.float32
        found = torch.autograd.grad(value, (x_ND, head_VD))
        errors.append([(a - b).norm().item() for a, b in zip(found, exact, strict=True)])
    for plain, ours in zip(*errors, strict=True):
        assert ours <= 2 * plain


def test_in_chunks_half_precision_loses_no_small_gradient() -> None:
    """Of 40,000 tokens each pulls by less than float16's smallest number, and all are felt."""
    num_tokens, vocab_size = 40_000, 16
    generator = torch.Generator().manual_seed(0)
    x_ND = torch.ones(num_tokens, 1, dtype=torch.float16, requires_grad=True)
    head_VD = torch.zeros(vocab_size, 1, dtype=torch.float16, requires_grad=True)
    targets_N = torch.randint(vocab_size, (num_tokens,), generator=generator)
    loss = chunked_cross_entropy(x_ND, head_VD, targets_N, chunk_tokens=1000)
    (found_V1,) = torch.autograd.grad(loss, head_VD)
    share_V = targets_N.bincount(minlength=vocab_size) / num_tokens
    # float16 has 11 bits: half a unit in the last place of numbers up to 1/16
    assert (found_V1[:, 0].float() - (1 / vocab_size - share_V)).abs().max() < 2**-11 / 16


def test_in_chunks_huge_logits_and_nothing_to_count() -> None:
    x_ND, head_VD = torch.tensor([[1e4]]), torch.tensor([[1.0], [0.0]])
    targets_N = torch.tensor([0])
    assert chunked_cross_entropy(x_ND, head_VD, targets_N).item() == 0.0
    assert chunked_cross_entropy(x_ND, head_VD, 1 - targets_N).item() == 1e4
    nothing = torch.full((1,), IGNORE)
    assert math.isnan(chunked_cross_entropy(x_ND, head_VD, nothing))
    assert math.isnan(cross_entropy(x_ND @ head_VD.T, nothing))


def test_chunks_of_nothing_are_refused() -> None:
    x_ND, head_VD, targets_N = head_and_targets(2)
    with pytest.raises(ValueError, match="chunk_tokens = 0: must be at least 1; 256 is usual"):
        chunked_cross_entropy(x_ND, head_VD, targets_N, chunk_tokens=0)


def test_z_penalty_by_hand_and_where_cross_entropy_is_blind() -> None:
    logits_BTV = torch.tensor([[[math.log(2), math.log(6)], [5.0, 5.0]]])
    targets_BT = torch.tensor([[1, IGNORE]])
    assert z_penalty(logits_BTV, targets_BT).item() == pytest.approx(math.log(8) ** 2)
    louder_BTV = logits_BTV + 3
    torch.testing.assert_close(
        cross_entropy(louder_BTV, targets_BT), cross_entropy(logits_BTV, targets_BT)
    )
    expected = pytest.approx((math.log(8) + 3) ** 2)
    assert z_penalty(louder_BTV, targets_BT).item() == expected


def test_the_gradient_of_z_is_twice_z_times_the_probabilities() -> None:
    logits_BTV = torch.randn(1, 4, 7, generator=torch.Generator().manual_seed(0)).requires_grad_()
    targets_BT = torch.tensor([[0, 1, IGNORE, 6]])
    (found_BTV,) = torch.autograd.grad(z_penalty(logits_BTV, targets_BT), logits_BTV)
    log_z_BT1 = logits_BTV.logsumexp(-1, keepdim=True)
    expected_BTV = 2 * log_z_BT1 * logits_BTV.softmax(-1) / 3
    expected_BTV[:, 2] = 0
    torch.testing.assert_close(found_BTV, expected_BTV)


# Whole documents


@given(st.integers(0, 200), st.integers(1, 40))
def test_every_token_after_the_first_is_scored_once(length: int, context_length: int) -> None:
    document = list(range(length))
    scored = []
    for piece, num_context in scored_pieces(document, context_length):
        assert len(piece) <= context_length + 1
        assert 1 <= num_context < len(piece)
        assert num_context == piece[num_context] or num_context >= context_length // 2
        scored += piece[num_context:]
    assert scored == document[1:]


def test_a_context_of_no_token_is_refused() -> None:
    with pytest.raises(ValueError, match="context_length = 0: must be at least 1"):
        next(scored_pieces([1, 2, 3], 0))


def test_a_batch_of_pieces_by_hand() -> None:
    tokens_BT, targets_BT = scoring_batch([([5, 6, 7, 8], 2), ([9, 3], 1)])
    assert tokens_BT.tolist() == [[5, 6, 7], [9, 3, 0]]
    assert targets_BT.tolist() == [[IGNORE, 7, 8], [3, IGNORE, IGNORE]]


@torch.no_grad()
def naive_nats(model: torch.nn.Module, documents: list[list[int]]) -> float:
    """One token at a time, each with exactly the context that its piece gives it."""
    nats = 0.0
    for document in documents:
        for piece, num_context in scored_pieces(document, CONTEXT_LENGTH):
            for index in range(num_context, len(piece)):
                logits_V = model(torch.tensor([piece[:index]]))[0, -1]
                nats -= logits_V.double().log_softmax(-1)[piece[index]].item()
    return nats


def test_scoring_equals_one_token_at_a_time() -> None:
    model, documents = small_model(), random_documents()
    nats = total_nats(model, documents, CONTEXT_LENGTH)
    assert nats == pytest.approx(naive_nats(model, documents), rel=1e-6)


@pytest.mark.parametrize("bug", ["scored twice", "target not shifted"])
def test_planted_bugs_differ_from_one_token_at_a_time(
    monkeypatch: pytest.MonkeyPatch, bug: str
) -> None:
    model, documents = small_model(), random_documents()
    right_pieces, right_batch = scored_pieces, scoring_batch
    expected = naive_nats(model, documents)

    def overlapping(document: Sequence[int], context_length: int) -> Iterator[tuple]:
        for piece, num_context in right_pieces(document, context_length):
            yield piece, max(1, num_context - 1)

    def unshifted(pieces: list) -> tuple[torch.Tensor, torch.Tensor]:
        tokens_BT, targets_BT = right_batch(pieces)
        return tokens_BT, torch.where(targets_BT == IGNORE, IGNORE, tokens_BT)

    if bug == "scored twice":
        monkeypatch.setattr(loss, "scored_pieces", overlapping)
    else:
        monkeypatch.setattr(loss, "scoring_batch", unshifted)
    nats = total_nats(model, documents, CONTEXT_LENGTH)
    assert nats != pytest.approx(expected, rel=1e-3)


@pytest.mark.parametrize("rows_at_once", [1, 3])
def test_how_pieces_are_batched_does_not_matter(
    monkeypatch: pytest.MonkeyPatch, rows_at_once: int
) -> None:
    model, documents = small_model(), random_documents()
    expected = total_nats(model, documents, CONTEXT_LENGTH)
    monkeypatch.setattr(loss, "ROWS_AT_ONCE", rows_at_once)
    nats = total_nats(model, reversed(documents), CONTEXT_LENGTH)
    assert nats == pytest.approx(expected, rel=1e-6)


def test_bits_per_byte_of_a_uniform_model() -> None:
    """100 predicted tokens of log₂ 32 = 5 bits each, over 250 bytes."""
    value = bits_per_byte(UniformModel(32), [list(range(26)), [0] * 76], 250, CONTEXT_LENGTH)
    assert value == pytest.approx(100 * 5 / 250)


def test_token_files_can_be_scored_as_they_are() -> None:
    model, documents = small_model(), random_documents()
    arrays = [np.array(document, dtype=np.uint16) for document in documents]
    nats = total_nats(model, arrays, CONTEXT_LENGTH)
    assert nats == total_nats(model, documents, CONTEXT_LENGTH)


def test_nothing_to_score_is_an_error_not_a_perfect_score() -> None:
    with pytest.raises(ValueError, match="num_bytes = 0: must be at least 1"):
        bits_per_byte(UniformModel(8), [[1, 2]], 0, CONTEXT_LENGTH)
    for documents in ([], [[]], [[1], [2]]):
        with pytest.raises(ValueError, match="not one token to score; each needs"):
            bits_per_byte(UniformModel(8), documents, 10, CONTEXT_LENGTH)
