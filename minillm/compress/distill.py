"""A small model taught by a large one: it learns the teacher's probabilities, not one token alone.

In: a teacher and batches. Out: a loss function for the course's one loop. The one idea: the text
says which token came, the teacher how likely every token was; softened by a temperature τ, so that
the small probabilities count (Hinton, Vinyals and Dean, arXiv:1503.02531). Gradients of the
softened part shrink by 1/τ², hence the factor τ². Left out: matching inner layers, tokenizers that
differ.
"""

import math
from dataclasses import dataclass

import torch
from torch import nn

from minillm.batches.stream import IGNORE, Batch
from minillm.compress.compare import kl_divergence
from minillm.model.experts import with_balance
from minillm.model.loss import cross_entropy
from minillm.train.loop import LossFunction, StepFigures


@dataclass(frozen=True, kw_only=True, slots=True)
class DistillConfig:
    """How soft the teacher's probabilities are, and how much they count against the text's own."""

    temperature: float = 1.0
    teacher_fraction: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.temperature < math.inf:
            raise ValueError(
                f"temperature = {self.temperature}: must be above 0; 1 leaves the probabilities "
                "as they are, 2 to 4 shows more of the unlikely ones"
            )
        if not 0 <= self.teacher_fraction <= 1:
            raise ValueError(
                f"teacher_fraction = {self.teacher_fraction}: must lie between 0 (the text alone) "
                "and 1 (the teacher alone)"
            )


def softened_kl(
    logits_NV: torch.Tensor, teacher_logits_NV: torch.Tensor, temperature: float
) -> torch.Tensor:
    """τ² · KL(teacher ‖ student), both softened by τ; the mean over places, in nats."""
    student, teacher = (
        (each.float() / temperature).log_softmax(dim=-1) for each in (logits_NV, teacher_logits_NV)
    )
    return temperature**2 * kl_divergence(teacher, student).mean()


def distillation_loss(
    logits_BTV: torch.Tensor,
    teacher_logits_BTV: torch.Tensor,
    targets_BT: torch.Tensor,
    config: DistillConfig,
) -> torch.Tensor:
    """a · τ² · KL + (1 − a) · cross-entropy, over the places that have a target."""
    is_scored_BT = targets_BT != IGNORE
    soft = softened_kl(
        logits_BTV[is_scored_BT], teacher_logits_BTV[is_scored_BT], config.temperature
    )
    hard = cross_entropy(logits_BTV, targets_BT)
    return config.teacher_fraction * soft + (1 - config.teacher_fraction) * hard


def distillation(teacher: nn.Module, config: DistillConfig) -> LossFunction:
    """The loss function for `train`: the teacher reads each batch and is not changed by it."""
    teacher.eval()

    def loss_fn(student: nn.Module, batch: Batch) -> tuple[torch.Tensor, StepFigures]:
        with torch.no_grad():
            teacher_logits_BTV = teacher(batch.tokens_BT, documents_BT=batch.documents_BT)
        logits_BTV = student(batch.tokens_BT, documents_BT=batch.documents_BT)
        loss = distillation_loss(logits_BTV, teacher_logits_BTV, batch.targets_BT, config)
        num_targets = int((batch.targets_BT != IGNORE).sum())
        text_nats = cross_entropy(logits_BTV.detach(), batch.targets_BT)
        figures = {"num_targets": num_targets, "text_nats": text_nats}
        return with_balance(loss, student, batch), figures

    return loss_fn
