"""Attention: by hand, three forms with one result, and nothing seen that may not be seen."""

import importlib.util
import math
from collections.abc import Callable

import pytest
import torch

from minillm.model import attention
from minillm.model.attention import (
    ATTENTION,
    WRITTEN_OUT_KEYS,
    attention_mask,
    reference_attention,
    torch_attention,
    triton_attention,
)

Attend = Callable[..., torch.Tensor]
# B, H, G, T, S, K: one of everything, primes, one query, more keys than queries, one shared head
SHAPES = [
    (1, 1, 1, 1, 1, 2),
    (2, 4, 4, 7, 7, 8),
    (3, 6, 2, 13, 13, 6),
    (2, 4, 1, 1, 17, 10),
    (1, 4, 2, 5, 19, 16),
    (2, 3, 3, 65, 65, 32),
]


def random_inputs(
    shape: tuple[int, ...], dtype: torch.dtype = torch.float32
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    batch, heads, kv_heads, num_queries, num_keys, width = shape
    generator = torch.Generator().manual_seed(5)
    q_BHTK = torch.randn(batch, heads, num_queries, width, generator=generator, dtype=dtype)
    k_BGSK = torch.randn(batch, kv_heads, num_keys, width, generator=generator, dtype=dtype)
    v_BGSK = torch.randn(batch, kv_heads, num_keys, width, generator=generator, dtype=dtype)
    return q_BHTK, k_BGSK, v_BGSK


def random_documents(batch: int, length: int) -> torch.Tensor:
    """Each row has its own boundaries; the first row is one document."""
    starts = torch.rand(batch, length, generator=torch.Generator().manual_seed(6)) < 0.3
    starts[0] = False
    return starts.cumsum(dim=1).int()


def naive_attention(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    v_BGSK: torch.Tensor,
    documents_BT: torch.Tensor,
    window: int | None = None,
) -> torch.Tensor:
    """Query by query, over a list of the keys that it may see; float64."""
    q, k, v = q_BHTK.double(), k_BGSK.double(), v_BGSK.double()
    out = torch.zeros_like(q)
    batch, heads, num_queries, width = q.shape
    offset = k.shape[2] - num_queries
    for b in range(batch):
        for h in range(heads):
            g = h * k.shape[1] // heads
            for t in range(num_queries):
                seen = [
                    s
                    for s in range(t + offset + 1)
                    if window is None or t + offset - s < window
                    if offset or documents_BT[b, s] == documents_BT[b, t]
                ]
                scores = (k[b, g, seen] @ q[b, h, t]) / math.sqrt(width)
                out[b, h, t] = scores.softmax(0) @ v[b, g, seen]
    return out


@pytest.mark.parametrize("name", ["reference", "torch"])
def test_by_hand(name: str) -> None:
    """Scores 0 and ln 3 (after the root of K = 4) weigh the values 8 and 16 by 1/4 and 3/4."""
    q_BHTK = torch.tensor([[0.0, 0, 0, 0], [2 * math.log(3), 0, 0, 0]])[None, None]
    k_BGSK = torch.tensor([[0.0, 1, 0, 0], [1, 0, 1, 0]])[None, None]
    v_BGSK = torch.tensor([[8.0] * 4, [16.0] * 4])[None, None]
    out = ATTENTION[name](q_BHTK, k_BGSK, v_BGSK)[0, 0, :, 0].tolist()
    assert out == pytest.approx([8, 14])


def test_mask_by_hand() -> None:
    device = torch.device("cpu")
    assert attention_mask(2, 4, 2, None, device).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    documents_BT = torch.tensor([[0, 0, 1]])
    mask = attention_mask(3, 3, 0, documents_BT, device)
    assert mask[0, 0].tolist() == [[1, 0, 0], [1, 1, 0], [0, 0, 1]]
    mask = attention_mask(2, 4, 2, None, device, window=2)
    assert mask.tolist() == [[0, 1, 1, 0], [0, 0, 1, 1]]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("has_documents", [False, True])
@pytest.mark.parametrize("name", ["reference", "torch"])
def test_equal_to_the_naive_loops(shape: tuple[int, ...], has_documents: bool, name: str) -> None:
    inputs = random_inputs(shape)
    batch, num_queries, num_keys = shape[0], shape[3], shape[4]
    has_documents = has_documents and num_queries == num_keys
    documents_BT = random_documents(batch, num_keys) if has_documents else None
    one_document = torch.zeros(batch, num_keys)
    expected = naive_attention(*inputs, documents_BT if has_documents else one_document)
    ours = ATTENTION[name](*inputs, documents_BT=documents_BT, offset=num_keys - num_queries)
    torch.testing.assert_close(ours, expected.float())


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("window", [1, 3, 64, 1000])
@pytest.mark.parametrize("name", ["reference", "torch"])
def test_with_a_window_equal_to_the_naive_loops(
    shape: tuple[int, ...], window: int, name: str
) -> None:
    inputs = random_inputs(shape)
    batch, num_queries, num_keys = shape[0], shape[3], shape[4]
    documents_BT = random_documents(batch, num_keys) if num_queries == num_keys else None
    told = torch.zeros(batch, num_keys) if documents_BT is None else documents_BT
    said = {"documents_BT": documents_BT, "offset": num_keys - num_queries, "window": window}
    expected = naive_attention(*inputs, told, window).float()
    torch.testing.assert_close(ATTENTION[name](*inputs, **said), expected)


@pytest.mark.parametrize("name", ATTENTION)
def test_a_window_of_nothing_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="window is 0; give at least 1"):
        device = "cuda" if torch.cuda.is_available() else "cpu"
        ATTENTION[name](*(x.to(device) for x in random_inputs((1, 2, 1, 9, 9, 4))), window=0)


@pytest.mark.parametrize("name", ["reference", "torch"])
def test_one_query_before_the_end_of_the_keys_sees_no_later_key(name: str) -> None:
    """As with a cache that is longer than what it holds so far."""
    q_BHTK, k_BGSK, v_BGSK = random_inputs((2, 4, 1, 1, 17, 10))
    ours = ATTENTION[name](q_BHTK, k_BGSK, v_BGSK, offset=5)
    expected = reference_attention(q_BHTK, k_BGSK[:, :, :6], v_BGSK[:, :, :6], offset=5)
    torch.testing.assert_close(ours, expected)


@pytest.mark.parametrize("has_documents", [False, True])
def test_gradients_of_the_forms_are_equal(has_documents: bool) -> None:
    shape = (2, 4, 2, 11, 11, 8)
    documents_BT = random_documents(2, 11) if has_documents else None
    gradients = []
    for name in ("reference", "torch"):
        inputs = [each.requires_grad_() for each in random_inputs(shape)]
        out_BHTK = ATTENTION[name](*inputs, documents_BT=documents_BT)
        direction = torch.arange(out_BHTK.numel()).view_as(out_BHTK).sin()
        gradients.append(torch.autograd.grad((out_BHTK * direction).sum(), inputs))
    for ours, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(ours, theirs)


def test_gradient_by_finite_differences() -> None:
    inputs = [each.requires_grad_() for each in random_inputs((1, 2, 1, 4, 4, 2), torch.float64)]
    assert torch.autograd.gradcheck(reference_attention, inputs)


def test_grouped_queries_are_repeated_heads() -> None:
    q_BHTK, k_BGSK, v_BGSK = random_inputs((2, 6, 2, 9, 9, 4))
    k_BHSK, v_BHSK = (each[:, [0, 0, 0, 1, 1, 1]] for each in (k_BGSK, v_BGSK))
    for attend in (reference_attention, torch_attention):
        grouped = attend(q_BHTK, k_BGSK, v_BGSK)
        torch.testing.assert_close(grouped, attend(q_BHTK, k_BHSK, v_BHSK))


def test_queries_in_two_parts_see_the_same_keys() -> None:
    q_BHTK, k_BGSK, v_BGSK = random_inputs((2, 4, 2, 12, 12, 8))
    whole = reference_attention(q_BHTK, k_BGSK, v_BGSK)
    for attend in (reference_attention, torch_attention):
        for cut in (1, 5, 11):
            first = attend(q_BHTK[:, :, :cut], k_BGSK[:, :, :cut], v_BGSK[:, :, :cut])
            second = attend(q_BHTK[:, :, cut:], k_BGSK, v_BGSK, offset=cut)
            torch.testing.assert_close(torch.cat((first, second), dim=2), whole)


def test_packed_documents_are_attended_as_if_alone() -> None:
    q_BHTK, k_BGSK, v_BGSK = random_inputs((1, 4, 2, 10, 10, 8))
    documents_BT = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1, 2, 2]])
    for attend in (reference_attention, torch_attention):
        packed = attend(q_BHTK, k_BGSK, v_BGSK, documents_BT=documents_BT)
        for part in (slice(0, 3), slice(3, 8), slice(8, 10)):
            alone = attend(q_BHTK[:, :, part], k_BGSK[:, :, part], v_BGSK[:, :, part])
            torch.testing.assert_close(packed[:, :, part], alone)


def test_documents_with_a_cache_are_refused() -> None:
    with pytest.raises(ValueError, match="documents_BT with 2 queries and 5 keys, .* no cache is"):
        reference_attention(
            *random_inputs((1, 1, 1, 2, 5, 4)), documents_BT=torch.zeros(1, 2), offset=3
        )


def test_reduced_precision_is_at_most_twice_as_far_off_as_pytorch() -> None:
    inputs = random_inputs((2, 4, 2, 65, 65, 32))
    exact = naive_attention(*inputs, torch.zeros(2, 65))
    for dtype in (torch.float32, torch.bfloat16):
        rounded = [each.to(dtype) for each in inputs]
        ours = (reference_attention(*rounded).double() - exact).abs().max()
        theirs = (torch_attention(*rounded).double() - exact).abs().max()
        assert ours <= 2 * theirs


@pytest.mark.parametrize(
    ("dtype", "num_keys", "is_compiling", "is_written_out"),
    [
        (torch.bfloat16, 8, True, True),
        (torch.bfloat16, WRITTEN_OUT_KEYS, True, True),
        (torch.bfloat16, WRITTEN_OUT_KEYS + 1, True, False),
        (torch.bfloat16, 8, False, False),
        (torch.float32, 8, True, False),
    ],
)
def test_what_a_compiler_gets_in_bfloat16_is_written_out(
    dtype: torch.dtype, num_keys: int, is_compiling: bool, is_written_out: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """And all that was said is handed on: a mask forgotten here would be a leak."""
    inputs = random_inputs((1, 2, 1, num_keys, num_keys, 4), dtype)
    documents_BT = (torch.arange(num_keys) // 3)[None]
    said = {
        "documents_BT": documents_BT, "offset": 0, "window": 2, "slopes_H": torch.ones(2)
    }  # fmt: skip
    kernel, calls = torch_attention(*inputs, **said), []

    def noticed(*args: torch.Tensor, **handed: object) -> torch.Tensor:
        calls.append(handed)
        return reference_attention(*args, **handed)

    monkeypatch.setattr(torch.compiler, "is_compiling", lambda: is_compiling)
    monkeypatch.setattr(attention, "reference_attention", noticed)
    out = torch_attention(*inputs, **said)
    assert calls == ([said] if is_written_out else [])
    # bfloat16 has eight bits
    torch.testing.assert_close(out, kernel, rtol=2**-7, atol=2**-7)


def test_without_triton_pytorch_is_used_and_said_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    inputs = random_inputs((1, 2, 1, 5, 5, 4))
    with pytest.warns(UserWarning, match="triton is not installed here: attention 'torch'"):
        out_BHTK = triton_attention(*inputs)
    assert torch.equal(out_BHTK, torch_attention(*inputs))


def test_on_the_cpu_of_a_machine_with_a_gpu_pytorch_is_used_and_said_so(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A model that was trained with the kernels is served from a processor, too."""
    pytest.importorskip("triton", reason="triton has wheels for Linux alone")
    monkeypatch.setattr("minillm.model.flash_inputs.INTERPRETED", False)
    tensors = random_inputs((1, 2, 1, 5, 5, 4))
    with pytest.warns(UserWarning, match="the tensors are not on a GPU, .*: attention 'torch'"):
        out_BHTK = triton_attention(*tensors)
    assert torch.equal(out_BHTK, torch_attention(*tensors))


# Leaks: the same two probes must be silent for every form, and cry out for planted bugs


def future_leaks(attend: Attend) -> bool:
    """Does a changed query, key and value move the output at an earlier place?"""
    inputs = random_inputs((1, 2, 1, 9, 9, 4))
    before = attend(*inputs)
    for place in range(1, 9):
        changed = [each.clone() for each in inputs]
        for each in changed:
            each[:, :, place] += 3
        after = attend(*changed)
        assert not torch.equal(after[:, :, place:], before[:, :, place:])
        if not torch.equal(after[:, :, :place], before[:, :, :place]):
            return True
    return False


def document_leaks(attend: Attend) -> bool:
    """Does the first document move the output of the second?"""
    q_BHTK, k_BGSK, v_BGSK = random_inputs((1, 2, 1, 9, 9, 4))
    documents_BT = torch.tensor([[0, 0, 0, 0, 1, 1, 1, 1, 1]])
    before = attend(q_BHTK, k_BGSK, v_BGSK, documents_BT=documents_BT)
    v_changed = v_BGSK.clone()
    v_changed[:, :, :4] += 3
    after = attend(q_BHTK, k_BGSK, v_changed, documents_BT=documents_BT)
    return not torch.equal(after[:, :, 4:], before[:, :, 4:])


def broken_attention(bug: str) -> Attend:
    """The equation with one bug in it."""

    def attend(
        q_BHTK: torch.Tensor,
        k_BGSK: torch.Tensor,
        v_BGSK: torch.Tensor,
        *,
        documents_BT: torch.Tensor | None = None,
        offset: int = 0,
        window: int | None = None,
    ) -> torch.Tensor:
        repeats = q_BHTK.shape[1] // k_BGSK.shape[1]
        k_BHSK, v_BHSK = (each.repeat_interleave(repeats, dim=1) for each in (k_BGSK, v_BGSK))
        documents_BT = None if bug == "documents ignored" else documents_BT
        offset = offset + 1 if bug == "mask off by one" else offset
        num_queries, num_keys = q_BHTK.shape[2], k_BGSK.shape[2]
        mask = attention_mask(num_queries, num_keys, offset, documents_BT, q_BHTK.device, window)
        hidden = 0.0 if bug == "hidden scores are 0" else -math.inf
        scale = q_BHTK.shape[-1] ** (-1 if bug == "scaled by K" else -0.5)
        scores_BHTS = (q_BHTK @ k_BHSK.transpose(-2, -1) * scale).masked_fill(~mask, hidden)
        axis = -2 if bug == "softmax over queries" else -1
        return scores_BHTS.softmax(dim=axis) @ v_BHSK

    return attend


@pytest.mark.parametrize("name", ["reference", "torch"])
def test_neither_the_future_nor_another_document_is_seen(name: str) -> None:
    assert not future_leaks(ATTENTION[name])
    assert not document_leaks(ATTENTION[name])


@pytest.mark.parametrize("bug", ["mask off by one", "hidden scores are 0", "softmax over queries"])
def test_planted_leak_from_the_future_is_noticed(bug: str) -> None:
    assert future_leaks(broken_attention(bug))


def test_planted_leak_between_documents_is_noticed() -> None:
    assert document_leaks(broken_attention("documents ignored"))


@pytest.mark.parametrize(
    "bug", ["mask off by one", "hidden scores are 0", "softmax over queries", "scaled by K"]
)
def test_planted_bugs_differ_from_the_naive_loops(bug: str) -> None:
    inputs = random_inputs((2, 6, 2, 13, 13, 6))
    expected = naive_attention(*inputs, torch.zeros(2, 13)).float()
    torch.testing.assert_close(broken_attention("none")(*inputs), expected)
    with pytest.raises(AssertionError):
        torch.testing.assert_close(broken_attention(bug)(*inputs), expected)
