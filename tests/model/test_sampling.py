"""Probabilities: each setting by hand, as transformers does it, and how often it draws what."""

import pytest
import torch
from scipy import stats
from transformers.generation import (
    MinPLogitsWarper,
    RepetitionPenaltyLogitsProcessor,
    TemperatureLogitsWarper,
    TopKLogitsWarper,
    TopPLogitsWarper,
)

from minillm.model import sampling
from minillm.model.generate import generate_batch, last_logits
from minillm.model.sampling import (
    SamplingOptions,
    drawn_tokens,
    next_token_probabilities,
    penalised_logits,
)
from tests.model.small import seeded, small_model

# probabilities


def test_probabilities_by_hand() -> None:
    logits_BV = torch.tensor([[1.0, 4.0, 2.0]]).log()
    for temperature, odds in ((1.0, [1, 4, 2]), (0.5, [1, 16, 4]), (2.0, [1, 2, 2**0.5])):
        expected = torch.tensor([odds]) / sum(odds)
        torch.testing.assert_close(next_token_probabilities(logits_BV, temperature), expected)
    got = next_token_probabilities(logits_BV, top_k=2)
    torch.testing.assert_close(got, torch.tensor([[0, 2 / 3, 1 / 3]]))


@pytest.mark.parametrize(
    ("top_p", "kept"), [(0.01, 1), (0.5, 1), (0.51, 2), (0.75, 2), (0.76, 3), (0.99, 4), (1.0, 4)]
)
def test_the_nucleus_is_the_fewest_tokens_that_hold_p(top_p: float, kept: int) -> None:
    """Halves, quarters and eighths add up without rounding, so the boundary itself is tested."""
    probability_BV = torch.tensor([[0.125, 0.5, 0.125, 0.25]])
    got_BV = next_token_probabilities(probability_BV.log(), top_p=top_p)
    assert int((got_BV > 0).sum()) == kept


@pytest.mark.parametrize(("min_p", "kept"), [(0.0, 4), (0.24, 4), (0.26, 2), (0.49, 2), (0.51, 1)])
def test_min_p_is_relative_to_the_likeliest(min_p: float, kept: int) -> None:
    """Of halves, quarters and eighths: an eighth is a quarter of the half."""
    probability_BV = torch.tensor([[0.125, 0.5, 0.125, 0.25]])
    got_BV = next_token_probabilities(probability_BV.log(), min_p=min_p)
    assert int((got_BV > 0).sum()) == kept
    torch.testing.assert_close(got_BV.sum(), torch.tensor(1.0))
    against_one = int((probability_BV >= min_p).sum())
    assert min_p == 0 or against_one < kept, "measured against 1 it would keep fewer"


def smallest_nucleus_fault(probability_V: torch.Tensor, kept_V: torch.Tensor, p: float) -> str:
    """Empty if the kept tokens hold p, and without the least of them would not."""
    held = probability_V[kept_V > 0]
    if held.sum() < p - 1e-6:
        return "too few"
    if held.sum() - held.min() >= p + 1e-6:
        return "too many"
    return ""


@pytest.mark.parametrize("top_p", [0.1, 0.5, 0.9, 0.99])
def test_the_nucleus_of_random_probabilities_is_smallest(top_p: float) -> None:
    logits_BV = 3 * torch.randn(50, 61, generator=seeded())
    for probability_V, kept_V in zip(
        logits_BV.softmax(-1), next_token_probabilities(logits_BV, top_p=top_p)
    ):
        assert smallest_nucleus_fault(probability_V, kept_V, top_p) == ""
        ordered_V = probability_V.sort(descending=True).values
        size = int((kept_V > 0).sum())
        one_more_V = probability_V * (probability_V >= ordered_V[size])
        one_less_V = probability_V * (probability_V > ordered_V[size - 1])
        assert smallest_nucleus_fault(probability_V, one_more_V, top_p) == "too many"
        assert smallest_nucleus_fault(probability_V, one_less_V, top_p) == "too few"


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("top_k", [None, 1, 7, 61, 1000])
@pytest.mark.parametrize("top_p", [None, 0.2, 0.9])
@pytest.mark.parametrize("min_p", [None, 0.0, 0.05, 0.5, 1.0])
def test_probabilities_are_those_of_transformers(
    temperature: float, top_k: int | None, top_p: float | None, min_p: float | None
) -> None:
    logits_BV = 2 * torch.randn(20, 61, generator=seeded())
    scores_BV = TemperatureLogitsWarper(temperature)(None, logits_BV)
    if top_k is not None:
        scores_BV = TopKLogitsWarper(top_k)(None, scores_BV)
    if top_p is not None:
        scores_BV = TopPLogitsWarper(top_p)(None, scores_BV)
    if min_p is not None:
        scores_BV = MinPLogitsWarper(min_p)(None, scores_BV)
    ours_BV = next_token_probabilities(logits_BV, temperature, top_k, top_p, min_p)
    torch.testing.assert_close(ours_BV, scores_BV.softmax(-1))
    torch.testing.assert_close(ours_BV.sum(-1), torch.ones(20))


@pytest.mark.parametrize("sharpness", [0.5, 4.0])
@pytest.mark.parametrize("top_p", [0.3, 0.9, 0.99, 1.0])
@pytest.mark.parametrize("top_k", [None, 5000, 9000])  # as many as there are, or more
def test_a_nucleus_is_the_same_however_many_tokens_are_looked_at(
    sharpness: float, top_p: float, top_k: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    logits_BV = sharpness * torch.randn(7, 5000, generator=seeded())
    got_BV = next_token_probabilities(logits_BV, 0.9, top_k, top_p)
    scores_BV = TopPLogitsWarper(top_p)(None, logits_BV / 0.9)
    torch.testing.assert_close(got_BV, scores_BV.softmax(-1))
    monkeypatch.setattr(sampling, "FEW_TOKENS", 5000)
    every_BV = next_token_probabilities(logits_BV, 0.9, top_k, top_p)
    assert torch.equal(got_BV > 0, every_BV > 0)
    torch.testing.assert_close(got_BV, every_BV)


def test_a_nucleus_wider_than_what_was_looked_at_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Planted: the few likeliest are taken whether they hold p or not."""
    monkeypatch.setattr(sampling, "likeliest_first", lambda p_BV, *_: p_BV.topk(256))
    with pytest.raises(AssertionError):
        test_a_nucleus_is_the_same_however_many_tokens_are_looked_at(0.5, 0.99, None, monkeypatch)


def test_temperature_zero_takes_the_likeliest_token() -> None:
    logits_BV = torch.randn(50, 61, generator=seeded())
    probability_BV = next_token_probabilities(logits_BV, temperature=0, top_k=3, top_p=0.5)
    assert torch.equal(probability_BV.argmax(-1), logits_BV.argmax(-1))
    assert probability_BV.max(-1).values.eq(1).all()
    assert probability_BV.sum(-1).eq(1).all()


def test_logits_are_left_as_they_were() -> None:
    logits_BV = torch.randn(3, 61, generator=seeded())
    before_BV = logits_BV.clone()
    next_token_probabilities(logits_BV, 0.7, 5, 0.5, 0.1)
    options = SamplingOptions(repetition_penalty=1.5, frequency_penalty=1.0)
    drawn_tokens(logits_BV, torch.tensor([[1, 2]] * 3), torch.tensor([1] * 3), options, seeded())
    assert torch.equal(logits_BV, before_BV)


# penalties

# token 0 is in the prompt, 1 and 1 and 2 were written, 3 is nowhere
TEXT_BT, NUM_PROMPT_B = torch.tensor([[0, 1, 1, 2]]), torch.tensor([1])


def penalised(logits: list[float], **options: float) -> list[float]:
    given = SamplingOptions(**options)
    return penalised_logits(torch.tensor([logits]), TEXT_BT, NUM_PROMPT_B, given)[0].tolist()


def test_penalties_by_hand() -> None:
    logits = [2.0, -2.0, 1.0, 1.0]
    assert penalised(logits, repetition_penalty=2.0) == [1.0, -4.0, 0.5, 1.0]
    assert penalised(logits, frequency_penalty=0.5) == [2.0, -3.0, 0.5, 1.0]
    assert penalised(logits, presence_penalty=0.5) == [2.0, -2.5, 0.5, 1.0]
    assert penalised(logits, frequency_penalty=-0.5, presence_penalty=1.0) == [2.0, -2.0, 0.5, 1.0]
    every = {"repetition_penalty": 2.0, "frequency_penalty": 0.5, "presence_penalty": 0.25}
    assert penalised(logits, **every) == [1.0, -5.25, -0.25, 1.0]
    assert penalised(logits) == logits


def test_a_light_penalty_is_not_lost_in_16_bits() -> None:
    logits_BV = torch.tensor([[2.0, -2.0, 1.0, 1.0]])
    options = SamplingOptions(repetition_penalty=1.001)
    exact_BV = penalised_logits(logits_BV, TEXT_BT, NUM_PROMPT_B, options)
    coarse_BV = logits_BV.bfloat16()
    assert torch.equal(penalised_logits(coarse_BV, TEXT_BT, NUM_PROMPT_B, options), exact_BV)
    assert not torch.equal(exact_BV, logits_BV)


def test_a_repetition_penalty_never_makes_a_used_token_likelier() -> None:
    """Dividing a logit below 0 would: that is the planted bug of the last line."""
    logits_BV = torch.randn(50, 61, generator=seeded())
    text_BT = torch.randint(61, (50, 9), generator=seeded(1))
    options = SamplingOptions(repetition_penalty=1.3)
    got_BV = penalised_logits(logits_BV, text_BT, torch.ones(50), options)
    used_BV = torch.zeros(50, 61, dtype=torch.bool).scatter_(1, text_BT, True)
    assert (got_BV[used_BV] < logits_BV[used_BV]).all()
    assert torch.equal(got_BV[~used_BV], logits_BV[~used_BV])
    assert (logits_BV[used_BV] / 1.3 > logits_BV[used_BV]).any()


@pytest.mark.parametrize("ratio", [0.8, 1.0, 1.3, 5.0])
def test_the_repetition_penalty_is_that_of_transformers(ratio: float) -> None:
    logits_BV = 2 * torch.randn(20, 61, generator=seeded())
    text_BT = torch.randint(61, (20, 30), generator=seeded(1))
    theirs_BV = RepetitionPenaltyLogitsProcessor(ratio)(text_BT, logits_BV.clone())
    options = SamplingOptions(repetition_penalty=ratio)
    for num_prompt in (1, 30):
        ours_BV = penalised_logits(logits_BV, text_BT, torch.full((20,), num_prompt), options)
        torch.testing.assert_close(ours_BV, theirs_BV)


def test_subtracting_knows_no_zero_point_and_multiplying_does() -> None:
    """The same number added to all logits changes no probability, so it should change no draw."""
    logits_BV = torch.randn(1, 61, generator=seeded())
    for options, is_kept in (
        ({"frequency_penalty": 0.7, "presence_penalty": 0.3}, True),
        ({"repetition_penalty": 1.5}, False),
    ):
        given = SamplingOptions(**options)
        one, other = (
            penalised_logits(each, TEXT_BT, NUM_PROMPT_B, given).softmax(-1)
            for each in (logits_BV, logits_BV + 10)
        )
        # ten added costs 2⁻²⁰ of a logit
        assert (float((one - other).abs().max()) < 1e-5) is is_kept


def test_a_penalty_changes_a_text_and_each_row_has_its_own() -> None:
    model, options = small_model(), {"max_tokens": 14, "temperature": 0.0}
    prompts = [[3, 1, 4], [9], [1, 5, 9, 2, 6]]
    plain = generate_batch(model, prompts, **options)
    for penalty in ({"frequency_penalty": 2.0}, {"repetition_penalty": 3.0}):
        together = generate_batch(model, prompts, **options, **penalty)
        alone = [generate_batch(model, [each], **options, **penalty)[0] for each in prompts]
        assert together == alone != plain
        assert sum(map(num_repeated, together)) < sum(map(num_repeated, plain))


def num_repeated(tokens: list[int]) -> int:
    return len(tokens) - len(set(tokens))


# draws

NUM_DRAWS = 20_000
FIVE_SIGMA = stats.norm.sf(5)


def chi_square_tail(counts_V: torch.Tensor, probability_V: torch.Tensor) -> float:
    """How likely counts so far from the probabilities are by chance; 0 for an impossible draw."""
    if counts_V[probability_V == 0].any():
        return 0.0
    expected_V = NUM_DRAWS * probability_V.double()
    is_rare_V = expected_V < 25  # too few for a normal number: counted together
    cells = [(counts_V[~is_rare_V], expected_V[~is_rare_V])]
    cells += [(counts_V[is_rare_V].sum()[None], expected_V[is_rare_V].sum()[None])]
    got, wanted = (torch.cat(each).double() for each in zip(*cells))
    got, wanted = got[wanted > 0], wanted[wanted > 0]
    statistic = float(((got - wanted).square() / wanted).sum())
    return float(stats.chi2.sf(statistic, max(1, len(wanted) - 1)))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"temperature": 0.5},
        {"temperature": 1.7},
        {"top_k": 5},
        {"top_p": 0.8},
        {"min_p": 0.2},
        {"temperature": 0.8, "top_k": 20, "top_p": 0.95},
        {"temperature": 1.3, "top_k": 40, "top_p": 0.99, "min_p": 0.05},
    ],
)
def test_drawn_frequencies_follow_the_probabilities(options: dict) -> None:
    model, prompt = small_model(), [3, 1, 4]
    drawn = generate_batch(
        model, [prompt] * NUM_DRAWS, max_tokens=1, generator=seeded(2), **options
    )
    counts_V = torch.tensor(drawn).flatten().bincount(minlength=61)
    with torch.no_grad():
        logits_BV = last_logits(model, torch.tensor([prompt]))
    probability_V = next_token_probabilities(logits_BV, **options)[0]
    assert chi_square_tail(counts_V, probability_V) > FIVE_SIGMA
    sharper_V = next_token_probabilities(1.25 * logits_BV, **options)[0]
    seen = chi_square_tail(counts_V, sharper_V)
    assert seen < FIVE_SIGMA, "a temperature a fifth off must be seen"


def test_drawn_frequencies_follow_the_penalties() -> None:
    logits_BV = torch.randn(1, 61, generator=seeded())
    logits_BV[0, :3] = torch.tensor([1.5, -0.5, 1.0])
    options = SamplingOptions(
        temperature=0.9, repetition_penalty=1.4, frequency_penalty=0.6, presence_penalty=0.3
    )
    drawn_B = drawn_tokens(
        logits_BV.expand(NUM_DRAWS, -1), TEXT_BT.expand(NUM_DRAWS, -1),
        NUM_PROMPT_B.expand(NUM_DRAWS), options, seeded(3),
    )  # fmt: skip

    def expected(prompt_counts: bool) -> torch.Tensor:
        shaped_V = logits_BV[0].clone()
        for token in (0, 1, 2):
            shaped_V[token] *= 1.4 if shaped_V[token] < 0 else 1 / 1.4
        for token, count in [(1, 2), (2, 1), *([(0, 1)] if prompt_counts else [])]:
            shaped_V[token] -= 0.6 * count + 0.3
        return (shaped_V / 0.9).softmax(-1)

    counts_V = drawn_B.bincount(minlength=61)
    assert chi_square_tail(counts_V, expected(prompt_counts=False)) > FIVE_SIGMA
    assert chi_square_tail(counts_V, expected(prompt_counts=True)) < FIVE_SIGMA


# what is refused


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"min_p": -0.1}, "min_p = -0.1: must be 0 to 1"),
        ({"min_p": 1.1}, "min_p = 1.1: must be 0 to 1"),
        ({"temperature": 1e-39}, "temperature = 1e-39: must be 0, .* or at least 1e-30"),
        ({"repetition_penalty": 0.0}, "repetition_penalty = 0.0: must be 1/1000 to 1000"),
        ({"repetition_penalty": 1e-39}, "repetition_penalty = 1e-39: must be 1/1000 to 1000"),
        ({"frequency_penalty": 2.1}, "frequency_penalty = 2.1: must be -2 to 2"),
        ({"presence_penalty": float("nan")}, "presence_penalty = nan: must be -2 to 2"),
    ],
)
def test_impossible_options_are_refused(options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SamplingOptions(**options)
