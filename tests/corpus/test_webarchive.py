"""Pages go into a web archive and come out again, also past whatever damage it has taken."""

import errno
import gzip
import io
import os
import random
import time
from pathlib import Path

import pytest
from fastwarc.stream_io import GzipWriter
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from minillm.corpus import markup, opening, warcrecords
from minillm.corpus.clean import html_to_text
from minillm.corpus.markup import commons_licence, decoded_page, depth_of, main_text, page_licence
from minillm.corpus.opening import Defaults, Unusable
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.webarchive import read_pages, write_pages

ONE_FOLDER = HealthCheck.function_scoped_fixture  # every example writes its file anew
HEADERS = {
    "Content-Type": "text/html; charset=utf-8",
    "Date": "Mon, 02 Feb 2026 10:00:00 GMT",
}
SUFFIXES = (".warc", ".warc.gz")
NUM_PAGES = 6


def page(number: int, num_bytes: int = 2000) -> bytes:
    noise = random.Random(number).randbytes(num_bytes // 2).hex()
    return f"<html lang='en'><body><p>Page {number}: é {noise}</p></body></html>".encode()


PAGES = [(f"https://a.example/{number}", page(number), HEADERS) for number in range(NUM_PAGES)]


@pytest.fixture(params=SUFFIXES)
def archive(tmp_path, request) -> Path:
    path = tmp_path / f"a{request.param}"
    assert write_pages(path, PAGES) == NUM_PAGES
    return path


def starts_of(path: Path) -> list[int]:
    with open(path, "rb") as stream:
        return [record.stream_pos for record in ArchiveIterator(stream)]


def numbers_of(results) -> list[int]:
    return [int(each.id.rpartition("/")[2]) for each in results if isinstance(each, Document)]


def faults_of(results) -> list[Rejection]:
    return [each for each in results if isinstance(each, Rejection)]


def one(tmp_path, page: bytes, headers=HEADERS, url="https://a.example/x") -> Document | Rejection:
    write_pages(tmp_path / "one.warc.gz", [(url, page, headers)])
    (found,) = read_pages(tmp_path / "one.warc.gz")
    return found


def raw_archive(*blocks: tuple[str, bytes, dict[str, str]]) -> bytes:
    """An archive of records as other people's crawlers might write them."""
    out = io.BytesIO()
    packed = GzipWriter(out)
    for kind, content, headers in blocks:
        record = WarcRecord()
        record.init_headers(record_type=getattr(WarcRecordType, kind), record_urn=b"uuid:1")
        for name, value in headers.items():
            record.headers[name] = value
        record.set_bytes_content(content)
        record.write(packed)
        packed.finish()
    packed.close()
    return out.getvalue()


HTTP = {
    "Content-Type": "application/http; msgtype=response",
    "WARC-Target-URI": "https://a.example/r",
}


def test_pages_come_back_with_address_date_and_language(archive):
    found = list(read_pages(archive))
    assert [each.text.encode() for each in found] == [page for _, page, _ in PAGES]
    first = found[0]
    assert (first.id, first.source) == ("https://a.example/0", "a.example")
    assert (first.kind, first.language, first.licence) == ("web", "en", "unknown")
    assert first.date == "2026-02-02T10:00:00Z"
    named = next(read_pages(archive, Defaults(source="crawl", licence="CC0-1.0")))
    assert (named.source, named.licence) == ("crawl", "CC0-1.0")


def test_equal_pages_give_equal_bytes(archive, tmp_path):
    other = tmp_path / f"other{''.join(archive.suffixes)}"
    write_pages(other, iter(PAGES))
    assert other.read_bytes() == archive.read_bytes()


def test_an_archive_is_one_that_others_read(archive):
    with open(archive, "rb") as stream:
        for number, record in enumerate(ArchiveIterator(stream, verify_digests=True)):
            assert record.headers["WARC-Target-URI"] == f"https://a.example/{number}"
            assert record.http_content_type == "text/html"
            assert record.reader.read() == page(number)
    assert number == NUM_PAGES - 1
    data = archive.read_bytes()
    plain = gzip.decompress(data) if archive.suffix == ".gz" else data
    assert plain.startswith(b"WARC/1.1\r\n") and plain.count(b"\r\nWARC-Record-ID: ") == NUM_PAGES


@settings(max_examples=60, deadline=None, suppress_health_check=[ONE_FOLDER])
@given(st.lists(st.text(st.characters(exclude_categories=["Cs"])), min_size=1, max_size=4))
def test_every_page_of_utf8_comes_back(tmp_path, texts):
    pages = [(f"https://a.example/{n}", t.encode(), HEADERS) for n, t in enumerate(texts)]
    write_pages(tmp_path / "a.warc.gz", pages)
    found = list(read_pages(tmp_path / "a.warc.gz"))
    assert len(found) == len(texts)
    for text, each in zip(texts, found, strict=True):
        text = text.removeprefix("\ufeff")
        assert each.text == text if text.strip() else isinstance(each, Rejection)


# Damage


def test_a_damaged_record_costs_itself_alone_wherever_it_is_damaged(archive):
    data, starts = archive.read_bytes(), starts_of(archive)
    for damaged in range(NUM_PAGES):
        for offset in (0, 1, 5, 30, 300, 1500):
            broken = bytearray(data)
            place = starts[damaged] + offset
            broken[place : place + 9] = b"\x00XYZ\xffabc"
            archive.write_bytes(broken)
            found = list(read_pages(archive))
            assert numbers_of(found) == [n for n in range(NUM_PAGES) if n != damaged]
            (fault,) = faults_of(found)
            assert fault.reason == f"{archive.name}, record {damaged + 1}: damaged or cut off"


def test_two_damaged_records_side_by_side_cost_themselves_alone(archive):
    data, starts = bytearray(archive.read_bytes()), starts_of(archive)
    for number in (2, 3):
        data[starts[number] + 300 : starts[number] + 310] = b"x" * 10
    archive.write_bytes(data)
    found = list(read_pages(archive))
    assert numbers_of(found) == [0, 1, 4, 5] and len(faults_of(found)) in (1, 2)


def test_an_archive_that_is_cut_off_says_so_after_what_it_has(archive):
    data, last = archive.read_bytes(), starts_of(archive)[-1]
    for end in (last + 2, last + 30, last + 800):
        archive.write_bytes(data[:end])
        found = list(read_pages(archive))
        assert numbers_of(found) == list(range(NUM_PAGES - 1))
        assert "damaged or cut off" in faults_of(found)[-1].reason
    archive.write_bytes(data[:last])
    assert numbers_of(list(read_pages(archive))) == list(range(NUM_PAGES - 1))


def test_the_library_alone_is_seen_to_lose_the_end_silently(archive):
    data, last = archive.read_bytes(), starts_of(archive)[-1]
    archive.write_bytes(data[: last + 30])
    with open(archive, "rb") as stream:
        whole = [record for record in ArchiveIterator(stream) if record.content_length]
    assert len(whole) == NUM_PAGES - 1, "and no error: only is_whole finds it"
    assert len(faults_of(list(read_pages(archive)))) >= 1


def test_a_reader_that_does_not_start_again_is_seen_to_lose_the_rest(archive, monkeypatch):
    data = bytearray(archive.read_bytes())
    place = starts_of(archive)[1]
    data[place : place + 5] = b"xxxxx"
    archive.write_bytes(data)
    assert numbers_of(list(read_pages(archive))) == [0, 2, 3, 4, 5]
    first = warcrecords.next_record
    monkeypatch.setattr(warcrecords, "next_record", lambda s, at: None if at else first(s, at))
    assert numbers_of(list(read_pages(archive))) == [0]


def test_a_changed_letter_is_found_by_the_digest(tmp_path):
    path = tmp_path / "a.warc"
    write_pages(path, PAGES[:1])
    path.write_bytes(path.read_bytes().replace(b"Page 0", b"Page 8"))
    (found,) = read_pages(path)
    assert isinstance(found, Rejection) and found.value == "another digest"


@pytest.mark.parametrize("data", [b"", b"no archive\n" * 99, b"\x1f\x8b\x08nothing"])
def test_a_file_without_any_record_is_an_error_that_names_it(tmp_path, data):
    (tmp_path / "a.warc.gz").write_bytes(data)
    with pytest.raises(ValueError, match=r"a.warc.gz: no record begins in it; give a WARC file"):
        list(read_pages(tmp_path / "a.warc.gz"))


def test_records_without_a_page_are_rejected_with_their_reason(tmp_path):
    ok = b"HTTP/1.1 200 OK\r\n"
    bomb = ok + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"a" * 9_000_000)
    data = raw_archive(
        ("response", b"", HTTP),
        ("response", ok + b"\r\n", HTTP),
        ("response", b"HTTP/1.1 404 Not Found\r\n\r\n<p>no</p>", HTTP),
        ("response", ok + b"Content-Type: image/png\r\n\r\n\x89PNG", HTTP),
        ("response", b"no http at all", HTTP),
        ("response", ok + b"\r\n" + b"a" * 8_000_001, HTTP),
        ("response", bomb, HTTP),
        ("request", b"GET / HTTP/1.1\r\n\r\n", HTTP),
        ("warcinfo", b"software: x\r\n", {}),
        ("response", ok + b"Content-Encoding: gzip\r\n\r\n" + gzip.compress(b"<p>fine"), HTTP),
        ("resource", b"<p>plain", {"Content-Type": "text/html", "WARC-Target-URI": "https://b/"}),
    )
    (tmp_path / "a.warc.gz").write_bytes(data)
    found = list(read_pages(tmp_path / "a.warc.gz"))
    assert [each.text for each in found if isinstance(each, Document)] == ["<p>fine", "<p>plain"]
    assert [each.reason.partition(": ")[2] for each in faults_of(found)] == [
        "an empty record", "an empty page", "not found by the server", "not HTML",
        "not found by the server", "too long for a page", "too long for a page when unpacked",
    ]  # fmt: skip
    assert faults_of(found)[2].value == "status 404"
    assert [each.id for each in faults_of(found)] == [f"a.warc.gz#{n}" for n in range(1, 8)]


def test_a_broken_address_costs_its_page_alone(tmp_path):
    pages = [PAGES[0], ("http://[broken/1", *PAGES[1][1:]), PAGES[2]]
    write_pages(tmp_path / "a.warc.gz", pages)
    results = list(read_pages(tmp_path / "a.warc.gz"))
    assert numbers_of(results) == [0, 2]
    assert [each.reason for each in faults_of(results)] == ["a.warc.gz, record 2: a broken address"]


def test_an_archive_in_a_single_gzip_member_is_read_too(tmp_path):
    write_pages(tmp_path / "a.warc", PAGES)
    data = gzip.compress((tmp_path / "a.warc").read_bytes())
    (tmp_path / "a.warc.gz").write_bytes(data)
    assert numbers_of(list(read_pages(tmp_path / "a.warc.gz"))) == list(range(NUM_PAGES))


# Writing


class FullDisk(io.FileIO):
    """A file on a disk that has room for five kilobytes."""

    def write(self, data) -> int:
        if self.tell() + len(data) > 5000:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return super().write(data)


def test_on_a_full_disk_nothing_half_written_stays(archive, monkeypatch):
    earlier = archive.read_bytes()
    monkeypatch.setattr(opening, "open", lambda path, mode: FullDisk(path, mode), raising=False)
    with pytest.raises(OSError, match="No space left"):
        write_pages(archive, PAGES)
    assert archive.read_bytes() == earlier
    assert list(archive.parent.iterdir()) == [archive]


def test_a_fault_in_the_pages_leaves_nothing(tmp_path):
    def pages():
        yield PAGES[0]
        raise RuntimeError("no more")

    with pytest.raises(RuntimeError):
        write_pages(tmp_path / "a.warc.gz", pages())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["https://a.example/\r\nX: y", "https://a.example/\0"])
def test_an_address_cannot_write_headers(tmp_path, url):
    with pytest.raises(ValueError, match="a line end in its address or headers; leave it out"):
        write_pages(tmp_path / "a.warc", [(url, b"x", {})])


def test_a_page_without_any_header_is_a_page(tmp_path):
    found = one(tmp_path, b"<p>words</p>", {"WARC-Date": "2026-01-01T00:00:00Z"})
    assert isinstance(found, Document) and found.date == "2026-01-01T00:00:00Z"


# Encodings and marks


@pytest.mark.parametrize(
    ("charset", "header", "meta"),
    [
        ("utf-8", "utf-8", None), ("utf-8", None, "utf-8"), ("utf-8", None, None),
        ("utf-8", "iso-8859-1", None),  # a server's careless default
        ("latin-1", "iso-8859-1", None), ("cp1252", None, "windows-1252"),
        ("latin-1", "utf-8", None),
        ("koi8-r", "koi8-r", None), ("koi8-r", None, "koi8-r"),
        ("shift_jis", "Shift_JIS", None), ("euc-jp", None, "EUC-JP"), ("gbk", "gb2312", None),
        ("koi8-r", "no-such-charset", "koi8-r"),
    ],
)  # fmt: skip
def test_a_page_is_decoded_by_header_then_meta_then_its_bytes(tmp_path, charset, header, meta):
    said = {"koi8-r": "Однажды утром", "shift_jis": "ある朝のこと", "euc-jp": "ある朝のこと",
            "gbk": "有一天早上"}.get(charset, "Grüße aus Málaga")  # fmt: skip
    tag = f'<meta charset="{meta}">' if meta else ""
    text = f"<html><head>{tag}</head><p>{said} 1.</p></html>"
    kind = "text/html" + (f"; charset={header}" if header else "")
    found = one(tmp_path, text.encode(charset), HEADERS | {"Content-Type": kind})
    assert found.text == text


def test_without_any_name_the_bytes_are_asked():
    text = "Однажды утром дети пошли в школу и встретили там старого учителя. " * 5
    assert decoded_page(text.encode("koi8-r")) == text
    assert decoded_page(text.encode("cp1251")) == text


def test_a_few_bad_bytes_do_not_spoil_a_page_of_utf8():
    page = "<p>Größe, Maß, Füße, Tür und Öl.</p>".encode() + b"\xff end \xe2\x82"
    assert decoded_page(page, "utf-8") == "<p>Größe, Maß, Füße, Tür und Öl.</p>\ufffd end \ufffd"


def test_a_header_that_is_believed_blindly_is_seen_to_make_mojibake(tmp_path, monkeypatch):
    monkeypatch.setattr(markup, "CARELESS_ENCODINGS", ())
    kind = {"Content-Type": "text/html; charset=iso-8859-1"}
    found = one(tmp_path, "<p>café</p>".encode(), HEADERS | kind)
    assert found.text == "<p>cafÃ©</p>"


def test_what_headers_say_of_training_stands_in_the_page(tmp_path):
    marks = {"X-Robots-Tag": 'noai, "noindex"', "tdm-reservation": "1"}
    found = one(tmp_path, b"<p>words</p>", HEADERS | marks)
    assert found.text == (
        '<meta name="robots" content="noai, &quot;noindex&quot;">\n'
        '<meta name="tdm-reservation" content="1">\n<p>words</p>'
    )


@pytest.mark.parametrize(
    ("link", "licence"),
    [
        ("https://creativecommons.org/licenses/by-sa/4.0/", "CC-BY-SA-4.0"),
        ("http://creativecommons.org/licenses/by-nc-nd/3.0/de/", "CC-BY-NC-ND-3.0"),
        ("https://creativecommons.org/publicdomain/zero/1.0/", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "public-domain"),
        ("https://a.example/terms", None),
    ],
)
def test_a_licence_is_read_from_a_link_that_says_it_is_one(link, licence):
    assert commons_licence(link) == licence
    assert page_licence(f'<link rel="license" href="{link}">') == licence
    assert page_licence(f"<a href='{link}' rel=license>x</a>") == licence
    assert page_licence(f'<a href="{link}">another site\'s</a>') is None


# Main text and depth


ARTICLE = (
    "<html><head><title>x</title><style>p {}</style><script>var a = '<div><div>';</script></head>"
    "<body><nav><a href=/>Home</a> <a href=/a>About</a></nav><main><article><h1>A title</h1>"
    "<p>The first paragraph, with <b>bold</b> words &amp; signs.</p><p>The second.</p></article>"
    "</main><footer>Cookies. All rights.</footer></body></html>"
)


def test_the_main_text_is_what_a_reader_reads():
    expected = "A title\nThe first paragraph, with bold words & signs.\nThe second."
    assert main_text(ARTICLE) == expected
    assert "Cookies" in html_to_text(ARTICLE), "the parser that teaches the idea keeps the footer"


def test_a_page_without_a_main_part_gives_all_its_text():
    assert main_text("<footer>Only this.</footer>") == "Only this."
    assert main_text("") == "" and main_text("no tags") == "no tags"


@pytest.mark.parametrize(
    ("page", "depth"),
    [
        ("", 0), ("<p>one<p>two<p>three", 0), ("<div><b>x</b></div><div>y</div>", 2),
        ("<div></b></div><div>", 1), ("<script>'<div><div>'</script><div>", 1),
        ("<!-- <div><div> --><i>x</i>", 1), ("<div>" * 9 + "</x>" * 9, 9),
    ],
)  # fmt: skip
def test_depth_is_counted_by_hand(page, depth):
    assert depth_of(page) == depth


@pytest.mark.parametrize("piece", ["<a ", "<a rel=license ", "<html ", "<meta charset=", "<!--"])
def test_no_page_takes_more_time_than_its_length_deserves(piece):
    began, text = time.process_time(), piece * (2_000_000 // len(piece))
    assert page_licence(text) is None
    opening.attempt(markup.page_document, text.encode(), "x", None)
    assert time.process_time() - began < 5


def test_a_bomb_is_rejected_before_it_is_parsed(tmp_path):
    bomb = b"<div>" * 100_000 + b"words" + b"</div>" * 100_000
    began = time.process_time()
    found = one(tmp_path, bomb)
    with pytest.raises(Unusable, match="nested too deep"):
        main_text(bomb.decode())
    assert time.process_time() - began < 5  # the extractor alone takes minutes
    assert isinstance(found, Rejection) and (found.value, found.limit) == (100_000, 512)
    assert isinstance(one(tmp_path, b"<div>" * 500 + b"words"), Document)
