"""The second round: what is mixed, what is refused, and a loop that does not feed on itself."""

import dataclasses
import json
from pathlib import Path

import pytest
import torch

from minillm.core.lineage import artifact_with, depths, lineage
from minillm.core.promotion import MODEL_KINDS, promote, served_before, served_model
from minillm.core.records import Artifact, Run, make_artifact
from minillm.evaluate.card import Card, proportion
from minillm.evaluate.intervals import Estimate
from minillm.monitor.replay import SecondConfig, conversation, mixed, new_examples, whole_text
from minillm.monitor.second import read_scores, reasons_against
from minillm.monitor.slices import SliceChange
from minillm.recipes import open_run, smoke
from minillm.stages import STAGES
from minillm.train.schedule import TrainingConfig
from tests.evaluate.fakes import story_tokenizer

TOKENIZER = story_tokenizer()


def estimate(low: float, value: float, high: float) -> Estimate:
    return Estimate(value, low, high, 20)


def change(drifted: tuple[float, float, float], old: tuple[float, float, float]) -> dict:
    none = estimate(0, 0, 0)
    return {
        "drifted": SliceChange(estimate(*drifted), none, none),
        "old": SliceChange(none, estimate(*old), none),
    }


def card(kind: str, right: int) -> Card:
    items = {str(at): at < right for at in range(40)}
    figures = {"questions/exact": proportion(items, "right", guard="always")}
    return Card(kind=kind, sha256="", form="chat", figures=figures)


BETTER, KEPT = (-0.3, -0.2, -0.1), (-0.001, 0.002, 0.02)


def test_better_where_it_moved_and_not_worse_elsewhere_is_promoted() -> None:
    found = reasons_against(card("second", 30), card("aligned", 30), change(BETTER, KEPT), CONFIG)
    assert found == []


@pytest.mark.parametrize(
    ("right", "drifted", "old", "words"),
    [
        (30, (-0.3, -0.1, 0.01), KEPT, "drifted traffic"),
        (30, BETTER, (0.0, 0.011, 0.02), "old traffic"),
        (5, BETTER, KEPT, "questions/exact"),
    ],
)
def test_each_rule_alone_refuses_and_says_why(
    right: int, drifted: tuple, old: tuple, words: str
) -> None:
    changes = change(drifted, old)
    (reason,) = reasons_against(card("second", right), card("aligned", 30), changes, CONFIG)
    assert reason.startswith(words)


CONFIG = SecondConfig()


def test_of_a_text_everything_is_learnt_and_of_a_conversation_the_reply() -> None:
    text = whole_text("Ella ran.", TOKENIZER)
    assert text.is_said == (False, *[True] * (len(text.tokens) - 1))
    assert text.tokens[0] == text.tokens[-1] == TOKENIZER.end_of_text
    chat = conversation("Who ran?", "Ella.", TOKENIZER)
    said = [token for token, is_said in zip(chat.tokens, chat.is_said, strict=True) if is_said]
    assert TOKENIZER.decode(said[:-1]) == " Ella." and len(chat.tokens) > len(said)


def test_a_mix_holds_everything_that_fits_in_an_order_that_repeats() -> None:
    new = new_examples(["Ella ran."] * 2, [("Who?", "Ella.")] * 3, TOKENIZER)
    old = [whole_text(f"Adam had {number}.", TOKENIZER) for number in range(4)]
    long = whole_text("Ella ran. " * 200, TOKENIZER)
    found = mixed(new, [*old, long], CONFIG.batches)
    assert sorted(found, key=str) == sorted([*new, *old], key=str)
    assert found == mixed(new, [*old, long], CONFIG.batches) != [*new, *old]
    assert mixed([], [], CONFIG.batches) == []


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"replay_per_new": -1.0}, "replay_per_new = -1.0: must be at least 0"),
        ({"replay_conversations": 1.5}, "replay_conversations = 1.5: is a share"),
        ({"beta": 0.0}, "beta = 0.0: must be above 0"),
        (
            {"training": TrainingConfig(max_steps=1, recompute=True)},
            "training.recompute = True: it would do nothing in this stage",
        ),
    ],
)
def test_bad_settings_name_the_remedy(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        SecondConfig(**fields)


def made(run: Run, kind: str, parents: tuple[Artifact, ...] = (), content: str = "x") -> Artifact:
    def write(folder: Path) -> dict:
        (folder / "file.txt").write_text(content)
        return {}

    return make_artifact(
        run, kind, config={"content": content}, parents=parents, code=(), write=write,
        summary=lambda _: kind,
    )  # fmt: skip


def whole_round(home: Path) -> Run:
    """A run's artifacts with the parents that the stages give them."""
    run = Run(name="r", path=home / "r")
    documents = made(run, "documents")
    tokenizer = made(run, "tokenizer", (documents,))
    model = made(run, "model", (tokenizer,))
    assistant = made(run, "assistant", (model, documents))
    aligned = made(run, "aligned", (assistant,))
    promote(run, assistant)  # the aligned one was refused
    traffic = made(run, "traffic", (assistant,))
    drift = made(run, "drift", (traffic,))
    feedback = made(run, "feedback", (traffic, drift, documents))
    second = made(run, "second", (assistant, feedback, documents))
    made(run, "quantized", (aligned,))
    promote(run, second)
    return run


def test_the_walk_from_the_second_model_meets_each_ancestor_once_children_first(
    tmp_path: Path,
) -> None:
    run = whole_round(tmp_path)
    links = lineage(run, STAGES, served_model(run).kind)
    kinds = [link["kind"] for link in links]
    assert kinds == [
        "second", "feedback", "drift", "traffic", "assistant", "model", "tokenizer", "documents",
    ]  # fmt: skip
    assert all(link["state"] == "intact" for link in links)
    assert list(depths(run, links).values()) == [0, 1, 2, 3, 4, 5, 6, 7]


@pytest.mark.parametrize(
    "kind", ["second", "feedback", "drift", "traffic", "assistant", "model", "documents"]
)
def test_whichever_file_on_the_way_is_altered_it_is_named(tmp_path: Path, kind: str) -> None:
    run = whole_round(tmp_path)
    (run.path / kind / "file.txt").write_text("y")
    broken = [each for each in lineage(run, STAGES, "second") if each["state"] != "intact"]
    assert [each["kind"] for each in broken] == [kind] and "file.txt" in broken[0]["state"]


def test_what_is_no_ancestor_may_be_altered_without_breaking_the_walk(tmp_path: Path) -> None:
    run = whole_round(tmp_path)
    (run.path / "quantized" / "file.txt").write_text("y")
    assert all(link["state"] == "intact" for link in lineage(run, STAGES, "second"))


def test_a_walk_goes_on_past_a_broken_manifest(tmp_path: Path) -> None:
    run = whole_round(tmp_path)
    (run.path / "feedback" / "manifest.json").write_text("{")
    states = {link["kind"]: link["state"] for link in lineage(run, STAGES, "second")}
    assert "cannot be read" in states["second"] and "not a manifest" in states["feedback"]
    assert states["documents"] == "intact"


def test_an_artifact_is_found_by_its_hash_and_none_that_is_gone(tmp_path: Path) -> None:
    run = whole_round(tmp_path)
    assistant = run.artifact("assistant")
    assert artifact_with(run, MODEL_KINDS, assistant.sha256).kind == "assistant"
    made(run, "assistant", content="other")
    assert artifact_with(run, MODEL_KINDS, assistant.sha256) is None


def test_the_model_before_the_second_is_its_parent_not_the_newest(tmp_path: Path) -> None:
    run = whole_round(tmp_path)
    assert served_model(run).kind == "second"
    assert served_before(run).kind == "assistant"
    promote(run, run.artifact("aligned"))
    assert served_before(run).kind == "aligned"
    (run.path / "promoted.json").unlink()
    assert served_before(run).kind == "aligned"


@pytest.fixture(scope="module")
def looped(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Artifact, SecondConfig]:
    """A tiny run that has gone round once, from an untrained model."""
    from minillm.corpus.pipeline import CorpusConfig, make_documents
    from minillm.evaluate.items import EvaluateConfig
    from minillm.model.transformer import ModelConfig, Transformer
    from minillm.monitor.feedback import FeedbackConfig, feedback
    from minillm.monitor.second import second
    from minillm.monitor.traffic import traffic
    from minillm.monitor.watch import monitor
    from minillm.train.checkpoint import save_model
    from tests.monitor.test_traffic import SCRIPT, WATCH

    run, _ = open_run("tiny", home=tmp_path_factory.mktemp("home"))
    documents = make_documents(
        CorpusConfig(stories=(40, 0, 0), held_out_stories=6), run
    )
    shape = ModelConfig(
        vocab_size=TOKENIZER.vocab_size, width=32, num_layers=1, num_heads=2, num_kv_heads=1,
        ffn_width=32, context_length=320,
    )  # fmt: skip
    torch.manual_seed(0)

    def write(folder: Path) -> dict:
        save_model(Transformer(shape), TOKENIZER, folder)
        return {}

    make_artifact(
        run, "model", config={}, parents=(documents,), code=(), write=write,
        summary=lambda _: "untrained",
    )  # fmt: skip
    traffic(SCRIPT, run)
    monitor(WATCH, run)
    protected = EvaluateConfig(stories=4, levels=(1,))
    feedback(FeedbackConfig(slice_stories=6, protected=protected), run)
    config = dataclasses.replace(
        CONFIG, training=TrainingConfig(max_steps=6, learning_rate=1e-2, precision="float32"),
        pair_steps=2, pair_batch_size=2,
        evaluation=EvaluateConfig(
            stories=2, levels=(1,), sampled_stories=2, documents=4, attacks=2
        ),
    )
    return run, second(config, run), config


def test_a_round_learns_keeps_its_scores_and_promotes_by_its_verdict(
    looped: tuple[Run, Artifact, SecondConfig],
) -> None:
    run, child, _ = looped
    before, after = (read_scores(child.path, part) for part in ("before", "after"))
    # from an untrained model anything learnt is a gain: measured −20 % on both slices
    for name in ("old", "drifted"):
        assert after[name].bits_per_byte < before[name].bits_per_byte
    content = json.loads((child.path / "changes.json").read_text(encoding="utf-8"))
    assert content["changes"]["drifted"]["bits_per_byte"]["high"] < 0
    is_promoted = json.loads((run.path / "promoted.json").read_text())["kind"] == "second"
    assert is_promoted == (not content["reasons"])
    assert set(child.parents) == {"model", "feedback", "documents"}


def test_a_finished_round_stays_finished(looped: tuple[Run, Artifact, SecondConfig]) -> None:
    from minillm.monitor.second import second
    from minillm.monitor.traffic import traffic
    from tests.monitor.test_traffic import SCRIPT

    run, child, config = looped
    log = run.artifact("traffic").sha256
    promote(run, child)
    assert traffic(SCRIPT, run).sha256 == log and second(config, run).sha256 == child.sha256
    assert served_before(run).kind == "model"


def test_the_verb_walks_from_the_served_model_and_from_one_reply(
    looped: tuple[Run, Artifact, SecondConfig], capsys: pytest.CaptureFixture
) -> None:
    from minillm.__main__ import main
    from minillm.monitor.requests import read_requests

    run, child, _ = looped
    promote(run, child)
    place = ["lineage", "--run", run.name, "--home", str(run.path.parent.parent)]
    assert main(place) == 0
    said = capsys.readouterr().out
    assert said.startswith("second: ") and "feedback: " in said and "documents: " in said
    reply = read_requests(run.path / "traffic" / "requests.sqlite")[0].id
    assert main([*place, "--reply", reply, "--json"]) == 0
    captured = capsys.readouterr()
    kinds = [link["kind"] for link in json.loads(captured.out)["links"]]
    assert kinds == ["model", "documents"] and f"{reply}: answered by model" in captured.err
    assert main([*place, "--reply", "nobody"]) == 1
    assert "no request 'nobody'" in capsys.readouterr().err
    path = run.path / "feedback" / "pairs.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b"\n")
    assert main(place) == 1 and "ALTERED" in capsys.readouterr().out
    path.write_bytes(whole)


def test_the_recipes_protect_as_many_stories_as_they_ask() -> None:
    recipe = smoke()
    assert recipe.feedback.protected.stories >= recipe.second.evaluation.stories
    assert set(recipe.feedback.protected.levels) >= set(recipe.evaluation.levels)
