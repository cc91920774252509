"""The bench of learning: both learn from one text, are asked on the way, and are compared."""

import dataclasses
from pathlib import Path

import pytest

from minillm.bench import learn as bench
from minillm.corpus.pipeline import CorpusConfig
from minillm.model.transformer import ModelConfig
from minillm.recipes import Recipe, smoke
from minillm.tokenizer.bytepair import TokenizerConfig
from tests.bench.checkout import write_checkout


def tiny_recipe() -> Recipe:
    recipe = smoke()
    return dataclasses.replace(
        recipe, name="tiny",
        corpus=CorpusConfig(stories=(60, 0, 0), held_out_stories=4),
        tokenizer=TokenizerConfig(vocab_size=300),
        batches=dataclasses.replace(recipe.batches, context_length=128, batch_size=2),
        model=ModelConfig(
            vocab_size=300, width=16, num_layers=1, num_heads=2, num_kv_heads=1, ffn_width=24,
            context_length=128,
        ),
        training=dataclasses.replace(
            recipe.training, checkpoint_every_steps=None, evaluate_every_steps=None,
            precision="float32",
        ),
    )  # fmt: skip


@pytest.mark.filterwarnings("ignore")  # of how short the text is
def test_both_learn_from_the_same_text_and_are_asked_on_the_way(tmp_path: Path) -> None:
    figures = bench.measure(
        nanogpt=write_checkout(tmp_path / "nanogpt"), minutes=0.02, seeds=(0, 1),
        recipe=tiny_recipe(), peer_is_compiled=False, num_stories=2,
    )  # fmt: skip
    for curves in figures["curves"].values():
        assert len(curves) == 2
        for curve in curves:
            assert [each["minutes"] for each in curve] == sorted(each["minutes"] for each in curve)
            assert curve[-1]["minutes"] == pytest.approx(0.02, rel=0.5)
            assert curve[-1]["bits_per_byte"] < curve[0]["bits_per_byte"]
            assert curve[0]["minutes"] < 0.01
    rates = [float(rate) for rate in figures["nanogpt_bits_by_rate"]]
    assert rates == list(bench.PEER_RATES) and figures["nanogpt_rate"] in rates
    lowest = min(figures["nanogpt_bits_by_rate"], key=figures["nanogpt_bits_by_rate"].get)
    assert float(lowest) == figures["nanogpt_rate"]
    ends = figures["bits_per_byte"]
    parts = [ours / peer for ours, peer in zip(ends["ours"], ends["nanoGPT"], strict=True)]
    assert figures["ours_over_nanogpt"]["mean"] == pytest.approx(sum(parts) / 2)
    for level, told in figures["stories"].items():
        assert told["stories"] == [2, 2] and len(told["bits_per_byte"]) == 2
        world = figures["world_bits_per_byte"][level]
        assert figures["story_bits_over_the_worlds"][level][0] > 1.0
        assert world * figures["story_bits_over_the_worlds"][level][1] == pytest.approx(
            told["bits_per_byte"][1]
        )
    assert list(figures["stories"]) == ["1", "2", "3"]
    assert figures["kneser_ney_5_gram_bits_per_byte"] > 0 and figures["held_out_bytes"] > 0


def test_the_minute_of_the_first_answer_below_a_bound() -> None:
    curve = [{"minutes": float(n), "bits_per_byte": 3.0 - n} for n in range(1, 4)]
    assert bench.first_below(curve, 1.5) == 2.0
    assert bench.first_below(curve, -1.0) is None


def test_the_better_of_two_ways_to_ask_counts() -> None:
    asked = {"bits_per_byte": 1.2, "bits_per_byte_in_a_row": 1.1}
    assert bench.last_bits([{"bits_per_byte": 2.0, "bits_per_byte_in_a_row": 0.5}, asked]) == 1.1


def test_without_a_checkout_there_is_nothing_to_compare_with() -> None:
    with pytest.raises(ValueError, match="--nanogpt is missing: give the folder of a nanoGPT"):
        bench.measure()
