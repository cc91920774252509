"""A user's own files as texts: what of them cannot be used is listed, and the rest goes on.

In: paths. Out: (name, text) pairs and `Rejection`s. The ideas: a plain text is taken as it is, of
tables, pages, papers, mail and archives each record is a text; an archive holds other people's
pages, so whoever says no there is heard; and one bad file among several costs itself alone.
"""

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from minillm.core.records import counted
from minillm.corpus.markup import main_text
from minillm.corpus.opening import READ, UNPACKERS, Defaults, format_of
from minillm.corpus.permission import no_opt_out
from minillm.corpus.readers import (
    NOTHING,
    numbered,
    read_file,
    read_text,
    require_file,
    require_reader,
    unreadable,
)
from minillm.corpus.robots import robots_among
from minillm.corpus.sources import Document, Rejection, read_text_file

Texts = list[tuple[str, str]]  # of each its name, and the text
Found = tuple[Texts, list[Rejection]]
# What a user's own file is read as a form of; every other file is taken as the text that it is.
OWN_FORMATS = frozenset(
    ".jsonl .ndjson .csv .tsv .parquet .html .htm .xhtml .eml .mbox .warc .tex .xml .nxml".split()
)


# package only
def read_own_file(path: str, robots: Mapping[str, str | None] | None = None) -> Found:
    """A user's file as (name, text) pairs, and what of it cannot be used.

    A plain text, also of source code, is one text as it is; tables, pages, papers (LaTeX, JATS),
    mail and archives are one text a record. An archive holds other people's pages: one that says
    no is rejected (`robots` as in `read_pages`), and it may hold none that says yes, or no page.
    ValueError where no record can be read as a text.
    """
    file, suffix = Path(path), format_of(Path(path))
    is_plain = suffix not in OWN_FORMATS
    if file.is_file():
        require_reader(file)
    if is_plain and file.suffix.lower() not in UNPACKERS:
        return [(file.name, read_text_file(path))], []
    require_file(file)
    defaults = Defaults(source=file.name)
    if is_plain:
        results = numbered(file, read_text, defaults)
    else:
        results = read_file(file, defaults, robots)
    if suffix == ".warc":
        results = (no_opt_out(each) if isinstance(each, Document) else each for each in results)
    found = [each if is_plain else as_record(each) for each in results]
    rejected = [each for each in found if isinstance(each, Rejection)]
    texts = [(each.id, each.text) for each in found if isinstance(each, Document)]
    is_faulty = all(each.step == READ for each in rejected)
    if not texts and is_faulty and (rejected or suffix != ".warc"):
        first = f"the first: {in_words(rejected[0])}" if rejected else "it holds none"
        raise ValueError(
            f"text file {path}: no record gives a text; {first}; mend it, or give another file"
        )
    return texts, rejected


# package only
def as_record(result: Document | Rejection) -> Document | Rejection:
    """A record that ends its line, and of a page its main part; or why there is none."""
    if isinstance(result, Rejection):
        return result
    text = main_text(result.text) if result.kind == "web" else result.text
    if not text.strip():
        return Rejection.of(result, READ, f"{result.id}: a page without text", 0, "a text")
    return replace(result, text=f"{text}\n")


# package only
def in_words(rejection: Rejection) -> str:
    """Why a record gives no text, with what was found, and what is allowed, if that is not said."""
    if rejection.value == NOTHING or str(rejection.value) in rejection.reason:
        return rejection.reason
    return f"{rejection.reason} (found: {rejection.value}; allowed: {rejection.limit})"


# package only
def warn_of_losses(
    path: str, texts: Texts, rejected: Sequence[Rejection], listed: Path | None
) -> None:
    """One warning for a file some of which is lost: what is kept, what is not, where it says so."""
    num_bytes = sum(len(text.encode()) for _, text in texts)
    kept = f"{counted(len(texts), 'text')} ({num_bytes:,} bytes) kept"
    lost = f"{counted(len(rejected), 'record')} rejected, the first: {in_words(rejected[0])}"
    where = f"; the list: {listed}" if listed is not None else ""
    warnings.warn(f"text file {path}: {kept}, {lost}{where}", stacklevel=2)


# package only
def found_in_files(paths: Sequence[str]) -> Iterator[tuple[str, Texts, list[Rejection]]]:
    """Of each of a user's files its path, its texts, and what of it cannot be used.

    The robots.txt in any archive holds for all. A file of which nothing can be read has no texts
    and one rejection. An error for a file that is not there, and where no file gives a text.
    """
    robots = robots_among(map(Path, paths))
    first, num_texts = "they hold none", 0
    for path in paths:
        try:
            texts, rejected = read_own_file(path, robots)
        except ValueError as error:
            if len(paths) == 1:
                raise
            texts, rejected = [], [unreadable(path, error)]
        if rejected and not num_texts and first == "they hold none":
            first = f"the first: {in_words(rejected[0])}"
        num_texts += len(texts)
        yield path, texts, rejected
    if paths and not num_texts:
        raise ValueError(f"text files {', '.join(paths)}: none gives a text; {first}; add another")


# package only
def read_own_files(paths: Sequence[str], listed: Path | None = None) -> Found:
    """The texts of a user's files, and what cannot be used: one warning a file that has some.

    `listed` is where the caller lists all of it. Errors as in `found_in_files`.
    """
    texts, unusable = [], []
    for path, found, rejected in found_in_files(paths):
        if rejected:
            warn_of_losses(path, found, rejected, listed)
        texts += found
        unusable += rejected
    return texts, unusable
