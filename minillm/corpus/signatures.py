"""Signatures: a text as 128 numbers, which agree with another's as often as the texts are alike.

In: texts. Out: hashes of their word shingles, MinHash signatures, pairs of texts worth comparing,
and the exact Jaccard similarity of such pairs. The ideas: the smallest hash values of two sets
agree as often as the sets do (Broder, 1997); bands of them find pairs without comparing all (Indyk
and Motwani, 1998); and all texts are one array, so that no Python loop goes over words: a word's
hash is a difference of two running sums (Karp and Rabin, 1987). Left out: other alphabets' rules
of what a word is.
"""

import re
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache

import numpy as np

SHINGLE_WORDS = 5
NUM_BANDS = 32
ROWS_PER_BAND = 4
NUM_HASHES = NUM_BANDS * ROWS_PER_BAND
NUM_CODE_POINTS = 0x110000
APOSTROPHE = ord("'")
SPACE = re.compile(r"\s")

# So many characters, hashes or pairs at once stay in the processor's cache, about 1 MiB.
BLOCK_CHARACTERS = 2**17
BLOCK_HASHES = 2**16
BLOCK_PAIRS = 2**8
# Of a bucket with more texts, each is paired with so many that follow it, not with all.
MAX_NEIGHBOURS = 32

# The multipliers and shifts of SplitMix64, and its step (Steele, Lea and Flood, 2014).
FACTORS = np.array([0xBF58476D1CE4E5B9, 0x94D049BB133111EB], np.uint64)
SHIFTS = np.array([30, 27, 31], np.uint64)
STEP = np.uint64(0x9E3779B97F4A7C15)
HALF = np.uint64(32)


def mixed(values: np.ndarray) -> np.ndarray:
    """Spread 64-bit integers over all 64 bits: equal stays equal, neighbours end far apart."""
    for factor, shift in zip(FACTORS, SHIFTS, strict=False):
        values = values ^ (values >> shift)
        values *= factor
    return values ^ (values >> SHIFTS[-1])


@lru_cache(1)
def letters() -> tuple[np.ndarray, np.ndarray]:
    """For each code point: does it belong to words, and its value in the hash of a word."""
    codes = np.arange(NUM_CODE_POINTS, dtype=np.uint32)
    return np.strings.isalnum(codes.view("U1")), mixed(codes * STEP + STEP)


@lru_cache(2)
def powers(count: int) -> tuple[np.ndarray, np.ndarray]:
    """An odd number to the powers 0 … count−1, and their inverses, modulo 2⁶⁴."""
    base = int(FACTORS[0])
    bases = np.array([[base], [pow(base, -1, 2**64)]], np.uint64).repeat(count, axis=1)
    bases[:, :1] = 1
    forward, backward = np.multiply.accumulate(bases, axis=1)
    return forward, backward


# package only
def word_edges(codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Where words begin and end: letters and digits, and one apostrophe between two such runs.

    Of the chain `a'b'c` the first two runs are one word, as a pattern reads it from the left.
    """
    is_letter, _ = letters()
    inside = is_letter[codes].view(np.int8)
    edges = np.flatnonzero(np.diff(inside, prepend=np.int8(0)))
    begins, ends = edges[0::2], edges[1::2]
    joins = np.flatnonzero((ends[:-1] + 1 == begins[1:]) & (codes[ends[:-1]] == APOSTROPHE))
    places = np.arange(len(joins))
    chain_starts = np.where(np.diff(joins, prepend=-2) != 1, places, 0)
    joins = joins[(places - np.maximum.accumulate(chain_starts)) % 2 == 0]
    return np.delete(begins, joins + 1), np.delete(ends, joins)


def word_hashes(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each word of some texts in a row, and how many words each text has.

    hash = Σ value(cⱼ)·qʲ from the word's first letter on: the difference of two running sums,
    shifted back by the inverse of q to the power of where the word begins.
    """
    joined = "\n".join([*texts, ""])
    lower = joined.lower()
    of_text = texts if len(lower) == len(joined) else [text.lower() for text in texts]
    text_ends = np.cumsum([len(text) + 1 for text in of_text])
    if lower.isascii():
        codes = np.frombuffer(lower.encode(), np.uint8)
    else:
        codes = np.frombuffer(lower.encode("utf-32-le", "surrogatepass"), np.uint32)
    begins, ends = word_edges(codes)
    _, value = letters()
    forward, backward = powers(max(len(codes), BLOCK_CHARACTERS))
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.cumsum(value[codes] * forward[: len(codes)], out=sums[1:])
    hashes = mixed((sums[ends] - sums[begins]) * backward[begins])
    return hashes, np.diff(np.searchsorted(begins, text_ends), prepend=0)


# package only
def blocks(texts: Iterable[str]) -> Iterator[list[str]]:
    """Texts in lists of a block at most; a longer text is alone."""
    block, num_characters = [], 0
    for text in texts:
        if block and num_characters + len(text) + 1 > BLOCK_CHARACTERS:
            yield block
            block, num_characters = [], 0
        block.append(text)
        num_characters += len(text) + 1
    if block:
        yield block


# package only
def pieces(text: str) -> Iterator[str]:
    """A text in pieces of about a block, cut at a space."""
    begin = 0
    while cut := SPACE.search(text, begin + BLOCK_CHARACTERS):
        yield text[begin : cut.start()]
        begin = cut.start()
    yield text[begin:]


# package only
def block_words(block: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """`word_hashes` of a block, or of a text that may be longer."""
    if len(block) > 1:
        return word_hashes(block)
    hashes = np.concatenate([word_hashes([piece])[0] for piece in pieces(block[0])])
    return hashes, np.array([len(hashes)])


def run_hashes(
    words: np.ndarray, num_words: np.ndarray, size: int
) -> tuple[np.ndarray, np.ndarray]:
    """The hash of each run of `size` words, and how many runs each text has: Σ word·STEP^place.

    A text of fewer words is one run, filled up with zeros.
    """
    missing = np.maximum(size - num_words, 0)
    if missing.any():
        words = np.insert(words, np.cumsum(num_words).repeat(missing), np.uint64(0))
        num_words = num_words + missing
    hashes = np.zeros(len(words) - size + 1, np.uint64)
    is_within_text = np.ones(len(words), bool)
    text_ends = np.cumsum(num_words)
    for offset in range(size):
        hashes *= STEP
        hashes += words[offset : offset + len(hashes)]
        if offset:
            is_within_text[text_ends - offset] = False
    return mixed(hashes[is_within_text[: len(hashes)]]), num_words - size + 1


def shingle_hashes(
    texts: Sequence[str], size: int = SHINGLE_WORDS
) -> tuple[np.ndarray, np.ndarray]:
    """A hash for each shingle of all texts in a row, and where each text begins."""
    found = [run_hashes(*block_words(block), size) for block in blocks(texts)]
    nothing = np.empty(0, np.uint64), np.empty(0, np.int64)
    hashes, counts = (np.concatenate(each) for each in zip(nothing, *found, strict=True))
    return hashes, np.cumsum(counts) - counts


def smallest_hashes(
    hashes: np.ndarray, begins: np.ndarray, num_hashes: int = NUM_HASHES, seed: int = 0
) -> np.ndarray:
    """The least factor·hash + shift modulo 2³² of each text, for each of `num_hashes` functions."""
    rng = np.random.default_rng(seed)
    factors, shifts = rng.integers(0, 2**32, (2, num_hashes), np.uint32)
    ends = np.append(begins[1:], len(hashes))
    smallest = np.empty((num_hashes, len(begins)), np.uint32)
    first = 0
    while first < len(begins):
        last = max(first + 1, np.searchsorted(ends, begins[first] + BLOCK_HASHES, "right"))
        block = (hashes[begins[first] : ends[last - 1]] >> HALF).astype(np.uint32)
        permuted, inner = np.empty_like(block), begins[first:last] - begins[first]
        for row, factor, shift in zip(smallest, factors | np.uint32(1), shifts, strict=True):
            np.multiply(block, factor, out=permuted)
            permuted += shift
            np.minimum.reduceat(permuted, inner, out=row[first:last])
        first = last
    return smallest.T


def minhash(texts: Sequence[str], num_hashes: int = NUM_HASHES, seed: int = 0) -> np.ndarray:
    """The smallest value of each hash function over each text's shingles: `[texts, num_hashes]`."""
    return smallest_hashes(*shingle_hashes(texts), num_hashes, seed)


def estimated_jaccard(left: np.ndarray, right: np.ndarray) -> float:
    """The share of hash functions whose smallest values agree."""
    return float((left == right).mean())


def candidate_pairs(signatures: np.ndarray, rows: int = ROWS_PER_BAND) -> np.ndarray:
    """Pairs of texts that agree in all rows of at least one band: `[pairs, 2]`, in order.

    Sorted by bucket, texts that agree are neighbours; a text's number rides in its low bits.
    """
    bits = np.uint64(len(signatures).bit_length())
    numbers, found = np.arange(len(signatures), dtype=np.uint64), [np.empty(0, np.uint64)]
    for start in range(0, signatures.shape[1], rows):
        bucket = np.zeros(len(signatures), np.uint64)
        for row in range(start, start + rows):
            bucket = mixed(bucket + signatures[:, row])
        ordered = np.sort(bucket << bits | numbers)
        bucket, text = ordered >> bits, ordered & ((np.uint64(1) << bits) - np.uint64(1))
        for step in range(1, min(MAX_NEIGHBOURS + 1, len(bucket))):
            is_same = bucket[step:] == bucket[:-step]
            if not is_same.any():
                break
            found.append(text[:-step][is_same] << HALF | text[step:][is_same])
    pairs = np.unique(np.concatenate(found))
    return np.stack([pairs >> HALF, pairs & np.uint64(2**32 - 1)], axis=1).astype(np.int64)


def candidate_probability(similarity: float, bands: int, rows: int) -> float:
    """The S-curve 1 − (1 − J^rows)^bands: how probably two texts share a bucket in some band."""
    return 1 - (1 - similarity**rows) ** bands


def num_distinct(hashes: np.ndarray, begins: np.ndarray, lengths: np.ndarray) -> np.ndarray:
    """How many different hashes lie in the ranges of each row; both `[rows, ranges]`."""
    counts = np.zeros(len(begins), np.int64)
    for first in range(0, len(begins), BLOCK_PAIRS):
        length, begin = (each[first : first + BLOCK_PAIRS] for each in (lengths, begins))
        before = np.cumsum(length).reshape(length.shape) - length
        places = np.arange(length.sum()) + (begin - before).ravel().repeat(length.ravel())
        row = np.arange(len(length), dtype=np.uint64).repeat(length.sum(axis=1))
        keys = np.sort(row << np.uint64(48) | hashes[places] >> np.uint64(16))
        is_first = np.append(True, keys[1:] != keys[:-1])
        counts[first : first + len(length)] = np.bincount(keys[is_first] >> np.uint64(48))
    return counts


def pair_jaccards(hashes: np.ndarray, begins: np.ndarray, pairs: np.ndarray) -> np.ndarray:
    """The exact similarity of each pair of texts: (|A| + |B| − |A ∪ B|) / |A ∪ B|."""
    lengths = np.diff(np.append(begins, len(hashes)))
    used, place = np.unique(pairs, return_inverse=True)
    sizes = num_distinct(hashes, begins[used, None], lengths[used, None])
    union = num_distinct(hashes, begins[pairs], lengths[pairs])
    return (sizes[place.reshape(pairs.shape)].sum(axis=1) - union) / union
