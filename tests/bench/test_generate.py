"""Both sides write the same texts, and each phase gets the time that belongs to it."""

import time
from dataclasses import replace

import pytest
import torch

from minillm.bench import generate as bench
from minillm.model.transformer import Transformer

SMALL = replace(
    bench.SHAPE, vocab_size=97, width=32, num_layers=2, ffn_width=48, context_length=40,
    initial_std=0.5,
)  # fmt: skip
PROMPTS = [[1, 2, 3, 4, 5], [9, 8, 7, 6, 5]]


def small_model() -> Transformer:
    torch.manual_seed(0)
    return Transformer(SMALL).eval()


def test_every_way_writes_the_same_text():
    model = small_model()
    texts = [write(PROMPTS, 12) for write in bench.writers(model, bench.peer_model(model)).values()]
    assert len(texts) == 4 and {len(row) for row in texts[0]} == {12}
    assert all(text == texts[0] for text in texts)
    assert min(len(set(row)) for row in texts[0]) > 6, "a text of one token is always the same"


def test_other_weights_are_seen(monkeypatch):
    peer_model = bench.peer_model

    def other(model: Transformer) -> object:
        peer = peer_model(model)
        torch.nn.init.normal_(peer.model.layers[0].self_attn.q_proj.weight)
        return peer

    monkeypatch.setattr(bench, "peer_model", other)
    monkeypatch.setattr(bench, "BATCH_SIZES", (2,))
    figures = bench.measure(SMALL, num_prompt=5, num_new=12, repeats=1)
    assert figures["batch 2"]["texts_equal"] is False


def test_decoding_is_what_further_tokens_add(monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(bench, "clock", lambda: lambda: clock[0])

    def write(prompts: list[list[int]], count: int) -> list[list[int]]:
        clock[0] += 3.0 + 0.5 * (count - 1)
        return prompts

    found = bench.rates({"fake": write}, PROMPTS, num_new=8, repeats=3)
    # 10 tokens of prompts in 3 s; 2 · 8 tokens in 4 s more
    assert found["fake"] == {
        "prefill_tokens_per_s": pytest.approx(10 / 3), "decode_tokens_per_s": pytest.approx(4.0),
    }  # fmt: skip


@pytest.mark.parametrize(("threads", "name"), [(1, "process_time"), (2, "perf_counter")])
def test_other_programs_count_only_where_threads_do(threads, name, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    assert bench.clock() is getattr(time, name)


def test_bytes_are_those_of_weights_and_cache():
    found = bench.bytes_and_seconds(small_model(), PROMPTS, repeats=1)
    assert found["weight_bytes"] == 4 * SMALL.num_parameters
    assert found["cache_bytes"] == 2 * 2 * 2 * SMALL.num_kv_heads * SMALL.head_width * 5 * 4
    assert found["step_over_floor"] == pytest.approx(found["step_ms"] / found["floor_ms"])
    assert found["step_ms"] > 0 and found["read_gb_per_s"] > 0


def test_all_figures_are_there(monkeypatch):
    monkeypatch.setattr(bench, "BATCH_SIZES", (1, 3))
    figures = bench.measure(SMALL, num_prompt=6, num_new=4, repeats=1)
    assert figures["parameters"] == SMALL.num_parameters
    for name in ("batch 1", "batch 3"):
        found = figures[name]
        assert found["texts_equal"] is True
        for way in ("plain cache", "static cache", "no cache"):
            ratio = found[f"ours, {way}: decode over transformers"]
            ours, theirs = found[f"ours, {way}"], found["transformers"]
            assert ratio == ours["decode_tokens_per_s"] / theirs["decode_tokens_per_s"]
