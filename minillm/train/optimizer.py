"""Gradients become changed parameters.

In: a model's parameters with their gradients, and one learning rate a step. Out: the same
parameters, moved. AdamW (Loshchilov & Hutter, arXiv:1711.05101) divides each gradient by its own
recent size; Muon (Jordan et al., 2024, scaled as in Liu et al., arXiv:2502.16982) makes the step of
a whole matrix orthogonal. Left out: fused kernels, sharded states, other optimizers.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import torch
from torch import nn

from minillm.model.initialise import step_factor
from minillm.model.transformer import Transformer

# The quintic of Jordan et al.: so steep at 0 that five steps raise a small singular value 485 times
NEWTON_SCHULZ = (3.4445, -4.7750, 2.0315)
NEWTON_SCHULZ_STEPS = 5
# The usual root mean square of an AdamW step: Muon's get the same, so both take one learning rate
ADAMW_STEP_SIZE = 0.2


@dataclass(frozen=True, kw_only=True, slots=True)
class ParameterGroup:
    """Parameters that are moved alike, by name; the names key their state in a checkpoint."""

    parameters: dict[str, nn.Parameter]
    weight_decay: float
    learning_rate_factor: float = 1.0  # scales the steps, not the decay

    def gradients(self) -> list[torch.Tensor]:
        for name, parameter in self.parameters.items():
            assert parameter.grad is not None, f"{name} took no part in the loss: freeze it"
        return [parameter.grad for parameter in self.parameters.values()]

    def zeros(self) -> list[torch.Tensor]:
        return [torch.zeros_like(parameter) for parameter in self.parameters.values()]


def parameter_groups(model: nn.Module, weight_decay: float) -> list[ParameterGroup]:
    """Weight decay pulls matrices toward zero; vectors (the norms' scales) are left alone."""
    trained = {name: each for name, each in model.named_parameters() if each.requires_grad}
    matrices = {name: each for name, each in trained.items() if each.ndim >= 2}
    vectors = {name: each for name, each in trained.items() if each.ndim < 2}
    groups = [
        ParameterGroup(parameters=matrices, weight_decay=weight_decay),
        ParameterGroup(parameters=vectors, weight_decay=0.0),
    ]
    return [group for group in groups if group.parameters]


def groups_by_width(groups: list[ParameterGroup], width_ratio: float) -> list[ParameterGroup]:
    """The groups, cut into parameters that take steps of one size (`step_factor`)."""
    found = []
    for group in groups:
        factors = {n: step_factor(n, p.ndim, width_ratio) for n, p in group.parameters.items()}
        for factor in dict.fromkeys(factors.values()):
            alike = {n: p for n, p in group.parameters.items() if factors[n] == factor}
            found.append(replace(group, parameters=alike, learning_rate_factor=factor))
    return found


def adamw_update(
    parameters: list[torch.Tensor],
    gradients: list[torch.Tensor],
    means: list[torch.Tensor],
    squares: list[torch.Tensor],
    *,
    step: int,
    learning_rate: float,
    betas: tuple[float, float],
    epsilon: float,
    weight_decay: float,
) -> None:
    """θ ← θ − η λ θ − η m̂ / (√v̂ + ε), in place, a whole list of tensors at a time."""
    torch._foreach_mul_(parameters, 1 - learning_rate * weight_decay)
    torch._foreach_lerp_(means, gradients, 1 - betas[0])
    torch._foreach_mul_(squares, betas[1])
    torch._foreach_addcmul_(squares, gradients, gradients, 1 - betas[1])
    denominators = torch._foreach_sqrt(squares)
    torch._foreach_div_(denominators, math.sqrt(1 - betas[1] ** step))
    torch._foreach_add_(denominators, epsilon)
    step_size = learning_rate / (1 - betas[0] ** step)
    torch._foreach_addcdiv_(parameters, means, denominators, -step_size)


class AdamW:
    """Keeps a running mean and a running mean square of every gradient; steps by mean / √square."""

    def __init__(
        self,
        groups: list[ParameterGroup],
        *,
        betas: tuple[float, float] = (0.9, 0.95),
        epsilon: float = 1e-8,
    ) -> None:
        self.groups, self.betas, self.epsilon = groups, betas, epsilon
        self.num_steps = 0
        self.means = [group.zeros() for group in groups]
        self.squares = [group.zeros() for group in groups]

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        self.num_steps += 1
        for group, means, squares in zip(self.groups, self.means, self.squares, strict=True):
            adamw_update(
                list(group.parameters.values()), group.gradients(), means, squares,
                step=self.num_steps, learning_rate=learning_rate * group.learning_rate_factor,
                betas=self.betas, epsilon=self.epsilon,
                weight_decay=group.weight_decay / group.learning_rate_factor,
            )

    def state_tensors(self) -> dict[str, torch.Tensor]:
        """Everything that the next step depends on, by name, for a checkpoint."""
        tensors = {"adamw.num_steps": torch.tensor(self.num_steps)}
        for group, means, squares in zip(self.groups, self.means, self.squares, strict=True):
            for name, mean, square in zip(group.parameters, means, squares, strict=True):
                tensors |= {f"mean.{name}": mean, f"square.{name}": square}
        return tensors

    @torch.no_grad()
    def load_state_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self.num_steps = int(tensors["adamw.num_steps"])
        for name, tensor in self.state_tensors().items():
            tensor.copy_(tensors[name])


def orthogonalized(matrices: torch.Tensor, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    """U Vᵀ of each matrix = U S Vᵀ, nearly: Newton–Schulz pushes the singular values toward 1.

    `matrices` are stacked, all of one shape: N × rows × columns.
    """
    a, b, c = NEWTON_SCHULZ
    is_tall = matrices.shape[-2] > matrices.shape[-1]
    x = (matrices.mT if is_tall else matrices).to(dtype)
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=1e-7)  # no singular value above 1
    for _ in range(NEWTON_SCHULZ_STEPS):
        gram = x @ x.mT
        # a·x + (b·gram + c·gram²)·x; in bfloat16 baddbmm rounds once where + and * would thrice
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x.mT if is_tall else x


class Muon:
    """Moves matrices by their momentum made orthogonal, and leaves the others to AdamW."""

    def __init__(
        self,
        matrices: ParameterGroup,
        others: AdamW,
        momentum: float = 0.95,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        self.matrices, self.others, self.momentum, self.dtype = matrices, others, momentum, dtype
        self.means = matrices.zeros()

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        self.others.step(learning_rate)
        matrices, gradients = list(self.matrices.parameters.values()), self.matrices.gradients()
        step_rate = learning_rate * self.matrices.learning_rate_factor
        torch._foreach_lerp_(self.means, gradients, 1 - self.momentum)
        torch._foreach_mul_(matrices, 1 - learning_rate * self.matrices.weight_decay)
        ahead = torch._foreach_lerp(gradients, self.means, self.momentum)
        # an expert that nobody chose only decays: its fading mean would make a step of full size
        torch._foreach_mul_(ahead, [each.any() for each in gradients])
        # matrices of one shape go through the products together: fewer, larger ones
        for shape in dict.fromkeys(matrix.shape for matrix in matrices):
            same = [index for index, matrix in enumerate(matrices) if matrix.shape == shape]
            directions = orthogonalized(torch.stack([ahead[i] for i in same]), self.dtype)
            size = ADAMW_STEP_SIZE * math.sqrt(max(shape))
            for index, direction in zip(same, directions, strict=True):
                matrices[index].add_(direction, alpha=-step_rate * size)

    def state_tensors(self) -> dict[str, torch.Tensor]:
        named = zip(self.matrices.parameters, self.means, strict=True)
        return self.others.state_tensors() | {f"muon.{name}": mean for name, mean in named}

    @torch.no_grad()
    def load_state_tensors(self, tensors: dict[str, torch.Tensor]) -> None:
        self.others.load_state_tensors(tensors)
        for name, mean in zip(self.matrices.parameters, self.means, strict=True):
            mean.copy_(tensors[f"muon.{name}"])


# package only
class Optimizer(Protocol):
    """What the loop asks of an optimizer: move the parameters, give its state, take it back."""

    def step(self, learning_rate: float) -> None: ...

    def state_tensors(self) -> dict[str, torch.Tensor]: ...

    def load_state_tensors(self, tensors: dict[str, torch.Tensor]) -> None: ...


def make_optimizer(
    model: nn.Module,
    kind: Literal["adamw", "muon"],
    *,
    weight_decay: float,
    betas: tuple[float, float],
    dtype: torch.dtype = torch.float32,
) -> Optimizer:
    """AdamW for everything, or Muon for the matrices inside the layers and AdamW for the rest.

    Muon's five rough steps do not need float32: `dtype` is what the machine multiplies fast.
    """
    groups = parameter_groups(model, weight_decay)
    width_ratio = model.config.width_ratio if isinstance(model, Transformer) else 1.0
    if kind == "adamw":
        return AdamW(groups_by_width(groups, width_ratio), betas=betas)
    inside = {name: each for name, each in groups[0].parameters.items() if ".layers." in name}
    outside = {name: each for name, each in groups[0].parameters.items() if name not in inside}
    matrices, others = (
        ParameterGroup(parameters=each, weight_decay=weight_decay) for each in (inside, outside)
    )
    # an orthogonal step's pull on a vector grows with √D, one of AdamW with D
    matrices = replace(matrices, learning_rate_factor=width_ratio**-0.5)
    adamw = AdamW(groups_by_width([others, *groups[1:]], width_ratio), betas=betas)
    return Muon(matrices, adamw, dtype=dtype)


@torch.no_grad()
def clip_gradients(parameters: Iterable[nn.Parameter], max_norm: float) -> torch.Tensor:
    """Scale all gradients by one factor: their common length ends at most `max_norm`.

    Returns the length before.
    """
    gradients = [parameter.grad for parameter in parameters if parameter.grad is not None]
    norm = torch.linalg.vector_norm(torch.stack(torch._foreach_norm(gradients)))
    torch._foreach_mul_(gradients, (max_norm / (norm + 1e-6)).clamp(max=1.0))
    return norm
