"""The verb `corpus`: its actions, their figures, and what they refuse in one line."""

import json

import pytest

from minillm.__main__ import main
from minillm.corpus import report
from minillm.corpus.dirty.crawl import CRAWL, FILES, TRUTH
from minillm.corpus.scores import Row
from minillm.verbs.corpus import NUM_ITEMS, evaluation_sets


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


def test_an_unknown_action_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["corpus", "wash"])
    assert ended.value.code == 2
    assert "dirty" in capsys.readouterr().err
