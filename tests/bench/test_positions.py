"""Everybody in the race gets the same; places are scored once; scaling changes no weight."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minillm.bench import positions as bench
from minillm.bench.positions import RaceConfig, nats_by_place, stretched, windows
from minillm.model.loss import cross_entropy
from minillm.model.transformer import Transformer
from minillm.train.checkpoint import model_tensors

TINY = RaceConfig(
    num_stories=20, num_held_out=4, vocab_size=300, width=16, num_layers=1, num_heads=2,
    trained_length=16, tested_length=64, batch_size=4, steps=3, tuning_steps=2, num_windows=2,
    seeds=(0, 1),
)  # fmt: skip


@pytest.fixture(scope="module")
def text() -> bench.Texts:
    return bench.texts(TINY)


def tiny_model(kind: str = "rotary") -> Transformer:
    torch.manual_seed(0)
    return Transformer(bench.race_shape(kind, TINY))


def test_targets_are_the_tokens_after_and_a_seed_draws_the_same_windows() -> None:
    stream_N = torch.arange(1000)
    tokens_BT, targets_BT = windows(stream_N, 7, 50, seed=3)
    assert torch.equal(targets_BT, tokens_BT + 1) and tokens_BT.shape == (50, 7)
    assert torch.equal(windows(stream_N, 7, 50, seed=3)[0], tokens_BT)
    assert not torch.equal(windows(stream_N, 7, 50, seed=4)[0], tokens_BT)


def test_the_last_token_of_a_stream_can_be_a_target() -> None:
    _, targets_BT = windows(torch.arange(5), 3, 200, seed=0)
    assert targets_BT.min() == 1 and targets_BT.max() == 4


def test_runners_with_one_seed_read_the_same_batches(text: bench.Texts) -> None:
    def read(seed: int) -> list[torch.Tensor]:
        return [tokens for tokens, _ in bench.batches_of(text.trained_N, 16, 4, 3, seed)]

    assert all(torch.equal(ours, theirs) for ours, theirs in zip(read(0), read(0), strict=True))
    assert len({tuple(each.flatten().tolist()) for seed in (0, 1, 2) for each in read(seed)}) == 9


def test_nobody_trains_on_the_held_out_stories(text: bench.Texts) -> None:
    stretches = text.trained_N.unfold(0, 40, 1)

    def is_trained_on(row_T: torch.Tensor) -> bool:
        return bool((stretches == row_T[:40]).all(dim=1).any())

    assert not any(is_trained_on(row_T) for row_T in text.far[0])
    assert is_trained_on(windows(text.trained_N, 64, 1, seed=5)[0][0]), "and it would be seen"


def test_kinds_differ_in_positions_alone() -> None:
    shapes = [bench.race_shape(kind, TINY) for kind in bench.KINDS]
    assert len({repr(each).replace(each.positions, "") for each in shapes}) == 1


def test_scaling_changes_no_weight_and_unscaled_nothing_near_the_start() -> None:
    model, tokens_BT = tiny_model(), torch.arange(16)[None]
    for scaling in bench.SCALINGS:
        longer = stretched(model, 64, scaling)
        for name, tensor in model_tensors(longer).items():
            assert torch.equal(tensor, model_tensors(model)[name])
        with torch.no_grad():
            same = torch.equal(longer(tokens_BT), model(tokens_BT))
        assert same == (scaling is None), scaling
    assert longer.config.rope_trained_length == 16 and longer.config.rope_factor == 4


def test_a_learned_table_cannot_be_stretched() -> None:
    with pytest.raises(ValueError, match="embed_positions.weight: the model expects"):
        stretched(tiny_model("learned"), 64, None)


def test_nats_by_place_are_the_loss_place_by_place(text: bench.Texts) -> None:
    model = tiny_model()
    nats_T = nats_by_place(model, text.near)
    with torch.no_grad():
        loss = cross_entropy(model(text.near[0]), text.near[1]).item()
    assert nats_T.shape == (16,) and nats_T.mean().item() == pytest.approx(loss, rel=1e-6)
    uniform = nn.Module()
    uniform.forward = lambda tokens_BT: torch.zeros(*tokens_BT.shape, 300)
    assert nats_by_place(uniform, text.near).tolist() == pytest.approx([math.log(300)] * 16)


def test_short_pieces_score_every_later_place_once_and_never_see_more() -> None:
    """A fake whose surprise at token v falls with v: the mean over the later places is known."""
    lengths, tokens_BT = [], torch.arange(12)[None].repeat(3, 1)

    def logits(rows_BT: torch.Tensor) -> torch.Tensor:
        lengths.append(rows_BT.shape[1])
        return (0.1 * torch.arange(14.0)).expand(*rows_BT.shape, -1)

    fake = SimpleNamespace(config=SimpleNamespace(context_length=4))
    model = type("Fake", (), {"config": fake.config, "__call__": lambda self, rows: logits(rows)})()
    found = bench.nats_of_short_pieces(model, (tokens_BT, tokens_BT + 1))
    surprise = -(0.1 * torch.arange(14.0)).log_softmax(0)
    assert found == pytest.approx(surprise[5:13].mean().item())  # targets of the places 4 to 11
    assert set(lengths) == {4}


def test_buckets_are_means() -> None:
    assert bench.in_buckets(torch.arange(64.0)) == [15.5, 47.5]


def test_the_figures_say_what_was_measured() -> None:
    figures = bench.measure(TINY)
    assert figures["training_tokens"] == 3 * 4 * 16
    nats = figures["nats_by_kind_and_seed"]
    assert list(nats) == list(bench.KINDS) and {len(each) for each in nats.values()} == {2}
    assert all(3 < each < 7 for seeds in nats.values() for each in seeds)  # ln 300 = 5.7
    assert nats["rotary"][0] != nats["rotary"][1] and nats["rotary"] != nats["none"]
    assert "learned" not in figures["far_nats_by_kind_and_seed"]
    extended = figures["extended_by_seed"]
    assert len(extended) == 2 and list(extended[0]) == ["at once", "after training"]
    assert list(extended[0]["at once"]) == ["unscaled", "linear", "ntk", "yarn"]
    assert len(extended[0]["at once"]["yarn"]) == 64 // bench.PLACES_AT_ONCE
    assert extended[0]["at once"]["unscaled"] == figures["far_nats_by_kind_and_seed"]["rotary"][0]
    assert extended[0]["at once"] != extended[0]["after training"]


def test_training_lowers_the_loss(text: bench.Texts) -> None:
    model = tiny_model()
    losses = bench.read_on(model, bench.batches_of(text.trained_N, 16, 4, 40, 0), 40, 1e-2)
    assert losses[0] == pytest.approx(math.log(300), rel=0.05) and losses[-1] < losses[0] - 1
