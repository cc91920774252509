"""Copies: Jaccard by hand, MinHash against it, families against brute force."""

import random
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.corpus import duplicates
from minillm.corpus.duplicates import (
    candidate_pairs,
    candidate_probability,
    drop_near_copies,
    estimated_jaccard,
    exact_duplicates,
    family_heads,
    jaccard,
    minhash,
    mixed,
    near_duplicates,
    shingle_hashes,
    shingles,
    words_of,
)
from minillm.corpus.sources import Document, Rejection

WORDS = [f"w{number}" for number in range(2000)]


def document(text: str, identity: str) -> Document:
    return Document(identity, text, "test", "web", "CC0-1.0", "en")


def edited(text: str, num_changed: int, rng: random.Random) -> str:
    words = text.split()
    for index in rng.sample(range(len(words)), num_changed):
        words[index] = "changed"
    return " ".join(words)


def planted(seed: int, num_originals: int = 60) -> list[str]:
    """Texts of 60 to 200 words, and copies of them with up to six changed words."""
    rng = random.Random(seed)
    texts = [
        " ".join(rng.choice(WORDS) for _ in range(rng.randrange(60, 200)))
        for _ in range(num_originals)
    ]
    return texts + [edited(rng.choice(texts), rng.randrange(7), rng) for _ in range(num_originals)]


def test_words_have_no_case_and_no_punctuation():
    assert words_of("“It's Tom's,” SAID snake_case 42!") == "it's tom's said snake case 42".split()


def test_shingles_and_jaccard_by_hand():
    left, right = shingles("a b c d", 2), shingles("a b c e", 2)
    assert left == {"a b", "b c", "c d"}
    assert jaccard(left, right) == 2 / 4
    assert jaccard(set(), set()) == 1
    assert jaccard(left, set()) == 0
    assert shingles("a b", 5) == {"a b"}
    assert shingles("", 5) == {""}


@given(st.lists(st.text("ab ", max_size=12), min_size=1, max_size=6), st.integers(1, 6))
def test_hashes_are_equal_exactly_where_shingles_are(texts, size):
    hashes, begins = shingle_hashes(texts, size)
    ends = [*begins[1:].tolist(), len(hashes)]
    of_text = [hashes[begin:end].tolist() for begin, end in zip(begins, ends, strict=True)]
    spoken = [shingles(text, size) for text in texts]
    for one, two in combinations(range(len(texts)), 2):
        assert len(set(of_text[one]) & set(of_text[two])) == len(spoken[one] & spoken[two])
    assert all(len(set(a)) == len(b) for a, b in zip(of_text, spoken, strict=True))


def test_mixing_spreads_and_never_collides():
    values = mixed(np.arange(100_000, dtype=np.uint64))
    assert len(np.unique(values)) == 100_000
    share_of_ones = np.unpackbits(values.view(np.uint8)).mean()
    assert abs(share_of_ones - 0.5) < 5 * 0.5 / (64 * 100_000) ** 0.5


def check_estimates(signature) -> None:
    """The error of each estimate is within 5 σ of a binomial with as many draws as hashes."""
    texts = planted(1)
    num_hashes = 512
    signatures = signature(texts, num_hashes)
    sets = [shingles(text) for text in texts]
    errors = []
    for one, two in combinations(range(len(texts)), 2):
        true = jaccard(sets[one], sets[two])
        sigma = (true * (1 - true) / num_hashes) ** 0.5
        error = estimated_jaccard(signatures[one], signatures[two]) - true
        assert abs(error) <= 5 * sigma + 3 / num_hashes
        if true > 0.2:
            errors.append(error)
    assert len(errors) >= 40
    assert abs(np.mean(errors)) < 0.02


def test_estimate_is_the_jaccard_similarity():
    check_estimates(minhash)


def test_minimum_of_unmixed_numbers_is_no_estimate(monkeypatch):
    monkeypatch.setattr(duplicates, "mixed", lambda values: values)
    with pytest.raises(AssertionError):
        check_estimates(minhash)


def test_signature_of_a_text_does_not_depend_on_its_neighbours():
    """Hashes are numbered by first meeting, so equality is what must not change."""
    texts = planted(2)[:10]
    first = minhash(texts)
    second = minhash(texts[::-1])[::-1]
    for one, two in combinations(range(len(texts)), 2):
        agree = estimated_jaccard(first[one], first[two])
        assert abs(agree - estimated_jaccard(second[one], second[two])) < 0.25
        assert (agree == 1) == (texts[one] == texts[two])


def test_s_curve_is_predicted_and_measured():
    rng = np.random.default_rng(0)
    similarity, bands, rows, trials = 0.5, 8, 4, 2000
    met = 0
    for _ in range(trials):
        agree = rng.random(bands * rows) < similarity
        left = np.arange(bands * rows, dtype=np.uint64)
        right = np.where(agree, left, left + np.uint64(1000))
        met += len(candidate_pairs(np.stack([left, right]), rows))
    predicted = candidate_probability(similarity, bands, rows)
    assert abs(met / trials - predicted) < 5 * (predicted * (1 - predicted) / trials) ** 0.5
    assert candidate_probability(0, 32, 4) == 0 and candidate_probability(1, 32, 4) == 1


def check_families(find) -> None:
    """Every pair that brute force finds at .7 is in one family, and no family joins strangers."""
    texts = planted(3)
    heads = find(texts)
    sets = [shingles(text) for text in texts]
    true = {
        pair
        for pair in combinations(range(len(texts)), 2)
        if jaccard(sets[pair[0]], sets[pair[1]]) >= 0.7
    }
    assert len(true) >= 25
    expected = family_heads(len(texts), true)
    assert sum(a == b for a, b in zip(heads, expected, strict=True)) == len(texts)


def test_families_are_those_of_brute_force():
    check_families(near_duplicates)


def test_families_without_bands_are_missed(monkeypatch):
    monkeypatch.setattr(duplicates, "candidate_pairs", lambda signatures: set())
    with pytest.raises(AssertionError):
        check_families(near_duplicates)


def test_families_are_connected_through_others():
    assert family_heads(6, [(4, 5), (1, 4), (2, 3)]) == [0, 1, 2, 2, 1, 1]
    assert family_heads(0, []) == []
    assert near_duplicates([]) == []
    assert near_duplicates(["", "", "a"]) == [0, 0, 2]


def test_the_first_of_a_family_is_kept():
    texts = planted(4)[:3]
    texts.append(edited(texts[1], 1, random.Random(0)))
    documents = [document(text, str(number)) for number, text in enumerate(texts)]
    step = drop_near_copies(documents)
    results = [step(each) for each in documents]
    assert results[:3] == documents[:3]
    assert isinstance(results[3], Rejection)
    assert results[3].reason == "alike 1" and 0.7 <= results[3].value < 1


def test_exact_copies_whatever_their_case_and_spacing():
    step = exact_duplicates()
    texts = ["A cat.", "a  CAT.\n", "A cat", "A cat."]
    results = [step(document(text, str(number))) for number, text in enumerate(texts)]
    assert [isinstance(each, Document) for each in results] == [True, False, True, False]
    assert results[1].reason == "same text as 0"
