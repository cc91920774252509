"""The verb `corpus`: its actions, their figures, and what they refuse in one line."""

import argparse
import json
import re
from collections import Counter
from pathlib import Path
from typing import get_args

import pytest

from minillm.__main__ import main, parser
from minillm.core.records import Run, make_artifact
from minillm.corpus import report
from minillm.corpus.dirty.copies import PassageWay
from minillm.corpus.dirty.crawl import CRAWL, FILES, TRUTH
from minillm.corpus.dirty.passages import PAGES_A_GROUP, make_passage_pages
from minillm.corpus.dirty.real import real_texts
from minillm.corpus.pipeline import LICENCES
from minillm.corpus.scores import Row
from minillm.recipes import RECIPES
from minillm.verbs.arguments import RECIPE_NAMES
from minillm.verbs.cleaning import CLEAN
from minillm.verbs.corpus import ACTIONS, DIRTY, REPORT

HERE = Path(__file__).parent


def test_dirty_writes_a_crawl_and_its_truth(tmp_path, capsys):
    words = ["corpus", "dirty", "--seed", "3", "--pages", "50", "--out", str(tmp_path), "--json"]
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out)
    # 2 behind robots.txt, 6 that share passages, 5 of real text, 1 that quotes
    assert figures["pages"] == 64 and figures["should_go"] > 5
    assert len(list((tmp_path / FILES).iterdir())) == figures["files"] == 10
    assert (tmp_path / CRAWL).stat().st_size == figures["bytes"]
    assert len((tmp_path / TRUTH).read_text(encoding="utf-8").splitlines()) == 64


def test_report_prints_one_table_and_gives_its_figures(capsys, tmp_path):
    kept = tmp_path / "report.json"
    words = ["corpus", "report", "--seed", "4", "--pages", "400", "--json", "--out", str(kept)]
    code = main(words)
    printed = capsys.readouterr()
    figures = json.loads(printed.out)
    recorded = json.loads(kept.read_text(encoding="utf-8"))
    assert recorded["figures"] == figures and recorded["command"] == "minillm corpus report --json"
    missed = [name for name, row in figures["rows"].items() if row["reached"] is False]
    assert figures["missed"] == missed and code == (1 if missed else 0)
    assert figures["pages"] == 400 and figures["seed"] == 4
    assert all(name in printed.err for name in figures["rows"])
    assert "A row without a bar is a finding" in printed.err
    assert ("the bars are meant for 2,000 pages" in printed.err) == bool(missed)


def test_bars_missed_by_the_size_of_the_sample_are_told_apart(monkeypatch, capsys):
    rows = [Row("copies", 3, {"F1": 0.5}, {"F1": 0.97}), Row("free", 3, {"kept": 0.1})]
    rows += [Row("leaks: x, pages", 3, {"recall": 0.5}, {"recall": 1})]
    monkeypatch.setattr(report, "corpus_report", lambda *_: rows)
    few = "the bars are meant for 2,000 pages: among fewer"
    for num_pages, is_said in ((128, True), (1999, True), (2000, False)):
        assert main(["corpus", "report", "--pages", str(num_pages)]) == 1
        printed = capsys.readouterr().out
        assert "bars not reached: copies; leaks: x, pages\n" in printed
        assert (few in printed) == is_said
    rows[:] = [Row("copies", 3, {"F1": 1.0}, {"F1": 0.97})]
    assert main(["corpus", "report", "--pages", "128"]) == 0
    printed = capsys.readouterr().out
    assert few not in printed and printed.endswith(" s: every bar is reached\n")


@pytest.mark.parametrize("is_missed", [False, True])
def test_a_bar_with_nothing_to_measure_is_not_called_reached(is_missed, monkeypatch, capsys):
    rows = [Row("none planted", 0, {"recall": 0.0}, {"recall": 1.0})]
    rows += [Row("copies", 3, {"F1": 0.5 if is_missed else 1.0}, {"F1": 0.97})]
    monkeypatch.setattr(report, "corpus_report", lambda *_: rows)
    assert main(["corpus", "report", "--pages", "200"]) == is_missed
    printed = capsys.readouterr().out
    others = "bars not reached: copies" if is_missed else "the others are reached"
    assert f" s: bars with nothing to measure: none planted; {others}\n" in printed
    assert printed.endswith(f"{report.FEW_PAGES}\n")
    assert main(["corpus", "report", "--pages", "200", "--json"]) == is_missed
    figures = json.loads(capsys.readouterr().out)
    assert figures["unmeasured"] == ["none planted"]
    assert figures["missed"] == (["copies"] if is_missed else [])


def test_the_smallest_web_has_every_way_to_share_a_passage():
    pages = make_passage_pages(report.MIN_PAGES // report.PAGES_A_PASSAGE)
    ways = Counter(page.passage.way for page in pages)
    assert ways == dict.fromkeys(get_args(PassageWay), PAGES_A_GROUP)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dirty"], "--out is missing"),
        (["dirty", "--out", "x", "--pages", "0"], "at least 1"),
        (["dirty", "--out", "x", "--run", "mine"], "--run: the dirty web belongs to no run"),
        (["dirty", "--out", str(HERE)], "/verbs: exists and holds other things; choose"),
        (["report", "--out", "."], "is a folder; name the file"),
        (["report", "--out", __file__], "test_corpus_verb.py: keeps no figures of ours"),
        (["report", "--out", f"{__file__}/x.json"], "test_corpus_verb.py is a file; give"),
        (["report", "--pages", "127"], "give a report at least 128"),
        (["report", "--set", "a=1"], "--set: the dirty web"),
        (["--seed", "3"], "--seed: only"),
        (["--pages", "3"], "--pages: only"),
    ],
)
def test_what_cannot_be_heeded_is_refused_in_one_line(words, said, capsys):
    assert main(["corpus", *words]) == 1
    lines = capsys.readouterr().err.strip().splitlines()
    assert len(lines) == 1 and said in lines[0]
    action = "" if words[0].startswith("--") else f" {words[0]}"
    assert lines[0].startswith(f"minillm corpus{action}: ")


@pytest.mark.parametrize("name", ["file", "file/below"])
@pytest.mark.parametrize("words", [["corpus", "dirty"], ["tokenizer", "--text", "file"]])
def test_a_file_in_the_place_of_the_folder_is_named(words, name, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file").write_text("some words " * 50)
    assert main([*words, "--out", name]) == 1
    said = capsys.readouterr().err
    assert f": --out {name}: " in said
    assert said.endswith("file is a file; give the name of a folder\n")
    assert (tmp_path / "file").read_text() == "some words " * 50


def helped(capsys, *words: str) -> str:
    with pytest.raises(SystemExit) as ended:
        main([*words, "--help"])
    assert ended.value.code == 0
    return capsys.readouterr().out


def test_the_help_says_how_many_pages_of_real_text_there_are_at_most(capsys):
    said = " ".join(helped(capsys, "corpus", "report").split())
    assert f"a tenth as many, {len(real_texts())} at most, of real text" in said


def test_the_help_of_clean_names_the_licences_allowed_by_default_as_the_readme_does(capsys):
    said = " ".join(helped(capsys, "corpus", "clean").split())
    readme = " ".join((HERE.parents[1] / "README.md").read_text(encoding="utf-8").split())
    assert f"The course's own list of licences: {', '.join(LICENCES)}." in said
    assert f"the course's own list may be used: {', '.join(LICENCES)}." in readme


def options_of(parser: argparse.ArgumentParser) -> list[argparse.Action]:
    return [each for each in parser._actions if each.option_strings and each.dest != "help"]


def test_the_help_of_an_action_names_what_it_heeds_and_no_more(capsys, tmp_path):
    """Each option of the verb is in an action's help, or the action refuses it."""
    whole = parser().parse_args(["corpus"]).parser
    said = helped(capsys, "corpus")
    assert all(name in said for each in options_of(whole) for name in each.option_strings)
    values = {"pages": "200", "seed": "1", "workers": "2", "shards": "2", "set": "a=1"}
    num_refused = Counter()
    for action in ACTIONS:
        own = helped(capsys, "corpus", action)
        assert own.startswith(f"usage: minillm corpus {action} ")
        for each in options_of(whole):
            name = each.option_strings[0]
            if re.search(rf"^  {name}\b", own, re.MULTILINE):
                continue
            words = [] if each.nargs == 0 else [values.get(each.dest, str(tmp_path))]
            assert main(["corpus", action, name, *words]) == 1
            assert f": {name}: " in capsys.readouterr().err, (action, name)
            num_refused[action] += 1
    assert num_refused == {DIRTY: 14, REPORT: 14, CLEAN: 7}


def test_the_stage_says_what_is_trained_on_and_what_is_held_out(capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    lines = [json.dumps({"text": f"Day {day}: the fox met a hen."}) for day in range(100, 160)]
    Path("days.jsonl").write_text("\n".join((*lines, "no json")))
    for words, place in ((["--home", "here"], "here/runs"), ([], "runs")):
        assert main(["corpus", "--run", "mine", "--text", "days.jsonl", *words]) == 0
        assert capsys.readouterr().out == (
            "documents: 54 documents (1.5 kB) to train on, 6 documents (168 bytes) held out to "
            f"test with, 1 rejected → {place}/mine/documents\n"
        )
        assert Path(place, "mine", "documents", "documents.jsonl").is_file()
    assert main(["tokenizer", "--run", "mine", "--home", "here"]) == 0
    said = [line.partition(" → ")[2] for line in capsys.readouterr().out.splitlines()]
    assert said == ["here/runs/mine/documents", "here/runs/mine/tokenizer"]


TALE = "some words and others " * 50


def test_a_recipe_is_refused_by_its_name_alone(capsys):
    assert RECIPE_NAMES == tuple(RECIPES)
    assert main(["corpus", "--recipe", "nope"]) == 1
    said = capsys.readouterr().err
    assert said == "minillm corpus: recipe = 'nope': choose one of smoke, laptop\n"


def test_what_takes_the_place_of_a_model_s_documents_is_said_before(capsys, tmp_path):
    (tmp_path / "tale.txt").write_text(TALE)
    (tmp_path / "other.txt").write_text(TALE.upper())
    at_home = ["--run", "mine", "--home", str(tmp_path)]
    text = [["--text", str(tmp_path / name)] for name in ("tale.txt", "other.txt")]
    assert main(["tokenizer", *at_home, "--set", "tokenizer.vocab_size=300"]) == 0
    assert main(["corpus", *at_home, *text[0]]) == 0
    assert "takes their place" not in capsys.readouterr().err, "there is no model yet"
    run = Run(name="mine", path=tmp_path / "runs" / "mine")
    make_artifact(run, "model", config={}, parents=(), code=(), write=lambda _: {}, summary=str)
    for words, kind in (
        (["corpus", *text[0]], None),
        (["corpus", *text[1]], "documents"),
        (["tokenizer", "--set", "tokenizer.vocab_size=310"], "tokenizer"),
    ):
        assert main([words[0], *at_home, *words[1:]]) == 0
        said = capsys.readouterr().err
        warned = f"run 'mine' has a model, and its {kind} by other settings than these; what is"
        assert said == "" if kind is None else f"minillm {words[0]}: {warned}" in said
        assert said.count("minillm train --run mine") == (kind is not None)


def test_training_by_another_recipe_says_before_what_it_replaces(capsys, tmp_path, monkeypatch):
    (tmp_path / "tale.txt").write_text(TALE)
    at_home = ["--run", "mine", "--home", str(tmp_path)]
    assert main(["corpus", *at_home, "--text", str(tmp_path / "tale.txt")]) == 0
    run = Run(name="mine", path=tmp_path / "runs" / "mine")
    make_artifact(run, "model", config={}, parents=(), code=(), write=lambda _: {}, summary=str)

    def reach(*_asked: object) -> None:
        raise ValueError("nothing is made in this test")

    monkeypatch.setattr("minillm.stages.reach", reach)
    capsys.readouterr()
    assert main(["train", *at_home]) != 0
    assert "replaces" not in capsys.readouterr().err, "the run's own recipe makes the same again"
    assert main(["train", *at_home, "--recipe", "smoke"]) != 0
    warned = "run 'mine' has a model, and its documents by other settings than these; what is made"
    said = capsys.readouterr().err
    assert f"minillm train: {warned} here replaces the documents, then the model" in said


def test_what_the_data_card_denies_is_said_in_one_line(capsys, tmp_path):
    days = [f"Day {number}: the old fox met seven hens and a goose near the river bank at noon.\n"
            for number in range(40)]  # fmt: skip
    (tmp_path / "days.jsonl").write_text("".join(json.dumps({"text": day}) + "\n" for day in days))
    words = ["--run", "mine", "--home", str(tmp_path), "--text", str(tmp_path / "days.jsonl")]
    assert main(["corpus", *words]) == 0
    *_, line = capsys.readouterr().out.splitlines()
    asked = "training documents that share 13 words with held-out ones: 36 (at most 0)"
    assert line.startswith("✗ data card: ") and asked in line
    assert line.endswith("runs/mine/documents/card.md")


def test_a_tokenizer_of_ours_is_replaced_and_no_other(capsys, tmp_path):
    (tmp_path / "tale.txt").write_text(TALE)
    out = tmp_path / "out"
    words = ["tokenizer", "--text", str(tmp_path / "tale.txt"), "--out", str(out), "--vocab-size"]
    for size in ("300", "310"):
        assert main([*words, size]) == 0
    ours = (out / "tokenizer.json").read_text()
    for name, content, said in (
        ("tokenizer.json", ours.replace("\n", ""), "its tokenizer.json is not ours; choose an "),
        ("tokenizer.json", "{}", "its tokenizer.json is not ours; choose an empty folder"),
        ("config.json", "{}", "exists and holds other things; choose an empty folder"),
    ):
        (out / "tokenizer.json").write_text(ours)
        (out / name).write_text(content)
        assert main([*words, "300"]) == 1
        assert f"minillm tokenizer: --out {out}: {said}" in capsys.readouterr().err
        assert (out / name).read_text() == content


def test_an_unknown_action_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["corpus", "wash"])
    assert ended.value.code == 2
    assert "dirty" in capsys.readouterr().err
