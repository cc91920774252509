"""Solutions of chapter 07 from 07.13 on, which belong to notebooks 07c and 07e."""

import math


def bits_a_byte(loss_nats: float, num_tokens: int, text: str) -> float:
    """Bits for each byte of the text, from the mean surprise at its `num_tokens` tokens in nats.

    A bit is ln 2 nats; bytes are those of UTF-8.
    """
    return loss_nats * num_tokens / math.log(2) / len(text.encode())


def first_alarm(
    suspects: list[list[float]], twins: list[list[float]], num_errors: float
) -> int | None:
    """The first look at which suspected items are easier than their twins, for sure; else None.

    `suspects[k][i]` is the surprise at suspect i at look k, `twins[k][i]` that at another story
    of the same kind. For sure: the difference of the two means is above `num_errors` of its
    standard errors, √(s²/n + t²/m), where s² = Σ (x − mean)² / (n − 1) is the variance of the n
    suspects and t² that of the m twins.
    """

    def mean_and_error(values: list[float]) -> tuple[float, float]:
        mean = sum(values) / len(values)
        squares = sum((value - mean) ** 2 for value in values)
        return mean, squares / (len(values) - 1) / len(values)

    for look, sides in enumerate(zip(suspects, twins)):
        (ours, our_error), (theirs, their_error) = map(mean_and_error, sides)
        if theirs - ours > num_errors * math.sqrt(our_error + their_error):
            return look
    return None


def fair_steps(
    base_steps: int, base: tuple[int, int, int], variant: tuple[int, int, int],
    vocab_size: int, length: int,
) -> int:  # fmt: skip
    """How many steps the variant gets for the base's operations, to the nearest whole one.

    A shape is (layers, width, feed-forward width). A token costs 2 operations a weight of the
    layers (4·D² in attention, 3·D·F behind it), 4·D·T a layer for scores and sums, and 2·V·D for
    the head. Looking up its embedding costs none.
    """

    def operations(shape: tuple[int, int, int]) -> int:
        layers, width, ffn_width = shape
        weights = layers * (4 * width**2 + 3 * width * ffn_width)
        return 2 * weights + 4 * layers * width * length + 2 * vocab_size * width

    return round(base_steps * operations(base) / operations(variant))


def perplexity(nats_by_document: list[list[float]]) -> float:
    """e to the mean surprise over *all* tokens of all documents, in nats."""
    total = sum(sum(nats) for nats in nats_by_document)
    return math.exp(total / sum(len(nats) for nats in nats_by_document))
