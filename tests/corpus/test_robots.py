"""A site's robots.txt is heeded wherever in a crawl it stands, by one process and by many."""

import gzip
import io
import random
import re
import warnings
from collections.abc import Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict
from functools import partial
from itertools import permutations
from multiprocessing import get_context
from pathlib import Path

import pytest
from fastwarc.stream_io import GzipWriter
from fastwarc.warc import WarcRecord, WarcRecordType

from minillm.corpus import robots, webarchive
from minillm.corpus.ownfiles import read_own_file, read_own_files
from minillm.corpus.pipeline import apply_steps, steps
from minillm.corpus.robots import Answer, robots_in, said_by_site
from minillm.corpus.sharded import clean_files
from minillm.corpus.shardfolders import id_hash, json_line
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.webarchive import read_pages

ROBOTS = """User-agent: *
Disallow: /private
Allow: /private/open

User-agent: GPTBot
Disallow: /x"""
PATHS = ("/a", "/private/1", "/private/open/1", "/x/1", "/private")
REFUSED = {
    "https://a.example/private/1": "minillm", "https://a.example/private": "minillm",
    "https://a.example/x/1": "gptbot",
}  # fmt: skip
PRIVATE = "User-agent: *\nDisallow: /private"
OK = "200 OK"
Entry = tuple[str, bytes, str, Mapping[str, str]]  # address, body, status, WARC headers


def page(url: str) -> Entry:
    link = '<link rel="license" href="https://creativecommons.org/publicdomain/zero/1.0/">'
    words = f"The letter of {url} says that the market was full and that all went home at night."
    return url, f'<html lang="en"><head>{link}</head><p>{words}</p></html>'.encode(), OK, {}


def answer(
    text: str, site: str = "https://a.example", status: str = OK, date: str = "2026-02-01T00:00:00Z"
) -> Entry:
    return f"{site}/robots.txt", text.encode(), status, {"WARC-Date": date}


PAGES = [page(f"https://a.example{path}") for path in PATHS]
OTHERS = [page("https://b.example/private/1"), page("http://a.example:8080/private/1")]


def write(path: Path, entries: Sequence[Entry], kind: str = "text/plain") -> Path:
    out = io.BytesIO()
    packed = GzipWriter(out)
    for url, body, status, headers in entries:
        record = WarcRecord()
        record.init_headers(record_type=WarcRecordType.response, record_urn=b"uuid:1")
        record.headers["WARC-Target-URI"] = url
        record.headers["Content-Type"] = "application/http; msgtype=response"
        for name, value in headers.items():
            record.headers[name] = value
        content = "text/html" if body.startswith(b"<html") else kind
        head = f"HTTP/1.1 {status}\r\nContent-Type: {content}\r\n\r\n"
        record.set_bytes_content(head.encode() + body)
        record.write(packed, checksum_data="WARC-Block-Digest" not in headers)
        packed.finish()
    packed.close()
    path.write_bytes(out.getvalue())
    return path


def read_all(path: Path, said: Mapping[str, str | None]) -> list[Document | Rejection]:
    return list(read_pages(path, None, said))


def refused(results: Sequence[Document | Rejection]) -> dict[str, str]:
    """Address → who is turned away, of what the steps reject for robots.txt; nothing else is."""
    assert [each for each in results if isinstance(each, Rejection)] == []
    _, rejected = apply_steps(results, {"permission": steps()["permission"]})
    assert all(each.step == "permission" for each in rejected)
    assert all("robots.txt" in each.reason for each in rejected)
    return {each.id: each.reason.split()[-2] for each in rejected}


@pytest.mark.parametrize("place", [0, 3, len(PAGES)])
def test_a_robots_file_speaks_of_pages_before_and_behind_it(tmp_path, place):
    entries = [*PAGES[:place], answer(ROBOTS), *PAGES[place:], *OTHERS]
    results = list(read_pages(write(tmp_path / "a.warc.gz", entries)))
    assert [each.id for each in results] == [url for url, *_ in [*PAGES, *OTHERS]]
    assert refused(results) == REFUSED


def test_a_single_pass_is_seen_to_miss_what_stands_before_the_file(tmp_path, monkeypatch):
    """The planted bug: only what has been read so far is known."""
    path = write(tmp_path / "a.warc.gz", [*PAGES, answer(ROBOTS)])
    assert refused(list(read_pages(path))) == REFUSED
    monkeypatch.setattr(webarchive, "robots_in", lambda paths: {})
    assert refused(list(read_pages(path))) == {}


def test_the_file_may_stand_in_an_archive_beside_or_in_another_of_the_crawl(tmp_path):
    pages = write(tmp_path / "pages.warc.gz", PAGES)
    assert refused(list(read_pages(pages))) == {}
    write(tmp_path / "robotstxt.warc.gz", [answer(ROBOTS)])
    assert refused(list(read_pages(pages))) == REFUSED
    folder = tmp_path / "crawl"
    folder.mkdir()
    first, last = write(folder / "1.warc.gz", PAGES[:2]), write(folder / "2.warc.gz", PAGES[2:])
    other = write(folder / "3.warc.gz", [*OTHERS, answer(ROBOTS)])
    for paths in permutations((first, last, other)):
        said = robots_in(paths)
        assert refused([each for path in paths for each in read_all(path, said)]) == REFUSED
    assert refused([each for path in (first, last) for each in read_pages(path)]) == {}


def test_a_page_that_is_turned_away_differs_by_one_mark_alone(tmp_path):
    plain = list(read_pages(write(tmp_path / "a.warc.gz", PAGES)))
    heard = list(read_pages(write(tmp_path / "b.warc.gz", [*PAGES, answer(ROBOTS)])))
    for before, after in zip(plain, heard, strict=True):
        mark, _, rest = after.text.rpartition('">\n<html')
        assert before.text == (f"<html{rest}" if mark else after.text)
        assert bool(mark) == (after.id in REFUSED)
    said = 'content="robots.txt of a.example turns minillm away">'
    assert heard[1].text.splitlines()[0] == f'<meta name="robots.txt" {said}'


@pytest.mark.parametrize(
    ("status", "num_refused"),
    [("404 Not Found", 0), ("403 Forbidden", 0), ("301 Moved", 0), ("503 Busy", len(PAGES)),
     ("500 Broken", len(PAGES)), ("204 No Content", 0), ("206 Partial Content", 3),
     ("203 Through A Proxy", 3), ("199 Odd", len(PAGES))],
)  # fmt: skip
def test_a_missing_file_allows_and_a_failing_server_forbids(tmp_path, status, num_refused):
    entries = [*PAGES, answer("" if "204" in status else PRIVATE, status=status)]
    found = refused(list(read_pages(write(tmp_path / "a.warc.gz", entries))))
    assert len(found) == num_refused


def test_the_newest_answer_counts_and_any_answer_more_than_a_failure(tmp_path):
    old, new = answer("User-agent: *\nDisallow: /", date="2025-12-31T00:00:00Z"), answer(ROBOTS)
    failed = answer("", status="503 Busy", date="2026-03-01T00:00:00Z")
    for number, entries in enumerate(permutations((old, new, failed))):
        path = write(tmp_path / f"{number}.warc.gz", [*PAGES, *entries])
        assert refused(list(read_pages(path))) == REFUSED
    pairs = [("h", Answer(True, "2", "b")), ("h", Answer(True, "1", "c"))]
    pairs.append(("i", Answer(False, "", "")))
    assert said_by_site(pairs) == said_by_site(pairs[::-1]) == {"h": "b", "i": None}


def test_a_page_with_a_broken_port_is_read_without_a_mark(tmp_path):
    url = "https://a.example:99999/private/1"
    path = write(tmp_path / "a.warc.gz", [page(url), answer(ROBOTS)])
    (found,) = read_pages(path)
    assert found.id == url and found.text == page(url)[1].decode()


def test_no_robots_file_is_a_document_and_no_other_address_is_one(tmp_path):
    paths = ("/robots.txt?x=1", "/x/robots.txt")
    addresses = (*(f"https://a.example{path}" for path in paths), "robots.txt")
    files = [answer(ROBOTS), answer("", "https://c.example"), page("https://c.example/robots.txt")]
    entries = [*files, *map(page, addresses)]
    path = write(tmp_path / "a.warc.gz", entries)
    results = list(read_pages(path))
    assert [each.id for each in results] == list(addresses)
    assert set(robots_in([path])) == {"a.example", "c.example"}


@pytest.mark.parametrize("harm", ["another digest", "bytes"])
def test_a_damaged_file_is_listed_and_forbids_if_its_head_can_be_read(tmp_path, harm):
    url, body, status, headers = answer(ROBOTS)
    wrong = {"WARC-Block-Digest": f"sha1:{'A' * 32}"} if harm == "another digest" else {}
    path = write(tmp_path / "a.warc.gz", [(url, body, status, headers | wrong), *PAGES])
    if harm == "bytes":
        data = bytearray(path.read_bytes())
        data[200:203] = b"xyz"
        path.write_bytes(data)
    fault, *pages = read_pages(path)
    assert fault.reason == "a.warc.gz, record 1: damaged or cut off"
    assert robots_in([path]) == ({"a.example": None} if wrong else {})
    assert len(refused(pages)) == (len(PAGES) if wrong else 0)


def test_of_a_file_without_end_the_beginning_is_heard(tmp_path):
    long = "User-agent: *\nDisallow: /a\n" + "#" * robots.MAX_ROBOTS_BYTES + "\nDisallow: /private"
    path = write(tmp_path / "a.warc.gz", [answer(long), *PAGES])
    assert robots_in([path]) == {"a.example": "User-agent: *\nDisallow: /a\n"}
    assert refused(list(read_pages(path))) == {"https://a.example/a": "minillm"}


def test_of_a_line_that_the_limit_cuts_nothing_is_heard(tmp_path, monkeypatch):
    text = "User-agent: *\nDisallow: /\nAllow: /private"
    said = {"a.example": text.replace("private", "")}
    whole = write(tmp_path / "a.warc.gz", [answer(text), *PAGES])
    assert set(refused(list(read_pages(whole)))) == {each[0] for each in PAGES[:1] + PAGES[3:4]}
    monkeypatch.setattr(robots, "MAX_ROBOTS_BYTES", len(text) - len("private"))
    path = write(tmp_path / "b.warc.gz", [answer(text), *PAGES])
    assert len(refused(list(read_pages(path)))) == len(PAGES)
    assert refused(read_all(path, said)) == {}, "half a line says the contrary"
    url, body, status, headers = answer(text[: -len("private")])
    cut = [(url, body, status, headers | {"WARC-Truncated": "length"}), *PAGES]
    assert len(refused(list(read_pages(write(tmp_path / "c.warc.gz", cut))))) == len(PAGES)
    monkeypatch.setattr(robots, "MAX_ROBOTS_BYTES", len(text))
    assert robots_in([whole]) == {"a.example": text}


def in_brackets(data: bytes) -> bytes:
    """An archive as wget 1.19 to 1.21 writes it, by the grammar of WARC 1.0."""
    pattern = rb"WARC-Target-URI: ([^\r]*)\r"
    return re.sub(pattern, rb"WARC-Target-URI: <\1>\r", data).replace(b"WARC/1.1", b"WARC/1.0")


def test_an_archive_with_addresses_in_brackets_is_read_like_any_other(tmp_path):
    path = write(tmp_path / "a.warc.gz", [*PAGES, answer(ROBOTS)])
    plain = list(read_pages(path))
    (tmp_path / "b.warc").write_bytes(in_brackets(gzip.decompress(path.read_bytes())))
    assert b"<https://a.example/robots.txt>" in (tmp_path / "b.warc").read_bytes()
    assert list(read_pages(tmp_path / "b.warc")) == plain
    assert refused(plain) == REFUSED


@pytest.mark.parametrize("packed", [False, True])
def test_a_file_that_is_cut_off_is_no_answer(tmp_path, packed):
    """Its beginning may allow what its end forbids."""
    text = f"User-agent: *\nAllow: /\n{random.Random(0).randbytes(2000).hex()}\nDisallow: /"
    body = gzip.compress(text.encode()) if packed else text.encode()
    coded = "Content-Encoding: gzip\r\n" if packed else ""
    block = f"HTTP/1.1 200 OK\r\n{coded}\r\n".encode() + body
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: https://a.example/robots.txt\r\n"
        "WARC-Record-ID: <urn:uuid:1>\r\nContent-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    )
    path = tmp_path / "robots.warc"
    path.write_bytes(head.encode() + block + b"\r\n\r\n")
    assert robots_in([path]) == {"a.example": text}
    path.write_bytes(head.encode() + block[: len(block) // 2])
    assert robots_in([path]) == {"a.example": None}
    (fault,) = read_pages(path)
    assert fault.reason == "robots.warc, record 1: damaged or cut off"
    pages = write(tmp_path / "pages.warc.gz", PAGES)
    assert len(refused(list(read_pages(pages)))) == len(PAGES)


@pytest.mark.parametrize("kind", ["empty", "folder", "dangling", "noise"])
def test_a_neighbour_that_cannot_be_read_is_at_most_a_warning(tmp_path, kind):
    beside, pages = tmp_path / "robots.warc.gz", write(tmp_path / "a.warc.gz", PAGES)
    if kind == "folder":
        beside.mkdir()
    elif kind == "dangling":
        beside.symlink_to(tmp_path / "gone")
    else:
        beside.write_bytes(b"" if kind == "empty" else b"noise" * 99)
    if kind in ("folder", "dangling"):
        with warnings.catch_warnings(action="error"):
            assert refused(list(read_pages(pages))) == {}
        return
    with pytest.warns(UserWarning, match=r"robots.warc.gz: no record .* as if it were not there"):
        assert refused(list(read_pages(pages))) == {}
    with pytest.raises(ValueError, match="no record begins in it"):
        list(read_pages(beside))


def test_a_users_own_archive_loses_the_pages_too(tmp_path):
    path = write(tmp_path / "mine.warc.gz", [*PAGES, answer(ROBOTS)])
    texts, rejected = read_own_file(str(path))
    assert {each.id for each in rejected} == set(REFUSED)
    assert {name for name, _ in texts} == {url for url, *_ in PAGES} - set(REFUSED)


def test_the_file_in_one_of_a_users_archives_holds_for_the_others(tmp_path):
    first = write(tmp_path / "1.warc.gz", PAGES)
    other = write(tmp_path / "2.warc.gz", [*OTHERS, answer(ROBOTS)])
    with pytest.warns(UserWarning, match="3 records rejected"):
        texts, rejected = read_own_files([str(first), str(other)])
    assert {each.id for each in rejected} == set(REFUSED)
    assert len(texts) == len(PAGES) + len(OTHERS) - len(REFUSED)


def test_an_archive_without_a_page_for_us_gives_no_text_and_says_why(tmp_path):
    alone = write(tmp_path / "rob.warc.gz", [answer(ROBOTS)])
    assert read_own_file(str(alone)) == ([], [])
    first = write(tmp_path / "1.warc.gz", PAGES)
    with pytest.warns(UserWarning, match="3 records rejected"):
        texts, rejected = read_own_files([str(first), str(alone)])
    assert len(texts) == len(PAGES) - len(REFUSED) and len(rejected) == len(REFUSED)
    closed = write(tmp_path / "closed.warc.gz", [*PAGES, answer("User-agent: *\nDisallow: /")])
    texts, rejected = read_own_file(str(closed))
    assert texts == [] and [each.step for each in rejected] == ["permission"] * len(PAGES)
    (tmp_path / "a.txt").write_text("A text.")
    with pytest.warns(UserWarning, match=r"closed.* 0 texts \(0 bytes\) kept, 5 records rejected"):
        texts, found = read_own_files([str(tmp_path / "a.txt"), str(closed)])
    assert texts == [("a.txt", "A text.")] and found == rejected
    for path, said in ((closed, "turns minillm away"), (alone, "they hold none")):
        with (
            pytest.raises(ValueError, match=f"none gives a text; .*{said}") as caught,
            warnings.catch_warnings(action="ignore"),
        ):
            read_own_files([str(path)])
        assert "mend" not in str(caught.value)


def test_one_process_several_and_shards_reject_the_same(tmp_path):
    paths = [
        write(tmp_path / "1.warc.gz", PAGES[:3]), write(tmp_path / "2.warc.gz", PAGES[3:]),
        write(tmp_path / "3.warc.gz", [*OTHERS, answer(ROBOTS)]),
    ]  # fmt: skip
    said = robots_in(paths)
    documents = [each for path in paths for each in read_all(path, said)]
    with ProcessPoolExecutor(2, get_context("fork")) as pool:
        by_file = list(pool.map(partial(read_all, said=said), paths))
    assert [each for some in by_file for each in some] == documents
    kept, rejected = apply_steps(documents, steps())
    assert {each.id for each in rejected if each.step == "permission"} == set(REFUSED)
    source = tmp_path / "crawl.jsonl"
    source.write_text("".join(json_line(asdict(each)) for each in documents), encoding="utf-8")
    for name, engine, workers, num_shards in (("a", "local", None, 1), ("b", "processes", 2, 3)):
        artifact = clean_files(
            [source], tmp_path / name, engine=engine, workers=workers, num_shards=num_shards
        )
        assert artifact.figures["id_hash"] == id_hash([*kept, *rejected])
        assert artifact.figures["rejected_by_step"]["permission"] == len(REFUSED)
