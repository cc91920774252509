"""Beam search finds what a search of all texts finds, and what transformers' finds."""

from collections.abc import Callable
from dataclasses import replace
from itertools import product

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from minillm.model import beam
from minillm.model.beam import Beam, beam_score, beam_search
from minillm.model.caches import KeyValueCache
from minillm.model.generate import generate
from minillm.model.transformer import Transformer
from tests.model.small import SMALL, seeded, small_model

STOPS = [7, 8, 9, 10, 11]
# of float32 sums of a dozen logarithms of size 1 to 5
SCORE = {"rel": 1e-5, "abs": 1e-5}


def sharp_model(**changes: object) -> Transformer:
    """Weights so large that the next token is seldom a matter of all alike."""
    return small_model(initial_std=0.4, **changes)


def peer_of(model: Transformer) -> LlamaForCausalLM:
    """The same weights in transformers."""
    c = model.config
    peer = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=c.vocab_size, hidden_size=c.width, intermediate_size=c.ffn_width,
            num_hidden_layers=c.num_layers, num_attention_heads=c.num_heads,
            num_key_value_heads=c.num_kv_heads, head_dim=c.head_width,
            max_position_embeddings=c.context_length, rms_norm_eps=c.norm_epsilon,
            tie_word_embeddings=True,
        )
    ).eval()  # fmt: skip
    peer.load_state_dict(model.state_dict())
    return peer


def peer_beams(
    peer: LlamaForCausalLM, prompt: list[int], num_beams: int, length_penalty: float
) -> list[tuple[list[int], float]]:
    """Texts up to the stop token with their scores; `never`: it stops when nothing can win."""
    found = peer.generate(
        torch.tensor([prompt]), num_beams=num_beams, num_return_sequences=num_beams,
        max_new_tokens=12, length_penalty=length_penalty, early_stopping="never",
        eos_token_id=STOPS, pad_token_id=0, do_sample=False,
        return_dict_in_generate=True, output_scores=True,
    )  # fmt: skip
    texts = []
    for row in found.sequences[:, len(prompt) :].tolist():
        end = next((place for place, token in enumerate(row) if token in STOPS), len(row))
        texts.append(row[:end])
    return list(zip(texts, found.sequences_scores.tolist(), strict=True))


@pytest.fixture(scope="module")
def pair() -> tuple[Transformer, LlamaForCausalLM]:
    model = sharp_model()
    return model, peer_of(model)


@pytest.mark.parametrize("num_beams", [2, 3, 8])
@pytest.mark.parametrize("length_penalty", [-1.0, 0.0, 0.7, 1.0, 2.0])
def test_beams_are_those_of_transformers(
    pair: tuple[Transformer, LlamaForCausalLM], num_beams: int, length_penalty: float
) -> None:
    model, peer = pair
    for seed in range(5):
        prompt = torch.randint(1, 61, (4,), generator=seeded(seed)).tolist()
        ours = beam_search(
            model, prompt, num_beams=num_beams, max_tokens=12, length_penalty=length_penalty,
            stop_ids=STOPS,
        )  # fmt: skip
        theirs = peer_beams(peer, prompt, num_beams, length_penalty)
        assert [each.tokens for each in ours] == [tokens for tokens, _ in theirs]
        assert [each.score for each in ours] == pytest.approx([s for _, s in theirs], **SCORE)


# every text of a toy vocabulary

TOY = {"vocab_size": 4, "width": 16, "num_heads": 2, "num_kv_heads": 1, "tie_embeddings": False}
LENGTH = 4


@torch.no_grad()
def all_texts(model: Transformer, prompt: list[int], length_penalty: float) -> list[Beam]:
    """Each text of 4 tokens, or fewer and then token 0, with its score: best first."""
    vocab_size = model.config.vocab_size
    found = []
    for length in range(1, LENGTH + 1):
        for body in product(range(1, vocab_size), repeat=length - 1):
            lasts = range(vocab_size) if length == LENGTH else [0]
            logprob_TV = model(torch.tensor([[*prompt, *body]]))[0].log_softmax(-1)
            for last in lasts:
                text = [*body, last]
                places = range(len(prompt) - 1, len(prompt) - 1 + length)
                nats = sum(float(logprob_TV[place, token]) for place, token in zip(places, text))
                tokens = list(body) if last == 0 else text
                score = beam_score(nats, length, length_penalty)
                found.append(Beam(tokens=tokens, logprob_nats=nats, score=score))
    return sorted(found, key=lambda each: -each.score)


def toy_beams(model: Transformer, num_beams: int, length_penalty: float) -> list[Beam]:
    return beam_search(
        model, [1, 2], num_beams=num_beams, max_tokens=LENGTH, length_penalty=length_penalty,
        stop_ids=[0],
    )  # fmt: skip


@pytest.mark.parametrize("length_penalty", [0.0, 0.5, 1.0, 2.0])
def test_with_beams_for_every_text_the_best_of_all_is_found(length_penalty: float) -> None:
    config, narrower = replace(SMALL, initial_std=0.3, **TOY), 0
    for seed in range(8):
        torch.manual_seed(seed)
        model = Transformer(config).eval()
        every = all_texts(model, [1, 2], length_penalty)
        assert len(every) == 1 + 3 + 9 + 27 * 4
        found = toy_beams(model, 4**LENGTH, length_penalty)
        assert [each.tokens for each in found] == [each.tokens for each in every]
        assert [e.score for e in found] == pytest.approx([e.score for e in every], **SCORE)
        two = toy_beams(model, 2, length_penalty)[0]
        assert two.score <= every[0].score + 1e-5
        narrower += two.tokens != every[0].tokens
    assert narrower, "two beams find the best every time: the test says nothing of a search"


# planted bugs


def never_moves(self: KeyValueCache, rows: list[int]) -> None:
    """Planted: the rows' texts change places, their keys and values stay."""
    first = len(next(iter(self.rooms.values()))[0]) == 1
    if first or len(rows) != len(next(iter(self.rooms.values()))[0]):
        TAKE_ROWS(self, rows)


def no_length(nats: float, num_tokens: int, length_penalty: float) -> float:
    """Planted: the length is not allowed for."""
    return nats


def not_counting_the_stop(nats: float, num_tokens: int, length_penalty: float) -> float:
    """Planted: a text is one token shorter than it is."""
    return nats / max(1, num_tokens - 1) ** length_penalty


TAKE_ROWS = KeyValueCache.take_rows


@pytest.mark.parametrize(
    ("place", "name", "broken"),
    [
        (KeyValueCache, "take_rows", never_moves),
        (beam, "beam_score", no_length),
        (beam, "beam_score", not_counting_the_stop),
        (beam, "is_decided", lambda found, num_beams, *_: len(found) == num_beams),
    ],
)
def test_a_broken_search_is_seen(
    place: object, name: str, broken: Callable, pair: tuple[Transformer, LlamaForCausalLM],
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(place, name, broken)
    with pytest.raises(AssertionError):
        test_beams_are_those_of_transformers(pair, 3, 1.0)


# what it is


def test_one_beam_without_a_length_penalty_is_greedy() -> None:
    model = sharp_model()
    for first in range(12, 30):
        found = beam_search(
            model, [first], num_beams=1, max_tokens=15, length_penalty=0.0, stop_ids=STOPS
        )
        text = generate(model, [first], max_tokens=15, temperature=0.0, stop_ids=STOPS)
        assert [each.tokens for each in found] == [text]


def test_a_score_is_the_mean_for_a_token_at_a_penalty_of_one() -> None:
    assert beam_score(-6.0, 3, 0.0) == -6.0
    assert beam_score(-6.0, 3, 1.0) == -2.0
    assert beam_score(-6.0, 4, 0.5) == -3.0
    (found,) = beam_search(small_model(), [3], num_beams=1, max_tokens=4)
    assert len(found.tokens) == 4 and found.score == pytest.approx(found.logprob_nats / 4)


def test_a_search_ends_where_the_context_ends() -> None:
    found = beam_search(small_model(), [3] * 27, num_beams=4, max_tokens=10)
    assert [len(each.tokens) for each in found] == [2, 2, 2, 2]


def test_no_beam_is_refused() -> None:
    with pytest.raises(ValueError, match="num_beams = 0: must be at least 1"):
        beam_search(small_model(), [3], num_beams=0, max_tokens=4)
