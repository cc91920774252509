"""A leak is seen before the training ends; without one the watch is silent as often as promised."""

import numpy as np
import pytest
import torch

from minillm.batches.shards import BatchesConfig, shards_of
from minillm.batches.stream import Stream
from minillm.corpus.mix import story_seed
from minillm.corpus.storyworld import tell_story
from minillm.evaluate import leaks
from minillm.evaluate.intervals import paired_difference
from minillm.evaluate.leaks import LeakWatch, item_bits, leak_estimate, planted
from minillm.model.loss import bits_per_byte
from minillm.model.transformer import ModelConfig, Transformer
from minillm.train.loop import train
from minillm.train.optimizer import make_optimizer
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import pretraining_loss
from tests.evaluate.fakes import Uniform, small_config, story_tokenizer

TOKENIZER = story_tokenizer()
NUM_LOOKS, NUM_PAIRS, QUIET_RUNS, ALARM_RATE = 6, 16, 200, 0.05


def synthetic_run(seed: int, leak_bits: float = 0.0) -> list[tuple[np.ndarray, np.ndarray]]:
    """Both sides' bits at each look: items differ in difficulty, and a look adds noise."""
    rng = np.random.default_rng(seed)
    difficulty = rng.gamma(8.0, 0.05, size=(2, NUM_PAIRS))
    found = []
    for look in range(NUM_LOOKS):
        sides = 2.0 / (1 + look) + difficulty + 0.1 * rng.standard_normal((2, NUM_PAIRS))
        sides[0] -= leak_bits * look / (NUM_LOOKS - 1)
        found.append((sides[0], sides[1]))
    return found


def has_alarm(run: list[tuple[np.ndarray, np.ndarray]], num_looks: int) -> bool:
    return any(
        leak_estimate(*each, num_looks=num_looks, alarm_rate=ALARM_RATE).low > 0 for each in run
    )


@pytest.fixture(scope="module", autouse=True)
def fewer_resamples() -> None:
    kept, leaks.RESAMPLES = leaks.RESAMPLES, 3000
    yield
    leaks.RESAMPLES = kept


def test_false_alarms_in_quiet_runs_are_as_rare_as_promised() -> None:
    alarms = sum(has_alarm(synthetic_run(seed), NUM_LOOKS) for seed in range(QUIET_RUNS))
    # 5 % of 200 are 10, and √(200 · .05 · .95) = 3.1: three of these above
    assert alarms <= 10 + 3 * 3.1


def test_looks_that_nobody_pays_for_cry_wolf() -> None:
    """The planted bug: each look is judged as if it were the only one."""
    alarms = sum(has_alarm(synthetic_run(seed), 1) for seed in range(QUIET_RUNS))
    assert alarms > 10 + 3 * 3.1


def test_a_leak_raises_the_alarm_before_the_last_look() -> None:
    found = [has_alarm(synthetic_run(seed, 0.6)[:-1], NUM_LOOKS) for seed in range(20)]
    assert sum(found) >= 18


def test_a_lower_bits_of_the_twins_is_no_leak() -> None:
    suspects, twins = np.full(8, 2.0) + 0.01 * np.arange(8), np.ones(8)
    assert leak_estimate(suspects, twins, num_looks=1).high < 0
    assert leak_estimate(twins, suspects, num_looks=1).low > 0


def test_which_twin_stands_beside_which_suspect_means_nothing() -> None:
    """They are unrelated stories: paired, the interval would hang on their order."""
    suspects, twins = synthetic_run(1)[3]
    found = leak_estimate(suspects, twins, num_looks=6)
    assert leak_estimate(suspects, np.sort(twins), num_looks=6) == found
    assert leak_estimate(suspects[::-1], twins, num_looks=6) == found
    paired = [
        paired_difference(side, np.sort(suspects), resamples=leaks.RESAMPLES)
        for side in (np.sort(twins), np.sort(twins)[::-1])
    ]
    assert paired[1].high - paired[1].low > 2 * (paired[0].high - paired[0].low)


def test_the_level_of_a_look_by_hand() -> None:
    """.05 over 5 looks is .01 a look, one tail of two: the middle 98 %."""
    assert leaks.confidence_of_a_look(5, 0.05) == pytest.approx(0.98)
    assert leaks.confidence_of_a_look(1, 0.025) == pytest.approx(0.95)


def test_planted_texts_stand_so_often_and_the_others_keep_their_order() -> None:
    texts = [str(number) for number in range(50)]
    found = planted(texts, ["x", "y"], 3, seed=1)
    assert found.count("x") == found.count("y") == 3
    assert [each for each in found if each not in "xy"] == texts
    assert found != planted(texts, ["x", "y"], 3, seed=2)
    places = [i for i, each in enumerate(found) if each in "xy"]
    assert max(places) - min(places) > 10, "they are spread"
    assert planted(texts, ["x"], 0, seed=0) == texts


def test_bits_of_an_item_are_those_of_the_loss() -> None:
    torch.manual_seed(0)
    model = Transformer(small_config(TOKENIZER.vocab_size, context_length=32)).eval()
    texts = [tell_story(seed, 2).text for seed in (3, 4)]
    for text, found in zip(texts, item_bits(model, TOKENIZER, texts), strict=True):
        document = [TOKENIZER.end_of_text, *TOKENIZER.encode(text)]
        expected = bits_per_byte(model, [document], len(text.encode()), 32)
        assert found == pytest.approx(expected, rel=1e-5)


def exam(split_at: int) -> list[str]:
    return [tell_story(split_at + index, 1).text for index in range(12)]


class Silence:
    def write(self, **fields: object) -> None: ...


def watched_run(is_leaked: bool) -> LeakWatch:
    """A small model reads 150 stories, with the exam's in them six times each or not at all."""
    torch.manual_seed(0)
    suspects, twins = exam(410_000), exam(420_000)
    stories = [tell_story(story_seed(index, "train"), 1).text for index in range(150)]
    shards = shards_of(planted(stories, suspects if is_leaked else (), 6, seed=0), TOKENIZER)
    shape = ModelConfig(
        vocab_size=TOKENIZER.vocab_size, width=48, num_layers=2, num_heads=4, num_kv_heads=2,
        ffn_width=96, context_length=160, initial_std=0.09,
    )  # fmt: skip
    model = Transformer(shape)
    training = TrainingConfig(
        max_steps=160, learning_rate=1.2e-2, precision="float32", evaluate_every_steps=40
    )
    stream = Stream(shards, BatchesConfig(context_length=160, batch_size=4))
    watch = LeakWatch(
        tokenizer=TOKENIZER, suspects=tuple(suspects), twins=tuple(twins), num_looks=4
    )
    optimizer = make_optimizer(model, "adamw", weight_decay=0.1, betas=(0.9, 0.95))
    train(
        model, stream, pretraining_loss(4.0, "cpu"), optimizer, training,
        state=TrainState(), log=Silence(), evaluate=watch,
    )  # fmt: skip
    return watch


def test_a_model_that_read_its_exam_is_found_out_and_one_that_did_not_is_left_alone() -> None:
    leaked, honest = watched_run(True), watched_run(False)
    assert leaked.alarm_step is not None and leaked.alarm_step < 160
    assert honest.alarm_step is None
    assert honest.looks[-1].suspects < 0.5 * honest.looks[0].suspects + 0.5, "it learns as well"
    assert [each.step for each in leaked.looks] == [40, 80, 120, 160]
    assert leaked.looks[-1].gap.value == pytest.approx(
        leaked.looks[-1].twins - leaked.looks[-1].suspects
    )


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"twins": ("a",)}, "suspects, twins = 2, 1 items: must be as many"),
        ({"twins": ("a", "x")}, "twins: 1 of them are suspects too, the first 'a'"),
        ({"num_looks": 0}, "num_looks = 0: must be at least 1"),
        ({"alarm_rate": 0.0}, "alarm_rate = 0.0: must lie between 0 and .5"),
        ({"num_looks": 100}, "num_looks = 100: too many for alarms .*; look less often"),
        ({}, "num_looks = 2 with 2 items a side: too few items .*; give more items .* or fewer"),
    ],
)
def test_a_watch_that_cannot_be_honest_is_refused(changes: dict, words: str) -> None:
    fields = {"suspects": ("a", "b"), "twins": ("c", "d"), "num_looks": 2}
    with pytest.raises(ValueError, match=words):
        LeakWatch(tokenizer=TOKENIZER, **{**fields, **changes})


EIGHT = {"suspects": tuple("abcdefgh"), "twins": tuple("stuvwxyz")}


def test_a_look_that_was_not_planned_is_refused() -> None:
    watch = LeakWatch(tokenizer=TOKENIZER, **EIGHT, num_looks=1)
    model = Uniform(TOKENIZER.vocab_size)
    watch(model, 1)
    with pytest.raises(ValueError, match="num_looks = 1: the look after step 2 is one more"):
        watch(model, 2)
    with pytest.raises(ValueError, match="times = -1: must be at least 0"):
        planted(["a"], ["b"], -1, seed=0)


def test_a_look_asked_again_after_a_rollback_replaces_the_earlier_one() -> None:
    watch = LeakWatch(tokenizer=TOKENIZER, **EIGHT, num_looks=3)
    model = Uniform(TOKENIZER.vocab_size)
    for step in (10, 20, 30, 20, 30):
        watch(model, step)
    assert [each.step for each in watch.looks] == [10, 20, 30]
    with pytest.raises(ValueError, match="num_looks = 3: the look after step 40 is one more"):
        watch(model, 40)
