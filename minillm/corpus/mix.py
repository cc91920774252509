"""What a run reads and when: stories by level, a cap for each source, the held-out part, the training order.

In: documents. Out: the same documents, chosen, split and ordered. The one idea: chance belongs to a
document's id, not to a shared sequence of random numbers, so that one document more or less moves no other.
Left out: weighting sources by temperature.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import sha256

from minillm.corpus.sources import Document
from minillm.corpus.storyworld import tell_story

LEVELS = (1, 2, 3)
STORY_LICENCE = "CC0-1.0"

# Seeds below these are nobody's: notebooks and demonstrations tell stories that no model was trained on.
FIRST_SEED = {"train": 1_000_000, "validation": 2_000_000_000}


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
    return int.from_bytes(sha256(f"{seed} {identity}".encode()).digest()[:8], "big") / 2**64


def capped(documents: Sequence[Document], max_characters: int | None, seed: int) -> list[Document]:
    """A random choice of documents, the same for the same seed, of at most `max_characters` together."""
    kept, total = [], 0
    for document in sorted(documents, key=lambda each: chance(each.id, seed)):
        total += len(document.text)
        if max_characters is not None and total > max_characters:
            break
        kept.append(document)
    return kept


def hold_out(document: Document, fraction: float, seed: int) -> Document:
    """The document, marked as validation if its id is drawn; stories and the user's text have theirs already."""
    if document.source in ("stories", "text") or chance(f"held out {document.id}", seed) >= fraction:
        return document
    return replace(document, split="validation")


def held_out_tail(texts: Sequence[tuple[str, str]]) -> list[Document]:
    """The user's (name, text) pairs as documents, of which the last 10 % of all bytes are validation.

    At least 10 %: the cut moves back to the beginning of a character, and bytes are rounded up.
    """
    num_bytes = sum(len(text.encode()) for _, text in texts)
    left = num_bytes * 9 // 10
    documents = []
    for number, (name, text) in enumerate(texts, start=1):
        data = text.encode()
        cut = min(left, len(data))
        while 0 < cut < len(data) and data[cut] & 0b1100_0000 == 0b1000_0000:
            cut -= 1
        left -= min(left, len(data))
        for split, part in (("train", data[:cut]), ("validation", data[cut:])):
            if part:
                identity = f"text/{number}/{name}/{split}"
                documents.append(Document(identity, part.decode(), "text", "text", "user", "unknown", split))
    if documents[0].split != "train":
        raise ValueError(f"text of {num_bytes} bytes is too short to hold out its last 10 %; give more text")
    return documents


def training_place(document: Document, starts: Sequence[float], seed: int) -> float:
    """A random place in [start of its level, 1); real text may come from the beginning.

    A user's file is one long document and comes first: late in the order, a short run would not reach it.
    """
    if document.source == "text":
        return 0.0
    start = starts[document.level - 1] if document.level else 0.0
    return start + (1 - start) * chance(document.id, seed)


def training_order(documents: Sequence[Document], starts: Sequence[float], seed: int) -> list[Document]:
    """The documents in the order in which they are read: easy first, everything mixed at the end."""
    return sorted(documents, key=lambda each: training_place(each, starts, seed))
