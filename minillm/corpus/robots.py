"""The robots.txt files in a crawl: which records hold one, and what a site says in the end.

In: the archives of a crawl. Out: by site its words, or None where it could not be asked. The ideas:
the file may stand behind the pages it speaks of, or in another archive, so a pass of its own looks
for it and keeps nothing else; and an answer stands above a failure, the newer of two answers above
the older, so that no order of records matters (RFC 9309, sections 2.3 and 2.4). Left out: what a
redirect leads to; a file of its own for each scheme.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

from fastwarc.warc import WarcRecord

from minillm.corpus.opening import DAMAGED, MAX_RECORD_BYTES, Unusable, format_of, is_damage
from minillm.corpus.permission import ROBOTS_FILE, site_of
from minillm.corpus.sources import Rejection
from minillm.corpus.warcrecords import walk_records

MAX_ROBOTS_BYTES = 500 * 1024  # as much as RFC 9309 wants to be read at least


# package only
@dataclass(frozen=True, slots=True, order=True)
class Answer:
    """What a site sent for its robots.txt: the greatest of several is the one that counts."""

    is_known: bool
    date: str
    text: str


# package only
def is_robots(record: WarcRecord) -> bool:
    """Whether a record is what a site sent for `/robots.txt`."""
    address = record.headers.get("WARC-Target-URI") or ""
    try:
        parts = urlsplit(address)
        return parts.path == f"/{ROBOTS_FILE}" and not parts.query and bool(site_of(address))
    except ValueError:
        return False


# package only
def robots_answer(record: WarcRecord) -> Answer | None:
    """The answer in a record of a robots.txt; None for a redirect.

    A site without the file (400 to 499) allows all: an empty text. One that failed could not be
    asked. Unusable for a damaged record.
    """
    is_short = record.content_length <= MAX_RECORD_BYTES
    if is_short and "WARC-Block-Digest" in record.headers and not record.verify_block_digest():
        raise Unusable(DAMAGED, "another digest", record.headers["WARC-Block-Digest"])
    if record.is_http:
        record.parse_http(auto_decode="all")
    date = record.headers.get("WARC-Date") or ""
    status = record.http_headers.status_code if record.http_headers is not None else None
    if record.is_http and status != 200:
        is_missing = status is not None and 400 <= status < 500
        return None if status in range(300, 400) else Answer(is_missing, date, "")
    data = record.reader.read(MAX_ROBOTS_BYTES)
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
    return None if answer is None else (site_of(record.headers["WARC-Target-URI"]), answer)


def robots_in(paths: Iterable[Path]) -> dict[str, str | None]:
    """What each site says in its robots.txt, by what these archives hold; None: it cannot be asked.

    A pass of its own, which keeps these texts alone, each at most 500 kB.
    """
    found = (each for path in paths for each in walk_records(path, robots_entry))
    return said_by_site(each for each in found if not isinstance(each, Rejection))


# package only
def with_robots_beside(paths: Iterable[Path]) -> list[Path]:
    """These archives, and those in their folders that have `robots` in their name."""
    paths = list(map(Path, paths))
    folders = dict.fromkeys(path.parent for path in paths)
    files = (each for folder in folders for each in sorted(folder.iterdir()))
    named = (each for each in files if "robots" in each.name.lower())
    return list(dict.fromkeys((*paths, *(each for each in named if format_of(each) == ".warc"))))
