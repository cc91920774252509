"""The recorded laptop run: its model loads and is what was sealed, and its figures hold."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from minillm.core.records import Artifact
from minillm.corpus.mix import story_seed
from minillm.corpus.storyworld import tell_story
from minillm.model.loss import bits_per_byte
from minillm.recipes import laptop
from minillm.train.checkpoint import load_model
from tools.readme import assistant_section, pipeline_picture, readme_section

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "data" / "models" / "laptop"
FIGURES = json.loads((ROOT / "data" / "results" / "laptop.json").read_text(encoding="utf-8"))


def test_the_recorded_model_is_what_was_sealed() -> None:
    assert Artifact.load(MODEL).verify().figures == FIGURES["model"]


def test_the_recorded_model_has_the_recorded_size_and_predicts_held_out_stories() -> None:
    model, tokenizer = load_model(MODEL)
    assert model.num_parameters == FIGURES["model"]["parameters"]
    texts = [tell_story(story_seed(index, "validation"), 1).text for index in range(20)]
    documents = [[tokenizer.end_of_text, *tokenizer.encode(text)] for text in texts]
    num_bytes = sum(len(text.encode()) for text in texts)
    # measured .21; an untrained model needs 2.7
    assert bits_per_byte(model, documents, num_bytes, 256) < 0.3


def test_the_recorded_model_beats_its_peers_on_held_out_text() -> None:
    peers = FIGURES["peers"]
    assert peers["model_bits_per_byte"] < peers["kneser_ney_5_gram_bits_per_byte"]
    assert peers["model_bits_per_byte"] < peers["xz_bits_per_byte"]


@pytest.mark.parametrize("level", ["level1", "level2", "level3"])
def test_recorded_stories_are_readable_and_not_copied(level: str) -> None:
    scores = FIGURES["stories"][level]
    assert scores["stories"] == 200
    assert scores["readable_fraction"] >= 0.95 and scores["near_duplicate_fraction"] <= 0.05


def test_most_recorded_stories_of_level_1_are_free_of_contradictions() -> None:
    assert FIGURES["stories"]["level1"]["consistent_fraction"] >= 0.6


def test_the_laptop_recipe_is_that_of_the_recorded_model() -> None:
    """Its size follows from rounded constants: a change there must not pick another shape."""
    model, _ = load_model(MODEL)
    assert laptop().model == model.config


def test_the_recorded_course_kept_its_bounds() -> None:
    assert FIGURES["model"]["seconds"] <= 600
    assert FIGURES["course"]["total_seconds"] <= 20 * 60


@pytest.mark.parametrize("part", [pipeline_picture, readme_section])
def test_the_readme_shows_the_recorded_figures_and_no_others(part: Callable) -> None:
    assert part(FIGURES) in (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_readme_says_what_the_assistant_can_and_what_it_costs() -> None:
    share = {"value": 0.5, "low": 0.25, "high": 0.75, "n": 8}
    asked = {name: share for name in ("exact", "last_mention", "false_abstention")}
    asked |= {
        "exact_by_level": {"1": share}, "abstention_by_kind": {"why": share},
        "exact_by_distance": {"near": share, "middle": share, "far": share},
    }  # fmt: skip
    better = asked | {"exact": share | {"value": 0.75}}
    change = {"fraction": {"value": -0.1, "low": -0.2, "high": 0.0, "n": 8}}
    text = assistant_section({
        "questions": {"assistant": asked, "aligned": better},
        "continued": {"assistant": {"level1": share}, "aligned": {"level1": share}},
        "quantized": {"perplexity_change_fraction": 0.001}, "changes": {"old": change},
    })  # fmt: skip
    assert "| answers right where the story says it | 50% [25%, 75%] | **75% [25%, 75%]** |" in text
    assert "says so where it does not, *why*" in text and "without a contradiction" in text
    assert "+0.10%" in text and "old -10.0% [-20.0%, +0.0%]" in text
