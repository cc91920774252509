"""All readers read the same tokens; what is compared is counted the same way."""

import json
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
import torch

from minillm.batches.shards import BatchesConfig, Shards
from minillm.batches.stream import IGNORE, Stream
from minillm.bench import stream as bench

ROOT = Path(__file__).resolve().parents[2]
T = 16


@pytest.fixture
def shards(tmp_path: Path) -> Shards:
    return bench.made_shards(tmp_path, 200)


def rows_of(batches) -> torch.Tensor:
    """Inputs with the last target behind them, a line for each row."""
    return torch.cat([torch.cat([left, right[:, -1:]], dim=1) for left, right in batches])


def test_shards_are_opened_as_any_are(shards):
    assert shards.num_documents == 200 and shards.end_of_text == 0
    lengths = np.diff(shards.offsets)
    assert lengths.min() >= bench.SHORTEST and lengths.max() < bench.LONGEST
    assert (shards.read(0, shards.num_tokens + 1) == 0).sum() == 201


def test_our_rows_the_loader_s_and_the_peer_s_are_the_same_rows(shards, tmp_path):
    rows = bench.RawRows(shards, T)
    expected = torch.tensor(np.array([rows.stretch(number) for number in range(160)], np.int64))
    ours = rows_of(bench.raw_batches(rows, 8, np.arange(160)))
    assert torch.equal(ours, expected)
    assert ours.dtype == torch.int64

    def ordered(block: torch.Tensor) -> list[list[int]]:
        return sorted(block.tolist())

    everything = torch.tensor(np.array([rows.stretch(n) for n in range(len(rows))], np.int64))
    loader = rows_of(bench.loader_batches(rows, 8))
    assert ordered(loader) == ordered(everything) and not torch.equal(loader, everything)
    peer = rows_of(bench.peer_batches(bench.peer_dataset(rows, tmp_path / "peer", 160), 8))
    assert ordered(peer) == ordered(expected) and not torch.equal(peer, expected)
    assert peer.dtype == loader.dtype == torch.int64


def test_tokens_are_counted_without_padding(shards, tmp_path):
    actions, tokens = bench.readers(shards, tmp_path, 5)
    stream = Stream(shards, BatchesConfig())
    stream.open_epoch(1, first=0)
    counted = sum(int((batch.targets_BT != IGNORE).sum()) for batch in islice(stream, 5))
    assert tokens["stream"] == counted
    assert tokens["raw shuffled"] == tokens["datasets"] == 5 * 16 * 256
    read = {name: action() for name, action in actions.items() if name != "packing an epoch"}
    assert set(read.values()) == {5}


def test_every_resume_is_exact_and_one_that_is_off_is_found(shards, monkeypatch):
    config = BatchesConfig(context_length=64, batch_size=4)
    last = Stream(shards, config).num_batches_per_epoch
    assert bench.resume_check(shards, config, 20, last) == 60

    class OneLate(Stream):
        def __init__(self, *arguments, position: int = 0, **place) -> None:
            super().__init__(*arguments, position=position + (position > 0), **place)

    monkeypatch.setattr(bench, "Stream", OneLate)
    assert bench.resume_check(shards, config, 20, last) <= 3


def test_the_figures_say_what_was_measured(monkeypatch):
    monkeypatch.setattr(bench, "NUM_RESUMED_DOCUMENTS", 400)
    figures = bench.measure(num_documents=400, num_batches=2, repeats=1)
    assert set(figures["tokens_per_s"]) == {
        "raw sequential", "raw shuffled", "stream", "torch DataLoader", "datasets",
        "packing an epoch",
    }
    assert min(figures["tokens_per_s"].values()) > 0
    assert figures["aim_is_of"] == "raw shuffled" in figures["at_least_50_million"]
    assert figures["exact_resumes"] == figures["resumes"] == 60
    mixed = figures["rank_correlation"]
    assert mixed["buffer of 10,000"] < 0.5, "a buffer that holds all mixes all"
    # 400 documents: by chance alone ± 1/√400 = .05
    assert abs(mixed["stream, epoch 1"]) < 0.25


@pytest.mark.parametrize(
    ("fast", "reached"),
    [
        ({"raw shuffled"}, {"raw shuffled"}),
        ({"raw sequential", "datasets"}, set()),
        ({"stream"}, {"stream"}),
        ({"packing an epoch"}, set()),
        ({"stream", "packing an epoch"}, {"stream", "stream with packing"}),
    ],
)
def test_each_kind_of_reading_is_judged_by_itself(monkeypatch, fast: set, reached: set):
    monkeypatch.setattr(bench, "NUM_RESUMED_DOCUMENTS", 400)

    def seconds(actions: dict, repeats: int) -> dict[str, float]:
        return {name: 1e-6 if name in fast else 1.0 for name in actions}

    monkeypatch.setattr(bench, "median_seconds", seconds)
    figures = bench.measure(num_documents=400, num_batches=2, repeats=1)
    assert all(figures["tokens_per_s"][name] > bench.BAR_TOKENS_PER_S for name in fast)
    assert {name for name, is_so in figures["at_least_50_million"].items() if is_so} == reached


def test_the_notebook_tells_the_recorded_speeds():
    recorded = json.loads((ROOT / "bench" / "stream.json").read_text(encoding="utf-8"))["figures"]
    text = (ROOT / "notebooks" / "03b_stream.ipynb").read_text(encoding="utf-8")
    packed = recorded["stream_with_packing_tokens_per_s"] / 1e6
    alone = recorded["tokens_per_s"]["stream"] / 1e6
    told = f"about {packed:.0f} million tokens a second on that machine, its batches alone"
    assert f"{told} {alone:.0f} million" in text
