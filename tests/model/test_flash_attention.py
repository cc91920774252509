"""The fused kernels give the equation's numbers and gradients, read nothing beyond the ends, visit
no tile in vain, and compile for GPUs that are not here. Without a GPU all but the last runs in
Triton's interpreter."""

import dataclasses
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType

import pytest
import torch

from minillm.model.attention import ATTENTION, attention_mask

triton = pytest.importorskip("triton", reason="triton has wheels for Linux alone")

import triton.language as tl  # noqa: E402  needs triton
from triton.runtime import interpreter  # noqa: E402  needs triton

from minillm.bench.traffic import counted_traffic  # noqa: E402  needs triton
from minillm.model import flash_attention as launches  # noqa: E402  needs triton
from minillm.model import flash_inputs, flash_kernels, flash_selftest  # noqa: E402  needs triton
from minillm.model.flash_attention import document_bounds, flash_attention  # noqa: E402  triton
from minillm.model.flash_kernels import View, tile_cells  # noqa: E402  needs triton
from tests.model.flash_cases import (  # noqa: E402  needs triton
    CALLS,
    DEVICE,
    NAMED,
    Call,
    check_rule,
    inputs_of,
    quick_interpreter,
    results,
    tiled,
    with_bug,
)

Attend = Callable[..., torch.Tensor]

# Before anything else: is the interpreter (or the GPU) right about a kernel that is easy to check?


def test_a_kernel_that_is_easy_to_check_is_right():
    flash_selftest.check_interpreter.__wrapped__(DEVICE)


needs_interpreter = pytest.mark.skipif(
    not flash_inputs.INTERPRETED, reason="on a GPU nothing is interpreted"
)


@needs_interpreter
def test_an_interpreter_that_answers_with_zeros_is_not_trusted(monkeypatch: pytest.MonkeyPatch):
    from triton.runtime.interpreter import interpreter_builder

    def zeros(a: object, b: object, accumulator: object, *rest: object) -> object:
        return accumulator

    monkeypatch.setattr(interpreter_builder, "create_dot", zeros)
    with pytest.raises(RuntimeError, match="computes wrongly in its interpreter.*pyproject.toml"):
        flash_selftest.check_interpreter.__wrapped__()


@triton.jit
def square_kernel(x, y, EDGE: tl.constexpr):
    """y = x xᵀ in float32."""
    rows = tl.arange(0, EDGE)
    cells = rows[:, None] * EDGE + rows[None, :]
    tile = tl.load(x + cells)
    tl.store(y + cells, tl.dot(tile, tl.trans(tile)))


@needs_interpreter
def test_the_interpreter_is_wrong_about_bfloat16_which_is_why_it_never_gets_any():
    x = torch.arange(256.0).reshape(16, 16).div(256).bfloat16()
    y = torch.zeros(16, 16)
    square_kernel[(1,)](x, y, EDGE=16)
    assert not torch.allclose(y, x.float() @ x.float().T, rtol=0.1)


# The rule: output, log-sum-exp and three gradients


def test_there_are_at_least_60_odd_calls_of_every_kind():
    calls = set(CALLS.values())
    assert len(calls) >= 60
    assert {call.width for call in calls} >= {5, 48, 80, 96, 100, 160}
    ragged = [call for call in calls if call.queries % call.tiles[0] and call.keys % call.tiles[1]]
    assert len(ragged) >= 30
    for field, least in (("window", 15), ("documents", 15), ("offset", 15)):
        assert sum(getattr(call, field) not in (None, 0) for call in calls) >= least
    assert sum(call.window is not None and call.documents is not None for call in calls) >= 5


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16], ids=["float32", "float16"])
def test_error_is_at_most_twice_that_of_plain_pytorch(name: str, dtype: torch.dtype):
    check_rule(launches, CALLS[name], dtype)


@pytest.mark.parametrize("name", ["grouped", "keys before the queries", "window", "documents"])
def test_bfloat16_keeps_the_rule_too(name: str):
    """In the interpreter bfloat16 runs as float32 and is rounded once, at the end."""
    check_rule(launches, NAMED[name], torch.bfloat16)


@contextmanager
def told_of_overflows() -> Iterator[None]:
    """The interpreter looks at sums and products of whole numbers, but says what it saw only where
    it is asked to."""
    with pytest.MonkeyPatch.context() as patch:
        options = dataclasses.replace(interpreter.interpreter_builder.options, debug=True)
        patch.setattr(interpreter.interpreter_builder, "options", options)
        yield


@needs_interpreter
def test_whole_numbers_do_not_overflow():
    """With the interpreter's own checks, which the rule's calls do without."""
    tensors, said = inputs_of(NAMED["documents"])
    with told_of_overflows():
        slow = results(flash_attention, tensors, said, torch.float32)
    with quick_interpreter():
        quick = results(flash_attention, tensors, said, torch.float32)
    assert all(torch.equal(slow[key], quick[key]) for key in slow)


@triton.jit
def cells_kernel(x, out):
    """How far from the tensor's beginning the first cell of each batch's tile lies."""
    batch = tl.program_id(0)
    cells, _ = tile_cells(x, batch, 0, 0, 16, 16, 16)
    distance_TK = (cells.to(tl.int64) - x.data.to(tl.int64)) // 4
    tl.store(out + batch, tl.min(tl.min(distance_TK, 1), 0))


@needs_interpreter
def test_a_batch_may_begin_beyond_two_to_the_31st_cell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    """No such tensor is made: only the places are computed. With 32 bits it is noticed."""
    x = View(torch.zeros(1), (2**30, 0, 16, 1), (4, 1, 16, 16))
    found = torch.zeros(4, dtype=torch.int64)
    right = "tl.cast(batch, tl.int64) * x.strides[0]"
    narrow = with_bug(tmp_path, right, "batch * x.strides[0]", "flash_kernels").tile_cells
    with told_of_overflows():
        cells_kernel[(4,)](x, found)
        assert found.tolist() == [0, 2**30, 2**31, 3 * 2**30]
        monkeypatch.setitem(globals(), "tile_cells", narrow)
        with pytest.raises(Exception, match="int32 overflow"):
            cells_kernel[(4,)](x, found)


def test_output_equals_pytorch_fused_attention():
    tensors, said = inputs_of(NAMED["longer than two tiles"])
    q, k, v, _ = tensors
    theirs, ours = (ATTENTION[name](q, k, v, **said) for name in ("torch", "triton"))
    torch.testing.assert_close(ours, theirs)


def test_with_one_key_the_output_is_its_value_and_no_gradient_goes_to_the_scores():
    tensors, said = inputs_of(dataclasses.replace(NAMED["window"], window=1))
    with quick_interpreter():
        found = results(flash_attention, tensors, said, torch.float32)
    assert torch.equal(found["out"], tensors[2].double().expand_as(found["out"]))
    # p (∂p - Δ) is the difference of two sums over K = 16 products, in two orders.
    bound = 16 * torch.finfo(torch.float32).eps * 16 * max(float(x.abs().max()) for x in tensors)
    assert max(float(found[key].abs().max()) for key in ("grad q", "grad k")) < bound


def test_nothing_as_large_as_the_scores_is_kept():
    (q, k, v, _), _ = inputs_of(Call(queries=150, keys=150, width=5))
    out = flash_attention(q.requires_grad_(), k, v)
    kept = [x.numel() for x in out.grad_fn.saved_tensors if x is not None]
    assert kept == [150 * 5] * 4 + [150]


def test_the_same_call_gives_the_same_bits():
    tensors, said = inputs_of(NAMED["grouped"])
    with quick_interpreter():
        once, again = (results(flash_attention, tensors, said, torch.float32) for _ in range(2))
    assert all(torch.equal(once[key], again[key]) for key in once)


def test_under_autocast_the_inputs_are_cast_as_for_pytorch_fused_attention():
    (q, k, v, _), _ = inputs_of(NAMED["prime sizes, narrow head"])
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        ours, theirs = flash_attention(q, k, v.bfloat16()), ATTENTION["torch"](q, k, v)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    assert torch.equal(ours, flash_attention(q.bfloat16(), k.bfloat16(), v.bfloat16()))


def test_a_compiled_model_calls_the_kernels_as_they_are():
    """The compiler's graph ends before the launches and begins anew behind them."""
    inputs = [x.requires_grad_() for x in inputs_of(NAMED["prime sizes, narrow head"])[0][:3]]

    def loss(*qkv: torch.Tensor) -> torch.Tensor:
        return ATTENTION["triton"](*(2 * x for x in qkv)).sum()

    with quick_interpreter():
        found = [
            torch.autograd.grad(function(*inputs), inputs)
            for function in (loss, torch.compile(loss, backend="eager"))
        ]
    torch.testing.assert_close(*found)


# What is seen: exactly the keys of the mask, and no tile in vain


@pytest.mark.parametrize(("documents", "ends"), [
    ([7, 7, 3], ([0, 0, 2], [2, 2, 3])),
    ([1, 2, 1, 2, 5], ([0, 1, 0, 1, 4], [3, 4, 3, 4, 5])),
    ([4], ([0], [1])),
])  # fmt: skip
def test_where_documents_begin_and_end(documents: list[int], ends: tuple[list[int], list[int]]):
    both = torch.tensor([documents, [9] * len(documents)])
    begins_BT, ends_BT = document_bounds(both)
    assert (begins_BT[0].tolist(), ends_BT[0].tolist()) == ends
    assert begins_BT[1].eq(0).all() and ends_BT[1].eq(len(documents)).all()


def products_made(call: Call) -> list[int]:
    """Matrix products of the forward and of the backward pass."""
    tensors, said = inputs_of(call)
    q, k, v, grad = tensors
    mask = launches.mask_of(said["documents_BT"], call.offset, call.window)
    with tiled(launches, call.tiles), quick_interpreter():
        with counted_traffic() as forward:
            kept = launches.attention_forward(q, k, v, mask)
        with counted_traffic() as backward:
            launches.attention_backward((q, k, v, *kept), grad, mask)
    return [forward.products, backward.products]


def tiles_needed(call: Call) -> int:
    """Tiles in which a query sees a key, by the mask itself."""
    documents_BT = inputs_of(call)[1]["documents_BT"]
    sizes = call.queries, call.keys, call.offset
    mask = attention_mask(*sizes, documents_BT, torch.device(DEVICE), call.window)
    rows, columns = call.tiles
    seen_TS = torch.zeros(call.queries + rows, call.keys + columns, dtype=torch.bool)
    seen_TS[: call.queries, : call.keys] = mask.reshape(call.queries, call.keys)
    tiles = seen_TS.unfold(0, rows, rows).unfold(1, columns, columns)
    return int(tiles.flatten(2).any(2).sum()) * call.heads


@pytest.mark.skipif(not flash_inputs.INTERPRETED, reason="counted by the interpreter")
@pytest.mark.parametrize("call", [
    Call(queries=100, keys=100, tiles=(32, 16)),
    Call(queries=100, keys=100, window=20, tiles=(16, 32)),
    Call(queries=40, keys=100, offset=60, window=9, tiles=(16, 16)),
    Call(queries=100, keys=100, documents="packed", tiles=(16, 16)),
    Call(queries=100, keys=100, documents="packed", window=12, tiles=(16, 16)),
], ids=str)  # fmt: skip
def test_a_tile_of_which_nothing_is_seen_is_not_visited(call: Call):
    needed = tiles_needed(call)
    assert products_made(call) == [2 * needed, 7 * needed]


# Nothing beyond the ends: the memory around every tensor is NaN, or a mark that must stay


def poisoned(x: torch.Tensor, poison: float) -> torch.Tensor:
    """The same numbers as a part of a larger tensor, with poison on its two open sides."""
    batch_size, num_heads, num_rows, width = x.shape
    around = x.new_full((batch_size, num_heads, num_rows + 70, width + 9), poison)
    around[:, :, :num_rows, :width] = x
    return around[:, :, :num_rows, :width]


def reads_beyond_the_ends(attend: Attend, poison: float) -> bool:
    """Does what lies around the inputs reach the output or a gradient?"""
    for name in ("prime sizes, narrow head", "fewer keys than the mask allows", "window"):
        tensors, said = inputs_of(NAMED[name])
        q, k, v, grad = (poisoned(x, poison) for x in tensors)
        inputs = [x.detach().requires_grad_() for x in (q, k, v)]
        with quick_interpreter():
            out = attend(*inputs, **said)
            out.backward(grad)
        if not all(x.isfinite().all() for x in (out, *(x.grad for x in inputs))):
            return True
    return False


@pytest.mark.parametrize("poison", [math.nan, math.inf, -math.inf])
def test_nothing_beyond_the_ends_is_read(poison: float):
    assert not reads_beyond_the_ends(flash_attention, poison)


def test_nothing_beyond_the_ends_is_written():
    (q, k, v, _), _ = inputs_of(Call(queries=20, keys=20, width=5))
    around = torch.full((1, 1, 64, 16), -7.0, device=DEVICE)
    lse = torch.full((64,), -7.0, device=DEVICE)
    views = [flash_kernels.view(x) for x in (q, k, v, around[:, :, :20, :5])]
    mask = launches.mask_of(None, 0, None)
    sizes = {"TILE_T": 64, "TILE_S": 64, "WIDTH": 16}
    flash_kernels.attention_kernel[(1, 1, 1)](*views, lse, mask, 5**-0.5, **sizes)
    assert (around[:, :, :20, :5] != -7).all() and (lse[:20] != -7).all()
    assert (around[:, :, 20:] == -7).all() and (around[..., 5:] == -7).all()
    assert (lse[20:] == -7).all()


# Planted bugs: each must be seen by the rule, or by the poison

BUGS = {
    "mask off by one": ("s <= t + mask.offset", "s <= t + mask.offset + 1", "grouped"),
    "ends of the keys not masked": (
        "& (s < num_keys)", "", "fewer keys than the mask allows",
    ),
    "window off by one": (
        "mask.offset - mask.window\n", "mask.offset - mask.window - 1\n", "window",
    ),
    "window's first tile left out": (
        "mask.offset - mask.window + 1)", "mask.offset - mask.window + 1 + TILE_S)", "window",
    ),
    "window's last queries left out": (
        "last - mask.offset + mask.window)", "first - mask.offset + mask.window)", "window",
    ),
    "whole tiles begin too early in a window": (
        "max(0, last + mask.offset - mask.window + 1)", "max(0, first + mask.offset - mask.window)",
        "window",
    ),
    "diagonal taken for whole": (
        "min(num_keys, first + mask.offset + 1)", "min(num_keys, last + mask.offset + 1)", "window",
    ),
    "output not rescaled": (
        "out_TK * rescale_T[:, None] + product", "out_TK + product", "one head for all",
    ),
    "sum not rescaled": ("sum_T * rescale_T + tl.sum", "sum_T + tl.sum", "one head for all"),
    "divided by K, not by its root": ("1 / math.sqrt(width)", "1 / width", "one tile exactly"),
    "scale missing": ("1 / math.sqrt(width)", "1.0", "one tile exactly"),
    "one head of the group": ("range(group_size)", "range(1)", "one head for all"),
    "another group's keys": ("head // (q.shape[1] // k.shape[1])", "head % k.shape[1]", "grouped"),
    "documents ignored": ("seen &= tl.load(document", "tl.load(document", "documents"),
    "documents begin too late": ("begins_BT.gather(1, rank_BT)", "t_BT", "documents"),
    "documents end too early": ("ends_BT.gather(1, rank_BT)", "(t_BT + 1)", "documents"),
    "delta left out": (
        "(grad_weights_TS - delta_T[:, None])", "grad_weights_TS", "prime sizes, narrow head",
    ),
    "gradient not scaled": ("grad_q_TK *= scale", "grad_q_TK *= 1", "one tile exactly"),
    "log-sum-exp of another tile": (
        "tl.load(lse + row, t < num_queries, 0.0)", "tl.load(lse + row - first_t)", "window",
    ),
    "log-sum-exp of the maximum alone": (
        "max_T + tl.log2(sum_T)", "max_T", "prime sizes, narrow head",
    ),
    "first queries skipped": (
        "max(0, first - mask.offset), num_queries", "first, num_queries", "keys before the queries",
    ),
    "last keys left out": (
        "min(num_keys, last + mask.offset + 1)", "min(num_keys, last + 1)",
        "keys before the queries",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug_breaks_the_rule(bug: str, tmp_path: Path):
    right, wrong, name = BUGS[bug]
    buggy = with_bug(tmp_path, right, wrong)
    with pytest.raises(AssertionError):
        check_rule(buggy, NAMED[name])


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's: the poison that is read
@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_planted_read_beyond_the_ends_is_seen(poison: float, tmp_path: Path):
    buggy = with_bug(tmp_path, "tl.load(cells, mask=is_inside, other=0.0)", "tl.load(cells)")
    assert reads_beyond_the_ends(buggy.flash_attention, poison)


def seen_from_afar(launches: ModuleType) -> list[str]:
    """Which changes move, by a bit, an output that they must not: of a later place, around the
    edges of tiles, and of another document, before or behind."""
    documents_BT = torch.tensor([[0] * 19 + [1] * 18], device=DEVICE)
    inputs = inputs_of(Call(heads=2, queries=37, keys=37))[0][:3]
    found = []
    with tiled(launches, (16, 16)), quick_interpreter(), torch.no_grad():
        before, apart = (
            launches.flash_attention(*inputs, documents_BT=each) for each in (None, documents_BT)
        )
        for place in (1, 15, 16, 17, 31, 32, 36):
            changed = [each.clone() for each in inputs]
            for each in changed:
                each[:, :, place] += 3
            after = launches.flash_attention(*changed)
            assert not torch.equal(after[:, :, place:], before[:, :, place:])
            if not torch.equal(after[:, :, :place], before[:, :, :place]):
                found.append(f"place {place}")
        for name, one, other in (("first", slice(19), slice(19, 37)),
                                 ("second", slice(19, 37), slice(19))):  # fmt: skip
            changed = [each.clone() for each in inputs]
            for each in changed:
                each[:, :, one] += 3
            after = launches.flash_attention(*changed, documents_BT=documents_BT)
            assert not torch.equal(after[:, :, one], apart[:, :, one])
            if not torch.equal(after[:, :, other], apart[:, :, other]):
                found.append(f"{name} document")
    return found


def test_no_later_place_and_no_other_document_moves_a_bit():
    assert not seen_from_afar(launches)


@pytest.mark.parametrize(("bug", "seen"), [
    ("mask off by one", ["place 1", "place 15", "place 17", "place 31", "place 36"]),
    ("documents ignored", ["first document"]),
])  # fmt: skip
def test_planted_view_from_afar_is_noticed(bug: str, seen: list[str], tmp_path: Path):
    assert seen_from_afar(with_bug(tmp_path, *BUGS[bug][:2])) == seen


def overflows(attend: Attend) -> bool:
    """Are scores of 400 in the first tile and 0 in the second too much?"""
    q_BHTK, k_BGSK = (torch.zeros(1, 1, 70, 16, device=DEVICE) for _ in "qk")
    q_BHTK[..., 0], k_BGSK[:, :, :64, 0] = 40, 40
    out_BHTK = attend(q_BHTK, k_BGSK, torch.ones_like(k_BGSK))
    return not torch.allclose(out_BHTK, torch.ones_like(out_BHTK))


def test_large_scores_do_not_overflow():
    assert not overflows(flash_attention)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")  # numpy's: the overflow, which is to come
@pytest.mark.parametrize("wrong", [
    "(tl.max(scores_TS, 1) * scale)", "(max_T * 0 + 1.0)",
], ids=["of the tile alone", "not subtracted"])  # fmt: skip
def test_planted_maximum_is_seen_to_overflow(wrong: str, tmp_path: Path):
    right = "tl.maximum(max_T, tl.max(scores_TS, 1) * scale)"
    assert overflows(with_bug(tmp_path, right, wrong).flash_attention)


# In the model, and what is refused


def test_the_model_gives_the_same_logits_with_the_kernel():
    from minillm.model.generate import KeyValueCache
    from minillm.model.transformer import ModelConfig, Transformer

    sizes = dict(
        vocab_size=50, width=32, num_layers=2, num_heads=4, num_kv_heads=2, ffn_width=48,
        context_length=24,
    )  # fmt: skip
    torch.manual_seed(0)
    ours = Transformer(ModelConfig(**sizes, attention="triton")).to(DEVICE)
    theirs = Transformer(ModelConfig(**sizes, attention="torch")).to(DEVICE)
    theirs.load_state_dict(ours.state_dict())
    tokens_BT = torch.randint(0, 50, (2, 17), device=DEVICE)
    documents_BT = torch.tensor([[0] * 6 + [1] * 11, [0] * 17], device=DEVICE)
    with torch.no_grad():
        logits = [model(tokens_BT, documents_BT=documents_BT) for model in (ours, theirs)]
        torch.testing.assert_close(*logits)
        cache = KeyValueCache()
        ours(tokens_BT[:, :11], cache)
        cache.num_tokens = 11
        torch.testing.assert_close(ours(tokens_BT[:, 11:], cache), theirs(tokens_BT)[:, 11:])


GOOD = torch.zeros(2, 4, 5, 8), torch.zeros(2, 2, 5, 8), torch.zeros(2, 2, 5, 8), None, 0, None
WIDE, MANY = torch.zeros(1, 1, 1, 300), torch.zeros(65_536, 1, 1, 1)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({0: torch.zeros(4, 5, 8)}, "four dimensions"),
        ({0: torch.zeros(2, 4, 0, 8)}, "none of them empty"),
        ({2: torch.zeros(2, 2, 6, 8)}, "keys and values need the same shape"),
        ({0: torch.zeros(3, 4, 5, 8)}, "same batch size"),
        ({0: torch.zeros(2, 3, 5, 8)}, "H must be a multiple of G"),
        ({0: torch.zeros(2, 4, 5, 16)}, "same head width"),
        ({0: WIDE, 1: WIDE, 2: WIDE}, "K can be 256 at most"),
        ({0: MANY, 1: MANY, 2: MANY}, "at most 65,535 rows and heads; cut them"),
        ({0: GOOD[0].half()}, "same dtype; cast them"),
        ({i: GOOD[i].double() for i in range(3)}, "cast them to float32, float16 or bfloat16"),
        ({1: GOOD[1].to("meta")}, "move all to one device"),
        ({4: -1}, "cannot be fewer than 0"),
        ({3: torch.zeros(2, 4)}, r"documents_BT \(2, 4\): documents need shape \(B, T\)"),
        ({3: torch.zeros(2, 5), 4: 1}, "offset 0: no cache"),
        ({5: 0}, "window is 0; give at least 1"),
        ({4: 3, 5: 3}, "offset 3, window 3: the last query sees no key; give more keys"),
    ],
)
def test_what_the_kernels_cannot_do_is_refused_with_the_remedy(changes: dict, words: str):
    given = [changes.get(i, good) for i, good in enumerate(GOOD)]
    q, k, v, documents_BT, offset, window = (
        each.to(DEVICE) if isinstance(each, torch.Tensor) and not each.is_meta else each
        for each in given
    )
    with pytest.raises(ValueError, match=words):
        flash_attention(q, k, v, documents_BT=documents_BT, offset=offset, window=window)


def test_tensors_on_the_cpu_are_refused_where_there_is_no_interpreter(monkeypatch):
    monkeypatch.setattr(flash_inputs, "INTERPRETED", False)
    with pytest.raises(ValueError, match="move the tensors with .to\\('cuda'\\)"):
        flash_attention(*GOOD[:3])


# For GPUs that are not here


@pytest.mark.parametrize("architecture", [80, 90])
def test_every_launch_compiles_for_a_gpu(architecture: int, tmp_path: Path):
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = str(Path(launches.__file__).parents[2])
    command = [sys.executable, "-m", "minillm.bench.compiling", str(architecture)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    kernels = [json.loads(line) for line in done.stdout.splitlines()]
    assert {kernel["kernel"] for kernel in kernels} == {
        "attention_kernel", "grad_query_kernel", "grad_key_value_kernel", "decode_kernel",
        "merge_kernel", "norm_kernel", "grad_norm_kernel",
    }  # fmt: skip
    assert len(kernels) == 10
    for kernel in kernels:
        assert kernel["target"].startswith(f"sm_{architecture}")
        assert kernel["registers"] <= 255
        assert kernel["spilled_bytes"] <= 24, kernel  # measured: 24 with a window, else 0
        multiplies = kernel["kernel"] not in {"merge_kernel", "norm_kernel", "grad_norm_kernel"}
        assert kernel["matrix_unit"] == multiplies
        # What a program can have: 99 KiB on the smaller GPUs of sm_8x, 227 KiB on those of sm_90.
        assert kernel["shared_bytes"] <= {80: 99, 90: 227}[architecture] * 1024
