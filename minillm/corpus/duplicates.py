"""Copies: exact ones by hash, near ones by MinHash signatures and locality-sensitive hashing.

In: texts. Out: families of near-equal texts. The ideas: two texts are as alike as their sets of word
shingles (Jaccard); the smallest of a set's hash values is equal for two sets with just that probability
(Broder 1997); and of many such values, bands find the alike pairs without comparing all (Indyk and Motwani
1998). Each candidate is then checked exactly. Left out: duplicates of single lines and paragraphs.
"""

import re
from collections.abc import Sequence
from hashlib import sha256

import numpy as np

from minillm.corpus.sources import Document, Rejection, Step

SHINGLE_WORDS = 5
NUM_BANDS, ROWS_PER_BAND = 32, 4
THRESHOLD = 0.7
WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")


def exact_duplicates() -> Step:
    """Make the step that rejects a text whose words were seen before, whatever their case and spacing."""
    first_by_digest: dict[bytes, str] = {}

    def step(document: Document) -> Document | Rejection:
        digest = sha256(" ".join(document.text.lower().split()).encode()).digest()
        first = first_by_digest.setdefault(digest, document.id)
        if first == document.id:
            return document
        return Rejection.of(document, "exact copy", f"same text as {first}", 1.0, 1.0)

    return step


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


def mixed(values: np.ndarray) -> np.ndarray:
    """Spread 64-bit integers over all 64 bits (the finaliser of SplitMix64): equal stays equal."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def shingle_hashes(texts: Sequence[str], size: int = SHINGLE_WORDS) -> tuple[np.ndarray, np.ndarray]:
    """One 64-bit number a shingle, all texts in a row, and where each text begins."""
    number_by_word: dict[str, int] = {}
    words = [[number_by_word.setdefault(word, len(number_by_word) + 1) for word in words_of(text)] for text in texts]
    padded = [numbers + [0] * (size - len(numbers)) for numbers in words]
    lengths = np.array([len(numbers) for numbers in padded])
    flat = np.fromiter((number for numbers in padded for number in numbers), np.uint64, lengths.sum())
    hashes = np.zeros(len(flat) - size + 1, np.uint64)
    for offset in range(size):
        hashes = mixed(hashes * np.uint64(31) + flat[offset : offset + len(hashes)])
    begins = np.cumsum(lengths) - lengths
    is_inside = np.ones(len(flat), bool)
    for offset in range(1, size):
        is_inside[begins + lengths - offset] = False
    num_shingles = lengths - size + 1
    return hashes[is_inside[: len(hashes)]], np.cumsum(num_shingles) - num_shingles


def minhash(texts: Sequence[str], num_hashes: int = NUM_BANDS * ROWS_PER_BAND, seed: int = 0) -> np.ndarray:
    """For each text and each hash function, the smallest hash of any shingle: `[texts, num_hashes]`."""
    hashes, begins = shingle_hashes(texts)
    factors = np.random.default_rng(seed).integers(0, 2**63, num_hashes, dtype=np.uint64) * np.uint64(2) + np.uint64(1)
    columns = [np.minimum.reduceat(hashes * factor, begins) for factor in factors]
    return np.stack(columns, axis=1)


def estimated_jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """The share of hash functions whose smallest values agree."""
    return float((left == right).mean())


def candidate_pairs(signatures: np.ndarray, rows: int = ROWS_PER_BAND) -> set[tuple[int, int]]:
    """Pairs (earlier, later) that agree in all rows of at least one band."""
    pairs: set[tuple[int, int]] = set()
    for start in range(0, signatures.shape[1], rows):
        band = np.zeros(len(signatures), np.uint64)
        for row in range(start, start + rows):
            band = mixed(band * np.uint64(31) + signatures[:, row])
        order = np.argsort(band, kind="stable")
        is_equal = band[order[1:]] == band[order[:-1]]
        pairs.update(zip(order[:-1][is_equal].tolist(), order[1:][is_equal].tolist()))
    return pairs


def candidate_probability(similarity: float, bands: int = NUM_BANDS, rows: int = ROWS_PER_BAND) -> float:
    """The S-curve 1 − (1 − J^rows)^bands: how probably two texts meet in at least one band."""
    return 1 - (1 - similarity**rows) ** bands


def family_heads(num_texts: int, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """For each text the first text that it is connected to (union-find with path halving)."""
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


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[int]:
    """For each text the first text of its family; candidates of the bands are checked by true Jaccard."""
    if not texts:
        return []
    sets: dict[int, set[str]] = {}

    def similarity(left: int, right: int) -> float:
        for index in (left, right):
            if index not in sets:
                sets[index] = shingles(texts[index])
        return jaccard(sets[left], sets[right])

    pairs = sorted(candidate_pairs(minhash(texts)))
    return family_heads(len(texts), [pair for pair in pairs if similarity(*pair) >= threshold])


def drop_near_copies(documents: Sequence[Document], threshold: float = THRESHOLD) -> Step:
    """Make the step that keeps the first document of each family of near copies."""
    heads = near_duplicates([each.text for each in documents], threshold)
    first_by_id = {document.id: documents[head] for document, head in zip(documents, heads)}

    def step(document: Document) -> Document | Rejection:
        first = first_by_id[document.id]
        if first.id == document.id:
            return document
        alike = jaccard(shingles(document.text), shingles(first.text))
        return Rejection.of(document, "near copy", f"alike {first.id}", round(alike, 3), threshold)

    return step
