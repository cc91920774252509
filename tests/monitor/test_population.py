"""The script: the same for a seed, true to its stories, with every event where it was planted."""

from itertools import groupby

import pytest

from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.words import PLACES, THINGS
from minillm.monitor.population import (
    OFFICE,
    TOYS,
    PopulationConfig,
    Wish,
    in_other_words,
    is_right,
    population,
)

SMALL = PopulationConfig(calm=31, peak=7, topic=11, attack=10)


def test_the_timeline_is_the_one_asked_for_and_repeats() -> None:
    wishes = population(SMALL)
    order = [(event, len(list(group))) for event, group in groupby(wishes, lambda w: w.event)]
    assert order == [("calm", 31), ("peak", 7), ("drift", 11), ("attack", 10)]
    assert wishes == population(SMALL) != population(PopulationConfig(calm=31, seed=1))
    bare = PopulationConfig(calm=1, peak=0, topic=0, attack=0)
    assert len(population(bare)) == 1


def test_office_words_cover_the_world_and_lead_back() -> None:
    assert set(OFFICE) == set(THINGS) | {place.removeprefix("the ") for place in PLACES}
    assert len(TOYS) == len(OFFICE) and not set(OFFICE) & set(TOYS)
    for seed in range(60):
        story = tell_story(seed, 1 + seed % 3)
        moved = in_other_words(story.text, OFFICE)
        assert moved != story.text and in_other_words(moved, TOYS) == story.text


def test_no_prompt_is_longer_than_allowed_and_each_visit_has_one_address() -> None:
    config = PopulationConfig(calm=200, max_prompt_bytes=340)
    wishes = population(config)
    assert max(len(wish.prompt.encode()) for wish in wishes if not wish.is_misuse) <= 340
    visits = {w.client: 0 for w in wishes if w.event == "calm"}
    assert 1.2 < 200 / len(visits) < 1.6


@pytest.mark.parametrize("drift", ["topic", "level"])
def test_drift_is_in_its_event_alone(drift: str) -> None:
    wishes = population(PopulationConfig(topic=60, drift=drift, drift_share=1.0))
    office = [wish for wish in wishes if wish.topic == "office"]
    assert {wish.event for wish in office} == ({"drift"} if drift == "topic" else set())
    assert len(office) == (60 if drift == "topic" else 0)


def test_the_true_answer_is_right_and_another_is_not() -> None:
    wishes = [wish for wish in population(SMALL) if not wish.is_misuse]
    assert {wish.kind for wish in wishes} == {"question", "continue"}
    for wish in wishes:
        assert is_right(wish, wish.truth), wish
        assert is_right(wish, f" {wish.truth.upper()} ") or wish.kind == "continue"
        assert not is_right(wish, "") and not is_right(wish, "Nobody knows the zebra.")


def test_a_continuation_that_contradicts_its_opening_is_wrong() -> None:
    story = tell_story(7, 1)
    wish = Wish(event="calm", client="a", kind="continue", prompt="", opening=story.opening)
    rest = story.text.removeprefix(story.opening).strip()
    assert is_right(wish, rest) and is_right(wish, rest[: rest.index('"Yes')] + "Yes, but pl")
    assert not is_right(wish, "Ella asked for the marble. Adam gave the marble to Ella.")


def test_the_attack_is_one_client_that_repeats_itself_and_forges_turns() -> None:
    bad = [wish for wish in population(SMALL) if wish.is_misuse]
    assert len(bad) == 7 and len({wish.client for wish in bad}) == 1
    assert len({wish.prompt for wish in bad}) == 2 and not any(wish.rates for wish in bad)
    assert sum("<|im_start|>system" in wish.prompt for wish in bad) == 3


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"calm": 0}, "calm = 0: must be at least 1"),
        ({"drift_share": 1.5}, "drift_share = 1.5: is a share"),
        ({"max_prompt_bytes": 20}, "max_prompt_bytes = 20: must be at least 340"),
    ],
)
def test_an_impossible_script_is_named(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        PopulationConfig(**fields)
