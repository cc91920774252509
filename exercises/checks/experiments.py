"""Exercises of chapter 07 from 07.13 on, which belong to 07c and 07e, with their wrong answers."""

import math
from statistics import fmean, pvariance

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import experiments as solutions

# 07.13 bits a byte


def stays_in_nats(loss_nats: float, num_tokens: int, text: str) -> float:
    return loss_nats * num_tokens / len(text.encode())


def multiplies_by_ln_2(loss_nats: float, num_tokens: int, text: str) -> float:
    return loss_nats * num_tokens * math.log(2) / len(text.encode())


def counts_characters(loss_nats: float, num_tokens: int, text: str) -> float:
    return loss_nats * num_tokens / math.log(2) / len(text)


def bits_a_token(loss_nats: float, num_tokens: int, text: str) -> float:
    return loss_nats / math.log(2)


def mean_for_the_sum(loss_nats: float, num_tokens: int, text: str) -> float:
    return loss_nats / math.log(2) / len(text.encode())


# 07.14 a leak


def without_twins(
    suspects: list[list[float]], twins: list[list[float]], num_errors: float
) -> int | None:
    return solutions.first_alarm(suspects, [suspects[0]] * len(suspects), num_errors)


def the_wrong_way_round(
    suspects: list[list[float]], twins: list[list[float]], num_errors: float
) -> int | None:
    return solutions.first_alarm(twins, suspects, num_errors)


def any_difference(
    suspects: list[list[float]], twins: list[list[float]], num_errors: float
) -> int | None:
    return solutions.first_alarm(suspects, twins, 0.0)


def forgets_the_root_of_n(
    suspects: list[list[float]], twins: list[list[float]], num_errors: float
) -> int | None:
    return solutions.first_alarm(suspects, twins, num_errors * math.sqrt(len(suspects[0])))


def in_pairs(
    suspects: list[list[float]], twins: list[list[float]], num_errors: float
) -> int | None:
    gaps = [[twin - each for each, twin in zip(*sides)] for sides in zip(suspects, twins)]
    zeros = [[0.0] * len(each) for each in gaps]
    return solutions.first_alarm(zeros, gaps, num_errors)


def divides_by_n(
    suspects: list[list[float]], twins: list[list[float]], num_errors: float
) -> int | None:
    for look, sides in enumerate(zip(suspects, twins)):
        gap = fmean(sides[1]) - fmean(sides[0])
        if gap > num_errors * math.sqrt(sum(pvariance(side) / len(side) for side in sides)):
            return look
    return None


def looks_at_the_end_alone(
    suspects: list[list[float]], twins: list[list[float]], num_errors: float
) -> int | None:
    is_sure = solutions.first_alarm(suspects[-1:], twins[-1:], num_errors) is not None
    return len(suspects) - 1 if is_sure else None


# 07.15 equal compute

Shape = tuple[int, int, int]


def with_operations(
    base_steps: int, base: Shape, variant: Shape, vocab_size: int, length: int, *,
    has_head: bool = True, has_scores: bool = True, num_embeddings: int = 0,
) -> int:  # fmt: skip
    def operations(shape: Shape) -> int:
        layers, width, ffn_width = shape
        total = 2 * layers * (4 * width**2 + 3 * width * ffn_width)
        total += 4 * layers * width * length * has_scores
        return total + 2 * vocab_size * width * (has_head + num_embeddings)

    return round(base_steps * operations(base) / operations(variant))


def equal_steps(
    base_steps: int, base: Shape, variant: Shape, vocab_size: int, length: int
) -> int:
    return base_steps


def forgets_the_head(
    base_steps: int, base: Shape, variant: Shape, vocab_size: int, length: int
) -> int:
    return with_operations(base_steps, base, variant, vocab_size, length, has_head=False)


def forgets_the_scores(
    base_steps: int, base: Shape, variant: Shape, vocab_size: int, length: int
) -> int:
    return with_operations(base_steps, base, variant, vocab_size, length, has_scores=False)


def multiplies_by_the_embedding(
    base_steps: int, base: Shape, variant: Shape, vocab_size: int, length: int
) -> int:
    return with_operations(base_steps, base, variant, vocab_size, length, num_embeddings=1)


def the_wrong_way_up(
    base_steps: int, base: Shape, variant: Shape, vocab_size: int, length: int
) -> int:
    return with_operations(base_steps, variant, base, vocab_size, length)


# 07.16 perplexity


def mean_of_perplexities(nats_by_document: list[list[float]]) -> float:
    found = [math.exp(sum(nats) / len(nats)) for nats in nats_by_document]
    return sum(found) / len(found)


def documents_count_alike(nats_by_document: list[list[float]]) -> float:
    found = [sum(nats) / len(nats) for nats in nats_by_document]
    return math.exp(sum(found) / len(found))


def mean_over_tokens_of_perplexities(nats_by_document: list[list[float]]) -> float:
    found = [math.exp(nat) for nats in nats_by_document for nat in nats]
    return sum(found) / len(found)


def two_to_the_nats(nats_by_document: list[list[float]]) -> float:
    return 2 ** math.log(solutions.perplexity(nats_by_document))


LEAKING = (
    [[2.0, 2.4, 2.2, 2.6], [1.0, 1.3, 1.2, 1.5], [0.4, 0.8, 0.5, 0.9]],
    [[2.1, 2.3, 2.3, 2.5], [1.2, 1.6, 1.3, 1.8], [0.9, 1.3, 1.2, 1.4]],
)

EXERCISES = (
    Exercise(
        id="07.13",
        title="Nats a token, bits a byte",
        question=(
            "The loss in a log is a mean, in nats a token; models with other tokenizers are "
            "compared in bits a byte. Turn one into the other. By hand: a loss of ln 4 over the "
            "two tokens of \"é\" is 4 bits over 2 bytes = 2."
        ),
        solution=solutions.bits_a_byte,
        cases=(
            (math.log(4), 2, "é"),
            (1.25, 3, "the cat"),
            (2.0, 2, "é — ça"),
            (1.5, 5, "ein Tag"),
        ),
        mistakes=(
            Mistake("stays in nats", "A bit is ln 2 nats: divide by .693.", stays_in_nats),
            Mistake(
                "multiplies by ln 2",
                "There are more bits than nats, 1.44 times as many: divide.",
                multiplies_by_ln_2,
            ),
            Mistake(
                "counts characters",
                "é has two bytes, — has three: `len(text.encode())`.",
                counts_characters,
            ),
            Mistake(
                "divides by tokens",
                "Another tokenizer has other tokens; the bytes of a text are the same for all.",
                bits_a_token,
            ),
            Mistake(
                "the mean is taken for the sum",
                "The bytes are those of the whole text, so the bits must be: the mean times the "
                "number of tokens.",
                mean_for_the_sum,
            ),
        ),
        hints=(
            "How surprised was the model by the whole text?",
            "The mean times the count is the sum; a sum of nats / `math.log(2)` are bits.",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="07.14",
        title="Has it seen the exam?",
        question=(
            "Every model finds its exam easier the longer it trains. A leak is seen beside twins "
            "that it cannot have read: at which look are the suspects easier, for sure?"
        ),
        solution=solutions.first_alarm,
        cases=(
            (*LEAKING, 1.2),
            (*LEAKING, 3.0),
            (*LEAKING, 3.7),
            (*LEAKING, 4.5),
            (*LEAKING, 100.0),
            (LEAKING[1], LEAKING[0], 3.0),
            ([[3.0, 3.2, 3.1], [1.0, 1.2, 1.1]], [[3.1, 3.1, 3.2], [1.1, 1.1, 1.2]], 2.0),
            ([[1.0, 2.0], [0.5, 1.5]], [[1.3, 2.31], [0.4, 1.6]], 3.0),
            ([[1.0, 2.0, 3.0]], [[1.1, 2.0, 3.1]], 3.0),
        ),
        mistakes=(
            Mistake(
                "compares the suspects with themselves",
                "A loss that falls from look to look is learning, not a leak: without twins one "
                "cannot tell the two apart.",
                without_twins,
            ),
            Mistake(
                "the wrong way round",
                "A suspect that was read is *easier*: the difference is twin − suspect.",
                the_wrong_way_round,
            ),
            Mistake(
                "any difference is an alarm",
                "Half of all honest models are a little better on the suspects by chance: the mean "
                "must be above some standard errors.",
                any_difference,
            ),
            Mistake(
                "the spread of an item, not of the mean",
                "The mean of n differences varies less than one of them: divide by √n.",
                forgets_the_root_of_n,
            ),
            Mistake(
                "the variance is divided by n",
                "The mean was taken from the same n numbers, so their spread about it is too "
                "small: n − 1.",
                divides_by_n,
            ),
            Mistake(
                "pairs what is no pair",
                "Suspect i and twin i are two unrelated stories: in another order their "
                "differences spread otherwise. Take each side's mean and spread by itself.",
                in_pairs,
            ),
            Mistake(
                "looks at the end alone",
                "The alarm is of use before the training ends: go through the looks in order.",
                looks_at_the_end_alone,
            ),
        ),
        hints=(
            "Two means a look, and a variance for each; the variances of the means add.",
            "`theirs - ours > num_errors * math.sqrt(s2 / n + t2 / m)`; s2 is over `n - 1`.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="07.15",
        title="A fair number of steps",
        question=(
            "Deeper and wider models get fewer steps for the same arithmetic. How many? The "
            "head's product belongs to the bill; looking up an embedding costs nothing."
        ),
        solution=solutions.fair_steps,
        cases=(
            (500, (2, 48, 128), (4, 48, 128), 512, 64),
            (500, (2, 48, 128), (2, 96, 256), 512, 64),
            (500, (2, 48, 128), (1, 48, 128), 512, 64),
            (1000, (6, 256, 688), (12, 256, 688), 32_000, 256),
            (300, (3, 64, 168), (3, 64, 168), 1024, 128),
        ),
        mistakes=(
            Mistake(
                "equal steps",
                "A larger model computes more in a step: with as many steps it was given more.",
                equal_steps,
            ),
            Mistake(
                "forgets the head",
                "V·D is a large part of a small model's step, and does not grow with the layers.",
                forgets_the_head,
            ),
            Mistake(
                "forgets scores and sums",
                "Queries meet keys, weights meet values: 4·D·T a token and layer.",
                forgets_the_scores,
            ),
            Mistake(
                "multiplies by the embedding",
                "A row is looked up, nothing is multiplied: V·D counts once, for the head.",
                multiplies_by_the_embedding,
            ),
            Mistake(
                "the wrong way up",
                "The dearer the step, the fewer of them.",
                the_wrong_way_up,
            ),
        ),
        hints=(
            "Write a function for the operations of a shape; the budget is steps times operations.",
            "`round(base_steps * operations(base) / operations(variant))`",
        ),
    ),
    Exercise(
        id="07.16",
        title="One perplexity for many documents",
        question=(
            "A long document and two short ones: what is the perplexity of the model on all of "
            "it? Means and exponentials do not change places."
        ),
        solution=solutions.perplexity,
        cases=(
            ([[1.0, 2.0, 3.0], [0.5]],),
            ([[math.log(4)] * 5, [math.log(2)]],),
            ([[0.1, 0.2], [4.0, 6.0, 5.0], [1.0]],),
            ([[2.0]],),
        ),
        mistakes=(
            Mistake(
                "mean of perplexities",
                "One document of high perplexity outweighs all others: take the mean before the "
                "exponential, not after it.",
                mean_of_perplexities,
            ),
            Mistake(
                "documents count alike",
                "A document of three tokens is not worth as much as one of a thousand: sum over "
                "all tokens, divide by all tokens.",
                documents_count_alike,
            ),
            Mistake(
                "mean of each token's exponential",
                "1/p of the rarest token decides it. The exponential comes once, at the end.",
                mean_over_tokens_of_perplexities,
            ),
            Mistake(
                "2 to the power of nats",
                "Nats belong to e, bits to 2.",
                two_to_the_nats,
            ),
        ),
        hints=("Two sums, one division, one exponential.", "`math.exp(total / num_tokens)`"),
        judge=close(1e-5),
    ),
)
