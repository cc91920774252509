"""What a run reads, and when: stories by level, a cap for each source, what is held out, the order.

In: documents. Out: the same documents, chosen, split and ordered. The one idea: chance belongs to a
document's id, not to a shared sequence of random numbers, so that one document more or less moves
no other. Left out: reading a small source several times.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import sha256

from minillm.corpus.sources import Document
from minillm.corpus.storyworld import tell_story
from minillm.corpus.storyworld.stories import ALL_LEVELS, LEVELS

STORY_LICENCE = "CC0-1.0"

# Seeds below a million belong to nobody: notebooks tell stories that no model was trained on.
FIRST_SEED = {"train": 1_000_000, "validation": 2_000_000_000}


# package only
def check_levels(stories: Sequence[int], starts: Sequence[float]) -> None:
    """ValueError unless there are counts for three levels or for all four, and a start for each."""
    if len(stories) not in (len(LEVELS), len(ALL_LEVELS)) or min(stories) < 0:
        raise ValueError(
            f"stories is {stories}; give three counts ≥ 0, of levels {LEVELS}, or four, of "
            f"{ALL_LEVELS}"
        )
    if len(starts) != len(stories) or not all(0 <= start < 1 for start in starts):
        raise ValueError(
            f"starts is {starts}; give {len(stories)} fractions, 0 ≤ fraction < 1, as many as "
            f"stories {stories} has counts: where in the training order each level joins"
        )


def story_seed(index: int, split: str) -> int:
    """The seed of story number `index` of a split: the two splits never share one."""
    return FIRST_SEED[split] + index


def tell_documents(level: int, count: int, split: str) -> Iterator[Document]:
    """`count` stories of one level as documents."""
    for index in range(count):
        text = tell_story(story_seed(index, split), level).text
        identity = f"stories/{level}/{split}/{index}"
        yield Document(identity, text, "stories", "story", STORY_LICENCE, "en", split, level)


def chance(identity: str, seed: int) -> float:
    """A number in [0, 1) that depends on an id and the seed alone, not on who came before."""
    digest = sha256(f"{seed} {identity}".encode()).digest()
    return int.from_bytes(digest[:6], "big") / 2**48


def capped(
    documents: Sequence[Document], max_characters: int | None, seed: int
) -> list[Document]:
    """A random choice of documents, the same for the same seed, of at most `max_characters`.

    If already the first is longer, its beginning: no source is lost without a word.
    """
    kept, total = [], 0
    for document in sorted(documents, key=lambda each: chance(each.id, seed)):
        total += len(document.text)
        if max_characters is not None and total > max_characters:
            beginning = "" if kept else document.text[:max_characters]
            return [replace(document, text=beginning)] if beginning else kept
        kept.append(document)
    return kept


def temperature_shares(sizes: Mapping[str, int], temperature: float) -> dict[str, float]:
    """Each source's share of a mix, size^(1/T) over the sum: T = 1 keeps shares, T → ∞ evens them.

    Devlin et al. 2018 for languages, with 1/T as exponent.
    """
    largest = max(sizes.values())
    weights = {name: (size / largest) ** (1 / temperature) for name, size in sizes.items()}
    total = sum(weights.values())
    return {name: weight / total for name, weight in weights.items()}


def temperature_mix(documents: Sequence[Document], temperature: float, seed: int) -> list[Document]:
    """The largest choice whose sources have these shares, up to a document, none taken twice.

    Of the source that is used up first everything is kept; the order is that of `documents`.
    """
    sizes: Counter[str] = Counter()
    for each in documents:
        sizes[each.source] += len(each.text)
    if not sizes:
        return []
    shares = temperature_shares(sizes, temperature)
    total = min(size / shares[name] for name, size in sizes.items())
    kept: dict[str, Document] = {}
    for name in sizes:
        budget = round(total * shares[name])
        own = [each for each in documents if each.source == name]
        kept |= {each.id: each for each in capped(own, budget, seed)}
    return [kept[each.id] for each in documents if each.id in kept]


def hold_out(document: Document, fraction: float, seed: int) -> Document:
    """The document, for validation if its id is drawn: the same one in every run of this seed."""
    if chance(f"held out {document.id}", seed) >= fraction:
        return document
    return replace(document, split="validation")


def tail_cut(num_bytes: int) -> int:
    """Where the last 10 % of so many bytes begin, rounded so that it is never less than 10 %."""
    return num_bytes * 9 // 10


def character_start(data: bytes, place: int) -> int:
    """The first byte of the character that `place` lies in: later bytes of UTF-8 are 10xxxxxx."""
    while 0 < place < len(data) and data[place] & 0b1100_0000 == 0b1000_0000:
        place -= 1
    return place


def held_out_tail(texts: Sequence[tuple[str, str]]) -> list[Document]:
    """A user's (name, text) pairs, in order: 90 % of all bytes to train on, the tail held out."""
    num_bytes = sum(len(text.encode()) for _, text in texts)
    left, documents = tail_cut(num_bytes), []
    for number, (name, text) in enumerate(texts, start=1):
        data = text.encode()
        cut = character_start(data, min(left, len(data)))
        left -= min(left, len(data))
        for split, part in (("train", data[:cut]), ("validation", data[cut:])):
            if part:
                identity, said = f"text/{number}/{name}/{split}", part.decode()
                documents.append(Document(identity, said, "text", "text", "user", "unknown", split))
    if documents[0].split != "train":
        raise ValueError(f"text of {num_bytes} bytes has no last 10 % to hold out; give more text")
    return documents


def training_place(document: Document, starts: Sequence[float], seed: int) -> float:
    """A random place in [start of its level, 1); found text may come from the beginning.

    A user's file is one long document and comes first: a short run might not reach a later place.
    """
    if document.source == "text":
        return 0.0
    start = starts[document.level - 1] if document.level else 0.0
    # a draw of its own: those that the cap has kept drew low, and would all come first
    return start + (1 - start) * chance(f"place {document.id}", seed)


def training_order(
    documents: Sequence[Document], starts: Sequence[float], seed: int
) -> list[Document]:
    """The documents as they will be read: easy first, everything mixed at the end."""
    return sorted(documents, key=lambda each: training_place(each, starts, seed))
