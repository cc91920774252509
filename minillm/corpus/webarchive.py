"""Web pages in the web's own archive form, WARC: written whole, read past whatever is damaged.

In: pages, or the path of an archive. Out: an archive, or a `Document` a page and a `Rejection` for
each record that cannot be used. The ideas: every record is packed as a gzip member of its own, so
damage costs one record and reading starts again at the next; and the digest that a record's head
names finds what no format would notice. Form: ISO 28500 (WARC 1.1), read by `fastwarc`.
Left out: records of other kinds than answers of a server, and pages that are not HTML.
"""

import re
import uuid
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import BinaryIO

from fastwarc.stream_io import GzipWriter
from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from minillm.corpus.markup import page_document
from minillm.corpus.opening import (
    CHUNK_BYTES,
    DAMAGED,
    MAX_RECORD_BYTES,
    Defaults,
    Unusable,
    is_damage,
    written_whole,
)
from minillm.corpus.sources import Document, Rejection

GZIP_MAGIC, PLAIN_MAGIC = b"\x1f\x8b\x08", b"WARC/"
RECORD_START = re.compile(re.escape(GZIP_MAGIC) + b"|" + PLAIN_MAGIC)
GZIP_FORM = 31  # zlib's number for: a gzip header and the largest window
READ_TYPES = WarcRecordType.response | WarcRecordType.resource
KNOWN_TYPES = WarcRecordType.any_type & ~WarcRecordType.unknown
PACKED_HEADERS = ("Content-Encoding", "Transfer-Encoding")
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
    if not record.record_type & READ_TYPES:
        raise Unusable(DAMAGED, "an unknown kind of record", "an answer of a server")
    if record.content_length == 0:
        raise Unusable("an empty record", 0, "a page")
    if record.content_length > MAX_RECORD_BYTES:
        raise Unusable("too long for a page", record.content_length, MAX_RECORD_BYTES)
    if "WARC-Block-Digest" in record.headers and not record.verify_block_digest():
        raise Unusable(DAMAGED, "another digest", record.headers["WARC-Block-Digest"])
    if record.is_http:
        record.parse_http(auto_decode="all")
    headers = record.http_headers
    status = headers.status_code if headers is not None else None
    if record.is_http and status != 200:
        raise Unusable("not found by the server", f"status {status}", 200)
    kind = record.http_content_type if record.is_http else record.headers.get("Content-Type")
    kind = kind or ""
    if kind.partition(";")[0].strip().lower() not in ("", *PAGE_TYPES):
        raise Unusable("not HTML", kind, PAGE_TYPES[0])
    page = record.reader.read(MAX_RECORD_BYTES + 1)
    if len(page) > MAX_RECORD_BYTES:
        raise Unusable("too long for a page when unpacked", len(page), MAX_RECORD_BYTES)
    is_packed = headers is not None and any(name in headers for name in PACKED_HEADERS)
    if not is_packed and len(page) < record.content_length:
        raise Unusable(DAMAGED, len(page), record.content_length)
    return page


# package only
def archived_page(record: WarcRecord, defaults: Defaults | None) -> Document:
    """The document of a record of a server's answer; its address is its id."""
    page = page_bytes(record)
    url = record.headers.get("WARC-Target-URI") or record.record_id
    headers = dict(record.http_headers.items()) if record.http_headers is not None else {}
    charset, date = record.http_charset, record.headers.get("WARC-Date")
    return page_document(page, url, defaults, headers, charset, date)


def next_record(stream: BinaryIO, start: int) -> int | None:
    """The first byte from `start` on at which a record begins; None without one."""
    position = start
    while True:
        stream.seek(position)
        data = stream.read(CHUNK_BYTES)
        for found in RECORD_START.finditer(data):
            if begins_record(stream, position + found.start()):
                return position + found.start()
        if len(data) < CHUNK_BYTES:
            return None
        position += len(data) - len(PLAIN_MAGIC) + 1


def begins_record(stream: BinaryIO, position: int) -> bool:
    """Whether a record stands here: packed, its member unpacks to one; plain, it begins a line."""
    stream.seek(max(0, position - 1))
    before = stream.read(1) if position else b"\n"
    head = stream.read(512)
    if head.startswith(PLAIN_MAGIC):
        return before == b"\n"
    try:
        return zlib.decompressobj(GZIP_FORM).decompress(head, 8).startswith(PLAIN_MAGIC)
    except zlib.error:
        return False


# package only
def is_whole(stream: BinaryIO, position: int) -> bool:
    """Whether everything from the record at `position` to the end of the file is whole records."""
    stream.seek(position)
    head = stream.read(CHUNK_BYTES)
    if not head.startswith(GZIP_MAGIC):
        names, blank, _ = head.partition(b"\r\n\r\n")
        length = re.search(rb"\r\nContent-Length: *(\d+)", names, re.IGNORECASE)
        end = position + len(names) + len(blank) + (int(length[1]) if length else 0)
        return bool(blank) and end <= stream.seek(0, 2) <= end + len(b"\r\n\r\n")
    unpacker, rest = zlib.decompressobj(GZIP_FORM), head
    while rest:
        try:
            unpacker = zlib.decompressobj(GZIP_FORM) if unpacker.eof else unpacker
            unpacker.decompress(rest)
        except zlib.error:
            return False
        rest = unpacker.unused_data or stream.read(CHUNK_BYTES)
    return unpacker.eof


# package only
def read_record(
    record: WarcRecord, path: Path, number: int, defaults: Defaults | None
) -> Document | Rejection:
    """The page in a record, or why there is none."""
    try:
        return archived_page(record, defaults)
    except Unusable as fault:
        return fault.rejection(path, number)
    except OSError as error:
        if not is_damage(error):
            raise
        return Unusable(DAMAGED, str(error), "a whole record").rejection(path, number)


# package only
def read_pages(path: Path, defaults: Defaults | None = None) -> Iterator[Document | Rejection]:
    """Every page of an archive, and a rejection for each record that gives none.

    After damage reading goes on at the next record. Requests and other notes are passed over.
    """
    path, number = Path(path), 0
    with open(path, "rb") as stream:
        position = last = next_record(stream, 0)
        if position is None:
            raise ValueError(f"web archive {path}: no record begins in it; give a WARC file")
        is_damaged = position > 0
        if is_damaged:
            number = 1
            yield Unusable(DAMAGED, "no record's head", "a whole record").rejection(path, number)
        while position is not None:
            stream.seek(position)
            try:
                for record in ArchiveIterator(stream, parse_http=False):
                    last, number, is_damaged = record.stream_pos, number + 1, False
                    if record.record_type & READ_TYPES or not record.record_type & KNOWN_TYPES:
                        result = read_record(record, path, number, defaults)
                        is_damaged = isinstance(result, Rejection) and DAMAGED in result.reason
                        yield result
                position = None
            except OSError as error:
                if not is_damage(error):
                    raise
                if not is_damaged:
                    number += 1
                    yield Unusable(DAMAGED, str(error), "a whole record").rejection(path, number)
                last, is_damaged = max(last, position), True
                position = next_record(stream, last + 1)
        if not is_damaged and not is_whole(stream, last):
            yield Unusable(DAMAGED, "the file ends", "a whole record").rejection(path, number + 1)
