"""Looking inside: weights that add up, a lens that ends in the logits, heads that look back."""

import pytest
import torch

from minillm.model.looking import (
    attention_weights,
    induction_scores,
    lens_logits,
    listening,
    model_induction_scores,
    repeated_rows,
)
from tests.model.small import seeded, small_model

KINDS = [
    {},
    {"attention": "reference"},
    {"positions": "alibi"},
    {"window": 4, "qk_norm": True},
    {"norm_position": "post", "num_experts": 3},
]
each_kind = pytest.mark.parametrize("changes", KINDS, ids=str)


def tokens(batch: int = 2, length: int = 17) -> torch.Tensor:
    return torch.randint(61, (batch, length), generator=seeded(1))


@torch.no_grad()
@each_kind
def test_weights_add_up_to_one_and_looking_changes_nothing(changes: dict) -> None:
    model = small_model(**changes)
    before = model(tokens())
    weights_LBHTS = attention_weights(model, tokens())
    assert weights_LBHTS.shape == (3, 2, 6, 17, 17)
    torch.testing.assert_close(weights_LBHTS.sum(-1), torch.ones(3, 2, 6, 17))
    assert not weights_LBHTS.triu(1).any()
    assert torch.equal(model(tokens()), before)


@torch.no_grad()
def test_a_model_listens_again_after_an_error() -> None:
    model = small_model()
    forms = [layer.self_attn.attend for layer in model.model.layers]
    with pytest.raises(ValueError, match="context length"), listening(model):
        model(tokens(1, 30))
    assert [layer.self_attn.attend for layer in model.model.layers] == forms


@torch.no_grad()
def test_weights_are_those_that_make_the_output() -> None:
    """The first layer's attention, from its weights and values alone."""
    model, found = small_model(), []
    block = model.model.layers[0].self_attn
    block.o_proj.register_forward_pre_hook(lambda part, given: found.append(given[0]))
    values = []
    block.v_proj.register_forward_hook(lambda part, given, v: values.append(v))
    weights_BHTS = attention_weights(model, tokens())[0]
    v_BGSK = values[0].view(2, 17, 2, 4).transpose(1, 2)
    out_BHTK = weights_BHTS @ v_BGSK.repeat_interleave(3, dim=1)
    torch.testing.assert_close(out_BHTK.transpose(1, 2).reshape(2, 17, 24), found[0])


def test_a_window_and_other_documents_weigh_nothing() -> None:
    weights = attention_weights(small_model(window=4), tokens())
    assert not weights.tril(-4).any() and weights.tril(-3).any()
    documents_BT = (torch.arange(17) // 6).int().expand(2, -1)
    apart = attention_weights(small_model(), tokens(), documents_BT)
    assert not apart[..., 6:, :6].any() and apart[..., 5, :6].all()


@torch.no_grad()
@each_kind
def test_the_lens_ends_in_the_model_s_own_logits(changes: dict) -> None:
    model = small_model(**changes)
    logits_MBTV = lens_logits(model, tokens())
    assert logits_MBTV.shape == (4, 2, 17, 61)
    assert torch.equal(logits_MBTV[-1], model(tokens()))
    first = model.lm_head(model.model.norm(model.model.embed_tokens(tokens())))
    assert torch.equal(logits_MBTV[0], first)
    assert not any(layer._forward_hooks for layer in model.model.layers)


@torch.no_grad()
def test_a_layer_that_says_nothing_shows_nothing_new() -> None:
    model = small_model()
    for name in ("self_attn.o_proj", "mlp.down_proj"):
        model.model.layers[1].get_submodule(name).weight.zero_()
    logits_MBTV = lens_logits(model, tokens())
    assert torch.equal(logits_MBTV[2], logits_MBTV[1])
    assert not torch.equal(logits_MBTV[3], logits_MBTV[2])


def test_rows_repeat_with_their_own_periods() -> None:
    rows_BT, periods_B = repeated_rows(50, 40, 1000, range(5, 12), seeded())
    assert set(periods_B.tolist()) == set(range(5, 12))
    for row, period in zip(rows_BT, periods_B.tolist(), strict=True):
        assert torch.equal(row[period:], row[:-period])
        assert len(set(row[:period].tolist())) > period - 3


def written_weights(period: int, shift: int, length: int = 12) -> torch.Tensor:
    """One head that listens to the place t − period + shift alone, once it is there."""
    weights_TS = torch.eye(length)
    for t in range(length):
        if t - period + shift >= 0:
            weights_TS[t] = torch.eye(length)[t - period + shift]
    return weights_TS[None, None, None]


def test_the_score_by_hand() -> None:
    assert induction_scores(written_weights(4, 1), torch.tensor([4])).tolist() == [[1.0]]
    uniform_TS = torch.ones(6, 6).tril() / torch.arange(1, 7)[:, None]
    expected = (1 / 4 + 1 / 5 + 1 / 6) / 3  # at places 3, 4 and 5
    found = induction_scores(uniform_TS[None, None, None], torch.tensor([3]))
    assert float(found) == pytest.approx(expected)


@pytest.mark.parametrize("shift", [0, 2])
def test_looking_at_the_token_itself_or_one_too_far_is_no_induction(shift: int) -> None:
    assert induction_scores(written_weights(4, shift), torch.tensor([4])).item() == 0.0


def test_rows_and_heads_are_kept_apart() -> None:
    both = torch.cat([written_weights(4, 1), written_weights(5, 0)], dim=1)  # two rows
    found = induction_scores(both, torch.tensor([4, 5]))
    assert found.item() == pytest.approx(8 / (8 + 7))
    heads = torch.cat([written_weights(4, 0), written_weights(4, 1)], dim=2)
    assert induction_scores(heads, torch.tensor([4])).tolist() == [[0.0, 1.0]]


def test_an_untrained_model_has_no_induction_head() -> None:
    scores_LH = model_induction_scores(small_model(context_length=48, initial_std=0.02))
    assert scores_LH.shape == (3, 6)
    assert (scores_LH < 0.05).all()  # listening to all alike gives about 1/34
