"""Exercises 04.10 to 04.13, which belong to notebooks 04c and 04e, with their wrong answers."""

import math

from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c04_transformer as solutions

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


EXERCISES = (
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
)
