"""Streams: cut anywhere, the ids are those of the whole; memory is flat; no character is torn."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minillm.bench.fuzz import SCRIPTS, fuzz_strings
from minillm.tokenizer import streaming
from minillm.tokenizer.bytepair import Tokenizer, TokenizerConfig, train_tokenizer
from minillm.tokenizer.streaming import decode_stream, encode_blocks, encode_texts
from tests.tokenizer.texts import larger_training_texts, training_texts

TOKENIZER = train_tokenizer(training_texts(), TokenizerConfig(vocab_size=900))
TEXT = st.one_of(st.text(), st.text("".join(SCRIPTS) + " \n\r\n  "))
ALLOWED_MB = 300


def in_blocks(text: str, cuts: list[int]) -> list[str]:
    """The text, cut at these places."""
    places = [0, *sorted(cut % (len(text) + 1) for cut in cuts), len(text)]
    return [text[start:stop] for start, stop in zip(places, places[1:])]


def joined_ids(blocks: list[str]) -> list[int]:
    return [token_id for part in encode_blocks(TOKENIZER, blocks) for token_id in part]


@settings(deadline=None, max_examples=500)
@given(TEXT, st.lists(st.integers(0, 10**6), max_size=6))
def test_a_text_cut_anywhere_has_the_ids_of_the_whole(text: str, cuts: list[int]):
    assert joined_ids(in_blocks(text, cuts)) == TOKENIZER.encode(text)


@pytest.mark.parametrize("size", [1, 7, 997])
def test_documents_in_blocks_have_the_ids_of_the_whole(size: int):
    text = "".join(larger_training_texts())[:60_000] + "".join(fuzz_strings(100))
    blocks = [text[start : start + size] for start in range(0, len(text), size)]
    assert joined_ids(blocks) == TOKENIZER.encode(text)


def test_cutting_without_looking_for_a_safe_place_is_noticed(monkeypatch: pytest.MonkeyPatch):
    text = training_texts(1)[0]
    blocks = [text[start : start + 10] for start in range(0, len(text), 10)]
    assert joined_ids(blocks) == TOKENIZER.encode(text)
    anywhere = streaming.regex.compile(r"(?r)(?<=.)(?=.)")
    monkeypatch.setattr(streaming, "SAFE_PLACE", anywhere)
    assert joined_ids(blocks) != TOKENIZER.encode(text)


def test_a_word_that_does_not_end_waits_until_it_does():
    parts = list(encode_blocks(TOKENIZER, ["ab", "cd", "", "ef gh", "i"]))
    assert [TOKENIZER.decode(part) for part in parts] == ["abcdef", " ghi"]


@settings(deadline=None)
@given(st.text())
def test_a_stream_of_ids_gives_the_text_in_whole_characters(text: str):
    pieces = list(decode_stream(TOKENIZER, TOKENIZER.encode(text)))
    assert "".join(pieces) == text
    assert all(pieces)


def test_a_character_of_four_ids_comes_out_with_its_last():
    bytes_alone = Tokenizer([])
    given_out, pieces = [], []

    def ids() -> Iterator[int]:
        for token_id in bytes_alone.encode("a🙂b"):
            given_out.append(token_id)
            yield token_id

    for piece in decode_stream(bytes_alone, ids()):
        pieces.append((len(given_out), piece))
    assert pieces == [(1, "a"), (5, "🙂"), (6, "b")]


def test_half_a_character_at_the_end_is_shown_as_a_mark():
    bytes_alone = Tokenizer([])
    ids = bytes_alone.encode("a🙂")[:3]
    assert "".join(decode_stream(bytes_alone, ids)) == bytes_alone.decode(ids) == "a�"


def test_decoding_id_by_id_would_tear_a_character():
    bytes_alone = Tokenizer([])
    torn = "".join(bytes_alone.decode([token_id]) for token_id in bytes_alone.encode("🙂"))
    assert torn == "�" * 4


def test_two_processes_give_the_ids_of_one_in_the_order_of_the_texts():
    texts = [*training_texts(100), "", *fuzz_strings(100)]
    found = list(encode_texts(TOKENIZER, texts, num_processes=2))
    assert [each.tolist() for each in found] == [TOKENIZER.encode(text) for text in texts]


def test_processes_read_texts_no_further_ahead_than_they_need():
    taken = []

    def texts() -> Iterator[str]:
        for index in range(10_000):
            taken.append(index)
            yield "one two"

    ids = encode_texts(TOKENIZER, texts(), num_processes=1)
    next(ids)
    ahead = (streaming.TASKS_PER_PROCESS + 1) * streaming.TEXTS_AT_A_TIME
    assert len(taken) <= ahead
    ids.close()


def test_no_process_is_refused():
    with pytest.raises(ValueError, match="num_processes is 0; give at least 1"):
        next(encode_texts(TOKENIZER, ["a"], num_processes=0))


STREAM = """
import random, sys
from pathlib import Path
from minillm.tokenizer.bytepair import Tokenizer
from minillm.tokenizer.streaming import encode_blocks

def blocks(num_bytes):
    chance, words = random.Random(0), Path(sys.argv[2]).read_text().split()
    while num_bytes > 0:
        block = " ".join(chance.choices(words, k=20_000)) + "\\n"
        block += " ".join(str(chance.random()) for _ in range(2_000)) + "\\n"
        num_bytes -= len(block)
        yield block

tokenizer = Tokenizer.load(Path(sys.argv[1]))
num_tokens = sum(map(len, encode_blocks(tokenizer, blocks(int(sys.argv[3])))))
status = Path("/proc/self/status").read_text()  # getrusage would count the parent's peak too
print(num_tokens, int(status.split("VmHWM:")[1].split()[0]) * 1024)
"""


def tokens_and_peak_mb(folder: Path, num_bytes: int) -> tuple[int, float]:
    """What encoding so many bytes of a stream took, in a process of its own."""
    TOKENIZER.save(folder / "tokenizer.json")
    (folder / "words.txt").write_text(" ".join(larger_training_texts()), encoding="utf-8")
    command = [sys.executable, "-c", STREAM, str(folder / "tokenizer.json")]
    command += [str(folder / "words.txt"), str(num_bytes)]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    num_tokens, peak_bytes = map(int, printed.split())
    return num_tokens, peak_bytes / 1e6


def test_a_stream_of_20_megabytes_stays_under_300_megabytes(tmp_path: Path):
    num_tokens, peak_mb = tokens_and_peak_mb(tmp_path, 20_000_000)
    assert num_tokens > 4_000_000 and peak_mb < ALLOWED_MB


@pytest.mark.proof
def test_a_stream_of_a_gigabyte_stays_under_300_megabytes(
    tmp_path: Path, record_property: Callable[[str, object], None]
):
    num_tokens, peak_mb = tokens_and_peak_mb(tmp_path, 1_000_000_000)
    record_property("peak_memory_mb", round(peak_mb))
    record_property("allowed_memory_mb", ALLOWED_MB)
    assert num_tokens > 200_000_000 and peak_mb < ALLOWED_MB
