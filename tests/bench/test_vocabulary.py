"""The bench of vocabulary sizes: one tokenizer cut, equal compute, and what a size costs."""

import dataclasses
import json

import pytest

from minillm.batches.shards import shards_of
from minillm.bench import vocabulary as bench
from minillm.bench.ablations import step_flops
from minillm.core.settings import with_fields
from minillm.corpus.storyworld import tell_story
from minillm.model.transformer import Transformer
from minillm.recipes import Recipe, laptop
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from tests.bench.test_learn import tiny_recipe

BASE = with_fields(laptop(), bench.SMALL)
TEXTS = [tell_story(seed, 1 + seed % 3).text for seed in range(120)]
LARGEST = train_tokenizer(TEXTS, TokenizerConfig(vocab_size=500))


@pytest.mark.parametrize("size", [300, 377, 500])
def test_a_cut_tokenizer_is_the_one_that_learning_gives(size: int) -> None:
    learned = train_tokenizer(TEXTS, TokenizerConfig(vocab_size=size))
    cut = bench.cut_to(LARGEST, size)
    assert cut.vocab_size == size and cut.merges == learned.merges
    assert cut.encode(TEXTS[7]) == learned.encode(TEXTS[7])


@pytest.mark.parametrize("size", [501, 200])
def test_a_size_that_cannot_be_cut_is_refused(size: int) -> None:
    with pytest.raises(ValueError, match=f"vocab_size = {size}: can be cut from 500 entries down"):
        bench.cut_to(LARGEST, size)


@pytest.mark.parametrize("size", bench.SIZES)
def test_every_size_is_the_base_at_the_same_operations(size: int) -> None:
    trial, budget = bench.trial_at(BASE, size, 2), BASE.training.max_steps * step_flops(BASE)
    assert abs(trial.training.max_steps * step_flops(trial) - budget) <= step_flops(trial) / 2
    assert trial.training.seed == 2 and trial.model.vocab_size == size
    same = dataclasses.replace(trial.model, vocab_size=BASE.model.vocab_size)
    assert same == BASE.model and trial.batches == BASE.batches


def test_shares_and_bytes_of_a_size_by_hand() -> None:
    base = tiny()
    trial = bench.trial_at(base, 500, 0)
    figures = bench.described(trial, shards_of(TEXTS, LARGEST))
    ids = [i for text in TEXTS for i in (LARGEST.end_of_text, *LARGEST.encode(text))]
    num_bytes = len("".join(TEXTS).encode())
    assert figures["bytes_per_token"] == pytest.approx(num_bytes / len(ids))
    assert figures["context_bytes"] == pytest.approx(128 * num_bytes / len(ids))
    num_parameters = Transformer(trial.model).num_parameters
    assert figures["embedding_share"] == pytest.approx(500 * 16 / num_parameters)
    # a place: 2VD of the head; layers 2 · (2D² + 2·D·G·K + 3·D·F) and 4DT of attention
    layers = 2 * (2 * 16**2 + 2 * 16 * 8 + 3 * 16 * 24) + 4 * 16 * 128
    assert figures["head_share"] == pytest.approx(2 * 500 * 16 / (2 * 500 * 16 + layers))
    assert figures["seldom_share"] == sum(ids.count(i) < bench.SELDOM for i in range(500)) / 500
    places = figures["steps"] * 2 * 128
    assert 0.5 * places < figures["tokens"] <= places
    read = figures["tokens"] * figures["bytes_per_token"]
    assert figures["megabytes_read"] == pytest.approx(read / 1e6)


def test_bits_of_all_text_weigh_its_kinds_by_bytes() -> None:
    model = Transformer(tiny().model)
    small = bench.cut_to(LARGEST, 300)
    kinds = {"stories": TEXTS[:2], "found": ["abc def " * 30]}
    found = bench.held_out_bits(model, small, kinds, 128)
    joined = bench.held_out_bits(model, small, {"stories": [*TEXTS[:2], "abc def " * 30]}, 128)
    assert found["all"] == pytest.approx(joined["all"]) and found["stories"] != found["found"]


def tiny() -> Recipe:
    recipe = tiny_recipe()
    training = dataclasses.replace(recipe.training, max_steps=12, max_minutes=None)
    return dataclasses.replace(recipe, training=training)


@pytest.mark.filterwarnings("ignore")  # of how short the text is
def test_a_small_run_compares_sizes_with_the_base_by_seed() -> None:
    figures = bench.measure(tiny(), sizes=(300, 400), seeds=(0, 1))
    assert json.loads(json.dumps(figures)) == figures
    assert figures["base"] == 300 and list(figures["held_out_bytes"]) == ["stories"]
    small, large = figures["sizes"]["300"], figures["sizes"]["400"]
    assert small["minus_base"] == {"mean": 0, "low": 0, "high": 0} != large["minus_base"]
    assert small["steps"] == 12 > large["steps"] and small["head_share"] < large["head_share"]
    assert small["bytes_per_token"] < large["bytes_per_token"]
    for each in (small, large):
        assert each["bits_per_byte"]["all"] == each["bits_per_byte"]["stories"]
        assert len(set(each["bits_per_byte"]["all"])) == 2, "a seed decides something"
        assert each["interval"]["low"] < each["interval"]["mean"] < each["interval"]["high"]
        assert 0 < each["kneser_ney"] < 8
