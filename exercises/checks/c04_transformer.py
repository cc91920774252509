"""Exercises 04 · The transformer

Parts of the model and what they cost, small enough to write from memory. Replace `raise
NotImplementedError`, run the cell, then the `check` below it. A wrong answer that others have given
is told its mistake. Where arguments are lists, plain Python floats are enough.

04.1 to 04.6 belong to [04](../notebooks/04_transformer.ipynb), 04.7 to 04.9 to
[04b](../notebooks/04b_positions.ipynb), 04.10 and 04.11 to
[04c](../notebooks/04c_initialisation.ipynb), 04.12 and 04.13 to
[04e](../notebooks/04e_costs.ipynb), 04.14 to 04.18 to [04d](../notebooks/04d_variants.ipynb).
"""

import math

import torch

from exercises.checks import costs, positions, variants
from exercises.checks.positions import drawn
from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c04_transformer as solutions

# 04.1 the mask


def sees_the_next_token(num_queries: int, num_keys: int, offset: int) -> torch.Tensor:
    return torch.arange(num_keys)[None, :] <= torch.arange(num_queries)[:, None] + offset + 1


def is_blind_to_itself(num_queries: int, num_keys: int, offset: int) -> torch.Tensor:
    return torch.arange(num_keys)[None, :] < torch.arange(num_queries)[:, None] + offset


def forgets_the_offset(num_queries: int, num_keys: int, offset: int) -> torch.Tensor:
    return torch.arange(num_keys)[None, :] <= torch.arange(num_queries)[:, None]


def looks_only_ahead(num_queries: int, num_keys: int, offset: int) -> torch.Tensor:
    return torch.arange(num_keys)[None, :] >= torch.arange(num_queries)[:, None] + offset


def true_where_hidden(num_queries: int, num_keys: int, offset: int) -> torch.Tensor:
    return ~solutions.causal_mask(num_queries, num_keys, offset)


# 04.2 the weights


def weights_from(scores_TS: torch.Tensor, mask_TS: torch.Tensor) -> torch.Tensor:
    return scores_TS.masked_fill(~mask_TS, -math.inf).softmax(dim=-1)


def unscaled(q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor) -> torch.Tensor:
    return weights_from(q_TK @ k_SK.T, mask_TS)


def scaled_by_width(q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor) -> torch.Tensor:
    return weights_from(q_TK @ k_SK.T / q_TK.shape[-1], mask_TS)


def hidden_with_zero(q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor) -> torch.Tensor:
    scores_TS = q_TK @ k_SK.T / math.sqrt(q_TK.shape[-1])
    return scores_TS.masked_fill(~mask_TS, 0.0).softmax(dim=-1)


def softmax_over_queries(
    q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor
) -> torch.Tensor:
    scores_TS = q_TK @ k_SK.T / math.sqrt(q_TK.shape[-1])
    return scores_TS.masked_fill(~mask_TS, -math.inf).softmax(dim=-2)


def masked_after_softmax(
    q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor
) -> torch.Tensor:
    weights_TS = (q_TK @ k_SK.T / math.sqrt(q_TK.shape[-1])).softmax(dim=-1)
    return weights_TS * mask_TS


def exponentials_overflow(
    q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor
) -> torch.Tensor:
    strength_TS = (q_TK @ k_SK.T / math.sqrt(q_TK.shape[-1])).exp() * mask_TS
    return strength_TS / strength_TS.sum(dim=-1, keepdim=True)


def hidden_then_overflow(
    q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor
) -> torch.Tensor:
    scores_TS = q_TK @ k_SK.T / math.sqrt(q_TK.shape[-1])
    strength_TS = scores_TS.masked_fill(~mask_TS, -math.inf).exp()
    return strength_TS / strength_TS.sum(dim=-1, keepdim=True)


def hides_what_may_be_seen(
    q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor
) -> torch.Tensor:
    return weights_from(q_TK @ k_SK.T / math.sqrt(q_TK.shape[-1]), ~mask_TS)


def lower_triangle(num_queries: int, num_keys: int) -> torch.Tensor:
    return solutions.causal_mask(num_queries, num_keys, num_keys - num_queries)


# 04.3 the norm


def epsilon_outside_the_root(x: list[float], epsilon: float) -> list[float]:
    size = math.sqrt(sum(value * value for value in x) / len(x)) + epsilon
    return [value / size for value in x]


def epsilon_forgotten(x: list[float], epsilon: float) -> list[float]:
    return solutions.rms_norm(x, 0.0)


def subtracts_the_mean(x: list[float], epsilon: float) -> list[float]:
    mean = sum(x) / len(x)
    return solutions.rms_norm([value - mean for value in x], epsilon)


def sum_instead_of_mean(x: list[float], epsilon: float) -> list[float]:
    size = math.sqrt(sum(value * value for value in x) + epsilon)
    return [value / size for value in x]


def no_root(x: list[float], epsilon: float) -> list[float]:
    size = sum(value * value for value in x) / len(x) + epsilon
    return [value / size for value in x]


# 04.4 the rotation


def turned(
    x_K: torch.Tensor, angle: torch.Tensor, first: torch.Tensor, second: torch.Tensor
) -> torch.Tensor:
    """The pairs at the places `first` and `second`, turned."""
    out_K = torch.empty_like(x_K)
    out_K[first] = x_K[first] * angle.cos() - x_K[second] * angle.sin()
    out_K[second] = x_K[second] * angle.cos() + x_K[first] * angle.sin()
    return out_K


def neighbours_are_pairs(x_K: torch.Tensor, place: int, theta: float) -> torch.Tensor:
    even = torch.arange(0, len(x_K), 2)
    return turned(x_K, place * theta ** (-even / len(x_K)), even, even + 1)


def turns_backwards(x_K: torch.Tensor, place: int, theta: float) -> torch.Tensor:
    return solutions.rotate_at(x_K, -place, theta)


def exponent_without_the_two(x_K: torch.Tensor, place: int, theta: float) -> torch.Tensor:
    first = torch.arange(len(x_K) // 2)
    return turned(x_K, place * theta ** (-first / len(x_K)), first, first + len(first))


def one_speed_for_all(x_K: torch.Tensor, place: int, theta: float) -> torch.Tensor:
    first = torch.arange(len(x_K) // 2)
    return turned(x_K, place * torch.ones(len(first)), first, first + len(first))


def counts_places_from_one(x_K: torch.Tensor, place: int, theta: float) -> torch.Tensor:
    return solutions.rotate_at(x_K, place + 1, theta)


# 04.5 the count


def keys_as_wide_as_queries(V: int, D: int, L: int, H: int, G: int, F: int) -> int:
    return solutions.num_parameters(V, D, L, H, H, F)


def counts_a_tied_head_twice(V: int, D: int, L: int, H: int, G: int, F: int) -> int:
    return V * D + solutions.num_parameters(V, D, L, H, G, F)


def two_matrices_in_the_feed_forward_part(V: int, D: int, L: int, H: int, G: int, F: int) -> int:
    return solutions.num_parameters(V, D, L, H, G, F) - L * D * F


def forgets_the_norms(V: int, D: int, L: int, H: int, G: int, F: int) -> int:
    return solutions.num_parameters(V, D, L, H, G, F) - L * 2 * D - D


def forgets_the_last_norm(V: int, D: int, L: int, H: int, G: int, F: int) -> int:
    return solutions.num_parameters(V, D, L, H, G, F) - D


# 04.6 the score


def characters_instead_of_bytes(text: str, surprise_nats: list[float]) -> float:
    return sum(surprise_nats) / math.log(2) / len(text)


def nats_instead_of_bits(text: str, surprise_nats: list[float]) -> float:
    return sum(surprise_nats) / len(text.encode())


def multiplies_by_ln_2(text: str, surprise_nats: list[float]) -> float:
    return sum(surprise_nats) * math.log(2) / len(text.encode())


def bits_per_token(text: str, surprise_nats: list[float]) -> float:
    return sum(surprise_nats) / math.log(2) / len(surprise_nats)


def mean_surprise_over_bytes(text: str, surprise_nats: list[float]) -> float:
    return bits_per_token(text, surprise_nats) / len(text.encode())


EXERCISES = (
    Exercise(
        id="04.1",
        title="The causal mask",
        question=(
            "Query `t` stands at place `t + offset`, because `offset` keys came before the first "
            "query. It may look at itself and at everything before. By hand: 2 queries, 4 keys "
            "and an offset of 2 give the rows `T T T F` and `T T T T`."
        ),
        solution=solutions.causal_mask,
        cases=((2, 4, 2), (3, 3, 0), (1, 1, 0), (1, 5, 4), (4, 7, 3)),
        mistakes=(
            Mistake(
                "sees the next token",
                "Key s = t + offset + 1 is the answer that the model should guess. What is the "
                "last key that stands at the query's own place?",
                sees_the_next_token,
            ),
            Mistake(
                "is blind to itself",
                "The newest token is the best hint of all: ≤, not <. With < the first row is "
                "empty, and its softmax is NaN.",
                is_blind_to_itself,
            ),
            Mistake(
                "forgets the offset",
                "With a cache the first query is not the first token: it stands at place `offset`.",
                forgets_the_offset,
            ),
            Mistake(
                "looks only ahead",
                "Rows are queries, columns are keys, and True means *may look*.",
                looks_only_ahead,
            ),
            Mistake(
                "True and False exchanged",
                "True means *may look*; this is the mask of what is hidden.",
                true_where_hidden,
            ),
        ),
        hints=(
            "Make a column of the queries' places and a row of the keys' places; what does "
            "comparing them give?",
            "`torch.arange(num_queries)[:, None] + offset` is the column.",
            "`torch.arange(num_keys)[None, :] <= …`",
        ),
    ),
    Exercise(
        id="04.2",
        title="Attention weights",
        question=(
            "Scores, scale, mask, softmax. Each row sums to 1. By hand: with `K = 4`, a query `(2 "
            "ln 3, 0, 0, 0)` and keys `(0, 0, 0, 0)`, `(1, 0, 0, 0)`, the weights are 1/4 and "
            "3/4. Scores may be in the thousands."
        ),
        solution=solutions.attention_weights,
        cases=(
            (
                torch.tensor([[2 * math.log(3), 0, 0, 0]]),
                torch.tensor([[0.0] * 4, [1.0, 0, 0, 0]]),
                lower_triangle(1, 2),
            ),
            (drawn(5, 6), drawn(5, 6, seed=1), lower_triangle(5, 5)),
            (drawn(2, 3), drawn(7, 3, seed=2), lower_triangle(2, 7)),
            (100 * drawn(3, 8), 100 * drawn(3, 8, seed=3), lower_triangle(3, 3)),
        ),
        mistakes=(
            Mistake("no scale", "The variance of a score is K: divide by √K.", unscaled),
            Mistake(
                "scaled by K",
                "Variance K means a typical size of √K: divide by the root.",
                scaled_by_width,
            ),
            Mistake(
                "hides with 0",
                "A score of 0 is an ordinary score, its weight is not 0. Which score has the "
                "weight e^score = 0?",
                hidden_with_zero,
            ),
            Mistake(
                "softmax over the queries",
                "A query shares its attention among the keys: the rows must sum to 1.",
                softmax_over_queries,
            ),
            Mistake(
                "masks after the softmax",
                "The hidden keys have taken their share by then: the rows no longer sum to 1.",
                masked_after_softmax,
            ),
            Mistake(
                "overflows",
                "e¹⁰⁰⁰ is infinite in float32, and ∞/∞ is NaN. `softmax` subtracts each row's "
                "maximum first.",
                exponentials_overflow,
            ),
            Mistake(
                "overflows",
                "e¹⁰⁰⁰ is infinite in float32, and ∞/∞ is NaN. `softmax` subtracts each row's "
                "maximum first.",
                hidden_then_overflow,
            ),
            Mistake(
                "hides what may be seen",
                "`masked_fill` fills where its argument is True: `~mask_TS`.",
                hides_what_may_be_seen,
            ),
        ),
        hints=(
            "Four steps, one line each: `q_TK @ k_SK.T`, divide, `masked_fill`, `softmax`.",
            "`scores_TS.masked_fill(~mask_TS, -math.inf).softmax(dim=-1)`",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="04.3",
        title="RMSNorm",
        question=(
            "Divide by the root of the mean square. By hand, with ε = 0: (3, 4) → (3/√12.5, "
            "4/√12.5)."
        ),
        solution=solutions.rms_norm,
        cases=(
            ([3.0, 4.0], 0.0),
            ([1.0, 2.0, 6.0], 0.5),
            ([1e-3, -2e-3], 1e-5),
            ([0.0, 0.0], 1e-5),
        ),
        mistakes=(
            Mistake(
                "ε outside the root",
                "√(mean + ε), not √mean + ε: inside, ε is a variance and outvotes only vectors "
                "that are tiny.",
                epsilon_outside_the_root,
            ),
            Mistake(
                "ε is forgotten",
                "A vector of zeros has the size 0: ε keeps the division possible.",
                epsilon_forgotten,
            ),
            Mistake(
                "subtracts the mean", "That is LayerNorm; RMSNorm only scales.", subtracts_the_mean
            ),
            Mistake(
                "sums instead of averaging",
                "Divide the sum of squares by how many there are.",
                sum_instead_of_mean,
            ),
            Mistake("no root", "A mean of squares has the wrong unit: take its root.", no_root),
        ),
        hints=("Three numbers on the way: the mean of the squares, plus ε, the root of that.",),
        judge=close(1e-6),
    ),
    Exercise(
        id="04.4",
        title="Rotate a vector",
        question=(
            "Turn pair `(x_i, x_{i+K/2})` by `place · θ^(−2i/K)`: a pair `(a, b)` becomes `(a cos "
            "α − b sin α, b cos α + a sin α)`. By hand: `(1, 0)` at place 1 → `(cos 1, sin 1)`."
        ),
        solution=solutions.rotate_at,
        cases=(
            (torch.tensor([1.0, 0.0]), 1, 100.0),
            (torch.tensor([1.0, 2.0, 3.0, 4.0]), 0, 100.0),
            (torch.tensor([1.0, 2.0, 3.0, 4.0]), 3, 100.0),
            (drawn(8), 5, 10_000.0),
        ),
        mistakes=(
            Mistake(
                "pairs neighbours",
                "Also a rotation, but not Llama's layout: partner of x_i is x_{i+K/2}. Weights "
                "trained with one layout are useless with the other.",
                neighbours_are_pairs,
            ),
            Mistake(
                "turns backwards", "The minus belongs to the first of the pair.", turns_backwards
            ),
            Mistake(
                "exponent without the 2",
                "i runs over K/2 pairs: with −i/K the slowest pair turns too fast. The exponent "
                "is −2i/K.",
                exponent_without_the_two,
            ),
            Mistake(
                "one speed for all",
                "Each pair is a clock of its own: θ^(−2i/K).",
                one_speed_for_all,
            ),
            Mistake(
                "counts places from one",
                "Place 0 must leave the vector as it is.",
                counts_places_from_one,
            ),
        ),
        hints=(
            "With `half = K // 2`, the angles are `place * theta ** (-torch.arange(half) / half)`.",
            "Cut x into `x[:half]` and `x[half:]`; the result is `torch.cat` of two sums.",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="04.5",
        title="Count the parameters",
        question=(
            "Embedding (the head is tied to it), and in each of L layers: q, k, v, o projections, "
            "gate, up, down, two norms; one norm at the end. No biases. By hand: V = 10, D = 4, L "
            "= 1, H = 2, G = 1, F = 3 → 40 + (16 + 8 + 8 + 16) + 36 + 8 + 4 = 136."
        ),
        solution=solutions.num_parameters,
        cases=((10, 4, 1, 2, 1, 3), (4096, 256, 6, 4, 2, 688), (100, 12, 3, 6, 6, 20)),
        mistakes=(
            Mistake(
                "keys as wide as queries",
                "Keys and values have only G heads: their matrices are D × G·K.",
                keys_as_wide_as_queries,
            ),
            Mistake(
                "counts the tied head",
                "Head and embedding are one table: it is stored once.",
                counts_a_tied_head_twice,
            ),
            Mistake(
                "two matrices in the feed-forward part",
                "SwiGLU has three: gate, up and down.",
                two_matrices_in_the_feed_forward_part,
            ),
            Mistake(
                "forgets the norms",
                "Each norm has D weights: two in a layer, one at the end.",
                forgets_the_norms,
            ),
            Mistake(
                "forgets the last norm",
                "One more norm stands before the head.",
                forgets_the_last_norm,
            ),
        ),
        hints=(
            "q and o are D × D; k and v are D × (G · K), and K = D / H.",
            "The layer: 2D² + 2D·G·K + 3D·F + 2D.",
        ),
    ),
    Exercise(
        id="04.6",
        title="Bits per byte",
        question=(
            "`surprise_nats` holds −ln p at each token of the text. One bit is ln 2 nats; text is "
            'stored as UTF-8. By hand: three tokens of probability 1/4 spell "ab": 6 bits over 2 '
            "bytes = 3."
        ),
        solution=solutions.bits_per_byte,
        cases=(
            ("ab", [math.log(4)] * 3),
            ("Ella had a marble.", [2.0, 1.5, 0.25, 3.0]),
            ("çà et là 🙂", [4.0, 1.0, 2.5, 0.5, 6.0]),
        ),
        mistakes=(
            Mistake(
                "characters instead of bytes",
                "An emoji is one character and four bytes: `text.encode()`.",
                characters_instead_of_bytes,
            ),
            Mistake("nats instead of bits", "Divide by ln 2.", nats_instead_of_bits),
            Mistake(
                "multiplies by ln 2",
                "There are more bits than nats, 1.44 times as many: divide.",
                multiplies_by_ln_2,
            ),
            Mistake(
                "bits per token",
                "Tokens differ between tokenizers, which is why bytes are counted.",
                bits_per_token,
            ),
            Mistake(
                "averages before dividing",
                "The whole text's bits are shared among the whole text's bytes: sum, no mean.",
                mean_surprise_over_bytes,
            ),
        ),
        hints=("`len(text.encode())` are the bytes, `sum(surprise_nats) / math.log(2)` the bits.",),
        judge=close(1e-5),
    ),
    *positions.EXERCISES,
    *costs.EXERCISES,
    *variants.EXERCISES,
)
