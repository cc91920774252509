"""What a bench is handed: the report's sets where it judges the report's pages."""

from pathlib import Path

import pytest

from minillm import bench
from minillm.__main__ import main, parser
from minillm.verbs.bench import MODEL, WORDS, given_to
from minillm.verbs.evaluation_sets import evaluation_sets


@pytest.mark.parametrize("what", ["duplicates", "language"])
def test_benches_of_the_dirty_web_are_handed_the_report_s_sets(what: str) -> None:
    assert given_to(parser().parse_args(["bench", what])) == {"sets": evaluation_sets()}


def test_the_help_has_a_line_of_words_for_each_bench(capsys) -> None:
    with pytest.raises(SystemExit):
        parser().parse_args(["bench", "--help"])
    lines = [line.split(maxsplit=1) for line in capsys.readouterr().out.splitlines()]
    said = dict(line for line in lines if len(line) == 2)
    modules = Path(bench.__file__).parent.glob("*.py")
    measures = {each.stem for each in modules if "\ndef measure(" in each.read_text("utf-8")}
    assert set(WORDS) == {MODEL} | measures
    assert all(said[name] == words and len(words) > 20 for name, words in WORDS.items())


def test_a_file_that_is_no_bench_s_is_refused_before_anything_is_measured(capsys) -> None:
    assert main(["bench", "world", "--out", __file__]) == 1
    assert f"--out {__file__}: keeps no figures of ours" in capsys.readouterr().err


def test_other_benches_are_handed_nothing() -> None:
    assert given_to(parser().parse_args(["bench", "world"])) == {}
