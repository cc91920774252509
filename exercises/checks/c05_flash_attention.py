"""Exercises 05 · Flash attention

Five small functions that hold all of the fused kernel: one step of the online softmax, the merge of
two partial results, the tiles that a causal mask leaves, the bytes that are moved, and softmax's
gradient from one number a row. They belong to [chapter 05](../notebooks/05_flash_attention.ipynb).
Plain Python floats and lists are enough.
"""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c05_flash_attention as solutions


def not_rescaled(maximum: float, total: float, score: float) -> tuple[float, float]:
    larger = max(maximum, score)
    return larger, total + math.exp(score - larger)


def rescaled_upward(maximum: float, total: float, score: float) -> tuple[float, float]:
    larger = max(maximum, score)
    rescale = math.exp(min(larger - maximum, 700.0))
    return larger, total * rescale + math.exp(score - larger)


def newest_is_maximum(maximum: float, total: float, score: float) -> tuple[float, float]:
    return score, total * math.exp(maximum - score) + 1.0


def without_maximum(maximum: float, total: float, score: float) -> tuple[float, float]:
    return max(maximum, score), total + math.exp(score)


def averaged(
    out_a: list[float], lse_a: float, out_b: list[float], lse_b: float
) -> tuple[list[float], float]:
    _, lse = solutions.merge(out_a, lse_a, out_b, lse_b)
    return [(a + b) / 2 for a, b in zip(out_a, out_b)], lse


def added(
    out_a: list[float], lse_a: float, out_b: list[float], lse_b: float
) -> tuple[list[float], float]:
    _, lse = solutions.merge(out_a, lse_a, out_b, lse_b)
    return [a + b for a, b in zip(out_a, out_b)], lse


def exponentials_overflow(
    out_a: list[float], lse_a: float, out_b: list[float], lse_b: float
) -> tuple[list[float], float]:
    share_a, share_b = math.exp(lse_a), math.exp(lse_b)
    total = share_a + share_b
    return [(a * share_a + b * share_b) / total for a, b in zip(out_a, out_b)], math.log(total)


def logarithms_added(
    out_a: list[float], lse_a: float, out_b: list[float], lse_b: float
) -> tuple[list[float], float]:
    out, _ = solutions.merge(out_a, lse_a, out_b, lse_b)
    return out, lse_a + lse_b


def every_tile(num_queries: int, num_keys: int, edge: int, offset: int) -> list[tuple[int, int]]:
    return solutions.tiles_visited(num_queries, num_keys, edge, num_keys)


def offset_ignored(
    num_queries: int, num_keys: int, edge: int, offset: int
) -> list[tuple[int, int]]:
    return solutions.tiles_visited(num_queries, num_keys, edge, 0)


def diagonal_left_out(
    num_queries: int, num_keys: int, edge: int, offset: int
) -> list[tuple[int, int]]:
    found = solutions.tiles_visited(num_queries, num_keys, edge, offset)
    return [(t, s) for t, s in found if (s + 1) * edge - 1 <= t * edge + offset]


def first_query_alone(
    num_queries: int, num_keys: int, edge: int, offset: int
) -> list[tuple[int, int]]:
    found = solutions.tiles_visited(num_queries, num_keys, edge, offset)
    return [(t, s) for t, s in found if s * edge <= t * edge + offset]


def keys_read_once(num_tokens: int, head_width: int, edge: int, element_bytes: int) -> int:
    return 4 * num_tokens * head_width * element_bytes + 4 * num_tokens


def no_mask(num_tokens: int, head_width: int, edge: int, element_bytes: int) -> int:
    pairs = (num_tokens // edge) ** 2
    rows = 2 * num_tokens + 2 * pairs * edge
    return rows * head_width * element_bytes + 4 * num_tokens


def scores_written(num_tokens: int, head_width: int, edge: int, element_bytes: int) -> int:
    scores = num_tokens * num_tokens * element_bytes
    return solutions.fused_bytes(num_tokens, head_width, edge, element_bytes) + scores


def keys_without_values(num_tokens: int, head_width: int, edge: int, element_bytes: int) -> int:
    num_tiles = num_tokens // edge
    rows = 2 * num_tokens + num_tiles * (num_tiles + 1) // 2 * edge
    return rows * head_width * element_bytes + 4 * num_tokens


def delta_left_out(weights: list[float], grad_weights: list[float]) -> list[float]:
    return [weight * grad for weight, grad in zip(weights, grad_weights)]


def plain_mean(weights: list[float], grad_weights: list[float]) -> list[float]:
    mean = sum(grad_weights) / len(grad_weights)
    return [weight * (grad - mean) for weight, grad in zip(weights, grad_weights)]


def weight_left_out(weights: list[float], grad_weights: list[float]) -> list[float]:
    delta = sum(weight * grad for weight, grad in zip(weights, grad_weights))
    return [grad - delta for grad in grad_weights]


def diagonal_alone(weights: list[float], grad_weights: list[float]) -> list[float]:
    return [weight * (1 - weight) * grad for weight, grad in zip(weights, grad_weights)]


EXERCISES = (
    Exercise(
        id="05.1",
        title="One step of the online softmax",
        question=(
            "Scores arrive one at a time. Keep $m = \\max_s x_s$ and "
            "$\\ell = \\sum_s e^{x_s - m}$ without ever looking back at an earlier score."
        ),
        solution=solutions.online_update,
        cases=(
            (-math.inf, 0.0, 2.0), (2.0, 1.0, 5.0), (5.0, 1.5, 2.0), (3.0, 2.0, 3.0),
            (800.0, 1.0, 801.0), (-900.0, 4.0, -905.0),
        ),
        mistakes=(
            Mistake(
                "the old sum is not rescaled",
                "It was counted in units of exp(old maximum): multiply it by exp(old - larger).",
                not_rescaled,
            ),
            Mistake(
                "rescaled the wrong way round",
                "A larger maximum makes earlier terms smaller: exp(old - larger) is at most 1.",
                rescaled_upward,
            ),
            Mistake(
                "the newest score taken for the maximum",
                "The maximum changes only if the new score is larger than it.",
                newest_is_maximum,
            ),
            Mistake(
                "exponentials without the maximum",
                "exp(800) overflows: subtract the larger maximum from the score first.",
                without_maximum,
            ),
        ),
        hints=(
            "What is the old sum worth, in units of the exponential of the larger maximum?",
            "`larger = max(maximum, score)`; the old sum times `exp(maximum - larger)`, plus …",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="05.2",
        title="Merge two halves",
        question=(
            "One program attended to the first half of the keys, another to the second. Each left "
            "its normalised output and its log-sum-exp. What is the result over all keys?"
        ),
        solution=solutions.merge,
        cases=(
            ([1.0, 3.0], 0.5, [3.0, 5.0], 0.5),
            ([1.0], math.log(3.0), [5.0], math.log(1.0)),
            ([2.0, 0.0], -3.0, [0.0, 4.0], 2.0),
            ([1.0, -1.0], 1000.0, [4.0, 2.0], 999.0),
        ),
        mistakes=(
            Mistake(
                "the plain mean of both outputs",
                "A half with larger scores weighs more: in proportion to exp(lse).",
                averaged,
            ),
            Mistake(
                "the sum of both outputs",
                "Each half is normalised by its own sum: divide by the sum over all keys.",
                added,
            ),
            Mistake(
                "exp(lse) overflows",
                "exp(1000) is too large for a float: subtract the larger lse from both first.",
                exponentials_overflow,
            ),
            Mistake(
                "log-sum-exps added",
                "Sums of exponentials add up, their logarithms do not: log(e^a + e^b).",
                logarithms_added,
            ),
        ),
        hints=(
            "exp(lse) is the sum of exponentials of that half. How large is its share of both?",
            "Shares `exp(lse - larger)`, a weighted mean, and `larger + log(sum of the shares)`.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="05.3",
        title="Tiles under the mask",
        question=(
            "Queries and keys are cut into tiles of `edge` positions. Which pairs of tiles does a "
            "causal kernel visit? `offset` keys stand before the first query, as with a cache."
        ),
        solution=solutions.tiles_visited,
        cases=((4, 4, 2, 0), (7, 7, 3, 0), (5, 9, 2, 4), (3, 8, 2, 1), (1, 6, 4, 5), (5, 5, 1, 0)),
        mistakes=(
            Mistake(
                "every tile is visited",
                "Nobody in a tile above the diagonal sees anything: nearly half can be left out.",
                every_tile,
            ),
            Mistake(
                "the offset is ignored",
                "Query t stands at position t + offset of the text.",
                offset_ignored,
            ),
            Mistake(
                "tiles on the diagonal are left out",
                "A tile that is hidden in part is still needed for the other part.",
                diagonal_left_out,
            ),
            Mistake(
                "only the first query of a tile is asked",
                "The last query of the tile sees furthest: ask that one.",
                first_query_alone,
            ),
        ),
        hints=(
            "Which query of a tile sees the most, and which key of a tile is seen by the most?",
            "Keep a pair if the tile's first key is at most its last query + offset.",
        ),
    ),
    Exercise(
        id="05.4",
        title="Count the bytes",
        question=(
            "How many bytes does the fused forward pass read and write for one causal head? "
            "Count every tile as often as it is moved."
        ),
        solution=solutions.fused_bytes,
        cases=((2, 1, 2, 4), (8, 4, 2, 2), (1024, 64, 64, 2), (4096, 128, 64, 2)),
        mistakes=(
            Mistake(
                "keys and values counted once",
                "Every query tile reads them again, as far as it sees them.",
                keys_read_once,
            ),
            Mistake(
                "the mask is forgotten",
                "Query tile i meets i + 1 key tiles: n (n + 1) / 2 pairs in all, not n².",
                no_mask,
            ),
            Mistake(
                "the scores are counted",
                "They are made and used in registers: that they are never moved is the point.",
                scores_written,
            ),
            Mistake(
                "the values are forgotten",
                "Of every pair of tiles both the keys and the values are read.",
                keys_without_values,
            ),
        ),
        hints=(
            "How many pairs of tiles are there under the mask, with n query tiles?",
            "2·T·K·e for q and out, 2·edge·K·e for each of n (n + 1) / 2 pairs, 4·T for lse.",
        ),
    ),
    Exercise(
        id="05.5",
        title="Softmax's gradient from one number",
        question=(
            "With weights $p = \\mathrm{softmax}(x)$ and a loss whose gradient by $p$ is "
            "$\\partial p$, the gradient by the scores is "
            "$\\partial x_s = p_s\\,(\\partial p_s - \\Delta)$, with one $\\Delta$ a row."
        ),
        solution=solutions.grad_scores,
        cases=(
            ([0.5, 0.5], [1.0, 0.0]), ([0.7, 0.2, 0.1], [1.0, -2.0, 0.5]), ([1.0], [3.0]),
            ([0.25, 0.0, 0.75], [2.0, 9.0, 2.0]),
        ),
        mistakes=(
            Mistake(
                "delta left out",
                "The weights of a row sum to 1: raising one score lowers all other weights.",
                delta_left_out,
            ),
            Mistake(
                "the plain mean instead of the weighted one",
                "Delta is the mean of the gradients under the weights p themselves.",
                plain_mean,
            ),
            Mistake(
                "not multiplied by the weight",
                "A key with weight 0 moves nothing: its score has gradient 0.",
                weight_left_out,
            ),
            Mistake(
                "the diagonal of the derivative alone",
                "A score also moves the weights of the other keys: by -p_s · p_r.",
                diagonal_alone,
            ),
        ),
        hints=(
            "The gradients of a row of scores sum to 0. Which delta makes that true?",
            "`delta = sum(p * dp)`, which is also the product of the output and its gradient.",
        ),
        judge=close(1e-9),
    ),
)
