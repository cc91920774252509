"""Our ids are those of the libraries that everyone trusts, on thousands of awkward strings.

From one saved `tokenizer.json`: `tokenizers`, and transformers' `PreTrainedTokenizerFast`. From
our ranks: `tiktoken`, an encoder written independently. All are told that special names are text.
"""

import unicodedata
from collections.abc import Callable
from pathlib import Path

import pytest
import regex
import tiktoken
from tokenizers import Regex
from tokenizers import Tokenizer as PeerTokenizer
from tokenizers.pre_tokenizers import Split
from transformers import PreTrainedTokenizerFast

from minillm.bench.fuzz import LETTERS_AND_NUMBERS, code_points, fuzz_strings, told_apart
from minillm.tokenizer import bytepair
from minillm.tokenizer.alphabet import SPLIT_PATTERN, spell, split_words, vocabulary
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer
from tests.tokenizer.texts import larger_training_texts

Encode = Callable[[str], list[int]]

NUM_STRINGS = 10_000
CODES, TOLD_APART = code_points(), told_apart()


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(larger_training_texts(), TokenizerConfig(vocab_size=2048))


@pytest.fixture(scope="module")
def peers(tokenizer: Tokenizer, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Encode]:
    path = tmp_path_factory.mktemp("saved") / "tokenizer.json"
    tokenizer.save(path)
    hugging_face = PeerTokenizer.from_file(str(path))
    hugging_face.encode_special_tokens = True
    fast = PreTrainedTokenizerFast(tokenizer_file=str(path), split_special_tokens=True)
    ranked = tiktoken.Encoding(
        "ours",
        pat_str=SPLIT_PATTERN,
        mergeable_ranks=vocabulary(tokenizer.merges),
        special_tokens=tokenizer.special_ids,
    )
    return {
        "tokenizers": lambda text: hugging_face.encode(text).ids,
        "transformers": lambda text: fast(text)["input_ids"],
        "tiktoken": ranked.encode_ordinary,
    }


def differing(ours: Callable, theirs: Callable, texts: list[str]) -> list[str]:
    return [text for text in texts if ours(text) != theirs(text)]


@pytest.mark.parametrize("peer", ["tokenizers", "transformers", "tiktoken"])
def test_ids_equal_those_of(peer: str, tokenizer: Tokenizer, peers: dict[str, Encode]):
    strings = fuzz_strings(NUM_STRINGS)
    assert sum(map(len, strings)) > 20 * NUM_STRINGS
    assert differing(tokenizer.encode, peers[peer], strings) == []


def test_the_strings_hold_every_plane_private_use_noncharacters_and_unassigned_code_points():
    codes = list(map(ord, "".join(fuzz_strings(NUM_STRINGS))))
    planes = [code >> 16 for code in codes]
    assert min(map(planes.count, range(17))) >= 200
    kinds = [unicodedata.category(chr(code)) for code in codes]
    assert kinds.count("Co") >= 500 and kinds.count("Cn") >= 500 and "Cs" not in kinds
    noncharacters = [c for c in codes if c & 0xFFFE == 0xFFFE or 0xFDD0 <= c < 0xFDF0]
    assert len(noncharacters) >= 500


def test_left_out_is_what_a_newer_unicode_calls_a_letter_or_a_number_and_nothing_else():
    """tokenizers draws the same line as tiktoken; Python's own older tables know none of these."""
    text = "".join(map(chr, CODES))
    peer = Split(Regex(LETTERS_AND_NUMBERS), "removed", invert=True)
    theirs = {char for piece, _ in peer.pre_tokenize_str(text) for char in piece}
    assert set(map(ord, set(regex.findall(LETTERS_AND_NUMBERS, text)) ^ theirs)) == TOLD_APART
    assert {unicodedata.category(chr(code)) for code in TOLD_APART} <= {"Cn"}
    assert len(TOLD_APART) < len(CODES) / 50


@pytest.mark.parametrize("peer", ["tokenizers", "tiktoken"])
def test_what_is_left_out_would_differ(peer: str, tokenizer: Tokenizer, peers: dict[str, Encode]):
    """After a letter "'s" is a word, after a sign the apostrophe belongs to the sign."""
    strings = [f"{chr(code)}'s" for code in TOLD_APART]
    assert differing(tokenizer.encode, peers[peer], strings) == strings
    assert len(strings) > 100


def test_words_equal_those_of_tokenizers():
    """Ids hide where a word ends as long as no merge crosses that place."""
    peer = Split(Regex(SPLIT_PATTERN), "isolated")

    def theirs(text: str) -> list[str]:
        return [piece for piece, _ in peer.pre_tokenize_str(text)]

    assert differing(split_words, theirs, fuzz_strings(NUM_STRINGS)) == []
    assert differing(split_words, theirs, [f"={chr(code)}=" for code in TOLD_APART])


@pytest.mark.parametrize("peer", ["tokenizers", "tiktoken"])
def test_ids_of_whole_documents_equal_those_of(
    peer: str, tokenizer: Tokenizer, peers: dict[str, Encode]
):
    assert differing(tokenizer.encode, peers[peer], larger_training_texts()) == []


def test_peers_decode_and_count_the_same(tokenizer: Tokenizer, tmp_path: Path):
    tokenizer.save(tmp_path / "tokenizer.json")
    peer = PeerTokenizer.from_file(str(tmp_path / "tokenizer.json"))
    assert peer.get_vocab_size() == tokenizer.vocab_size == 2048
    assert {name: peer.token_to_id(name) for name in tokenizer.special_ids} == tokenizer.special_ids
    for text in fuzz_strings(300, seed=2):
        ids = [tokenizer.end_of_text, *tokenizer.encode(text)]
        assert peer.decode(ids, skip_special_tokens=False) == tokenizer.decode(ids)


def test_a_special_token_is_recognised_by_peers_that_are_told_to(
    tokenizer: Tokenizer, tmp_path: Path
):
    tokenizer.save(tmp_path / "tokenizer.json")
    peer = PeerTokenizer.from_file(str(tmp_path / "tokenizer.json"))
    expected = [*tokenizer.encode("a"), tokenizer.end_of_text, *tokenizer.encode(" b")]
    assert peer.encode("a<|endoftext|> b").ids == expected


def left_to_right(symbols: str, ranks: dict[str, int], rules: list[tuple[str, str]]) -> str:
    """The wrong order: any known pair, as soon as it is met."""
    done = ""
    for symbol in symbols:
        done += symbol
        while done[-2:] in ranks:
            done = done[:-2] + rules[ranks[done[-2:]]][1]
    return done


def greedy_encode(tokenizer: Tokenizer) -> Encode:
    """The wrong idea: at each place the longest token that fits, merges forgotten."""
    ids = vocabulary(tokenizer.merges)

    def encode(text: str) -> list[int]:
        found = []
        for word in bytepair.split_words(text):
            rest = word.encode()
            while rest:
                length = next(n for n in range(len(rest), 0, -1) if rest[:n] in ids)
                found.append(ids[rest[:length]])
                rest = rest[length:]
        return found

    return encode


def test_wrong_merge_orders_are_noticed(
    tokenizer: Tokenizer, peers: dict[str, Encode], monkeypatch: pytest.MonkeyPatch
):
    strings = fuzz_strings(NUM_STRINGS)
    swapped = Tokenizer([tokenizer.merges[1], tokenizer.merges[0], *tokenizer.merges[2:]])
    assert differing(swapped.encode, peers["tokenizers"], strings)
    assert differing(greedy_encode(tokenizer), peers["tokenizers"], strings)
    monkeypatch.setattr(bytepair, "merge_by_rank", left_to_right)
    assert differing(Tokenizer(tokenizer.merges).encode, peers["tokenizers"], strings)


def test_text_that_is_not_split_first_is_noticed(
    tokenizer: Tokenizer, peers: dict[str, Encode], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bytepair, "cut_at_spaces", lambda text: [text])
    monkeypatch.setattr(bytepair, "split_words", lambda text: [text] if text else [])
    assert differing(Tokenizer(tokenizer.merges).encode, peers["tiktoken"], fuzz_strings(200))


def test_bytes_in_another_order_are_noticed(
    tokenizer: Tokenizer, peers: dict[str, Encode], monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(bytepair, "spell", lambda word: spell(word)[::-1])
    assert differing(Tokenizer(tokenizer.merges).encode, peers["tiktoken"], fuzz_strings(200))
