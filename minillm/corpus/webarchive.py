"""Web pages in the web's own archive form, WARC: written whole, read past whatever is damaged.

In: pages, or the path of an archive. Out: an archive, or a `Document` a page and a `Rejection` for
each record that cannot be used. The ideas: the digest that a record's head names finds what no
format would notice; and what a site's robots.txt says against a page is written into the page, as
its headers' words are, so that every later step sees it, on whatever machine. Left out: pages that
are not HTML.
"""

import html
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path

from fastwarc.stream_io import GzipWriter
from fastwarc.warc import WarcRecord, WarcRecordType

from minillm.corpus.markup import page_document
from minillm.corpus.opening import MAX_RECORD_BYTES, Defaults, Unusable, written_whole
from minillm.corpus.permission import ROBOTS_FILE, site_allows
from minillm.corpus.robots import is_robots, robots_answer, robots_in
from minillm.corpus.sources import Document, Rejection, Step
from minillm.corpus.warcrecords import address_of, status_of, walk_records, whole_content

PAGE_TYPES = ("text/html", "application/xhtml+xml")


# package only
def date_of(headers: Mapping[str, str]) -> str:
    """`2026-01-31T12:00:00Z`: of the header WARC-Date, else of Date, else of this moment."""
    if "warc-date" in headers:
        return headers["warc-date"]
    moment = parsedate_to_datetime(headers["date"]) if "date" in headers else datetime.now(UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# package only
def page_record(url: str, page: bytes, headers: Mapping[str, str]) -> WarcRecord:
    """A server's answer as a record; its name follows from its content."""
    lines = [f"{name}: {value}" for name, value in headers.items() if name.lower() != "warc-date"]
    if any(sign in line for line in (url, *lines) for sign in "\r\n\0"):
        raise ValueError(f"page {url!r}: a line end in its address or headers; leave it out")
    record = WarcRecord()
    name = uuid.uuid5(uuid.NAMESPACE_URL, f"{url} {zlib.crc32(page)}")
    record.init_headers(record_type=WarcRecordType.response, record_urn=f"uuid:{name}".encode())
    record.headers["WARC-Date"] = date_of({key.lower(): each for key, each in headers.items()})
    record.headers["WARC-Target-URI"] = url
    record.headers["Content-Type"] = "application/http; msgtype=response"
    head = "\r\n".join(["HTTP/1.1 200 OK", *lines, "", ""])
    record.set_bytes_content(head.encode("utf-8") + page)
    return record


# package only
def write_pages(path: Path, pages: Iterable[tuple[str, bytes, Mapping[str, str]]]) -> int:
    """Write (address, HTML bytes, HTTP headers) as WARC, packed if `path` ends in .gz; how many.

    The headers' WARC-Date or Date is the record's date: with it, equal pages give equal bytes.
    """
    path, num_pages = Path(path), 0
    with written_whole(path) as stream:
        packed = GzipWriter(stream) if path.suffix == ".gz" else None
        for url, page, headers in pages:
            page_record(url, page, headers).write(packed or stream, checksum_data=True)
            if packed is not None:
                packed.finish()  # the next record begins a member of its own
            num_pages += 1
    return num_pages


# package only
def page_bytes(record: WarcRecord) -> bytes:
    """The whole unpacked page in a record of a server's answer; Unusable where there is none."""
    promised = record.content_length
    page = whole_content(record, MAX_RECORD_BYTES + 1)
    if promised > MAX_RECORD_BYTES:
        raise Unusable("too long for a page", promised, MAX_RECORD_BYTES)
    if (status := status_of(record)) != 200:
        raise Unusable("not found by the server", f"status {status}", 200)
    kind = record.http_content_type if record.is_http else record.headers.get("Content-Type")
    kind = kind or ""
    if kind.partition(";")[0].strip().lower() not in ("", *PAGE_TYPES):
        raise Unusable("not HTML", kind, PAGE_TYPES[0])
    if len(page) > MAX_RECORD_BYTES:
        raise Unusable("too long for a page when unpacked", len(page), MAX_RECORD_BYTES)
    return page


# package only
def archived_page(record: WarcRecord, defaults: Defaults | None) -> Document:
    """The document of a record of a server's answer; its address is its id."""
    page = page_bytes(record)
    url = address_of(record) or record.record_id
    headers = dict(record.http_headers.items()) if record.http_headers is not None else {}
    charset, date = record.http_charset, record.headers.get("WARC-Date")
    return page_document(page, url, defaults, headers, charset, date)


def marked(document: Document, asks: Step) -> Document:
    """The page, and in front of it as a `meta` tag what its site's robots.txt says against it."""
    refused = asks(document)
    if isinstance(refused, Document) or refused.limit != ROBOTS_FILE:
        return document  # a broken address says nothing about the site
    tag = f'<meta name="{ROBOTS_FILE}" content="{html.escape(refused.reason)}">\n'
    return replace(document, text=tag + document.text)


# package only
def read_pages(
    path: Path,
    defaults: Defaults | None = None,
    robots: Mapping[str, str | None] | None = None,
) -> Iterator[Document | Rejection]:
    """Every page of an archive, and a rejection for each record that gives none.

    A page that its site's robots.txt keeps from us has a mark, by which the step `permission`
    rejects it, if its kind is `web` (as it is where `defaults` names no other). `robots` is what
    the sites say, by default in this file and in those beside it that have `robots` in their name.
    A robots.txt itself is no page.
    """
    asks = site_allows(robots_in([path]) if robots is None else robots)

    def read(record: WarcRecord) -> Document | None:
        if is_robots(record):
            robots_answer(record)  # Unusable if it is damaged
            return None
        return marked(archived_page(record, defaults), asks)

    yield from walk_records(path, read)
