"""Exercises 04.7 to 04.9, which belong to notebook 04b, with their wrong answers."""

import math

import torch

from exercises.answers import plain, same, shown
from exercises.engine import Exercise, Mistake, close, satisfies
from exercises.solutions import c04_transformer as solutions


def drawn(*shape: int, seed: int = 0) -> torch.Tensor:
    """Random numbers, the same every time."""
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


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
    seen_TS = solutions.causal_mask(num_queries, num_keys, num_keys - num_queries)
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
