"""Any file as documents, one record after the other, in bounded memory.

In: a path, and what to say of its documents where it does not say so itself. Out: a stream of
`Document`s, and of `Rejection`s that name file, record and reason. The ideas: the suffix chooses
the reader; a reader sees a stream and knows nothing of packing; and a fault costs one record: only
a file of which nothing at all can be read is an error. Left out: PDF, office formats, pictures.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from importlib import metadata
from pathlib import Path
from typing import BinaryIO

from minillm.corpus.forms import why_no_file
from minillm.corpus.mail import mailbox_messages, read_message
from minillm.corpus.markup import page_of_file
from minillm.corpus.opening import (
    CHUNK_BYTES,
    DAMAGED,
    MAX_RECORD_BYTES,
    READ,
    READ_ERRORS,
    Defaults,
    Unusable,
    attempt,
    bounded_bytes,
    format_of,
    is_damage,
    unpacked,
    utf8_text,
)
from minillm.corpus.papers import read_jats, read_latex
from minillm.corpus.sourcecode import SUFFIXES, read_code, without_secrets, written_by_hand
from minillm.corpus.sources import Document, Rejection
from minillm.corpus.tables import read_csv, read_json_rows, read_parquet
from minillm.corpus.webarchive import read_pages

# None: a record that holds nothing and is counted all the same, such as an empty line.
Result = Document | Rejection | Unusable | None
Reader = Callable[[BinaryIO, str, Defaults], Iterator[Result]]
NOTHING = "no text"  # what is found in a file of which nothing can be read
NOTICE = re.compile(r"-info/(METADATA|(.*/)?[^/]*(LICEN[CS]E|COPYING|NOTICE)[^/]*)$", re.IGNORECASE)


# package only
def text_document(data: bytes, name: str, defaults: Defaults) -> Document:
    """A text as it is."""
    text = utf8_text(data)
    if not text.strip():
        raise Unusable("only white space" if text else "an empty text", 0, "a text")
    kind, language = defaults.kind or "text", defaults.language
    return Document(
        name, text, defaults.source, kind, defaults.licence, language, date=defaults.date
    )


# package only
def read_text(stream: BinaryIO, name: str, defaults: Defaults) -> Iterator[Result]:
    """A text as one document; above the limit in parts that end where a paragraph or line ends."""
    rest, number = b"", 0
    while data := rest + stream.read(MAX_RECORD_BYTES - len(rest)):
        end = len(data)
        if end == MAX_RECORD_BYTES:
            end = data.rfind(b"\n\n") + 2 if b"\n\n" in data else data.rfind(b"\n") + 1
            if end == 0:
                yield Unusable("a line that is too long, in bytes", len(data), MAX_RECORD_BYTES)
                while (data := stream.readline(CHUNK_BYTES)) and not data.endswith(b"\n"):
                    pass
                rest = b""
                continue
        number += 1
        part = f"{name}#{number}" if number > 1 or end < len(data) else name
        yield attempt(text_document, data[:end], part, defaults)
        rest = data[end:]


# package only
def whole(make: Callable[[bytes, str, Defaults], Document]) -> Reader:
    """Make a reader of files that are one record each."""

    def read(stream: BinaryIO, name: str, defaults: Defaults) -> Iterator[Result]:
        data = attempt(bounded_bytes, stream)
        yield data if isinstance(data, Unusable) else attempt(make, data, name, defaults)

    return read


# package only
def code_document(data: bytes, name: str, defaults: Defaults) -> Document | Rejection:
    """A file of source code, if a person wrote it and it gives no secret away."""
    document = written_by_hand(read_code(data, name, defaults))
    return document if isinstance(document, Rejection) else without_secrets(document)


# package only
def read_mailbox(stream: BinaryIO, name: str, defaults: Defaults) -> Iterator[Result]:
    """The messages of a mailbox."""
    for number, data in enumerate(mailbox_messages(stream), start=1):
        is_fault = isinstance(data, Unusable)
        yield data if is_fault else attempt(read_message, data, f"{name}#{number}", defaults)


READERS: dict[str, Reader] = {
    **dict.fromkeys(("", ".txt", ".text", ".md", ".rst", ".log"), read_text),
    **dict.fromkeys((".jsonl", ".ndjson"), read_json_rows),
    ".csv": read_csv,
    ".tsv": lambda stream, name, defaults: read_csv(stream, name, defaults, "\t"),
    ".parquet": read_parquet,
    **dict.fromkeys((".html", ".htm", ".xhtml"), whole(page_of_file)),
    ".eml": whole(read_message),
    ".mbox": read_mailbox,
    ".tex": whole(read_latex),
    **dict.fromkeys((".xml", ".nxml"), whole(read_jats)),
    **dict.fromkeys(SUFFIXES, whole(code_document)),
}

# Forms whose bytes may be UTF-8, and are no text to read: what to do about each.
UNREAD = {
    ".json": "name it .jsonl if each line is an object, or .txt to read it as it is",
    **dict.fromkeys((".pdf", ".docx", ".odt", ".epub"), "save it as text first"),
}


# package only
def require_file(path: Path) -> None:
    """IsADirectoryError or FileNotFoundError, each with its remedy, unless this is a file."""
    if path.is_dir():
        raise IsADirectoryError(f"{path}: a folder; give the files in it")
    if not path.is_file():
        raise FileNotFoundError(f"{path}: {why_no_file(path)}")


# package only
def require_reader(path: Path) -> None:
    """ValueError for a form that has no reader, and would make no text if it were taken as one."""
    if (suffix := format_of(path)) in UNREAD:
        known = ", ".join(sorted({*READERS, ".warc"} - SUFFIXES - {""}))
        words = f"there are {known}, source code and text; {UNREAD[suffix]}"
        raise ValueError(f"{path}: no reader for {suffix}; {words}")


# package only
def read_file(
    path: Path | str, defaults: Defaults, robots: Mapping[str, str | None] | None = None
) -> Iterator[Document | Rejection]:
    """The documents of a file, and a rejection for each record that gives none.

    A suffix that says nothing is a text's. `robots` is what sites say of an archive's pages, as in
    `read_pages`. An error, at once, for a file that is not there or whose form has no reader; on
    reading for one of which nothing can be read.
    """
    path = Path(path)
    require_file(path)
    require_reader(path)
    if format_of(path) == ".warc":
        return read_pages(path, defaults, robots)
    return numbered(path, READERS.get(format_of(path), read_text), defaults)


# package only
def numbered(path: Path, reader: Reader, defaults: Defaults) -> Iterator[Document | Rejection]:
    """What a reader finds, faults as rejections with the number of their record."""
    number = 0
    try:
        with unpacked(path) as stream:
            results = reader(stream, f"{defaults.source}/{path.name}", defaults)
            for number, result in enumerate(results, start=1):
                if result is not None:
                    is_fault = isinstance(result, Unusable)
                    yield result.rejection(path, number) if is_fault else result
        if number == 0:
            yield Unusable("an empty file", 0, "a text").rejection(path, 1)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None
    except READ_ERRORS as error:
        if not is_damage(error):
            raise
        if number == 0:
            words = "nothing of it can be read; get it again"
            raise ValueError(f"{path}: {DAMAGED} ({error}); {words}") from None
        yield Unusable(DAMAGED, str(error), "a whole file").rejection(path, number + 1)


# package only
def unreadable(path: Path | str, error: ValueError) -> Rejection:
    """What is listed of a file of which nothing can be read, where others can."""
    name = Path(path).name
    reason = f"{name}: {str(error).partition(f'{path}: ')[2] or error}"
    return Rejection(name, name, READ, reason, NOTHING, "a text")


# package only
def installed_licences() -> Iterator[Document | Rejection]:
    """The licence and metadata files of the installed packages: real text that nobody cleaned."""
    packages = {package.metadata["Name"].lower(): package for package in metadata.distributions()}
    notices = (
        (name, package, file)
        for name, package in sorted(packages.items())
        for file in sorted(package.files or (), key=str)
        if NOTICE.search(file.as_posix())
    )
    for name, package, file in notices:
        path = Path(package.locate_file(file))
        if not path.is_file():
            continue
        stated = package.metadata.get("License-Expression") or package.metadata.get("License")
        licence = stated.strip().splitlines()[0] if stated and stated.strip() else "unknown"
        defaults = Defaults(source="installed", kind="notice", licence=licence, language="en")
        result = attempt(text_document, path.read_bytes(), f"installed/{name}/{file}", defaults)
        yield result.rejection(path, 1) if isinstance(result, Unusable) else result
