"""How much of a model each rank holds, and how much it sends: computed before anything is rented.

In: the number of parameters and of ranks. Out: bytes a rank. Data parallel keeps everything
everywhere; ZeRO (Rajbhandari et al., arXiv:1910.02054) cuts the optimizer's state (stage 1), the
gradients too (2) and the parameters too (3, also called FSDP) into one share a rank. All numbers
are float32, as in this course's trainer. Left out: activations, which depend on the batch.
"""

from dataclasses import dataclass

STAGES = ("data parallel", "ZeRO-1", "ZeRO-2", "ZeRO-3")
PARAMETER_BYTES = 4
GRADIENT_BYTES = 4
# AdamW's running mean and running mean square
OPTIMIZER_BYTES = 8


@dataclass(frozen=True, kw_only=True, slots=True)
class Memory:
    """What one rank holds between two steps, in bytes."""

    parameter_bytes: int
    gradient_bytes: int
    optimizer_bytes: int

    @property
    def total_bytes(self) -> int:
        return self.parameter_bytes + self.gradient_bytes + self.optimizer_bytes


def share(count: int, rank: int, num_ranks: int) -> range:
    """The places of one rank's share: all ranks together cover each once, sizes differ by ≤ 1."""
    return range(count * rank // num_ranks, count * (rank + 1) // num_ranks)


def memory_per_rank(num_parameters: int, num_ranks: int, stage: int) -> Memory:
    """Of the rank that holds most. `stage` 0 is data parallel, 1 to 3 are ZeRO's."""
    check_plan(num_parameters, num_ranks, stage)
    part = -(-num_parameters // num_ranks)
    return Memory(
        parameter_bytes=PARAMETER_BYTES * (part if stage >= 3 else num_parameters),
        gradient_bytes=GRADIENT_BYTES * (part if stage >= 2 else num_parameters),
        optimizer_bytes=OPTIMIZER_BYTES * (part if stage >= 1 else num_parameters),
    )


def bytes_sent_per_step(num_parameters: int, num_ranks: int, stage: int) -> float:
    """By each rank. An all-reduce is two passes of (n − 1)/n around the ring; stage 3 needs three:

    it gathers parameters twice (forward, backward) and scatters the sums of gradients.
    """
    check_plan(num_parameters, num_ranks, stage)
    passes = 3 if stage == 3 else 2
    return passes * (num_ranks - 1) / num_ranks * PARAMETER_BYTES * num_parameters


def first_fitting_stage(num_parameters: int, num_ranks: int, memory_bytes: float) -> int | None:
    """The lowest stage whose state fits in a rank's memory; None where not even stage 3 does."""
    for stage in range(len(STAGES)):
        if memory_per_rank(num_parameters, num_ranks, stage).total_bytes <= memory_bytes:
            return stage
    return None


# package only
def check_plan(num_parameters: int, num_ranks: int, stage: int) -> None:
    """ValueError where there is nothing to plan."""
    if num_parameters < 1 or num_ranks < 1:
        raise ValueError(
            f"num_parameters = {num_parameters}, num_ranks = {num_ranks}: both at least 1"
        )
    if not 0 <= stage < len(STAGES):
        known = ", ".join(f"{number} ({name})" for number, name in enumerate(STAGES))
        raise ValueError(f"stage = {stage}: choose one of {known}")
