"""Recipes are frozen bundles; sizes follow from the brief; an unknown field is named."""

import dataclasses
import gzip
import json
import types
import warnings
from pathlib import Path

import pytest

from minillm import recipes, stages
from minillm.brief import Brief, model_for
from minillm.core.settings import built, with_fields
from minillm.model.transformer import Transformer
from minillm.recipes import laptop, open_run, smoke
from minillm.tailored import recipe_for_text


@pytest.mark.parametrize("make", recipes.RECIPES.values())
def test_a_recipe_survives_json(make) -> None:
    recipe = make()
    assert built(recipes.Recipe, json.loads(json.dumps(dataclasses.asdict(recipe)))) == recipe


def test_fields_are_changed_by_name_and_the_rest_stays() -> None:
    fields = ["training.learning_rate=0.001", "corpus.stories=[5, 0, 0]", "name=tiny"]
    changed = with_fields(smoke(), fields)
    assert changed.training.learning_rate == 0.001
    assert (changed.corpus.stories, changed.name) == ((5, 0, 0), "tiny")
    assert changed.model == smoke().model


def test_a_recipe_of_four_levels_is_set_kept_and_read_again(tmp_path: Path) -> None:
    wide = with_fields(smoke(), [
        "name=wide", "corpus.stories=[5, 0, 0, 7]", "corpus.starts=[0, 0.1, 0.2, 0.5]",
        "corpus.held_out_stories=3", "evaluation.levels=[1, 2, 3, 4]",
    ])  # fmt: skip
    open_run("wide", wide, tmp_path)
    assert open_run("wide", home=tmp_path)[1] == wide
    assert wide.evaluation.levels == (1, 2, 3, 4)
    held_out = stages.held_out_stories(wide.corpus)
    assert [each.level for each in held_out] == [1, 1, 1, 4, 4, 4]


@pytest.mark.parametrize(
    "assignment, message",
    [
        ("training.stepz=3", r"unknown recipe field 'training\.stepz': training has .*max_steps"),
        ("trainin.max_steps=3", r"unknown recipe field 'trainin\.max_steps'"),
        ("colour=red", "unknown recipe field 'colour'"),
        ("training.max_steps=many", "training.max_steps = 'many'"),
        ("model.width=100.5", "model.width = 100.5"),
        ("training.max_steps", "write FIELD=VALUE"),
        ("model.num_heads=3", "must be a multiple of"),
    ],
)
def test_a_wrong_field_or_value_is_named(assignment: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_fields(smoke(), [assignment])


def test_more_minutes_give_a_larger_model_of_the_counted_size() -> None:
    sizes = []
    for minutes in (0.2, 60, 200):
        config = model_for(Brief(minutes=minutes), vocab_size=2048, context_length=128)
        sizes.append(config.num_parameters)
    assert sizes == sorted(set(sizes))
    small = model_for(Brief(minutes=0.2), vocab_size=512, context_length=64)
    assert Transformer(small).num_parameters == small.num_parameters


def test_little_memory_gives_a_smaller_model() -> None:
    ample, scarce = (Brief(minutes=240, memory_gib=memory) for memory in (4.0, 0.1))
    sizes = [model_for(brief, 2048, 128).num_parameters for brief in (ample, scarce)]
    assert sizes[1] < sizes[0] and 16 * sizes[1] <= 0.1 * 2**30 / 2


def test_a_changed_brief_changes_what_follows_from_it() -> None:
    plain = laptop()
    longer = recipes.changed(plain, ["brief.minutes=60", "training.seed=7"])
    assert longer.training.max_minutes == 60 and longer.training.seed == 7
    assert longer.model.num_parameters > plain.model.num_parameters
    stricter = recipes.changed(plain, ['brief.licences=["CC0-1.0"]', 'brief.languages=["fr"]'])
    assert stricter.corpus.licences == ("CC0-1.0",) and stricter.corpus.languages == ("fr",)


def test_a_brief_from_which_sizes_were_cut_already_is_refused(tmp_path: Path) -> None:
    text = tmp_path / "text.txt"
    text.write_text("a b c " * 2000)
    with pytest.raises(ValueError, match="brief.minutes=3.*follow from its own brief already"):
        recipes.changed(recipe_for_text([text], minutes=1), ["brief.minutes=3"])


def test_a_missing_recorded_model_is_replaced_with_a_warning(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smoke_run = types.SimpleNamespace(path=tmp_path / "smoke")
    monkeypatch.setattr(stages, "home_folder", lambda *_: tmp_path)
    monkeypatch.setattr(stages, "reach", lambda *_: smoke_run)
    monkeypatch.setattr(stages, "load_model", lambda folder: folder)
    with pytest.warns(UserWarning, match="the smoke run's takes its place"):
        assert stages.course_model() == smoke_run.path


def test_a_tiny_text_is_said_to_teach_nothing(tmp_path: Path) -> None:
    tiny = tmp_path / "tiny.txt"
    tiny.write_text("hello world")
    with pytest.warns(UserWarning, match="11 bytes teaches a model hardly anything; give 10,000"):
        recipe_for_text([tiny], minutes=1)


def test_a_short_text_gets_a_small_model_and_vocabulary(tmp_path: Path) -> None:
    short, long = tmp_path / "short.txt", tmp_path / "long.txt"
    short.write_text("a b c " * 2000)
    long.write_text("a b c " * 400_000)
    small, large = (recipe_for_text([path], minutes=10) for path in (short, long))
    assert small.model.num_parameters < large.model.num_parameters
    assert small.tokenizer.vocab_size < large.tokenizer.vocab_size
    assert small.corpus.text_files == (str(short),) and small.corpus.stories == (0, 0, 0)


def test_the_size_of_a_packed_text_is_that_of_the_text(tmp_path: Path) -> None:
    plain, packed = tmp_path / "plain.txt", tmp_path / "packed.txt.gz"
    plain.write_text("a b c " * 400_000)
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    assert packed.stat().st_size < 10_000 < 2_000_000 < plain.stat().st_size
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # a text of that size is no tiny one
        recipes = [recipe_for_text([path], minutes=10) for path in (plain, packed)]
    assert recipes[0].tokenizer == recipes[1].tokenizer and recipes[0].model == recipes[1].model


@pytest.mark.parametrize(
    "field, value",
    [("minutes", 0), ("minutes", float("nan")), ("memory_gib", -1), ("languages", ())],
)
def test_an_impossible_brief_is_refused(field: str, value: object) -> None:
    with pytest.raises(ValueError, match=field):
        Brief(**{field: value})


def test_a_run_keeps_its_recipe(tmp_path: Path) -> None:
    changed = with_fields(smoke(), ["training.max_steps=7"])
    open_run("mine", recipe=changed, home=tmp_path)
    run, found = open_run("mine", home=tmp_path)
    assert found == changed and run.path == tmp_path / "runs" / "mine"
    assert open_run("other", home=tmp_path)[1] == smoke()
    assert open_run("laptop", home=tmp_path)[1] == laptop()


@pytest.mark.parametrize("name", ["../up", "a/b", ".hidden", "a:b"])
def test_a_run_name_is_a_plain_folder_name(name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="plain folder name"):
        open_run(name, home=tmp_path)


def test_a_broken_recipe_file_is_named(tmp_path: Path) -> None:
    run, _ = open_run("broken", home=tmp_path)
    (run.path / "recipe.json").write_text("{")
    with pytest.raises(ValueError, match=r"recipe\.json: not a recipe"):
        open_run("broken", home=tmp_path)


def test_an_unknown_run_lists_the_runs_there_are(tmp_path: Path) -> None:
    open_run("here", home=tmp_path)
    with pytest.raises(FileNotFoundError, match="no run 'gone'.*here"):
        recipes.existing_run("gone", tmp_path)
    with pytest.raises(FileNotFoundError, match="no run has succeeded yet"):
        recipes.existing_run(None, tmp_path)
