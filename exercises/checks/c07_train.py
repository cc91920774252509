"""Exercises 07 · Training

Sixteen small functions that make or break a training run: the size of its steps, the length of its
gradients, one move of one number, small batches as one, and what to go on from after a crash; then
rounding, loss scaling and an average of the weights; then how far a layer moves, where a spike
begins, what a death costs and which checkpoints are kept; then bits a byte, a leak beside its
twins, fair steps and one perplexity. They belong to [chapter 07](../notebooks/07_train.ipynb),
[07b](../notebooks/07b_precision.ipynb), [07c](../notebooks/07c_experiments.ipynb),
[07d](../notebooks/07d_watching.ipynb) and [07e](../notebooks/07e_probes.ipynb). Where arguments are
lists, plain Python floats are enough.
"""

import math

from exercises.checks import experiments, watching
from exercises.engine import Exercise, Mistake, close
from exercises.solutions import c07_train as solutions


def without_warmup(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    return solutions.learning_rate(step, num_steps, peak, 0, final_fraction)


def to_zero(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    return solutions.learning_rate(step, num_steps, peak, warmup_steps, 0.0)


def warmup_counts_from_one(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    if step < warmup_steps:
        return peak * (step + 1) / warmup_steps
    return solutions.learning_rate(step, num_steps, peak, warmup_steps, final_fraction)


def warmup_has_a_step_more(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    if step < warmup_steps:
        return peak * (step + 1) / (warmup_steps + 1)
    return solutions.learning_rate(step, num_steps, peak, warmup_steps, final_fraction)


def wave_ends_early(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    return solutions.learning_rate(step, num_steps - 1, peak, warmup_steps, final_fraction)


def cut_off_at_the_floor(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    rate = solutions.learning_rate(step, num_steps, peak, warmup_steps, 0.0)
    return rate if step < warmup_steps else max(final_fraction * peak, rate)


def cosine_from_the_first_step(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    if step < warmup_steps:
        return peak * step / warmup_steps
    return solutions.learning_rate(step, num_steps, peak, 0, final_fraction)


def whole_wave(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    if step < warmup_steps:
        return peak * step / warmup_steps
    fallen = (step - warmup_steps) / (num_steps - warmup_steps)
    height = (1 + math.cos(2 * math.pi * fallen)) / 2
    return peak * (final_fraction + (1 - final_fraction) * height)


def tensor_by_tensor(gradients: list[list[float]], max_norm: float) -> list[list[float]]:
    return [solutions.clip([tensor], max_norm)[0] for tensor in gradients]


def number_by_number(gradients: list[list[float]], max_norm: float) -> list[list[float]]:
    return [[max(-max_norm, min(max_norm, number)) for number in tensor] for tensor in gradients]


def always_to_the_limit(gradients: list[list[float]], max_norm: float) -> list[list[float]]:
    norm = math.sqrt(sum(number**2 for tensor in gradients for number in tensor))
    return [
        [number * max_norm / norm if norm else number for number in tensor] for tensor in gradients
    ]


def by_the_squared_length(gradients: list[list[float]], max_norm: float) -> list[list[float]]:
    norm = sum(number**2 for tensor in gradients for number in tensor)
    scale = min(1.0, max_norm / norm) if norm > 0 else 1.0
    return [[number * scale for number in tensor] for tensor in gradients]


def without_bias_correction(
    parameter: float,
    gradient: float,
    mean: float,
    square: float,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[float, float, float]:
    return solutions.adamw(
        parameter, gradient, mean, square, 10**9, learning_rate, beta1, beta2, epsilon, weight_decay
    )


def decay_in_the_gradient(
    parameter: float,
    gradient: float,
    mean: float,
    square: float,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[float, float, float]:
    gradient += weight_decay * parameter
    return solutions.adamw(
        parameter, gradient, mean, square, step, learning_rate, beta1, beta2, epsilon, 0.0
    )


def decay_forgotten(
    parameter: float,
    gradient: float,
    mean: float,
    square: float,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[float, float, float]:
    return solutions.adamw(
        parameter, gradient, mean, square, step, learning_rate, beta1, beta2, epsilon, 0.0
    )


def root_forgotten(
    parameter: float,
    gradient: float,
    mean: float,
    square: float,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[float, float, float]:
    parameter -= learning_rate * weight_decay * parameter
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    mean_hat, square_hat = mean / (1 - beta1**step), square / (1 - beta2**step)
    return parameter - learning_rate * mean_hat / (square_hat + epsilon), mean, square


def epsilon_inside_the_root(
    parameter: float,
    gradient: float,
    mean: float,
    square: float,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[float, float, float]:
    parameter -= learning_rate * weight_decay * parameter
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    mean_hat, square_hat = mean / (1 - beta1**step), square / (1 - beta2**step)
    return parameter - learning_rate * mean_hat / math.sqrt(square_hat + epsilon), mean, square


def decay_without_the_rate(
    parameter: float,
    gradient: float,
    mean: float,
    square: float,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[float, float, float]:
    decayed = parameter * (1 - weight_decay)
    return solutions.adamw(
        decayed, gradient, mean, square, step, learning_rate, beta1, beta2, epsilon, 0.0
    )


def steps_against_yesterday(
    parameter: float,
    gradient: float,
    mean: float,
    square: float,
    step: int,
    learning_rate: float,
    beta1: float,
    beta2: float,
    epsilon: float,
    weight_decay: float,
) -> tuple[float, float, float]:
    _, after, square_after = solutions.adamw(
        parameter, gradient, mean, square, step, learning_rate, beta1, beta2, epsilon, weight_decay
    )
    parameter -= learning_rate * weight_decay * parameter
    size = math.sqrt(square_after / (1 - beta2**step)) + epsilon
    return parameter - learning_rate * mean / (1 - beta1**step) / size, after, square_after


def summed(gradients: list[list[float]], num_targets: list[int]) -> list[float]:
    return [sum(numbers) for numbers in zip(*gradients)]


def mean_of_means(gradients: list[list[float]], num_targets: list[int]) -> list[float]:
    return [sum(numbers) / len(numbers) for numbers in zip(*gradients)]


def last_batch_only(gradients: list[list[float]], num_targets: list[int]) -> list[float]:
    return list(gradients[-1])


def weighted_but_not_divided(gradients: list[list[float]], num_targets: list[int]) -> list[float]:
    return [
        sum(number * count for number, count in zip(numbers, num_targets))
        for numbers in zip(*gradients)
    ]


def last_in_the_alphabet(is_whole: dict[str, bool]) -> str | None:
    return max((name for name in is_whole if is_whole[name]), default=None)


def newest_even_if_damaged(is_whole: dict[str, bool]) -> str | None:
    return max(is_whole, key=lambda name: int(name.removeprefix("step_")), default=None)


def gives_up_on_damage(is_whole: dict[str, bool]) -> str | None:
    newest = newest_even_if_damaged(is_whole)
    return newest if newest is not None and is_whole[newest] else None


def last_written(is_whole: dict[str, bool]) -> str | None:
    return next((name for name in reversed(is_whole) if is_whole[name]), None)


def clips_before_unscaling(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    cut = solutions.scaled_step(gradients, 1.0, num_good, good_steps, max_norm)
    if cut[0] is None:
        return None, scale / 2, 0
    return [number / scale for number in cut[0]], scale * cut[1], cut[2]


def never_unscales(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    cut, factor, count = solutions.scaled_step(gradients, 1.0, num_good, good_steps, max_norm)
    return cut, scale * factor, count


def takes_the_overflow_for_zero(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    finite = [number if math.isfinite(number) else 0.0 for number in gradients]
    given, after, count = solutions.scaled_step(finite, scale, num_good, good_steps, max_norm)
    if finite != gradients:
        return given, scale / 2, 0
    return given, after, count


def overlooks_not_a_number(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    if any(math.isinf(number) for number in gradients):
        return None, scale / 2, 0
    unscaled = [number / scale for number in gradients]
    norm = math.sqrt(sum(number**2 for number in unscaled))
    clipped = [number * min(1.0, max_norm / norm) if norm else number for number in unscaled]
    if num_good + 1 == good_steps:
        return clipped, scale * 2, 0
    return clipped, scale, num_good + 1


def spreads_not_a_number(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    """As before, with the other order in `min`: one nan makes the factor nan."""
    clipped, after, count = overlooks_not_a_number(
        gradients, scale, num_good, good_steps, max_norm
    )
    if any(math.isnan(number) for number in gradients):
        return [math.nan] * len(gradients), after, count
    return clipped, after, count


def keeps_counting_over_an_overflow(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    given, after, count = solutions.scaled_step(gradients, scale, num_good, good_steps, max_norm)
    return given, after, num_good if given is None else count


def doubles_a_step_late(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    return solutions.scaled_step(gradients, scale, num_good, good_steps + 1, max_norm)


def cuts_off(number: float, num_fraction: int) -> float:
    if number == 0:
        return 0.0
    step = 2.0 ** (math.floor(math.log2(abs(number))) - num_fraction)
    return math.trunc(number / step) * step


def half_always_up(number: float, num_fraction: int) -> float:
    if number == 0:
        return 0.0
    step = 2.0 ** (math.floor(math.log2(abs(number))) - num_fraction)
    return math.copysign(math.floor(abs(number) / step + 0.5) * step, number)


def one_step_for_all_sizes(number: float, num_fraction: int) -> float:
    return round(number * 2**num_fraction) / 2**num_fraction


def counts_the_leading_one(number: float, num_fraction: int) -> float:
    return solutions.rounded(number, num_fraction - 1)


def counts_what_was_before(weights: list[float], decay: float) -> list[float]:
    means, mean = [], 0.0
    for weight in weights:
        mean += (1 - decay) * (weight - mean)
        means.append(mean)
    return means


def begins_with_a_copy(weights: list[float], decay: float) -> list[float]:
    means = weights[:1]
    for weight in weights[1:]:
        means.append(means[-1] + (1 - decay) * (weight - means[-1]))
    return means


def decay_the_wrong_way_round(weights: list[float], decay: float) -> list[float]:
    return solutions.averaged(weights, 1 - decay)


def all_count_alike(weights: list[float], decay: float) -> list[float]:
    return [sum(weights[:end]) / end for end in range(1, len(weights) + 1)]


def corrected_a_step_late(weights: list[float], decay: float) -> list[float]:
    means, mean = [], 0.0
    for step, weight in enumerate(weights, 2):
        mean += (1 - decay) / (1 - decay**step) * (weight - mean)
        means.append(mean)
    return means


ADAMW_CASES = (
    (1.0, 0.5, 0.0, 0.0, 1, 0.1, 0.9, 0.95, 1e-8, 0.0),
    (1.0, 0.5, 0.0, 0.0, 1, 0.1, 0.9, 0.95, 1e-8, 0.1),
    (-2.0, 0.25, 0.125, 0.0625, 3, 0.01, 0.9, 0.999, 1e-8, 0.1),
    (3.0, 0.0, 0.5, 0.25, 7, 0.02, 0.8, 0.95, 0.1, 0.5),
    (0.5, -40.0, -1.0, 90.0, 50, 0.001, 0.9, 0.95, 1e-8, 0.0),
)

EXERCISES = (
    Exercise(
        id="07.1",
        title="Warm up, then fall",
        question=(
            "Large steps at the start throw a random model far off; large steps at the end keep it "
            "from settling. Write the schedule that avoids both: a straight rise over "
            "`warmup_steps`, which may be 0, then half a cosine wave down to "
            "`final_fraction * peak`."
        ),
        solution=solutions.learning_rate,
        cases=(
            (0, 100, 2.0, 10, 0.1),
            (5, 100, 2.0, 10, 0.1),
            (10, 100, 2.0, 10, 0.1),
            (55, 100, 2.0, 10, 0.1),
            (80, 100, 2.0, 10, 0.1),
            (100, 100, 2.0, 10, 0.1),
            (3, 7, 0.5, 2, 0.0),
            (0, 5, 1.0, 0, 0.5),
        ),
        mistakes=(
            Mistake(
                "no warm-up", "Before `warmup_steps` the rate must rise from 0.", without_warmup
            ),
            Mistake("falls to zero", "The end is `final_fraction * peak`, not 0.", to_zero),
            Mistake(
                "the warm-up is off by one",
                "At step 0 the rate is 0; it reaches the peak at step `warmup_steps`, not before.",
                warmup_counts_from_one,
            ),
            Mistake(
                "the warm-up is off by one",
                "At step 0 the rate is 0; it reaches the peak at step `warmup_steps`, not "
                "before.",
                warmup_has_a_step_more,
            ),
            Mistake(
                "the wave starts at step 0",
                "The cosine begins where the warm-up ends: count its steps from there.",
                cosine_from_the_first_step,
            ),
            Mistake(
                "the wave ends a step early",
                "The floor is reached at step `num_steps`: from the warm-up's end that is "
                "num_steps − warmup_steps steps.",
                wave_ends_early,
            ),
            Mistake(
                "the rate is cut off at the floor",
                "The wave itself must end there: stretch it.",
                cut_off_at_the_floor,
            ),
            Mistake(
                "a whole wave",
                "cos(2π·x) comes back up; half a wave, cos(π·x), goes from 1 to −1.",
                whole_wave,
            ),
        ),
        hints=(
            "Two cases: `step < warmup_steps`, and the rest.",
            "In the rest `fallen` goes from 0 to 1; `(1 + cos(π · fallen)) / 2` goes from 1 to 0.",
            "`peak * (final_fraction + (1 - final_fraction) * height)`",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="07.2",
        title="One length for all gradients",
        question=(
            "A single strange batch can have a gradient a hundred times as long as usual. Cut its "
            "length, keep its direction: all tensors get the **same** factor. A length of 0 stays "
            "0."
        ),
        solution=solutions.clip,
        cases=(
            ([[3.0], [4.0]], 1.0),
            ([[3.0], [4.0]], 5.0),
            ([[0.3, -0.4], [0.0]], 1.0),
            ([[6.0, -8.0], [0.5], [0.0, 0.0, 24.0]], 2.0),
            ([[0.0, 0.0]], 1.0),
        ),
        mistakes=(
            Mistake(
                "clips tensor by tensor",
                "Each tensor's own length was cut: the direction of the whole step has changed. "
                "Take one length over all tensors.",
                tensor_by_tensor,
            ),
            Mistake(
                "clips number by number",
                "Cutting single numbers turns the step. Scale all of them by one factor.",
                number_by_number,
            ),
            Mistake(
                "also lengthens",
                "Gradients shorter than `max_norm` must stay as they are: the factor is at most 1.",
                always_to_the_limit,
            ),
            Mistake(
                "forgets the root",
                "The length is the *root* of the sum of squares.",
                by_the_squared_length,
            ),
        ),
        hints=(
            "First one number: the length of everything together.",
            "`scale = min(1, max_norm / norm)`, and mind a length of 0.",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="07.3",
        title="One AdamW step",
        question=(
            "Move one number by AdamW: decay, two running averages, their correction for having "
            "started at 0, and a step of mean over root of square."
        ),
        solution=solutions.adamw,
        cases=ADAMW_CASES,
        mistakes=(
            Mistake(
                "no bias correction",
                "The averages start at 0 and are too small at first: divide them by 1 − βᵗ.",
                without_bias_correction,
            ),
            Mistake(
                "decay goes through the gradient",
                "That is Adam with L2: the decay is then divided by √v̂, and large gradients "
                "hardly decay. AdamW subtracts η·λ·θ from the parameter itself.",
                decay_in_the_gradient,
            ),
            Mistake("no weight decay", "θ also shrinks by η·λ·θ in every step.", decay_forgotten),
            Mistake(
                "decay without the rate",
                "The decay is multiplied by η, so that it falls with the schedule.",
                decay_without_the_rate,
            ),
            Mistake(
                "divides by v̂, not by its root",
                "Mean and √v̂ have the same unit, so the step does not depend on the gradient's "
                "scale; with v̂ it does.",
                root_forgotten,
            ),
            Mistake(
                "ε inside the root",
                "Here ε stands beside the root, unlike RMSNorm.",
                epsilon_inside_the_root,
            ),
            Mistake(
                "steps by the mean before this gradient",
                "Update the running averages first, then step by the new ones.",
                steps_against_yesterday,
            ),
        ),
        hints=(
            "Five lines, in the order of the docstring.",
            "On the first step m̂ is the gradient and √v̂ its size: the step is η, whatever it is.",
        ),
        judge=close(1e-6),
    ),
    Exercise(
        id="07.4",
        title="Small batches as one big batch",
        question=(
            "Memory holds only a small batch, so you take the gradients of several and step once. "
            "Padded rows have fewer targets than full ones. Join the gradients so that every "
            "*target* counts alike."
        ),
        solution=solutions.accumulated,
        cases=(
            ([[1.0, 2.0], [3.0, 6.0]], [10, 10]),
            ([[1.0, 0.0], [0.0, 1.0]], [3, 1]),
            ([[4.0]], [7]),
            ([[1.0], [2.0], [6.0]], [1, 0, 5]),
        ),
        mistakes=(
            Mistake(
                "adds without dividing",
                "The sum of k gradients is a step k times too long: it needs scaling.",
                summed,
            ),
            Mistake(
                "mean of means",
                "A batch with few targets counts like a full one. Weight each by its targets.",
                mean_of_means,
            ),
            Mistake(
                "only the last batch",
                "The earlier gradients were overwritten, not added.",
                last_batch_only,
            ),
            Mistake(
                "weights without dividing by all targets",
                "That is the gradient of the *sum* over targets; divide by their number.",
                weighted_but_not_divided,
            ),
        ),
        hints=(
            "Mean times count is a sum. Sums can be added.",
            "`sum(gradient * count) / sum(count)`, number by number.",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="07.5",
        title="What to go on from",
        question=(
            "The machine was switched off. You find some checkpoints, and know of each whether its "
            "checksum is right. Which one does training go on from?"
        ),
        solution=solutions.checkpoint_to_use,
        cases=(
            ({"step_90": True, "step_100": True},),
            ({"step_100": False, "step_50": True},),
            ({"step_8": True, "step_16": True, "step_24": False},),
            ({},),
            ({"step_5": False},),
            ({"step_1000": True, "step_200": True, "step_300": False},),
            ({"step_200": True, "step_300": True, "step_100": True},),
        ),
        mistakes=(
            Mistake(
                "sorts names as text",
                "`'step_90' > 'step_100'` for text. Compare numbers, or write leading zeros.",
                last_in_the_alphabet,
            ),
            Mistake(
                "takes a damaged one",
                "The newest one may be broken: look at its checksum.",
                newest_even_if_damaged,
            ),
            Mistake(
                "gives up when the newest is damaged",
                "The one before it is whole: some steps are lost, not the run.",
                gives_up_on_damage,
            ),
            Mistake(
                "takes the last of the list",
                "Folders are listed in any order; only the step says which is newest.",
                last_written,
            ),
        ),
        hints=(
            "First leave out what is damaged, then take the highest step.",
            "`max(..., key=..., default=None)`",
        ),
    ),
    Exercise(
        id="07.6",
        title="A step with a scaled loss",
        question=(
            "The loss was multiplied by `scale`, so float16 gradients are not lost. Now: leave out "
            "the step if one is infinite or no number; otherwise divide, **then** clip their "
            "common length (0 stays 0). And say which scale the next step takes."
        ),
        solution=solutions.scaled_step,
        cases=(
            ([6.0, -8.0], 2.0, 0, 3, 100.0),
            ([6.0, -8.0], 2.0, 0, 3, 1.0),
            ([300.0, 400.0], 1024.0, 1, 5, 1.0),
            ([1.0, math.inf], 8.0, 2, 3, 1.0),
            ([math.nan, 1.0], 8.0, 1, 3, 1.0),
            ([0.5, 0.25], 4.0, 2, 3, 10.0),
            ([0.0], 4.0, 0, 1, 1.0),
        ),
        mistakes=(
            Mistake(
                "clips before unscaling",
                "The length was taken of gradients that are `scale` times too long: all are cut, "
                "and the more the larger the scale. Divide first.",
                clips_before_unscaling,
            ),
            Mistake("never unscales", "The optimizer must see g, not `scale`·g.", never_unscales),
            Mistake(
                "takes an overflow for 0",
                "A gradient with holes points elsewhere. The whole step is left out: None.",
                takes_the_overflow_for_zero,
            ),
            Mistake(
                "overlooks not-a-number",
                "∞ − ∞ is nan: it is an overflow too. `math.isfinite` finds both.",
                overlooks_not_a_number,
            ),
            Mistake(
                "overlooks not-a-number",
                "∞ − ∞ is nan: it is an overflow too. `math.isfinite` finds both.",
                spreads_not_a_number,
            ),
            Mistake(
                "keeps counting over an overflow",
                "Good steps count in a row: an overflow sets the count to 0.",
                keeps_counting_over_an_overflow,
            ),
            Mistake(
                "doubles a step late",
                "This step counts: with it there are `num_good + 1`.",
                doubles_a_step_late,
            ),
        ),
        hints=(
            "Three cases: an overflow, the good step that completes the row, any other good step.",
            "`[g / scale for g in gradients]`, and only then the length.",
        ),
        judge=close(1e-5),
    ),
    Exercise(
        id="07.7",
        title="What is left of a number",
        question=(
            "A short format keeps few bits behind the leading 1. Between two powers of two its "
            "numbers stand equally far apart. Find the nearest one; of two as near, the even."
        ),
        solution=solutions.rounded,
        cases=(
            (0.3, 3),
            (1.0, 7),
            (1.00390625, 7),
            (1.01171875, 7),
            (-0.3, 3),
            (1000.7, 2),
            (0.28, 3),
            (0.00123, 10),
            (0.0, 3),
            (1.9999, 2),
        ),
        mistakes=(
            Mistake("cuts off", "The bits behind are not dropped: the nearest is meant.", cuts_off),
            Mistake(
                "rounds a half always up",
                "Long sums would drift upward: of two as near, take the even multiple (`round`).",
                half_always_up,
            ),
            Mistake(
                "one step for all sizes",
                "That is a fixed point. A floating point's step grows with the number: "
                "2^(exponent − bits).",
                one_step_for_all_sizes,
            ),
            Mistake(
                "counts the leading 1",
                "It is not stored, and costs no bit: `num_fraction` bits stand behind it. (Or the "
                "exponent was rounded up: 0.28 lies between ¼ and ½, and the step is that of ¼.)",
                counts_the_leading_one,
            ),
        ),
        hints=(
            "`math.floor(math.log2(abs(number)))` is the exponent.",
            "Divide by the step, `round`, multiply again. And mind 0.",
        ),
        judge=close(1e-12),
    ),
    Exercise(
        id="07.8",
        title="An average of the weights",
        question=(
            "Weights jump about the bottom of the valley; their running mean lies nearer to it. "
            "Keep one in which the weight of `a` steps ago counts `decay ** a`, and what stood "
            "there before training counts nothing."
        ),
        solution=solutions.averaged,
        cases=(
            ([4.0, 2.0, 8.0], 0.5),
            ([1.0, 1.0, 1.0], 0.9),
            ([3.0], 0.99),
            ([-1.0, 5.0, 2.0, 7.0], 0.8),
            ([2.0, 6.0], 0.0),
        ),
        mistakes=(
            Mistake(
                "counts what was before",
                "The mean began at 0 and is too small: divide the share by 1 − dᵗ.",
                counts_what_was_before,
            ),
            Mistake(
                "begins with a copy and then forgets it too slowly",
                "The first weight keeps the share of all that came before it. Correct every step "
                "by 1 − dᵗ, not the first alone.",
                begins_with_a_copy,
            ),
            Mistake(
                "decay the wrong way round",
                "`decay` is what stays of the mean; the new weight's share is 1 − decay.",
                decay_the_wrong_way_round,
            ),
            Mistake(
                "all count alike",
                "Recent weights count more: age a has decay ** a.",
                all_count_alike,
            ),
            Mistake(
                "the correction is a step late",
                "At the first step 1 − d¹ divides 1 − d: its share is 1.",
                corrected_a_step_late,
            ),
        ),
        hints=(
            "`mean += share * (weight - mean)`: which share makes the first mean the first weight?",
            "`(1 - decay) / (1 - decay ** step)`, with steps counted from 1.",
        ),
        judge=close(1e-5),
    ),
    *watching.EXERCISES,
    *experiments.EXERCISES,
)
