"""Any file as documents: what goes in comes out, faults cost one record, memory stays bounded."""

import bz2
import csv
import errno
import gzip
import io
import json
import lzma
import os
import random
import subprocess
import sys
import tracemalloc
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pyarrow
import pyarrow.parquet
import pytest
import zstandard
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minillm.core.records import Run, read_json_lines
from minillm.corpus import opening, pipeline, readers
from minillm.corpus.opening import (
    MAX_RECORD_BYTES,
    Defaults,
    Unusable,
    utf8_text,
    written_whole,
)
from minillm.corpus.ownfiles import found_in_files, read_own_file, read_own_files
from minillm.corpus.pipeline import CorpusConfig, make_documents, read_documents
from minillm.corpus.readers import installed_licences, read_file
from minillm.corpus.sources import Document, Rejection, read_text_file
from minillm.tailored import recipe_for_text

ROOT = Path(__file__).resolve().parent.parent.parent
ONE_FOLDER = HealthCheck.function_scoped_fixture  # every example writes its files anew
HERE = Defaults(source="here", licence="CC0-1.0", language="en")
TEXTS = ("The first text, a comma.", 'The "second"\none, two lines.', "Ein dritter, größer: 数.")
PACKERS = {
    "": bytes, ".gz": gzip.compress, ".bz2": bz2.compress, ".xz": lzma.compress,
    ".zst": zstandard.compress,
}  # fmt: skip


def json_lines(texts=TEXTS) -> bytes:
    return "".join(json.dumps({"text": text}) + "\n" for text in texts).encode()


def csv_table(texts=TEXTS, sign=",") -> bytes:
    out = io.StringIO()
    writer = csv.writer(out, delimiter=sign)
    writer.writerow(["number", "text"])
    writer.writerows(enumerate(texts))
    return out.getvalue().encode()


def parquet_table(texts=TEXTS, column="text", rows=2) -> bytes:
    out = io.BytesIO()
    table = pyarrow.table({"number": list(range(len(texts))), column: list(texts)})
    pyarrow.parquet.write_table(table, out, row_group_size=rows)
    return out.getvalue()


def read(path: Path, data: bytes, defaults: Defaults = HERE) -> list[Document | Rejection]:
    path.write_bytes(data)
    return list(read_file(path, defaults))


def texts_of(results) -> list[str]:
    return [each.text for each in results if isinstance(each, Document)]


def reasons_of(results) -> list[str]:
    return [each.reason for each in results if isinstance(each, Rejection)]


@pytest.mark.parametrize("packing", PACKERS)
@pytest.mark.parametrize(
    ("name", "data"),
    [("a.jsonl", json_lines()), ("a.csv", csv_table()), ("a.tsv", csv_table(sign="\t"))],
)
def test_a_table_gives_its_texts_packed_or_not(tmp_path, name, data, packing):
    found = read(tmp_path / f"{name}{packing}", PACKERS[packing](data))
    assert texts_of(found) == list(TEXTS)
    assert len({each.id for each in found}) == 3
    assert {(each.source, each.kind, each.licence, each.language) for each in found} == {
        ("here", "text", "CC0-1.0", "en")
    }


def test_a_parquet_file_gives_its_texts_over_all_row_groups(tmp_path):
    found = read(tmp_path / "a.parquet", parquet_table())
    assert texts_of(found) == list(TEXTS)
    assert [each.id for each in found] == [f"here/a.parquet#{n}" for n in (1, 2, 3)]


@pytest.mark.parametrize("name", ["a.txt", "a.md", "README", "a.txt.gz", "a.txt.zst"])
def test_a_text_file_is_one_document_as_it_is(tmp_path, name):
    text = "# Title\r\n\r\n“Quoted”, with a tab\tand two ends.\n\n"
    data = text.encode() if name in ("a.md", "README") else b"\xef\xbb\xbf" + text.encode()
    packed = PACKERS[f".{name.split('.')[-1]}" if name.count(".") == 2 else ""](data)
    (found,) = read(tmp_path / name, packed)
    assert found.text == text and found.id == f"here/{name}"


@settings(max_examples=30, deadline=None, suppress_health_check=[ONE_FOLDER])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=5))
def test_every_text_comes_back_from_every_table(tmp_path, texts):
    for name, data in (
        ("a.jsonl", json_lines(texts)), ("a.csv", csv_table(texts)),
        ("a.tsv", csv_table(texts, "\t")), ("a.parquet", parquet_table(texts)),
        ("a.jsonl.zst", zstandard.compress(json_lines(texts))),
    ):  # fmt: skip
        usable = [text for text in texts if text.strip() and ("\0" not in text or "sv" not in name)]
        found = read(tmp_path / name, data)
        assert texts_of(found) == usable
        if "\0" not in "".join(texts):
            assert len(found) == len(texts)


def test_a_reader_that_splits_lines_itself_is_seen_to_change_a_text(tmp_path, monkeypatch):
    def stripped(stream, max_bytes=MAX_RECORD_BYTES):
        yield from (line.rstrip(b"\r\n") + b"\n" for line in stream)

    monkeypatch.setattr("minillm.corpus.tables.bounded_lines", stripped)
    text = "one\r\ntwo"
    assert texts_of(read(tmp_path / "a.csv", csv_table([text]))) != [text]


def test_columns_of_a_row_say_more_than_the_defaults(tmp_path):
    row = {
        "text": "A text.", "url": "https://a.example/x", "language": "de", "license": "CC-BY-4.0",
        "date": "2026-01-31", "title": "A title",
    }  # fmt: skip
    (found,) = read(tmp_path / "a.jsonl", json.dumps(row).encode())
    assert found == Document(
        "https://a.example/x", "A title\n\nA text.", "here", "text", "CC-BY-4.0", "de",
        date="2026-01-31",
    )  # fmt: skip


def test_the_text_column_can_be_named(tmp_path):
    named = replace(HERE, text_column="abstract", kind="paper")
    (found,) = read(tmp_path / "a.csv", b"abstract,text\nThis one.,not this\n", named)
    assert found.text == "This one." and found.kind == "paper"


def test_a_page_keeps_its_html_and_says_its_language_and_licence(tmp_path):
    page = (
        '<html lang="de-AT"><meta charset="iso-8859-1"><a rel="license" '
        'href="https://creativecommons.org/licenses/by-sa/4.0/">x</a><p>Grüße</p></html>'
    )
    (found,) = read(tmp_path / "a.html", page.encode("latin-1"))
    assert (found.kind, found.language, found.licence) == ("web", "de", "CC-BY-SA-4.0")
    assert found.text == page


def test_the_files_of_installed_packages_are_a_source_in_a_fixed_order():
    found = [each for each in islice(installed_licences(), 300) if isinstance(each, Document)]
    assert len(found) > 250
    assert {each.source for each in found} == {"installed"}
    again = islice(installed_licences(), 40)
    assert [each.id for each in again] == [each.id for each in found[:40]]
    filelock = [each for each in found if each.id.startswith("installed/filelock/")]
    assert any(each.id.endswith("METADATA") and "Name: filelock" in each.text for each in filelock)


# What cannot be read


BAD_LINES = (
    b'{"text": "first"}\n\n{"text": "\xff"}\nno json\n[1]\n{"x": 1}\n{"text": " "}\n{"text": 5}\n'
    b'{"text": "\\ud800"}\n{"text": "\x00"}\n' + b"[" * 100_000 + b'\n{"text": "last"}'
)


def test_a_bad_line_costs_itself_alone_and_is_named(tmp_path):
    found = read(tmp_path / "a.jsonl", BAD_LINES)
    assert texts_of(found) == ["first", "last"]
    reasons = reasons_of(found)
    assert [reason.split(":")[0] for reason in reasons] == [
        f"a.jsonl, record {number}" for number in range(3, 12)
    ]
    expected = (
        "not UTF-8", "not a JSON object", "no JSON object", "columns are x", "no text", "no text",
        "half a character", "binary", "not a JSON object",
    )  # fmt: skip
    for reason, part in zip(reasons, expected, strict=True):
        assert part in reason
    assert {each.step for each in found if isinstance(each, Rejection)} == {"read"}
    assert [each.value for each in found if isinstance(each, Rejection)][0] == "byte 10 is 0xff"


def test_a_bad_row_of_a_table_costs_itself_alone(tmp_path):
    data = b'number,text\n1,"a, b"\n2\n3,\xff\n4,"four\nlines"\n5,\x00\n6,\n7,last\n'
    found = read(tmp_path / "a.csv", data)
    assert texts_of(found) == ["a, b", "four\nlines", "last"]
    assert [reason.partition(":")[2] for reason in reasons_of(found)] == [
        " a row of another length than its head", " not UTF-8", " binary, not text",
        " no text where one should be",
    ]  # fmt: skip


def test_a_quote_that_is_never_closed_is_bounded(tmp_path, monkeypatch):
    rows = b"".join(b"%d,a row of text\n" % number for number in range(1000))
    csv.field_size_limit(5000)
    monkeypatch.setattr("minillm.corpus.tables.MAX_RECORD_BYTES", 5000)
    found = read(tmp_path / "a.csv", b'number,text\n0,first\n1,"open\n' + rows)
    assert texts_of(found)[0] == "first" and texts_of(found)[-1] == "a row of text"
    assert len(texts_of(found)) > 600
    faults = [each for each in found if isinstance(each, Rejection)]
    assert [each.value for each in faults] == ["field larger than field limit (5000)"]
    csv.field_size_limit(MAX_RECORD_BYTES)


@pytest.mark.parametrize("packing", [".gz", ".bz2", ".xz", ".zst"])
def test_a_packed_file_that_is_cut_off_gives_what_came_before_and_says_so(tmp_path, packing):
    texts = [f"line {number}: {number**5 % 99991}" for number in range(12_000)]
    data = PACKERS[packing](json_lines(texts))
    assert texts_of(read(tmp_path / f"whole.jsonl{packing}", data)) == texts
    found = read(tmp_path / f"a.jsonl{packing}", data[:-3])
    assert len(found) > 8_000 and texts_of(found) == texts[: len(found) - 1]
    assert isinstance(found[-1], Rejection)
    assert found[-1].reason == f"a.jsonl{packing}, record {len(found)}: damaged or cut off"
    path = tmp_path / f"b.jsonl{packing}"
    path.write_bytes(data[:9])
    with pytest.raises(ValueError, match=f"b.jsonl{packing}: damaged or cut off.*nothing of it"):
        list(read_file(path, HERE))


def test_a_reader_that_trusts_the_end_is_seen_to_lose_text_silently(tmp_path):
    data = zstandard.compress(json_lines([f"line {n}" for n in range(40_000)]))
    with zstandard.ZstdDecompressor().stream_reader(io.BytesIO(data[: len(data) // 2])) as stream:
        lost = stream.read()  # the library's own stream: no error
    assert len(lost.splitlines()) < 40_000
    found = read(tmp_path / "a.jsonl.zst", data[: len(data) // 2])
    assert isinstance(found[-1], Rejection) and len(found) <= len(lost.splitlines()) + 1


def test_several_zstd_frames_are_one_file(tmp_path):
    data = zstandard.compress(json_lines(TEXTS[:1])) + zstandard.compress(json_lines(TEXTS[1:]))
    assert texts_of(read(tmp_path / "a.jsonl.zst", data)) == list(TEXTS)
    found = read(tmp_path / "b.jsonl.zst", data + b"rubbish")
    assert texts_of(found) == list(TEXTS) and isinstance(found[-1], Rejection)


def test_damage_in_the_middle_of_a_gzip_file_is_a_rejection(tmp_path):
    data = bytearray(gzip.compress(json_lines([f"line {n**5 % 99991}" for n in range(40_000)])))
    data[len(data) // 2 : len(data) // 2 + 20] = b"x" * 20
    found = read(tmp_path / "a.jsonl.gz", bytes(data))
    assert len(texts_of(found)) > 10_000 and isinstance(found[-1], Rejection)


def test_a_line_of_a_hundred_megabytes_is_passed_over_in_little_memory(tmp_path):
    path = tmp_path / "a.jsonl.gz"
    with gzip.open(path, "wb", 1) as stream:
        stream.write(b'{"text": "first"}\n{"text": "')
        for _ in range(100):
            stream.write(b"a" * 1_000_000)
        stream.write(b'"}\n{"text": "last"}\n')
    tracemalloc.start()
    found = list(read_file(path, HERE))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert texts_of(found) == ["first", "last"]
    assert [(each.value, each.limit) for each in found if isinstance(each, Rejection)] == [
        (100_000_013, MAX_RECORD_BYTES)
    ]
    assert peak < 4 * MAX_RECORD_BYTES


def test_a_long_text_comes_in_parts_that_join_to_it(tmp_path, monkeypatch):
    monkeypatch.setattr(readers, "MAX_RECORD_BYTES", 1000)
    text = "".join(f"Paragraph {n} says ü.\nAnd more.\n\n" for n in range(200))
    found = read(tmp_path / "a.txt", text.encode())
    assert "".join(texts_of(found)) == text and len(found) == len({each.id for each in found}) == 7
    assert all(each.text.endswith("\n\n") and len(each.text.encode()) <= 1000 for each in found)
    found = read(tmp_path / "b.txt", b"one\n" + b"a" * 5000 + b"\n" + b"end\n")
    assert texts_of(found) == ["one\n", "end\n"] and "too long" in reasons_of(found)[0]


def test_a_text_in_another_encoding_is_a_rejection_with_its_remedy(tmp_path):
    (found,) = read(tmp_path / "a.txt", "Grüße".encode("latin-1"))
    assert found.reason == "a.txt, record 1: not UTF-8"
    assert (found.value, found.limit) == (
        "byte 2 is 0xfc", "UTF-8 (from Latin-1, for example: iconv -f LATIN1 -t UTF-8)",
    )


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.html", "a.eml", "a.tex", "a.py"])
def test_an_empty_file_is_a_rejection(tmp_path, name):
    (found,) = read(tmp_path / name, b"")
    assert isinstance(found, Rejection) and found.reason.startswith(f"{name}, record 1: ")


@pytest.mark.parametrize("name", ["a.html", "a.xml"])
def test_a_bomb_of_nested_elements_is_rejected_at_once(tmp_path, name):
    (found,) = read(tmp_path / name, b"<div>" * 300_000 + b"text" + b"</div>" * 300_000)
    assert isinstance(found, Rejection)
    assert "nested too deep" in found.reason and found.limit == 512


def test_a_parquet_file_with_other_columns_is_an_error_that_names_them(tmp_path):
    path = tmp_path / "a.parquet"
    path.write_bytes(parquet_table(column="abstract"))
    with pytest.raises(ValueError, match=r"a.parquet: columns are number, abstract.*text_column"):
        list(read_file(path, HERE))
    assert texts_of(read_file(path, replace(HERE, text_column="abstract"))) == list(TEXTS)


def test_a_table_without_a_text_column_is_an_error(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"a,b\n1,2\n")
    with pytest.raises(ValueError, match=r"a.csv: columns are a, b.*text_column"):
        list(read_file(tmp_path / "a.csv", HERE))


def test_a_damaged_parquet_file_is_an_error_and_a_damaged_group_a_rejection(tmp_path):
    texts = [f"text {n**5 % 99991} " * 40 for n in range(600)]
    data = parquet_table(texts, rows=200)
    path = tmp_path / "a.parquet"
    path.write_bytes(data[:-10])
    with pytest.raises(ValueError, match="a.parquet: not a whole Parquet file"):
        list(read_file(path, HERE))
    place = pyarrow.parquet.ParquetFile(io.BytesIO(data)).metadata.row_group(1).column(1)
    broken = bytearray(data)
    start = place.dictionary_page_offset or place.data_page_offset
    broken[start : start + 200] = b"\xff" * 200
    found = read(path, bytes(broken))
    assert texts_of(found) == texts[:200] + texts[400:]
    assert "row group 2" in reasons_of(found)[0]


def test_a_row_of_parquet_that_is_not_utf8_costs_itself_alone(tmp_path):
    raw = pyarrow.array([b"one", b"\xff\xfe", b"three"], pyarrow.binary())
    column = pyarrow.Array.from_buffers(pyarrow.string(), 3, raw.buffers())
    pyarrow.parquet.write_table(pyarrow.table({"text": column}), tmp_path / "a.parquet")
    found = list(read_file(tmp_path / "a.parquet", HERE))
    assert texts_of(found) == ["one", "three"] and "record 2: not UTF-8" in reasons_of(found)[0]


def test_files_that_are_not_there_or_not_known_are_errors_at_once(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no.txt: there is no such file"):
        read_file(tmp_path / "no.txt", HERE)
    with pytest.raises(IsADirectoryError, match="a folder; give the files"):
        read_file(tmp_path, HERE)
    (tmp_path / "a.pdf").write_bytes(b"%PDF")
    with pytest.raises(ValueError, match=r"a.pdf: no reader for .pdf; there are .*\.csv"):
        read_file(tmp_path / "a.pdf", HERE)


@pytest.mark.parametrize(
    ("module", "name", "data"),
    [
        ("pyarrow", "a.parquet", parquet_table()),
        ("zstandard", "a.jsonl.zst", zstandard.compress(json_lines())),
    ],
)
def test_a_missing_package_is_an_error_with_the_line_that_installs_it(
    tmp_path, monkeypatch, module, name, data
):
    monkeypatch.setitem(sys.modules, module, None)
    (tmp_path / name).write_bytes(data)
    with pytest.raises(ImportError, match=rf'{module}; pip install "minillm\[formats\]"'):
        list(read_file(tmp_path / name, HERE))


class FullDisk(io.FileIO):
    """A file on a disk that has room for a hundred bytes."""

    def write(self, data) -> int:
        if self.tell() + len(data) > 100:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_on_a_full_disk_the_earlier_file_stays_and_nothing_half_written(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    path.write_bytes(b"earlier")
    monkeypatch.setattr(opening, "open", lambda path, mode: FullDisk(path, mode), raising=False)
    with pytest.raises(OSError, match="No space left"), written_whole(path) as stream:
        for _ in range(20):
            stream.write(b"ten bytes.")
    assert path.read_bytes() == b"earlier"
    assert list(tmp_path.iterdir()) == [path]


def test_a_writer_in_place_is_seen_to_leave_half_a_file(tmp_path):
    path = tmp_path / "a.txt"
    path.write_bytes(b"earlier")
    with pytest.raises(OSError, match="No space left"), FullDisk(path, "wb") as stream:
        for _ in range(20):
            stream.write(b"ten bytes.")
    assert path.read_bytes() == b"ten bytes." * 10


def test_on_a_full_disk_a_run_has_no_documents_rather_than_half(tmp_path, monkeypatch):
    (tmp_path / "mine.txt").write_text("A text of the user. " * 50)
    monkeypatch.setattr(
        pipeline, "open", lambda path, mode, encoding: io.TextIOWrapper(FullDisk(path, mode)),
        raising=False,
    )  # fmt: skip
    run = Run(name="full", path=tmp_path / "runs" / "full")
    config = CorpusConfig(
        stories=(0, 0, 0), held_out_stories=0, text_files=(str(tmp_path / "mine.txt"),)
    )
    with pytest.raises(OSError, match="No space left"):
        make_documents(config, run)
    assert [path.name for path in run.path.iterdir() if not path.name.endswith(".lock")] == []


# A user's own files


def test_a_users_plain_files_are_taken_as_they_are(tmp_path):
    text = "#!/bin/sh\r\n<p>no page</p>\n{}"
    for name in ("a.txt", "a.md", "a.py", "a.svg", "a", "a.xyz"):
        (tmp_path / name).write_bytes(text.encode())
        assert read_own_file(str(tmp_path / name)) == ([(name, text)], [])
    (tmp_path / "b.txt").write_bytes(b"\xff")
    with pytest.raises(ValueError, match=r"text file .*b.txt: byte 0 is not UTF-8"):
        read_own_file(str(tmp_path / "b.txt"))


def test_packed_or_not_a_users_text_is_the_same(tmp_path):
    text = "#!/bin/sh\r\n<p>no page</p>\nGrüße"
    for name in ("a.txt.gz", "a.py.gz", "a.rst.GZ", "a.gz", "a.xyz.gz"):
        (tmp_path / name).write_bytes(gzip.compress(b"\xef\xbb\xbf" + text.encode()))
        ((_, found),), rejected = read_own_file(str(tmp_path / name))
        assert (found, rejected) == (text, [])


def test_a_users_papers_are_read_without_their_marks(tmp_path):
    jats = "<article><body><title>Of rope</title><p>It <i>holds</i>.</p></body></article>"
    latex = r"\title{Of rope}\begin{document}It \emph{holds}.\end{document}"
    files = {"a.xml": jats, "a.nxml": jats, "a.tex": latex}
    for name, content in files.items():
        (tmp_path / name).write_text(content)
        (tmp_path / f"{name}.gz").write_bytes(gzip.compress(content.encode()))
        for each in (name, f"{name}.gz"):
            ((_, text),), rejected = read_own_file(str(tmp_path / each))
            assert (text, rejected) == ("Of rope\n\nIt holds.\n", [])
    (tmp_path / "b.xml").write_text("<svg/>")
    said = r"another kind than JATS \(found: svg; allowed: article; a copy named \.txt is read"
    with pytest.raises(ValueError, match=said):
        read_own_file(str(tmp_path / "b.xml"))
    (tmp_path / "b.xml").rename(tmp_path / "b.txt")
    assert read_own_file(str(tmp_path / "b.txt")) == ([("b.txt", "<svg/>")], [])


@given(st.integers(0, 2**32), st.integers(1000, 20_000))
@settings(max_examples=25)
def test_random_bytes_are_no_page_whatever_their_name(tmp_path_factory, seed, size):
    path = tmp_path_factory.mktemp("noise") / "a.html"
    path.write_bytes(random.Random(seed).randbytes(size))
    (found,) = read_file(path, HERE)
    assert isinstance(found, Rejection) and "binary, not a page" in found.reason


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        *((each, encoding) for each in ("Grüße, wie geht es?", "日本語の文章です。", "Ελληνικά λόγια")
          for encoding in ("utf-8", "utf-16")),
        ("Grüße, wie geht es?", "cp1252"), ("日本語の文章です。", "shift_jis"),
        ("Ελληνικά λόγια", "iso8859-7"),
    ],
)  # fmt: skip
def test_a_page_with_a_damaged_letter_is_one_in_any_encoding(tmp_path, text, encoding):
    (tmp_path / "a.html").write_bytes(f"<p>{text * 30}\x0b</p>".encode(encoding))
    (found,) = read_file(tmp_path / "a.html", HERE)
    assert isinstance(found, Document)


def test_a_users_tables_pages_and_mail_become_documents(tmp_path):
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(json_lines() + b"no json\n"))
    (tmp_path / "a.html").write_text("<html><nav>x</nav><body><p>Some words.</p></body></html>")
    texts, rejected = read_own_file(str(tmp_path / "a.jsonl.gz"))
    assert [text for _, text in texts] == [f"{text}\n" for text in TEXTS]
    assert [each.reason for each in rejected] == ["a.jsonl.gz, record 4: not a JSON object"]
    config = CorpusConfig(
        stories=(0, 0, 0), held_out_stories=0,
        text_files=(str(tmp_path / "a.jsonl.gz"), str(tmp_path / "a.html")),
    )  # fmt: skip
    with pytest.warns(UserWarning, match=r"a.jsonl.gz: 3 texts \(82 bytes\) kept, 1 record rejec"):
        artifact = make_documents(config, Run(name="mine", path=tmp_path / "mine"))
    said = "".join(each.text for each in read_documents(artifact.path))
    assert said == "".join(f"{text}\n" for text in (*TEXTS, "Some words."))
    assert artifact.figures["rejected_by_step"] == {"read": 1}


def test_a_users_file_of_which_nothing_is_usable_is_an_error(tmp_path):
    (tmp_path / "a.jsonl").write_bytes(b"no json\n")
    with pytest.raises(ValueError, match="no record gives a text; the first: a.jsonl, record 1"):
        read_own_file(str(tmp_path / "a.jsonl"))


BAD_FILES = {
    "latin.txt": ("Grüße".encode("latin-1"), "byte 2 is not UTF-8"),
    "cut.txt.gz": (gzip.compress(b"words " * 99)[:9], "nothing of it can be read"),
    "other.parquet": (parquet_table(column="abstract"), "columns are number, abstract"),
    "empty.warc": (b"", "no record begins in it"),
    "bad.jsonl": (b"no json\n", "no record gives a text"),
}


@pytest.mark.parametrize("name", BAD_FILES)
def test_one_bad_file_of_several_is_listed_and_the_others_are_read(tmp_path, name):
    data, reason = BAD_FILES[name]
    good, bad = tmp_path / "good.txt", tmp_path / name
    good.write_text("A good text. " * 20)
    bad.write_bytes(data)
    for paths in ([str(good), str(bad)], [str(bad), str(good)]):
        with pytest.warns(UserWarning, match=f"{name}: 0 texts .* 1 record rejected"):
            texts, (rejected,) = read_own_files(paths)
        assert texts == [("good.txt", "A good text. " * 20)]
        assert (rejected.id, rejected.step) == (name, "read") and reason in rejected.reason
        assert rejected.reason.startswith(f"{name}: ") and str(tmp_path) not in rejected.reason
    with pytest.raises(ValueError, match=reason):
        read_own_files([str(bad)])
    with pytest.raises(ValueError, match=f"none gives a text; the first: {name}: .*{reason}"):
        list(found_in_files([str(bad), str(bad)]))
    with pytest.raises(FileNotFoundError, match="check the path"):
        read_own_files([str(good), str(tmp_path / "gone.txt")])


def test_a_run_goes_on_without_a_bad_file_and_lists_it(tmp_path):
    (tmp_path / "good.txt").write_text("A good text. " * 900)
    (tmp_path / "latin.txt").write_bytes(BAD_FILES["latin.txt"][0])
    paths = [tmp_path / "good.txt", tmp_path / "latin.txt"]
    recipe = recipe_for_text(paths, 1)
    assert recipe.corpus.text_files == tuple(map(str, paths))
    with pytest.warns(UserWarning, match="latin.txt: 0 texts .* the list: .*rejected.jsonl"):
        artifact = make_documents(recipe.corpus, Run(name="mine", path=tmp_path / "mine"))
    assert artifact.figures["rejected_by_step"] == {"read": 1}
    (listed,) = read_json_lines(artifact.path / "rejected.jsonl")
    assert listed["id"] == "latin.txt" and "byte 2 is not UTF-8" in listed["reason"]


# Memory

WRITE = """
import gzip, json, random, sys
from pathlib import Path
from minillm.corpus.webarchive import write_pages
path, size = Path(sys.argv[1]), int(float(sys.argv[2]))
chance, words = random.Random(0), [f"word{number**3 % 9973}" for number in range(5000)]
pieces = [" ".join(chance.choices(words, k=200)) for _ in range(500)]
texts = (" ".join(chance.choices(pieces, k=10)) for _ in range(size // 17_200))
if "warc" in path.name:
    date = {"WARC-Date": "2026-01-01T00:00:00Z"}
    pages = ((f"https://a.example/{n}", t.encode(), date) for n, t in enumerate(texts))
    write_pages(path, pages)
else:
    with gzip.open(path, "wb", 1) as stream:
        for text in texts:
            stream.write(json.dumps({"text": text}).encode() + b"\\n")
"""
READ = """
import re, sys
from minillm.corpus.opening import Defaults
from minillm.corpus.readers import read_file
from minillm.corpus.sources import Document
def peak():  # of this process alone; getrusage would count what its parent had
    return int(re.search(r"VmHWM:\\s+(\\d+) kB", open("/proc/self/status").read())[1]) * 1024
before, characters = peak(), 0
results = read_file(sys.argv[1], Defaults(source="here"))
for each in (list(results) if sys.argv[2] == "whole" else results):
    assert isinstance(each, Document), each
    characters += len(each.text)
print(characters, before, peak())
"""


def measured_memory(path: Path, size: float, how: str) -> tuple[int, int, int]:
    """(characters read, memory before, memory at the peak) of a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    options = {"check": True, "env": environment, "text": True}
    if not path.exists():
        subprocess.run([sys.executable, "-c", WRITE, str(path), str(size)], **options)
    command = [sys.executable, "-c", READ, str(path), how]
    done = subprocess.run(command, stdout=subprocess.PIPE, **options)
    characters, before, after = map(int, done.stdout.split())
    return characters, before, after


@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.warc"])
def test_thirty_megabytes_are_read_in_half_as_much_memory(tmp_path, name):
    characters, before, after = measured_memory(tmp_path / name, 30e6, "stream")
    assert characters > 28e6
    assert after - before < 15e6


def test_a_reader_that_keeps_everything_is_seen(tmp_path):
    _, before, after = measured_memory(tmp_path / "a.jsonl.gz", 30e6, "whole")
    assert after - before > 28e6


@pytest.mark.proof
@pytest.mark.parametrize("name", ["a.jsonl.gz", "a.warc"])
def test_a_gigabyte_is_read_in_less_than_half_a_gigabyte_of_memory(tmp_path, name, record_property):
    characters, before, after = measured_memory(tmp_path / name, 1.02e9, "stream")
    record_property("peak_memory_mb", round(after / 1e6))
    record_property("allowed_memory_mb", 500)
    assert characters > 0.98e9
    assert after < 500e6 and after - before < 100e6


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("a.csv", b"text;id\na;1\n", "'text;id': a semicolon stands between its columns, and not a "
         "comma; put a comma between them"),
        ("a.csv", b"text\tid\na\t1\n", "a tab stands between .*, and not a comma; name it .tsv"),
        ("a.tsv", b"text,id\na,1\n", "a comma stands between .*, and not a tab; name it .csv"),
        ("a.csv", b"text|id\na|1\n", "a bar stands between"),
    ],
)  # fmt: skip
def test_another_sign_between_columns_is_named(tmp_path, name, content, said):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=f"{name}: its head is one column, .*{said}"):
        list(read_file(tmp_path / name, Defaults(source=name)))


def test_a_head_of_one_column_is_a_table(tmp_path):
    (tmp_path / "a.csv").write_bytes(b"text\nwords; and more\n")
    (found,) = read_file(tmp_path / "a.csv", Defaults(source="a.csv"))
    assert found.text == "words; and more"


@pytest.mark.parametrize("comment", ["%PDFLaTeX runs this\n", "%PDF-related macros\n"])
def test_a_comment_that_begins_like_a_pdf_is_a_text(comment, tmp_path):
    """Of LaTeX, MATLAB or Erlang; a PDF's own first line goes on with its version."""
    assert utf8_text(comment.encode()) == comment
    (tmp_path / "notes.txt").write_text(comment)
    assert read_text_file(str(tmp_path / "notes.txt")) == comment
    with pytest.raises(Unusable, match="no reader for this form"):
        utf8_text(b"%PDF-1.7\n")
