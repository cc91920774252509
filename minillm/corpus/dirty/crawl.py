"""The dirty web on disk: a raw crawl as WARC, and beside it the truth, one line a page.

In: pages, and files beside them. Out: `crawl.warc.gz` and `truth.jsonl`; the files in a folder of
their own, and `files.jsonl`. The one idea: the crawl holds only what a crawler
would bring, bytes and headers; all that is known about them stands in the other file.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path

from minillm.core.records import atomic_write, check_replaceable, read_json_lines
from minillm.corpus.dirty.damage import encoded
from minillm.corpus.dirty.files import DirtyFile
from minillm.corpus.dirty.walled import robots_files
from minillm.corpus.dirty.web import DirtyPage
from minillm.corpus.shardfolders import json_line
from minillm.corpus.webarchive import write_pages

CRAWL, TRUTH = "crawl.warc.gz", "truth.jsonl"
FILES, FILES_TRUTH = "files", "files.jsonl"
FIRST_VISIT = datetime(2026, 1, 1, tzinfo=UTC)


# package only
def answers(pages: Sequence[DirtyPage]) -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
    """What the server of each page sends: (address, bytes, headers), a second after the last."""
    for number, page in enumerate(pages):
        moment = FIRST_VISIT + timedelta(seconds=number)
        charset = f"; charset={page.declared}" if page.declared else ""
        headers = {
            "Content-Type": f"text/html{charset}",
            "WARC-Date": moment.strftime("%Y-%m-%dT%H:%M:%SZ"),
            **dict(page.headers),
        }
        yield page.url, encoded(page.document.text, page.encoding), headers


# package only
def crawl_of(pages: Sequence[DirtyPage]) -> Iterator[tuple[str, bytes, Mapping[str, str]]]:
    """All that a crawler brings: the pages, and behind them the robots.txt of their sites."""
    yield from answers(pages)
    yield from robots_files(pages)


# package only
def truth_of(page: DirtyPage) -> dict[str, object]:
    """All that was planted in a page, as it stands in the truth file."""
    return {
        "url": page.url,
        "id": page.document.id,
        "faults": sorted(page.faults),
        "should_go": page.should_go,
        "licence": page.document.licence,
        "headers": dict(page.headers),
        "language": page.language,
        "line_languages": page.line_languages,
        "encoding": page.encoding,
        "declared": page.declared,
        "copy_of": page.copy_of,
        "copy_way": page.copy_way,
        "leak": asdict(page.leak) if page.leak else None,
        "passage": asdict(page.passage) if page.passage else None,
        "origin": page.origin,
        "personal_data": page.personal_data,
        "decoys": page.decoys,
        "boilerplate": [*page.frame.links, *page.frame.before, *page.frame.after],
        "shown_text": page.shown_text,
        "clean_text": page.clean_text,
    }


# package only
def remove_listed(folder: Path) -> None:
    """Remove the files that an earlier crawl wrote into this folder, and listed."""
    if (folder / FILES_TRUTH).is_file():
        for fields in read_json_lines(folder / FILES_TRUTH):
            (folder / FILES / Path(fields["name"]).name).unlink(missing_ok=True)


# package only
def write_crawl(
    pages: Sequence[DirtyPage], folder: Path, files: Sequence[DirtyFile] = ()
) -> dict[str, int | str]:
    """Write the crawl, the files and the truth into a folder, in place of those of an earlier one.

    Returns how much there is; ValueError for a folder with other things in it.
    """
    check_replaceable(folder, CRAWL, (TRUTH, FILES, FILES_TRUTH))
    folder.mkdir(parents=True, exist_ok=True)
    write_pages(folder / CRAWL, crawl_of(pages))
    lines = (json_line(truth_of(page)) for page in pages)
    atomic_write(folder / TRUTH, "".join(lines))
    remove_listed(folder)
    (folder / FILES).mkdir(exist_ok=True)
    for each in files:
        (folder / FILES / each.name).write_text(each.content, encoding="utf-8")
    lines = (json_line(asdict(each)) for each in files)
    atomic_write(folder / FILES_TRUTH, "".join(lines))
    return {
        "pages": len(pages),
        "files": len(files),
        "bytes": (folder / CRAWL).stat().st_size,
        "should_go": sum(page.should_go for page in pages),
        "path": str(folder),
    }
