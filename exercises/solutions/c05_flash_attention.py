"""Solutions to the exercises of chapter 05, Flash attention."""

import math


def online_update(maximum: float, total: float, score: float) -> tuple[float, float]:
    """The running maximum and the running sum of exponentials after one more score.

    `total` is the sum of exp(s - maximum) over the scores s seen so far; before the first score,
    maximum is -inf and total 0. `online_update(2.0, 1.0, 5.0)` is `(5.0, exp(-3) + 1)`.
    """
    larger = max(maximum, score)
    return larger, total * math.exp(maximum - larger) + math.exp(score - larger)


def merge(
    out_a: list[float], lse_a: float, out_b: list[float], lse_b: float
) -> tuple[list[float], float]:
    """The attention output and log-sum-exp over two sets of keys, from those of each set.

    With equal `lse` the output is the mean of both, and lse grows by log 2. An `lse` can be 1,000.
    """
    larger = max(lse_a, lse_b)
    share_a, share_b = math.exp(lse_a - larger), math.exp(lse_b - larger)
    total = share_a + share_b
    out = [(a * share_a + b * share_b) / total for a, b in zip(out_a, out_b)]
    return out, larger + math.log(total)


def tiles_visited(num_queries: int, num_keys: int, edge: int, offset: int) -> list[tuple[int, int]]:
    """The tiles (query tile, key tile) in which at least one query sees at least one key, in order.

    Query t sees the keys s ≤ t + offset. Tile i holds positions i · edge to (i + 1) · edge - 1, as
    far as they exist. `tiles_visited(4, 4, 2, 0)` is `[(0, 0), (1, 0), (1, 1)]`.
    """
    found = []
    for query_tile in range(-(-num_queries // edge)):
        last_query = min((query_tile + 1) * edge, num_queries) - 1
        for key_tile in range(-(-num_keys // edge)):
            if key_tile * edge <= last_query + offset:
                found.append((query_tile, key_tile))
    return found


def fused_bytes(num_tokens: int, head_width: int, edge: int, element_bytes: int) -> int:
    """Bytes that the fused forward pass moves for one head: causal, as many queries as keys.

    `num_tokens` is a multiple of `edge`. Each query tile reads its queries once, then a tile of
    keys and one of values for every tile that the mask leaves, and writes its outputs, and 4 bytes
    of log-sum-exp a query. `fused_bytes(2, 1, 2, 4)` is 8 + 8 + 8 + 8 + 8 = 40.
    """
    num_tiles = num_tokens // edge
    num_pairs = num_tiles * (num_tiles + 1) // 2
    queries_and_outputs = 2 * num_tokens * head_width * element_bytes
    keys_and_values = 2 * num_pairs * edge * head_width * element_bytes
    return queries_and_outputs + keys_and_values + 4 * num_tokens


def grad_scores(weights: list[float], grad_weights: list[float]) -> list[float]:
    """The gradient of one row of scores, from softmax's output and the gradient of that output.

    `grad_scores([0.5, 0.5], [1.0, 0.0])` is `[0.25, -0.25]`.
    """
    delta = sum(weight * grad for weight, grad in zip(weights, grad_weights))
    return [weight * (grad - delta) for weight, grad in zip(weights, grad_weights)]


def query_gradients(
    query: list[float], keys: list[list[float]], values: list[list[float]], grad_out: list[float]
) -> tuple[list[float], list[list[float]], list[list[float]]]:
    """The gradients of one query, of its keys and of its values, from that of its output.

    The output is the mean of the values under weights, softmax of query · key / √K. A score can be
    1,000. With one key, the query and the key get gradients of 0, and the value gets `grad_out`.
    """
    scale = 1 / math.sqrt(len(query))
    scores = [scale * sum(a * b for a, b in zip(query, key)) for key in keys]
    largest = max(scores)
    powers = [math.exp(score - largest) for score in scores]
    weights = [power / sum(powers) for power in powers]
    grad_values = [[weight * grad for grad in grad_out] for weight in weights]
    grad_weights = [sum(a * b for a, b in zip(value, grad_out)) for value in values]
    slopes = [scale * grad for grad in grad_scores(weights, grad_weights)]
    grad_query = [sum(s * key[i] for s, key in zip(slopes, keys)) for i in range(len(query))]
    grad_keys = [[slope * number for number in query] for slope in slopes]
    return grad_query, grad_keys, grad_values


def window_tiles(num_tokens: int, edge: int, window: int) -> list[tuple[int, int, bool]]:
    """The tiles (query tile, key tile) in which something is seen, and whether all of it is.

    Query t sees the keys s with t - window < s ≤ t. Tokens are a multiple of `edge`. In order;
    `window_tiles(4, 2, 2)` is `[(0, 0, False), (1, 0, False), (1, 1, False)]`.
    """
    found = []
    for query_tile in range(num_tokens // edge):
        first_query, last_query = query_tile * edge, query_tile * edge + edge - 1
        for key_tile in range(query_tile + 1):
            first_key, last_key = key_tile * edge, key_tile * edge + edge - 1
            if last_key > first_query - window:
                is_whole = last_key <= first_query and first_key > last_query - window
                found.append((query_tile, key_tile, is_whole))
    return found


def norm_gradient(x: list[float], grad_y: list[float]) -> list[float]:
    """The gradient of x, where y = x / √(mean of x²), from the gradient of y.

    `norm_gradient([1.0, 1.0], [1.0, 0.0])` is `[0.5, -0.5]`: nothing of it lies along x.
    """
    root = math.sqrt(sum(number * number for number in x) / len(x))
    y = [number / root for number in x]
    along = sum(grad * number for grad, number in zip(grad_y, y)) / len(x)
    return [(grad - number * along) / root for grad, number in zip(grad_y, y)]
