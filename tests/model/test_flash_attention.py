"""The fused kernel gives the equation's numbers and gradients, reads nothing beyond the ends, and
compiles for GPUs that are not here. Without a GPU all but the last runs in Triton's interpreter."""

import importlib.util
import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest
import torch

from minillm.model.attention import ATTENTION, reference_attention

triton = pytest.importorskip("triton", reason="triton has wheels for Linux alone")

import triton.language as tl  # noqa: E402  needs triton

from minillm.model import flash_attention as launches  # noqa: E402  needs triton
from minillm.model import flash_kernels  # noqa: E402  needs triton
from minillm.model.flash_attention import flash_attention  # noqa: E402  needs triton

Attend = Callable[..., torch.Tensor]
DEVICE = "cpu" if launches.INTERPRETED else "cuda"
# Beyond twice PyTorch's error: units of float32's precision at the largest number. With one key the
# plain code is exact and ours is not; on 5 to 97 keys the excess measured was at most .92 units.
UNITS = 4

# batch, query heads, key heads, queries, keys, head width, offset, documents?
SHAPES = {
    "one token": (1, 1, 1, 1, 1, 16, 0, False),
    "one query, many keys": (2, 2, 1, 1, 67, 16, 66, False),
    "prime sizes, narrow head": (1, 3, 3, 13, 13, 5, 0, False),
    "one tile exactly": (1, 1, 1, 64, 64, 32, 0, False),
    "grouped": (2, 4, 2, 17, 17, 16, 0, False),
    "one head for all": (1, 3, 1, 71, 71, 40, 0, False),
    "keys before the queries": (1, 2, 1, 33, 101, 24, 68, False),
    "keys that nobody sees": (1, 1, 1, 37, 150, 16, 2, False),
    "fewer keys than the mask allows": (1, 1, 1, 70, 41, 16, 9, False),
    "longer than two tiles": (1, 1, 1, 131, 131, 64, 0, False),
    "wide head": (1, 1, 1, 40, 40, 160, 0, False),
    "documents": (2, 1, 1, 79, 79, 16, 0, True),
}
REDUCED = ["grouped", "keys before the queries", "longer than two tiles", "documents"]


def random_inputs(
    shape: tuple[int, int, int, int, int, int, int, bool], dtype: torch.dtype
) -> tuple[list[torch.Tensor], dict[str, torch.Tensor | int | None]]:
    """q, k, v and the output's gradient, and what the call says besides; q comes transposed."""
    batch_size, num_heads, num_kv_heads, num_queries, num_keys, width, offset, packed = shape
    generator = torch.Generator().manual_seed(num_queries * num_keys + width)

    def normal(*sizes: int) -> torch.Tensor:
        return torch.randn(sizes, generator=generator).to(DEVICE, dtype)

    q_BHTK = normal(batch_size, num_queries, num_heads, width).transpose(1, 2)
    k_BGSK, v_BGSK = (normal(batch_size, num_kv_heads, num_keys, width) for _ in "kv")
    documents_BT = None
    if packed:
        documents = torch.randint(0, 4, (batch_size, num_queries), generator=generator)
        documents_BT = documents.sort(dim=1).values.to(DEVICE)
    grad_BHTK = normal(batch_size, num_heads, num_queries, width)
    return [q_BHTK, k_BGSK, v_BGSK, grad_BHTK], {"documents_BT": documents_BT, "offset": offset}


def results(
    attend: Attend, tensors: list[torch.Tensor], said: dict, dtype: torch.dtype
) -> dict[str, torch.Tensor]:
    """The output and the three gradients, computed in `dtype`, as float64."""
    q, k, v = (x.to(dtype).detach().clone().requires_grad_() for x in tensors[:3])
    out = attend(q, k, v, **said)
    out.backward(tensors[3].to(dtype))
    found = {"out": out.detach(), "grad q": q.grad, "grad k": k.grad, "grad v": v.grad}
    return {name: x.double() for name, x in found.items()}


def check_rule(attend: Attend, name: str, dtype: torch.dtype) -> None:
    """Our error is at most twice that of PyTorch's plain code in the same dtype."""
    tensors, said = random_inputs(SHAPES[name], dtype)
    exact = results(reference_attention, tensors, said, torch.float64)
    plain = results(reference_attention, tensors, said, dtype)
    largest = max(float(x.abs().max()) for x in exact.values())
    floor = UNITS * torch.finfo(torch.float32).eps * largest
    for key, ours in results(attend, tensors, said, dtype).items():
        error, plain_error = (float((x - exact[key]).abs().max()) for x in (ours, plain[key]))
        assert error <= 2 * plain_error + floor, f"{key}: {error:.1e}, plain {plain_error:.1e}"


# Before anything else: is the interpreter (or the GPU) right about a kernel that is easy to check?


@triton.jit
def product_of_squares_kernel(x, y, num_rows, ROWS: tl.constexpr):
    """y = (x + 1)² (x + 1)²ᵀ on the rows there are: a masked load, an exponential, a product."""
    rows = tl.arange(0, ROWS)
    cells = rows[:, None] * ROWS + rows[None, :]
    tile = tl.load(x + cells, mask=rows[:, None] < num_rows, other=0.0)
    squares = tl.exp(2 * tl.log(tile + 1.0))
    product = tl.dot(squares, tl.trans(squares), input_precision="ieee")
    tl.store(y + cells, product, mask=rows[:, None] < num_rows)


def test_a_kernel_that_is_easy_to_check_is_right():
    x = torch.arange(256, dtype=torch.float32, device=DEVICE).reshape(16, 16) / 256
    y = torch.full((16, 16), -7.0, device=DEVICE)
    product_of_squares_kernel[(1,)](x, y, 11, ROWS=16)
    squares = (x.double() + 1) ** 2
    squares[11:] = 1.0
    torch.testing.assert_close(y[:11].double(), (squares @ squares.T)[:11], rtol=1e-5, atol=0)
    assert (y[11:] == -7).all(), "masked rows were written"


# The rule


@pytest.mark.parametrize("name", SHAPES)
def test_error_is_at_most_twice_that_of_plain_pytorch(name: str):
    check_rule(flash_attention, name, torch.float32)


@pytest.mark.parametrize("name", REDUCED)
def test_float16_keeps_the_rule_too(name: str):
    check_rule(flash_attention, name, torch.float16)


@pytest.mark.parametrize("name", ["grouped", "keys before the queries"])
def test_bfloat16_keeps_the_rule_too(name: str):
    """In the interpreter bfloat16 runs as float32 and is rounded once, at the end."""
    check_rule(flash_attention, name, torch.bfloat16)


def test_output_equals_pytorch_fused_attention():
    tensors, said = random_inputs(SHAPES["longer than two tiles"], torch.float32)
    ours, theirs = (
        results(ATTENTION[name], tensors, said, torch.float32) for name in ("triton", "torch")
    )
    for key in ours:
        torch.testing.assert_close(ours[key].float(), theirs[key].float())


def test_with_one_key_the_output_is_its_value():
    tensors, said = random_inputs(SHAPES["one token"], torch.float32)
    assert torch.equal(flash_attention(*tensors[:3], **said), tensors[2])


def test_log_sum_exp_is_kept_for_the_backward_pass():
    (q, k, v, _), _ = random_inputs(SHAPES["grouped"], torch.float32)
    out = flash_attention(q.requires_grad_(), k, v)
    lse_BHT = out.grad_fn.saved_tensors[4]
    k_BHSK = k.double().repeat_interleave(2, dim=1)
    scores = q.detach().double() @ k_BHSK.transpose(-2, -1) / math.sqrt(q.shape[-1])
    hidden = torch.ones(17, 17, dtype=torch.bool, device=DEVICE).triu(1)
    exact = scores.masked_fill(hidden, -math.inf).logsumexp(dim=-1)
    torch.testing.assert_close(lse_BHT, exact.float())


def test_nothing_as_large_as_the_scores_is_kept():
    (q, k, v, _), _ = random_inputs((1, 1, 1, 150, 150, 5, 0, False), torch.float32)
    out = flash_attention(q.requires_grad_(), k, v)
    kept = [x.numel() for x in out.grad_fn.saved_tensors]
    assert kept == [150 * 5] * 4 + [150]


def test_the_same_call_gives_the_same_bits():
    tensors, said = random_inputs(SHAPES["documents"], torch.float32)
    once, again = (results(flash_attention, tensors, said, torch.float32) for _ in range(2))
    assert all(torch.equal(once[key], again[key]) for key in once)


def test_under_autocast_the_inputs_are_cast_as_for_pytorch_fused_attention():
    (q, k, v, _), _ = random_inputs(SHAPES["prime sizes, narrow head"], torch.float32)
    with torch.autocast(DEVICE, dtype=torch.bfloat16):
        ours, theirs = flash_attention(q, k, v.bfloat16()), ATTENTION["torch"](q, k, v)
    assert ours.dtype == theirs.dtype == torch.bfloat16
    assert torch.equal(ours, flash_attention(q.bfloat16(), k.bfloat16(), v.bfloat16()))


# Nothing beyond the ends: the memory around every tensor is NaN, or a mark that must stay


def poisoned(x: torch.Tensor) -> torch.Tensor:
    """The same numbers as a window of a larger tensor, with NaN on its two open sides."""
    batch_size, num_heads, num_rows, width = x.shape
    around = x.new_full((batch_size, num_heads, num_rows + 70, width + 9), math.nan)
    around[:, :, :num_rows, :width] = x
    return around[:, :, :num_rows, :width]


def reads_beyond_the_ends(attend: Attend) -> bool:
    """Does NaN around the inputs reach the output or a gradient?"""
    for name in ("prime sizes, narrow head", "fewer keys than the mask allows"):
        tensors, said = random_inputs(SHAPES[name], torch.float32)
        q, k, v, grad = (poisoned(x) for x in tensors)
        inputs = [x.detach().requires_grad_() for x in (q, k, v)]
        out = attend(*inputs, **said)
        out.backward(grad)
        if any(x.isnan().any() for x in (out, *(x.grad for x in inputs))):
            return True
    return False


def test_nothing_beyond_the_ends_is_read():
    assert not reads_beyond_the_ends(flash_attention)


def test_nothing_beyond_the_ends_is_written():
    (q, k, v, _), _ = random_inputs((1, 1, 1, 20, 20, 5, 0, False), torch.float32)
    around = torch.full((1, 1, 64, 16), -7.0, device=DEVICE)
    lse = torch.full((64,), -7.0, device=DEVICE)
    views = [launches.view(x) for x in (q, k, v, around[:, :, :20, :5])]
    sizes = {"TILE_T": 64, "TILE_S": 64, "WIDTH": 16}
    flash_kernels.attention_kernel[(1, 1, 1)](*views, lse, None, 0, 5**-0.5, **sizes)
    assert (around[:, :, :20, :5] != -7).all() and (lse[:20] != -7).all()
    assert (around[:, :, 20:] == -7).all() and (around[..., 5:] == -7).all()
    assert (lse[20:] == -7).all()


# Planted bugs: each must be seen by the rule, or by the poison

BUGS = {
    "mask off by one": ("s <= t + offset", "s <= t + offset + 1", "prime sizes, narrow head"),
    "ends of the keys not masked": (
        "(s <= t + offset) & (s < num_keys)", "s <= t + offset", "fewer keys than the mask allows",
    ),
    "output not rescaled": (
        "out_TK * rescale_T[:, None] + product", "out_TK + product", "one head for all",
    ),
    "sum not rescaled": ("sum_T * rescale_T + tl.sum", "sum_T + tl.sum", "one head for all"),
    "divided by K, not by its root": ("1 / math.sqrt(width)", "1 / width", "one tile exactly"),
    "one head of the group": ("range(group_size)", "range(1)", "one head for all"),
    "another group's keys": ("head // (q.shape[1] // k.shape[1])", "head % k.shape[1]", "grouped"),
    "documents ignored": ("if documents is not None:", "if False:", "documents"),
    "delta left out": (
        "(grad_weights_TS - delta_T[:, None])", "grad_weights_TS", "prime sizes, narrow head",
    ),
    "gradient not scaled": ("grad_q_TK * scale)", "grad_q_TK)", "one tile exactly"),
    "first queries skipped": (
        "tile * TILE_S - offset)", "tile * TILE_S)", "keys before the queries",
    ),
    "last keys left out": (
        "(tile + 1) * TILE_T + offset)", "(tile + 1) * TILE_T)", "keys before the queries",
    ),
}  # fmt: skip


def with_bug(folder: Path, right: str, wrong: str) -> Attend:
    """`flash_attention` from a copy of its two files in which one piece of text is replaced."""
    replaced = 0
    for module in (flash_kernels, launches):
        text = Path(module.__file__).read_text(encoding="utf-8")
        replaced += text.count(right)
        text = text.replace(right, wrong).replace("minillm.model.flash_kernels", "buggy_kernels")
        name = "buggy_kernels" if module is flash_kernels else "buggy_attention"
        (folder / f"{name}.py").write_text(text, encoding="utf-8")
        load(name, folder / f"{name}.py")
    assert replaced, f"{right!r} is no longer in the kernels"
    return sys.modules["buggy_attention"].flash_attention


def load(name: str, path: Path) -> ModuleType:
    """A module from a file: Triton asks for the source of a kernel, so it has to lie somewhere."""
    spec = importlib.util.spec_from_file_location(name, path)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug_breaks_the_rule(bug: str, tmp_path: Path):
    right, wrong, name = BUGS[bug]
    attend = with_bug(tmp_path, right, wrong)
    with pytest.raises(AssertionError):
        check_rule(attend, name, torch.float32)


def test_planted_read_beyond_the_ends_is_seen(tmp_path: Path):
    attend = with_bug(tmp_path, "tl.load(cells, mask=is_inside, other=0.0)", "tl.load(cells)")
    assert reads_beyond_the_ends(attend)


def overflows(attend: Attend) -> bool:
    """Are scores of 400 in the first tile and 0 in the second too much?"""
    q_BHTK, k_BGSK = (torch.zeros(1, 1, 70, 16, device=DEVICE) for _ in "qk")
    q_BHTK[..., 0], k_BGSK[:, :, :64, 0] = 40, 40
    out_BHTK = attend(q_BHTK, k_BGSK, torch.ones_like(k_BGSK))
    return not torch.allclose(out_BHTK, torch.ones_like(out_BHTK))


def test_large_scores_do_not_overflow():
    assert not overflows(flash_attention)


@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_planted_maximum_of_the_tile_alone_is_seen_to_overflow(tmp_path: Path):
    assert overflows(with_bug(tmp_path, "tl.maximum(max_T, tl.max(", "(tl.max("))


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


GOOD = torch.zeros(2, 4, 5, 8), torch.zeros(2, 2, 5, 8), torch.zeros(2, 2, 5, 8), None, 0
WIDE = torch.zeros(1, 1, 1, 300)


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
        ({0: GOOD[0].half()}, "same dtype; cast them"),
        ({i: GOOD[i].double() for i in range(3)}, "cast them to float32, float16 or bfloat16"),
        ({1: GOOD[1].to("meta")}, "move all to one device"),
        ({4: -1}, "cannot be fewer than 0"),
        ({3: torch.zeros(2, 4)}, r"documents_BT \(2, 4\): documents need shape \(B, T\)"),
        ({3: torch.zeros(2, 5), 4: 1}, "offset 0: no cache"),
    ],
)
def test_what_the_kernels_cannot_do_is_refused_with_the_remedy(changes: dict, words: str):
    q, k, v, documents_BT, offset = (changes.get(i, good) for i, good in enumerate(GOOD))
    with pytest.raises(ValueError, match=words):
        flash_attention(q, k, v, documents_BT=documents_BT, offset=offset)


def test_tensors_on_the_cpu_are_refused_where_there_is_no_interpreter(monkeypatch):
    monkeypatch.setattr(launches, "INTERPRETED", False)
    with pytest.raises(ValueError, match="move the tensors with .to\\('cuda'\\)"):
        flash_attention(*GOOD[:3])


# For GPUs that are not here


@pytest.mark.parametrize("architecture", [80, 90])
def test_every_launch_compiles_for_a_gpu(architecture: int, tmp_path: Path):
    program = Path(__file__).parent / "compile_kernels.py"
    environment = os.environ | {"TRITON_INTERPRET": "0", "TRITON_CACHE_DIR": str(tmp_path)}
    environment["PYTHONPATH"] = str(Path(launches.__file__).parents[2])
    command = [sys.executable, str(program), str(architecture)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, timeout=600)
    assert done.returncode == 0, done.stderr
    kernels = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(kernels) == 6
    assert {kernel["kernel"] for kernel in kernels} == {
        "attention_kernel", "grad_query_kernel", "grad_key_value_kernel",
    }  # fmt: skip
    for kernel in kernels:
        assert kernel["target"].startswith(f"sm_{architecture}")
        assert kernel["registers"] <= 255
        assert kernel["spilled_bytes"] <= 24, kernel  # measured: 24 in one of them, else 0
        assert kernel["shared_bytes"] <= 99 * 1024, "does not fit the smaller GPUs"
    in_16_bits = kernels[:3] if architecture == 80 else kernels
    assert all(kernel["matrix_unit"] for kernel in in_16_bits)
