"""Copies: Jaccard by hand, MinHash against it, families against brute force and datasketch."""

import random
import re
import sys
from collections.abc import Callable
from functools import cache
from itertools import combinations

import numpy as np
import pytest
from datasketch import MinHash, MinHashLSH
from hypothesis import example, given, settings
from hypothesis import strategies as st

from minillm.corpus import duplicates, signatures
from minillm.corpus.clean import drop_boilerplate, page_to_text, repair_text
from minillm.corpus.copyscores import planted_copies
from minillm.corpus.dirty import make_dirty_web
from minillm.corpus.dirty.texts import make_article
from minillm.corpus.dirty.web import REPAIRS
from minillm.corpus.duplicates import (
    PartRule,
    drop_copied_lines,
    drop_copied_paragraphs,
    drop_near_copies,
    exact_duplicates,
    family_heads,
    jaccard,
    kept_originals,
    near_duplicates,
    shingles,
    words_of,
)
from minillm.corpus.pipeline import apply_step
from minillm.corpus.report import HELD_OUT_SEED, NUM_PAGES
from minillm.corpus.signatures import (
    candidate_pairs,
    candidate_probability,
    estimated_jaccard,
    letters,
    minhash,
    mixed,
    pair_jaccards,
    shingle_hashes,
    word_hashes,
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


# Letters, digits and marks of several kinds; a capital whose small letter is two code points; one
# whose small letter depends on what follows; a half of a surrogate pair; one beyond 16 bits.
SIGNS = "ab  \n'_-’AÉéİΣσ１²Ⅷ\u0301\x00\ud800漢😀𝐚"


def hashes_of_each(texts: list[str], size: int) -> list[list[int]]:
    hashes, begins = shingle_hashes(texts, size)
    ends = [*begins[1:].tolist(), len(hashes)]
    return [hashes[begin:end].tolist() for begin, end in zip(begins, ends, strict=True)]


@settings(deadline=None)  # the first call makes the table of letters
@given(st.lists(st.text(SIGNS, max_size=14), min_size=1, max_size=6), st.integers(1, 6))
@example(["a'b'a'b", "a'b a'b", "'a''b'", "İ'a", "ΑΣ ΑΣΑ", ""], 1)
def test_hashes_are_equal_exactly_where_shingles_are(texts, size):
    of_text, spoken = hashes_of_each(texts, size), [shingles(text, size) for text in texts]
    for one, two in combinations(range(len(texts)), 2):
        assert len(set(of_text[one]) & set(of_text[two])) == len(spoken[one] & spoken[two])
    assert all(len(set(a)) == len(b) for a, b in zip(of_text, spoken, strict=True))


@given(st.lists(st.text("ab'É \n", max_size=40), min_size=1, max_size=6))
def test_where_blocks_end_does_not_matter(texts):
    whole = hashes_of_each(texts, 2)
    sizes = ("BLOCK_CHARACTERS", 3), ("BLOCK_HASHES", 2), ("BLOCK_PAIRS", 1)
    pairs = np.array(list(combinations(range(len(texts)), 2)), np.int64).reshape(-1, 2)
    similarity = pair_jaccards(*shingle_hashes(texts), pairs)
    signature = minhash(texts)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in sizes:
            patch.setattr(signatures, name, value)
        assert hashes_of_each(texts, 2) == whole
        assert (pair_jaccards(*shingle_hashes(texts), pairs) == similarity).all()
        assert (minhash(texts) == signature).all()


def test_letters_are_those_of_the_pattern_at_every_code_point():
    is_letter, _ = letters()
    everything = "".join(map(chr, range(sys.maxunicode + 1)))
    places = [found.start() for found in re.finditer(r"[^\W_]", everything)]
    assert np.flatnonzero(is_letter).tolist() == places


def test_hash_of_a_word_does_not_depend_on_its_place():
    hashes, num_words = word_hashes(["tea for two", "two for tea", "for"])
    assert num_words.tolist() == [3, 3, 1]
    assert hashes[:3].tolist() == hashes[3:6][::-1].tolist()
    assert hashes[6] == hashes[1] and len(set(hashes.tolist())) == 3


@given(st.lists(st.text("ab ", max_size=20), min_size=2, max_size=8))
def test_exact_similarity_is_that_of_the_sets(texts):
    pairs = list(combinations(range(len(texts)), 2))
    found = pair_jaccards(*shingle_hashes(texts, 2), np.array(pairs))
    sets = [shingles(text, 2) for text in texts]
    assert found.tolist() == [jaccard(sets[one], sets[two]) for one, two in pairs]


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


def test_products_of_32_bits_shifted_by_32_are_no_estimate():
    """They keep the order of the hashes, so all hash functions choose the same shingle."""

    def ordered(texts: list[str], num_hashes: int) -> np.ndarray:
        hashes, begins = shingle_hashes(texts)
        factors = np.random.default_rng(0).integers(1, 2**32, num_hashes, np.uint64)
        scaled = [((hashes >> np.uint64(32)) * factor) >> np.uint64(32) for factor in factors]
        return np.stack([np.minimum.reduceat(each, begins) for each in scaled], axis=1)

    with pytest.raises(AssertionError):
        check_estimates(ordered)


def test_signature_of_a_text_does_not_depend_on_its_neighbours():
    texts = planted(2)[:10]
    assert (minhash(texts) == minhash(texts[::-1])[::-1]).all()
    assert (minhash(texts)[3] == minhash([texts[3]])[0]).all()


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
    monkeypatch.setattr(duplicates, "candidate_pairs", lambda _: np.empty((0, 2), np.int64))
    with pytest.raises(AssertionError):
        check_families(near_duplicates)


def test_families_are_connected_through_others():
    assert family_heads(6, [(4, 5), (1, 4), (2, 3)]) == [0, 1, 2, 2, 1, 1]
    assert family_heads(0, []) == []
    assert near_duplicates([]) == []
    assert near_duplicates(["", "", "a"]) == [0, 0, 2]


def family_pairs(heads: list[int]) -> set[tuple[int, int]]:
    return {pair for pair in combinations(range(len(heads)), 2) if heads[pair[0]] == heads[pair[1]]}


def f1(found: set[tuple[int, int]], true: set[tuple[int, int]]) -> float:
    return 2 * len(found & true) / (len(found) + len(true))


def datasketch_families(texts: list[str]) -> list[int]:
    sets = [shingles(text) for text in texts]
    made = MinHash.bulk([[each.encode() for each in one] for one in sets], num_perm=128)
    index = MinHashLSH(num_perm=128, params=(signatures.NUM_BANDS, signatures.ROWS_PER_BAND))
    for number, each in enumerate(made):
        index.insert(number, each)
    pairs = {(other, one) for one, each in enumerate(made) for other in index.query(each)}
    alike = [pair for pair in pairs if jaccard(sets[pair[0]], sets[pair[1]]) >= 0.7]
    return family_heads(len(texts), alike)


def check_f1(find: Callable[[list[str]], list[int]]) -> None:
    """F1 of pairs in one family is at least .97, and within .005 of datasketch's."""
    rng = random.Random(5)
    texts = planted(5, 70)[:70]
    for original in texts[:70]:
        for num_changed in (1, 2, 4, 8):
            texts.append(edited(original, num_changed, rng))
    sets = [shingles(text) for text in texts]
    pairs = combinations(range(len(texts)), 2)
    true = family_pairs(
        family_heads(len(texts), [p for p in pairs if jaccard(sets[p[0]], sets[p[1]]) >= 0.7])
    )
    assert len(true) > 250
    ours = f1(family_pairs(find(texts)), true)
    assert ours >= 0.97
    assert abs(ours - f1(family_pairs(datasketch_families(texts)), true)) <= 0.005


def test_families_are_as_good_as_those_of_datasketch():
    check_f1(near_duplicates)


@cache
def held_out_pages() -> tuple[list[str], set[tuple[int, int]]]:
    """The cleaned texts of the report's seed without another fault, and the true pairs of them."""
    pages = [
        page
        for page in make_dirty_web(NUM_PAGES, HELD_OUT_SEED)
        if page.faults <= REPAIRS | {"exact copy", "near copy"}
    ]
    repaired = [repair_text(page_to_text(page.document)) for page in pages]
    texts, _ = apply_step(repaired, drop_boilerplate(repaired))
    true = family_heads(len(pages), planted_copies(pages))
    return [each.text for each in texts], family_pairs(true)


def check_f1_on_the_dirty_web(find: Callable[[list[str]], list[int]]) -> None:
    """On pages that no limit was chosen on, with equal bands and rows, ours is datasketch's F1."""
    texts, true = held_out_pages()
    assert len(true) > 150
    ours, theirs = (f1(family_pairs(each(texts)), true) for each in (find, datasketch_families))
    assert ours >= 0.97
    assert abs(ours - theirs) <= 0.005


def test_families_of_the_held_out_dirty_web_are_as_good_as_those_of_datasketch():
    check_f1_on_the_dirty_web(near_duplicates)


def test_families_of_the_dirty_web_with_longer_bands_are_seen_to_be_worse(monkeypatch):
    monkeypatch.setattr(duplicates, "candidate_pairs", lambda made: candidate_pairs(made, 32))
    with pytest.raises(AssertionError):
        check_f1_on_the_dirty_web(near_duplicates)


def test_families_of_half_the_bands_with_twice_the_rows_are_worse(monkeypatch):
    monkeypatch.setattr(duplicates, "candidate_pairs", lambda made: candidate_pairs(made, 16))
    with pytest.raises(AssertionError):
        check_f1(near_duplicates)


def test_all_texts_of_a_small_bucket_are_paired_and_some_of_a_large_one(monkeypatch):
    same = np.zeros((5, 4), np.uint32)
    assert candidate_pairs(same).tolist() == [list(pair) for pair in combinations(range(5), 2)]
    monkeypatch.setattr(signatures, "MAX_NEIGHBOURS", 2)
    assert candidate_pairs(same).tolist() == [
        [0, 1], [0, 2], [1, 2], [1, 3], [2, 3], [2, 4], [3, 4]
    ]  # fmt: skip
    assert set(family_heads(5, candidate_pairs(same).tolist())) == {0}
    assert candidate_pairs(np.arange(20, dtype=np.uint32).reshape(5, 4)).shape == (0, 2)


def check_crowd() -> None:
    """Among articles of one template, which fill the buckets, every pair at .7 is a candidate."""
    rng = random.Random(6)
    texts = [make_article(rng) for _ in range(400)]
    texts += [edited(rng.choice(texts), rng.randrange(1, 3), rng) for _ in range(400)]
    sets = [shingles(text) for text in texts]
    pairs = combinations(range(len(texts)), 2)
    true = {pair for pair in pairs if jaccard(sets[pair[0]], sets[pair[1]]) >= 0.7}
    assert len(true) > 200
    assert true <= set(map(tuple, candidate_pairs(minhash(texts)).tolist()))


def test_a_pair_is_found_in_a_crowd():
    check_crowd()


def test_with_one_neighbour_pairs_are_lost_in_a_crowd(monkeypatch):
    monkeypatch.setattr(signatures, "MAX_NEIGHBOURS", 1)
    with pytest.raises(AssertionError):
        check_crowd()


def test_the_ends_of_a_chain_are_both_kept():
    chain = [(0, 1), (1, 2), (2, 3)]
    assert family_heads(5, chain) == [0, 0, 0, 0, 4]
    assert kept_originals(5, chain) == [0, 0, 2, 2, 4]
    assert kept_originals(3, [(2, 1), (1, 0), (2, 0)]) == [0, 0, 0]


@given(st.integers(2, 8).flatmap(lambda n: st.lists(
    st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)).filter(lambda p: p[0] != p[1])
)))  # fmt: skip
def test_whoever_goes_is_alike_one_who_stays_and_no_two_who_stay_are_alike(pairs):
    original = kept_originals(8, pairs)
    joined = {frozenset(pair) for pair in pairs}
    kept = {text for text, one in enumerate(original) if text == one}
    for text, one in enumerate(original):
        assert text in kept or (one in kept and one < text and {text, one} in joined)
    assert not any(pair <= kept for pair in joined)


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
    assert results[3].reason == "same text as 0"


def texts_after(step, documents: list[Document]) -> list[str | None]:
    results = [step(each) for each in documents]
    return [each.text if isinstance(each, Document) else None for each in results]


def numbered(*texts: str) -> list[Document]:
    return [document(text, str(number)) for number, text in enumerate(texts)]


def test_lines_that_many_share_are_taken_from_all_whatever_their_case():
    menu = "Home and all the other pages"
    documents = numbered(f"{menu}\nA cat.", f"A dog.\n{menu.upper()} ", f"  {menu}", "A cat.")
    step = drop_copied_lines(documents, min_documents=3)
    assert texts_after(step, documents) == ["A cat.", "A dog.", None, "A cat."]
    rejection = step(documents[2])
    assert (rejection.step, rejection.reason) == ("line copy", "3 documents share each line")
    assert texts_after(drop_copied_lines(documents, 4), documents) == [d.text for d in documents]


def test_a_line_twice_in_one_document_is_shared_by_none():
    documents = numbered("Row, row, row your boat.\nRow, row, row your boat.", "Another line.")
    assert texts_after(drop_copied_lines(documents, 2), documents) == [d.text for d in documents]


def test_a_paragraph_stays_in_the_first_document_alone():
    shared = "A river flows\nthrough the town."
    documents = numbered(
        f"One.\n\n{shared}", f"{shared.replace(chr(10), ' ')}\n \n\nTwo.", shared, "No.\n\n\nNo."
    )
    step = drop_copied_paragraphs(documents)
    assert texts_after(step, documents) == [documents[0].text, "Two.", None, documents[3].text]
    assert step(documents[2]).reason == "2 documents share each paragraph"


def test_short_lines_are_alike_by_chance_and_stay():
    documents = numbered(*["}\nreturn None\n"] * 8)
    assert texts_after(drop_copied_lines(documents), documents) == [d.text for d in documents]


def test_a_copy_needs_two_documents():
    with pytest.raises(ValueError, match="min_documents is 1; a copy needs at least 2"):
        PartRule("line", 1, keeps_first=True)


@given(st.lists(st.lists(st.sampled_from(["x" * 20, "y" * 30, "z" * 40, "a", ""])), max_size=6))
def test_copied_paragraphs_go_and_every_paragraph_is_still_somewhere(lists):
    documents = numbered(*("\n\n".join(each) for each in lists))
    left = [text for text in texts_after(drop_copied_paragraphs(documents), documents) if text]
    of_left = [set(filter(duplicates.is_long_part, text.split("\n\n"))) for text in left]
    everything = {part for each in lists for part in each if len(part) >= 20}
    assert set().union(*of_left) == everything
    assert sum(map(len, of_left)) == len(everything)
