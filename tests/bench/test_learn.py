"""The bench of learning: both learn from one text, are asked on the way, and are compared."""

import dataclasses
from itertools import product
from pathlib import Path

import pytest

from minillm.batches.shards import open_shards
from minillm.bench import learn as bench
from minillm.bench import learners
from minillm.bench.learners import ASKED_AT, Questions, unread_stories
from minillm.bench.text import all_tokens
from minillm.corpus.pipeline import CorpusConfig
from minillm.model.transformer import ModelConfig
from minillm.recipes import Recipe, open_run, smoke
from minillm.stages import reach
from minillm.tokenizer.bytepair import TokenizerConfig
from minillm.train import loop
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


def tiny_pair(home: Path) -> bench.Pair:
    """Both learners on one short text."""
    recipe = tiny_recipe()
    run, _ = open_run("tiny", recipe, home=home)
    shards = reach(run, recipe, "shards").path
    all_tokens(open_shards(shards, "train")).tofile(home / "ids.bin")
    return bench.Pair(
        recipe=recipe, shards=shards, ids=home / "ids.bin", num_stories=1,
        tokenizer=run.artifact("tokenizer").path / "tokenizer.json", cache=home / "compiled",
        nanogpt=write_checkout(home / "nanogpt"),
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
    tried = figures["nanogpt_tried"]
    short, whole = tried[:9], tried[9:]
    ways = [(each["rows"], each["rate"]) for each in short]
    assert ways == list(product(bench.PEER_ROWS, bench.PEER_RATES))
    assert {each["minutes"] for each in short} == {0.002} and len(whole) == 2
    likeliest = sorted(short, key=lambda each: each["bits_per_byte"])[:2]
    assert [(each["rows"], each["rate"]) for each in whole] == [
        (each["rows"], each["rate"]) for each in likeliest
    ]
    best = min(whole, key=lambda each: each["bits_per_byte"])
    assert (figures["nanogpt_rows"], figures["nanogpt_rate"]) == (best["rows"], best["rate"])
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
    # together: as if the stories of all levels were one text
    bits = needed = 0
    for level, told in figures["stories"].items():
        texts = [story.text for story in unread_stories(2, [int(level)])]
        assert figures["story_bytes"][level] == sum(len(text.encode()) for text in texts)
        bits += figures["story_bytes"][level] * told["bits_per_byte"][1]
        needed += figures["story_bytes"][level] * figures["world_bits_per_byte"][level]
    together = figures["story_bits_over_the_worlds_together"]
    assert together["by_seed"][1] == pytest.approx(bits / needed)
    assert together["mean"] == pytest.approx(sum(together["by_seed"]) / 2)
    assert figures["kneser_ney_5_gram_bits_per_byte"] > 0 and figures["held_out_bytes"] > 0


def test_ours_has_compiled_before_its_minutes_begin(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the recipe leaves open is decided for all of the minutes, not for the short run."""
    asked: list[bench.Learner] = []

    def answers(learner: bench.Learner) -> list[dict]:
        asked.append(learner)
        told = {"minutes": 1.0, "bits_per_byte": 1.0, "bits_per_byte_in_a_row": 1.0}
        return [told, {"stories": {}}] if learner.who == "ours" else [told]

    monkeypatch.setattr(bench, "answers_of", answers)
    monkeypatch.setattr(bench, "compile_decided", lambda training, device: dataclasses.replace(
        training, compile=training.max_minutes > 5
    ))
    pair = bench.Pair(
        recipe=tiny_recipe(), shards=tmp_path, ids=tmp_path, tokenizer=tmp_path, cache=tmp_path,
        nanogpt=tmp_path, num_stories=1,
    )  # fmt: skip
    bench.race(pair, 10.0, (0, 1))
    ours = [each for each in asked if each.who == "ours"]
    assert [each.training.max_minutes for each in ours] == [0.1, 10.0, 10.0]
    assert all(each.training.compile for each in ours)
    # the second seed begins with the other
    assert [each.who for each in asked[-4:]] == ["ours", "nanoGPT", "nanoGPT", "ours"]


def test_levels_together_are_weighed_by_their_bytes() -> None:
    stories = {"1": {"bits_per_byte": [0.2, 0.3]}, "2": {"bits_per_byte": [0.5, 0.4]}}
    found = bench.levels_together(stories, {"1": 0.1, "2": 0.4}, {"1": 100, "2": 300})
    # (20 + 150) / (10 + 120), (30 + 120) / 130
    assert found == pytest.approx([170 / 130, 150 / 130])


@pytest.mark.parametrize("who", ["ours", "nanoGPT"])
@pytest.mark.filterwarnings("ignore")  # of how short the text is
def test_both_are_asked_after_the_same_parts_of_a_run(who: str, tmp_path: Path) -> None:
    """Of a hundred steps, whose parts do not depend on the clock."""
    pair = tiny_pair(tmp_path)
    training = dataclasses.replace(pair.recipe.training, max_steps=100, compile=False)
    answers = bench.answers_of(pair.learner(who, pair.recipe.model, training, 2))
    curve = [each for each in answers if "stories" not in each]
    assert [each["steps"] for each in curve] == [10, 15, 19, 20, 40, 60, 80, 100]
    assert len(answers) - len(curve) == (who == "ours")


def test_a_question_is_asked_once_however_many_a_step_passes() -> None:
    questions = Questions()
    fractions = (0.05, 0.16, 0.17, 0.5, 0.55, 0.9, 0.95, 1.0)
    due = [fraction for fraction in fractions if questions.is_one_due(fraction)]
    assert due == [0.16, 0.5, 0.9, 1.0]


def test_of_ten_minutes_three_questions_come_before_two_are_over() -> None:
    assert sum(10 * part < 2 for part in ASKED_AT) == 3


class Clock:
    """Each step takes a second, the first one a minute more: it is compiled."""

    def __init__(self) -> None:
        self.now_s, self.num_reads = 0.0, 0

    def perf_counter(self) -> float:
        self.num_reads += 1
        if self.num_reads % 2 == 0:  # read before and after each step
            self.now_s += 61.0 if self.num_reads == 2 else 1.0
        return self.now_s


@pytest.mark.parametrize("who", ["ours", "nanoGPT"])
@pytest.mark.filterwarnings("ignore")  # of how short the text is
def test_both_are_asked_by_the_clock_though_schedules_begin_after_the_compiling(
    who: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    told: list[dict] = []
    monkeypatch.setattr(learners, "time", Clock())
    monkeypatch.setattr(loop, "time", Clock())
    monkeypatch.setattr(learners, "compiled", lambda function, **_where: function)
    monkeypatch.setattr(learners, "answer", lambda **figures: told.append(figures))
    monkeypatch.setattr(learners, "held_out_bits", lambda *_given: {"bits_per_byte": 1.0})
    monkeypatch.setattr(learners, "told_by", lambda *_given: {})
    pair, training = tiny_pair(tmp_path), tiny_recipe().training
    training = dataclasses.replace(training, max_steps=None, max_minutes=5.0, compile=True)
    learner = pair.learner(who, pair.recipe.model, training, 1)
    (learners.learn_ours if who == "ours" else learners.learn_nanogpt)(learner)
    minutes = [each["minutes"] for each in told if "minutes" in each]
    # the first step is over after four of the questions have come: they are one
    assert minutes == pytest.approx([61 / 60, 2.0, 3.0, 4.0, 5.0])


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
