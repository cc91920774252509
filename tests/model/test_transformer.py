"""The model: causal, blind to other documents, equal to transformers, cached as uncached."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from minillm.model import transformer
from minillm.model.attention import ATTENTION, attention_mask
from minillm.model.caches import KeyValueCache
from minillm.model.loss import cross_entropy
from minillm.model.transformer import FeedForward, ModelConfig, RMSNorm, Transformer
from tests.model.small import SMALL


def small_model(**changes: object) -> Transformer:
    """Weights large enough that every part moves the logits, norms included."""
    torch.manual_seed(0)
    model = Transformer(replace(SMALL, **changes))
    for parameter in model.parameters():
        if parameter.ndim == 1:
            nn.init.uniform_(parameter, 0.5, 1.5)
    return model


def random_tokens(batch: int, length: int, vocab_size: int = 61) -> torch.Tensor:
    return torch.randint(vocab_size, (batch, length), generator=torch.Generator().manual_seed(1))


def transformers_model(ours: Transformer) -> LlamaForCausalLM:
    config = ours.config
    theirs = LlamaForCausalLM(
        LlamaConfig(
            vocab_size=config.vocab_size,
            hidden_size=config.width,
            intermediate_size=config.ffn_width,
            num_hidden_layers=config.num_layers,
            num_attention_heads=config.num_heads,
            num_key_value_heads=config.num_kv_heads,
            max_position_embeddings=config.context_length,
            rope_theta=config.rope_theta,
            rms_norm_eps=config.norm_epsilon,
            tie_word_embeddings=config.tie_embeddings,
        )
    )
    theirs.load_state_dict(ours.state_dict())
    return theirs


# Against transformers


@pytest.mark.parametrize("num_kv_heads", [1, 2, 6])
@pytest.mark.parametrize("tie_embeddings", [True, False], ids=["tied", "untied"])
@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_logits_loss_and_gradients_equal_transformers(
    num_kv_heads: int, tie_embeddings: bool, attention: str
) -> None:
    ours = small_model(
        num_kv_heads=num_kv_heads, tie_embeddings=tie_embeddings, attention=attention
    )
    theirs = transformers_model(ours)
    tokens_BT = random_tokens(3, 29)
    our_logits_BTV, output = ours(tokens_BT), theirs(tokens_BT, labels=tokens_BT)
    torch.testing.assert_close(our_logits_BTV, output.logits)
    assert (our_logits_BTV - output.logits).norm() / output.logits.norm() < 1e-6
    our_loss = cross_entropy(our_logits_BTV[:, :-1], tokens_BT[:, 1:])
    assert our_loss.item() == pytest.approx(output.loss.item(), abs=1e-6)
    our_loss.backward()
    output.loss.backward()
    gradients = {name: parameter.grad for name, parameter in theirs.named_parameters()}
    for name, parameter in ours.named_parameters():
        error = (parameter.grad - gradients[name]).norm() / gradients[name].norm()
        assert error < 1e-5, name


@torch.no_grad()
def test_the_bound_on_logits_sees_a_bug_that_assert_close_lets_through() -> None:
    ours, tokens_BT = small_model(num_kv_heads=2), random_tokens(3, 29)
    theirs_BTV = transformers_model(ours)(tokens_BT).logits
    ours.model.norm.weight *= 1 + 2e-6
    ours_BTV = ours(tokens_BT)
    torch.testing.assert_close(ours_BTV, theirs_BTV)
    assert (ours_BTV - theirs_BTV).norm() / theirs_BTV.norm() > 1e-6


@torch.no_grad()
def test_a_model_whose_weights_follow_the_width_is_still_a_llama() -> None:
    ours = small_model(base_width=12)
    torch.testing.assert_close(
        ours(random_tokens(3, 29)), transformers_model(ours)(random_tokens(3, 29)).logits
    )


# What a token may know


@torch.no_grad()
def future_leaks(model: Transformer) -> bool:
    tokens_BT = random_tokens(2, 17)
    before_BTV = model(tokens_BT)
    for place in range(1, 17):
        changed_BT = tokens_BT.clone()
        changed_BT[:, place] = (changed_BT[:, place] + 7) % 61
        after_BTV = model(changed_BT)
        assert not torch.equal(after_BTV[:, place], before_BTV[:, place])
        if not torch.equal(after_BTV[:, :place], before_BTV[:, :place]):
            return True
    return False


@torch.no_grad()
@pytest.mark.parametrize("num_kept", [1, 3, 17])
def test_logits_are_kept_at_the_last_places_alone(num_kept: int) -> None:
    model, tokens_BT = small_model(), random_tokens(2, 17)
    kept_BTV = model(tokens_BT, logits_to_keep=num_kept)
    assert kept_BTV.shape == (2, num_kept, 61)
    torch.testing.assert_close(kept_BTV, model(tokens_BT)[:, -num_kept:])


@torch.no_grad()
def document_leaks(model: Transformer) -> bool:
    tokens_BT = random_tokens(1, 17)
    documents_BT = (torch.arange(17) >= 6).int()[None]
    before_BTV = model(tokens_BT, documents_BT=documents_BT)
    changed_BT = tokens_BT.clone()
    changed_BT[:, :6] = (changed_BT[:, :6] + 7) % 61
    after_BTV = model(changed_BT, documents_BT=documents_BT)
    return not torch.equal(after_BTV[:, 6:], before_BTV[:, 6:])


@torch.no_grad()
def is_blind_to_order(model: Transformer) -> bool:
    """One layer, two earlier tokens exchanged: does the last position notice?"""
    tokens_BT = random_tokens(1, 9)
    exchanged_BT = tokens_BT[:, [3, 1, 2, 0, *range(4, 9)]]
    difference = model(tokens_BT)[:, -1] - model(exchanged_BT)[:, -1]
    return bool(difference.abs().max() < 1e-4)


def plant(monkeypatch: pytest.MonkeyPatch, bug: str) -> None:
    """Put an attention with a bug in the place of the reference."""

    def attend(
        q_BHTK: torch.Tensor,
        k_BGSK: torch.Tensor,
        v_BGSK: torch.Tensor,
        *,
        documents_BT: torch.Tensor | None = None,
        offset: int = 0,
    ) -> torch.Tensor:
        repeats, length = q_BHTK.shape[1] // k_BGSK.shape[1], q_BHTK.shape[2]
        documents_BT = None if bug == "leak between documents" else documents_BT
        later = 1 if bug == "mask off by one" else 0
        mask = attention_mask(length, k_BGSK.shape[2], offset + later, documents_BT, q_BHTK.device)
        scale = 1.0 if bug == "no scale" else q_BHTK.shape[-1] ** -0.5
        k_BHSK, v_BHSK = (each.repeat_interleave(repeats, dim=1) for each in (k_BGSK, v_BGSK))
        scores_BHTS = q_BHTK @ k_BHSK.transpose(-2, -1) * scale
        return scores_BHTS.masked_fill(~mask, -math.inf).softmax(dim=-1) @ v_BHSK

    monkeypatch.setitem(ATTENTION, "reference", attend)


@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_future_token_does_not_change_past_logits(attention: str) -> None:
    assert not future_leaks(small_model(attention=attention))


@pytest.mark.parametrize("attention", ["reference", "torch"])
def test_another_document_does_not_change_this_ones_logits(attention: str) -> None:
    assert not document_leaks(small_model(attention=attention))


@torch.no_grad()
def test_a_packed_document_has_the_logits_it_has_alone() -> None:
    model, tokens_BT = small_model(), random_tokens(1, 17)
    packed_BTV = model(tokens_BT, documents_BT=(torch.arange(17) >= 6).int()[None])
    torch.testing.assert_close(packed_BTV[:, 6:], model(tokens_BT[:, 6:]), atol=1e-5, rtol=1e-4)


def test_order_matters() -> None:
    assert not is_blind_to_order(small_model(num_layers=1))


def test_planted_mask_off_by_one_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "mask off by one")
    assert future_leaks(small_model(attention="reference"))


def test_planted_leak_between_documents_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "leak between documents")
    assert document_leaks(small_model(attention="reference"))


def test_planted_missing_rotation_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transformer, "rotate", lambda x, cos, sin: x)
    assert is_blind_to_order(small_model(num_layers=1))


@torch.no_grad()
def test_planted_missing_scale_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(monkeypatch, "no scale")
    broken = small_model(attention="reference")
    theirs = transformers_model(broken)
    assert (broken(random_tokens(1, 9)) - theirs(random_tokens(1, 9)).logits).abs().max() > 1e-2


@torch.no_grad()
def test_rows_of_a_batch_do_not_meet() -> None:
    model, tokens_BT = small_model(), random_tokens(5, 13)
    logits_BTV = model(tokens_BT)
    order = [3, 0, 4, 1, 2]
    torch.testing.assert_close(model(tokens_BT[order]), logits_BTV[order])
    for row in range(5):
        torch.testing.assert_close(model(tokens_BT[row : row + 1])[0], logits_BTV[row])


@torch.no_grad()
def test_attention_forms_give_the_same_logits() -> None:
    documents_BT = (torch.arange(29) // 11).int().expand(2, -1)
    logits = [
        small_model(attention=name)(random_tokens(2, 29), documents_BT=documents_BT)
        for name in ("reference", "torch")
    ]
    torch.testing.assert_close(*logits)


# With a cache


@torch.no_grad()
@pytest.mark.parametrize("attention", ["reference", "torch"])
@pytest.mark.parametrize("cuts", [[1], [5], [28], [1, 2, 3], [7, 8, 20], list(range(1, 29))])
def test_cached_is_uncached_however_the_text_is_cut(attention: str, cuts: list[int]) -> None:
    model, tokens_BT = small_model(attention=attention), random_tokens(2, 29)
    cache, parts = KeyValueCache(), []
    for start, stop in zip([0, *cuts], [*cuts, 29], strict=True):
        parts.append(model(tokens_BT[:, start:stop], cache))
        cache.num_tokens = stop
    # logits have a standard deviation of about 2; sums are taken in another order
    torch.testing.assert_close(torch.cat(parts, dim=1), model(tokens_BT), atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_planted_cache_that_does_not_advance_is_noticed() -> None:
    model, tokens_BT, cache = small_model(), random_tokens(2, 29), KeyValueCache()
    parts = [model(tokens_BT[:, :9], cache), model(tokens_BT[:, 9:], cache)]
    assert (torch.cat(parts, dim=1) - model(tokens_BT)).abs().max() > 1e-2


def test_too_long_a_text_is_refused_with_the_remedy() -> None:
    model = small_model()
    with pytest.raises(ValueError, match="30 tokens: the context length is 29; shorten"):
        model(random_tokens(1, 30))
    cache = KeyValueCache()
    model(random_tokens(1, 20), cache)
    cache.num_tokens = 20
    with pytest.raises(ValueError, match="30 tokens"):
        model(random_tokens(1, 10), cache)


# At the start, and able to learn


@torch.no_grad()
@pytest.mark.parametrize(
    ("vocab_size", "width", "num_layers", "num_kv_heads", "ffn_width"),
    [(1024, 128, 4, 2, 344), (4096, 256, 6, 2, 688), (4096, 256, 6, 4, 688)],
)
def test_loss_at_the_start_is_the_logarithm_of_the_vocabulary(
    vocab_size: int, width: int, num_layers: int, num_kv_heads: int, ffn_width: int
) -> None:
    torch.manual_seed(0)
    config = ModelConfig(
        vocab_size=vocab_size,
        width=width,
        num_layers=num_layers,
        num_heads=4,
        num_kv_heads=num_kv_heads,
        ffn_width=ffn_width,
        context_length=64,
    )
    tokens_BT = random_tokens(8, 65, vocab_size)
    loss = cross_entropy(Transformer(config)(tokens_BT[:, :-1]), tokens_BT[:, 1:]).item()
    assert loss == pytest.approx(math.log(vocab_size), rel=0.01)


def test_initial_weights_have_the_spread_that_was_asked_for() -> None:
    torch.manual_seed(0)
    model = Transformer(replace(SMALL, width=120, ffn_width=200, initial_std=0.02))
    for name, parameter in model.named_parameters():
        if parameter.ndim == 1:
            assert (parameter == 1).all(), name
            continue
        writes = name.endswith(("o_proj.weight", "down_proj.weight"))
        expected = 0.02 / math.sqrt(6) if writes else 0.02
        # the spread of n numbers is known to 1/√(2n); five of those
        allowed = 5 / math.sqrt(2 * parameter.numel())
        assert parameter.std().item() == pytest.approx(expected, rel=allowed), name


def test_one_batch_is_learnt_by_heart() -> None:
    torch.manual_seed(0)
    model, tokens_BT = Transformer(replace(SMALL, initial_std=0.02)), random_tokens(4, 17)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2)
    for _ in range(150):
        loss = cross_entropy(model(tokens_BT[:, :-1]), tokens_BT[:, 1:])
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss.item() < 0.05


def test_bfloat16_autocast_stays_near_float32() -> None:
    """As far off as transformers' model of the same weights, in like numbers (measured 1.00)."""
    model, tokens_BT = small_model(), random_tokens(2, 29)
    llama = transformers_model(model)
    with torch.no_grad():
        exact_BTV = model(tokens_BT)
        with torch.autocast("cpu", dtype=torch.bfloat16):
            ours_BTV, theirs_BTV = model(tokens_BT), llama(tokens_BT).logits
    assert 0 < (ours_BTV - exact_BTV).norm() <= 1.05 * (theirs_BTV - exact_BTV).norm()
    assert cross_entropy(ours_BTV[:, :-1], tokens_BT[:, 1:]).dtype == torch.float32


# The parts


def test_rms_norm_by_hand() -> None:
    norm = RMSNorm(2, epsilon=0.5)
    norm.weight.data = torch.tensor([1.0, 10.0])
    # mean(3², 4²) + .5 = 13, and not √12.5 + .5
    expected = [3 / math.sqrt(13), 40 / math.sqrt(13)]
    assert norm(torch.tensor([3.0, 4.0])).tolist() == pytest.approx(expected)


@pytest.mark.parametrize("scale", [1e-4, 1.0, 1e4])
def test_rms_norm_equals_pytorch(scale: float) -> None:
    x_BTD = torch.randn(2, 3, 24, generator=torch.Generator().manual_seed(2)) * scale
    torch.testing.assert_close(RMSNorm(24, 1e-5)(x_BTD), nn.RMSNorm(24, 1e-5)(x_BTD))


def test_rms_norm_of_bfloat16_is_rounded_where_transformers_rounds() -> None:
    generator = torch.Generator().manual_seed(2)
    x_BTD = torch.randn(2, 3, 24, generator=generator).bfloat16()
    ours, theirs = RMSNorm(24, 1e-5).bfloat16(), LlamaRMSNorm(24, 1e-5).bfloat16()
    for norm in (ours, theirs):
        norm.weight.data = torch.linspace(0.3, 1.7, 24).bfloat16()
    assert torch.equal(ours(x_BTD), theirs(x_BTD))


@pytest.mark.parametrize("kept", [0, -3])
def test_logits_of_no_place_are_refused(kept: int) -> None:
    with pytest.raises(ValueError, match=f"logits_to_keep = {kept}: must be at least 1; None keep"):
        small_model()(random_tokens(1, 5), logits_to_keep=kept)


def test_a_batch_without_rows_has_logits_without_rows() -> None:
    assert small_model()(torch.zeros(0, 5, dtype=torch.long)).shape == (0, 5, 61)


def test_packed_rows_beside_a_cache_are_refused() -> None:
    model, cache, tokens_BT = small_model(attention="torch"), KeyValueCache(), random_tokens(1, 9)
    model(tokens_BT[:, :4], cache)
    cache.num_tokens = 4
    with pytest.raises(ValueError, match="documents_BT with 5 queries and 9 keys, .* leave one of"):
        model(tokens_BT[:, 4:], cache, documents_BT=torch.zeros(1, 5))


def test_feed_forward_by_hand() -> None:
    mlp = FeedForward(replace(SMALL, width=12, num_heads=6, ffn_width=1))
    for linear, value in ((mlp.gate_proj, 1.0), (mlp.up_proj, 2.0), (mlp.down_proj, 3.0)):
        nn.init.constant_(linear.weight, value)
    x_D = torch.zeros(12)
    x_D[0] = 0.5
    silu = 0.5 / (1 + math.exp(-0.5))
    assert mlp(x_D).tolist() == pytest.approx([3 * silu * 2 * 0.5] * 12)


@pytest.mark.parametrize("tie_embeddings", [True, False])
@pytest.mark.parametrize("num_kv_heads", [1, 3, 6])
def test_parameters_by_formula_are_parameters_counted(
    tie_embeddings: bool, num_kv_heads: int
) -> None:
    model = small_model(tie_embeddings=tie_embeddings, num_kv_heads=num_kv_heads)
    assert model.config.num_parameters == model.num_parameters
    unique = {id(parameter): parameter.numel() for parameter in model.parameters()}
    assert model.num_parameters == sum(unique.values())


# Impossible shapes


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"width": 0}, "width = 0: must be above 0"),
        ({"num_layers": -1}, "num_layers = -1: must be above 0"),
        ({"norm_epsilon": 0.0}, "norm_epsilon = 0.0: must be above 0"),
        ({"initial_std": math.nan}, "initial_std = nan: must be above 0, and a finite number"),
        ({"rope_theta": math.inf}, "rope_theta = inf: must be above 0, and a finite number"),
        ({"balance_coefficient": math.nan}, "balance_coefficient = nan: must be at least 0"),
        ({"width": 30}, "width = 30: must be a multiple of 2 · num_heads = 12"),
        ({"num_kv_heads": 4}, "num_kv_heads = 4: must divide num_heads = 6; use 6"),
        ({"attention": "fast"}, "attention = 'fast': choose one of reference, torch, triton"),
    ],
)
def test_an_impossible_shape_is_refused_with_the_remedy(
    changes: dict[str, object], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        replace(SMALL, **changes)


def test_an_unknown_field_is_refused() -> None:
    with pytest.raises(TypeError, match="dropout"):
        replace(SMALL, dropout=0.1)
