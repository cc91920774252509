"""The corpus stage: order, splits, leaks, determinism, missing sources, bad configurations."""

import json
import warnings
from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest

from minillm.core.records import Run, sized
from minillm.corpus import mix, pipeline
from minillm.corpus.contamination import word_runs
from minillm.corpus.duplicates import jaccard, shingles
from minillm.corpus.pipeline import CorpusConfig, apply_steps, make_documents, read_documents, steps
from minillm.corpus.sources import Document, Source
from minillm.corpus.storyworld import tell_story

SMALL = CorpusConfig(stories=(60, 40, 30), held_out_stories=10)
FOUR = CorpusConfig(
    stories=(60, 40, 30, 50), starts=(0.0, 0.1, 0.25, 0.5), held_out_stories=10
)  # fmt: skip


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return Run(name="test", path=tmp_path / "runs" / "test")


def source(name: str, package: str | None = "none") -> Source:
    return Source(
        name=name, package=package, version="1", sha256="0" * 64, files={"en": ""}, kind="book",
        what="", licence="public-domain", attribution="",
    )  # fmt: skip


@pytest.fixture
def fake_sources(monkeypatch: pytest.MonkeyPatch) -> dict[str, list[Document]]:
    """Sources `letters` and `numbers`; a source with no documents here cannot be had."""
    held: dict[str, list[Document]] = {"letters": [], "numbers": []}
    for name in held:
        for number in range(300):
            words = " ".join(f"{name}{number}x{word}" for word in range(20))
            text = f"{words} of the text.\n"
            held[name].append(Document(f"{name}/{number}", text, name, "book", "CC0-1.0", "en"))

    def read(wanted: Source, languages: tuple[str, ...]):
        if not held[wanted.name]:
            raise OSError("pip download nothing: no network")
        return iter(held[wanted.name])

    monkeypatch.setattr(pipeline, "known_sources", lambda: {name: source(name) for name in held})
    monkeypatch.setattr(pipeline, "read_source", read)
    return held


def test_training_documents_come_in_training_order_and_then_validation(run):
    artifact = make_documents(SMALL, run)
    documents = list(read_documents(artifact.path))
    splits = [each.split for each in documents]
    assert splits == sorted(splits), "train before validation"
    train = list(read_documents(artifact.path, "train"))
    places = [mix.training_place(each, SMALL.starts, SMALL.seed) for each in train]
    assert places == sorted(places)
    assert Counter(each.level for each in documents if each.split == "validation") == {
        1: 10, 2: 10, 3: 10,
    }  # fmt: skip
    assert {each.level for each in train[: len(train) // 20]} == {1}
    assert len({each.id for each in documents}) == len(documents)


def test_a_fourth_count_adds_level_4_and_moves_no_other_story(run, tmp_path):
    three = make_documents(SMALL, Run(name="three", path=tmp_path / "runs" / "three"))
    four = make_documents(FOUR, run)
    texts, others = ({d.id: d.text for d in read_documents(each.path)} for each in (four, three))
    assert {name: texts[name] for name in others} == others
    added = [texts[name] for name in texts.keys() - others.keys()]
    wide = [
        tell_story(mix.story_seed(index, split), 4).text
        for split, count in (("train", 50), ("validation", 10)) for index in range(count)
    ]  # fmt: skip
    assert sorted(added) == sorted(wide)
    assert four.figures["num_rejected"] == three.figures["num_rejected"]
    train = list(read_documents(four.path, "train"))
    assert [each.level for each in train].index(4) > len(train) // 4, "level 4 joins at half"
    places = [mix.training_place(each, FOUR.starts, FOUR.seed) for each in train]
    assert places == sorted(places)
    check_no_leak(list(read_documents(four.path)))


def test_figures_and_summary_are_those_of_the_files(run, capsys):
    artifact = make_documents(SMALL, run)
    train = list(read_documents(artifact.path, "train"))
    figures = artifact.figures
    assert figures["num_documents"] == len(train)
    assert figures["num_bytes"] == sum(len(each.text.encode()) for each in train)
    rejected = (artifact.path / "rejected.jsonl").read_text().splitlines()
    assert figures["num_rejected"] == len(rejected) == sum(figures["rejected_by_step"].values())
    assert figures["num_documents"] + len(rejected) == sum(SMALL.stories)
    said = f"documents: {len(train):,} documents, {sized(figures['num_bytes'])} →"
    assert said in capsys.readouterr().out
    first = json.loads(rejected[0]) if rejected else {}
    assert not rejected or set(first) == {"id", "source", "step", "reason", "value", "limit"}


def test_two_runs_are_equal_to_the_byte(run, tmp_path):
    first = make_documents(SMALL, run)
    second = make_documents(SMALL, Run(name="other", path=tmp_path / "runs" / "other"))
    assert first.files == second.files and first.sha256 == second.sha256
    third = make_documents(replace(SMALL, seed=1), Run(name="third", path=tmp_path / "third"))
    assert first.files != third.files


def test_a_finished_artifact_is_used_again(run, monkeypatch):
    first = make_documents(SMALL, run)
    monkeypatch.setattr(pipeline, "write_documents", None)
    assert make_documents(SMALL, run).sha256 == first.sha256


def check_no_leak(documents: list[Document]) -> None:
    held_out = {
        words for each in documents if each.split == "validation" for words in word_runs(each.text)
    }
    assert len(held_out) > 500
    for each in documents:
        assert each.split == "validation" or not held_out & word_runs(each.text)


def test_no_thirteen_words_are_in_both_splits(run):
    config = CorpusConfig(stories=(1500, 300, 200), held_out_stories=40)
    artifact = make_documents(config, run)
    assert artifact.figures["rejected_by_step"]["contamination"] > 10, "there is something to find"
    check_no_leak(list(read_documents(artifact.path)))


def test_splits_without_the_contamination_step_are_seen_to_leak(run, monkeypatch):
    monkeypatch.setattr(pipeline, "drop_contaminated", lambda _held_out: lambda document: document)
    config = CorpusConfig(stories=(1500, 300, 200), held_out_stories=40)
    artifact = make_documents(config, run)
    with pytest.raises(AssertionError):
        check_no_leak(list(read_documents(artifact.path)))


def test_splits_of_the_same_seeds_are_seen_to_leak(run, monkeypatch):
    monkeypatch.setitem(mix.FIRST_SEED, "validation", mix.FIRST_SEED["train"])
    artifact = make_documents(SMALL, run)
    assert artifact.figures["rejected_by_step"]["exact copy"] == 30


def test_no_training_story_is_nearly_a_held_out_one(run):
    artifact = make_documents(CorpusConfig(stories=(500, 0, 0), held_out_stories=20), run)
    train = [shingles(each.text) for each in read_documents(artifact.path, "train")]
    held_out = [shingles(each.text) for each in read_documents(artifact.path, "validation")]
    assert max(jaccard(one, two) for one in train for two in held_out) < 0.5


def test_held_out_stories_do_not_depend_on_the_recipe(run, tmp_path):
    first = make_documents(SMALL, run)
    config = CorpusConfig(stories=(5, 0, 0), held_out_stories=10, seed=7)
    second = make_documents(config, Run(name="other", path=tmp_path / "other"))
    assert [each.text for each in read_documents(first.path, "validation")] == [
        each.text for each in read_documents(second.path, "validation")
    ]


def test_sources_are_read_capped_and_partly_held_out(run, fake_sources):
    config = CorpusConfig(
        stories=(0, 0, 0), held_out_stories=0, sources=("letters", "numbers"),
        max_source_characters=100 * len(fake_sources["letters"][100].text),
        validation_fraction=0.1,
    )  # fmt: skip
    artifact = make_documents(config, run)
    by_source = Counter(each.source for each in read_documents(artifact.path))
    assert 95 <= by_source["letters"] <= 106 and 95 <= by_source["numbers"] <= 106
    held_out = sum(1 for _ in read_documents(artifact.path, "validation"))
    assert 5 <= held_out <= 40


def test_a_missing_source_is_one_warning_and_the_rest_is_used(run, fake_sources, capsys):
    fake_sources["letters"].clear()
    config = CorpusConfig(stories=(3, 0, 0), sources=("letters", "numbers"), held_out_stories=2)
    with pytest.warns(UserWarning) as caught:
        artifact = make_documents(config, run)
    assert len(caught) == 1
    assert "source letters: pip download nothing: no network" in str(caught[0].message)
    assert artifact.figures["missing_sources"] == ["letters"]
    assert artifact.figures["documents_by_source"]["numbers"] > 200
    assert "(without letters)" in capsys.readouterr().out


def test_without_any_source_the_stories_are_left(run, fake_sources):
    for documents in fake_sources.values():
        documents.clear()
    config = CorpusConfig(stories=(20, 0, 0), sources=("letters", "numbers"), held_out_stories=2)
    with pytest.warns(UserWarning):
        artifact = make_documents(config, run)
    assert artifact.figures["documents_by_source"].keys() == {"stories"}


def test_nothing_at_all_is_an_error(run, fake_sources):
    fake_sources["letters"].clear()
    config = CorpusConfig(stories=(0, 0, 0), sources=("letters",))
    with pytest.warns(UserWarning), pytest.raises(ValueError, match="no document is left"):
        make_documents(config, run)
    assert not (run.path / "documents").exists()


def test_a_source_whose_licence_is_not_allowed_is_rejected_whole(run, fake_sources):
    config = CorpusConfig(stories=(3, 0, 0), sources=("letters",), licences=("PSF-2.0",))
    artifact = make_documents(config, run)
    assert artifact.figures["rejected_by_step"]["licence"] == 300
    assert artifact.figures["documents_by_source"].keys() == {"stories"}


def test_the_users_text_takes_the_place_of_sources(run, fake_sources, tmp_path):
    text = "A “line” of text.  \r\n" * 50
    (tmp_path / "mine.txt").write_bytes(text.encode())
    config = CorpusConfig(
        stories=(5, 0, 0), sources=("letters",), text_files=(str(tmp_path / "mine.txt"),)
    )
    artifact = make_documents(config, run)
    documents = list(read_documents(artifact.path))
    assert documents[0].source == "text", "a user's file is read first"
    assert {each.source for each in documents} == {"text", "stories"}
    mine = [each for each in documents if each.source == "text"]
    assert "".join(each.text for each in mine) == text
    num_bytes = len(text.encode())
    assert len(mine[1].text.encode()) == -(-num_bytes // 10)
    assert [each.split for each in mine] == ["train", "validation"]


def test_other_content_of_a_file_is_another_artifact(run, tmp_path):
    path = tmp_path / "mine.txt"
    config = CorpusConfig(stories=(0, 0, 0), held_out_stories=0, text_files=(str(path),))
    path.write_text("one text of some length")
    first = make_documents(config, run)
    path.write_text("another text of some length")
    second = make_documents(config, run)
    assert first.key != second.key
    assert next(read_documents(second.path)).text.startswith("another")


def test_a_bad_file_stops_the_run_before_anything_is_written(run, tmp_path):
    (tmp_path / "bad.txt").write_bytes(b"\x00\x01")
    for name in ("bad.txt", "missing.txt"):
        config = CorpusConfig(stories=(0, 0, 0), text_files=(str(tmp_path / name),))
        with pytest.raises((ValueError, FileNotFoundError), match=name):
            make_documents(config, run)
    assert not run.path.exists()


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stories": (1, 2)}, "stories is"),
        ({"stories": (1, -2, 3)}, "stories is"),
        ({"stories": (0, 0, 0)}, "all empty"),
        ({"stories": ()}, r"stories is \(\); give three counts ≥ 0, of .*1, 2, 3\), or four"),
        ({"stories": (1, 2, 3, 4, 5)}, r"stories is .* 5\); give three counts ≥ 0, .* or four"),
        ({"stories": (1, 2, 3, -4)}, "stories is"),
        ({"starts": (0.0, 0.5, 1.0)}, "starts is"),
        ({"stories": (1, 2, 3, 4)}, r"starts is \(0.0, 0.1, 0.25\); give 4 fractions, .* \(1, 2,"),
        ({"starts": (0.0, 0.1, 0.2, 0.3)}, r"starts is .*; give 3 fractions, 0 ≤ fraction < 1, as"),
        ({"stories": FOUR.stories, "starts": (0.0, 0.1, 0.2, 1.0)}, "starts is"),
        ({"sources": ("wikipedia",)}, "sources has 'wikipedia'; there are encyclopaedia"),
        ({"sources": "plays"}, "sources is 'plays'; give a tuple"),
        ({"languages": "en"}, "languages is 'en'"),
        ({"max_source_characters": 0}, "max_source_characters is 0"),
        ({"validation_fraction": 0.9}, "validation_fraction is 0.9"),
        ({"held_out_stories": -1}, "held_out_stories is -1"),
    ],
)
def test_bad_configurations_name_field_value_and_remedy(fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        CorpusConfig(**({"stories": (1, 0, 0)} | fields))
    assert "give" in str(caught.value) or "there are" in str(caught.value)


def test_every_document_is_kept_or_rejected_once():
    documents = [
        Document(f"d{n}", f"the cat of number {n} " * n, "test", "book", "CC0-1.0", "en")
        for n in range(12)
    ]
    kept, rejected = apply_steps(documents, steps())
    assert Counter([each.id for each in kept] + [each.id for each in rejected]) == Counter(
        each.id for each in documents
    )
    assert apply_steps([], steps()) == ([], [])


def test_the_running_example_belongs_to_no_split():
    assert min(mix.FIRST_SEED.values()) > 7


def test_making_documents_warns_of_nothing_by_itself(run):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        make_documents(SMALL, run)
