"""What the shards of a corpus leave on disk: dealt out, put in place whole, merged again.

In: files of documents, and what workers write. Out: a folder for each shard in each phase, and at
the end the files of a corpus and its data card. The one idea: a folder is renamed into place when
it is whole, and its manifest holds a key of all that it depends on, so whoever comes later knows by
the key whether there is something left to do. A document carries its place in the input, by which
shards are merged: how many there were leaves no trace.
"""

import heapq
import json
import os
import shutil
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from platform import node
from typing import Generic, TextIO, TypeVar

from filelock import FileLock, Timeout

from minillm.core.records import (
    Artifact,
    canonical,
    counted,
    read_json_lines,
    seal,
    sha256_of,
    sized,
)
from minillm.corpus.card import added, data_card
from minillm.corpus.cardpage import write_card
from minillm.corpus.inputs import read_inputs
from minillm.corpus.opening import READ
from minillm.corpus.ownfiles import in_words
from minillm.corpus.sources import Document, Rejection

Numbered = tuple[int, Document]
Record = TypeVar("Record", Document, Rejection)

# Each shard is an open file while they are dealt and merged, and systems allow about a thousand.
MAX_SHARDS = 500
DOCUMENTS, REJECTED, COLLECTED = "documents.jsonl", "rejected.jsonl", "collected.json"
COUNTS = "counts.json"


# package only
def json_line(fields: Mapping[str, object]) -> str:
    """One record as one line."""
    return json.dumps(fields, ensure_ascii=False) + "\n"


# package only
def deal_documents(paths: Sequence[Path], streams: Sequence[TextIO], faults: TextIO) -> int:
    """Deal documents as cards are dealt, one in memory at a time, and list what gives none.

    ValueError where two have one id, or where nothing that there is can be read as a document.
    """
    num_documents, first, is_faulty = 0, None, True
    for place, result in enumerate(read_inputs(paths)):
        if isinstance(result, Document):
            num_documents += 1
            streams[place % len(streams)].write(json_line({"place": place} | asdict(result)))
        else:
            first, is_faulty = first or result, is_faulty and result.step == READ
            faults.write(json_line({"at": [place], "rejection": asdict(result)}))
    if first is not None and is_faulty and not num_documents:
        named = ", ".join(map(str, paths))
        raise ValueError(f"{named}: no record gives a document; the first: {in_words(first)}")
    return num_documents


# package only
def deal_files(
    paths: Sequence[Path], made_of: Sequence[object], names: Sequence[str], work: Path
) -> dict[str, Path]:
    """The folder of each shard, filled; beside them is listed what is no document."""
    folder, key = work / "input", sha256_of(canonical([made_of, names]))
    if finished(folder, key) is None:
        shutil.rmtree(folder, ignore_errors=True)
        for name in names:
            (folder / name).mkdir(parents=True)
        with ExitStack() as stack:
            files = [*(folder / name / DOCUMENTS for name in names), folder / REJECTED]
            opened = [stack.enter_context(open(path, "w", encoding="utf-8")) for path in files]
            try:
                num_documents = deal_documents(paths, opened[:-1], opened[-1])
            except ValueError:
                shutil.rmtree(folder)
                with suppress(OSError):  # it holds walks of another input, which is not done
                    work.rmdir()
                raise
        seal(folder, "input", key, {}, {}, {"num_documents": num_documents}, "input")
    return {name: folder / name for name in names}


# package only
def read_shard(folder: Path) -> list[Numbered]:
    """The documents of a shard, each with its place in the input."""
    lines = read_json_lines(folder / DOCUMENTS)
    return [(fields.pop("place"), Document(**fields)) for fields in lines]


def put_in_place(
    target: Path, key: str, files: Mapping[str, Iterable[str]], figures: Mapping[str, object]
) -> dict:
    """Write a folder beside its place and rename it: it is there whole, or not at all.

    Where another attempt was first, its folder stays: both are the same.
    """
    worker = f"{node()}-{os.getpid()}"
    beside = target.with_name(f".{target.name}.{worker}.partial")
    beside.mkdir(parents=True)
    try:
        for name, lines in files.items():
            with open(beside / name, "w", encoding="utf-8") as stream:
                stream.writelines(lines)
        done = dict(figures) | {"ended_s": time.time(), "worker": worker}
        seal(beside, target.name, key, {}, {}, done, target.name)
        try:
            os.rename(beside, target)
        except OSError:  # a folder that is not empty is never overwritten
            if finished(target, key) is None:
                raise
    finally:
        shutil.rmtree(beside, ignore_errors=True)
    return done


def finished(folder: Path, key: str) -> Artifact | None:
    """What lies in a folder, if it is whole and has this key."""
    try:
        artifact = Artifact.load(folder)
    except (FileNotFoundError, ValueError):
        return None
    return artifact if artifact.key == key and artifact.altered_file() is None else None


# package only
@contextmanager
def tidied(lock: Path, work: Path) -> Iterator[None]:
    """Take away a lock's file, and the shards if they are done, unless another process works there.

    Only who holds a lock unlinks it: who waits for it finds that it has no name, and makes another.
    """
    is_done = False
    try:
        yield
        is_done = True
    finally:
        with suppress(Timeout), FileLock(lock, blocking=False):
            if is_done:
                shutil.rmtree(work, ignore_errors=True)
            lock.unlink(missing_ok=True)


# package only
def merged(paths: Iterable[Path], field: str) -> Iterator[dict]:
    """The records of sorted files in the order of one field, one record of each in memory."""
    files = [read_json_lines(path) for path in paths]
    return heapq.merge(*files, key=lambda fields: fields[field])


# package only
def write_corpus(
    folder: Path, last: Iterable[Path], walked: Iterable[Sequence[Path]]
) -> dict[str, object]:
    """Merge the last phase's documents, and each phase's rejections; the figures of both."""
    fingerprints, by_source, by_step = [], Counter(), Counter()
    num_bytes = 0
    with open(folder / DOCUMENTS, "w", encoding="utf-8") as stream:
        for fields in merged([each / DOCUMENTS for each in last], "place"):
            del fields["place"]
            stream.write(json_line(fields))
            fingerprints.append(fingerprint(Document(**fields)))
            by_source[fields["source"]] += 1
            num_bytes += len(fields["text"].encode())
    num_documents = len(fingerprints)
    with open(folder / REJECTED, "w", encoding="utf-8") as stream:
        for shards in walked:
            for fields in merged([each / REJECTED for each in shards], "at"):
                stream.write(json_line(fields["rejection"]))
                fingerprints.append(fingerprint(Rejection(**fields["rejection"])))
                by_step[fields["rejection"]["step"]] += 1
    return {
        "num_documents": num_documents, "num_bytes": num_bytes,
        "num_rejected": sum(by_step.values()),
        "documents_by_source": dict(by_source), "rejected_by_step": dict(by_step),
        "id_hash": sha256_of("\n".join(sorted(fingerprints))),
    }  # fmt: skip


# package only
@dataclass(frozen=True, slots=True)
class Filed(Generic[Record]):
    """The records of a file, read from the disk each time that one goes through them."""

    path: Path
    kind: type[Record]

    def __iter__(self) -> Iterator[Record]:
        return (self.kind(**fields) for fields in read_json_lines(self.path))


# package only
def write_corpus_card(
    folder: Path, tallies: Iterable[Mapping], options: Mapping[str, object]
) -> None:
    """The data card beside what `write_corpus` wrote, from the shards' tallies and the two files.

    Of languages and licences it asks what the options of the steps ask; nobody asked for a mix.
    """
    documents = Filed(folder / DOCUMENTS, Document)
    rejected = Filed(folder / REJECTED, Rejection)
    asked = [options.get(name) for name in ("languages", "licences")]
    write_card(folder, data_card(documents, rejected, *asked, added(tallies), is_mix=False))


# package only
def fingerprint(record: Document | Rejection) -> str:
    """An id, and a hash of all that is said of it."""
    return f"{record.id} {type(record).__name__} {sha256_of(canonical(record))}"


# package only
def id_hash(records: Iterable[Document | Rejection]) -> str:
    """One hash of a cleaned corpus, kept and rejected, whatever the order."""
    return sha256_of("\n".join(sorted(fingerprint(each) for each in records)))


# package only
def corpus_summary(figures: dict) -> str:
    """One line for a person: how much is left, and how much is not."""
    documents = counted(figures["num_documents"], "document")
    return f"{documents}, {sized(figures['num_bytes'])}; {figures['num_rejected']:,} rejected"


# package only
def shard_names(num_shards: int, dashes: str = "") -> list[str]:
    """The shards' names; ValueError for a number that cannot be (with `dashes` as it is typed)."""
    if not 1 <= num_shards <= MAX_SHARDS:
        raise ValueError(f"{dashes}shards is {num_shards}; give 1 to {MAX_SHARDS}")
    return [f"shard_{number:04}" for number in range(num_shards)]
