"""The file of a tokenizer: what is written is read back, and what is something else is refused."""

import json
from base64 import b64encode
from pathlib import Path

import pytest
import tiktoken
from hypothesis import given
from hypothesis import strategies as st
from tiktoken.load import load_tiktoken_bpe

from minillm.bench.fuzz import fuzz_strings
from minillm.tokenizer.alphabet import SPLIT_PATTERN
from minillm.tokenizer.bytepair import SPECIAL_TOKENS, Tokenizer, TokenizerConfig, train_tokenizer
from minillm.tokenizer.formats import from_printable, merge_of, printable, tokenizer_json
from tests.tokenizer.texts import training_texts


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


@pytest.mark.parametrize(
    "change", ["pattern", "vocab", "normalizer", "special", "option", "decoder"]
)
def test_a_tokenizer_of_another_kind_is_refused(saved: Path, change: str):
    content = json.loads(saved.read_text())
    if change == "pattern":
        content["pre_tokenizer"]["pretokenizers"][0]["pattern"]["Regex"] = r"\w+|\W"
    elif change == "vocab":
        vocab = content["model"]["vocab"]
        vocab["a"], vocab["b"] = vocab["b"], vocab["a"]
    elif change == "normalizer":
        content["normalizer"] = {"type": "NFC"}
    elif change == "option":
        content["model"]["ignore_merges"] = True
    elif change == "decoder":
        content["decoder"] = {"type": "Fuse"}
    else:
        content["added_tokens"][0]["id"] = 0
    saved.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="of another kind"):
        Tokenizer.load(saved)


def test_what_another_program_sets_for_batches_does_not_matter(saved: Path):
    content = json.loads(saved.read_text())
    content["truncation"] = {"max_length": 8, "strategy": "LongestFirst", "stride": 0}
    del content["model"]["ignore_merges"]  # older writers leave it out
    merges = Tokenizer.load(saved).merges
    saved.write_text(json.dumps(content))
    assert Tokenizer.load(saved).merges == merges


def test_a_merge_of_what_no_merge_makes_is_refused(saved: Path):
    saved.write_text(json.dumps(tokenizer_json([(b"ab", b"c")], SPECIAL_TOKENS)))
    with pytest.raises(ValueError, match="a part of a merge is no token.*Tokenizer.save"):
        Tokenizer.load(saved)


def test_ranks_are_read_by_tiktoken_and_give_our_ids(tmp_path: Path):
    ours = train_tokenizer(training_texts(), TokenizerConfig(vocab_size=900))
    ours.save_ranks(tmp_path / "ours.tiktoken")
    ranks = load_tiktoken_bpe(str(tmp_path / "ours.tiktoken"))
    peer = tiktoken.Encoding(
        "ours", pat_str=SPLIT_PATTERN, mergeable_ranks=ranks, special_tokens=ours.special_ids
    )
    for text in fuzz_strings(1000):
        assert peer.encode_ordinary(text) == ours.encode(text)


def test_merges_are_found_again_from_the_order_of_tokens_alone(tmp_path: Path):
    ours = train_tokenizer(training_texts(), TokenizerConfig(vocab_size=900))
    ours.save_ranks(tmp_path / "ours.tiktoken")
    again = Tokenizer.load_ranks(tmp_path / "ours.tiktoken")
    assert again.merges == ours.merges and again.special_ids == ours.special_ids


def test_a_merge_by_hand_from_ranks():
    ranks = {b"a": 0, b"b": 1, b"c": 2, b"bc": 3, b"abc": 4}
    assert merge_of(b"abc", ranks) == (b"a", b"bc")


def test_a_missing_file_of_ranks_is_named(tmp_path: Path):
    with pytest.raises(FileNotFoundError, match="nowhere.tiktoken: no such file"):
        Tokenizer.load_ranks(tmp_path / "nowhere.tiktoken")


def changed_ranks(change: str, lines: list[str]) -> list[str]:
    """The file's lines with one fault."""
    if change == "cut":
        return [*lines[:-1], lines[-1][:2]]
    if change == "base64":
        return ["?? 0", *lines[1:]]
    if change == "order":
        return [lines[1], lines[0], *lines[2:]]
    if change == "gap":
        return [*lines[:300], *lines[301:]]
    if change == "bytes":
        return [f"{line.split()[0]} {rank}" for rank, line in enumerate(reversed(lines))]
    if change in ("byte twice", "token twice"):
        again = lines[3 if change == "byte twice" else 300].split()[0]
        return [*lines, f"{again} {len(lines)}"]
    return [*lines, f"{b64encode(b'no merge makes this').decode()} {len(lines)}"]


REASON_BY_CHANGE = {
    "cut": "padding",
    "base64": "base64",
    "order": "do not count 0, 1, 2",
    "gap": "do not count 0, 1, 2",
    "bytes": "first 256 tokens are not the bytes",
    "byte twice": "a token stands in it twice",
    "token twice": "a token stands in it twice",
    "unreachable": "no merge of earlier tokens makes",
}


@pytest.mark.parametrize("change", REASON_BY_CHANGE)
def test_a_file_that_holds_no_ranks_is_refused(tmp_path: Path, change: str):
    path = tmp_path / "ours.tiktoken"
    train_tokenizer(training_texts(20), TokenizerConfig(vocab_size=400)).save_ranks(path)
    lines = path.read_text().splitlines()
    path.write_text("\n".join(changed_ranks(change, lines)) + "\n")
    form = "ours.tiktoken: not a file of ranks for byte-level BPE"
    with pytest.raises(ValueError, match=f"{form}.*{REASON_BY_CHANGE[change]}"):
        Tokenizer.load_ranks(path)
