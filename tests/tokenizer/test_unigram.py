"""The tokenizer: nothing is lost, ids are those of others, paths are drawn as often as they should.

The oracles: all segmentations written out; `tokenizers` and transformers on the saved file;
SentencePiece's own encoder and n best, given its own pieces.
"""

import io
import itertools
import json
import math
import pickle
import random
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import sentencepiece
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from tokenizers import Tokenizer as PeerTokenizer
from transformers import PreTrainedTokenizerFast

from minillm.bench.fuzz import fuzz_strings
from minillm.tokenizer import unigram
from minillm.tokenizer.bytepair import SPECIAL_TOKENS
from minillm.tokenizer.paths import Arriving, best_path, n_best_paths, sampled_path
from minillm.tokenizer.unigram import UnigramConfig, UnigramTokenizer, train_unigram
from tests.tokenizer.texts import larger_training_texts, training_texts

SMALL = {"ab": -2.0, "a": -1.5, "b": -2.5, "ba": -3.0, "aba": -4.5, "c": -4.0}


@pytest.fixture(scope="module")
def tokenizer() -> UnigramTokenizer:
    return train_unigram(larger_training_texts(), UnigramConfig(vocab_size=1500))


@pytest.fixture(scope="module")
def small() -> UnigramTokenizer:
    return UnigramTokenizer(SMALL)


def segmentations(word: str, vocabulary: dict[str, float]) -> dict[tuple[int, ...], float]:
    """The cuts of all segmentations of a word and their log-probabilities, best first."""
    found = {}
    for size in range(len(word)):
        for inner in itertools.combinations(range(1, len(word)), size):
            cuts = (0, *inner, len(word))
            parts = [word[begin:end] for begin, end in itertools.pairwise(cuts)]
            if set(parts) <= set(vocabulary):
                found[cuts] = sum(vocabulary[part] for part in parts)
    return dict(sorted(found.items(), key=lambda each: -each[1]))


@settings(deadline=None, max_examples=200)
@given(st.text())
def test_any_text_comes_back(tokenizer: UnigramTokenizer, text: str):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode_bytes(ids) == text.encode()
    drawn = tokenizer.sample(text, 0.3, random.Random(0))
    assert tokenizer.decode(drawn) == text


def test_fuzz_strings_come_back_and_hold_no_special_ids(tokenizer: UnigramTokenizer):
    smallest_special = min(tokenizer.special_ids.values())
    for text in fuzz_strings(2000, seed=1):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert not ids or max(ids) < smallest_special


def test_ids_are_bytes_then_pieces_then_special_tokens(tokenizer: UnigramTokenizer):
    assert [tokenizer.token_bytes(byte) for byte in range(256)] == [
        bytes([byte]) for byte in range(256)
    ]
    assert tokenizer.token_bytes(256).decode() == next(iter(tokenizer.vocabulary))
    assert list(tokenizer.special_ids) == list(SPECIAL_TOKENS)
    assert list(tokenizer.special_ids.values()) == [1496, 1497, 1498, 1499]
    assert tokenizer.end_of_text == 1496 and tokenizer.vocab_size == 1500


def test_a_character_that_is_no_piece_becomes_its_bytes(small: UnigramTokenizer):
    assert small.encode("aé") == [small.id_by_piece["a"], *"é".encode()]
    assert small.decode(small.encode("é")[:1]) == "�"
    assert small.encode("") == []


@pytest.mark.parametrize("word", ["a", "ab", "abab", "babab", "abacabab", "aaaaaaa", "cccab"])
def test_the_best_and_the_n_best_are_those_of_all_segmentations(small: UnigramTokenizer, word: str):
    expected = segmentations(word, SMALL)
    arriving = small.arriving(word)
    cuts = best_path(arriving)
    assert expected[tuple(cuts)] == pytest.approx(max(expected.values()))
    for n in (1, 3, 10_000):
        ranked = n_best_paths(arriving, n)
        assert [score for score, _ in ranked] == pytest.approx(list(expected.values())[:n])
        assert len({tuple(cuts) for _, cuts in ranked}) == min(n, len(expected))
        assert all(score == pytest.approx(expected[tuple(cuts)]) for score, cuts in ranked)


def greedy_path(arriving: Arriving) -> list[int]:
    """The wrong idea: from the left, always the longest piece that fits."""
    cuts = [0]
    while cuts[-1] < len(arriving) - 1:
        here = cuts[-1]
        cuts.append(max(end for end, edges in enumerate(arriving) if here in dict(edges)))
    return cuts


def test_the_longest_match_is_not_the_best_path(small: UnigramTokenizer):
    words = ["abab", "babab", "abacabab"]
    assert any(greedy_path(small.arriving(w)) != best_path(small.arriving(w)) for w in words)


def test_the_n_best_of_a_text_combine_those_of_its_words(tokenizer: UnigramTokenizer):
    text = "The girl found the key."
    ranked = tokenizer.n_best(text, 20)
    assert ranked[0][1] == tokenizer.encode(text)
    scores = [score for score, _ in ranked]
    assert scores == sorted(scores, reverse=True)
    assert len({tuple(ids) for _, ids in ranked}) == 20
    assert all(tokenizer.decode(ids) == text for _, ids in ranked)
    assert tokenizer.n_best("", 3) == [(0.0, [])]


def deviations(
    arriving: Arriving, alpha: float, expected: dict[tuple[int, ...], float]
) -> list[float]:
    """How many standard deviations each segmentation's count is off after 20,000 draws."""
    chance, num_draws = random.Random(11), 20_000
    drawn = Counter(tuple(sampled_path(arriving, alpha, chance)) for _ in range(num_draws))
    weights = {cuts: math.exp(alpha * score) for cuts, score in expected.items()}
    assert set(drawn) <= set(weights)
    found = []
    for cuts, weight in weights.items():
        share = weight / sum(weights.values())
        found.append((drawn[cuts] - num_draws * share) / math.sqrt(num_draws * share * (1 - share)))
    return found


@pytest.mark.parametrize("alpha", [0.0, 0.2, 1.0])
def test_segmentations_are_drawn_as_often_as_their_probability_says(
    small: UnigramTokenizer, alpha: float
):
    word = "abaababa"
    expected = segmentations(word, SMALL)
    assert len(expected) == 48
    assert max(map(abs, deviations(small.arriving(word), alpha, expected))) < 5


def test_drawing_without_what_came_before_is_noticed(small: UnigramTokenizer):
    """The planted bug: each step looks at its own piece alone, not at the ways to get there."""
    word = "abaabb"
    expected = segmentations(word, SMALL)
    arriving = small.arriving(word)
    chance, drawn = random.Random(11), Counter()
    for _ in range(20_000):
        cuts = [len(word)]
        while cuts[-1] > 0:
            begins, logs = zip(*arriving[cuts[-1]], strict=True)
            cuts.append(chance.choices(begins, [math.exp(each) for each in logs])[0])
        drawn[tuple(cuts[::-1])] += 1
    total = sum(map(math.exp, expected.values()))
    worst = 0.0
    for cuts, score in expected.items():
        mean = 20_000 * math.exp(score) / total
        worst = max(worst, abs(drawn[cuts] - mean) / math.sqrt(mean))
    assert worst > 5


TEXT, NUM_BEST, NUM_DRAWS = "abab bab", 4, 20_000
SPACED = SMALL | {" ": -1.2, " b": -2.9, " ba": -4.3}


@pytest.fixture(scope="module")
def probabilities() -> dict[tuple[str, ...], float]:
    """P of every way to write the text, best first: those of its two words, in all pairs."""
    ways = {
        (*cuts, *(len(first) + cut for cut in more[1:])): math.exp(log_p + and_log_p)
        for first, second in [(TEXT[:4], TEXT[4:])]
        for cuts, log_p in segmentations(first, SPACED).items()
        for more, and_log_p in segmentations(second, SPACED).items()
    }
    pieces = {
        tuple(TEXT[i:j] for i, j in itertools.pairwise(cuts)): p for cuts, p in ways.items()
    }
    return dict(sorted(pieces.items(), key=lambda each: -each[1]))


def p_value_of_the_best(
    probabilities: dict[tuple[str, ...], float], alpha: float, judged_by: float
) -> float:
    """Of χ²: draws among the best at one exponent against what another one makes exact."""
    drawing = UnigramTokenizer(SPACED)
    best = list(probabilities.items())[:NUM_BEST]
    weights = [p**judged_by for _, p in best]
    chance = random.Random(3)
    drawn = Counter(
        tuple(drawing.decode([token]) for token in drawing.sample(TEXT, alpha, chance, NUM_BEST))
        for _ in range(NUM_DRAWS)
    )
    assert set(drawn) == {pieces for pieces, _ in best}, "the best ways, all of them, no other"
    expected = [NUM_DRAWS * weight / sum(weights) for weight in weights]
    return chisquare([drawn[pieces] for pieces, _ in best], expected).pvalue


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
def test_among_the_best_ways_each_is_drawn_as_often_as_its_share_of_them(
    probabilities: dict[tuple[str, ...], float], alpha: float
):
    """Kudo 2018, section 3.1: P(x)^α over its sum for the l best segmentations of the text."""
    ranked = list(probabilities.values())
    assert len(ranked) == 36 and ranked[NUM_BEST - 1] > 1.05 * ranked[NUM_BEST]
    assert sum(ranked[:NUM_BEST]) < 0.8 * sum(ranked), "the others count if they are let in"
    assert p_value_of_the_best(probabilities, alpha, judged_by=alpha) > 1e-4


@pytest.mark.parametrize(("alpha", "judged_by"), [(1.0, 0.3), (0.3, 0.2), (0.0, 0.1)])
def test_another_exponent_among_the_best_is_noticed(
    probabilities: dict[tuple[str, ...], float], alpha: float, judged_by: float
):
    assert p_value_of_the_best(probabilities, alpha, judged_by) < 1e-9


def test_of_one_best_the_best_is_drawn_and_of_very_many_all(small: UnigramTokenizer):
    chance = random.Random(4)
    assert all(small.sample(TEXT, 0.0, chance, 1) == small.encode(TEXT) for _ in range(20))
    many = {tuple(small.sample("abab", 0.0, chance, 10_000)) for _ in range(500)}
    assert len(many) == len(segmentations("abab", SMALL))
    assert small.sample("", 0.3, chance, 3) == []


def test_a_large_alpha_draws_the_best_and_the_same_seed_the_same(tokenizer: UnigramTokenizer):
    text = training_texts(1)[0]
    assert tokenizer.sample(text, 1000.0, random.Random(0)) == tokenizer.encode(text)
    first = tokenizer.sample(text, 0.1, random.Random(5))
    assert first == tokenizer.sample(text, 0.1, random.Random(5)) != tokenizer.encode(text)
    assert len(first) > len(tokenizer.encode(text))


def test_words_that_were_remembered_give_the_same_ids(tokenizer: UnigramTokenizer):
    fresh = UnigramTokenizer(tokenizer.vocabulary)
    first = [fresh.encode(text) for text in fuzz_strings(50)]
    assert [fresh.encode(text) for text in fuzz_strings(50)] == first
    fresh.encode("hello").append(7)
    assert fresh.decode(fresh.encode("hello")) == "hello"
    copy = pickle.loads(pickle.dumps(fresh))
    assert [copy.encode(text) for text in fuzz_strings(50)] == first


@pytest.fixture(scope="module")
def peers(
    tokenizer: UnigramTokenizer, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Callable[[str], list[int]]]:
    path = tmp_path_factory.mktemp("saved") / "tokenizer.json"
    tokenizer.save(path)
    hugging_face = PeerTokenizer.from_file(str(path))
    hugging_face.encode_special_tokens = True
    fast = PreTrainedTokenizerFast(tokenizer_file=str(path), split_special_tokens=True)
    return {
        "tokenizers": lambda text: hugging_face.encode(text).ids,
        "transformers": lambda text: fast(text)["input_ids"],
    }


@pytest.mark.parametrize("peer", ["tokenizers", "transformers"])
def test_ids_equal_those_of(peer: str, tokenizer: UnigramTokenizer, peers):
    texts = fuzz_strings(2500) + larger_training_texts()
    assert [text for text in texts if tokenizer.encode(text) != peers[peer](text)] == []


def test_other_ids_are_noticed(tokenizer: UnigramTokenizer, peers, monkeypatch):
    texts = fuzz_strings(300) + larger_training_texts()[-4:]
    monkeypatch.setattr(unigram, "best_path", greedy_path)
    greedy = UnigramTokenizer(tokenizer.vocabulary)
    assert any(greedy.encode(text) != peers["tokenizers"](text) for text in texts)
    monkeypatch.undo()
    squared = {piece: log_p + len(piece) ** 2 for piece, log_p in tokenizer.vocabulary.items()}
    changed = UnigramTokenizer(squared)
    assert any(changed.encode(text) != peers["tokenizers"](text) for text in texts)


def test_peers_decode_and_count_the_same(tokenizer: UnigramTokenizer, tmp_path: Path):
    tokenizer.save(tmp_path / "tokenizer.json")
    peer = PeerTokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert peer.get_vocab_size() == tokenizer.vocab_size == 1500
    assert {name: peer.token_to_id(name) for name in tokenizer.special_ids} == tokenizer.special_ids
    for text in fuzz_strings(300, seed=2):
        ids = [tokenizer.end_of_text, *tokenizer.encode(text)]
        assert peer.decode(ids, skip_special_tokens=False) == tokenizer.decode(ids)


def test_sentencepiece_encodes_its_own_pieces_alike():
    """The same n best scores; of equal scores another may come first, so scores are compared."""
    model = io.BytesIO()
    words = sorted({word for text in training_texts() for word in text.split()})
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(words), model_writer=model, model_type="unigram", vocab_size=500,
        hard_vocab_limit=False, normalization_rule_name="identity", add_dummy_prefix=False,
        character_coverage=1.0, bos_id=-1, eos_id=-1, unk_id=0, minloglevel=2,
    )  # fmt: skip
    peer = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    vocabulary = {peer.id_to_piece(i): peer.get_score(i) for i in range(1, peer.get_piece_size())}
    ours = UnigramTokenizer(vocabulary)
    for word in words[::7]:
        arriving = ours.arriving(word)
        theirs = [
            sum(vocabulary[piece] for piece in pieces)
            for pieces in peer.nbest_encode_as_pieces(word, 5)
        ]
        ranked = [score for score, _ in n_best_paths(arriving, 5)]
        assert ranked == pytest.approx(theirs, rel=1e-5)
        best = peer.encode(word, out_type=str)
        assert ranked[0] == pytest.approx(sum(vocabulary[piece] for piece in best), rel=1e-5)


def test_a_saved_tokenizer_is_read_back(tokenizer: UnigramTokenizer, tmp_path: Path):
    tokenizer.save(tmp_path / "deep" / "tokenizer.json")
    again = UnigramTokenizer.load(tmp_path / "deep" / "tokenizer.json")
    assert again.vocabulary == tokenizer.vocabulary
    assert list(again.vocabulary) == list(tokenizer.vocabulary)
    assert again.special_ids == tokenizer.special_ids


@pytest.mark.parametrize(
    "change",
    [
        lambda content: content["model"].update(byte_fallback=False),
        lambda content: content["model"].update(type="BPE"),
        lambda content: content["model"]["vocab"].pop(3),
        lambda content: content.update(pre_tokenizer=None),
        lambda content: content.update(normalizer={"type": "NFC"}),
        lambda content: content["added_tokens"].pop(0),
    ],
)
def test_a_file_of_another_kind_is_refused(tokenizer: UnigramTokenizer, tmp_path: Path, change):
    path = tmp_path / "tokenizer.json"
    tokenizer.save(path)
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="tokenizer.json.*UnigramTokenizer.save"):
        UnigramTokenizer.load(path)


@pytest.mark.parametrize("text", ["{}", "[1]", "no json", '{"model": {"vocab": 3}}'])
def test_a_file_that_is_no_tokenizer_is_refused(tmp_path: Path, text: str):
    path = tmp_path / "tokenizer.json"
    path.write_text(text)
    with pytest.raises(ValueError, match="not a tokenizer.json of type Unigram"):
        UnigramTokenizer.load(path)
    with pytest.raises(FileNotFoundError, match="write one with UnigramTokenizer.save"):
        UnigramTokenizer.load(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocab_size": 260}, "vocab_size is 260; give more than 260"),
        ({"special_tokens": ("<|pad|>",)}, "special_tokens is .*<|endoftext|> among them"),
        ({"special_tokens": (*SPECIAL_TOKENS, "<|pad|>")}, "special_tokens is .*distinct"),
        ({"character_coverage": 0.0}, r"character_coverage is 0.0; give a share in \(0, 1\]"),
        ({"character_coverage": 1.1}, "character_coverage is 1.1"),
    ],
)
def test_a_wrong_configuration_is_named(fields: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        UnigramConfig(**fields)


def test_too_little_text_gives_a_smaller_vocabulary_and_one_warning():
    config = UnigramConfig(vocab_size=300, character_coverage=1.0)
    with pytest.warns(UserWarning, match="vocab_size is 300.*only 6 pieces.*more text") as warnings:
        tokenizer = train_unigram(["abab abab"], config)
    assert len(warnings) == 1 and tokenizer.decode(tokenizer.encode("abc ?")) == "abc ?"


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_empty_texts_are_refused(texts: list[str]):
    with pytest.raises(ValueError, match="texts are empty; give at least one character"):
        train_unigram(texts, UnigramConfig())


def test_more_characters_than_pieces_are_refused_with_the_remedy():
    with pytest.raises(ValueError, match="larger vocab_size or a smaller character_coverage"):
        train_unigram(training_texts(), UnigramConfig(vocab_size=270, character_coverage=1.0))


@pytest.mark.parametrize("token_id", [-1, 1500])
def test_an_unknown_id_is_named_with_those_there_are(tokenizer: UnigramTokenizer, token_id: int):
    with pytest.raises(ValueError, match=f"token id is {token_id}; this tokenizer has 0 to 1499"):
        tokenizer.decode([token_id])


def test_no_piece_at_all_is_refused():
    with pytest.raises(ValueError, match="vocabulary is empty; give at least one piece"):
        UnigramTokenizer({})


def test_wrong_numbers_are_refused(tokenizer: UnigramTokenizer):
    with pytest.raises(ValueError, match="n is 0; give at least 1"):
        tokenizer.n_best("a", 0)
    for alpha in (-0.1, math.inf, math.nan):
        with pytest.raises(ValueError, match="alpha is .*; give a number ≥ 0"):
            tokenizer.sample("a", alpha, random.Random(0))
    for num_best in (0, -1):
        message = f"num_best is {num_best}; give at least 1, or None for all ways"
        with pytest.raises(ValueError, match=message):
            tokenizer.sample("a", 0.3, random.Random(0), num_best)
    with pytest.raises(ValueError, match="surrogates not allowed"):
        tokenizer.encode("half a pair: \ud83d")
