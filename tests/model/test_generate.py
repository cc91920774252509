"""Generation: the cache changes nothing but the cost, and draws follow the probabilities."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers.generation import TopKLogitsWarper, TopPLogitsWarper

from minillm.model import generate as room
from minillm.model.generate import (
    KeyValueCache,
    generate,
    generate_batch,
    last_logits,
    next_token_probabilities,
    until_stop,
)
from minillm.model.transformer import ModelConfig, Transformer

SMALL = ModelConfig(
    vocab_size=61,
    width=24,
    num_layers=3,
    num_heads=6,
    num_kv_heads=2,
    ffn_width=37,
    context_length=29,
    initial_std=0.2,
)
EXTEND = KeyValueCache.extend
PROMPTS = ([3, 1, 4], [1, 5, 9, 2, 6, 5, 3, 5, 8], [9], [7, 9, 3, 2])


def small_model(**changes: object) -> Transformer:
    torch.manual_seed(0)
    return Transformer(replace(SMALL, **changes)).eval()


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


class Counting(nn.Module):
    """A model whose next token is the last one plus 1: every text is known beforehand."""

    def __init__(self) -> None:
        super().__init__()
        self.config = SMALL
        self.scale = nn.Parameter(torch.tensor(100.0))
        self.widths: list[int] = []

    def forward(
        self, tokens_BT: torch.Tensor, cache: KeyValueCache | None = None,
        logits_to_keep: int | None = None,
    ) -> torch.Tensor:
        self.widths.append(tokens_BT.shape[1])
        return nn.functional.one_hot((tokens_BT + 1) % 61, 61) * self.scale


# the cache


def largest_cache_error(model: Transformer, splits: Sequence[int]) -> float:
    """Read 29 tokens in pieces that end at `splits`; the largest difference to them whole."""
    tokens_BT = torch.randint(61, (2, 29), generator=seeded(1))
    with torch.no_grad():
        whole_BTV, cache = model(tokens_BT), KeyValueCache()
        differences = [
            last_logits(model, tokens_BT[:, :stop], cache) - whole_BTV[:, stop - 1]
            for stop in (*splits, 29)
        ]
    return max(float(difference.abs().max()) for difference in differences)


@pytest.mark.parametrize("attention", ["reference", "torch"])
@pytest.mark.parametrize("splits", [(1,), (28,), (7, 8, 20), tuple(range(1, 29)), ()])
def test_logits_with_a_cache_are_the_logits_without(attention: str, splits: Sequence[int]) -> None:
    # sums of 24 to 37 products in another order: logits of about 5 move by a few times 2⁻²³ · 5
    assert largest_cache_error(small_model(attention=attention), splits) < 1e-5


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


def test_the_cache_holds_every_layers_keys_in_order() -> None:
    model, cache = small_model(), KeyValueCache()
    last_logits(model, torch.tensor([[1, 2, 3, 4, 5]]), cache)
    last_logits(model, torch.tensor([[1, 2, 3, 4, 5, 6, 7]]), cache)
    whole = KeyValueCache()
    last_logits(model, torch.tensor([[1, 2, 3, 4, 5, 6, 7]]), whole)
    assert sorted(cache.layers) == [0, 1, 2]
    assert cache.num_tokens == whole.num_tokens == 7
    for layer, (k_BGSK, v_BGSK) in whole.layers.items():
        torch.testing.assert_close(cache.layers[layer][0], k_BGSK)
        torch.testing.assert_close(cache.layers[layer][1], v_BGSK)


def test_few_tokens_make_the_cache_move() -> None:
    model, cache, rooms = small_model(), KeyValueCache(), []
    tokens_BT = torch.randint(61, (2, 29), generator=seeded(1))
    with torch.no_grad():
        for stop in range(1, 30):
            last_logits(model, tokens_BT[:, :stop], cache)
            # the rooms are kept alive here: no address is given out twice
            rooms += [cache.rooms[0]] * (not rooms or rooms[-1] is not cache.rooms[0])
    assert [room.shape[3] for room in rooms] == [1, 2, 4, 8, 16, 32]


def test_a_cache_of_two_rows_takes_no_single_row() -> None:
    model, cache = small_model(), KeyValueCache()
    last_logits(model, torch.tensor([[1, 2], [3, 4]]), cache)
    with pytest.raises(AssertionError, match="the cache has 2 rows, not 1"):
        last_logits(model, torch.tensor([[1, 2, 3]]), cache)


def forgetful_extend(
    self: KeyValueCache, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Planted: a room that is made anew does not get what the old one held."""
    before = self.rooms.get(layer)
    known = EXTEND(self, layer, k_BGTK, v_BGTK)
    if before is not None and self.rooms[layer] is not before:
        known[0][:, :, : -k_BGTK.shape[2]] = known[1][:, :, : -k_BGTK.shape[2]] = 0
    return known


def stale_extend(
    self: KeyValueCache, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Planted: returns all, but keeps only what came first."""
    k_before, v_before = self.layers.setdefault(layer, (k_BGTK, v_BGTK))
    if k_before is k_BGTK:
        return k_BGTK, v_BGTK
    return torch.cat((k_before, k_BGTK), dim=2), torch.cat((v_before, v_BGTK), dim=2)


def swapping_extend(
    self: KeyValueCache, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Planted: the fresh tokens are put in front of the old ones."""
    if layer in self.layers:
        k_before, v_before = self.layers[layer]
        k_BGTK = torch.cat((k_BGTK, k_before), dim=2)
        v_BGTK = torch.cat((v_BGTK, v_before), dim=2)
    self.layers[layer] = k_BGTK, v_BGTK
    return k_BGTK, v_BGTK


@pytest.mark.parametrize("extend", [forgetful_extend, stale_extend, swapping_extend])
def test_a_broken_cache_is_seen(extend: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(KeyValueCache, "extend", extend)
    assert largest_cache_error(small_model(), (7, 8, 20)) > 0.01


def test_a_position_that_is_not_advanced_is_seen() -> None:
    """Planted: the cache grows, but every token after the prompt is rotated as the first one."""
    model, cache = small_model(), KeyValueCache()
    tokens_BT = torch.randint(61, (2, 29), generator=seeded(1))
    with torch.no_grad():
        whole_BTV = model(tokens_BT)
        model(tokens_BT[:, :20], cache)
        logits_BTV = model(tokens_BT[:, 20:], cache)
    assert float((logits_BTV - whole_BTV[:, 20:]).abs().max()) > 0.01


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


# probabilities


def test_probabilities_by_hand() -> None:
    logits_BV = torch.tensor([[1.0, 4.0, 2.0]]).log()
    for temperature, odds in ((1.0, [1, 4, 2]), (0.5, [1, 16, 4]), (2.0, [1, 2, 2**0.5])):
        expected = torch.tensor([odds]) / sum(odds)
        torch.testing.assert_close(next_token_probabilities(logits_BV, temperature), expected)
    got = next_token_probabilities(logits_BV, top_k=2)
    torch.testing.assert_close(got, torch.tensor([[0, 2 / 3, 1 / 3]]))


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.99, 4), (1.0, 4)]
)
def test_the_nucleus_is_the_fewest_tokens_that_hold_p(top_p: float, kept: int) -> None:
    """Halves, quarters and eighths add up without rounding, so the boundary itself is tested."""
    probability_BV = torch.tensor([[0.125, 0.5, 0.125, 0.25]])
    got_BV = next_token_probabilities(probability_BV.log(), top_p=top_p)
    assert int((got_BV > 0).sum()) == kept


def smallest_nucleus_fault(probability_V: torch.Tensor, kept_V: torch.Tensor, p: float) -> str:
    """Empty if the kept tokens hold p, and without the least of them would not."""
    held = probability_V[kept_V > 0]
    if held.sum() < p - 1e-6:
        return "too few"
    if held.sum() - held.min() >= p + 1e-6:
        return "too many"
    return ""


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.99])
def test_the_nucleus_of_random_probabilities_is_smallest(top_p: float) -> None:
    logits_BV = 3 * torch.randn(50, 61, generator=seeded())
    for probability_V, kept_V in zip(
        logits_BV.softmax(-1), next_token_probabilities(logits_BV, top_p=top_p)
    ):
        assert smallest_nucleus_fault(probability_V, kept_V, top_p) == ""
        ordered_V = probability_V.sort(descending=True).values
        size = int((kept_V > 0).sum())
        one_more_V = probability_V * (probability_V >= ordered_V[size])
        one_less_V = probability_V * (probability_V > ordered_V[size - 1])
        assert smallest_nucleus_fault(probability_V, one_more_V, top_p) == "too many"
        assert smallest_nucleus_fault(probability_V, one_less_V, top_p) == "too few"


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [None, 1, 7, 61, 1000])
@pytest.mark.parametrize("top_p", [None, 0.2, 0.9])
def test_probabilities_are_those_of_transformers(
    temperature: float, top_k: int | None, top_p: float | None
) -> None:
    logits_BV = 2 * torch.randn(20, 61, generator=seeded())
    scores_BV = logits_BV / temperature
    if top_k is not None:
        scores_BV = TopKLogitsWarper(top_k)(None, scores_BV)
    if top_p is not None:
        scores_BV = TopPLogitsWarper(top_p)(None, scores_BV)
    ours_BV = next_token_probabilities(logits_BV, temperature, top_k, top_p)
    torch.testing.assert_close(ours_BV, scores_BV.softmax(-1))
    torch.testing.assert_close(ours_BV.sum(-1), torch.ones(20))


def test_temperature_zero_takes_the_likeliest_token() -> None:
    logits_BV = torch.randn(50, 61, generator=seeded())
    probability_BV = next_token_probabilities(logits_BV, temperature=0, top_k=3, top_p=0.5)
    assert torch.equal(probability_BV.argmax(-1), logits_BV.argmax(-1))
    assert probability_BV.max(-1).values.eq(1).all()
    assert probability_BV.sum(-1).eq(1).all()


def test_logits_are_left_as_they_were() -> None:
    logits_BV = torch.randn(3, 61, generator=seeded())
    before_BV = logits_BV.clone()
    next_token_probabilities(logits_BV, 0.7, 5, 0.5)
    assert torch.equal(logits_BV, before_BV)


# draws

NUM_DRAWS = 20_000


def worst_sigma(counts_V: torch.Tensor, probability_V: torch.Tensor) -> float:
    """How many standard deviations the worst count lies off; infinite for an impossible draw."""
    if counts_V[probability_V == 0].any():
        return float("inf")
    likely = NUM_DRAWS * probability_V >= 25  # below, a count is too far from a normal number
    p_V, count_V = probability_V[likely].double(), counts_V[likely].double()
    spread_V = (NUM_DRAWS * p_V * (1 - p_V)).sqrt().clamp(min=1)
    return float(((count_V - NUM_DRAWS * p_V).abs() / spread_V).max())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 1.7},
        {"top_k": 5},
        {"top_p": 0.8},
        {"temperature": 0.8, "top_k": 20, "top_p": 0.95},
    ],
)
def test_drawn_frequencies_follow_the_probabilities(options: dict) -> None:
    model, prompt = small_model(), [3, 1, 4]
    drawn = generate_batch(
        model, [prompt] * NUM_DRAWS, max_tokens=1, generator=seeded(2), **options
    )
    counts_V = torch.tensor(drawn).flatten().bincount(minlength=61)
    with torch.no_grad():
        logits_BV = last_logits(model, torch.tensor([prompt]))
    probability_V = next_token_probabilities(logits_BV, **options)[0]
    assert worst_sigma(counts_V, probability_V) < 5
    sharper_V = next_token_probabilities(1.25 * logits_BV, **options)[0]
    assert worst_sigma(counts_V, sharper_V) > 5, "a temperature a fifth off must be seen"


def test_the_same_seed_draws_the_same_text() -> None:
    model = small_model()
    first, again, other = (
        generate(model, [3], max_tokens=25, generator=seeded(seed)) for seed in (5, 5, 6)
    )
    assert first == again != other


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
