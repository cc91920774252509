"""The distillation loss: by hand, its gradient by finite differences, and inside the one loop."""

import math
from itertools import repeat

import pytest
import torch

from minillm.batches.stream import IGNORE, Batch
from minillm.compress.distill import DistillConfig, distillation, distillation_loss, softened_kl
from minillm.model.loss import cross_entropy
from minillm.train.loop import train
from minillm.train.optimizer import make_optimizer
from minillm.train.schedule import TrainingConfig, TrainState
from tests.compress.small import small_model


class Lines(list):
    def write(self, **fields: object) -> None:
        self.append(fields)


def logits(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_two_tokens_by_hand() -> None:
    """Teacher logits (2 ln 3, 0), student (0, 0), τ = 2: (¾, ¼) against (½, ½), times 4."""
    teacher, student = torch.tensor([[2 * math.log(3), 0.0]]), torch.zeros(1, 2)
    expected = 4 * (0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5))
    assert softened_kl(student, teacher, 2.0).item() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("temperature", [0.7, 1.0, 3.0])
def test_softened_kl_is_torchs(temperature: float) -> None:
    student, teacher = logits(7, 11), logits(7, 11, seed=1)
    theirs = torch.nn.functional.kl_div(
        (student / temperature).log_softmax(-1), (teacher / temperature).softmax(-1),
        reduction="batchmean",
    )  # fmt: skip
    found = softened_kl(student, teacher, temperature)
    assert found.item() == pytest.approx(temperature**2 * theirs.item(), rel=1e-5)


def test_the_gradient_is_that_of_finite_differences() -> None:
    """Of the whole loss, τ² included, at τ = 3; in steps of 1e-3, float32: agreement to 1e-3."""
    teacher = logits(1, 3, 5, seed=1)
    targets_BT = torch.tensor([[2, IGNORE, 4]])
    config = DistillConfig(temperature=3.0, teacher_fraction=0.7)
    student = logits(1, 3, 5).requires_grad_()
    distillation_loss(student, teacher, targets_BT, config).backward()
    for place in range(15):
        step = torch.zeros(15)
        step[place] = 1e-2
        step = step.view(1, 3, 5)
        with torch.no_grad():
            above, below = (
                distillation_loss(student + sign * step, teacher, targets_BT, config)
                for sign in (1, -1)
            )
        difference = float(above - below) / 2e-2
        assert student.grad.flatten()[place].item() == pytest.approx(difference, abs=1e-4)
    assert student.grad[0, 1].abs().max() == 0, "a place without a target teaches nothing"


def test_the_gradients_size_hardly_depends_on_the_temperature() -> None:
    """Why τ²: without it, τ = 8 would shrink the gradient about 64 times."""
    sizes = {}
    for temperature in (4.0, 8.0, 16.0):
        student = logits(50, 20).requires_grad_()
        softened_kl(student, logits(50, 20, seed=1), temperature).backward()
        sizes[temperature] = student.grad.norm().item()
    assert 0.8 < sizes[8.0] / sizes[4.0] < 1.25 and 0.8 < sizes[16.0] / sizes[8.0] < 1.25


def test_the_two_ends_are_the_text_alone_and_the_teacher_alone() -> None:
    student, teacher, targets_BT = logits(2, 4, 6), logits(2, 4, 6, seed=1), torch.ones(2, 4).long()
    text = distillation_loss(student, teacher, targets_BT, DistillConfig(teacher_fraction=0.0))
    assert torch.equal(text, cross_entropy(student, targets_BT))
    own = distillation_loss(teacher, teacher, targets_BT, DistillConfig(teacher_fraction=1.0))
    assert own.item() == pytest.approx(0, abs=1e-6)


def test_in_the_one_loop_the_student_moves_to_the_teacher_who_stays() -> None:
    teacher, student = small_model(), small_model(tie_embeddings=False)
    torch.manual_seed(5)
    tokens_BT = torch.randint(0, 97, (2, 12))
    batch = Batch(tokens_BT, tokens_BT.roll(-1, 1), torch.zeros_like(tokens_BT))
    before = [parameter.clone() for parameter in teacher.parameters()]
    loss_fn = distillation(teacher, DistillConfig(teacher_fraction=1.0))
    first = loss_fn(student, batch)[0].item()
    config = TrainingConfig(max_steps=25, learning_rate=2e-2, precision="float32")
    optimizer = make_optimizer(student, "adamw", weight_decay=0.0, betas=config.betas)
    lines = Lines()
    train(student, repeat(batch), loss_fn, optimizer, config, state=TrainState(), log=lines)
    assert loss_fn(student, batch)[0].item() < 0.2 * first
    assert "text_nats" in lines[0]
    assert all(map(torch.equal, before, teacher.parameters()))
    assert all(parameter.grad is None for parameter in teacher.parameters())


@pytest.mark.parametrize(
    "fields", [{"temperature": 0.0}, {"temperature": math.inf}, {"teacher_fraction": 1.5}]
)
def test_impossible_settings_are_refused(fields: dict) -> None:
    with pytest.raises(ValueError, match=f"{next(iter(fields))} = .*must"):
        DistillConfig(**fields)
