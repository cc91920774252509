"""Exercises 05 · Flash attention

Eight small functions that hold all of the fused kernels: one step of the online softmax, the merge
of two partial results, the tiles that a causal mask leaves, the bytes that are moved, softmax's
gradient from one number a row, all gradients of one query, the tiles of a window, and a norm's
gradient. They belong to [chapter 05](../notebooks/05_flash_attention.ipynb) and its side notebooks
[05b](../notebooks/05b_backward.ipynb) and [05c](../notebooks/05c_memory_bound.ipynb).
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
    return larger, total * math.exp(larger - maximum) + math.exp(score - larger)


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


def weighs_by_the_logarithm(
    out_a: list[float], lse_a: float, out_b: list[float], lse_b: float
) -> tuple[list[float], float]:
    _, lse = solutions.merge(out_a, lse_a, out_b, lse_b)
    return [(a * lse_a + b * lse_b) / (lse_a + lse_b) for a, b in zip(out_a, out_b)], lse


def larger_logarithm_alone(
    out_a: list[float], lse_a: float, out_b: list[float], lse_b: float
) -> tuple[list[float], float]:
    out, _ = solutions.merge(out_a, lse_a, out_b, lse_b)
    return out, max(lse_a, lse_b)


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


def last_tile_taken_for_full(
    num_queries: int, num_keys: int, edge: int, offset: int
) -> list[tuple[int, int]]:
    return [
        (query_tile, key_tile)
        for query_tile in range(-(-num_queries // edge))
        for key_tile in range(-(-num_keys // edge))
        if key_tile * edge <= (query_tile + 1) * edge - 1 + offset
    ]


def part_of_a_tile_forgotten(
    num_queries: int, num_keys: int, edge: int, offset: int
) -> list[tuple[int, int]]:
    found = solutions.tiles_visited(num_queries, num_keys, edge, offset)
    return [(t, s) for t, s in found if t < num_queries // edge and s < num_keys // edge]


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


def log_sum_exp_forgotten(num_tokens: int, head_width: int, edge: int, element_bytes: int) -> int:
    return solutions.fused_bytes(num_tokens, head_width, edge, element_bytes) - 4 * num_tokens


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


Gradients = tuple[list[float], list[list[float]], list[list[float]]]


def scale_forgotten(
    query: list[float], keys: list[list[float]], values: list[list[float]], grad_out: list[float]
) -> Gradients:
    grad_query, grad_keys, grad_values = solutions.query_gradients(query, keys, values, grad_out)
    root = math.sqrt(len(query))
    grad_keys = [[root * x for x in row] for row in grad_keys]
    return [root * x for x in grad_query], grad_keys, grad_values


def attention_weights(query: list[float], keys: list[list[float]]) -> list[float]:
    scores = [sum(a * b for a, b in zip(query, key)) / math.sqrt(len(query)) for key in keys]
    powers = [math.exp(score - max(scores)) for score in scores]
    return [power / sum(powers) for power in powers]


def mean_not_taken_off(
    query: list[float], keys: list[list[float]], values: list[list[float]], grad_out: list[float]
) -> Gradients:
    _, _, grad_values = solutions.query_gradients(query, keys, values, grad_out)
    slopes = [
        weight * sum(a * b for a, b in zip(value, grad_out)) / math.sqrt(len(query))
        for weight, value in zip(attention_weights(query, keys), values)
    ]
    grad_query = [sum(s * key[i] for s, key in zip(slopes, keys)) for i in range(len(query))]
    return grad_query, [[slope * number for number in query] for slope in slopes], grad_values


def values_not_weighted(
    query: list[float], keys: list[list[float]], values: list[list[float]], grad_out: list[float]
) -> Gradients:
    grad_query, grad_keys, _ = solutions.query_gradients(query, keys, values, grad_out)
    return grad_query, grad_keys, [list(grad_out) for _ in values]


def keys_from_keys(
    query: list[float], keys: list[list[float]], values: list[list[float]], grad_out: list[float]
) -> Gradients:
    grad_query, _, grad_values = solutions.query_gradients(query, keys, values, grad_out)
    weights = attention_weights(query, keys)
    grad_weights = [sum(a * b for a, b in zip(value, grad_out)) for value in values]
    slopes = solutions.grad_scores(weights, grad_weights)
    root = math.sqrt(len(query))
    return grad_query, [[s * x / root for x in key] for s, key in zip(slopes, keys)], grad_values


def powers_overflow(
    query: list[float], keys: list[list[float]], values: list[list[float]], grad_out: list[float]
) -> Gradients:
    for key in keys:
        math.exp(sum(a * b for a, b in zip(query, key)) / math.sqrt(len(query)))
    return solutions.query_gradients(query, keys, values, grad_out)


def window_ignored(num_tokens: int, edge: int, window: int) -> list[tuple[int, int, bool]]:
    return solutions.window_tiles(num_tokens, edge, num_tokens)


def window_one_too_wide(num_tokens: int, edge: int, window: int) -> list[tuple[int, int, bool]]:
    return solutions.window_tiles(num_tokens, edge, window + 1)


def window_of_the_last_query(
    num_tokens: int, edge: int, window: int
) -> list[tuple[int, int, bool]]:
    found = solutions.window_tiles(num_tokens, edge, window)
    return [(t, s, whole) for t, s, whole in found if (s + 1) * edge > (t + 1) * edge - window]


def whole_for_the_first_query(
    num_tokens: int, edge: int, window: int
) -> list[tuple[int, int, bool]]:
    found = solutions.window_tiles(num_tokens, edge, window)
    return [
        (t, s, (s + 1) * edge - 1 <= t * edge and s * edge > t * edge - window)
        for t, s, _ in found
    ]


def diagonal_taken_for_whole(
    num_tokens: int, edge: int, window: int
) -> list[tuple[int, int, bool]]:
    found = solutions.window_tiles(num_tokens, edge, window)
    return [(t, s, s * edge > t * edge + edge - 1 - window) for t, s, _ in found]


def root_a_constant(x: list[float], grad_y: list[float]) -> list[float]:
    root = math.sqrt(sum(number * number for number in x) / len(x))
    return [grad / root for grad in grad_y]


def sum_in_place_of_mean(x: list[float], grad_y: list[float]) -> list[float]:
    root = math.sqrt(sum(number * number for number in x) / len(x))
    y = [number / root for number in x]
    along = sum(grad * number for grad, number in zip(grad_y, y))
    return [(grad - number * along) / root for grad, number in zip(grad_y, y)]


def along_x_instead_of_y(x: list[float], grad_y: list[float]) -> list[float]:
    root = math.sqrt(sum(number * number for number in x) / len(x))
    along = sum(grad * number for grad, number in zip(grad_y, x)) / len(x)
    return [(grad - number * along) / root for grad, number in zip(grad_y, x)]


def root_left_out(x: list[float], grad_y: list[float]) -> list[float]:
    root = math.sqrt(sum(number * number for number in x) / len(x))
    return [root * grad for grad in solutions.norm_gradient(x, grad_y)]


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
            Mistake(
                "weighs by lse itself",
                "lse is a logarithm; the shares are its exponentials.",
                weighs_by_the_logarithm,
            ),
            Mistake(
                "the larger lse alone",
                "Add the logarithm of the sum of shares.",
                larger_logarithm_alone,
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
            Mistake(
                "the last tile is taken for full",
                "The last tile may hold fewer queries: `min(…, num_queries) - 1`.",
                last_tile_taken_for_full,
            ),
            Mistake(
                "a tile that is not full is forgotten",
                "Round up: `-(-n // edge)`.",
                part_of_a_tile_forgotten,
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
            Mistake(
                "the log-sum-exp is forgotten",
                "The backward pass needs it: 4 bytes a query are written.",
                log_sum_exp_forgotten,
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
    Exercise(
        id="05.6",
        title="All gradients of one query",
        question=(
            "One query has met its keys. From behind comes the gradient of its output. Which "
            "gradients go to the query, to each key, to each value? Scores are "
            "$q \\cdot k_s / \\sqrt K$. `grad_scores` of 05.5 may help, once it is solved and its "
            "cell has run."
        ),
        solution=solutions.query_gradients,
        cases=(
            ([1.0], [[1.0], [3.0], [2.0]], [[1.0], [2.0], [4.0]], [1.0]),
            ([1.0, -2.0], [[0.5, 1.0], [2.0, 0.0]], [[1.0, 0.0], [0.0, 3.0]], [1.0, 0.5]),
            ([0.3, 0.1, 2.0, 1.0], [[1.0, 2.0, 3.0, 4.0]], [[5.0, 6.0]], [1.0, -1.0]),
            ([90.0, 90.0], [[9.0, 9.0], [8.0, 9.0]], [[1.0], [2.0]], [4.0]),
        ),
        mistakes=(
            Mistake(
                "the scale is forgotten on the way back",
                "Scores were divided by the root of K: the gradients of query and keys are, too.",
                scale_forgotten,
            ),
            Mistake(
                "the mean is not taken off",
                "Between weights and scores stands softmax: p (dp - D), with D the sum of p dp.",
                mean_not_taken_off,
            ),
            Mistake(
                "the values' gradient is not weighted",
                "A value is blamed as much as it was listened to: its weight times grad_out.",
                values_not_weighted,
            ),
            Mistake(
                "the keys' gradient is made from the keys",
                "A score is a product: its gradient goes to the key times the query.",
                keys_from_keys,
            ),
            Mistake(
                "exponentials overflow",
                "exp(1000) is too large for a float: subtract the largest score from all of them "
                "first.",
                powers_overflow,
            ),
        ),
        hints=(
            "First the weights, then their gradients value · grad_out, then those of the scores.",
            "grad_query sums slope · key over keys; a key gets slope · query; slopes hold 1/√K.",
        ),
        judge=close(1e-9),
    ),
    Exercise(
        id="05.7",
        title="Tiles of a window",
        question=(
            "With a sliding window query $t$ sees the keys $t - w < s \\le t$. Which tiles must be "
            "visited, and in which of them is every pair seen, so that no mask is needed?"
        ),
        solution=solutions.window_tiles,
        cases=((4, 2, 2), (12, 2, 6), (12, 3, 4), (16, 4, 1), (8, 1, 3), (12, 2, 5), (9, 3, 100)),
        mistakes=(
            Mistake(
                "the window is ignored",
                "Keys further back than the window are seen by nobody: their tiles are skipped.",
                window_ignored,
            ),
            Mistake(
                "the window is one too wide",
                "A window of w holds w keys, the query's own among them: s > t - w.",
                window_one_too_wide,
            ),
            Mistake(
                "only the last query of a tile is asked where the window begins",
                "The first query of the tile sees furthest back: ask that one.",
                window_of_the_last_query,
            ),
            Mistake(
                "a tile is whole if its first query sees all of it",
                "The last query of the tile has left behind the most: it must see the first key.",
                whole_for_the_first_query,
            ),
            Mistake(
                "the diagonal is taken for whole",
                "The tile's first query must see the last key too: the mask cuts the diagonal.",
                diagonal_taken_for_whole,
            ),
        ),
        hints=(
            "Which query of a tile sees furthest back, which sees furthest ahead?",
            "Seen: the tile's last key > first query - w. Whole: last key ≤ first query, and …",
        ),
    ),
    Exercise(
        id="05.8",
        title="The gradient of a norm",
        question=(
            "$y = x / r$ with $r = \\sqrt{\\mathrm{mean}(x^2)}$, as in RMSNorm without weight and "
            "$\\varepsilon$. From the gradient of $y$, what is that of $x$?"
        ),
        solution=solutions.norm_gradient,
        cases=(
            ([1.0, 2.0, 2.0], [1.0, 0.0, 0.0]), ([1.0, 1.0], [1.0, 0.0]), ([3.0], [2.0]),
            ([0.5, -4.0, 1.0, 2.0], [1.0, 2.0, -1.0, 0.5]),
        ),
        mistakes=(
            Mistake(
                "the root is taken for a constant",
                "Growing one number makes r larger, and so all of y smaller.",
                root_a_constant,
            ),
            Mistake(
                "the sum in place of the mean",
                "r holds a mean of squares: what is taken off is y times the mean of dy · y.",
                sum_in_place_of_mean,
            ),
            Mistake(
                "x in place of y",
                "What is taken off is in units of the normed row: y times the mean of dy · y.",
                along_x_instead_of_y,
            ),
            Mistake(
                "not divided by the root",
                "x moves y by 1/r: a long row, changed a little, hardly changes its normed form.",
                root_left_out,
            ),
        ),
        hints=(
            "If all of x grows by one factor, y stays: the gradient has nothing along x.",
            "Take so much of y off dy that what is left has a product of 0 with y; then, 1/r.",
        ),
        judge=close(1e-9),
    ),
)
