"""The robots.txt files in a crawl: which records hold one, and what a site says in the end.

In: the archives of a crawl. Out: by site its words, or None where it could not be asked. The ideas:
the file may stand behind the pages it speaks of, or in another archive, so a pass of its own looks
for it and keeps nothing else; and an answer stands above a failure, the newer of two answers above
the older, so that no order of records matters (RFC 9309, sections 2.3 and 2.4). Left out: what a
redirect leads to; a file of its own for each scheme.
"""

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from urllib.parse import urlsplit

from fastwarc.warc import WarcRecord

from minillm.corpus.opening import Unusable, format_of, is_damage
from minillm.corpus.permission import ROBOTS_FILE, site_of
from minillm.corpus.sources import Rejection
from minillm.corpus.warcrecords import (
    address_of,
    has_record,
    status_of,
    walk_records,
    whole_content,
)

MAX_ROBOTS_BYTES = 500 * 1024  # as much as RFC 9309 wants to be read at least


@dataclass(frozen=True, slots=True, order=True)
class Answer:
    """What a site sent for its robots.txt: the greatest of several is the one that counts."""

    is_known: bool
    date: str
    text: str


def is_robots(record: WarcRecord) -> bool:
    """Whether a record is what a site sent for `/robots.txt`."""
    address = address_of(record)
    try:
        parts = urlsplit(address)
        return parts.path == f"/{ROBOTS_FILE}" and not parts.query and bool(site_of(address))
    except ValueError:
        return False


def robots_answer(record: WarcRecord) -> Answer | None:
    """The answer in a record of a robots.txt; None for a redirect (RFC 9309, section 2.3.1).

    A site without the file (400 to 499) allows all: an empty text. One that failed could not be
    asked. Unusable for a damaged record. Of a text that is too long, or that the crawler cut off,
    whole lines are heard: half a line may say the contrary of the whole one.
    """
    data = whole_content(record, MAX_ROBOTS_BYTES + 1)
    status, date = status_of(record), record.headers.get("WARC-Date") or ""
    if status not in range(200, 300):
        is_missing = status in range(400, 500)
        return None if status in range(300, 400) else Answer(is_missing, date, "")
    if len(data) > MAX_ROBOTS_BYTES or "WARC-Truncated" in record.headers:
        data = data[:MAX_ROBOTS_BYTES]
        data = data[: max(data.rfind(b"\n"), data.rfind(b"\r")) + 1]
    return Answer(True, date, data.decode("utf-8", "replace"))


def said_by_site(answers: Iterable[tuple[str, Answer]]) -> dict[str, str | None]:
    """What each site says in the end: its newest answer; None if there was none but failures."""
    newest: dict[str, Answer] = {}
    for site, answer in answers:
        newest[site] = max(answer, newest.get(site, answer))
    return {site: each.text if each.is_known else None for site, each in newest.items()}


def robots_entry(record: WarcRecord) -> tuple[str, Answer] | None:
    """(site, its answer) of a record of a robots.txt; a damaged one is as no answer."""
    if not is_robots(record):
        return None
    answer: Answer | None = Answer(False, "", "")
    try:
        answer = robots_answer(record)
    except (Unusable, OSError) as error:
        if isinstance(error, OSError) and not is_damage(error):
            raise
    return None if answer is None else (site_of(address_of(record)), answer)


def is_archive(path: Path) -> bool:
    """Whether a path is a file that is a web archive by its name."""
    return format_of(path) == ".warc" and path.is_file()


def archives_beside(paths: Sequence[Path]) -> list[Path]:
    """The archives in the folders of these that have `robots` in their name."""
    folders = dict.fromkeys(path.parent for path in paths if is_archive(path))
    beside = (each for folder in folders for each in sorted(folder.iterdir()))
    named = (each for each in beside if "robots" in each.name.lower() and each not in paths)
    return [each for each in named if is_archive(each)]


def entries_beside(paths: Sequence[Path]) -> Iterator[tuple[str, Answer] | Rejection]:
    """The entries of archives beside these; nobody named them: an unreadable one is a warning."""
    for path in archives_beside(paths):
        try:
            yield from walk_records(path, robots_entry)
        except (OSError, ValueError) as error:
            effect = "pages are read as if it were not there; mend it, or take it away"
            warnings.warn(f"{error}; {effect}", stacklevel=2)


def robots_in(paths: Iterable[Path]) -> dict[str, str | None]:
    """What each site says in its robots.txt, by what these archives hold, and those beside them.

    None: it cannot be asked. A pass of its own, which keeps only these texts, each of ≤ 500 KiB.
    """
    paths = list(map(Path, paths))
    of_paths = (each for path in paths for each in walk_records(path, robots_entry))
    found = chain(of_paths, entries_beside(paths))
    return said_by_site(each for each in found if not isinstance(each, Rejection))


def robots_among(paths: Iterable[Path]) -> dict[str, str | None]:
    """What each site says by the archives among these files; one without a record says nothing."""
    return robots_in(path for path in paths if is_archive(path) and has_record(path))
