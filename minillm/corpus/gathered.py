"""Steps that look at all documents, cut so that nobody has to hold all documents.

In: the documents of one shard. Out: something small about them, such as counts or hashes. All of
these together give a decision, and the decision makes the step that every shard applies: map,
combine, map (Dean and Ghemawat, 2004). The one idea: what is collected may not depend on who else
is in the shard, and combining may not depend on how documents were dealt out. Through the one
process that combines pass some 30 bytes a line of web text, some 260 a document that is left for
near copies, and whole the few that may be near copies. Where passages are cut too: some 30 bytes a
line or paragraph, and all texts where they fit a suffix array. Left out: combining in a tree.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from hashlib import blake2b

import numpy as np

from minillm.corpus import passages
from minillm.corpus.clean import line_key
from minillm.corpus.duplicates import digest, drop_near_copies
from minillm.corpus.shardfolders import Numbered
from minillm.corpus.signatures import NUM_BANDS, ROWS_PER_BAND, candidate_pairs, minhash, mixed
from minillm.corpus.sources import Document, Rejection, Step

# As many as `drop_boilerplate` asks for.
MIN_PAGES = 8
LINE_DIGEST_BYTES = 12

Json = dict | list


@dataclass(frozen=True, slots=True)
class Round:
    """What a shard collects, knowing the last decision, and what all collections decide."""

    collect: Callable[[Sequence[Numbered], Json | None], Json]
    combine: Callable[[Sequence[Json], Json | None], Json]


@dataclass(frozen=True, slots=True)
class Gathered:
    """A step in rounds: the decision of the last one makes the step that each shard applies."""

    rounds: tuple[Round, ...]
    decide: Callable[[Json], Step]


def line_digest(line: str) -> str:
    """A name for a line, whatever its length and numbers; two share one with odds of 2⁻⁹⁶."""
    data = line_key(line).encode("utf-8", "surrogatepass")
    return blake2b(data, digest_size=LINE_DIGEST_BYTES).hexdigest()


def count_lines(documents: Sequence[Numbered], _: Json | None) -> dict[str, int]:
    """How many web pages of the shard have a line, by the line's digest."""
    pages = (each.text.split("\n") for _, each in documents if each.kind == "web")
    return dict(Counter(name for lines in pages for name in set(map(line_digest, lines))))


def shared_digests(counts: Sequence[dict[str, int]], _: Json | None) -> list[str]:
    """The lines that enough pages have, over all shards."""
    total: Counter[str] = Counter()
    for each in counts:
        total.update(each)
    return sorted(line for line, count in total.items() if count >= MIN_PAGES)


def without_lines(digests: Sequence[str]) -> Step:
    """Make the step that takes these lines from web pages."""
    boilerplate = frozenset(digests)

    def step(document: Document) -> Document:
        if document.kind != "web":
            return document
        lines = document.text.split("\n")
        kept = [line for line in lines if line_digest(line) not in boilerplate]
        return replace(document, text="\n".join(kept))

    return step


def list_texts(documents: Sequence[Numbered], _: Json | None) -> list[list]:
    """(place, digest of the text, id) of each document of the shard."""
    return [[place, digest(each.text).hex(), each.id] for place, each in documents]


def first_of_copies(lists: Sequence[list[list]], _: Json | None) -> dict[str, str]:
    """The id of the first document of each text that there is more than once."""
    first: dict[str, str] = {}
    copied = set()
    for _, text, identity in sorted(entry for each in lists for entry in each):
        if first.setdefault(text, identity) != identity:
            copied.add(text)
    return {text: first[text] for text in sorted(copied)}


def without_copies(first_by_digest: dict[str, str]) -> Step:
    """Make the step that rejects every document but the first of each text."""

    def step(document: Document) -> Document | Rejection:
        first = first_by_digest.get(digest(document.text).hex(), document.id)
        if first == document.id:
            return document
        return Rejection.of(document, "exact copy", f"same text as {first}", 1.0, 1.0)

    return step


def hash_bands(documents: Sequence[Numbered], _: Json | None) -> list[list]:
    """(place, a hash of each band of the signature) of each document of the shard."""
    if not documents:
        return []
    signatures = minhash([each.text for _, each in documents])
    bands = np.zeros((len(documents), NUM_BANDS), np.uint64)
    for row in range(ROWS_PER_BAND):
        bands = mixed(bands + signatures[:, row::ROWS_PER_BAND])
    hashes = bands.astype(np.uint32)
    return [[place, row.tobytes().hex()] for (place, _), row in zip(documents, hashes, strict=True)]


def places_to_compare(lists: Sequence[list[list]], _: Json | None) -> list[int]:
    """The places of documents that share a band with another."""
    entries = sorted(entry for each in lists for entry in each)
    if not entries:
        return []
    bands = [np.frombuffer(bytes.fromhex(hashes), np.uint32) for _, hashes in entries]
    numbers = np.unique(candidate_pairs(np.stack(bands), rows=1)).tolist()
    return [entries[number][0] for number in numbers]


def fetch_documents(documents: Sequence[Numbered], places: list[int]) -> list[list]:
    """(place, document) for each of the shard's documents that may be a near copy, or have one."""
    wanted = set(places)
    return [[place, asdict(each)] for place, each in documents if place in wanted]


def near_copies(lists: Sequence[list[list]], _: Json | None) -> dict[str, dict]:
    """By id, why a document is rejected: `drop_near_copies` itself, over these documents alone.

    Nobody else shares a band with any of them, so nobody else could change what it finds.
    """
    entries = sorted((entry for each in lists for entry in each), key=lambda entry: entry[0])
    documents = [Document(**fields) for _, fields in entries]
    results = map(drop_near_copies(documents), documents)
    return {each.id: asdict(each) for each in results if isinstance(each, Rejection)}


def without_near_copies(rejection_by_id: dict[str, dict]) -> Step:
    """Make the step that says of each near copy what was found when all were compared."""

    def step(document: Document) -> Document | Rejection:
        found = rejection_by_id.get(document.id)
        return document if found is None else Rejection(**found)

    return step


GATHERED: dict[str, Gathered] = {
    "boilerplate": Gathered((Round(count_lines, shared_digests),), without_lines),
    "exact copy": Gathered((Round(list_texts, first_of_copies),), without_copies),
    "near copy": Gathered(
        (Round(hash_bands, places_to_compare), Round(fetch_documents, near_copies)),
        without_near_copies,
    ),
    **{
        name: Gathered(
            (Round(partial(passages.list_parts, rule), partial(passages.keepers, rule)),),
            partial(passages.without_parts, rule),
        )
        for name, rule in passages.PART_RULES.items()
    },
    passages.SUBSTRINGS: Gathered(
        (
            Round(passages.count_characters, passages.is_small),
            Round(passages.list_texts, passages.long_copies),
        ),
        passages.without_long_copies,
    ),
}


class Unseen(Sequence):
    """Stands for all documents where a step is made for one shard alone, and refuses a look."""

    def __init__(self, step: str) -> None:
        self.step = step

    def refuse(self, *_: object) -> None:
        raise ValueError(
            f"step {self.step!r} looks at all documents, which no shard has; "
            "say in minillm.corpus.gathered.GATHERED what a shard collects for it"
        )

    __len__ = __getitem__ = __iter__ = refuse


def step_for_shards(name: str, make: Callable[[Sequence[Document]], Step], decision: Json) -> Step:
    """The step that a shard applies: by the decision on all shards, or without knowing them."""
    return GATHERED[name].decide(decision) if name in GATHERED else make(Unseen(name))
