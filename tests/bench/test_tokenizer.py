"""The bench compares equals, and says so."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from minillm.bench import tokenizer as bench
from minillm.bench.fuzz import fuzz_strings, told_apart
from minillm.tokenizer import bytepair
from minillm.tokenizer.merges import learn_merges
from tests.tokenizer.texts import larger_training_texts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def keep_environment(monkeypatch: pytest.MonkeyPatch):
    for name in bench.ONE_THREAD:
        monkeypatch.setenv(name, "kept")
    monkeypatch.setattr(bench, "NUM_MERGES", (300, 600))
    monkeypatch.setattr(bench, "NUM_FUZZ_STRINGS", 200)


def test_merges_and_ids_are_equal_before_times_are_compared():
    figures = bench.measure(larger_training_texts(), repeats=1)
    assert figures["merges_equal_at_300"] is figures["merges_equal_at_600"] is True
    assert figures["ids_equal"] is True
    ratio = figures["train_600_tokenizers_s"] / figures["train_600_ours_s"]
    assert figures["train_600_times_tokenizers"] == ratio > 0
    assert figures["encode_warm_ours_mb_per_s"] > 0
    assert figures["fuzz_strings_equal"] == figures["fuzz_strings"] == 200
    assert figures["fuzz_code_points_left_out"] == len(told_apart())


def test_other_merges_are_noticed(monkeypatch: pytest.MonkeyPatch):
    def one_short(counts: dict[str, int], num_tokens: int) -> list[tuple[bytes, bytes]]:
        return learn_merges(counts, num_tokens - 1)

    monkeypatch.setattr(bench, "learn_merges", one_short)
    assert bench.training_figures(larger_training_texts()[:20], 1)["merges_equal_at_300"] is False


@pytest.mark.parametrize("who", ["ours", "tokenizers", "tiktoken"])
def test_a_string_that_gets_other_ids_from_one_of_them_is_not_counted(
    who: str, monkeypatch: pytest.MonkeyPatch
):
    """Whoever finds no id in any string is right about the empty ones alone."""
    encoders, num_empty = bench.encoders, fuzz_strings(200).count("")

    def one_is_blind(
        merges: list[tuple[bytes, bytes]], folder: Path
    ) -> Iterator[tuple[str, Callable[[], bench.Encode]]]:
        for name, make in encoders(merges, folder):
            yield name, (lambda: lambda text: []) if name == who else make

    monkeypatch.setattr(bench, "encoders", one_is_blind)
    figures = bench.fuzz_figures(larger_training_texts()[:20])
    assert figures["fuzz_strings_equal"] == num_empty > 0


def test_ours_split_in_another_way_is_noticed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(bytepair, "cut_at_spaces", lambda text: [text])
    monkeypatch.setattr(bytepair, "split_words", lambda text: [text] if text else [])
    assert bench.fuzz_figures(larger_training_texts()[:20])["fuzz_strings_equal"] < 200


def test_the_notebook_tells_the_recorded_size():
    recorded = json.loads((ROOT / "bench" / "tokenizer.json").read_text(encoding="utf-8"))
    size = f"{recorded['figures']['megabytes']:.1f} MB"
    text = (ROOT / "notebooks" / "02c_tokens_at_work.ipynb").read_text(encoding="utf-8")
    assert f"{size} of English articles, recipes and plays" in text
