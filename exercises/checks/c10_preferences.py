"""Exercises 10 · Preferences and rewards

Four small formulas that move a policy: the loss of a pair, the advantages of a group, the gain that
is clipped, and the leash. They belong to [chapter 10](../notebooks/10_preferences.ipynb).
"""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c10_preferences as solutions


def without_reference(
    chosen: float, rejected: float, chosen_reference: float, rejected_reference: float, beta: float
) -> float:
    return solutions.dpo(chosen, rejected, 0.0, 0.0, beta)


def turned_round(
    chosen: float, rejected: float, chosen_reference: float, rejected_reference: float, beta: float
) -> float:
    return solutions.dpo(rejected, chosen, rejected_reference, chosen_reference, beta)


def beta_forgotten(
    chosen: float, rejected: float, chosen_reference: float, rejected_reference: float, beta: float
) -> float:
    return solutions.dpo(chosen, rejected, chosen_reference, rejected_reference, 1.0)


def sigmoid_not_its_log(
    chosen: float, rejected: float, chosen_reference: float, rejected_reference: float, beta: float
) -> float:
    loss = solutions.dpo(chosen, rejected, chosen_reference, rejected_reference, beta)
    return -math.exp(-loss)


def not_divided(rewards: list[float]) -> list[float]:
    mean = sum(rewards) / len(rewards)
    return [r - mean for r in rewards]


def rewards_as_they_are(rewards: list[float]) -> list[float]:
    return list(rewards)


def divides_by_n(rewards: list[float]) -> list[float]:
    mean = sum(rewards) / len(rewards)
    deviation = math.sqrt(sum((r - mean) ** 2 for r in rewards) / len(rewards))
    return [(r - mean) / deviation if deviation else 0.0 for r in rewards]


def divides_by_the_variance(rewards: list[float]) -> list[float]:
    mean = sum(rewards) / len(rewards)
    variance = sum((r - mean) ** 2 for r in rewards) / (len(rewards) - 1)
    return [(r - mean) / variance if variance else 0.0 for r in rewards]


def not_clipped(ratio: float, advantage: float, clip: float) -> float:
    return ratio * advantage


def only_the_clipped(ratio: float, advantage: float, clip: float) -> float:
    return min(max(ratio, 1 - clip), 1 + clip) * advantage


def the_larger(ratio: float, advantage: float, clip: float) -> float:
    return max(ratio * advantage, only_the_clipped(ratio, advantage, clip))


def clipped_above_only(ratio: float, advantage: float, clip: float) -> float:
    return min(ratio, 1 + clip) * advantage


def k1(policy_logprob: float, reference_logprob: float) -> float:
    return policy_logprob - reference_logprob


def ratio_turned_round(policy_logprob: float, reference_logprob: float) -> float:
    return solutions.k3(reference_logprob, policy_logprob)


def logarithm_forgotten(policy_logprob: float, reference_logprob: float) -> float:
    return math.exp(reference_logprob - policy_logprob) - 1


EXERCISES = (
    Exercise(
        id="10.1",
        title="The loss of a pair",
        question=(
            "Four log-probabilities and β: the DPO loss of one pair, −log σ of the difference of "
            "the hidden rewards."
        ),
        solution=solutions.dpo,
        cases=(
            (-1.0, -3.0, -2.0, -2.5, 0.5),
            (-7.0, -2.0, -7.0, -2.0, 0.1),
            (-4.0, -1.0, -2.0, -6.0, 0.3),
            (-20.0, -35.0, -22.0, -30.0, 0.2),
        ),
        mistakes=(
            Mistake(
                "the reference is forgotten",
                "A reply that is likely anyway earns nothing: subtract what the reference gave it.",
                without_reference,
            ),
            Mistake(
                "chosen and rejected are turned round",
                "The loss must fall when the *chosen* reply becomes likelier.",
                turned_round,
            ),
            Mistake(
                "β is forgotten",
                "The hidden reward is β times the log-ratio.",
                beta_forgotten,
            ),
            Mistake(
                "the sigmoid, not its logarithm",
                "The loss is −log σ(margin): log(1 + e^−margin).",
                sigmoid_not_its_log,
            ),
        ),
        hints=(
            "First the two log-ratios, policy minus reference; then their difference, times β.",
            "`math.log(1 + math.exp(-margin))`",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="10.2",
        title="Better than its group",
        question="The advantages of the replies to one request, from their rewards.",
        solution=solutions.advantages,
        cases=(
            ([1.0, 0.0, 0.0, 1.0],),
            ([0.5, 0.5, 0.5],),
            ([0.0, 0.25, 1.0],),
            ([-2.0, 4.0],),
        ),
        mistakes=(
            Mistake(
                "not divided by the deviation",
                "A group of tiny differences counts as much as one of large ones.",
                not_divided,
            ),
            Mistake(
                "the rewards as they are",
                "Without the mean every reply becomes likelier where all rewards are positive.",
                rewards_as_they_are,
            ),
            Mistake(
                "divides by n",
                "The deviation of a sample divides by n − 1.",
                divides_by_n,
            ),
            Mistake(
                "divides by the variance",
                "The standard deviation is the variance's root.",
                divides_by_the_variance,
            ),
        ),
        hints=(
            "Mean first; then the root of the mean square distance, with n − 1.",
            "Mind the group in which all rewards are equal: its deviation is 0.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="10.3",
        title="No further than that",
        question="The clipped gain of one token, from the ratio π/π_old and its advantage.",
        solution=solutions.clipped_gain,
        cases=(
            (1.0, 0.5, 0.2),
            (1.5, 2.0, 0.2),
            (0.4, 2.0, 0.2),
            (1.5, -1.0, 0.2),
            (0.4, -1.0, 0.2),
        ),
        mistakes=(
            Mistake(
                "not clipped",
                "A token that has moved beyond 1 ± clip in the right direction pulls no further.",
                not_clipped,
            ),
            Mistake(
                "only the clipped one",
                "Take the *smaller*: a token that went the wrong way must be able to return.",
                only_the_clipped,
            ),
            Mistake(
                "the larger of both",
                "The smaller one is the cautious one.",
                the_larger,
            ),
            Mistake(
                "clipped above only",
                "A ratio below 1 − clip is clipped too: that matters for negative advantages.",
                clipped_above_only,
            ),
        ),
        hints=(
            "Two products: with the ratio, and with the ratio kept in 1 − clip … 1 + clip.",
            "`min(ratio * advantage, kept * advantage)`",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="10.4",
        title="The leash",
        question="The estimate k3 of the divergence from one token that the policy drew.",
        solution=solutions.k3,
        cases=((-1.0, -1.0), (-1.0, -2.0), (-2.0, -0.5), (-0.1, -3.0)),
        mistakes=(
            Mistake(
                "the difference of the logarithms",
                "That is right on average too, but may be negative: add ρ − 1.",
                k1,
            ),
            Mistake(
                "the ratio is turned round",
                "ρ is reference over policy, because the policy drew the token.",
                ratio_turned_round,
            ),
            Mistake(
                "the logarithm is forgotten",
                "ρ − 1 alone is 0 on average: it measures nothing.",
                logarithm_forgotten,
            ),
        ),
        hints=(
            "log ρ is a difference of the two arguments. Which one first?",
            "It is never negative: try equal log-probabilities, then a larger and a smaller one.",
        ),
        judge=close(1e-9),
    ),
)
