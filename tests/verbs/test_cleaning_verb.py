"""`minillm corpus clean` takes nothing away that it did not make, and says what it wants."""

import gzip
import json
import shutil
import subprocess
import sys
import time
import tracemalloc
from pathlib import Path
from types import SimpleNamespace

import pytest
from filelock import FileLock

from minillm.__main__ import main
from minillm.core.records import Artifact
from minillm.corpus.shardfolders import REJECTED, tidied
from minillm.verbs.cleaning import check_out, say_unread

DOCUMENT = {"source": "mine", "kind": "book", "licence": "CC0-1.0", "language": "en"}
TEXT = "It was a warm day and the girl walked to the market with her brother and a dog. "


@pytest.fixture
def documents(tmp_path: Path) -> Path:
    """Three documents, one of them under a licence of its own."""
    path = tmp_path / "in" / "documents.jsonl"
    path.parent.mkdir()
    lines = [
        {"id": f"{number}", "text": f"{TEXT}Number {number} was {word}.", **DOCUMENT}
        for number, word in enumerate(("the first house", "an old bridge", "a green kite"))
    ]
    lines[2]["licence"] = "user"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def cleaned(*words: object) -> int:
    return main(["corpus", "clean", *map(str, words)])


def test_the_result_and_what_was_rejected_are_named(documents: Path, tmp_path: Path, capsys):
    assert cleaned("--documents", documents, "--out", tmp_path / "out") == 0
    printed = capsys.readouterr().out
    assert "rejected by licence 1" in printed and f"→ {tmp_path / 'out'}" in printed
    assert cleaned("--documents", documents, "--out", tmp_path / "out") == 0, "its own may go"


def test_the_data_card_lies_beside_and_an_earlier_result_with_or_without_one_may_go(
    documents: Path, tmp_path: Path
):
    out = tmp_path / "out"
    assert cleaned("--documents", documents, "--out", out) == 0
    names = {"card.json", "card.md", "documents.jsonl", "manifest.json", "rejected.jsonl"}
    assert {path.name for path in out.iterdir()} == names
    made = json.loads((out / "card.json").read_text(encoding="utf-8"))
    assert made["num_documents"] == 2 and made["rejected_by_step"] == {"licence": 1}
    assert all(each["holds"] for each in made["checklist"])
    first = Artifact.load(out)
    check_out(out, [documents])
    for name in ("card.json", "card.md"):
        (out / name).unlink()
    check_out(out, [documents])
    assert cleaned("--documents", documents, "--out", out, "--licences", "user") == 0
    assert {path.name for path in out.iterdir()} == names
    assert cleaned("--documents", documents, "--out", out, "--shards", "1") == 0
    assert Artifact.load(out).sha256 == first.sha256
    (out / "diary.txt").write_text("mine")
    with pytest.raises(ValueError, match="exists and holds other things"):
        check_out(out, [documents])


def test_what_the_data_card_denies_is_said_in_one_line(documents: Path, tmp_path: Path, capsys):
    first, second, _ = documents.read_text(encoding="utf-8").splitlines()
    held_out = json.dumps(json.loads(second) | {"split": "validation"})
    asked = "✗ data card: training documents that share 13 words with held-out ones: 1 (at most 0)"
    for lines, is_denied in (((first, second), False), ((first, held_out), True)):
        documents.write_text("\n".join(lines), encoding="utf-8")
        assert cleaned("--documents", documents, "--out", tmp_path / "out") == 0
        said = [line for line in capsys.readouterr().out.splitlines() if line.startswith("✗")]
        assert [line.partition(" → ")[0] for line in said] == [asked] * is_denied
    assert said[0].endswith(f" → {tmp_path / 'out' / 'card.md'}")


def test_where_nothing_is_left_there_is_a_card_all_the_same(documents: Path, tmp_path: Path):
    assert cleaned("--documents", documents, "--out", tmp_path / "out", "--licences", "no") == 1
    page = (tmp_path / "out" / "card.md").read_text(encoding="utf-8")
    assert "0 documents, 0 bytes." in page and "| licence | 3 |" in page


def test_the_folder_is_named_as_it_was_given_and_its_kind_is_always_the_same(
    documents: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    (tmp_path / "here" / "empty").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "here" / "empty")
    for given, shown in ((f"{tmp_path}/a/b/c/d/out", f"{tmp_path}/a/b/c/d/out"),
                         ("./mine", "mine"), ("../side", "../side"),
                         (".", tmp_path / "here" / "empty")):  # fmt: skip
        for leftover in Path().iterdir():
            shutil.rmtree(leftover) if leftover.is_dir() else leftover.unlink()
        folder = Path(given).resolve()
        assert cleaned("--documents", documents, "--out", given) == 0
        assert f"rejected → {shown}\n" in capsys.readouterr().out
        assert json.loads((folder / "manifest.json").read_text())["kind"] == "cleaned"


def test_a_file_above_the_folder_is_named(documents: Path, capsys):
    out = documents / "out"
    assert cleaned("--documents", documents, "--out", out) == 1
    assert f"--out {out}: {documents} is a file; give" in capsys.readouterr().err


def test_other_licences_can_be_allowed(documents: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    assert cleaned("--documents", documents, "--out", out, "--licences", "user", "CC0-1.0") == 0
    assert len((out / "documents.jsonl").read_text(encoding="utf-8").splitlines()) == 3
    assert "rejected by" not in capsys.readouterr().out


def test_where_no_document_is_left_it_says_so_and_fails(documents: Path, tmp_path, capsys):
    out = tmp_path / "out"
    assert cleaned("--documents", documents, "--out", out, "--licences", "none such") == 1
    error = capsys.readouterr().err
    assert f"no document is left: {out / 'rejected.jsonl'}" in error and "--licences" in error


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_lies_at_out_is_not_taken_away(documents: Path, tmp_path: Path, kind: str, capsys):
    out = tmp_path / "out"
    kept = out / "diary.txt" if kind == "folder" else out
    kept.parent.mkdir(exist_ok=True)
    kept.write_text("mine")
    assert cleaned("--documents", documents, "--out", out) == 1
    said = {"folder": "exists and holds other things", "file": "is a file; give the name"}[kind]
    assert f"--out {out}: {said}" in capsys.readouterr().err
    assert kept.read_text() == "mine"


def test_a_file_called_as_a_result_is_not_taken_for_one(documents: Path, tmp_path: Path, capsys):
    out = tmp_path / "out"
    out.mkdir()
    (out / "documents.jsonl").write_text("mine")
    assert cleaned("--documents", documents, "--out", out) == 1
    assert f"--out {out}: exists and holds other things" in capsys.readouterr().err
    assert (out / "documents.jsonl").read_text() == "mine"


def test_the_input_is_not_taken_for_an_earlier_result(documents: Path, capsys):
    assert cleaned("--documents", documents, "--out", documents.parent) == 1
    assert "holds the input documents.jsonl" in capsys.readouterr().err
    assert documents.is_file()


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "there is no such file; check the path"),
        (
            gzip.compress(b"{}\n", mtime=0),
            "no record gives a document; the first: given, record 1: no reader for this form (found"
            ": packed with gz; give its name the ending .gz; allowed: a text)",
        ),
        (b"", "an empty file; give one with documents in it"),
        (b'{"id": 5, "text": 5, "source": "", "kind": "", "licence": "", "language": ""}\n',
         "given, record 1: no document (found: id is 5; allowed: a text)"),
    ],
)  # fmt: skip
def test_a_file_of_another_kind_is_one_clear_line(content, said: str, tmp_path: Path, capsys):
    path = tmp_path / "given"
    if content is not None:
        path.write_bytes(content)
    assert cleaned("--documents", path, "--out", tmp_path / "out") == 1
    error = capsys.readouterr().err.strip()
    assert said in error and error.count("\n") == 0 and str(path) in error
    assert not (tmp_path / "out").exists()


def test_a_row_without_a_text_and_a_form_without_a_reader_are_named(tmp_path: Path, capsys):
    for name, content, said in (
        ("a.jsonl", b'{"url": "x"}\n', "the first: a.jsonl, record 1: columns are url; a text col"),
        ("a.pdf", b"%PDF", "the first: a.pdf: no reader for .pdf; there are .csv"),
    ):
        (tmp_path / name).write_bytes(content)
        assert cleaned("--documents", tmp_path / name, "--out", tmp_path / "out") == 1
        error = capsys.readouterr().err.strip()
        assert said in error and "\n" not in error and not (tmp_path / "out").exists()


@pytest.mark.parametrize("place", [0, 1])
def test_a_line_that_is_no_document_is_listed_and_the_others_are_cleaned(
    documents: Path, place: int, capsys
):
    lines = documents.read_bytes().splitlines(keepends=True)
    num_documents = len(lines)
    lines.insert(place, b'{"id": "\xff"}\n')
    documents.write_bytes(b"".join(lines))
    out = documents.parent / "cleaned"
    assert cleaned("--documents", documents, "--out", out, "--json") == 0
    figures = json.loads(capsys.readouterr().out)
    first = json.loads((out / "rejected.jsonl").read_text(encoding="utf-8").splitlines()[0])
    assert first["reason"] == f"{documents.name}, record {place + 1}: not UTF-8"
    assert figures["rejected_by_step"]["read"] == 1
    assert figures["num_documents"] + figures["num_rejected"] == num_documents + 1


def test_a_folder_of_documents_is_named(tmp_path: Path, capsys):
    assert cleaned("--documents", tmp_path, "--out", tmp_path / "out") == 1
    assert f"--documents {tmp_path}: a folder; give the files in it" in capsys.readouterr().err


def test_what_cannot_be_read_is_said_and_costs_itself_alone(documents: Path, tmp_path, capsys):
    more = {"a.pdf": b"%PDF-1.7\n", "b.png": b"\x89PNG\r\n\x1a\n", "c.txt": b"",
            "d.csv": b'text\n" "\n'}  # fmt: skip
    for name, content in more.items():
        (tmp_path / name).write_bytes(content)
    given, out = [*(tmp_path / name for name in more), documents], tmp_path / "out"
    assert cleaned("--documents", *given, "--out", out) == 0
    said = capsys.readouterr().out.splitlines()
    assert said[-2] == "rejected by read 4, licence 1"
    first = "4 records of a.pdf, b.png, c.txt, d.csv not read, the first: a.pdf: no reader "
    assert said[-1].startswith(first)
    assert said[-1].endswith(f"; the list: {out / 'rejected.jsonl'}")
    lines = (out / "rejected.jsonl").read_text(encoding="utf-8").splitlines()
    assert [json.loads(line)["source"] for line in lines[:4]] == list(more)
    assert json.loads(lines[3])["value"] == "empty"


def test_of_many_unread_files_ten_are_named_and_records_are_not_held(tmp_path, capsys):
    """Two lists of unread records, the second twenty times as long, with as many files."""
    peaks = []
    for num_records in (500, 10_000):
        each = {"id": "a", "step": "read", "reason": "not UTF-8", "value": "", "limit": ""}
        lines = [json.dumps(each | {"source": f"{n % 12:02}.txt"}) for n in range(num_records)]
        (tmp_path / REJECTED).write_text("\n".join(lines) + "\n", encoding="utf-8")
        tracemalloc.start()
        say_unread(SimpleNamespace(path=tmp_path))
        peaks.append(tracemalloc.get_traced_memory()[1])
        tracemalloc.stop()
        named = ", ".join(f"{n:02}.txt" for n in range(10))
        said = capsys.readouterr().out
        assert said.startswith(f"{num_records:,} records of {named} and 2 more files not read, ")
    assert peaks[1] < 2 * peaks[0]


def test_nothing_is_left_beside_the_result_or_after_an_error(documents: Path, tmp_path: Path):
    before = set(tmp_path.iterdir())
    bad = tmp_path / "in" / "a.txt"
    bad.write_bytes(b" \n")
    assert cleaned("--documents", bad, "--out", tmp_path / "out") == 1
    assert set(tmp_path.iterdir()) == before
    for _ in range(2):
        assert cleaned("--documents", documents, "--out", tmp_path / "out") == 0
        assert set(tmp_path.iterdir()) == before | {tmp_path / "out"}


def test_a_lock_that_another_holds_stays_and_one_without_a_name_is_none(tmp_path: Path):
    lock, work = tmp_path / ".out.lock", tmp_path / ".out.shards"
    work.mkdir()
    with FileLock(lock):
        with tidied(lock, work):
            pass
        assert lock.is_file() and work.is_dir(), "another is at work there"
    with tidied(lock, work):
        pass
    assert list(tmp_path.iterdir()) == []


def test_two_at_once_into_one_folder_are_one_after_the_other(documents: Path, tmp_path: Path):
    out = tmp_path / "out"
    code = "import sys; from minillm.__main__ import main; sys.exit(main(sys.argv[1:]))"
    words = ["corpus", "clean", "--documents", str(documents), "--out", str(out), "--licences"]
    each = [["CC0-1.0"], ["user"], ["CC0-1.0"]]
    started = [subprocess.Popen([sys.executable, "-c", code, *words, *more]) for more in each]
    assert [process.wait() for process in started] == [0, 0, 0]
    assert {path.name for path in tmp_path.iterdir()} == {"in", "out"}
    assert Artifact.load(out).verify().figures["num_documents"] in (1, 2)


@pytest.mark.parametrize("address", ["localhost:1", "127.0.0.1:1", "ray://localhost:1"])
def test_an_address_where_nobody_answers_is_said_at_once(documents, tmp_path, address, capsys):
    before, began_s = set(tmp_path.iterdir()), time.monotonic()
    words = ["--engine", "ray", "--address", address]
    assert cleaned("--documents", documents, "--out", tmp_path / "out", *words) == 1
    assert time.monotonic() - began_s < 10
    error = capsys.readouterr().err.strip()
    assert f"--address {address}: no Ray cluster answers there" in error and "\n" not in error
    assert "ray start --head" in error and set(tmp_path.iterdir()) == before


@pytest.mark.parametrize(
    "address",
    ["localhost", "localhost:x", ":6379", "localhost:²", "localhost:0", "localhost:65536",
     f"localhost:{'1' * 5000}", "a..b:1", f"{'a' * 64}:1"],
)  # fmt: skip
def test_an_address_without_host_or_port_is_said(documents, tmp_path, address, capsys):
    words = ["--engine", "ray", "--address", address]
    assert cleaned("--documents", documents, "--out", tmp_path / "out", *words) == 1
    assert f"--address {address}: give HOST:PORT" in capsys.readouterr().err
