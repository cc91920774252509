"""A user's own files on the command line: what of them is lost is said where they look."""

import gzip
import json
import random
import sys
import warnings
from pathlib import Path

import pytest

from minillm.__main__ import main
from minillm.corpus import ownfiles
from minillm.recipes import recipe_of

WORDS = [f"word{number}" for number in range(500)]
ROWS = [" ".join(random.Random(row).choices(WORDS, k=60)) for row in range(300)]


def json_rows(column: str) -> bytes:
    """All rows as JSON lines, the text under the name given."""
    return b"".join(json.dumps({column: text}).encode() + b"\n" for text in ROWS)


def random_bytes(size: int = 20_000) -> bytes:
    return random.Random(0).randbytes(size)


@pytest.fixture(autouse=True)
def at_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Warnings as the command line prints them; each file in a fresh folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(ownfiles.warnings, "warn", say)


def say(message: str, stacklevel: int) -> None:
    """What `warnings.warn` does outside pytest, which would keep it to itself."""
    sys.stderr.write(warnings.formatwarning(message, UserWarning, "", 0))


def corpus(*words: object) -> int:
    return main(["corpus", "--run", "mine", "--home", ".", "--text", *map(str, words)])


def documents() -> list[dict]:
    path = Path("runs/mine/documents/documents.jsonl")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_of_a_file_that_was_cut_off_the_terminal_says_what_is_kept_and_where_the_rest_is(capsys):
    whole = gzip.compress(json_rows(column="text"))
    Path("cut_off.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    assert corpus("cut_off.jsonl.gz") == 0
    said = capsys.readouterr().err
    num_bytes = sum(len(each["text"]) for each in documents())
    listed = Path("runs/mine/documents/rejected.jsonl")
    num_kept = len({each["id"].partition("#")[2].split("/")[0] for each in documents()})
    assert 0 < num_kept < len(ROWS)
    assert said.startswith("minillm: warning: text file ") and said.count("\n") == 1
    assert "cut_off.jsonl.gz: " in said and f"{num_kept} texts ({num_bytes:,} bytes) kept" in said
    assert f"1 record rejected, the first: cut_off.jsonl.gz, record {num_kept + 1}: damaged" in said
    assert f"; the list: {listed.resolve()}\n" in said
    rejected = json.loads(listed.read_text(encoding="utf-8"))
    assert rejected["id"] == f"cut_off.jsonl.gz#{num_kept + 1}"


def test_a_whole_file_is_no_reason_to_warn(capsys):
    Path("whole.jsonl.gz").write_bytes(gzip.compress(json_rows(column="text")))
    assert corpus("whole.jsonl.gz") == 0
    assert capsys.readouterr().err == ""


def test_rows_without_a_text_are_counted_and_the_first_is_named(capsys):
    Path("mixed.jsonl").write_bytes(json_rows(column="text") + json_rows(column="remark"))
    assert corpus("mixed.jsonl") == 0
    said = capsys.readouterr().err
    assert "300 texts" in said and "300 records rejected" in said
    assert "the first: mixed.jsonl, record 301: columns are remark; a text column is" in said


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("none.jsonl", json_rows(column="remark"), "columns are remark; a text column is called"),
        ("noise.html", random_bytes(), "binary, not a page (found: "),
        ("empty.html", b"<html><body></body></html>", "a page without text"),
        ("blank.jsonl", b"\n\n", "it holds none"),
        ("noise.jsonl", random_bytes(), "not UTF-8"),
    ],
)
def test_a_file_of_which_nothing_is_left_is_an_error_with_file_and_remedy(
    name: str, content: bytes, reason: str, capsys
):
    Path(name).write_bytes(content)
    assert corpus(name) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"minillm corpus: text file {name}: no record gives a text; ")
    assert reason in said and said.endswith("; mend it, or give another file\n")
    assert said.count("\n") == 1 and not Path("runs").exists()


def test_a_bad_file_among_several_is_said_once_and_listed(capsys):
    Path("tale.txt").write_text("\n".join(ROWS))
    Path("latin.txt").write_bytes("Grüße".encode("latin-1"))
    assert corpus("latin.txt", "tale.txt") == 0
    said = capsys.readouterr().err
    assert said.count("\n") == 1 and "latin.txt: 0 texts (0 bytes) kept, 1 record rejected" in said
    listed = json.loads(Path("runs/mine/documents/rejected.jsonl").read_text(encoding="utf-8"))
    assert listed["id"] == "latin.txt" and "not UTF-8" in listed["reason"]


def test_the_tokenizer_alone_says_it_too(capsys):
    Path("mixed.jsonl").write_bytes(json_rows(column="text") + b"no json\n")
    words = ["tokenizer", "--text", "mixed.jsonl", "--vocab-size", "300", "--out", "out"]
    assert main(words) == 0
    said = capsys.readouterr().err
    assert "300 texts" in said and "1 record rejected, the first: mixed.jsonl, record 301" in said


def test_corpus_and_train_read_the_same_of_a_users_text(capsys):
    Path("tale.txt").write_text("\n".join(ROWS))
    assert corpus("tale.txt") == 0
    assert {each["source"] for each in documents()} == {"text"}, "no story is mixed in"
    of_corpus = recipe_of("mine", ".").corpus
    words = ["train", "--run", "other", "--home", ".", "--text", "tale.txt", "--minutes", "0.01"]
    assert main([*words, "--set", "training.max_minutes=0.01"]) == 0
    assert recipe_of("other", ".").corpus == of_corpus


def test_a_recipe_that_is_named_keeps_its_stories():
    Path("tale.txt").write_text("\n".join(ROWS))
    assert corpus("tale.txt", "--recipe", "smoke") == 0
    assert {each["source"] for each in documents()} == {"text", "stories"}


@pytest.mark.parametrize("verb", ["corpus", "tokenizer", "train"])
def test_the_help_says_which_files_are_read(verb: str, capsys):
    with pytest.raises(SystemExit):
        main([verb, "--help"])
    said = " ".join(capsys.readouterr().out.split())
    formats = ("JSON lines", "CSV", "Parquet", "HTML", "mail", "WARC", "gz")
    assert [each for each in formats if each not in said] == []
