"""`minillm corpus clean --passages`: what the steps for passages cut, and only when asked."""

from pathlib import Path

import pytest

from minillm.__main__ import main
from minillm.core.records import read_json_lines
from minillm.corpus.dirty.passages import make_passage_pages
from minillm.corpus.passages import passage_steps
from minillm.corpus.pipeline import apply_steps, steps, write_json_lines
from minillm.corpus.scores import clean_web, crawled
from minillm.corpus.sources import Document
from minillm.verbs.evaluation_sets import evaluation_sets


@pytest.mark.parametrize("words", [[], ["--learned"]])
def test_the_command_cuts_passages_only_when_asked(tmp_path: Path, words: list[str]):
    pages = make_passage_pages(48, 6)
    cleaned = clean_web(pages, evaluation_sets())
    documents = crawled(pages)
    write_json_lines(tmp_path / "in.jsonl", documents)
    plain = apply_steps(documents, steps())[0]
    expected = [list(cleaned.kept.values()), list(cleaned.cut.values())]
    if not words:
        expected = [plain, apply_steps(plain, passage_steps())[0]]
    for number, asked in enumerate(([], ["--passages"])):
        out = tmp_path / f"out_{number}"
        arguments = ["--documents", str(tmp_path / "in.jsonl"), "--out", str(out), *words, *asked]
        assert main(["corpus", "clean", *arguments]) == 0
        lines = read_json_lines(out / "documents.jsonl")
        assert [Document(**fields) for fields in lines] == expected[number]
    assert expected[0] != expected[1]
