"""The bench compares equals, and says so."""

import json
from pathlib import Path

import pytest

from minillm.bench import tokenizer as bench
from minillm.tokenizer.merges import learn_merges
from tests.tokenizer.texts import larger_training_texts

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def keep_environment(monkeypatch: pytest.MonkeyPatch):
    for name in bench.ONE_THREAD:
        monkeypatch.setenv(name, "kept")
    monkeypatch.setattr(bench, "NUM_MERGES", (300, 600))


def test_merges_and_ids_are_equal_before_times_are_compared():
    figures = bench.measure(larger_training_texts(), repeats=1)
    assert figures["merges_equal_at_300"] is figures["merges_equal_at_600"] is True
    assert figures["ids_equal"] is True
    ratio = figures["train_600_tokenizers_s"] / figures["train_600_ours_s"]
    assert figures["train_600_times_tokenizers"] == ratio > 0
    assert figures["encode_warm_ours_mb_per_s"] > 0


def test_other_merges_are_noticed(monkeypatch: pytest.MonkeyPatch):
    def one_short(counts: dict[str, int], num_tokens: int) -> list[tuple[bytes, bytes]]:
        return learn_merges(counts, num_tokens - 1)

    monkeypatch.setattr(bench, "learn_merges", one_short)
    assert bench.training_figures(larger_training_texts()[:20], 1)["merges_equal_at_300"] is False


def test_the_notebook_tells_the_recorded_size():
    recorded = json.loads((ROOT / "bench" / "tokenizer.json").read_text(encoding="utf-8"))
    size = f"{recorded['figures']['megabytes']:.1f} MB"
    text = (ROOT / "notebooks" / "02c_tokens_at_work.ipynb").read_text(encoding="utf-8")
    assert f"{size} of English articles, recipes and plays" in text
