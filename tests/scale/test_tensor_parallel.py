"""Parts joined = whole, forward and backward; a wrong cut is seen."""

import pytest
import torch
import torch.nn.functional as F

from minillm.model.transformer import Transformer
from minillm.scale.tensor_parallel import (
    attention_part, bytes_summed_per_step, feed_forward_part, split_attention, split_feed_forward,
    split_inputs, split_logits, split_outputs,
)  # fmt: skip
from tests.train.tiny import CONTEXT, VOCAB_SIZE, tiny_model


@pytest.fixture
def model() -> Transformer:
    torch.manual_seed(0)
    shape = {"width": 24, "num_heads": 6, "num_kv_heads": 3, "ffn_width": 29, "initial_std": 0.2}
    return Transformer(tiny_model(**shape)).double()


@pytest.fixture
def tokens() -> torch.Tensor:
    return torch.randint(VOCAB_SIZE, (2, CONTEXT), generator=torch.Generator().manual_seed(1))


def test_two_by_two_by_hand() -> None:
    first, second = torch.tensor([[1.0, 2], [3, 4]]), torch.tensor([[1.0, -1], [2, 0]])
    x = torch.tensor([1.0, 1])
    (top, bottom), (left, right) = split_outputs(first, 2), split_inputs(second, 2)
    parts = [F.relu(x @ top.T) @ left.T, F.relu(x @ bottom.T) @ right.T]
    assert [part.tolist() for part in parts] == [[3, 6], [-7, 0]]
    assert (parts[0] + parts[1]).tolist() == (F.relu(x @ first.T) @ second.T).tolist() == [-4, 6]


@pytest.mark.parametrize("num_ranks", [1, 2, 3, 5, 29])
def test_feed_forward_parts_add_up_to_the_whole(model: Transformer, num_ranks: int) -> None:
    block = model.model.layers[0].mlp
    x = torch.randn(2, 3, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    parts = [feed_forward_part(x, part) for part in split_feed_forward(block, num_ranks)]
    assert len(parts) == num_ranks
    torch.testing.assert_close(sum(parts), block(x))


@pytest.mark.parametrize("num_ranks", [1, 3])
def test_the_logits_and_every_gradient_are_the_whole_models(
    model: Transformer, tokens: torch.Tensor, num_ranks: int
) -> None:
    documents = (torch.arange(CONTEXT) // 7).expand(2, -1)
    grads, logits = [], []
    for compute in (
        lambda: model(tokens, documents_BT=documents),
        lambda: split_logits(model, tokens, num_ranks, documents),
    ):
        model.zero_grad()
        logits.append(compute())
        logits[-1].square().mean().backward()
        grads.append([each.grad for each in model.parameters()])
    torch.testing.assert_close(logits[1], logits[0], rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(grads[1], grads[0], rtol=1e-11, atol=1e-13)


def test_inner_parts_cut_by_their_inputs_do_not_add_up(model: Transformer) -> None:
    """Planted bug: the non-linear middle of a sum is not the sum of its parts."""
    block = model.model.layers[0].mlp
    x = torch.randn(4, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    gates, ups = (split_inputs(each.weight, 2) for each in (block.gate_proj, block.up_proj))
    shares = x.tensor_split(2, dim=-1)
    inner = sum(
        F.silu(part @ gate.T) * (part @ up.T)
        for part, gate, up in zip(shares, gates, ups, strict=True)
    )
    assert (block.down_proj(inner) - block(x)).abs().max() > 0.1


def test_a_part_needs_its_own_heads(model: Transformer, tokens: torch.Tensor) -> None:
    """Planted bug: output columns of another rank's heads."""
    block, rotary = model.model.layers[0].self_attn, (model.model.cos, model.model.sin)
    x = model.model.embed_tokens(tokens)
    parts = split_attention(block, 3)
    swapped = [{**part, "o": parts[rank - 1]["o"]} for rank, part in enumerate(parts)]
    options = (rotary, block.head_width, block.attend)
    whole = block(x, rotary, None, None)
    right, wrong = (
        sum(attention_part(x, part, *options) for part in each) for each in (parts, swapped)
    )
    torch.testing.assert_close(right, whole)
    assert (wrong - whole).abs().max() > 0.01


def test_heads_that_cannot_be_shared_are_one_clear_error(model: Transformer) -> None:
    with pytest.raises(ValueError, match="num_ranks = 2: must divide num_kv_heads = 3.*fewer"):
        split_attention(model.model.layers[0].self_attn, 2)


def test_the_sums_of_a_step_in_bytes(model: Transformer) -> None:
    # 2 layers · (2 forward + 2 backward) · 2 · 24 places · 24 numbers · 4 bytes
    assert bytes_summed_per_step(model, 2, CONTEXT) == 2 * 4 * 2 * 24 * 24 * 4
