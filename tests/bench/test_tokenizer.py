"""The bench compares equals, and says so."""

import pytest

from minillm.bench import tokenizer as bench
from minillm.tokenizer.merges import learn_merges
from tests.tokenizer.texts import larger_training_texts


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
