"""Computing twice changes no gradient and keeps fewer bytes."""

import pytest
import torch
from torch import nn

from minillm.model.counting import saved_bytes
from minillm.model.transformer import Transformer
from minillm.train import trainer
from minillm.train.recompute import recomputed, recomputing
from minillm.train.trainer import next_token_loss, pretrain
from tests.train.test_loop import made_batch
from tests.train.tiny import losses, tiny_config, tiny_model, tiny_run

LAYERS = 5


def gradients(loss) -> tuple[Transformer, torch.Tensor]:
    torch.manual_seed(0)
    model = Transformer(tiny_model(num_layers=LAYERS))
    value = loss(model, made_batch(3, 0, 17))
    value.backward()
    return model, torch.cat([value.detach()[None], *(p.grad.flatten() for p in model.parameters())])


def test_loss_and_gradients_are_the_same_to_the_last_bit() -> None:
    model, found = gradients(recomputed(next_token_loss))
    assert torch.equal(found, gradients(next_token_loss)[1])
    assert not any("forward" in vars(layer) for layer in model.model.layers)


def test_the_layers_forward_comes_back_after_an_error() -> None:
    model = Transformer(tiny_model())
    with pytest.raises(ZeroDivisionError), recomputing(model.model.layers):
        assert "forward" in vars(model.model.layers[0])
        1 / 0
    assert "forward" not in vars(model.model.layers[0])


def test_a_square_keeps_its_input_once() -> None:
    linear, x = nn.Linear(4, 4, bias=False), torch.ones(3, 4)
    assert saved_bytes(linear, lambda: linear(x).sum()) == 3 * 4 * 4
    # exp keeps its result; the two uses of it are one
    assert saved_bytes(linear, lambda: linear(x).exp().square().sum()) == 2 * 3 * 4 * 4


def test_each_layer_keeps_its_input_alone() -> None:
    """Per layer B·T·D float32 numbers, and the same few shared tensors in both."""
    batch = made_batch(3, 0)

    def kept(num_layers: int, loss) -> int:
        model = Transformer(tiny_model(num_layers=num_layers))
        return saved_bytes(model, lambda: loss(model, batch))

    less, more = (kept(n, recomputed(next_token_loss)) for n in (2, LAYERS))
    plain_less, plain_more = (kept(n, next_token_loss) for n in (2, LAYERS))
    input_bytes = batch.tokens_BT.numel() * tiny_model().width * 4
    assert (more - less) / (LAYERS - 2) == input_bytes
    assert (plain_more - plain_less) / (LAYERS - 2) > 10 * input_bytes


def test_a_run_with_recomputation_recomputes_and_has_the_same_losses(
    tmp_path, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = {name: tiny_run(tmp_path / name) for name in ("plain", "twice")}
    asked = []
    monkeypatch.setattr(trainer, "recomputed", lambda loss: asked.append(1) or recomputed(loss))
    for name, run in runs.items():
        pretrain(tiny_config(run, max_steps=5, recompute=name == "twice"), run)
        assert len(asked) == (name == "twice")
    assert losses(runs["plain"]) == losses(runs["twice"])
