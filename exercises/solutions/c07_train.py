"""Solutions to the exercises of chapter 07, Training."""

import math


def learning_rate(
    step: int, num_steps: int, peak: float, warmup_steps: int, final_fraction: float
) -> float:
    """The rate at `step` of `num_steps`: a straight warm-up from 0, then half a cosine wave.

    It is `peak` at step `warmup_steps` and `final_fraction * peak` at step `num_steps`.
    """
    if step < warmup_steps:
        return peak * step / warmup_steps
    fallen = (step - warmup_steps) / (num_steps - warmup_steps)
    height = (1 + math.cos(math.pi * fallen)) / 2
    return peak * (final_fraction + (1 - final_fraction) * height)


def clip(gradients: list[list[float]], max_norm: float) -> list[list[float]]:
    """The gradients of several tensors, all scaled by one factor.

    Afterwards their common length, the root of the sum of *all* squares, is at most `max_norm`.
    Shorter gradients stay as they are.
    """
    norm = math.sqrt(sum(number**2 for tensor in gradients for number in tensor))
    scale = min(1.0, max_norm / norm) if norm > 0 else 1.0
    return [[number * scale for number in tensor] for tensor in gradients]


def adamw(
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
    """One AdamW step of one number; returns the parameter, the mean and the square after it.

    `step` counts from 1. Decay first: θ ← θ − η λ θ. Then the running averages, and
    θ ← θ − η m̂ / (√v̂ + ε) with m̂ = m / (1 − β₁ᵗ) and v̂ = v / (1 − β₂ᵗ).
    """
    parameter -= learning_rate * weight_decay * parameter
    mean = beta1 * mean + (1 - beta1) * gradient
    square = beta2 * square + (1 - beta2) * gradient**2
    mean_hat, square_hat = mean / (1 - beta1**step), square / (1 - beta2**step)
    parameter -= learning_rate * mean_hat / (math.sqrt(square_hat) + epsilon)
    return parameter, mean, square


def accumulated(gradients: list[list[float]], num_targets: list[int]) -> list[float]:
    """The gradient of the mean loss over all targets, from those of several small batches.

    `gradients[i]` is the gradient of the mean over the `num_targets[i]` targets of batch i.
    """
    total = sum(num_targets)
    return [
        sum(number * count for number, count in zip(numbers, num_targets)) / total
        for numbers in zip(*gradients)
    ]


def checkpoint_to_use(is_whole: dict[str, bool]) -> str | None:
    """The checkpoint of the highest step that is whole, or None if there is none.

    `checkpoint_to_use({"step_90": True, "step_100": True})` is `"step_100"`.
    """
    whole = [name for name in is_whole if is_whole[name]]
    return max(whole, key=lambda name: int(name.removeprefix("step_")), default=None)


def scaled_step(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    """What the optimizer is given, the scale of the next step, and the good steps in a row.

    `gradients` are those of `scale` times the loss. An overflow (inf or nan) leaves out the step:
    None, the scale halved, the count at 0. `good_steps` good ones double it; the count begins anew.
    """
    if not all(math.isfinite(number) for number in gradients):
        return None, scale / 2, 0
    unscaled = [number / scale for number in gradients]
    norm = math.sqrt(sum(number**2 for number in unscaled))
    clipped = [number * min(1.0, max_norm / norm) if norm else number for number in unscaled]
    if num_good + 1 == good_steps:
        return clipped, scale * 2, 0
    return clipped, scale, num_good + 1


def rounded(number: float, num_fraction: int) -> float:
    """The nearest number with `num_fraction` bits behind the leading 1; of two, the even one.

    The exponent has no limit here. `rounded(0.3, 3)` is 0.3125: steps of 1/32 between ¼ and ½.
    """
    if number == 0:
        return 0.0
    step = 2.0 ** (math.floor(math.log2(abs(number))) - num_fraction)
    return round(number / step) * step


def averaged(weights: list[float], decay: float) -> list[float]:
    """The running mean of a weight after each step, in which age a counts `decay ** a`.

    Nothing before the first step counts: `averaged([4.0, 2.0], 0.5)` is `[4.0, 8 / 3]`.
    """
    means, mean = [], 0.0
    for step, weight in enumerate(weights, 1):
        mean += (1 - decay) / (1 - decay**step) * (weight - mean)
        means.append(mean)
    return means
