"""The bench of near-duplicates: its truth is brute force's, its scores are counted by hand."""

from itertools import combinations

import pytest

from minillm.bench import duplicates as bench
from minillm.bench.duplicates import family_scores, planted_corpus, true_pairs
from minillm.corpus.copyscores import family_row, found_families
from minillm.corpus.dirty.copies import held_out_stories
from minillm.corpus.duplicates import jaccard, shingles
from minillm.corpus.report import HELD_OUT_SEED, cleaned_web

NUM_DOCUMENTS = 400
PEERS = ("ours", "datasketch", "rensa", "datatrove")


@pytest.fixture(scope="module")
def sets() -> list[set[str]]:
    return [shingles(text) for text in planted_corpus(NUM_DOCUMENTS)]


def brute_force(sets: list[set[str]], threshold: float) -> set[tuple[int, int]]:
    pairs = combinations(range(len(sets)), 2)
    return {(one, two) for one, two in pairs if jaccard(sets[one], sets[two]) >= threshold}


@pytest.mark.parametrize("threshold", [0.5, 0.7, 1.0])
def test_true_pairs_are_those_of_brute_force(sets, threshold):
    assert true_pairs(sets, threshold) == brute_force(sets, threshold)


def test_pairs_just_at_the_threshold_are_true():
    sets = [set("abcdefghij"), set("abcdefghijklm"), set("abcdefg"), set("abcdefghij")]
    assert true_pairs(sets, 0.7) == {(0, 1), (0, 2), (0, 3), (1, 3), (2, 3)}


def test_a_prefix_one_too_short_misses_pairs(monkeypatch):
    sets = [{"x"} | set("abcdefg"), {"y"} | set("abcdefg")]
    assert true_pairs(sets, 7 / 9) == {(0, 1)}
    monkeypatch.setattr(bench.math, "ceil", lambda value: -int(-value // 1) + 1)
    assert true_pairs(sets, 7 / 9) == set()


def test_the_corpus_is_the_same_for_a_seed_and_has_copies_on_both_sides_of_the_threshold(sets):
    assert planted_corpus(NUM_DOCUMENTS) == planted_corpus(NUM_DOCUMENTS)
    assert planted_corpus(NUM_DOCUMENTS) != planted_corpus(NUM_DOCUMENTS, seed=1)
    near = [jaccard(sets[a], sets[b]) for a, b in true_pairs(sets, 0.4)]
    above = sum(similarity >= 0.7 for similarity in near)
    assert len(sets) == NUM_DOCUMENTS and above > 50 and len(near) - above > 30


def test_scores_of_families_by_hand():
    scores = family_scores([0, 0, 0, 3, 3], [0, 0, 2, 2, 2])
    assert (scores["precision"], scores["recall"]) == (2 / 4, 2 / 4)
    assert family_scores([0, 1, 2], [0, 0, 2])["f1"] == 0
    assert family_scores([0, 0, 2], [0, 0, 2])["f1"] == 1


@pytest.fixture(scope="module")
def figures() -> dict:
    return bench.measure(held_out_stories(), NUM_DOCUMENTS, NUM_DOCUMENTS, repeats=1)


def test_all_find_the_same_families(sets, figures):
    assert figures["documents"] == NUM_DOCUMENTS
    assert figures["true_pairs"] == len(brute_force(sets, 0.7))
    assert figures["datasketch_over_ours"] > 0 and figures["ours_over_rensa"] > 0
    assert figures["datatrove_over_ours"] > 0
    for name in PEERS:
        assert figures[name]["seconds"] > 0
        assert figures[name]["recall_of_pairs"] >= 0.99
        assert figures[name]["families_f1"] >= 0.97
    assert abs(figures["ours"]["families_f1"] - figures["datasketch"]["families_f1"]) <= 0.005


def test_all_find_the_same_families_of_dirty_pages(figures):
    web = figures["dirty_web"]
    assert web["true_pairs"] >= 20 and web["planted_pairs"] >= 20
    assert {web[name]["families_f1"] for name in PEERS} == {1}
    assert {web[name]["agreement_with_ours"] for name in PEERS} == {1}
    assert "planted_pairs" not in figures, "of the made documents the exact join is the only truth"


def test_families_of_dirty_pages_are_scored_as_in_the_report(figures):
    """The same pages, cleaned as there, and the same truth."""
    cleaned = cleaned_web(HELD_OUT_SEED, NUM_DOCUMENTS, held_out_stories())
    row = family_row(cleaned, found_families(cleaned))
    web = figures["dirty_web"]
    assert web["planted_pairs"] == row.count
    for ours, its in (("precision", "precision"), ("recall", "recall"), ("f1", "F1")):
        assert web["ours"][f"planted_families_{ours}"] == row.figures[its]


def test_pairs_that_are_not_found_lower_recall_and_agreement(sets):
    texts = planted_corpus(NUM_DOCUMENTS)
    true = true_pairs(sets)
    half = {pair for pair in true if sum(pair) % 2}
    figures = bench.worth(texts, sets, {"half": half, "ours": bench.our_pairs(texts)})
    assert figures["half"]["recall_of_pairs"] == len(half) / len(true) < 0.7
    assert figures["half"]["agreement_with_ours"] < 0.8 < figures["ours"]["agreement_with_ours"]
