"""Variants of the laptop recipe at equal compute: each is one change, and is compared by seed."""

import dataclasses

import pytest

from minillm.bench import stories as bench
from minillm.bench.ablations import step_flops
from minillm.core.settings import with_fields
from minillm.corpus.storyworld import check_story, tell_story
from minillm.recipes import laptop
from tests.bench.test_learn import tiny_recipe

BASE = with_fields(laptop(), bench.SHORT)


@pytest.mark.parametrize("name", bench.VARIANTS)
def test_each_variant_is_another_run_at_the_same_operations(name: str) -> None:
    changes = bench.VARIANTS[name]
    trial = bench.trial_of(BASE, changes, seed=3)
    assert trial != bench.trial_of(BASE, (), seed=3) or changes == (bench.RESTATED,)
    budget = BASE.training.max_steps * step_flops(BASE)
    assert abs(trial.training.max_steps * step_flops(trial) - budget) <= step_flops(trial) / 2
    assert trial.training.seed == (1003 if name == "another seed" else 3)


@pytest.mark.parametrize("level", [1, 2, 3])
def test_a_restated_story_is_true_and_longer_where_things_change_hands(level: int) -> None:
    longer = 0
    for seed in range(60):
        story = tell_story(seed, level)
        text = bench.restated(story)
        assert check_story(text).is_consistent, text
        num_new = text.count("Now ") - story.text.count("Now ")
        given = sum(event.kind in ("give", "lend", "take") for event in story.events)
        assert num_new >= given
        longer += num_new > 0
    assert longer > 30


def test_the_base_reads_about_what_it_has() -> None:
    """So that a third of the text is read three times. The laptop recipe's text has 3.9 bytes a
    token (`minillm bench learn` prints both)."""
    steps, batches = BASE.training.max_steps, BASE.batches
    slots = steps * batches.batch_size * batches.context_length
    num_bytes = len(BASE.corpus.sources) * BASE.corpus.max_source_characters
    for level, count in enumerate(BASE.corpus.stories, start=1):
        few = [tell_story(seed, level).text for seed in range(200)]
        num_bytes += count * sum(map(len, few)) / len(few)
    assert 0.85 * slots < num_bytes / 3.9 < 1.15 * slots


def tiny() -> bench.Recipe:
    recipe = tiny_recipe()
    training = dataclasses.replace(recipe.training, max_steps=4, max_minutes=None)
    return dataclasses.replace(recipe, training=training)


@pytest.mark.filterwarnings("ignore")  # of how short the text is
def test_what_changes_nothing_differs_by_nothing_and_what_learns_nothing_is_seen() -> None:
    variants = {"the same": (), "no rate": ("training.learning_rate=1e-9",), "told": ("restated",)}
    figures = bench.measure(tiny(), variants, seeds=(0, 1), num_stories=2)
    assert figures["variants"]["the same"]["minus_base"] == {"mean": 0, "low": 0, "high": 0}
    assert figures["variants"]["no rate"]["minus_base"]["mean"] > 0.05
    assert figures["variants"]["told"]["minus_base"]["mean"] != 0
    assert figures["stories_weighed_a_level"] == 2
    assert len(set(figures["base"]["bits_per_byte"])) == 2, "a seed decides something"
    for level in (1, 2, 3):
        assert all(0 <= share <= 1 for share in figures["base"][f"level_{level}_consistent"])
    assert figures["variants"]["the same"]["steps"] == 4
