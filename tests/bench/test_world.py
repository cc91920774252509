"""The story world's figures: each moves where what it measures is changed."""

import re

import pytest

from minillm.bench import world as bench
from minillm.corpus.storyworld import tell_story


@pytest.fixture(autouse=True)
def articles(monkeypatch: pytest.MonkeyPatch) -> None:
    """No download: two invented articles."""
    articles = [f"Town {n} lies on a river of {n * 7} miles; its market is old." for n in range(2)]
    documents = [type("Article", (), {"text": text}) for text in articles]
    monkeypatch.setattr(bench, "known_sources", lambda: {"encyclopaedia": None})
    monkeypatch.setattr(bench, "read_source", lambda source, languages: documents)


def test_every_level_has_its_figures_and_only_even_lots_are_weighed() -> None:
    figures = bench.measure(num_stories=30, num_compared=30, num_weighed=1)
    assert list(figures["levels"]) == ["1", "2", "3", "4"]
    for level, found in figures["levels"].items():
        assert found["megabytes_per_s"] > 0 and found["near_copies"] == 0
        assert 0 < found["zlib_ratio"] < 1
        assert ("bits_a_story" in found) is (level != "4")
    words = [found["words_a_story"] for found in figures["levels"].values()]
    assert words[0] < words[1] < words[2], "a level has longer stories than the one before"
    assert 0 < figures["zlib_ratio_of_an_encyclopaedia"] < 1.5


def test_a_world_that_tells_one_story_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    one = tell_story(1, 4)
    monkeypatch.setattr(bench, "tell_story", lambda seed, level: one)
    found = bench.of_level(4, num_stories=20, num_compared=20, num_weighed=1)
    assert found["near_copies"] == 19 / 20 and found["zlib_ratio"] < 0.1
    assert found["distinct_words"] == len(set(re.findall("[a-z]+", one.text)))
