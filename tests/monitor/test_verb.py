"""`minillm monitor` from outside: alarms one line each, exit code 0, bad input one line."""

import json
from pathlib import Path

import numpy as np
import pytest

from minillm.__main__ import main
from minillm.monitor.requests import LOG
from minillm.recipes import open_run
from tests.monitor.logs import usual, written
from tests.monitor.test_watch import planted_log

SIZES = (
    "--set", "monitor.drift.reference_requests=120", "--set", "monitor.drift.window_requests=40",
    "--set", "monitor.misuse.false_positive_rate=0.01", "--set", "monitor.drift.permutations=499",
)  # fmt: skip


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A home with the run `watched`, whose server has kept a log."""
    run, _ = open_run("watched", home=tmp_path)
    written(run.path / LOG, planted_log()[0])
    return tmp_path


def verb(home: Path, *words: object) -> int:
    return main(["monitor", "--run", "watched", "--home", str(home), *map(str, words)])


def test_alarms_are_said_and_the_exit_code_is_0(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    assert verb(home, *SIZES) == 0
    said = capsys.readouterr()
    kinds = [line.partition(":")[0] for line in said.out.splitlines()]
    assert kinds[:2] == ["alarm", "misuse"] and said.err == ""
    folder = home / "runs" / "watched" / "monitor"
    assert sorted(path.name for path in folder.iterdir()) == ["drift.json", "index.html"]
    assert said.out.splitlines()[-1] == f"3 windows → {folder / 'index.html'}"


def test_json_is_one_object_on_stdout_and_words_go_to_stderr(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    assert verb(home, *SIZES, "--json", "--out", home / "out") == 0
    said = capsys.readouterr()
    figures = json.loads(said.out)
    assert said.out.count("\n") == 1 and "alarm: window 2" in said.err
    assert figures["windows"] == 3 and len(figures["lines"]) == 2
    assert Path(figures["path"]) == home / "out" / "index.html"
    assert not (home / "runs" / "watched" / "monitor").exists()


def test_a_quiet_log_is_said_to_be_quiet(home: Path, capsys: pytest.CaptureFixture) -> None:
    log = written(home / "calm.sqlite", usual(200, np.random.default_rng(1)))
    assert verb(home, "--log", log, *SIZES[:4]) == 0
    assert capsys.readouterr().out.splitlines()[0] == "no alarm"
    strict = ("--set", "monitor.misuse.false_positive_rate=0.00001")
    assert verb(home, "--log", log, *SIZES[:4], *strict) == 0
    note, calm, _ = capsys.readouterr().out.splitlines()
    assert note.startswith("note: ") and calm == "no alarm"


def test_the_reference_is_another_log_or_a_number(
    home: Path, capsys: pytest.CaptureFixture
) -> None:
    other = written(home / "other.sqlite", usual(100, np.random.default_rng(7)))
    assert verb(home, *SIZES, "--reference", other, "--json") == 0
    assert json.loads(capsys.readouterr().out)["windows"] == 6
    assert verb(home, *SIZES, "--reference", 80, "--json") == 0
    assert json.loads(capsys.readouterr().out)["windows"] == 4


@pytest.mark.parametrize(
    "words, expected",
    [
        (("--log", "gone.sqlite"), "gone.sqlite: no request log is here"),
        (("--reference", "gone.sqlite"), "--reference gone.sqlite: neither a file nor a number"),
        (("--reference", "1"), "reference_requests = 1: must be at least 2"),
        (("--recipe", "laptop"), "--recipe: the run keeps its own recipe"),
        (("--set", "monitor.drift.alpha=2"), "alpha = 2: must be a false-alarm rate"),
        (("--simulate", "--log", "x"), "--log: with --simulate the script decides"),
        (("--reference", "300"), "too few for a reference of 300"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(
    home: Path, capsys: pytest.CaptureFixture, words: tuple[str, ...], expected: str
) -> None:
    assert verb(home, *words) == 1
    said = capsys.readouterr()
    assert said.out == "" and said.err.count("\n") == 1 and expected in said.err
    assert not (home / "runs" / "watched" / "monitor").exists()


def test_an_empty_reference_log_is_named(home: Path, capsys: pytest.CaptureFixture) -> None:
    empty = written(home / "empty.sqlite", [])
    assert verb(home, "--reference", empty, *SIZES) == 1
    assert f"--reference {empty}: this log holds no request" in capsys.readouterr().err


def test_a_run_without_a_log_says_where_one_comes_from(
    tmp_path: Path, capsys: pytest.CaptureFixture
) -> None:
    open_run("watched", home=tmp_path)
    assert verb(tmp_path) == 1
    error = capsys.readouterr().err
    assert "minillm serve" in error and "minillm monitor --simulate" in error
