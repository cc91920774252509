"""When held-out text stops getting better, which step's weights were the best?

In: a held-out loss at each look. Out: the look whose weights are kept, and the look at which a run
that knew no future would have ended (Prechelt, "Early stopping – but when?", 1998). Left out: the
saving itself, and a look's noise, for which `patience` is the remedy.
"""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stop:
    """Indices of looks: whose weights are kept, and after which the run ends."""

    kept: int
    stopped: int


def early_stop(held_out: Sequence[float], patience: int) -> Stop:
    """End at the first look that is the `patience`-th in a row without a new lowest loss; a run
    that never is so patient ends with its last look."""
    if not held_out or patience < 1:
        raise ValueError(
            f"held_out of {len(held_out)} looks, patience = {patience}: both must be at least 1"
        )
    kept = 0
    for look, loss in enumerate(held_out):
        if loss < held_out[kept]:
            kept = look
        if look - kept == patience:
            return Stop(kept, look)
    return Stop(kept, len(held_out) - 1)
