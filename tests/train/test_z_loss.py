"""The pull on the logits that a recipe may ask for: gradients by the formula, figures untouched."""

import math
from functools import partial
from pathlib import Path

import pytest
import torch

from minillm.align.preferences import PreferenceConfig
from minillm.align.sft import SftConfig, completion_loss
from minillm.batches.shards import open_shards
from minillm.batches.stream import IGNORE, Batch, Stream
from minillm.core.records import Run
from minillm.model.loss import chunked_cross_entropy, cross_entropy
from minillm.model.transformer import Transformer
from minillm.train import trainer
from minillm.train.recompute import recomputed
from minillm.train.schedule import TrainingConfig
from minillm.train.trainer import next_token_loss, pretrain
from tests.train.tiny import losses, rests, tiny_config, tiny_model, tiny_run, weights

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return tiny_run(tmp_path / "run")


@pytest.fixture
def batch(run: Run) -> Batch:
    return next(Stream(open_shards(run.artifact("shards").path, "train"), tiny_config(run).batches))


@pytest.fixture
def model(run: Run) -> Transformer:
    torch.manual_seed(0)
    return Transformer(tiny_config(run).model)


def pulled(model: Transformer, batch: Batch, z_weight: float) -> tuple[torch.Tensor, ...]:
    """∂/∂logits by hand: of each target (softmax · (1 + 2·z·ln Z) − one-hot) / their number."""
    logits_BTV = model(batch.tokens_BT, documents_BT=batch.documents_BT)
    is_target_BT1 = (batch.targets_BT != IGNORE)[..., None]
    log_z_BT1 = logits_BTV.logsumexp(-1, keepdim=True)
    pull_BTV = logits_BTV.softmax(-1) * (1 + 2 * z_weight * log_z_BT1)
    pull_BTV = pull_BTV.scatter_add(
        -1, batch.targets_BT.clamp(min=0)[..., None], -torch.ones_like(log_z_BT1)
    )
    return torch.autograd.grad(
        logits_BTV, list(model.parameters()), pull_BTV * is_target_BT1 / is_target_BT1.sum()
    )


@pytest.mark.parametrize("many", [1 << 40, 0], ids=["all logits", "in chunks"])
def test_gradients_follow_the_formula_and_the_value_stays_the_surprise(
    model: Transformer, batch: Batch, many: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert (batch.targets_BT == IGNORE).any(), "places without a target are left out"
    monkeypatch.setattr(trainer, "MANY_LOGITS", many)
    parameters = list(model.parameters())
    plain = next_token_loss(model, batch)
    for z_weight in (0.0, 0.3):
        value = next_token_loss(model, batch, z_weight)
        assert value.item() == plain.item()
        found = torch.autograd.grad(value, parameters)
        for ours, theirs in zip(found, pulled(model, batch, z_weight), strict=True):
            torch.testing.assert_close(ours, theirs)
    far = max((a - b).abs().max() for a, b in zip(found, pulled(model, batch, 0.0), strict=True))
    assert far > 1e-3, "and the pull is there"


def test_a_weight_of_0_is_the_loss_without_any_to_the_last_bit(
    model: Transformer, batch: Batch, monkeypatch: pytest.MonkeyPatch
) -> None:
    parameters = list(model.parameters())
    x_BTD = model.model(batch.tokens_BT, None, batch.documents_BT)
    logits_BTV = model(batch.tokens_BT, documents_BT=batch.documents_BT)
    plain = {
        1 << 40: cross_entropy(logits_BTV, batch.targets_BT),
        0: chunked_cross_entropy(x_BTD, model.lm_head.weight, batch.targets_BT),
    }
    for many, value in plain.items():
        monkeypatch.setattr(trainer, "MANY_LOGITS", many)
        ours = next_token_loss(model, batch, z_weight=0.0)
        assert torch.equal(ours, value)
        gradients = (torch.autograd.grad(each, parameters) for each in (ours, value))
        assert all(torch.equal(a, b) for a, b in zip(*gradients, strict=True))


def test_what_an_assistant_says_is_pulled_by_the_same_formula(
    model: Transformer, batch: Batch
) -> None:
    parameters = list(model.parameters())
    value, _ = completion_loss("cpu", z_weight=0.3)(model, batch)
    assert value.item() == completion_loss("cpu")(model, batch)[0].item()
    for ours, theirs in zip(
        torch.autograd.grad(value, parameters), pulled(model, batch, 0.3), strict=True
    ):
        torch.testing.assert_close(ours, theirs)


def test_a_run_takes_its_weight_from_the_recipe(run: Run, uninterrupted: tuple) -> None:
    artifact = pretrain(tiny_config(run, z_weight=0.0), run, evaluate=rests)
    assert (losses(run), weights(artifact)) == uninterrupted
    pretrain(tiny_config(run, z_weight=0.1), run, evaluate=rests)
    pulled_steps = losses(run)
    (first, *_), (plain_first, *_) = pulled_steps, uninterrupted[0]
    assert first[1] == plain_first[1], "the first loss is the same surprise"
    assert first[2] != plain_first[2] and pulled_steps[-1] != uninterrupted[0][-1]


def test_layers_computed_twice_are_pulled_by_the_same_formula(
    model: Transformer, batch: Batch
) -> None:
    value = recomputed(partial(next_token_loss, z_weight=0.3))(model, batch)
    found = torch.autograd.grad(value, list(model.parameters()))
    for ours, theirs in zip(found, pulled(model, batch, 0.3), strict=True):
        torch.testing.assert_close(ours, theirs)


def test_a_long_pull_draws_ln_z_towards_nought(run: Run, batch: Batch) -> None:
    ends = []
    for z_weight in (0.0, 0.1):
        torch.manual_seed(0)
        model = Transformer(tiny_model(vocab_size=tiny_config(run).model.vocab_size))
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
        for _ in range(60):
            optimizer.zero_grad()
            next_token_loss(model, batch, z_weight).backward()
            optimizer.step()
        log_z_BT = model(batch.tokens_BT, documents_BT=batch.documents_BT).logsumexp(-1)
        ends.append(log_z_BT[batch.targets_BT != IGNORE].abs().mean().item())
    assert ends[1] < ends[0] / 2


@pytest.mark.parametrize("value", [-0.1, math.inf, math.nan])
def test_an_impossible_weight_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match=f"z_weight = {value}: .*at least 0.*1e-4 is usual"):
        TrainingConfig(max_steps=1, z_weight=value)


@pytest.mark.parametrize("name", ["dpo", "rl"])
def test_where_it_would_do_nothing_it_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.z_weight = 0.1: .*leave it out here"):
        PreferenceConfig(**{name: TrainingConfig(max_steps=1, z_weight=0.1)})


@pytest.mark.parametrize(
    ("option", "value"),
    [("recompute", True), ("compile", True), ("evaluate_every_steps", 2),
     ("evaluate_every_fraction", 0.5)],
)  # fmt: skip
def test_other_options_that_would_do_nothing_are_refused_too(option: str, value: object) -> None:
    training = TrainingConfig(max_steps=1, **{option: value})
    with pytest.raises(ValueError, match=f"rl.{option} = {value}: it would do nothing"):
        PreferenceConfig(rl=training)
    if option == "recompute":
        with pytest.raises(ValueError, match="training.recompute = True: .*leave it out here"):
            SftConfig(training=training)
