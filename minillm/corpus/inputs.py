"""What `corpus clean` is given: files in every form that has a reader, as documents with ids.

In: paths. Out: `Document`s in the order of the files, and a `Rejection` for each record that gives
none. The ideas: JSON lines that are documents already stay what they are, all else is said by its
reader; and a fault costs one record, a file that cannot be read costs itself, so only input that
gives no document at all is an error. Left out: reading in parallel.
"""

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import BinaryIO

from minillm.core.records import file_sha256
from minillm.corpus.opening import (
    CHUNK_BYTES,
    MAX_RECORD_BYTES,
    READ_ERRORS,
    Defaults,
    Unusable,
    attempt,
    bounded_lines,
    format_of,
    is_damage,
    unpacked,
    utf8_text,
)
from minillm.corpus.readers import READERS, numbered, read_file, require_file, unreadable
from minillm.corpus.robots import archives_beside, robots_among
from minillm.corpus.sources import Document, Rejection

NEEDED = ("id", "text", "source", "kind", "licence", "language")
FIELDS = tuple(field.name for field in fields(Document))
SPLITS = ("train", "validation")
JSON_LINES = (".jsonl", ".ndjson")
MAX_LINE_BYTES = 6 * MAX_RECORD_BYTES  # JSON may write one byte as six: \u0001
MAX_SHOWN = 60  # characters of a wrong value


# package only
def fault_of(name: str, value: object) -> str | None:
    """What a field of a document may hold, where this value is something else."""
    if name in NEEDED or name == "date" and value is not None:
        return None if isinstance(value, str) else "a text"
    if name == "split":
        return None if value in SPLITS else " or ".join(SPLITS)
    if name == "level":
        is_level = value is None or isinstance(value, int) and not isinstance(value, bool)
        return None if is_level else "a whole number, or null"
    return None


# package only
def input_document(line: bytes) -> Document:
    """The document in a line of JSON; Unusable names the field, its value and what is allowed."""
    try:
        found = json.loads(utf8_text(line))
    except (json.JSONDecodeError, RecursionError) as error:
        raise Unusable("not a JSON object", str(error), "repair that line") from None
    needs = f"an object with {', '.join(NEEDED)}, all texts"
    if not isinstance(found, dict):
        raise Unusable("no document", f"a {type(found).__name__}", needs)
    if missing := [name for name in NEEDED if name not in found]:
        raise Unusable("no document", f"{missing[0]} is missing", needs)
    for name, value in found.items():
        shown = repr(value) if len(repr(value)) <= MAX_SHOWN else f"{repr(value)[:MAX_SHOWN]}…"
        if name not in FIELDS:
            others = f"only {', '.join(FIELDS)}; leave {name} out"
            raise Unusable("no document", f"{name} is {shown}", others)
        if (allowed := fault_of(name, value)) is not None:
            raise Unusable("no document", f"{name} is {shown}", allowed)
        try:
            str(value).encode()
        except UnicodeEncodeError as error:
            raise Unusable(f"its {name} is no Unicode", error.reason, "repair that line") from None
    return Document(**found)


# package only
def read_documents(
    stream: BinaryIO, name: str, defaults: Defaults
) -> Iterator[Document | Unusable | None]:
    """JSON lines that are documents; empty lines are passed over, but counted."""
    for line in bounded_lines(stream, MAX_LINE_BYTES):
        if isinstance(line, Unusable):
            yield line
        else:
            yield attempt(input_document, line) if line.strip() else None


# package only
def has_documents(path: Path) -> bool:
    """Whether a file is JSON lines one of which has every field that a document needs.

    A form that is not JSON lines by its name has a reader, and is not looked at.
    """
    suffix = format_of(path)
    if suffix == ".warc" or suffix in READERS.keys() - {"", *JSON_LINES}:
        return False
    marks = [json.dumps(name).encode() for name in NEEDED]
    try:
        with unpacked(path) as stream:
            for line in bounded_lines(stream, MAX_LINE_BYTES):
                if isinstance(line, Unusable) or not all(mark in line for mark in marks):
                    continue
                try:
                    found = json.loads(line)
                except (ValueError, RecursionError):
                    continue
                if isinstance(found, dict) and found.keys() >= set(NEEDED):
                    return True
    except READ_ERRORS as error:
        if not is_damage(error):
            raise
    return False


# package only
def check_inputs(paths: Sequence[Path]) -> None:
    """One error that names all paths that are no files; what is in a file is said on reading."""
    faults: list[ValueError | OSError] = []
    for path in paths:
        try:
            require_file(path)
        except (ValueError, FileNotFoundError, IsADirectoryError) as error:
            faults.append(error)
    if faults:
        raise type(faults[0])("; ".join(map(str, faults)))


# package only
def labels(paths: Sequence[Path]) -> list[str]:
    """What each file is called: its name, with as many folders as tell it from others of its name.

    `x.txt`, or `a/x.txt` and `b/x.txt`. A file that is given twice has one label.
    """
    wholes = [Path(os.path.abspath(path)) for path in paths]
    label_of: dict[Path, str] = {}
    num_parts = 0
    while left := set(wholes) - label_of.keys():
        num_parts += 1
        count = Counter(each.parts[-num_parts:] for each in set(wholes))
        ends = {each: each.parts[-num_parts:] for each in left}
        label_of |= {each: "/".join(end) for each, end in ends.items() if count[end] == 1}
    return [label_of[whole] for whole in wholes]


# package only
def input_hashes(paths: Sequence[Path]) -> list[list[str]]:
    """All that the documents depend on: names and hashes of the files, and of robots.txt beside."""
    beside = archives_beside(paths)
    named = [*labels(paths), *(path.name for path in beside)]
    files = [*paths, *beside]
    return [[name, file_sha256(path)] for name, path in zip(named, files, strict=True)]


# package only
def nothing_in(path: Path) -> str | None:
    """What to say of a file without a single sign, and None of every other."""
    with open(path, "rb") as stream:
        if any(part.strip() for part in iter(lambda: stream.read(CHUNK_BYTES), b"")):
            return None
    return "only white space" if path.stat().st_size else "an empty file"


# package only
def relabelled(rejection: Rejection, name: str, label: str) -> Rejection:
    """A rejection in which the file has its label instead of its bare name."""
    if rejection.source != name or label == name:
        return rejection
    texts = {key: getattr(rejection, key) for key in ("id", "source", "reason")}
    changed = {key: label + text.removeprefix(name) for key, text in texts.items()
               if text.startswith(name)}  # fmt: skip
    return replace(rejection, **changed)


# package only
def found_in(
    path: Path, label: str, robots: Mapping[str, str | None]
) -> Iterator[tuple[Document | Rejection, bool]]:
    """What a file gives, and whether the file itself names its documents."""
    is_named, defaults = False, Defaults(source=label)
    try:
        if empty := nothing_in(path):
            raise ValueError(f"{path}: {empty}; give one with documents in it")
        is_named = has_documents(path)
        if is_named:
            results = numbered(path, read_documents, defaults)
        else:
            results = read_file(path, defaults, robots)
        for result in results:
            is_fault = isinstance(result, Rejection)
            yield relabelled(result, path.name, label) if is_fault else result, is_named
    except ValueError as error:
        yield relabelled(unreadable(path, error), path.name, label), is_named


# package only
def read_inputs(paths: Sequence[Path]) -> Iterator[Document | Rejection]:
    """The documents of files, in order, and a rejection for each record that gives none.

    No two have one id: where a reader gives the same again (a page that was visited twice), the
    second ends in `#2`. ValueError where the files themselves give two documents one id.
    """
    robots = robots_among(paths)
    place_by_id: dict[str, int] = {}
    num_by_id: Counter[str] = Counter()
    files = zip(paths, labels(paths), strict=True)
    found = (each for path, label in files for each in found_in(path, label, robots))
    for place, (result, is_named) in enumerate(found):
        if isinstance(result, Document):
            name = result.id
            while not is_named and result.id in place_by_id:
                num_by_id[name] += 1
                result = replace(result, id=f"{name}#{num_by_id[name] + 1}")
            if (other := place_by_id.setdefault(result.id, place)) != place:
                raise ValueError(
                    f"documents {other} and {place} of the input both have the id "
                    f"{result.id!r}; give each its own"
                )
        yield result
