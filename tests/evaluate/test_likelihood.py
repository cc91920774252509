"""log p equals the definition, token by token, and lm-eval's scores are what follows from it."""

import math

import numpy as np
import pytest
import torch

from minillm.corpus.sources import Document
from minillm.evaluate.likelihood import Likelihood, document_nats, fits, likelihoods
from minillm.evaluate.minimal_pairs import prefers_true
from minillm.evaluate.reading import source_figures
from minillm.model.loss import bits_per_byte
from minillm.model.transformer import Transformer
from tests.evaluate.fakes import STORIES, Uniform, small_config, story_tokenizer

TOKENIZER = story_tokenizer()


def untrained(context_length: int = 320) -> Transformer:
    torch.manual_seed(0)
    return Transformer(small_config(TOKENIZER.vocab_size, context_length)).eval()


def by_definition(model: Transformer, context: str, continuation: str) -> float:
    """Σ log p(token | all before it), one forward pass for each token."""
    before = [TOKENIZER.end_of_text, *TOKENIZER.encode(context)]
    total = 0.0
    for token in TOKENIZER.encode(continuation):
        logits_V = model(torch.tensor([before]))[0, -1].double()
        total += torch.log_softmax(logits_V, dim=-1)[token].item()
        before.append(token)
    return total


@torch.no_grad()
def test_log_p_is_the_sum_over_tokens_whatever_stands_in_the_other_rows() -> None:
    model = untrained()
    pairs = [(s.opening, f" {s.sentences[-1]}") for s in STORIES[:7]] + [("", "Tom"), ("A", " a")]
    found = likelihoods(model, TOKENIZER, pairs)
    for (context, continuation), each in zip(pairs, found, strict=True):
        # float32 logits of about 60 tokens, each right to about 1e-6
        expected = by_definition(model, context, continuation)
        assert each.logprob == pytest.approx(expected, abs=1e-3)
        assert each.num_tokens == len(TOKENIZER.encode(continuation))
        assert each.num_bytes == len(continuation.encode())


def test_a_uniform_model_gives_minus_ln_v_a_token() -> None:
    (found,) = likelihoods(Uniform(TOKENIZER.vocab_size), TOKENIZER, [("Once", " upon a time.")])
    expected = -found.num_tokens * math.log(TOKENIZER.vocab_size)
    assert found.logprob == pytest.approx(expected, rel=1e-6)


def lm_eval_acc(logprobs: list[float], gold: int) -> float:
    """lm-eval's `acc` of a multiple choice, by its definition: argmax of the sums."""
    return float(int(np.argmax(logprobs)) == gold)


def lm_eval_acc_norm(logprobs: list[float], choices: list[str], gold: int) -> float:
    """lm-eval's `acc_norm`: argmax of the sums over the choices' lengths in characters."""
    lengths = np.array([float(len(choice)) for choice in choices])
    return float(int(np.argmax(np.array(logprobs) / lengths)) == gold)


def test_choices_are_scored_as_lm_eval_scores_them() -> None:
    model, agreed = untrained(), []
    for story in STORIES[:12]:
        choices = [f" {story.sentences[-1]}", f" {story.sentences[1]}"]
        both = likelihoods(model, TOKENIZER, [(story.opening, choice) for choice in choices])
        logprobs = [each.logprob for each in both]
        acc = lm_eval_acc(logprobs, 0)
        acc_norm = lm_eval_acc_norm(logprobs, choices, 0)
        assert float(prefers_true(*both, by_length=False)) == acc
        assert float(prefers_true(*both)) == acc_norm
        agreed.append(acc == acc_norm)
    assert not all(agreed), "the two scores must be seen to differ somewhere"


def test_a_tie_is_not_a_preference() -> None:
    one = Likelihood(-2.0, 1, 4)
    assert not prefers_true(one, one) and not prefers_true(one, one, by_length=False)


def test_bits_per_byte_is_lm_evals_and_the_loss_rooms() -> None:
    model = untrained()
    documents = [
        Document(f"d{n}", s.text, "stories", "story", "CC0-1.0", "en", "validation", s.level)
        for n, s in enumerate(STORIES[:5])
    ]
    rows = likelihoods(model, TOKENIZER, [("", each.text) for each in documents])
    num_bytes = sum(each.num_bytes for each in rows)
    # lm-eval's bits_per_byte: −Σ log p / Σ bytes / ln 2, documents predicted from the first mark
    lm_eval = -sum(each.logprob for each in rows) / num_bytes / math.log(2)
    figure = source_figures(model, TOKENIZER, documents, 0)["bits_per_byte/stories"]
    tokens = [[TOKENIZER.end_of_text, *TOKENIZER.encode(each.text)] for each in documents]
    assert figure.value == pytest.approx(lm_eval, abs=1e-5)
    assert figure.value == pytest.approx(bits_per_byte(model, tokens, num_bytes, 320), abs=1e-5)
    assert figure.low < figure.value < figure.high and figure.n == 5


@pytest.mark.parametrize("context_length", [8, 61, 320])
def test_every_token_of_a_long_document_is_scored_once(context_length: int) -> None:
    model = Uniform(TOKENIZER.vocab_size, context_length=context_length)
    documents = [[TOKENIZER.end_of_text, *TOKENIZER.encode(s.text)] for s in STORIES[:3]]
    nats = document_nats(model, [*documents, [TOKENIZER.end_of_text]], context_length)
    expected = [(len(each) - 1) * math.log(TOKENIZER.vocab_size) for each in documents]
    assert nats == pytest.approx([*expected, 0.0], rel=1e-5)


def test_what_does_not_fit_is_refused_and_not_cut() -> None:
    model = Uniform(TOKENIZER.vocab_size, context_length=16)
    assert fits(model, TOKENIZER, "Tom") and not fits(model, TOKENIZER, STORIES[0].text)
    with pytest.raises(ValueError, match="at most 16 together; leave out what does not fit"):
        likelihoods(model, TOKENIZER, [(STORIES[0].text, " Tom")])
    with pytest.raises(ValueError, match="a continuation of 0 tokens"):
        likelihoods(model, TOKENIZER, [("Tom", "")])
