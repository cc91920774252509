"""The story world's figures: each moves where what it measures is changed."""

import random
import re

import pytest

from minillm.bench import world as bench
from minillm.corpus.storyworld import Story, StoryReport, tell_story
from minillm.corpus.storyworld.checker import SentenceVerdict
from minillm.corpus.storyworld.mutations import MUTATIONS


@pytest.fixture(autouse=True)
def articles(monkeypatch: pytest.MonkeyPatch) -> None:
    """No download: two invented articles."""
    articles = [f"Town {n} lies on a river of {n * 7} miles; its market is old." for n in range(2)]
    documents = [type("Article", (), {"text": text}) for text in articles]
    monkeypatch.setattr(bench, "known_sources", lambda: {"encyclopaedia": None})
    monkeypatch.setattr(bench, "read_source", lambda source, languages: documents)


def test_every_level_has_its_figures_and_only_even_lots_are_weighed() -> None:
    figures = bench.measure(num_stories=30, num_compared=30, num_weighed=1, num_broken=8)
    assert list(figures["levels"]) == ["1", "2", "3", "4"]
    for level, found in figures["levels"].items():
        assert found["megabytes_per_s"] > 0 and found["near_copies"] == 0
        assert 0 < found["zlib_ratio"] < 1
        assert ("bits_a_story" in found) is (level != "4")
    words = [found["words_a_story"] for found in figures["levels"].values()]
    assert words[0] < words[1] < words[2], "a level has longer stories than the one before"
    assert 0 < figures["zlib_ratio_of_an_encyclopaedia"] < 1.5
    for found in figures["checker"].values():
        assert (found["true_stories"], found["false_alarms"]) == (30, 0)
        assert set(found["changes"]) == set(MUTATIONS)
        assert all(each["noticed"] <= each["broken"] <= 8 for each in found["changes"].values())


def test_a_world_that_tells_one_story_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    one = tell_story(1, 4)
    monkeypatch.setattr(bench, "tell_story", lambda seed, level: one)
    found = bench.of_level(4, num_stories=20, num_compared=20, num_weighed=1)
    assert found["near_copies"] == 19 / 20 and found["zlib_ratio"] < 0.1
    assert found["distinct_words"] == len(set(re.findall("[a-z]+", one.text)))


@pytest.mark.parametrize("is_deaf", [True, False])
def test_a_reader_who_believes_all_or_nothing_is_seen(
    is_deaf: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    complaint = None if is_deaf else "I do not believe it"
    verdict = SentenceVerdict(text="", readable=True, contradiction=complaint)
    monkeypatch.setattr(bench, "check_story", lambda text: StoryReport(sentences=(verdict,)))
    found = bench.of_checker(2, num_stories=20, num_broken=10)
    assert found["false_alarms"] == (0 if is_deaf else 20)
    assert found["least_noticed_fraction"] == (0 if is_deaf else 1)
    for each in found["changes"].values():
        assert 0 < each["broken"] <= 10
        assert each["noticed"] == (0 if is_deaf else each["broken"])


def test_the_change_that_is_noticed_least_is_named_by_its_share(
    monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two ways to break stories: one leaves every other story as it is, one has no place."""

    def half(story: Story, rng: random.Random) -> list[str]:
        return [*story.sentences, *(["asdf."] if story.seed % 2 else [])]

    monkeypatch.setattr(bench, "MUTATIONS", {"half": half, "none": lambda story, rng: None})
    found = bench.of_checker(1, num_stories=20, num_broken=10)
    assert found["changes"]["half"] == {"broken": 10, "noticed": 5, "noticed_fraction": 0.5}
    assert found["changes"]["none"] == {"broken": 0, "noticed": 0, "noticed_fraction": None}
    assert found["least_noticed_fraction"] == 0.5
