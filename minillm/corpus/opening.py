"""Files opened so that damage is seen: packed or plain, read in bounded pieces, written whole.

In: a path. Out: its bytes in records of bounded length, or a word on why there are none. The ideas:
whoever reads a record that has no end needs memory without end, so each length has a limit; and a
packed file that simply stops looks like one that ends, unless its reader asks for the end mark.
Left out: archives that hold several files (zip, tar).
"""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TypeVar

from minillm.corpus.forms import NO_READER, binary_form, conversion, is_pdf
from minillm.corpus.sources import BYTE_ORDER_MARK, Rejection

MAX_RECORD_BYTES = 8_000_000  # longer than any book; crawls cut pages at one to five megabytes
CHUNK_BYTES = 1 << 16
ZSTD_CHUNK_BYTES = 1 << 11  # four bytes can stand for 128 kB: this many for 64 MB at the worst
READ = "read"  # the step of what cannot be read
DAMAGED = "damaged or cut off"
FORMATS_INSTALL = 'pip install "minillm[formats]"'

READ_ERRORS = (EOFError, OSError, zlib.error, lzma.LZMAError)  # what `unpacked` can raise

Made = TypeVar("Made")


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Defaults:
    """What is said of a file's documents where the file itself does not say it."""

    source: str
    kind: str | None = None
    licence: str = "unknown"
    language: str = "unknown"
    date: str | None = None
    text_column: str | None = None


# package only
class Unusable(ValueError):
    """A record that gives no document: why, what was found, and what is allowed."""

    def __init__(self, reason: str, found: float | str, allowed: float | str) -> None:
        super().__init__(reason)
        self.found, self.allowed = found, allowed

    def rejection(self, path: Path, number: int) -> Rejection:
        """What is listed: the file, and the number of its record, counted from 1."""
        name, reason = f"{path.name}#{number}", f"{path.name}, record {number}: {self}"
        return Rejection(name, path.name, READ, reason, self.found, self.allowed)


# package only
def attempt(make: Callable[..., Made], *given: object) -> Made | Unusable:
    """What `make` returns, or why it cannot: a fault of one record is a value, not an end."""
    try:
        return make(*given)
    except Unusable as fault:
        return fault


# package only
@contextmanager
def written_whole(path: Path) -> Iterator[BinaryIO]:
    """A stream to a file beside `path` that takes its place at the end, or goes without a trace."""
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with open(partial, "wb") as stream:
            yield stream
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)


# package only
class ZstdBytes(io.RawIOBase):
    """The unpacked bytes of a zstd file; EOFError where it stops in the middle of a frame."""

    def __init__(self, path: Path) -> None:
        try:
            import zstandard
        except ImportError:
            raise ImportError(f"{path}: .zst needs zstandard; {FORMATS_INSTALL}") from None
        self.stream, self.unpacker = open(path, "rb"), None
        self.start_frame = zstandard.ZstdDecompressor().decompressobj
        self.packed, self.unpacked, self.fault = b"", b"", zstandard.ZstdError

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: memoryview) -> int:
        """Fill the buffer from what is unpacked, and unpack more only when that is used up."""
        while not self.unpacked:
            self.packed = self.packed or self.stream.read(ZSTD_CHUNK_BYTES)
            if not self.packed:
                if self.unpacker is not None:
                    raise EOFError("the file ends before its last frame does")
                return 0
            self.unpacker = self.unpacker or self.start_frame()
            try:
                self.unpacked = self.unpacker.decompress(self.packed)
            except self.fault as error:
                raise EOFError(str(error)) from None
            self.packed = self.unpacker.unused_data if self.unpacker.eof else b""
            self.unpacker = None if self.unpacker.eof else self.unpacker
        size = min(len(buffer), len(self.unpacked))
        buffer[:size], self.unpacked = self.unpacked[:size], self.unpacked[size:]
        return size

    def close(self) -> None:
        self.stream.close()
        super().close()


UNPACKERS: dict[str, Callable[[Path], BinaryIO]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": lambda path: io.BufferedReader(ZstdBytes(path), CHUNK_BYTES),
}


# package only
def unpacked(path: Path) -> BinaryIO:
    """The file's bytes, unpacked as its last suffix says."""
    return UNPACKERS.get(path.suffix.lower(), lambda plain: open(plain, "rb"))(path)


# package only
def format_of(path: Path) -> str:
    """The suffix of the format, below that of the packing: `a.csv.gz` → `.csv`."""
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in UNPACKERS:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


# package only
def is_damage(error: Exception) -> bool:
    """Whether an error says that packed bytes are damaged, and not that the disk cannot be read."""
    if isinstance(error, OSError):
        return error.errno is None
    return isinstance(error, READ_ERRORS)


def bounded_lines(
    stream: BinaryIO, max_bytes: int = MAX_RECORD_BYTES
) -> Iterator[bytes | Unusable]:
    """The lines of a stream with their ends; one that is too long is passed over in pieces."""
    while line := stream.readline(max_bytes + 1):
        if len(line) <= max_bytes or line.endswith(b"\n"):
            yield line
            continue
        length = len(line)
        while not line.endswith(b"\n") and (line := stream.readline(CHUNK_BYTES)):
            length += len(line)
        yield Unusable("a line that is too long, in bytes", length, max_bytes)


# package only
def bounded_bytes(stream: BinaryIO, max_bytes: int = MAX_RECORD_BYTES) -> bytes:
    """All bytes of a stream, which is one record; Unusable if there are too many."""
    data = stream.read(max_bytes + 1)
    if len(data) > max_bytes:
        raise Unusable("too long for one record, in bytes", f"more than {max_bytes}", max_bytes)
    return data


# package only
def utf8_text(data: bytes) -> str:
    """The text of UTF-8 bytes; Unusable names their form, or the first byte that is none or NUL."""
    start = len(BYTE_ORDER_MARK) if data.startswith(BYTE_ORDER_MARK) else 0
    if is_pdf(data):
        raise Unusable(NO_READER, binary_form(data), "a text")
    try:
        text = data[start:].decode("utf-8")
    except UnicodeDecodeError as error:
        if form := binary_form(data):
            raise Unusable(NO_READER, form, "a text") from None
        byte = f"byte {error.start + start:,} is {data[error.start + start]:#04x}"
        remedy = f"UTF-8 ({conversion(data)})"
        raise Unusable("not UTF-8", byte, remedy) from None
    if "\0" in text:
        found = binary_form(data) or f"byte {data.index(0):,} is NUL"
        raise Unusable("binary, not text", found, "text")
    return text
