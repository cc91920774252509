"""The recorded laptop run: its model loads and is what was sealed, and its figures hold."""

import dataclasses
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from minillm.align.instructions import ANSWER_TOKENS
from minillm.compress.pipeline import load_served
from minillm.core.records import Artifact
from minillm.corpus.mix import story_seed
from minillm.corpus.storyworld import tell_story
from minillm.model.loss import bits_per_byte
from minillm.recipes import laptop
from minillm.train.checkpoint import load_model
from tools.readme import assistant_section, pipeline_picture, readme_section
from tools.record import some_of_each_level

ROOT = Path(__file__).resolve().parent.parent
MODELS = ROOT / "data" / "models"
MODEL = MODELS / "laptop"
FIGURES = json.loads((ROOT / "data" / "results" / "laptop.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize(("name", "kind"), [("laptop", "model"), ("laptop-aligned", "aligned")])
def test_a_recorded_model_is_what_was_sealed(name: str, kind: str) -> None:
    assert Artifact.load(MODELS / name).verify().figures == FIGURES[kind]


def test_the_recorded_int8_model_is_the_aligned_one_in_fewer_bits() -> None:
    sealed = Artifact.load(MODELS / "laptop-int8").verify()
    assert sealed.figures == FIGURES["smaller"]["int8"]
    assert sealed.parents == {"aligned": Artifact.load(MODELS / "laptop-aligned").sha256}
    full, tokenizer = load_served(MODELS / "laptop-aligned")
    small, _ = load_served(MODELS / "laptop-int8")
    texts = [tell_story(story_seed(index, "validation"), 2).text for index in range(4)]
    tokens = [torch.tensor([[tokenizer.end_of_text, *tokenizer.encode(text)]]) for text in texts]
    with torch.no_grad():
        pairs = [(full(each).log_softmax(-1), small(each).log_softmax(-1)) for each in tokens]
    kl = [(ours.exp() * (ours - theirs)).sum(-1).mean().item() for ours, theirs in pairs]
    assert 0 < max(kl) < 1e-3


def test_fewer_bits_cost_little() -> None:
    costs = [FIGURES["smaller"][name]["perplexity_change_fraction"] for name in ("int8", "int4")]
    assert costs[0] <= 0.002 and costs[1] <= 0.03


def test_the_recorded_assistant_reads_and_its_simplest_stories_gain_by_the_reward() -> None:
    asked = FIGURES["questions"]["aligned"]
    assert asked["exact"]["low"] > asked["last_mention"]["high"] + 0.15
    open_by_kind = [each["value"] for each in asked["abstention_by_kind"].values()]
    assert sum(open_by_kind) / len(open_by_kind) >= 0.6
    assert asked["false_abstention"]["value"] <= 0.1
    before, after = (FIGURES["continued"][name] for name in ("assistant", "aligned"))
    assert after["level1"]["low"] > before["level1"]["high"]
    # at levels 2 and 3 no gain is shown (README), and no loss beyond chance
    assert all(after[level]["high"] > before[level]["low"] for level in after)


def test_the_recorded_round_lowers_drifted_bits_and_leaves_old_ones() -> None:
    changes = {name: each["fraction"]["high"] for name, each in FIGURES["changes"].items()}
    assert changes["drifted"] < 0 and changes["old"] <= 0.01


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


def test_the_notebook_tells_the_recorded_round() -> None:
    text = (ROOT / "notebooks" / "15_loop.ipynb").read_text(encoding="utf-8")
    names = ("drifted", "old")
    drifted, old = (-100 * FIGURES["changes"][name]["fraction"]["value"] for name in names)
    told = f"took {drifted:.0f} % of the bits off drifted traffic and {old:.0f} % off the old"
    assert told in text


def test_no_answer_needs_more_room_than_there_is() -> None:
    _, tokenizer = load_model(MODEL)
    stories = [tell_story(seed, level) for level in (1, 2, 3) for seed in range(300)]
    answers = {question.answer for story in stories for question in story.questions}
    assert max(len(tokenizer.encode(f" {answer}")) for answer in answers) + 1 < ANSWER_TOKENS


def test_the_laptop_recipe_is_that_of_the_recorded_model() -> None:
    """Its size follows from rounded constants: a change there must not pick another shape. Where
    the last norm began is the one thing that has changed since, and the record says so."""
    model, _ = load_model(MODEL)
    assert model.config.initial_last_norm == 1 and "last norm that began at 1" in FIGURES["remark"]
    began = laptop().model.initial_last_norm
    assert laptop().model == dataclasses.replace(model.config, initial_last_norm=began)


def test_the_recorded_course_kept_its_bounds() -> None:
    assert FIGURES["model"]["seconds"] <= 600
    # the chapters up to the base model; the whole took 34.4 minutes (README)
    seconds = FIGURES["course"]["seconds"]
    assert sum(each for name, each in seconds.items() if name < "08") <= 20 * 60


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
        "smaller": {
            name: {"bytes": 2, "full_bytes": 7, "perplexity_change_fraction": cost}
            for name, cost in (("int8", 0.001), ("int4", 0.02))
        },
        "changes": {"old": change},
    })  # fmt: skip
    assert "| answers right where the story says it | 50% [25%, 75%] | 75% [25%, 75%] |" in text
    assert "says so where it does not, *why*" in text and "without a contradiction" in text
    assert "+0.10%" in text and "+2.00%" in text and "3.5 times smaller" in text
    assert "old -10.0% [-20.0%, +0.0%]" in text


def test_a_record_asks_stories_of_every_level_that_the_run_holds_out() -> None:
    stories = [tell_story(seed, level) for level in (1, 4) for seed in range(3)]
    assert some_of_each_level(stories) == stories
