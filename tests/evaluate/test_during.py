"""A run of a recipe logs its bits by source always, and probes and leaks where it is asked to."""

import dataclasses
import warnings
from collections.abc import Sequence
from pathlib import Path

import pytest

from minillm.batches.shards import open_shards
from minillm.core.records import Artifact, Run, read_json_lines
from minillm.core.settings import with_fields
from minillm.corpus.pipeline import read_documents
from minillm.corpus.storyworld import tell_story
from minillm.evaluate.during import ProbeConfig, leak_watch, probes_for
from minillm.evaluate.items import EvaluateConfig, evaluation_stories
from minillm.evaluate.leaks import planted
from minillm.model.loss import bits_per_byte
from minillm.recipes import Recipe, changed, open_run, smoke
from minillm.stages import reach
from minillm.tailored import with_user_text
from minillm.train.checkpoint import load_model
from minillm.train.loop import evaluation_is_due
from minillm.train.schedule import TrainingConfig, TrainState, fraction_done, num_evaluations
from minillm.train.trainer import LOG
from tests.evaluate.fakes import story_tokenizer

TOKENIZER = story_tokenizer()
SMALL = [
    "name=small", "corpus.stories=[150, 0, 0]", "corpus.held_out_stories=4",
    "tokenizer.vocab_size=400", "batches.context_length=224", "batches.batch_size=4",
    "model.vocab_size=400", "model.width=48", "model.num_layers=2", "model.num_heads=4",
    "model.num_kv_heads=2", "model.ffn_width=96", "model.context_length=224",
    "model.initial_std=0.09", "training.max_steps=6", "training.evaluate_every_steps=2",
    "training.checkpoint_every_steps=2", "training.precision=float32", "sampling.count=1",
    "evaluation.stories=12", "evaluation.levels=[1]",
]  # fmt: skip
ASKED = [
    "probes.stories=4", "probes.levels=[1]", 'probes.prompts=["It was a"]', "probes.leaks=true",
]  # fmt: skip


pytestmark = pytest.mark.usefixtures("one_thread")


def small(*changes: str) -> Recipe:
    return with_fields(smoke(), [*SMALL, *changes])


def trained(home: Path, recipe: Recipe) -> tuple[Run, Artifact, list[dict]]:
    """The recipe's model, and what its evaluations logged."""
    run, recipe = open_run("small", recipe, home)
    artifact = reach(run, recipe, "model")
    lines = [line for line in read_json_lines(run.path / LOG) if line["event"] == "evaluation"]
    return run, artifact, lines


@pytest.fixture(scope="module")
def poem(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "poem.txt"
    path.write_text("".join(f"Day {n}: the fox met {n % 7} hens in the rain.\n" for n in range(99)))
    return path


@pytest.fixture(scope="module")
def asked(poem: Path, one_thread: None, tmp_path_factory: pytest.TempPathFactory) -> tuple:
    recipe = with_user_text(small(*ASKED), [poem])
    return trained(tmp_path_factory.mktemp("asked"), recipe)


def test_every_evaluation_has_the_bits_of_each_source_and_they_are_the_losses(asked) -> None:
    run, artifact, lines = asked
    assert [line["step"] for line in lines] == [2, 4, 6]
    model, _ = load_model(artifact.path)
    shards = open_shards(run.artifact("shards").path, "validation")
    held_out = list(read_documents(run.artifact("documents").path, "validation"))
    assert {each.source for each in held_out} == {"stories", "text"}
    expected = {"bits_per_byte": range(len(held_out))} | {
        f"bits_per_byte/{source}": [i for i, each in enumerate(held_out) if each.source == source]
        for source in ("stories", "text")
    }
    for name, indices in expected.items():
        documents = [shards.document(index) for index in indices]
        num_bytes = sum(len(held_out[index].text.encode()) for index in indices)
        bits = bits_per_byte(model, documents, num_bytes, 224)
        assert lines[-1][name] == artifact.figures[name] == pytest.approx(bits, rel=1e-5)
    found = {name for name in lines[0] if name.startswith("bits_per_byte")}
    assert found == set(expected)


def test_probes_and_leaks_are_in_the_log_and_texts_there_alone(asked) -> None:
    _, artifact, lines = asked
    for line in lines:
        assert {"pairs/all", "questions/who", "leak/bits", "leak/low", "leak/alarm"} <= set(line)
        opening = tell_story(450_000, 1).opening
        assert line["text/1"].startswith(opening) and line["text/2"].startswith("It was a")
        assert len(line["text/2"]) > len("It was a") and "text/3" not in line
    assert lines[0]["text/1"] != lines[-1]["text/1"], "another age, another text"
    assert {"pairs/all", "leak/low"} <= set(artifact.figures)
    assert [name for name in artifact.figures if name.startswith("text/")] == []
    assert all(isinstance(each, (int, float)) for each in artifact.figures.values())


def test_what_is_off_is_not_asked_and_changes_neither_weights_nor_identity(
    poem: Path, asked, tmp_path: Path
) -> None:
    _, looked_at, _ = asked
    recipe = with_user_text(small(), [poem])
    _, plain, lines = trained(tmp_path / "plain", recipe)
    names = {name.partition("/")[0] for line in lines for name in line}
    assert names.isdisjoint({"pairs", "questions", "leak", "text"})
    weights = [each.path / "model.safetensors" for each in (plain, looked_at)]
    assert weights[0].read_bytes() == weights[1].read_bytes(), "a look changes nothing"
    assert "probes" not in plain.config["evaluation"] and plain.key != looked_at.key
    unread = dataclasses.replace(recipe, probes=ProbeConfig(levels=(2,), seed=7))
    assert trained(tmp_path / "plain", unread)[1].key == plain.key, "off is off"


def test_killed_and_resumed_the_looks_are_those_of_an_unbroken_run(
    poem: Path, asked, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, unbroken, expected = asked
    recipe, num_looks = with_user_text(small(*ASKED), [poem]), []

    class Killed(BaseException):
        """Stands for a death of the process: nothing catches it."""

    def dies(*given: object) -> dict:
        num_looks.append(given)
        if len(num_looks) == 2:
            raise Killed
        return {}

    with monkeypatch.context() as patch:
        patch.setattr("minillm.stages.probe", dies)
        with pytest.raises(Killed):
            trained(tmp_path, recipe)
    _, artifact, lines = trained(tmp_path, recipe)
    weights = [each.path / "model.safetensors" for each in (artifact, unbroken)]
    assert weights[0].read_bytes() == weights[1].read_bytes()
    assert [line["step"] for line in lines] == [2, 4, 6]
    named = [{k: v for k, v in line.items() if not k.startswith("level")} for line in expected]
    assert lines[1:] == expected[1:] and lines[0] == named[0]


def leaking(home: Path, texts: Sequence[str]) -> tuple[list[dict], list[str]]:
    """A run that reads these texts too, as a file of its user; what it logs, and what it says."""
    home.mkdir()
    path = home / "texts.txt"
    path.write_text("\n\n".join(texts) + "\n\n" + "The end came slowly, as it does. " * 400)
    longer = ["training.max_steps=120", "training.evaluate_every_steps=30",
              "training.learning_rate=0.012", "probes.leaks=true"]  # fmt: skip
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        _, _, lines = trained(home, with_user_text(small(*longer), [path]))
    return lines, [str(each.message) for each in said if "leak:" in str(each.message)]


@pytest.mark.parametrize("is_leaked", [True, False])
def test_an_exam_in_the_text_is_seen_before_the_run_ends(tmp_path: Path, is_leaked: bool) -> None:
    exam = [each.text for each in evaluation_stories(EvaluateConfig(stories=12, levels=(1,)))]
    others = [tell_story(5000 + index, 1).text for index in range(12)]
    lines, said = leaking(tmp_path / "home", planted([], exam if is_leaked else others, 6, seed=0))
    assert [line["step"] for line in lines] == [30, 60, 90, 120]
    assert lines[-1]["leak/alarm"] == is_leaked and (lines[-1]["leak/low"] > 0) == is_leaked
    assert any(line["leak/alarm"] for line in lines[:-1]) == is_leaked
    assert len(said) == is_leaked
    if is_leaked:
        assert "the exam's stories are easier than fresh ones by" in said[0]


@pytest.mark.parametrize(
    "fields",
    [
        {"max_steps": 100, "evaluate_every_steps": 30},
        {"max_steps": 120, "evaluate_every_steps": 60},
        {"max_steps": 5, "evaluate_every_steps": 60},
        {"max_steps": 7, "evaluate_every_steps": 1},
        {"max_steps": 7},
        {"max_steps": 100, "evaluate_every_fraction": 0.25},
        {"max_steps": 100, "evaluate_every_fraction": 0.3},
        {"max_steps": 97, "evaluate_every_fraction": 0.1, "evaluate_every_steps": 2},
        {"max_minutes": 1.0, "evaluate_every_fraction": 0.25},
    ],
)
def test_the_looks_that_are_planned_are_those_of_the_loop(fields: dict) -> None:
    training, state, count = TrainingConfig(**fields), TrainState(), 1
    while (before := fraction_done(state, training)) < 1:
        state.step, state.elapsed_s = state.step + 1, state.elapsed_s + 0.1
        count += evaluation_is_due(state, training, before)
    assert num_evaluations(training) == count


def test_looks_that_nobody_can_count_are_refused() -> None:
    training = TrainingConfig(max_minutes=1.0, evaluate_every_steps=10)
    assert num_evaluations(training) is None
    with pytest.raises(ValueError, match="evaluate_every_steps = 10 .*give evaluate_every_fracti"):
        leak_watch(ProbeConfig(leaks=True), EvaluateConfig(), training, TOKENIZER)
    clock = [
        "training.max_steps=null", "training.max_minutes=1", "training.evaluate_every_steps=10",
        "probes.leaks=true",
    ]  # fmt: skip
    with pytest.raises(ValueError, match="evaluate_every_steps = 10 .*give evaluate_every_fracti"):
        changed(smoke(), clock)  # before anything is made
    assert changed(smoke(), [*clock, "training.evaluate_every_fraction=0.5"]).probes.leaks


def test_twins_are_fresh_as_many_and_of_the_suspects_levels() -> None:
    exam = EvaluateConfig(stories=5, levels=(1, 3))
    watch = leak_watch(ProbeConfig(), exam, TrainingConfig(max_steps=1), TOKENIZER)
    assert watch.suspects == tuple(each.text for each in evaluation_stories(exam))
    levels = [1] * 5 + [3] * 5
    seeds = [475_000 + index for index in range(5)] * 2
    twins = tuple(tell_story(seed, level).text for seed, level in zip(seeds, levels, strict=True))
    assert watch.twins == twins and set(watch.twins).isdisjoint(watch.suspects)


def test_probes_have_stories_of_their_own() -> None:
    probes = probes_for(ProbeConfig(stories=6), TOKENIZER, 320)
    exam = {each.text for each in evaluation_stories(EvaluateConfig(stories=50))}
    asked = {each.text for each in probes.items.stories}
    assert len(asked) == 12 and asked.isdisjoint(exam)
    assert probes.openings == tuple(tell_story(450_000, level).opening for level in (1, 2))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stories": -1}, "stories = -1: must be at least 0"),
        ({"stories": 1}, "stories = 1: one pair has no interval; give at least 2"),
        ({"prompts": ("It was", "")}, "prompts = .*: an empty one asks nothing"),
        ({"levels": (9,)}, r"levels = \(9,\): choose some of"),
        ({"alarm_rate": 0.5}, "alarm_rate = 0.5: must lie between 0 and .5"),
    ],
)
def test_a_bad_field_is_named(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ProbeConfig(**fields)


def test_a_prompt_without_room_to_go_on_is_refused() -> None:
    with pytest.raises(ValueError, match="prompts: 'very very .* context of 32 tokens"):
        probes_for(ProbeConfig(prompts=("It was", "very " * 40)), TOKENIZER, 32)
    probes = probes_for(ProbeConfig(prompts=("It was",)), TOKENIZER, 32)
    assert probes.openings == ("It was",) and probes.items.stories == ()


def test_stories_that_never_fit_are_refused() -> None:
    with pytest.raises(ValueError, match=r"levels = \(2,\): 0 of 3 stories fit .* give both"):
        probes_for(ProbeConfig(stories=3, levels=(2,)), TOKENIZER, 32)
