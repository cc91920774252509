"""Solutions to the exercises of chapter 10, Preferences and rewards."""

import math


def dpo(
    chosen: float, rejected: float, chosen_reference: float, rejected_reference: float, beta: float
) -> float:
    """The DPO loss of one pair, in nats, from four log-probabilities of whole replies."""
    margin = beta * ((chosen - chosen_reference) - (rejected - rejected_reference))
    return math.log(1 + math.exp(-margin))


def advantages(rewards: list[float]) -> list[float]:
    """How much better each reply of a group is than the group's mean, in standard deviations.

    The deviation divides by n − 1; a group whose rewards are all equal has advantages of 0.
    """
    mean = sum(rewards) / len(rewards)
    deviation = math.sqrt(sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1))
    return [(r - mean) / deviation if deviation else 0.0 for r in rewards]


def clipped_gain(ratio: float, advantage: float, clip: float) -> float:
    """What a token contributes: the smaller of ratio · A and (ratio, kept in 1 ± clip) · A."""
    kept = min(max(ratio, 1 - clip), 1 + clip)
    return min(ratio * advantage, kept * advantage)


def k3(policy_logprob: float, reference_logprob: float) -> float:
    """The estimate of the divergence from one token that the *policy* drew: ρ − 1 − log ρ."""
    log_rho = reference_logprob - policy_logprob
    return math.exp(log_rho) - 1 - log_rho
