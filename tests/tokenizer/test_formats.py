"""The file of a tokenizer: what is written is read back, and what is something else is refused."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer
from minillm.tokenizer.formats import from_printable, printable
from tests.tokenizer.texts import fuzz_strings, training_texts


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    path = tmp_path / "deep" / "tokenizer.json"
    train_tokenizer(training_texts(20), TokenizerConfig(vocab_size=400)).save(path)
    return path


@given(st.binary())
def test_any_bytes_have_a_printable_form_and_come_back(token: bytes):
    form = printable(token)
    assert from_printable(form) == token
    assert form.isprintable() and " " not in form


def test_printable_forms_are_those_of_gpt_2():
    assert printable(b" the\n") == "ĠtheĊ"
    assert printable("é".encode()) == "Ã©"


def test_a_loaded_tokenizer_is_the_saved_one(saved: Path):
    ours = train_tokenizer(training_texts(20), TokenizerConfig(vocab_size=400))
    loaded = Tokenizer.load(saved)
    assert loaded.merges == ours.merges
    assert loaded.special_ids == ours.special_ids
    for text in fuzz_strings(100):
        assert loaded.encode(text) == ours.encode(text)


def test_saving_what_was_loaded_writes_the_same_bytes(saved: Path, tmp_path: Path):
    Tokenizer.load(saved).save(tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == saved.read_bytes()


def test_own_special_tokens_are_kept(tmp_path: Path):
    names = ("<|tool|>", "<|endoftext|>")
    config = TokenizerConfig(vocab_size=300, special_tokens=names)
    train_tokenizer(training_texts(20), config).save(tmp_path / "tokenizer.json")
    loaded = Tokenizer.load(tmp_path / "tokenizer.json")
    assert loaded.special_ids == {"<|tool|>": 298, "<|endoftext|>": 299}
    assert loaded.end_of_text == 299


def test_a_missing_file_is_named_with_the_command_that_makes_one(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere.json.*minillm tokenizer --text"):
        Tokenizer.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[]", b"{}", b"\xff\xfe\x00", b'{"model": {"merges": ["a b"]}}', b'{"model": 3}'],
)
def test_a_file_that_is_no_tokenizer_is_named(tmp_path: Path, content: bytes):
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ValueError, match="tokenizer.json: not a tokenizer.json of byte-level BPE"):
        Tokenizer.load(tmp_path / "tokenizer.json")


@pytest.mark.parametrize("change", ["pattern", "vocab", "normalizer", "special"])
def test_a_tokenizer_of_another_kind_is_refused(saved: Path, change: str):
    content = json.loads(saved.read_text())
    if change == "pattern":
        content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+|\W"
    elif change == "vocab":
        vocab = content["model"]["vocab"]
        vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    elif change == "normalizer":
        content["normalizer"] = {"type": "NFC"}
    else:
        content["added_tokens"][0]["id"] = 0
    saved.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="of another kind"):
        Tokenizer.load(saved)
