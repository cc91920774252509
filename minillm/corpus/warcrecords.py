"""The records of a web archive, one after the other, read past whatever is damaged.

In: the path of an archive. Out: what the caller makes of each record, and a `Rejection` for each
damaged one. The idea: every record is packed as a gzip member of its own, so damage costs one
record and reading starts again at the next. Form: ISO 28500 (WARC 1.1), read by `fastwarc`.
Left out: records of other kinds than answers of a server.
"""

import re
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from fastwarc.warc import ArchiveIterator, WarcRecord, WarcRecordType

from minillm.corpus.opening import CHUNK_BYTES, DAMAGED, MAX_RECORD_BYTES, Unusable, is_damage
from minillm.corpus.sources import Rejection

GZIP_MAGIC, PLAIN_MAGIC = b"\x1f\x8b\x08", b"WARC/"
RECORD_START = re.compile(re.escape(GZIP_MAGIC) + b"|" + PLAIN_MAGIC)
GZIP_FORM = 31  # zlib's number for: a gzip header and the largest window
READ_TYPES = WarcRecordType.response | WarcRecordType.resource
KNOWN_TYPES = WarcRecordType.any_type & ~WarcRecordType.unknown

Found = TypeVar("Found")


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


# package only
def has_record(path: Path) -> bool:
    """Whether a record begins anywhere in a file."""
    with open(path, "rb") as stream:
        return next_record(stream, 0) is not None


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
def address_of(record: WarcRecord) -> str:
    """The address of what a record holds, or an empty text; WARC 1.0 writes it in `<` and `>`."""
    address = (record.headers.get("WARC-Target-URI") or "").strip()
    return address[1:-1] if address.startswith("<") and address.endswith(">") else address


# package only
def whole_content(record: WarcRecord, max_bytes: int) -> bytes:
    """The unpacked content of a server's answer, its first `max_bytes`; its HTTP head is parsed.

    Unusable for an unknown kind of record, an empty one, another digest, or if the end is missing.
    """
    if not record.record_type & READ_TYPES:
        raise Unusable(DAMAGED, "an unknown kind of record", "an answer of a server")
    promised = record.content_length
    if promised == 0:
        raise Unusable("an empty record", 0, "an answer of a server")
    if promised <= MAX_RECORD_BYTES:
        record.freeze()  # all of it is read here, so its bytes are counted before they are unpacked
        if record.content_length < promised:
            raise Unusable(DAMAGED, record.content_length, promised)
        if "WARC-Block-Digest" in record.headers and not record.verify_block_digest():
            raise Unusable(DAMAGED, "another digest", record.headers["WARC-Block-Digest"])
    if record.is_http:
        record.parse_http(auto_decode="all")
    data = record.reader.read(max_bytes)
    if promised > MAX_RECORD_BYTES and len(data) < max_bytes:
        raise Unusable(DAMAGED, len(data), promised)
    return data


# package only
def status_of(record: WarcRecord) -> int | None:
    """The status of an answer whose HTTP head is parsed: 200 for what came by no HTTP."""
    if not record.is_http:
        return 200
    return record.http_headers.status_code if record.http_headers is not None else None


# package only
def attempted(
    read: Callable[[WarcRecord], Found | None], record: WarcRecord, path: Path, number: int
) -> Found | Rejection | None:
    """What is read from a record, or why it cannot be."""
    try:
        return read(record)
    except Unusable as fault:
        return fault.rejection(path, number)
    except OSError as error:
        if not is_damage(error):
            raise
        return Unusable(DAMAGED, str(error), "a whole record").rejection(path, number)


# package only
def walk_records(
    path: Path, read: Callable[[WarcRecord], Found | None]
) -> Iterator[Found | Rejection]:
    """What `read` makes of each answer in an archive, and a rejection for each damaged record.

    After damage reading goes on at the next record. Requests and other notes are passed over, and
    so is a record of which `read` makes nothing.
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
                        result = attempted(read, record, path, number)
                        is_damaged = isinstance(result, Rejection) and DAMAGED in result.reason
                        if result is not None:
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
