"""One query against a long cache: split, merged, and the same bits whatever the batch."""

import math
from pathlib import Path

import pytest
import torch

from minillm.model.attention import ATTENTION, reference_attention

pytest.importorskip("triton", reason="triton has wheels for Linux alone")

from minillm.model import flash_decode  # noqa: E402  needs triton
from minillm.model.flash_decode import (  # noqa: E402  needs triton
    decode_attention,
    decode_parts,
    merged,
)
from tests.model.flash_cases import (  # noqa: E402  needs triton
    DEVICE,
    UNITS,
    quick_interpreter,
    with_bug,
)

# batch, query heads, key heads, keys, head width, window; with 256 keys a program
SHAPES = {
    "one key": (1, 1, 1, 1, 16, None),
    "one part": (2, 4, 2, 100, 48, None),
    "one part exactly": (1, 2, 2, 256, 64, None),
    "one key more": (1, 3, 1, 257, 80, None),
    "three parts, grouped": (3, 6, 2, 700, 96, None),
    "a window in the last part": (2, 2, 1, 600, 20, 30),
    "a window over three parts": (2, 4, 1, 900, 128, 500),
    "a window wider than the cache": (1, 2, 1, 300, 5, 1000),
    "more heads than a tile has rows": (1, 20, 1, 300, 16, None),
}


def inputs_of(name: str, dtype: torch.dtype) -> tuple[list[torch.Tensor], dict]:
    """q, k, v and what the call says besides: each row stands somewhere else, one at the end."""
    batch, heads, kv_heads, keys, width, window = SHAPES[name]
    generator = torch.Generator().manual_seed(keys + width)
    sizes = (batch, heads, 1, width), *[(batch, kv_heads, keys, width)] * 2
    tensors = [torch.randn(size, generator=generator).to(DEVICE, dtype) for size in sizes]
    offset = torch.randint(0, keys, (batch,), generator=generator)
    offset[-1] = keys - 1
    return tensors, {"offset": offset.to(DEVICE), "window": window}


def check_rule(decode, name: str, dtype: torch.dtype) -> None:
    """Our error is at most twice that of PyTorch's plain code in the same dtype."""
    tensors, said = inputs_of(name, dtype)
    exact = reference_attention(*(x.double() for x in tensors), **said)
    plain = reference_attention(*tensors, **said).double()
    with quick_interpreter():
        ours = decode(*tensors, **said)
    assert ours.dtype == dtype
    floor = UNITS * torch.finfo(torch.float32).eps * float(exact.abs().max())
    error, plain_error = (float((x.double() - exact).abs().max()) for x in (ours, plain))
    assert error <= 2 * plain_error + floor


@pytest.mark.parametrize("name", SHAPES)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_error_is_at_most_twice_that_of_plain_pytorch(name: str, dtype: torch.dtype):
    check_rule(decode_attention, name, dtype)


def test_two_parts_are_merged_by_the_powers_of_their_log_sum_exp():
    """By hand: sums of exponentials 2¹ and 2³ weigh the outputs 10 and 20 by 1/5 and 4/5."""
    part_PBHK = torch.tensor([10.0, 20.0]).reshape(2, 1, 1, 1).expand(2, 1, 1, 3).contiguous()
    lse_PBH = torch.tensor([1.0, 3.0]).reshape(2, 1, 1)
    out_BH1K = merged(part_PBHK.to(DEVICE), lse_PBH.to(DEVICE), torch.float32)
    torch.testing.assert_close(out_BH1K, torch.full((1, 1, 1, 3), 18.0, device=DEVICE))
    far = merged(part_PBHK.to(DEVICE), lse_PBH.to(DEVICE) * 1e4, torch.float32)
    torch.testing.assert_close(far, torch.full((1, 1, 1, 3), 20.0, device=DEVICE))


def rising_parts(merge) -> float:
    """The error on 20 parts of which each has twice the sum of the one before: more than a tile."""
    lse_P = torch.arange(20.0)
    part_PK = torch.arange(60.0).reshape(20, 3)
    exact_K = (lse_P.double().exp2()[:, None] * part_PK).sum(0) / lse_P.double().exp2().sum()
    part_PBHK, lse_PBH = part_PK.reshape(20, 1, 1, 3), lse_P.reshape(20, 1, 1)
    out_BH1K = merge(part_PBHK.to(DEVICE), lse_PBH.to(DEVICE), torch.float32)
    return float((out_BH1K.cpu()[0, 0, 0] - exact_K).abs().max())


def test_parts_of_which_the_last_weigh_most_are_merged_in_two_tiles(tmp_path: Path):
    assert rising_parts(merged) < 60 * 4 * torch.finfo(torch.float32).eps
    buggy = with_bug(tmp_path, "total * rescale", "total", "flash_decode")
    assert rising_parts(buggy.merged) > 1e-3


def test_each_part_is_the_attention_over_its_own_keys():
    (q, k, v), said = inputs_of("three parts, grouped", torch.float32)
    offset_B = torch.full((3,), 699, dtype=torch.int32, device=DEVICE)
    with quick_interpreter():
        part_PBHK, lse_PBH = decode_parts(q, k, v, offset_B, None)
    assert part_PBHK.shape == (3, 3, 6, 96)
    for part, keys in enumerate((slice(0, 256), slice(256, 512), slice(512, 700))):
        exact = reference_attention(q, k[:, :, keys], v[:, :, keys], offset=keys.stop)
        torch.testing.assert_close(part_PBHK[part], exact[:, :, 0])
        k_BHSK = k[:, :, keys].repeat_interleave(3, dim=1)
        scores_BHS = (q @ k_BHSK.transpose(-2, -1))[:, :, 0] / math.sqrt(96)
        torch.testing.assert_close(lse_PBH[part] * math.log(2), scores_BHS.logsumexp(-1))


def test_a_row_gets_the_same_bits_alone_and_among_others():
    tensors, said = inputs_of("three parts, grouped", torch.float32)
    with quick_interpreter():
        together = decode_attention(*tensors, **said)
        for row in range(3):
            part = slice(row, row + 1)
            alone = decode_attention(*(x[part] for x in tensors), offset=said["offset"][part])
            assert torch.equal(alone, together[part])


@pytest.mark.parametrize("poison", [math.nan, math.inf])
def test_what_the_cache_holds_beyond_a_row_is_not_read(poison: float):
    assert decode_is_clean(decode_attention, poison)


def decode_is_clean(decode, poison: float) -> bool:
    """Poison in the cells of the cache behind each row's last key: is the output the same?"""
    (q, k, v), said = inputs_of("three parts, grouped", torch.float32)
    with quick_interpreter():
        before = decode(q, k, v, **said)
        for row, offset in enumerate(said["offset"].tolist()):
            k[row, :, offset + 1 :], v[row, :, offset + 1 :] = poison, poison
        return torch.equal(decode(q, k, v, **said), before)


def test_the_model_decodes_with_it_where_no_gradient_is_asked_for(monkeypatch):
    (q, k, v), said = inputs_of("one part", torch.float32)
    called, real = [], decode_attention

    def noted(*tensors: torch.Tensor, **said: object) -> torch.Tensor:
        called.append(said)
        return real(*tensors, **said)

    monkeypatch.setattr(flash_decode, "decode_attention", noted)
    with torch.no_grad():
        ours = ATTENTION["triton"](q, k, v, **said)
    torch.testing.assert_close(ours, ATTENTION["torch"](q, k, v, **said))
    assert len(called) == 1
    ATTENTION["triton"](q.requires_grad_(), k, v, offset=99).sum().backward()
    assert len(called) == 1 and q.grad is not None
    with pytest.warns(UserWarning, match="one offset for all rows, unless each decodes one query"):
        ATTENTION["triton"](q, k, v, **said)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"q": torch.zeros(2, 2, 3, 20)}, "3 queries a row: give one, or use `flash_attention`"),
        ({"offset": torch.zeros(5, dtype=torch.int32)}, r"offset \(5,\): give one for each of 2"),
        ({"offset": -1}, "cannot be fewer than 0"),
        ({"window": 0}, "window is 0; give at least 1"),
        ({"offset": 900, "window": 100}, "the last query sees no key"),
    ],
)
def test_what_it_cannot_do_is_refused_with_the_remedy(changes: dict, words: str):
    (q, k, v), said = inputs_of("a window in the last part", torch.float32)
    said |= {key: value for key, value in changes.items() if key != "q"}
    with pytest.raises(ValueError, match=words):
        decode_attention(changes.get("q", q).to(DEVICE), k, v, **said)


# Planted bugs: what is replaced by what, and the shape that shows it
BUGS = {
    "own key not seen": ("min(place + 1, k.shape[2])", "min(place, k.shape[2])", "one part"),
    "window off by one": ("s > place - window", "s >= place - window", "a window in the last part"),
    "parts not weighed": ("tl.exp2(lse_P - next_largest)", "(lse_P * 0 + 1.0)", "one key more"),
    "log-sum-exp of the maximum alone": ("max_T + tl.log2(sum_T)", "max_T", "one key more"),
    "log-sum-exp of another head": (
        "* group_size + member", "* group_size + group_size - 1 - member", "three parts, grouped",
    ),
    "last tile of a part skipped": (
        "min(split * KEYS + KEYS", "min(split * KEYS + KEYS - TILE_S", "one part exactly",
    ),
}  # fmt: skip


@pytest.mark.parametrize("bug", BUGS)
def test_planted_bug_breaks_the_rule(bug: str, tmp_path: Path):
    right, wrong, name = BUGS[bug]
    buggy = with_bug(tmp_path, right, wrong, "flash_decode")
    with pytest.raises(AssertionError):
        check_rule(buggy.decode_attention, name, torch.float32)


def test_planted_read_behind_the_last_key_is_seen(tmp_path: Path):
    right = "k, v, batch, kv_head, first, end, seen_TS"
    buggy = with_bug(tmp_path, right, right.replace("end", "k.shape[2]"), "flash_decode")
    assert not decode_is_clean(buggy.decode_attention, math.nan)
