"""The first weights: as large as depth and width allow, so that training can begin at all.

In: a model just built and the size of its weights. Out: the same model, drawn. The two matrices
that write to the residual stream are smaller by √(2L), because 2L of them add up there (Radford et
al., 2019). With a width ratio r the rest follows the width, so that the best learning rate stays
where it was (Yang et al., arXiv:2203.03466): this file holds both halves of that rule, the first
weights and the size of the steps.
"""

import math

from torch import nn

WRITERS = ("o_proj.weight", "down_proj.weight")
INSIDE = ".layers."
LAST_NORM = "model.norm.weight"


def initialise(
    model: nn.Module,
    std: float,
    num_layers: int,
    width_ratio: float = 1.0,
    last_norm: float = 1.0,
) -> None:
    """Normal weights; the two matrices that write to the residual stream are smaller by √(2L).

    Where the width is r times the one that `std` was chosen for, matrices inside the layers are
    smaller by √r, and the last norm's scale, which the logits are proportional to, by r.
    """
    for name, parameter in model.named_parameters():
        if parameter.ndim == 2:
            scale = math.sqrt(2 * num_layers) if name.endswith(WRITERS) else 1.0
            scale *= math.sqrt(width_ratio) if INSIDE in name else 1.0
            nn.init.normal_(parameter, std=std / scale)
        elif name == LAST_NORM:
            nn.init.constant_(parameter, last_norm / width_ratio)


def step_factor(name: str, num_dimensions: int, width_ratio: float) -> float:
    """What AdamW's steps are multiplied by: 1/r for matrices inside the layers and for the last
    norm, 1 for what has no width on its input side (embedding, the other norms)."""
    is_matrix_inside = INSIDE in name and num_dimensions >= 2
    return 1 / width_ratio if is_matrix_inside or name == LAST_NORM else 1.0
