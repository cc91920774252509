"""The bench of attention: the same figures for every form; what is said where there is no GPU."""

from functools import partial

import pytest
import torch

from minillm.bench import attention
from minillm.bench.attention import CPU, Setting, bytes_held, compare, held_growth, ratios, row
from minillm.model.attention import reference_attention, torch_attention


def broken(*qkv: torch.Tensor) -> torch.Tensor:
    """A form that this machine does not have."""
    raise RuntimeError("no kernel for this\nwith a long explanation")


def test_every_form_is_timed_forward_and_backward():
    figures = row(CPU, (1, 2, 48, 16), 1)
    for name in ("forward", "backward"):
        assert set(figures[f"{name}_ms"]) == set(CPU.forms)
        assert all(ms > 0 for ms in figures[f"{name}_ms"].values())
    operations = 2 * 2 * 48**2 * 16  # causal: half of 4·B·H·T²·K
    rate = figures["forward_tflop_per_s"]["plain"]
    assert rate == pytest.approx(operations / figures["forward_ms"]["plain"] / 1e9)


def test_a_form_that_cannot_run_is_left_out_and_named(capsys: pytest.CaptureFixture[str]):
    forms = {"plain": reference_attention, "missing": broken}
    figures = row(Setting(device="cpu", dtype=torch.float32, forms=forms), (1, 1, 8, 4), 1)
    assert set(figures["forward_ms"]) == {"plain"}
    assert capsys.readouterr().out == "missing is left out: no kernel for this\n"


def test_fused_attention_keeps_bytes_that_grow_with_the_tokens_and_plain_code_with_their_square():
    kept = {}
    for length in (64, 128):
        leaves = [torch.randn(1, 2, length, 16, requires_grad=True) for _ in "qkv"]
        for name, attend in (("fused", torch_attention), ("plain", reference_attention)):
            kept[name, length] = bytes_held(CPU, attend, leaves)
    # q, k, v and the output, and one log-sum-exp a query
    assert kept["fused", 64] == 2 * 64 * (4 * 16 + 1) * 4
    assert kept["fused", 128] == 2 * kept["fused", 64]
    # from 2·T² weights in float32 to four times as many, and a mask of one byte
    assert kept["plain", 128] - 2 * kept["plain", 64] >= 2 * 2 * 64**2 * 4


def test_ratios_and_growth_by_hand():
    made = partial(dict, batch=1, head_width=64)
    rows = {
        "a": made(tokens=10, held_bytes={"x": 100, "y": 100}),
        "b": made(
            tokens=20, held_bytes={"x": 200, "y": 400},
            forward_ms={"x": 2.0, "y": 5.0}, backward_ms={"x": 1.0, "y": 3.0},
        ),
    }  # fmt: skip
    assert ratios(rows, "x", ["y", "absent"], 20) == {
        "forward_times_y_at_20_width_64": 2.5,
        "backward_times_y_at_20_width_64": 3.0,
    }
    assert held_growth(rows, "x") == 1.0
    assert held_growth(rows, "y") == 2.0
    assert held_growth(rows, "absent") is None
    wide = {
        "c": {**made(tokens=10, held_bytes={"x": 300, "z": 300}), "head_width": 128},
        "d": {**made(tokens=20, held_bytes={"x": 630}), "head_width": 128},
    }
    assert held_growth(rows | wide, "x") == pytest.approx(1.05), "width by width"
    assert held_growth(wide, "z") is None, "its longest length did not run"


def test_rows_are_named_by_their_sizes():
    assert list(compare(CPU, [(1, 1, 8, 4), (1, 1, 16, 4)], 1)) == [
        "tokens_8_width_4", "tokens_16_width_4",
    ]  # fmt: skip


@pytest.mark.skipif(torch.cuda.is_available(), reason="says what is said where there is no GPU")
def test_without_a_gpu_the_figures_say_so(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(attention, "CPU_LENGTHS", (8, 16))
    monkeypatch.setattr(attention, "COMPARED", 16)
    monkeypatch.setattr(attention, "compiled", lambda: [])
    figures = attention.measure()
    assert figures["device"].startswith("no GPU: the Triton kernels are not timed")
    assert "forward_times_plain_at_16_width_64" in figures
    assert figures["fused_held_bytes_a_token_grow_times"] == pytest.approx(1)
