"""Every run gets the same operations, a variant is one change, differences are taken by seed."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from minillm.bench import ablations as bench
from minillm.bench.ablations import BASE, GROUPS, at_equal_compute, held_out_bits, step_flops
from minillm.core.settings import with_fields
from minillm.model.counting import training_flops

ROOT = Path(__file__).resolve().parents[2]
VARIANTS = {name: changes for each in GROUPS.values() for name, changes in each.items()}
SHORT = dataclasses.replace(BASE, training=dataclasses.replace(BASE.training, max_steps=3))


@pytest.fixture(scope="module")
def texts() -> bench.Texts:
    return bench.made_texts(num_stories=60, num_held_out=3, num_few=5)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_variant_is_another_recipe_with_the_operations_of_the_base(name: str) -> None:
    trial = with_fields(BASE, VARIANTS[name])
    assert trial != BASE
    fair = at_equal_compute(trial, BASE)
    budget = BASE.training.max_steps * step_flops(BASE)
    # the number of steps is whole: at most half a step is missing or too much
    assert abs(fair.training.max_steps * step_flops(fair) - budget) <= step_flops(fair) / 2
    assert dataclasses.replace(fair, training=trial.training) == trial, "steps alone were changed"


def test_the_head_counts_and_heads_cost_nothing() -> None:
    """A quarter of so small a model is its head; how a width is cut into heads changes nothing."""
    assert step_flops(BASE) == training_flops(BASE.model, 8, 64)
    without_head = step_flops(BASE) - 3 * 8 * 64 * 2 * 512 * 48
    assert 0.25 < 1 - without_head / step_flops(BASE) < 0.3
    for name in ("1 head", "8 heads", "untied embeddings"):
        assert step_flops(with_fields(BASE, VARIANTS[name])) == step_flops(BASE), name
    assert step_flops(with_fields(BASE, VARIANTS["one key head for four"])) < step_flops(BASE)
    twice = dataclasses.replace(BASE.training, accumulate=2)
    assert step_flops(dataclasses.replace(BASE, training=twice)) == 2 * step_flops(BASE)


def test_half_the_rows_are_twice_the_steps_and_as_many_tokens() -> None:
    fair = at_equal_compute(with_fields(BASE, VARIANTS["4 rows a step"]), BASE)
    assert fair.training.max_steps == 2 * BASE.training.max_steps


def test_texts_are_the_same_stories_in_another_order_or_choice(texts: bench.Texts) -> None:
    def read(name: str) -> list[bytes]:
        shards = texts.trained[name]
        return [shards.document(index).tobytes() for index in range(shards.num_documents)]

    mixed, easy = read("mixed"), read("easy first")
    assert sorted(easy) == sorted(mixed[: len(easy)]) and easy != mixed[: len(easy)]
    assert len(easy) == round(bench.READ_SHARE * len(mixed))
    lengths = [len(each) for each in easy]
    third = len(lengths) // 3
    assert sum(lengths[:third]) < sum(lengths[-third:]), "long stories are the hard ones"
    assert read("few") == mixed[:5]
    assert not {*mixed, *read("level 1")} & {
        torch.tensor(each).numpy().astype("uint16").tobytes() for each in texts.held_out
    }
    assert texts.num_bytes > len(texts.held_out) * 100


def test_the_base_reads_no_more_than_the_curriculum_holds() -> None:
    """So that easy first and mixed are the same stories once, in another order."""
    tokens = BASE.training.max_steps * BASE.batches.batch_size * BASE.batches.context_length
    made = bench.made_texts(num_held_out=1).trained["easy first"]
    assert 0.85 * tokens < made.num_tokens < 1.15 * tokens


def test_a_seed_repeats_to_the_last_digit_and_other_weights_do_not(texts: bench.Texts) -> None:
    first = held_out_bits(SHORT, 0, texts)
    assert held_out_bits(SHORT, 0, texts) == first
    assert held_out_bits(SHORT, 1, texts) != first
    assert held_out_bits(dataclasses.replace(SHORT, weights_seed=1000), 0, texts) != first


def test_differences_are_paired_by_seed() -> None:
    """Seeds differ by 1, the variant by .1 each: by hand +.1, and an interval of no width."""
    found = bench.minus_base([1.1, 2.1, 3.1], [1.0, 2.0, 3.0])
    assert found["mean"] == pytest.approx(0.1)
    assert found["high"] - found["low"] == pytest.approx(0, abs=1e-12)
    shuffled = bench.minus_base([3.1, 1.1, 2.1], [1.0, 2.0, 3.0])
    assert shuffled["high"] - shuffled["low"] > 1
    with pytest.raises(ValueError, match="zip"):
        bench.minus_base([1.0], [1.0, 2.0])


def test_figures_say_what_was_measured(texts: bench.Texts) -> None:
    groups = {"shape": {"1 layer": VARIANTS["1 layer"]}, "recipe": {"few": ("text=few",)}}
    figures = bench.measure(SHORT, groups, seeds=(0, 1), texts=texts)
    assert figures["flops_a_run"] == 3 * step_flops(BASE)
    row = figures["shape"]["1 layer"]
    assert row["set"] == ["model.num_layers=1"] and row["steps"] > 3
    assert row["parameters"] < figures["base"]["parameters"] == BASE.model.num_parameters
    assert row["tokens"] == row["steps"] * 8 * 64
    pairs = zip(row["bits_per_byte"], figures["base"]["bits_per_byte"], strict=True)
    assert row["minus_base"]["mean"] == pytest.approx(sum(a - b for a, b in pairs) / 2)


def test_an_unknown_change_is_named() -> None:
    with pytest.raises(ValueError, match="unknown recipe field 'model.layers'"):
        bench.measure(SHORT, {"shape": {"x": ("model.layers=1",)}}, seeds=(0,))


def test_the_kept_run_is_of_these_variants_with_at_least_three_seeds() -> None:
    kept = json.loads((ROOT / "bench" / "ablations.json").read_text(encoding="utf-8"))
    figures = kept["figures"]
    assert kept["command"] == "minillm bench ablations --json" and kept["machine"] and kept["date"]
    assert figures["flops_a_run"] == BASE.training.max_steps * step_flops(BASE)
    num_seeds = len(figures["base"]["bits_per_byte"])
    assert num_seeds == len(bench.SEEDS) >= 3
    for group, variants in GROUPS.items():
        assert list(figures[group]) == list(variants)
        for name, row in figures[group].items():
            assert row["set"] == list(variants[name])
            trial = at_equal_compute(with_fields(BASE, variants[name]), BASE)
            assert row["steps"] == trial.training.max_steps
            again = bench.minus_base(row["bits_per_byte"], figures["base"]["bits_per_byte"])
            assert row["minus_base"] == pytest.approx(again)


def test_the_kept_run_tells_chance_from_what_is_larger() -> None:
    """Other first weights change little; a rate that is too low costs far more than that."""
    kept = json.loads((ROOT / "bench" / "ablations.json").read_text(encoding="utf-8"))["figures"]
    chance = [
        kept["shape"]["other first weights"]["minus_base"],
        kept["recipe"]["yet other first weights"]["minus_base"],
    ]
    assert all(each["low"] < 0 < each["high"] for each in chance)
    slow = kept["recipe"]["half the rate"]["minus_base"]
    assert slow["low"] > 0 and slow["mean"] > 3 * max(abs(each["mean"]) for each in chance)
