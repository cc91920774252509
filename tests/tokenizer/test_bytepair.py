"""The tokenizer itself: nothing is lost, ids are where they should be, bad input is named."""

import json
import pickle
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.bench.fuzz import fuzz_strings
from minillm.core.records import Run
from minillm.corpus.pipeline import CorpusConfig, make_documents
from minillm.tokenizer import bytepair
from minillm.tokenizer.alphabet import BYTE_BY_ID, split_words
from minillm.tokenizer.bytepair import (
    SPECIAL_TOKENS,
    Tokenizer,
    TokenizerConfig,
    make_tokenizer,
    train_tokenizer,
)
from tests.tokenizer.texts import training_texts


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    return train_tokenizer(training_texts(), TokenizerConfig(vocab_size=900))


def test_every_byte_has_one_id_and_comes_back(tokenizer: Tokenizer):
    assert sorted(BYTE_BY_ID) == list(range(256))
    for token_id in range(256):
        assert tokenizer.token_bytes(token_id) == BYTE_BY_ID[token_id : token_id + 1]
    every_character_below_256 = "".join(map(chr, range(256)))
    assert (
        tokenizer.decode(tokenizer.encode(every_character_below_256)) == every_character_below_256
    )


@settings(deadline=None, max_examples=300)
@given(st.text())
def test_any_text_comes_back(tokenizer: Tokenizer, text: str):
    ids = tokenizer.encode(text)
    assert tokenizer.decode(ids) == text
    assert tokenizer.decode_bytes(ids) == text.encode()
    assert "".join(split_words(text)) == text


def test_fuzz_strings_come_back_and_hold_no_special_ids(tokenizer: Tokenizer):
    smallest_special = min(tokenizer.special_ids.values())
    for text in fuzz_strings(2000, seed=1):
        ids = tokenizer.encode(text)
        assert tokenizer.decode(ids) == text
        assert not ids or max(ids) < smallest_special


def test_a_dropped_byte_does_not_come_back(tokenizer: Tokenizer):
    class DropsAByte(Tokenizer):
        """The planted bug: a control character is thought not to matter."""

        def encode(self, text: str) -> list[int]:
            return super().encode(text.replace("\x00", ""))

    bug = DropsAByte(tokenizer.merges)
    assert any(bug.decode(bug.encode(text)) != text for text in fuzz_strings(2000, seed=1))


def test_the_empty_text_and_one_byte(tokenizer: Tokenizer):
    assert tokenizer.encode("") == []
    assert tokenizer.decode([]) == ""
    assert tokenizer.encode("!") == [0]
    assert tokenizer.decode([0]) == "!"


def test_half_a_character_is_shown_as_a_mark_and_whole_bytes_are_kept(tokenizer: Tokenizer):
    ids = Tokenizer([]).encode("🙂")
    assert len(ids) == 4
    assert Tokenizer([]).decode(ids[:3]) == "�"
    assert Tokenizer([]).decode_bytes(ids[:3]) == "🙂".encode()[:3]


def test_special_tokens_have_the_last_ids_and_stand_for_their_names(tokenizer: Tokenizer):
    assert list(tokenizer.special_ids) == list(SPECIAL_TOKENS)
    assert list(tokenizer.special_ids.values()) == [896, 897, 898, 899]
    assert tokenizer.end_of_text == 896
    assert tokenizer.vocab_size == 900 == 256 + len(tokenizer.merges) + 4
    assert tokenizer.decode([tokenizer.end_of_text]) == "<|endoftext|>"


def test_the_name_of_a_special_token_is_text_like_any_other(tokenizer: Tokenizer):
    ids = tokenizer.encode("a<|endoftext|>b")
    assert tokenizer.end_of_text not in ids
    assert tokenizer.decode(ids) == "a<|endoftext|>b"


def test_words_that_were_remembered_give_the_same_ids(tokenizer: Tokenizer, monkeypatch):
    fresh = Tokenizer(tokenizer.merges)
    first = [fresh.encode(text) for text in fuzz_strings(50)]
    monkeypatch.setattr(bytepair, "MAX_REMEMBERED", 3)
    assert [fresh.encode(text) for text in fuzz_strings(50)] == first
    assert [Tokenizer(tokenizer.merges).encode(text) for text in fuzz_strings(50)] == first
    forgetful = Tokenizer(tokenizer.merges)
    for text in fuzz_strings(50):
        forgetful.encode(text)
        assert len(forgetful._ids_of) <= 3


def test_long_words_are_not_remembered(tokenizer: Tokenizer):
    fresh = Tokenizer(tokenizer.merges)
    for length in (64, 65, 1000):
        word = "x" * length
        assert fresh.decode(fresh.encode(word)) == word
        assert (word in fresh._ids_of) == (length <= 64)


def test_changing_a_result_does_not_change_the_next_one(tokenizer: Tokenizer):
    tokenizer.encode("hello").append(7)
    assert tokenizer.decode(tokenizer.encode("hello")) == "hello"


def test_a_tokenizer_can_be_sent_to_another_process(tokenizer: Tokenizer):
    copy = pickle.loads(pickle.dumps(tokenizer))
    assert copy.encode("Once upon a time") == tokenizer.encode("Once upon a time")


@pytest.mark.parametrize("size", [260, 261, 300, 517])
def test_the_vocabulary_has_the_size_asked_for(size: int):
    assert train_tokenizer(training_texts(20), TokenizerConfig(vocab_size=size)).vocab_size == size


def test_too_little_text_gives_a_smaller_vocabulary_and_one_warning():
    with pytest.warns(UserWarning, match="vocab_size is 300.*263 ids.*more text") as warnings:
        tokenizer = train_tokenizer(["abcd"], TokenizerConfig(vocab_size=300))
    assert len(warnings) == 1
    assert tokenizer.vocab_size == 256 + 3 + 4
    assert tokenizer.encode("abcd") == [258]


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_empty_texts_are_refused(texts: list[str]):
    with pytest.raises(ValueError, match="texts are empty; give at least one character"):
        train_tokenizer(texts, TokenizerConfig())


def test_one_character_is_enough_for_a_tokenizer_of_bytes():
    with pytest.warns(UserWarning, match="260 ids"):
        tokenizer = train_tokenizer(["a"], TokenizerConfig())
    assert tokenizer.decode(tokenizer.encode("abc")) == "abc"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"vocab_size": 259}, "vocab_size is 259; give at least 260"),
        ({"vocab_size": 0}, "vocab_size is 0"),
        ({"special_tokens": ("<|pad|>",)}, "special_tokens is .*<|endoftext|> among them"),
        ({"special_tokens": SPECIAL_TOKENS + ("<|pad|>",)}, "special_tokens is .*distinct"),
        ({"special_tokens": SPECIAL_TOKENS + ("",)}, "special_tokens is"),
        ({"max_characters": 0}, "max_characters is 0; give a number ≥ 1"),
    ],
)
def test_a_wrong_configuration_is_named(fields: dict[str, object], message: str):
    with pytest.raises(ValueError, match=message):
        TokenizerConfig(**fields)


@pytest.mark.parametrize("token_id", [-1, 900, 10**9])
def test_an_unknown_id_is_named_with_those_there_are(tokenizer: Tokenizer, token_id: int):
    with pytest.raises(ValueError, match=f"token id is {token_id}; this tokenizer has 0 to 899"):
        tokenizer.decode([token_id])


def test_text_that_is_no_unicode_is_refused(tokenizer: Tokenizer):
    with pytest.raises(ValueError, match="surrogates not allowed"):
        tokenizer.encode("half a pair: \ud83d")


def test_max_characters_takes_texts_from_all_parts():
    texts = [f"{index:03d}" for index in range(100)]
    assert bytepair.evenly_spaced(texts, 30) == [f"{index:03d}" for index in range(0, 100, 10)]
    assert bytepair.evenly_spaced(texts, 300) == texts
    assert bytepair.evenly_spaced(["one long text"], 3) == ["one"]
    config = TokenizerConfig(vocab_size=300, max_characters=20_000)
    assert train_tokenizer(training_texts(), config).vocab_size == 300


@pytest.fixture
def run(tmp_path: Path) -> Run:
    run = Run(name="try", path=tmp_path / "runs" / "try")
    make_documents(CorpusConfig(stories=(30, 0, 0), held_out_stories=5), run)
    return run


def test_the_stage_leaves_a_tokenizer_of_the_training_documents(run: Run):
    artifact = make_tokenizer(TokenizerConfig(vocab_size=300), run)
    tokenizer = Tokenizer.load(artifact.path / "tokenizer.json")
    assert artifact.kind == "tokenizer"
    assert list(artifact.parents) == ["documents"]
    assert artifact.figures["vocab_size"] == tokenizer.vocab_size == 300
    assert artifact.figures["num_merges"] == 40
    assert 1.2 < artifact.figures["validation_bytes_per_token"] < 4
    lines = (run.path / "documents" / "documents.jsonl").read_text().splitlines()
    train = [each["text"] for each in map(json.loads, lines) if each["split"] == "train"]
    assert tokenizer.merges == train_tokenizer(train, TokenizerConfig(vocab_size=300)).merges


def test_the_stage_uses_what_it_finds_and_makes_anew_what_changed(run: Run, capsys):
    capsys.readouterr()
    first = make_tokenizer(TokenizerConfig(vocab_size=300), run)
    line = capsys.readouterr().out
    assert line.startswith("tokenizer: 300 tokens, ")
    again = make_tokenizer(TokenizerConfig(vocab_size=300), run)
    assert capsys.readouterr().out == line
    assert again.sha256 == first.sha256
    assert make_tokenizer(TokenizerConfig(vocab_size=301), run).sha256 != first.sha256


def test_the_stage_without_documents_says_how_to_make_them(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="documents"):
        make_tokenizer(TokenizerConfig(), Run(name="none", path=tmp_path / "none"))
