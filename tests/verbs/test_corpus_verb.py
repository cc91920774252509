"""The verb `corpus`: its actions, their figures, and what they refuse in one line."""

import argparse
import json
import re
from collections import Counter
from pathlib import Path

import pytest

from minillm.__main__ import main, parser
from minillm.corpus import report
from minillm.corpus.dirty.crawl import CRAWL, FILES, TRUTH
from minillm.corpus.scores import Row
from minillm.verbs.cleaning import CLEAN
from minillm.verbs.corpus import ACTIONS, DIRTY, NUM_ITEMS, REPORT, evaluation_sets


def test_dirty_writes_a_crawl_and_its_truth(tmp_path, capsys):
    words = ["corpus", "dirty", "--seed", "3", "--pages", "50", "--out", str(tmp_path), "--json"]
    assert main(words) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["pages"] == 58 and figures["should_go"] > 5  # 2 behind robots.txt, 6 that share
    assert len(list((tmp_path / FILES).iterdir())) == figures["files"] == 10
    assert (tmp_path / CRAWL).stat().st_size == figures["bytes"]
    assert len((tmp_path / TRUTH).read_text(encoding="utf-8").splitlines()) == 58


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
    monkeypatch.setattr(report, "corpus_report", lambda *_: rows)
    few = "the bars are meant for 2,000 pages: among fewer"
    for num_pages, is_said in ((100, True), (1999, True), (2000, False)):
        assert main(["corpus", "report", "--pages", str(num_pages)]) == 1
        printed = capsys.readouterr().out
        assert "bars not reached: copies" in printed and (few in printed) == is_said
    rows[0] = Row("copies", 3, {"F1": 1.0}, {"F1": 0.97})
    assert main(["corpus", "report", "--pages", "100"]) == 0
    assert few not in capsys.readouterr().out


def test_every_evaluation_set_is_looked_for():
    sets = evaluation_sets()
    assert set(sets) == {
        "held-out stories", "evaluation stories", "minimal pairs", "questions", "conversations",
        "attacks", "the loop's slice",
    }  # fmt: skip
    assert all(len(items) >= NUM_ITEMS for items in sets.values())
    assert all(text.strip() for items in sets.values() for text in items.values())


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["dirty"], "--out is missing"),
        (["dirty", "--out", "x", "--pages", "0"], "at least 1"),
        (["dirty", "--out", "x", "--run", "mine"], "--run: the dirty web belongs to no run"),
        (["report", "--out", "."], "is a folder; name the file"),
        (["report", "--pages", "99"], "give a report at least 100"),
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
