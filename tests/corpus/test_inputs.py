"""Files in every form as the input of a cleaning: what is known of each document is kept."""

import gzip
import json
import random
from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from minillm.core.records import read_json_lines
from minillm.corpus import inputs
from minillm.corpus.inputs import check_inputs, has_documents, input_hashes, labels, read_inputs
from minillm.corpus.pipeline import apply_steps, steps, write_json_lines
from minillm.corpus.sharded import clean_files
from minillm.corpus.shardfolders import json_line
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.webarchive import write_pages
from tests.corpus import planted

DOCUMENTS = [
    Document("own/1", "One.", "mine", "book", "CC0-1.0", "de", "validation", 2, "2026-01-01"),
    Document("own/2", "Two.\n", "mine", "web", "user", "en"),
]
ROW = {"text": "A row.", "licence": "MIT", "language": "fr", "date": "2025-05-05"}
PAGE = (
    '<html lang="en"><head><link rel="license" '
    'href="https://creativecommons.org/publicdomain/zero/1.0/"></head><p>The page {}.</p></html>'
)
URL = "https://a.example/{}"


def lines_of(*records: object) -> bytes:
    return b"".join(each if isinstance(each, bytes) else json_line(each).encode()
                    for each in records)  # fmt: skip


def of_documents(*more: object) -> bytes:
    return lines_of(*more, *map(asdict, DOCUMENTS))


def archive(path: Path, *names: str, text: str = PAGE) -> Path:
    headers = {"Content-Type": "text/html", "WARC-Date": "2026-03-03T00:00:00Z"}
    write_pages(path, [(URL.format(name), text.format(name).encode(), headers) for name in names])
    return path


def written(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def known(document: Document) -> tuple[str, ...]:
    return document.kind, document.licence, document.language, document.date


@pytest.mark.parametrize("name", ["a.jsonl", "a.ndjson", "a", "a.json", "a.jsonl.gz"])
def test_lines_that_are_documents_stay_what_they_are(tmp_path, name):
    content = of_documents(b"\n")
    path = written(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    check_inputs([path])
    assert list(read_inputs([path])) == DOCUMENTS


def test_every_other_form_keeps_what_it_says_of_a_document(tmp_path):
    table = pyarrow.table({name: [value] for name, value in ROW.items()})
    parquet.write_table(table, tmp_path / "c.parquet")
    csv = f"{','.join(ROW)}\n{','.join(ROW.values())}\n".encode()
    paths = [
        written(tmp_path / "a.jsonl", lines_of(ROW)), written(tmp_path / "b.csv.gz",
        gzip.compress(csv)), tmp_path / "c.parquet",
        written(tmp_path / "d.html", PAGE.format("d").encode()),
        archive(tmp_path / "e.warc.gz", "e"), written(tmp_path / "f.txt", b"A text."),
        written(tmp_path / "g", b'A text with "id", and no form.'),
    ]  # fmt: skip
    check_inputs(paths)
    found = list(read_inputs(paths))
    assert [known(each) for each in found] == [
        *[("text", "MIT", "fr", "2025-05-05")] * 3,
        ("web", "CC0-1.0", "en", None), ("web", "CC0-1.0", "en", "2026-03-03T00:00:00Z"),
        *[("text", "unknown", "unknown", None)] * 2,
    ]  # fmt: skip
    assert [each.source for each in found] == [path.name for path in paths]
    assert found[4].id == URL.format("e") and len({each.id for each in found}) == len(paths)


@pytest.mark.parametrize("number", [0, 1, 2])
def test_a_line_that_is_not_utf_8_costs_itself_wherever_it_stands(tmp_path, number):
    lines = [json_line(asdict(each)).encode() for each in DOCUMENTS]
    lines.insert(number, b'{"id": "\xff"}\n')
    path = written(tmp_path / "a.jsonl", b"".join(lines))
    check_inputs([path])
    found = list(read_inputs([path]))
    assert [each for each in found if isinstance(each, Document)] == DOCUMENTS
    assert found[number].reason == f"a.jsonl, record {number + 1}: not UTF-8"


@pytest.mark.parametrize(
    ("wrong", "found", "allowed"),
    [
        ({"url": "x"}, "url is 'x'", "only id, text, source, kind, licence, language, split, "),
        ({"url": "x" * 99}, f"url is '{'x' * 59}…", "level, date; leave url out"),
        ({"id": 5}, "id is 5", "a text"),
        ({"text": ["x"]}, "text is ['x']", "a text"),
        ({"licence": None}, "licence is None", "a text"),
        ({"split": "test"}, "split is 'test'", "train or validation"),
        ({"split": ["train"]}, "split is ['train']", "train or validation"),
        ({"level": "2"}, "level is '2'", "a whole number, or null"),
        ({"level": True}, "level is True", "a whole number, or null"),
        ({"date": 2026}, "date is 2026", "a text"),
    ],
)
def test_a_wrong_field_is_named_with_its_value_and_the_remedy(
    tmp_path, wrong: Mapping[str, object], found: str, allowed: str
):
    path = written(tmp_path / "a.jsonl", of_documents(asdict(DOCUMENTS[0]) | wrong))
    fault, *others = read_inputs([path])
    assert others == DOCUMENTS and fault.reason == "a.jsonl, record 1: no document"
    assert fault.value == found and allowed in fault.limit


def test_a_missing_field_and_half_a_character_are_named(tmp_path):
    less = {name: value for name, value in asdict(DOCUMENTS[0]).items() if name != "licence"}
    half = asdict(replace(DOCUMENTS[0], source="\ud800"))
    lines = of_documents(less, json.dumps(half).encode() + b"\n", b"[]\n")
    first, second, third, *others = read_inputs([written(tmp_path / "a.jsonl", lines)])
    assert others == DOCUMENTS
    assert first.value == "licence is missing" and "language, all texts" in first.limit
    assert second.reason.endswith("record 2: its source is no Unicode")
    assert third.value == "a list"


def test_a_page_that_was_visited_again_is_another_document(tmp_path):
    first = archive(tmp_path / "1.warc.gz", "a", "b", "a", "a")
    again = archive(tmp_path / "2.warc.gz", "a")
    assert [each.id for each in read_inputs([first, again])] == [
        URL.format(name) for name in ("a", "b", "a#2", "a#3", "a#4")
    ]  # fmt: skip
    lines = lines_of(asdict(replace(DOCUMENTS[0], id=URL.format("a#2"))))
    taken = written(tmp_path / "a.jsonl", lines)
    assert [each.id for each in read_inputs([taken, first])][3:] == [URL.format("a#3"),
                                                                     URL.format("a#4")]  # fmt: skip
    with pytest.raises(ValueError, match="documents 2 and 4 of the input both have the id"):
        list(read_inputs([first, taken]))


def test_a_robots_file_in_any_archive_speaks_of_the_pages_in_all(tmp_path):
    pages = archive(tmp_path / "1.warc.gz", "a")
    (tmp_path / "other").mkdir()
    rules = "User-agent: *\nDisallow: /a"
    robots = archive(tmp_path / "other" / "2.warc.gz", "robots.txt", text=rules)
    (free,), (refused,) = read_inputs([pages]), read_inputs([pages, robots])
    assert refused.text == f"{refused.text.partition('>')[0]}>\n{free.text}"
    assert [each.step for each in apply_steps([free, refused], steps())[1]] == [
        "permission", "length"]  # fmt: skip


def test_the_hashes_see_names_contents_and_what_robots_say_beside(tmp_path):
    path = written(tmp_path / "a.txt", b"A text.")
    seen = [input_hashes([path])]
    seen.append(input_hashes([written(path, b"Another.")]))
    seen.append(input_hashes([path.rename(tmp_path / "a.csv")]))
    pages = archive(tmp_path / "1.warc.gz", "a")
    seen.append(input_hashes([pages]))
    archive(tmp_path / "robots.warc.gz", "robots.txt", text="User-agent: *")
    seen += [input_hashes([pages]), input_hashes([pages, tmp_path / "robots.warc.gz"])]
    archive(tmp_path / "robots.warc.gz", "robots.txt", text="Disallow: /")
    seen.append(input_hashes([pages]))
    assert len({json.dumps(each) for each in seen}) == len(seen) - 1
    assert [len(each) for each in seen] == [1, 1, 1, 1, 2, 2, 2]
    assert seen[4] == seen[5], "named or not, it is heard once"


def test_a_broken_off_cleaning_goes_on_unless_what_robots_say_is_another(tmp_path):
    pages, out = archive(tmp_path / "1.warc.gz", *map(str, range(9))), tmp_path / "out"

    def reused() -> int:
        """The number of shards that a run which breaks off at its second walk found and used."""
        with planted.broken_off_after_one_walk() as counts, pytest.raises(RuntimeError):
            clean_files([pages], out, num_shards=2)
        return counts[0]["reused"]

    assert [reused(), reused()] == [0, 2]
    rules = "User-agent: *\nDisallow: /"
    archive(tmp_path / "robots.warc.gz", "robots.txt", text=rules)
    assert [reused(), reused()] == [0, 2]
    made = clean_files([pages], out, num_shards=2)
    assert made.figures["rejected_by_step"] == {"permission": 9}
    (tmp_path / "robots.warc.gz").unlink()
    made = clean_files([pages], out, num_shards=3)
    assert "permission" not in made.figures["rejected_by_step"]


def test_a_file_that_cannot_be_read_costs_itself_among_others_and_is_an_error_alone(tmp_path):
    good = written(tmp_path / "a.jsonl", of_documents())
    noise = random.Random(0).randbytes(5000)
    for name, said in (("b.warc.gz", "no record begins"), ("b.parquet", "not a whole Parquet"),
                       ("b.csv", "columns are"), ("b.jsonl", "not UTF-8"),
                       ("b.txt", "not UTF-8"), ("b.jsonl.gz", "damaged or cut off")):  # fmt: skip
        bad = written(tmp_path / name, noise)
        found = list(read_inputs([bad, good]))
        faults = [each for each in found if isinstance(each, Rejection)]
        assert [each for each in found if isinstance(each, Document)] == DOCUMENTS
        assert faults[0].step == "read" and faults[0].source == name
        words = f"{name}: no record gives a document; the first: {name}.*{said}"
        with pytest.raises(ValueError, match=words):
            clean_files([bad], tmp_path / "out")
        assert not (tmp_path / "out").exists()


def test_packed_documents_that_were_cut_off_keep_what_can_be_read(tmp_path):
    many = [replace(DOCUMENTS[0], id=str(number), text=random.Random(number).randbytes(99).hex())
            for number in range(200)]  # fmt: skip
    whole = gzip.compress(lines_of(*map(asdict, many)))
    found = list(read_inputs([written(tmp_path / "a.jsonl.gz", whole[: len(whole) // 2])]))
    assert 0 < len(found) < 150 and found[:-1] == many[: len(found) - 1]
    assert "damaged or cut off" in found[-1].reason


def test_rows_are_no_documents_though_they_speak_of_their_fields(tmp_path):
    row = {"text": 'of "id", "source", "kind", "licence" and "language"'}
    path = written(tmp_path / "a.jsonl", lines_of(row, b'"id text source kind licence language"\n'))
    assert not has_documents(path)
    found = list(read_inputs([path]))
    assert found[0].text == row["text"] and isinstance(found[1], Rejection)


def test_what_holds_no_document_costs_itself_among_others(tmp_path):
    good = written(tmp_path / "good.jsonl", of_documents())
    for name, content, said in (
        ("a.pdf", b"%PDF", "no reader for .pdf; there are .csv"),
        ("b.xyz", b"%PDF-1.7\n", "no reader for this form"),
        ("a.png", b"\x89PNG\r\n\x1a\n", "no reader for this form"),
        ("a.json", lines_of(ROW), "no reader for .json"),
        ("a.txt", b" \n", "a.txt: only white space"), ("a.jsonl", b"", "a.jsonl: an empty file"),
        ("b.jsonl", b"\n\n", "b.jsonl: only white space"),
    ):  # fmt: skip
        bad = written(tmp_path / name, content)
        fault, *others = read_inputs([bad, good])
        assert others == DOCUMENTS and said in fault.reason
        assert (fault.step, fault.source) == ("read", name)
        with pytest.raises(ValueError, match=f"{name}: no record gives a document; the first: "):
            clean_files([bad], tmp_path / "out")
        assert {each.name for each in tmp_path.iterdir()} == {"good.jsonl", name}
        bad.unlink()


def test_all_that_is_no_file_is_named_at_once(tmp_path):
    good = written(tmp_path / "a.txt", b"A text.")
    paths = [tmp_path / "gone", good, tmp_path, Path("/dev/null"), Path("https://a.example/b")]
    with pytest.raises(FileNotFoundError) as caught:
        check_inputs(paths)
    said = str(caught.value)
    for words in (f"{tmp_path / 'gone'}: there is no such file; check the path",
                  f"{tmp_path}: a folder; give the files in it", "/dev/null: not a regular file; ",
                  "a.example/b: there is no such file; only files are taken: fetch it first"):
        assert said.count(words) == 1
    assert "a.txt" not in said


def test_a_suffix_that_says_nothing_is_a_texts(tmp_path):
    (found,) = read_inputs([written(tmp_path / "a.xyz", b"A text.")])
    assert (found.text, found.kind) == ("A text.", "text")


def test_files_of_one_name_are_told_apart_and_others_keep_their_ids(tmp_path):
    paths = []
    for folder in ("1/x", "1/y", "2/x"):
        (tmp_path / folder).mkdir(parents=True)
        paths.append(written(tmp_path / folder / "a.jsonl", lines_of(ROW, b"broken\n")))
    alone = written(tmp_path / "b.txt", b"A text.")
    given = [*paths, alone, paths[0]]
    assert labels(given) == [*labels(paths), "b.txt", "1/x/a.jsonl"]
    assert labels(paths) == ["1/x/a.jsonl", "y/a.jsonl", "2/x/a.jsonl"]
    found = list(read_inputs(given))
    kept = [each.id for each in found if isinstance(each, Document)]
    assert kept == ["1/x/a.jsonl/a.jsonl#1", "y/a.jsonl/a.jsonl#1", "2/x/a.jsonl/a.jsonl#1",
                    "b.txt/b.txt", "1/x/a.jsonl/a.jsonl#1#2"]  # fmt: skip
    faults = [each for each in found if isinstance(each, Rejection)][:2]
    reason = "{}, record 2: not a JSON object"
    assert [each.reason for each in faults] == list(map(reason.format, labels(paths)[:2]))
    assert [each[0] for each in input_hashes(given)] == labels(given)
    assert labels([alone]) == ["b.txt"] and labels([]) == []


def test_long_documents_are_read_and_endless_lines_are_not(tmp_path, monkeypatch):
    monkeypatch.setattr(inputs, "MAX_LINE_BYTES", 400)
    long = asdict(replace(DOCUMENTS[0], text="x" * 400))
    fault, *others = read_inputs([written(tmp_path / "a.jsonl", of_documents(long))])
    assert others == DOCUMENTS and "too long" in fault.reason


def test_any_form_is_cleaned_as_one_process_cleans_it(tmp_path):
    paths = [
        archive(tmp_path / "1.warc.gz", *map(str, range(9))),
        written(tmp_path / "2.jsonl", lines_of(*[ROW] * 5, b"broken\n")),
        written(tmp_path / "3.jsonl", of_documents(b"broken\n")),
        written(tmp_path / "4.txt", b"A text of a few words."),
    ]  # fmt: skip
    found = list(read_inputs(paths))
    documents = [each for each in found if isinstance(each, Document)]
    kept, rejected = apply_steps(documents, steps())
    write_json_lines(tmp_path / "kept", kept)
    faults = [each for each in found if isinstance(each, Rejection)]
    write_json_lines(tmp_path / "rejected", [*faults, *rejected])
    assert len(faults) == 2 and len(documents) == 17
    for name, engine, workers, num_shards in (("a", "local", None, 1), ("b", "processes", 2, 3)):
        made = clean_files(
            paths, tmp_path / name, engine=engine, workers=workers, num_shards=num_shards
        )
        assert made.figures["rejected_by_step"]["read"] == 2
        for one, file in (("kept", "documents.jsonl"), ("rejected", "rejected.jsonl")):
            assert (made.path / file).read_bytes() == (tmp_path / one).read_bytes()
    assert len(list(read_json_lines(tmp_path / "a" / "rejected.jsonl"))) == len(faults + rejected)
