"""Texts: prompts together are each alone, a cache changes nothing but the cost."""

from collections.abc import Callable

import pytest
import torch

from minillm.model.caches import KeyValueCache, SlidingCache, StaticCache
from minillm.model.generate import generate, generate_batch, last_logits, until_stop
from tests.model.small import PROMPTS, Counting, seeded, small_model

# with a cache and without


@pytest.mark.parametrize("prompt", PROMPTS)
def test_greedy_text_with_a_cache_is_the_text_without(prompt: list[int]) -> None:
    options = {"max_tokens": 40, "temperature": 0.0}
    cached = generate(small_model(), prompt, **options)
    assert cached == generate(small_model(), prompt, use_cache=False, **options)
    assert len(cached) == 29 - len(prompt)


def test_a_cache_reads_each_token_once_and_no_cache_reads_all_again() -> None:
    with_cache, without = Counting(), Counting()
    generate(with_cache, [5, 6, 7], max_tokens=4)
    generate(without, [5, 6, 7], max_tokens=4, use_cache=False)
    assert with_cache.widths == [3, 1, 1, 1]
    assert without.widths == [3, 4, 5, 6]


# prompts together


def test_ragged_prompts_together_are_each_alone() -> None:
    model = small_model()
    together = generate_batch(model, PROMPTS, max_tokens=12, temperature=0.0)
    assert together == [generate(model, each, max_tokens=12, temperature=0.0) for each in PROMPTS]


def test_the_order_of_prompts_does_not_matter() -> None:
    model = small_model()
    together = generate_batch(model, PROMPTS, max_tokens=12, temperature=0.0)
    reversed_ = generate_batch(model, PROMPTS[::-1], max_tokens=12, temperature=0.0)
    assert reversed_ == together[::-1]


def test_an_overwritten_prompt_token_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: what is drawn always replaces what a longer prompt says at this place."""
    monkeypatch.setattr(torch, "where", lambda condition, drawn, own: drawn)
    with pytest.raises(AssertionError):
        test_ragged_prompts_together_are_each_alone()


# known texts


def test_counting_counts() -> None:
    assert generate(Counting(), [5], max_tokens=4) == [6, 7, 8, 9]
    texts = generate_batch(Counting(), [[5], [9, 20, 30]], max_tokens=3)
    assert texts == [[6, 7, 8], [31, 32, 33]]


@pytest.mark.parametrize("use_cache", [True, False])
def test_a_stop_token_ends_the_text_and_is_left_out(use_cache: bool) -> None:
    options = {"max_tokens": 9, "stop_ids": [8, 13], "use_cache": use_cache}
    assert generate(Counting(), [5], **options) == [6, 7]
    assert generate(Counting(), [7], **options) == []
    assert generate_batch(Counting(), [[5], [11], [20]], **options) == [
        [6, 7],
        [12],
        [21, 22, 23, 24, 25, 26, 27, 28, 29],
    ]


def test_nothing_is_computed_after_every_text_has_stopped() -> None:
    model = Counting()
    generate(model, [5], max_tokens=20, stop_ids=[8])
    assert len(model.widths) == 3
    full = Counting()
    texts = generate_batch(full, [[5], [1, 2, 3, 30]], max_tokens=3, stop_ids=[31])
    assert texts == [[6, 7, 8], []] and len(full.widths) == 4, "the short one had its three before"


def test_a_cache_that_holds_the_whole_text_has_nothing_to_read() -> None:
    model, cache, tokens_BT = small_model(), KeyValueCache(), torch.tensor([[1, 2, 3]])
    last_logits(model, tokens_BT, cache)
    with pytest.raises(ValueError, match="the cache holds 3 tokens of 3: nothing is left to read"):
        last_logits(model, tokens_BT, cache)


def test_a_stop_token_inside_a_prompt_does_not_end_it() -> None:
    texts = generate_batch(Counting(), [[5], [1, 8, 8, 30]], max_tokens=3, stop_ids=[8])
    assert texts == [[6, 7], [31, 32, 33]]


def test_the_text_ends_where_the_context_ends() -> None:
    assert generate(Counting(), [5], max_tokens=1000) == list(range(6, 34))
    assert len(generate(Counting(), [5] * 28, max_tokens=1000)) == 1


def test_until_stop_takes_the_first() -> None:
    assert until_stop([1, 2, 3, 2], {2, 3}) == [1]
    assert until_stop([2], {2}) == []
    assert until_stop([1, 2], set()) == [1, 2]
    assert until_stop([], {2}) == []


# the same draws


def test_the_same_seed_draws_the_same_text() -> None:
    model = small_model()
    first, again, other = (
        generate(model, [3], max_tokens=25, generator=seeded(seed)) for seed in (5, 5, 6)
    )
    assert first == again != other


# other caches


@pytest.mark.parametrize("make", [lambda: StaticCache(29), lambda: SlidingCache(29)])
def test_a_cache_that_holds_all_writes_the_same_text(make: Callable) -> None:
    model, options = small_model(), {"max_tokens": 40, "temperature": 0.0}
    for prompts in (PROMPTS, PROMPTS[:1]):
        texts = generate_batch(model, prompts, cache=make(), **options)
        assert texts == generate_batch(model, prompts, **options)


def test_a_sliding_cache_forgets_the_beginning() -> None:
    model, options = small_model(), {"max_tokens": 25, "temperature": 0.0}
    short = generate(model, [9], cache=SlidingCache(3), **options)
    assert short != generate(model, [9], **options)
    assert short[:2] == generate(model, [9], max_tokens=2, temperature=0.0)


def test_a_cache_of_another_text_is_refused() -> None:
    cache = KeyValueCache()
    generate(small_model(), [9], max_tokens=3, cache=cache)
    with pytest.raises(ValueError, match="cache holds 3 tokens of another text"):
        generate(small_model(), [9], max_tokens=3, cache=cache)


# what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": -0.1}, "temperature = -0.1.*must be 0 or more"),
        ({"temperature": float("nan")}, "temperature = nan"),
        ({"temperature": float("inf")}, "temperature = inf"),
        ({"top_k": 0}, "top_k = 0.*at least 1.*None"),
        ({"top_p": 0.0}, r"top_p = 0.0.*above 0.*None"),
        ({"top_p": 1.1}, r"top_p = 1.1.*at most 1"),
        ({"max_tokens": 0}, "max_tokens = 0.*at least 1"),
        ({"use_cache": False, "cache": KeyValueCache()}, "use_cache = False: .*leave one of them"),
    ],
)
def test_impossible_settings_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate(Counting(), [1], **{"max_tokens": 3, **options})


@pytest.mark.parametrize(
    ("prompts", "message"),
    [
        ([], "prompts is empty"),
        ([[1], []], "prompt 1 is empty.*endoftext"),
        ([[1], [2] * 29], "prompt 1 has 29 tokens: at most 28.*shorten"),
        ([[60, 61]], "prompt 0 has token ids from 60 to 61.*0 to 60.*own tokenizer"),
        ([[-1, 3]], "prompt 0 has token ids from -1 to 3"),
    ],
)
def test_impossible_prompts_are_refused(prompts: list[list[int]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        generate_batch(Counting(), prompts, max_tokens=3)
