"""Solutions give the numbers that were found by hand, other right answers pass, and the mistakes
that everybody makes are named."""

import math
from collections.abc import Callable

import pytest
import torch

from exercises import engine
from exercises.answers import plain, same
from exercises.engine import State, grade

LN = math.log
Case = tuple[object, ...]

KNOWN: tuple[tuple[str, Case, object], ...] = (
    ("04.1", (2, 4, 2), [[True, True, True, False], [True] * 4]),
    (
        "04.2",
        (
            torch.tensor([[2 * LN(3), 0.0, 0.0, 0.0]]),
            torch.tensor([[0.0] * 4, [1.0, 0.0, 0.0, 0.0]]),
            torch.tensor([[True, True]]),
        ),
        [[1 / 4, 3 / 4]],
    ),
    ("04.3", ([3.0, 4.0], 0.0), [3 / math.sqrt(12.5), 4 / math.sqrt(12.5)]),
    ("04.4", (torch.tensor([1.0, 0.0]), 1, 100.0), [math.cos(1), math.sin(1)]),
    ("04.5", (10, 4, 1, 2, 1, 3), 136),
    ("04.6", ("ab", [LN(4)] * 3), 3),
    ("04.7", (5, [0, 0, 1, 1, 1]), [5, 6, 0, 1, 2]),
    ("04.8", (torch.tensor([1.0, 0.0]), torch.tensor([0.0, 1.0]), 1, 100.0), math.sin(1)),
    ("04.9", (1, 1, 3), [[[-2 / 256, -1 / 256, 0]]]),
    ("04.10", ("model.layers.1.self_attn.o_proj.weight", 1.0, 2), 0.5),
    ("04.10", ("model.embed_tokens.weight", 1.0, 2), 1),
    ("04.11", ([(3, 2)], 1.0), [2, 3]),
    ("04.12", (10, 4, 1, 2, 1, 3, 1, 2), 1680),
    ("04.13", ([1.0, 3.0, 8.0], 2), 4),
    ("04.14", ([2.0, 2.0], 1.0, 0.0, "pre"), [3, 3]),
    ("04.14", ([2.0, 2.0], 1.0, 0.0, "post"), [1, 1]),
    ("04.15", (5, 0, 3, 2), [3, 4, 5]),
    ("04.15", (5, 1, 3, 2), [0, 1, 2, 3, 4, 5]),
    ("04.16", ([LN(0.5), LN(0.3), LN(0.2)], 2), {0: 0.625, 1: 0.375}),
    ("04.17", ([[0.75, 0.25], [0.75, 0.25]], 1), 1.5),
    ("04.18", ([3.0, 0.0], [1.0, 1.0], 0, 0, 100.0), [math.sqrt(2), 0]),
    ("05.1", (2.0, 1.0, 5.0), [5, math.exp(-3) + 1]),
    ("05.2", ([1.0, 3.0], 0.5, [3.0, 5.0], 0.5), [[2, 4], 0.5 + LN(2)]),
    ("05.3", (4, 4, 2, 0), [[0, 0], [1, 0], [1, 1]]),
    ("05.4", (2, 1, 2, 4), 40),
    ("05.5", ([0.5, 0.5], [1.0, 0.0]), [0.25, -0.25]),
    (  # weights 1/4 and 3/4, their gradients 0 and 4, whose mean is 3
        "05.6",
        ([1.0], [[0.0], [LN(3)]], [[0.0], [4.0]], [1.0]),
        [[0.75 * LN(3)], [[-0.75], [0.75]], [[0.25], [0.75]]],
    ),
    ("05.7", (4, 2, 2), [[0, 0, False], [1, 0, False], [1, 1, False]]),
    ("05.8", ([1.0, 1.0], [1.0, 0.0]), [0.5, -0.5]),
    ("06.1", ([LN(4), LN(2), 0.0], 0.5), [16 / 21, 4 / 21, 1 / 21]),
    ("06.2", ([0.5, 0.25, 0.25], 0.5), 1),
    ("06.2", ([0.1] * 10, 1 - 2**-53), 9),
    ("06.3", ([1 / 2, 1 / 4, 1 / 8, 1 / 8], 0.75), [0, 1]),
    ("06.3", ([1 / 2, 1 / 4, 1 / 8, 1 / 8], 0.76), [0, 1, 2]),
    ("06.4", ([4, 8, 0, 3, 0, 5], [0], 10), [4, 8]),
    ("06.5", (3, 4), [3]),
    ("06.6", (3, 4, True), 6),
    ("06.6", (3, 4, False), 18),
    ("06.7", ([1 / 8, 1 / 2, 1 / 8, 1 / 4], 0.5), [1, 3]),
    ("06.8", ([2.0, -2.0, 1.0, 1.0], [0], [1, 1, 2], 2.0, 0.5), [1, -5, 0, 1]),
    ("06.9", (5, 3), [2, 3, 4]),
    ("06.10", ([[-1.0, -1.0], [-0.9, -0.9, -0.9]], 0.0), 0),
    ("06.10", ([[-1.0, -1.0], [-0.9, -0.9, -0.9]], 1.0), 1),
    (  # .27 and .33, .36 and .04
        "06.11",
        ([LN(0.6), LN(0.4)], [[LN(0.45), LN(0.55)], [LN(0.9), LN(0.1)]], 2),
        [[1, 0], [0, 1]],
    ),
    ("06.12", (14 * 10**9, 0, 1, 100e9), 100 / 14),
    ("07.1", (55, 100, 2.0, 10, 0.1), 1.1),
    ("07.2", ([[3.0], [4.0]], 1.0), [[0.6], [0.8]]),
    ("07.3", (1.0, 0.5, 0.0, 0.0, 1, 0.1, 0.9, 0.95, 1e-8, 0.1), [0.89, 0.05, 0.0125]),
    ("07.4", ([[1.0, 0.0], [0.0, 1.0]], [3, 1]), [0.75, 0.25]),
    ("07.5", ({"step_90": True, "step_100": True},), "step_100"),
    ("07.6", ([6.0, -8.0], 2.0, 0, 3, 1.0), [[0.6, -0.8], 2, 1]),
    ("07.7", (0.3, 3), 0.3125),
    ("07.8", ([4.0, 2.0], 0.5), [4, 8 / 3]),
    ("07.9", ([3.0, 4.0], [3.3, 4.4], [1.0, 0.0]), 0.1),
    ("07.10", ([2.0, 2.1, 1.9, 2.2, 1.8], 8.0), 2 + 8 * 0.14826),
    ("07.11", (27, 10, 40), [21, 7, 47]),
    ("07.12", ([10, 20, 30, 40, 50], [3.0, 2.0, 2.5, 2.6, 2.7], 2), [20, 40, 50]),
    ("07.13", (LN(4), 2, "é"), 2),
    ("07.14", ([[1.0, 3.0]], [[5.0, 7.0]], 2.8), 0),  # 4 above, variances 2: 4/√2 = 2.83 errors
    ("07.14", ([[1.0, 3.0]], [[5.0, 7.0]], 2.9), None),
    ("07.15", (21, (1, 2, 1), (3, 2, 1), 3, 1), 8),  # 44 + 8 + 12 = 64, 3 · 52 + 12 = 168
    ("07.16", ([[LN(2), LN(2), LN(8)], [LN(8)]],), 4),
)


@pytest.mark.parametrize(("name", "case", "wanted"), KNOWN, ids=[name for name, *_ in KNOWN])
def test_the_solution_gives_what_was_found_by_hand(name, case, wanted):
    found = plain(engine.find(name).solution(*case))
    assert same(found, plain(wanted), 1e-6), found


def test_each_exercise_of_the_model_and_its_training_has_a_number_found_by_hand():
    chapters = ("04", "05", "06", "07")
    ids = [exercise.id for chapter in chapters for exercise in engine.exercises_of(chapter)]
    assert list(dict.fromkeys(name for name, *_ in KNOWN)) == ids


def clip_as_pytorch_does(gradients: list[list[float]], max_norm: float) -> list[list[float]]:
    norm = math.sqrt(sum(number**2 for tensor in gradients for number in tensor))
    factor = min(1.0, max_norm / (norm + 1e-6))
    return [[factor * number for number in tensor] for tensor in gradients]


def price_of_what_is_ahead_too(num_heads: int, num_queries: int, num_keys: int) -> torch.Tensor:
    query_T1 = torch.arange(num_keys - num_queries, num_keys)[:, None]
    slope_H = torch.tensor([2 ** (-8 * (h + 1) / num_heads) for h in range(num_heads)])
    return -slope_H[:, None, None] * (query_T1 - torch.arange(num_keys)).abs()


def infinite_price_ahead(num_heads: int, num_queries: int, num_keys: int) -> list:
    price_HTS = price_of_what_is_ahead_too(num_heads, num_queries, num_keys)
    ahead_TS = torch.ones(num_queries, num_keys).triu(num_keys - num_queries + 1).bool()
    return price_HTS.masked_fill(ahead_TS, -math.inf).tolist()


def step_of_tensors(x: list[float], scale: float, shift: float, position: str) -> torch.Tensor:
    def norm(values: torch.Tensor) -> torch.Tensor:
        return values / values.square().mean().sqrt()

    stream = torch.tensor(x)
    if position == "pre":
        return stream + scale * norm(stream) + shift
    return norm(stream + scale * stream + shift)


def experts_of_tensors(logits: list[float], num_chosen: int) -> dict[int, float]:
    strongest = torch.tensor(logits).topk(num_chosen)
    return dict(zip(strongest.indices.tolist(), strongest.values.softmax(0).tolist(), strict=True))


def hidden_with_a_billion(
    q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor
) -> torch.Tensor:
    return (q_TK @ k_SK.T / q_TK.shape[1] ** 0.5).masked_fill(~mask_TS, -1e9).softmax(-1)


def query_scaled_first(
    q_TK: torch.Tensor, k_SK: torch.Tensor, mask_TS: torch.Tensor
) -> torch.Tensor:
    scores_TS = (q_TK * q_TK.shape[1] ** -0.5) @ k_SK.T
    return torch.where(mask_TS, scores_TS, -math.inf).softmax(-1)


def scaled_step_clipped_as_pytorch_does(
    gradients: list[float], scale: float, num_good: int, good_steps: int, max_norm: float
) -> tuple[list[float] | None, float, int]:
    unscaled_N = torch.tensor(gradients) / scale
    if not unscaled_N.isfinite().all():
        return None, scale / 2, 0
    factor = (max_norm / (unscaled_N.norm() + 1e-6)).clamp(max=1.0)
    is_row = num_good + 1 >= good_steps
    after = (2 * scale, 0) if is_row else (scale, num_good + 1)
    return (unscaled_N * factor).tolist(), *after


def means_of_tensors(gradients: list[list[float]], num_targets: list[int]) -> torch.Tensor:
    counts = torch.tensor(num_targets)
    return (torch.tensor(gradients) * counts[:, None]).sum(0) / counts.sum()


def adamw_of_tensors(
    parameter: float, gradient: float, mean: float, square: float, step: int, rate: float,
    beta1: float, beta2: float, epsilon: float, weight_decay: float,
) -> tuple[torch.Tensor, ...]:  # fmt: skip
    theta, g, m, v = torch.tensor([parameter, gradient, mean, square])
    m, v = m.lerp(g, 1 - beta1), v * beta2 + g * g * (1 - beta2)
    stretch = (1 - beta2**step) ** 0.5 / (1 - beta1**step)
    change = rate * stretch * m / (v.sqrt() + epsilon * (1 - beta2**step) ** 0.5)
    return theta * (1 - rate * weight_decay) - change, m, v


OTHER_RIGHT: tuple[tuple[str, Callable], ...] = (
    ("04.2", hidden_with_a_billion),
    ("04.2", query_scaled_first),
    ("04.9", price_of_what_is_ahead_too),
    ("04.9", infinite_price_ahead),
    ("04.14", step_of_tensors),
    ("04.15", lambda place, layer, window, full_every: range(
        0 if (layer + 1) % full_every == 0 else max(0, place - window + 1), place + 1
    )),
    ("04.16", experts_of_tensors),
    ("06.5", range),
    ("06.9", lambda num_tokens, window: range(num_tokens)[-window:]),
    ("07.2", clip_as_pytorch_does),
    ("07.3", adamw_of_tensors),
    ("07.4", means_of_tensors),
    ("07.6", scaled_step_clipped_as_pytorch_does),
)  # fmt: skip


@pytest.mark.parametrize(("name", "answer"), OTHER_RIGHT, ids=[name for name, _ in OTHER_RIGHT])
def test_another_right_answer_passes(name, answer):
    report = grade(engine.find(name), answer)
    assert report.state is State.PASSED, report


def test_a_wrong_price_is_told_where_it_counts():
    def doubled(num_heads, num_queries, num_keys):
        return 2 * price_of_what_is_ahead_too(num_heads, num_queries, num_keys)

    def without_heads(num_heads, num_queries, num_keys):
        return price_of_what_is_ahead_too(num_heads, num_queries, num_keys)[0]

    exercise = engine.find("04.9")
    said = grade(exercise, doubled).message
    assert "expected, nan where it is masked, [[[-0.0078125, -0.00390625, -0.0]]]\ngot" in said
    assert "expected the shape (1, 1, 3), not (1, 3)" in grade(exercise, without_heads).message


REQUIRED = {
    "04.2": {"scaled by K", "hides with 0", "softmax over the queries"},
    "04.3": {"ε outside the root"},
    "04.7": {"offset not advanced"},
    "06.5": {"reads the last cached token again"},
    "07.1": {"the warm-up is off by one"},
    "07.2": {"clips tensor by tensor"},
    "07.3": {"decay goes through the gradient"},
}


@pytest.mark.parametrize("name", REQUIRED)
def test_the_mistakes_that_everybody_makes_are_known(name):
    assert REQUIRED[name] <= {mistake.name for mistake in engine.find(name).mistakes}
