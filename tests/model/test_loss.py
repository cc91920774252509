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
    bits_per_byte,
    cross_entropy,
    scored_pieces,
    scoring_batch,
    total_nats,
)
from minillm.model.transformer import ModelConfig, Transformer

CONTEXT_LENGTH = 12
LENGTHS = (2, 3, 12, 13, 14, 40, 5)


def small_model() -> Transformer:
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
