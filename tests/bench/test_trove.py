"""datatrove as an oracle: with equal parameters its pairs, families and survivors are ours."""

from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from datatrove.utils.hashes.sha1 import sha1_hash32

from minillm.bench.duplicates import families_of, planted_corpus
from minillm.bench.trove import (
    Pair,
    chained_pairs,
    its_settings,
    our_settings,
    signing,
    trove_families,
    trove_pairs,
)
from minillm.corpus.duplicates import family_heads, jaccard, near_duplicates, shingles
from minillm.corpus.signatures import (
    NUM_BANDS,
    ROWS_PER_BAND,
    candidate_pairs,
    candidate_probability,
    minhash,
)

TEXTS = planted_corpus(300, seed=1)
SETS = [shingles(text) for text in TEXTS]


@pytest.fixture(scope="module")
def pairs() -> set[Pair]:
    return trove_pairs(TEXTS)


def test_a_chain_of_neighbours_is_every_pair_of_the_bucket():
    assert chained_pairs([]) == set()
    assert chained_pairs([(0, 4), (4, 7), (1, 2)]) == {(0, 4), (0, 7), (4, 7), (1, 2)}


def deviation(num_pairs: int, bands: int, rows: int) -> float:
    """By how many σ a number of candidates differs from what the S-curve predicts of all pairs."""
    alike = [jaccard(one, two) for one, two in combinations(SETS, 2)]
    meets = np.array([candidate_probability(each, bands, rows) for each in alike])
    return abs(num_pairs - meets.sum()) / np.sqrt((meets * (1 - meets)).sum())


def test_it_signs_the_shingles_that_are_ours(tmp_path: Path):
    stage = signing(our_settings(), tmp_path)
    for text in (*TEXTS[:50], "Ça n'a pas d'été ‘là’: a'b'c_d 3.5\u2003e\x85f\ufb01g\nh"):
        ours = {sha1_hash32(each) for each in shingles(text)}
        assert set(stage.get_shingles(text).ravel().tolist()) == ours


def test_as_many_pairs_meet_as_the_curve_predicts(pairs):
    ours = len(candidate_pairs(minhash(TEXTS)))
    assert deviation(len(pairs), NUM_BANDS, ROWS_PER_BAND) < 5
    assert deviation(ours, NUM_BANDS, ROWS_PER_BAND) < 5
    assert deviation(len(pairs), NUM_BANDS // 2, 2 * ROWS_PER_BAND) > 10


def test_families_are_ours_once_candidates_are_compared(pairs):
    heads = families_of(pairs, SETS)
    assert len(set(heads)) < 0.9 * len(TEXTS)
    assert heads == near_duplicates(TEXTS)


def test_signatures_in_too_long_bands_are_seen(pairs):
    too_few = set(map(tuple, candidate_pairs(minhash(TEXTS), rows=32).tolist()))
    assert families_of(too_few, SETS) != families_of(pairs, SETS)


def test_what_buckets_connect_is_a_family(pairs):
    assert trove_families(TEXTS, our_settings()) == family_heads(len(TEXTS), pairs)


# Of nine words all five shingles hold the one in the middle.
TOLD = ("the old man sold", "to the two girls", "Of course, he said.")
NUMBERS, ACCENTS = ("7", "12"), ("café", "cafe")


@pytest.mark.parametrize(
    ("settings", "families"),
    [(our_settings, [0, 1, 2, 3, 4, 5, 6, 6]), (its_settings, [0, 0, 2, 2, 4, 5, 6, 6])],
)
def test_its_settings_fold_numbers_and_accents_and_neither_knows_short_texts(
    settings, families, capfd
):
    before, after, short = TOLD
    texts = [f"{before} {middle} {after}" for pair in (NUMBERS, ACCENTS) for middle in pair]
    texts += [short, short, f"{before} {after}!", f"{before}, {after.upper()}"]
    assert trove_families(texts, settings()) == families
    assert near_duplicates(texts)[4:] == [4, 4, 6, 6]
    assert capfd.readouterr() == ("", ""), "its log is not shown"
