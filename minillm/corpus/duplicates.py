"""Copies: exact ones by hash, near ones by MinHash signatures and locality-sensitive hashing.

In: texts. Out: families of near-equal texts. The ideas: two texts are as alike as their sets of
word shingles (Jaccard); the smallest hash values of two sets agree with just that probability
(Broder, 1997); and bands of such values find the alike pairs without comparing all pairs (Indyk and
Motwani, 1998). Each candidate is then checked exactly. Left out: copies of lines and paragraphs.
"""

import re
from collections.abc import Iterable, Sequence
from functools import lru_cache
from hashlib import sha256

import numpy as np

from minillm.corpus.sources import Document, Rejection, Step

WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)?")
SHINGLE_WORDS = 5
NUM_BANDS = 32
ROWS_PER_BAND = 4
NUM_HASHES = NUM_BANDS * ROWS_PER_BAND
THRESHOLD = 0.7
MAX_KEPT_SETS = 10_000

# The multipliers and shifts of SplitMix64 (Steele, Lea and Flood, 2014).
FACTORS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
SHIFTS = np.array([30, 27, 31], np.uint64)


def exact_duplicates() -> Step:
    """Make the step that rejects a text seen before, whatever its case and spacing."""
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
    """Spread 64-bit integers over all 64 bits: equal stays equal, neighbours end far apart."""
    for factor, shift in zip(FACTORS, SHIFTS, strict=False):
        values = (values ^ (values >> shift)) * factor
    return values ^ (values >> SHIFTS[-1])


# package only
def word_numbers(texts: Sequence[str], min_length: int) -> list[list[int]]:
    """Each text as numbers of its words, 1 for the first word met; short texts end in zeros."""
    number_by_word: dict[str, int] = {}
    number = number_by_word.setdefault
    numbers = [[number(word, len(number_by_word) + 1) for word in words_of(text)] for text in texts]
    return [each + [0] * (min_length - len(each)) for each in numbers]


# package only
def shingle_hashes(
    texts: Sequence[str], size: int = SHINGLE_WORDS
) -> tuple[np.ndarray, np.ndarray]:
    """A 64-bit hash for each shingle of all texts in a row, and where each text begins."""
    numbers = word_numbers(texts, size)
    lengths = np.array([len(each) for each in numbers])
    flat = np.concatenate([np.array(each, np.uint64) for each in numbers])
    hashes = np.zeros(len(flat) - size + 1, np.uint64)
    for offset in range(size):
        hashes = mixed(hashes + flat[offset : offset + len(hashes)])
    ends = np.cumsum(lengths)
    is_within_text = np.ones(len(flat), bool)
    for offset in range(1, size):
        is_within_text[ends - offset] = False
    num_shingles = lengths - size + 1
    return hashes[is_within_text[: len(hashes)]], np.cumsum(num_shingles) - num_shingles


def minhash(texts: Sequence[str], num_hashes: int = NUM_HASHES, seed: int = 0) -> np.ndarray:
    """The smallest value of each hash function over each text's shingles: `[texts, num_hashes]`."""
    hashes, begins = shingle_hashes(texts)
    odd = np.random.default_rng(seed).integers(0, 2**64, num_hashes, np.uint64) | np.uint64(1)
    return np.stack([np.minimum.reduceat(hashes * factor, begins) for factor in odd], axis=1)


def estimated_jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """The share of hash functions whose smallest values agree."""
    return float((left == right).mean())


def candidate_pairs(signatures: np.ndarray, rows: int = ROWS_PER_BAND) -> set[tuple[int, int]]:
    """Pairs of texts, neighbours in a bucket, that agree in all rows of at least one band."""
    pairs: set[tuple[int, int]] = set()
    for start in range(0, signatures.shape[1], rows):
        bucket = np.zeros(len(signatures), np.uint64)
        for row in range(start, start + rows):
            bucket = mixed(bucket + signatures[:, row])
        order = np.argsort(bucket, kind="stable")
        left, right = order[:-1], order[1:]
        is_same = bucket[left] == bucket[right]
        pairs.update(zip(left[is_same].tolist(), right[is_same].tolist(), strict=True))
    return pairs


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """The S-curve 1 − (1 − J^rows)^bands: how probably two texts share a bucket in some band."""
    return 1 - (1 - similarity**rows) ** bands


def family_heads(num_texts: int, pairs: Iterable[tuple[int, int]]) -> list[int]:
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


def near_duplicates(texts: Sequence[str], threshold: float = THRESHOLD) -> list[int]:
    """For each text the first of its family; candidates count if their true Jaccard is enough."""
    if not texts:
        return []
    shingles_of = lru_cache(MAX_KEPT_SETS)(lambda index: shingles(texts[index]))
    pairs = sorted(candidate_pairs(minhash(texts)))
    alike = [pair for pair in pairs if jaccard(*map(shingles_of, pair)) >= threshold]
    return family_heads(len(texts), alike)


def drop_near_copies(documents: Sequence[Document], threshold: float = THRESHOLD) -> Step:
    """Make the step that keeps the first document of each family of near copies."""
    heads = near_duplicates([each.text for each in documents], threshold)
    first_by_id = {each.id: documents[head] for each, head in zip(documents, heads, strict=True)}

    def step(document: Document) -> Document | Rejection:
        first = first_by_id[document.id]
        if first.id == document.id:
            return document
        alike = round(jaccard(shingles(document.text), shingles(first.text)), 3)
        return Rejection.of(document, "near copy", f"alike {first.id}", alike, threshold)

    return step
