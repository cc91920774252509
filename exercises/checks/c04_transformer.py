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

from exercises.answers import plain, same, shown
from exercises.checks import variants
from exercises.engine import Exercise, Mistake, close, satisfies
from exercises.solutions import c04_transformer as solutions


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random numbers, the same every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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


# 04.7 the places


def offset_not_advanced(num_cached: int, documents: list[int]) -> list[int]:
    return solutions.places_of(0, documents)


def one_place_too_far(num_cached: int, documents: list[int]) -> list[int]:
    places = solutions.places_of(num_cached, documents)
    return [p + (d == documents[0]) for p, d in zip(places, documents, strict=True)]


def last_cached_place_again(num_cached: int, documents: list[int]) -> list[int]:
    places = solutions.places_of(num_cached, documents)
    return [p - (d == documents[0]) for p, d in zip(places, documents, strict=True)]


def all_at_the_first_new_place(num_cached: int, documents: list[int]) -> list[int]:
    return [num_cached if document == documents[0] else 0 for document in documents]


def documents_go_on(num_cached: int, documents: list[int]) -> list[int]:
    return [num_cached + index for index in range(len(documents))]


def each_document_begins_at_one(num_cached: int, documents: list[int]) -> list[int]:
    places = solutions.places_of(num_cached, documents)
    return [p + (d != documents[0]) for p, d in zip(places, documents, strict=True)]


def the_cache_counts_in_every_document(num_cached: int, documents: list[int]) -> list[int]:
    places = solutions.places_of(num_cached, documents)
    return [p + num_cached * (d != documents[0]) for p, d in zip(places, documents, strict=True)]


# 04.8 the distance


def pairs_neighbours(
    q_K: torch.Tensor, k_K: torch.Tensor, distance: int, theta: float
) -> torch.Tensor:
    halves = torch.cat((torch.arange(0, len(q_K), 2), torch.arange(1, len(q_K), 2)))
    return solutions.score_at_distance(q_K[halves], k_K[halves], distance, theta)


def turns_towards_the_future(
    q_K: torch.Tensor, k_K: torch.Tensor, distance: int, theta: float
) -> torch.Tensor:
    return solutions.score_at_distance(q_K, k_K, -distance, theta)


def turns_both_by_the_distance(
    q_K: torch.Tensor, k_K: torch.Tensor, distance: int, theta: float
) -> torch.Tensor:
    return solutions.rotate_at(q_K, distance, theta) @ solutions.rotate_at(k_K, distance, theta)


def forgets_what_is_crossed(
    q_K: torch.Tensor, k_K: torch.Tensor, distance: int, theta: float
) -> torch.Tensor:
    forward = solutions.score_at_distance(q_K, k_K, distance, theta)
    return (forward + solutions.score_at_distance(q_K, k_K, -distance, theta)) / 2


def same_speed_for_every_pair(
    q_K: torch.Tensor, k_K: torch.Tensor, distance: int, theta: float
) -> torch.Tensor:
    return solutions.score_at_distance(q_K, k_K, distance, 1.0)


# 04.9 the price


def price_fault(got: torch.Tensor, num_heads: int, num_queries: int, num_keys: int) -> str:
    """Only what a query may see is compared: the mask hides the rest, whatever stands there."""
    wanted_HTS = solutions.alibi_price(num_heads, num_queries, num_keys)
    seen_TS = lower_triangle(num_queries, num_keys)
    got_HTS = torch.as_tensor(got)
    if got_HTS.shape != wanted_HTS.shape:
        return f"expected the shape {tuple(wanted_HTS.shape)}, not {tuple(got_HTS.shape)}"
    if same(plain(wanted_HTS[:, seen_TS]), plain(got_HTS[:, seen_TS]), 1e-6):
        return ""
    return f"expected, nan where it is masked, {shown(wanted_HTS.masked_fill(~seen_TS, math.nan))}"


def rewards_distance(num_heads: int, num_queries: int, num_keys: int) -> torch.Tensor:
    return -solutions.alibi_price(num_heads, num_queries, num_keys)


def queries_begin_at_the_first_key(num_heads: int, num_queries: int, num_keys: int) -> torch.Tensor:
    return solutions.alibi_price(num_heads, num_keys, num_keys)[:, :num_queries]


def heads_from_zero(num_heads: int, num_queries: int, num_keys: int) -> torch.Tensor:
    return solutions.alibi_price(num_heads, num_queries, num_keys) * 2 ** (8 / num_heads)


def slopes_of_eight_heads(num_heads: int, num_queries: int, num_keys: int) -> torch.Tensor:
    slope_H = 2.0 ** -torch.arange(1, num_heads + 1)
    return slope_H[:, None, None] * 2**8 * solutions.alibi_price(1, num_queries, num_keys)


def one_slope_for_all(num_heads: int, num_queries: int, num_keys: int) -> torch.Tensor:
    return solutions.alibi_price(num_heads, num_queries, num_keys)[:1].expand(num_heads, -1, -1)


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
    Exercise(
        id="04.7",
        title="Places",
        question=(
            "Where does each new token stand? `num_cached` tokens of the first document were read "
            "before; `documents` says to which document each of the new ones belongs, and every "
            "document begins at place 0. By hand: 5 cached tokens and the new documents 0 0 1 1 1 "
            "give 5 6 0 1 2."
        ),
        solution=solutions.places_of,
        cases=(
            (5, [0, 0, 1, 1, 1]),
            (0, [0, 0, 0]),
            (7, [3]),
            (0, [0, 1, 2, 2]),
            (2, [4, 4, 5, 5, 6]),
        ),
        mistakes=(
            Mistake(
                "offset not advanced",
                "With a cache the first new token is not the text's first: turned as if it stood "
                "at 0, it would hear every key at the wrong distance.",
                offset_not_advanced,
            ),
            Mistake(
                "one place too far",
                "5 cached tokens stand at 0 to 4; the next stands at 5.",
                one_place_too_far,
            ),
            Mistake(
                "the last cached place again",
                "5 cached tokens stand at 0 to 4; at 4 there is one already.",
                last_cached_place_again,
            ),
            Mistake(
                "all at the first new place",
                "Right for one new token at a time; a prompt brings many, one place each.",
                all_at_the_first_new_place,
            ),
            Mistake(
                "documents go on",
                "A packed document must be read as it is read alone: from place 0.",
                documents_go_on,
            ),
            Mistake(
                "later documents begin at one",
                "Their first token stands at 0, like the first token of any text.",
                each_document_begins_at_one,
            ),
            Mistake(
                "the cache counts in every document",
                "The cached tokens belong to the first document; the others have nothing before.",
                the_cache_counts_in_every_document,
            ),
        ),
        hints=(
            "Go through the documents, and keep the place of the token before.",
            "Same document as before: one more than the last place, which is `num_cached - 1` at "
            "the start. Another document: 0.",
        ),
    ),
    Exercise(
        id="04.8",
        title="Only the distance",
        question=(
            "A query turned to place `t` times a key turned to place `s`, without turning either: "
            "pair i of q, (a, b), and of k, (c, d), give `(ac + bd) cos α + (ad − bc) sin α` with "
            "α = (t − s) · θ^(−2i/K); pairs are half a head apart, as in 04.4. By hand: (1, 0) and "
            "(0, 1) at a distance of 1 → sin 1."
        ),
        solution=solutions.score_at_distance,
        cases=(
            (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 1, 100.0),
            (torch.tensor([1.0, 2.0, 3.0, 4.0]), torch.tensor([2.0, -1.0, 0.5, 1.0]), 3, 100.0),
            (drawn(8), drawn(8, seed=1), 17, 10_000.0),
            (drawn(6), drawn(6, seed=2), 0, 50.0),
        ),
        mistakes=(
            Mistake(
                "pairs neighbours",
                "Partner of x_i is x_{i+K/2}: cut each vector in half.",
                pairs_neighbours,
            ),
            Mistake(
                "turns towards the future",
                "t − s is positive for what came before; the sign decides which way the key lies.",
                turns_towards_the_future,
            ),
            Mistake(
                "the distance has no effect",
                "Turning neither, or both by one angle, leaves the product as it was: α is the "
                "angle *between* them.",
                turns_both_by_the_distance,
            ),
            Mistake(
                "forgets the crossed part",
                "cos alone cannot tell before from after: (ad − bc) sin α can.",
                forgets_what_is_crossed,
            ),
            Mistake(
                "one speed for all",
                "Each pair turns by an angle of its own: θ^(−2i/K) a place.",
                same_speed_for_every_pair,
            ),
        ),
        hints=(
            "The angles are those of 04.4, with the distance as place.",
            "`same = q[:half] * k[:half] + q[half:] * k[half:]` goes with the cosines.",
        ),
        judge=close(1e-4),
    ),
    Exercise(
        id="04.9",
        title="ALiBi's price",
        question=(
            "What is added to the scores of `num_heads` heads (a power of two): minus slope times "
            "distance, with the slopes 2^(−8h/H) for h = 1 … H. The last query stands at the last "
            "key, so with a cache the first query stands at place S − T. What stands at "
            "masked places does not count. By hand: H = 1, 1 query, 3 keys → −2/256, −1/256, 0."
        ),
        solution=solutions.alibi_price,
        cases=((1, 1, 3), (4, 3, 3), (2, 2, 5), (8, 1, 4), (16, 2, 2)),
        mistakes=(
            Mistake(
                "rewards distance",
                "What is far should count less: the price is subtracted.",
                rewards_distance,
            ),
            Mistake(
                "queries begin at the first key",
                "With a cache there are more keys than queries: query t stands at t + S − T.",
                queries_begin_at_the_first_key,
            ),
            Mistake(
                "heads counted from zero",
                "Then the first slope would be 1: h runs from 1 to H, and the last is 2^−8.",
                heads_from_zero,
            ),
            Mistake(
                "the slopes of eight heads",
                "2^(−h) is right for H = 8 alone: the exponent is −8h/H.",
                slopes_of_eight_heads,
            ),
            Mistake(
                "one slope for all",
                "Each head has its own horizon; with one slope all heads see equally far.",
                one_slope_for_all,
            ),
        ),
        hints=(
            "A column of the queries' places minus a row of the keys' places is the distance.",
            "`slopes_H[:, None, None] * distance_TS` gives every head its own table.",
        ),
        judge=satisfies(price_fault),
    ),
)


# 04.10 the first weights


def scale_forgotten(name: str, std: float, num_layers: int) -> float:
    return std


def no_root_of_the_depth(name: str, std: float, num_layers: int) -> float:
    return std / (2 * num_layers) if solutions.first_std(name, 1.0, 2) < 1 else std


def one_part_a_layer(name: str, std: float, num_layers: int) -> float:
    return std / math.sqrt(num_layers) if solutions.first_std(name, 1.0, 2) < 1 else std


def smaller_where_it_reads(name: str, std: float, num_layers: int) -> float:
    reads = name.endswith(tuple(f"{each}_proj.weight" for each in ("q", "k", "v", "gate", "up")))
    return std / math.sqrt(2 * num_layers) if reads else std


def smaller_everywhere_inside(name: str, std: float, num_layers: int) -> float:
    return std / math.sqrt(2 * num_layers) if "proj" in name else std


# 04.11 a chain of matrices


def fans_mixed_up(shapes: list[tuple[int, int]], std: float) -> tuple[float, float]:
    forward, back = solutions.variance_factors(shapes, std)
    return back, forward


def fan_in_both_ways(shapes: list[tuple[int, int]], std: float) -> tuple[float, float]:
    return (solutions.variance_factors(shapes, std)[0],) * 2


def spread_not_squared(shapes: list[tuple[int, int]], std: float) -> tuple[float, float]:
    return solutions.variance_factors(shapes, math.sqrt(std))


def factors_added(shapes: list[tuple[int, int]], std: float) -> tuple[float, float]:
    return sum(c * std**2 for _, c in shapes), sum(r * std**2 for r, _ in shapes)


# 04.12 the operations


def products_without_additions(
    V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int
) -> int:
    return solutions.step_flops(V, D, L, H, G, F, B, T) // 2


def weights_without_additions(
    V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int
) -> int:
    matrices = L * (2 * D * D + 2 * D * G * (D // H) + 3 * D * F) + V * D
    return solutions.step_flops(V, D, L, H, G, F, B, T) - 3 * B * T * matrices


def back_as_much_as_forward(V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int) -> int:
    return solutions.step_flops(V, D, L, H, G, F, B, T) // 3 * 2


def head_forgotten(V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int) -> int:
    return solutions.step_flops(0, D, L, H, G, F, B, T)


def scores_forgotten(V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int) -> int:
    return solutions.step_flops(V, D, L, H, G, F, B, T) - 12 * B * T * L * D * T


def key_matrices_as_wide_as_query_ones(
    V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int
) -> int:
    return solutions.step_flops(V, D, L, H, H, F, B, T)


def look_up_counted(V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int) -> int:
    return solutions.step_flops(2 * V, D, L, H, G, F, B, T)


def hidden_pairs_left_out(V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int) -> int:
    hidden = T * (T - 1) // 2
    return solutions.step_flops(V, D, L, H, G, F, B, T) - 3 * B * L * 4 * D * hidden


def forward_alone(V: int, D: int, L: int, H: int, G: int, F: int, B: int, T: int) -> int:
    return solutions.step_flops(V, D, L, H, G, F, B, T) // 3


# 04.13 the mean


def counted_in(nats: list[float | None], chunk_size: int) -> list[list[float]]:
    """What counts in each chunk."""
    chunks = [nats[start : start + chunk_size] for start in range(0, len(nats), chunk_size)]
    return [[value for value in chunk if value is not None] for chunk in chunks]


def mean_of_means(nats: list[float | None], chunk_size: int) -> float:
    means = [sum(each) / len(each) for each in counted_in(nats, chunk_size)]
    return sum(means) / len(means)


def mean_of_means_where_any(nats: list[float | None], chunk_size: int) -> float:
    means = [sum(each) / len(each) for each in counted_in(nats, chunk_size) if each]
    return sum(means) / len(means)


def hidden_ones_count_as_nothing(nats: list[float | None], chunk_size: int) -> float:
    return sum(value or 0.0 for value in nats) / len(nats)


def last_chunk_dropped(nats: list[float | None], chunk_size: int) -> float:
    whole = nats[: len(nats) // chunk_size * chunk_size]
    return solutions.mean_in_chunks(whole, chunk_size)


def mean_of_the_last_chunk(nats: list[float | None], chunk_size: int) -> float:
    last = nats[(len(nats) - 1) // chunk_size * chunk_size :]
    return solutions.mean_in_chunks(last, chunk_size)


EXERCISES += (
    Exercise(
        id="04.10",
        title="How large are the first weights?",
        question=(
            "All matrices are drawn with the standard deviation `std`, but those that *write* to "
            "the residual stream are smaller, so that what all parts of all layers add together "
            "has the variance of one. `name` is a weight's name in our model. By hand, with std = "
            "1 and 2 layers: `model.layers.1.self_attn.o_proj.weight` → 1/√4 = .5, "
            "`model.embed_tokens.weight` → 1."
        ),
        solution=solutions.first_std,
        cases=(
            ("model.layers.1.self_attn.o_proj.weight", 1.0, 2),
            ("model.embed_tokens.weight", 1.0, 2),
            ("model.layers.0.mlp.down_proj.weight", 0.02, 32),
            ("model.layers.31.mlp.up_proj.weight", 0.02, 32),
            ("model.layers.0.self_attn.v_proj.weight", 0.1, 6),
            ("model.layers.0.self_attn.q_proj.weight", 0.1, 6),
        ),
        mistakes=(
            Mistake(
                "the scale is forgotten",
                "2L parts add up in the stream: after 32 layers its variance is 64 times that of "
                "one part. Which two matrices of a layer write there?",
                scale_forgotten,
            ),
            Mistake(
                "no root",
                "*Variances* add up: 2L of them should be one, so each variance is 1/(2L) and each "
                "standard deviation its root.",
                no_root_of_the_depth,
            ),
            Mistake(
                "one part a layer",
                "A layer writes twice: attention and the feed-forward part.",
                one_part_a_layer,
            ),
            Mistake(
                "at the matrices that read",
                "q, k, v, gate and up read from the stream; o and down write to it.",
                smaller_where_it_reads,
            ),
            Mistake(
                "everywhere inside",
                "Only the last matrix of each part writes to the stream. Made smaller everywhere, "
                "a part falls by the scale several times over.",
                smaller_everywhere_inside,
            ),
        ),
        hints=(
            "How many numbers are added to the stream, on the way through L layers?",
            '`name.endswith(("o_proj.weight", "down_proj.weight"))`',
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="04.11",
        title="A chain of matrices",
        question=(
            "Independent weights of standard deviation `std`; each shape is (rows, columns), a "
            "matrix takes `columns` numbers and gives `rows`, the first of the list comes first. "
            "By which factor does the chain multiply the variance of what goes through it, and by "
            "which that of a gradient coming back? By hand: one matrix of 3 × 2, std = 1: forward "
            "2 products are added up, back 3 → (2, 3)."
        ),
        solution=solutions.variance_factors,
        cases=(
            ([(3, 2)], 1.0),
            ([(100, 100)], 0.1),
            ([(6, 4), (4, 6), (5, 4)], 0.5),
            ([(688, 256), (256, 688)], 0.04),
        ),
        mistakes=(
            Mistake(
                "fan-in and fan-out exchanged",
                "Forward, each number that comes out is a sum over the columns, of which there are "
                "as many as numbers that go in.",
                fans_mixed_up,
            ),
            Mistake(
                "fan-in both ways",
                "On the way back each number is a sum over the *rows*.",
                fan_in_both_ways,
            ),
            Mistake(
                "the spread is not squared",
                "A variance is a square: each product has the variance std².",
                spread_not_squared,
            ),
            Mistake(
                "added instead of multiplied",
                "What one matrix has made larger the next makes larger again: factors multiply. "
                "(A sum is what the *shortcut* makes of them.)",
                factors_added,
            ),
        ),
        hints=(
            "One matrix: a sum of `columns` independent products, each of variance std².",
            "`math.prod(columns * std**2 for _, columns in shapes)`",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="04.12",
        title="FLOPs of a training step",
        question=(
            "Forward, a multiplication and an addition for each weight of a matrix (norms are not "
            "counted) and token; and in each layer, for each pair of query and key, `2·D` for the "
            "score and `2·D` for the weighted sum, hidden pairs too. Back, each product becomes "
            "two. The head is tied; looking up an embedding costs nothing. By hand: V = 10, D = 4, "
            "L = 1, H = 2, G = 1, F = 3 have 124 weights in matrices and head; one row of 2 "
            "tokens: 3 · 2 · (2 · 124 + 4 · 4 · 2) = 1,680."
        ),
        solution=solutions.step_flops,
        cases=(
            (10, 4, 1, 2, 1, 3, 1, 2),
            (1024, 128, 4, 2, 1, 344, 16, 128),
            (97, 24, 3, 6, 2, 37, 5, 13),
        ),
        mistakes=(
            Mistake(
                "a factor of two is missing",
                "Each weight costs a multiplication *and* an addition.",
                products_without_additions,
            ),
            Mistake(
                "a factor of two is missing",
                "Each weight costs a multiplication *and* an addition.",
                weights_without_additions,
            ),
            Mistake(
                "the way back costs as much as the way there",
                "It costs twice that: a product X·W has one product for the gradient of X and one "
                "for that of W.",
                back_as_much_as_forward,
            ),
            Mistake(
                "forward alone",
                "Each product of the way there costs two on the way back.",
                forward_alone,
            ),
            Mistake(
                "the head is forgotten",
                "The table is looked up for nothing at the bottom, but multiplied at the top: V·D.",
                head_forgotten,
            ),
            Mistake(
                "scores are forgotten",
                "Attention also multiplies what has no weights: queries with keys, weights with "
                "values.",
                scores_forgotten,
            ),
            Mistake(
                "hidden pairs are left out",
                "The plain product computes them all, then hides half.",
                hidden_pairs_left_out,
            ),
            Mistake(
                "key matrices as wide as query ones",
                "Keys and values have only G heads: their matrices are D × G·K.",
                key_matrices_as_wide_as_query_ones,
            ),
            Mistake(
                "looking up is counted",
                "Picking a row multiplies nothing.",
                look_up_counted,
            ),
        ),
        hints=(
            "First the weights that a token is multiplied with: `2*D*D + 2*D*G*K + 3*D*F` a layer, "
            "and the head's.",
            "`3 * B * T * (2 * weights + 4 * L * D * T)`",
        ),
    ),
    Exercise(
        id="04.13",
        title="A mean in chunks",
        question=(
            "`nats` holds the surprise at each token, or None where there is no target. Take the "
            "mean over all targets, looking at `chunk_size` tokens at a time: what all of them at "
            "once would give. By hand: [1, 3, 8] in chunks of 2 → (4 + 8) / 3 = 4, and not (2 + 8) "
            "/ 2 = 5."
        ),
        solution=solutions.mean_in_chunks,
        cases=(
            ([1.0, 3.0, 8.0], 2),
            ([2.0, None, None, 5.0, 1.0, 1.0], 2),
            ([None, None, 4.0, 6.0, None], 2),
            ([3.0, 1.0], 5),
        ),
        mistakes=(
            Mistake(
                "a mean of means",
                "A chunk with one target then speaks as loud as one with all. Add up sums and "
                "counts, and divide once.",
                mean_of_means,
            ),
            Mistake(
                "a mean of means",
                "A chunk with one target then speaks as loud as one with all. Add up sums and "
                "counts, and divide once.",
                mean_of_means_where_any,
            ),
            Mistake(
                "hidden ones count as 0",
                "Where there is no target there is nothing to be surprised at: divide by how many "
                "count.",
                hidden_ones_count_as_nothing,
            ),
            Mistake(
                "the last chunk is dropped",
                "The last chunk may be shorter than the others; it counts all the same.",
                last_chunk_dropped,
            ),
            Mistake(
                "only the last chunk is kept",
                "Sums go on from chunk to chunk: begin at 0 before the loop, not in it.",
                mean_of_the_last_chunk,
            ),
        ),
        hints=("Two numbers go through the loop: a sum and a count.",),
        judge=close(1e-12),
    ),
    *variants.EXERCISES,
)
