"""Copies of documents, by hash and by families of near-equal texts; of lines and paragraphs.

In: documents. Out: steps that reject copies, or take out of a document what others have too. The
ideas: two texts are as alike as their sets of word shingles (Jaccard); signatures find the pairs
worth comparing (`signatures.py`); candidates are then compared exactly; what is connected through
others is one family (union-find; Tarjan, 1975). Left out: copies inside lines (`substrings.py`).
"""

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Literal

from minillm.corpus.signatures import (
    SHINGLE_WORDS,
    candidate_pairs,
    pair_jaccards,
    shingle_hashes,
    smallest_hashes,
)
from minillm.corpus.sources import Document, Rejection, Step

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
THRESHOLD = 0.7
SEPARATORS = {"line": "\n", "paragraph": "\n\n"}
PARAGRAPH_BREAK = re.compile(r"\n[^\S\n]*\n\s*")
# Shorter lines are alike by chance: `return None`, `The end.`, `* * *`.
MIN_PART_CHARACTERS = 20
# Of the SHA-256 of a line or paragraph; two share a name with odds of 2⁻⁹⁶.
PART_NAME_BYTES = 12


def digest(text: str) -> bytes:
    """The SHA-256 of a text, whatever its case and spacing."""
    return sha256(" ".join(text.lower().split()).encode("utf-8", "surrogatepass")).digest()


def exact_duplicates() -> Step:
    """Make the step that rejects a text seen before, whatever its case and spacing."""
    first_by_digest: dict[bytes, str] = {}

    def step(document: Document) -> Document | Rejection:
        first = first_by_digest.setdefault(digest(document.text), document.id)
        if first == document.id:
            return document
        return Rejection.of(document, "exact copy", f"same text as {first}", 1.0, 1.0)

    return step


def parts_of(text: str, unit: Literal["line", "paragraph"]) -> list[str]:
    """The lines of a text, or its paragraphs, which empty lines part."""
    return text.split("\n") if unit == "line" else PARAGRAPH_BREAK.split(text)


@dataclass(frozen=True, slots=True)
class PartRule:
    """Which parts are copies: of what unit and length, in how many documents, and who keeps one."""

    unit: Literal["line", "paragraph"]
    min_documents: int
    keeps_first: bool
    min_characters: int = MIN_PART_CHARACTERS

    def __post_init__(self) -> None:
        if self.min_documents < 2:
            number = self.min_documents
            raise ValueError(f"min_documents is {number}; a copy needs at least 2 documents")


def is_long_part(part: str, min_characters: int = MIN_PART_CHARACTERS) -> bool:
    """Is a line or paragraph long enough that two equal ones are no chance?"""
    return len(part.strip()) >= min_characters


def part_name(part: str, min_characters: int = MIN_PART_CHARACTERS) -> str | None:
    """A short name for a long line or paragraph, whatever its case and spacing, else None."""
    is_long = is_long_part(part, min_characters)
    return digest(part)[:PART_NAME_BYTES].hex() if is_long else None


def part_names(text: str, rule: PartRule) -> list[str]:
    """The names of all long parts of a text."""
    names = {part_name(part, rule.min_characters) for part in parts_of(text, rule.unit)}
    return sorted(names - {None})


def part_keepers(
    names_by_id: Iterable[tuple[str, Sequence[str]]], rule: PartRule
) -> dict[str, str | None]:
    """By name each part that enough documents share, and who keeps it: the first, or nobody."""
    first: dict[str, str] = {}
    num_documents: Counter[str] = Counter()
    for identity, names in names_by_id:
        num_documents.update(names)
        for name in names:
            first.setdefault(name, identity)
    shared = (name for name, count in num_documents.items() if count >= rule.min_documents)
    return {name: first[name] if rule.keeps_first else None for name in shared}


def cut_parts(keepers: Mapping[str, str | None], rule: PartRule) -> Step:
    """Make the step that leaves these parts with their keepers alone."""

    def step(document: Document) -> Document | Rejection:
        parts = parts_of(document.text, rule.unit)
        names = [part_name(part, rule.min_characters) for part in parts]
        kept = [
            part
            for part, name in zip(parts, names, strict=True)
            if name not in keepers or keepers[name] == document.id
        ]
        if len(kept) == len(parts):
            return document
        if not any(map(str.strip, kept)):
            reason = f"{rule.min_documents} documents share each {rule.unit}"
            return Rejection.of(document, f"{rule.unit} copy", reason, 1.0, 1.0)
        return replace(document, text=SEPARATORS[rule.unit].join(kept))

    return step


def drop_copied_parts(documents: Sequence[Document], rule: PartRule) -> Step:
    """Make the step that takes out each line or paragraph that enough of these documents share.

    A document of which nothing is left is rejected.
    """
    names_by_id = ((each.id, part_names(each.text, rule)) for each in documents)
    return cut_parts(part_keepers(names_by_id, rule), rule)


def drop_copied_lines(documents: Sequence[Document], min_documents: int = 6) -> Step:
    """Make the step that takes out, everywhere, lines that many documents share: boilerplate."""
    return drop_copied_parts(documents, PartRule("line", min_documents, keeps_first=False))


def drop_copied_paragraphs(documents: Sequence[Document], min_documents: int = 2) -> Step:
    """Make the step that leaves each paragraph in the first document that has it alone."""
    return drop_copied_parts(documents, PartRule("paragraph", min_documents, keeps_first=True))


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation: `"No," he said` → `no he said`."""
    return WORD.findall(text.lower())


def shingles(text: str, size: int = SHINGLE_WORDS) -> set[str]:
    """All runs of `size` words of a text; a shorter text is one shingle."""
    words = words_of(text)
    return {" ".join(words[start : start + size]) for start in range(max(1, len(words) - size + 1))}


def jaccard(left: set[str], right: set[str]) -> float:
    """|left ∩ right| / |left ∪ right|, and 1 for two empty sets."""
    union = len(left | right)
    return len(left & right) / union if union else 1.0


def family_heads(num_texts: int, pairs: Iterable[Sequence[int]]) -> list[int]:
    """For each text the first one that pairs connect it to (union-find with path halving)."""
    head = list(range(num_texts))

    def find(text: int) -> int:
        while head[text] != text:
            head[text] = head[head[text]]
            text = head[text]
        return text

    for left, right in pairs:
        first, second = sorted((find(left), find(right)))
        head[second] = first
    return [find(text) for text in range(num_texts)]


def kept_originals(num_texts: int, pairs: Iterable[Sequence[int]]) -> list[int]:
    """For each text the first *kept* one that a pair joins it to; a text without one is kept.

    The ends of a family may be unlike; here no text goes that is not like one that stays.
    """
    original = list(range(num_texts))
    for right, left in sorted((max(pair), min(pair)) for pair in pairs):
        if original[left] == left and original[right] == right:
            original[right] = left
    return original


def alike_pairs(texts: Sequence[str], threshold: float = THRESHOLD) -> list[list[int]]:
    """Pairs that share a bucket and whose true Jaccard similarity is enough."""
    hashes, begins = shingle_hashes(texts)
    pairs = candidate_pairs(smallest_hashes(hashes, begins))
    return pairs[pair_jaccards(hashes, begins, pairs) >= threshold].tolist()


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[int]:
    """For each text the first of its family; candidates count if their true Jaccard is enough."""
    return family_heads(len(texts), alike_pairs(texts, threshold))


def drop_near_copies(documents: Sequence[Document], threshold: float = THRESHOLD) -> Step:
    """Make the step that rejects each document that is alike an earlier one that is kept."""
    texts = [each.text for each in documents]
    originals = kept_originals(len(texts), alike_pairs(texts, threshold))
    first_by_id = {each.id: documents[one] for each, one in zip(documents, originals, strict=True)}

    def step(document: Document) -> Document | Rejection:
        first = first_by_id[document.id]
        if first.id == document.id:
            return document
        alike = round(jaccard(shingles(document.text), shingles(first.text)), 3)
        return Rejection.of(document, "near copy", f"alike {first.id}", alike, threshold)

    return step
