"""Exercises of chapter 04 from 04.14 on, which belong to notebook 04d, with their wrong answers."""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import variants as solutions

# 04.14 the norm's place


def normed(x: list[float]) -> list[float]:
    """Without weights and ε."""
    size = math.sqrt(sum(value * value for value in x) / len(x))
    return [value / size for value in x]


def part_of(x: list[float], scale: float, shift: float) -> list[float]:
    return [scale * value + shift for value in x]


def added(x: list[float], y: list[float]) -> list[float]:
    return [a + b for a, b in zip(x, y, strict=True)]


def always_before(x: list[float], scale: float, shift: float, position: str) -> list[float]:
    return solutions.one_step(x, scale, shift, "pre")


def norms_the_part_alone(x: list[float], scale: float, shift: float, position: str) -> list[float]:
    if position == "pre":
        return solutions.one_step(x, scale, shift, position)
    return added(x, normed(part_of(x, scale, shift)))


def shortcut_left_out(x: list[float], scale: float, shift: float, position: str) -> list[float]:
    if position == "pre":
        return part_of(normed(x), scale, shift)
    return normed(part_of(x, scale, shift))


def shortcut_of_the_normed(
    x: list[float], scale: float, shift: float, position: str
) -> list[float]:
    if position == "post":
        return solutions.one_step(x, scale, shift, position)
    return added(normed(x), part_of(normed(x), scale, shift))


# 04.15 a window


def one_too_many(place: int, layer: int, window: int, full_every: int) -> list[int]:
    return solutions.seen_keys(place, layer, window + 1, full_every)


def blind_to_itself(place: int, layer: int, window: int, full_every: int) -> list[int]:
    return [key for key in solutions.seen_keys(place, layer, window, full_every) if key != place]


def first_layer_is_full(place: int, layer: int, window: int, full_every: int) -> list[int]:
    return solutions.seen_keys(place, layer - 1, window, full_every)


def begins_before_the_text(place: int, layer: int, window: int, full_every: int) -> list[int]:
    if (layer + 1) % full_every == 0:
        return list(range(place + 1))
    return list(range(place - window + 1, place + 1))


def every_layer_has_it(place: int, layer: int, window: int, full_every: int) -> list[int]:
    return list(range(max(0, place - window + 1), place + 1))


# 04.16 weights of the chosen


def not_renormalised(logits: list[float], num_chosen: int) -> dict[int, float]:
    whole = solutions.expert_weights(logits, len(logits))
    return {expert: whole[expert] for expert in solutions.expert_weights(logits, num_chosen)}


def all_count_alike(logits: list[float], num_chosen: int) -> dict[int, float]:
    return {e: 1 / num_chosen for e in solutions.expert_weights(logits, num_chosen)}


def logits_for_weights(logits: list[float], num_chosen: int) -> dict[int, float]:
    chosen = solutions.expert_weights(logits, num_chosen)
    total = sum(logits[expert] for expert in chosen) or 1.0
    return {expert: logits[expert] / total for expert in chosen}


def the_unlikeliest(logits: list[float], num_chosen: int) -> dict[int, float]:
    whole = solutions.expert_weights(logits, len(logits))
    chosen = sorted(range(len(logits)), key=lambda expert: logits[expert])[:num_chosen]
    total = sum(whole[expert] for expert in chosen)
    return {expert: whole[expert] / total for expert in chosen}


def nobody_is_left_out(logits: list[float], num_chosen: int) -> dict[int, float]:
    return solutions.expert_weights(logits, len(logits))


# 04.17 balance


def choice_shares(probabilities: list[list[float]], num_chosen: int) -> list[float]:
    """The share of all choices that fell on each expert."""
    counts = [0] * len(probabilities[0])
    for token in probabilities:
        for expert in sorted(range(len(token)), key=lambda e: -token[e])[:num_chosen]:
            counts[expert] += 1
    return [count / (len(probabilities) * num_chosen) for count in counts]


def mean_probabilities(probabilities: list[list[float]]) -> list[float]:
    return [sum(column) / len(probabilities) for column in zip(*probabilities, strict=True)]


def counts_times_counts(probabilities: list[list[float]], num_chosen: int) -> float:
    shares = choice_shares(probabilities, num_chosen)
    return len(shares) * sum(share * share for share in shares)


def probabilities_squared(probabilities: list[list[float]], num_chosen: int) -> float:
    means = mean_probabilities(probabilities)
    return len(means) * sum(mean * mean for mean in means)


def experts_not_counted(probabilities: list[list[float]], num_chosen: int) -> float:
    return solutions.balance(probabilities, num_chosen) / len(probabilities[0])


def choices_a_token(probabilities: list[list[float]], num_chosen: int) -> float:
    return solutions.balance(probabilities, num_chosen) * num_chosen


def first_choice_alone(probabilities: list[list[float]], num_chosen: int) -> float:
    return solutions.balance(probabilities, 1)


# 04.18 a normed query


def turned_to(x: list[float], place: int, theta: float) -> list[float]:
    """Pairs half a head apart, as in 04.4."""
    half, out = len(x) // 2, list(x)
    for i in range(half):
        angle = place * theta ** (-i / half)
        out[i] = x[i] * math.cos(angle) - x[i + half] * math.sin(angle)
        out[i + half] = x[i + half] * math.cos(angle) + x[i] * math.sin(angle)
    return out


def weighted(x: list[float], weight: list[float]) -> list[float]:
    return [value * w for value, w in zip(x, weight, strict=True)]


def own_part(q: list[float], weight: list[float], head: int) -> list[float]:
    return q[head * len(weight) : (head + 1) * len(weight)]


def normed_after_turning(
    q: list[float], weight: list[float], head: int, place: int, theta: float
) -> list[float]:
    return weighted(normed(turned_to(own_part(q, weight, head), place, theta)), weight)


def normed_over_all_heads(
    q: list[float], weight: list[float], head: int, place: int, theta: float
) -> list[float]:
    own = own_part(normed(q), weight, head)
    return turned_to(weighted(own, weight), place, theta)


def made_one_long(
    q: list[float], weight: list[float], head: int, place: int, theta: float
) -> list[float]:
    right = solutions.normed_query(q, weight, head, place, theta)
    return [value / math.sqrt(len(weight)) for value in right]


def weight_forgotten(
    q: list[float], weight: list[float], head: int, place: int, theta: float
) -> list[float]:
    return turned_to(normed(own_part(q, weight, head)), place, theta)


def heads_interleaved(
    q: list[float], weight: list[float], head: int, place: int, theta: float
) -> list[float]:
    own = q[head :: len(q) // len(weight)]
    return turned_to(weighted(normed(own), weight), place, theta)


EXERCISES = (
    Exercise(
        id="04.14",
        title="The norm's place",
        question=(
            "One step along the residual stream. The part is `scale · x + shift`, the norm is `x / "
            "√(mean(x²))`, without weights and ε. Pre: the part reads a normed copy, and its "
            "output is added to x. Post: the part reads x, and the *sum* is normed. By hand: x = "
            "[2, 2], scale 1, shift 0: pre gives [3, 3], post [1, 1]."
        ),
        solution=solutions.one_step,
        cases=(
            ([2.0, 2.0], 1.0, 0.0, "pre"),
            ([2.0, 2.0], 1.0, 0.0, "post"),
            ([3.0, -1.0, 2.0], 0.5, 1.0, "pre"),
            ([3.0, -1.0, 2.0], 0.5, 1.0, "post"),
        ),
        mistakes=(
            Mistake(
                "always before",
                "Post-norm has to be asked for, and its norm comes last: nothing leaves the layer "
                "that was not normed.",
                always_before,
            ),
            Mistake(
                "norms the part alone",
                "x + norm(part(x)) keeps the shortcut free; some models do that, but it is not "
                "post-norm, which norms the sum.",
                norms_the_part_alone,
            ),
            Mistake(
                "the shortcut is left out",
                "Both kinds add the part's output to x. Without that nothing of a token outlives "
                "its first layers.",
                shortcut_left_out,
            ),
            Mistake(
                "the shortcut takes the normed copy",
                "Pre-norm norms a copy for the part; x itself goes on as it was.",
                shortcut_of_the_normed,
            ),
        ),
        hints=("Two questions: what does the part read, and what is done with the sum?",),
        judge=close(1e-5),
    ),
    Exercise(
        id="04.15",
        title="Who is seen in a window",
        question=(
            "Which keys does the query at `place` see in layer `layer` (counted from 0)? In a "
            "layer with a window: `window` keys, the query's own among them, or fewer near the "
            "text's beginning. Every `full_every`-th layer is without a window. By hand: place 5, "
            "window 3 → 3, 4, 5; with full_every 2 layer 1 is full."
        ),
        solution=solutions.seen_keys,
        cases=((5, 0, 3, 2), (5, 1, 3, 2), (1, 0, 4, 3), (0, 3, 1, 3), (7, 5, 2, 3), (6, 4, 2, 4)),
        mistakes=(
            Mistake(
                "one too many",
                "The query itself is one of the `window`: s > place − window, not ≥.",
                one_too_many,
            ),
            Mistake("blind to itself", "A query always sees its own key.", blind_to_itself),
            Mistake(
                "the first layer is full",
                "Layers count from 0: the full_every-th is number full_every − 1.",
                first_layer_is_full,
            ),
            Mistake(
                "begins before the text",
                "There is no key before 0; in Python a negative index even finds one, at the end.",
                begins_before_the_text,
            ),
            Mistake(
                "every layer has the window",
                "A full layer sees all so far: without one, news goes window − 1 places a layer.",
                every_layer_has_it,
            ),
        ),
        hints=(
            "Ask first whether the layer is full. Else count back from the query's own key, and "
            "stop at the text's beginning.",
        ),
    ),
    Exercise(
        id="04.16",
        title="Weights of the chosen experts",
        question=(
            "The router gives a token these logits. Its probabilities are their softmax; the "
            "`num_chosen` likeliest experts work, and what they count is their probability "
            "divided by the sum of the chosen ones'. By hand: the logarithms of .5, .3, .2 and two "
            "chosen → {0: .625, 1: .375}."
        ),
        solution=solutions.expert_weights,
        cases=(
            ([math.log(0.5), math.log(0.3), math.log(0.2)], 2),
            ([1.0, 3.0, -2.0, 2.5], 2),
            ([0.5, -1.0, 2.0, 0.0, 1.5], 3),
            ([4.0, 1.0], 1),
        ),
        mistakes=(
            Mistake(
                "not renormalised",
                "The chosen ones' probabilities add up to less than 1: the output would be "
                "smaller, the less the more the others had.",
                not_renormalised,
            ),
            Mistake(
                "all count alike",
                "Then the router only chooses, and gets no gradient from the text: its "
                "probabilities have to stand in the output.",
                all_count_alike,
            ),
            Mistake(
                "logits for weights",
                "Logits may be negative, and their sum 0: take the softmax first.",
                logits_for_weights,
            ),
            Mistake("the unlikeliest", "The largest ones are chosen.", the_unlikeliest),
            Mistake(
                "nobody is left out",
                "Then every expert works for every token, which costs what was to be spared.",
                nobody_is_left_out,
            ),
        ),
        hints=("The softmax of the chosen logits alone gives the same weights. Why?",),
        judge=close(1e-5),
    ),
    Exercise(
        id="04.17",
        title="How uneven is a router?",
        question=(
            "`probabilities` holds, for each token, the router's probabilities of all E experts; "
            "the `num_chosen` likeliest of each token are chosen. The balance loss is E · Σ over "
            "experts of (share of all choices) · (mean probability). By hand: two tokens, both "
            "[.75, .25], one chosen → 2 · (1 · .75 + 0 · .25) = 1.5."
        ),
        solution=solutions.balance,
        cases=(
            ([[0.75, 0.25], [0.75, 0.25]], 1),
            ([[0.5, 0.3, 0.2], [0.1, 0.5, 0.4], [0.6, 0.1, 0.3]], 2),
            ([[0.4, 0.3, 0.2, 0.1], [0.1, 0.2, 0.3, 0.4], [0.25, 0.45, 0.2, 0.1]], 1),
            ([[0.4, 0.3, 0.2, 0.1], [0.05, 0.15, 0.3, 0.5]], 3),
        ),
        mistakes=(
            Mistake(
                "counts times counts",
                "A count has no slope: such a loss trains nothing. One of the two factors is the "
                "mean probability.",
                counts_times_counts,
            ),
            Mistake(
                "probabilities times probabilities",
                "It has a slope, but does not see who is chosen: many narrow wins look even.",
                probabilities_squared,
            ),
            Mistake(
                "the factor E is missing",
                "With it an even router costs 1, however many experts there are.",
                experts_not_counted,
            ),
            Mistake(
                "choices a token",
                "A share is a fraction of all choices: divide by tokens times num_chosen.",
                choices_a_token,
            ),
            Mistake(
                "the first choice alone",
                "All that are chosen have work to do: count each of them.",
                first_choice_alone,
            ),
        ),
        hints=("Two lists of E numbers: shares from the choices, means from the probabilities.",),
        judge=close(1e-5),
    ),
    Exercise(
        id="04.18",
        title="A normed query",
        question=(
            "`q` holds the queries of all heads side by side, each K = len(weight) numbers. Give "
            "that of `head`: divided by its root mean square, multiplied by `weight`, and then "
            "turned to `place` (pairs half a head apart, as in 04.4). By hand: q = [3, 0], one "
            "head, weights 1, place 0 → [√2, 0]."
        ),
        solution=solutions.normed_query,
        cases=(
            ([3.0, 0.0], [1.0, 1.0], 0, 0, 100.0),
            ([1.0, 2.0, 3.0, -4.0], [0.5, 2.0], 1, 3, 100.0),
            ([1.0, -2.0, 0.5, 3.0, 9.0, 8.0, -7.0, 6.0], [0.5, 1.0, 1.5, 2.0], 0, 5, 10_000.0),
            ([1.0, -2.0, 0.5, 3.0, 9.0, 8.0, -7.0, 6.0], [0.5, 1.0, 1.5, 2.0], 1, 2, 10_000.0),
        ),
        mistakes=(
            Mistake(
                "normed after turning",
                "Turning keeps the length, so the division would not mind; but `weight` then "
                "scales numbers that places have mixed, and the distance is no longer all that "
                "counts.",
                normed_after_turning,
            ),
            Mistake(
                "normed over all heads",
                "Each head by itself: else one loud head makes all others quiet.",
                normed_over_all_heads,
            ),
            Mistake(
                "made one long",
                "You divided by the length, the root of the *sum* of squares. Divided by the root "
                "of the *mean*, the vector is √K long.",
                made_one_long,
            ),
            Mistake(
                "the weight is forgotten",
                "It lets training choose how sharp a head may be.",
                weight_forgotten,
            ),
            Mistake(
                "heads interleaved",
                "A head's numbers stand side by side: q[head · K : (head + 1) · K].",
                heads_interleaved,
            ),
        ),
        hints=(
            "Cut, norm, scale, turn: in this order.",
            "`size = math.sqrt(sum(v * v for v in own) / K)`; for turning see 04.4.",
        ),
        judge=close(1e-5),
    ),
)
