"""KL and perplexity of a smaller model: by hand, and as the model room counts them."""

import math

import pytest
import torch
from torch import nn

from minillm.compress.compare import compared, kl_divergence, readings
from minillm.model.loss import bits_per_byte
from tests.compress.small import small_model

DOCUMENTS = [[1, 5, 9, 2, 7], [1, 3], list(range(96)), [1, 2, 3, 4, 5, 6]]


class Fixed(nn.Module):
    """The same probabilities everywhere."""

    def __init__(self, probabilities: list[float]) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.tensor(probabilities).log())

    def forward(self, tokens_BT: torch.Tensor) -> torch.Tensor:
        return self.logits.expand(*tokens_BT.shape, -1)


def test_two_tokens_by_hand() -> None:
    """KL((1/2, 1/2) ‖ (1/4, 3/4)) = ½ ln 2 + ½ ln ⅔; token 1 comes: ln 2 before, ln 4/3 after."""
    full, other = Fixed([0.5, 0.5]), Fixed([0.25, 0.75])
    found = compared(other, readings(full, [[0, 1, 1]], 8), num_bytes=3)
    assert found.kl_nats == pytest.approx(0.5 * math.log(2) + 0.5 * math.log(2 / 3), rel=1e-5)
    assert found.nats == pytest.approx(math.log(4 / 3), rel=1e-5)
    assert found.perplexity_change_fraction == pytest.approx(4 / 3 / 2 - 1, rel=1e-5)
    assert found.bits_per_byte == pytest.approx(2 * math.log2(4 / 3) / 3, rel=1e-5)
    assert found.num_tokens == 2


def test_a_model_is_at_distance_zero_from_itself_and_scored_as_elsewhere() -> None:
    model = small_model()
    found = compared(model, readings(model, DOCUMENTS, 48), num_bytes=50)
    assert found.kl_nats == 0 and found.perplexity_change_fraction == 0
    assert found.num_tokens == sum(len(each) - 1 for each in DOCUMENTS)
    assert found.bits_per_byte == pytest.approx(bits_per_byte(model, DOCUMENTS, 50, 48), rel=1e-5)


def test_kl_is_positive_even_where_perplexity_gains() -> None:
    full, other = Fixed([0.5, 0.3, 0.2]), Fixed([0.6, 0.2, 0.2])
    found = compared(other, readings(full, [[0, 0, 0, 0]], 8), num_bytes=3)
    assert found.perplexity_change_fraction < 0 < found.kl_nats


def test_kl_has_its_sides_the_right_way_round() -> None:
    p, q = torch.tensor([[0.9, 0.1]]).log(), torch.tensor([[0.5, 0.5]]).log()
    expected = torch.nn.functional.kl_div(q, p, log_target=True, reduction="batchmean")
    assert kl_divergence(p, q).item() == pytest.approx(expected.item(), rel=1e-6)
    assert kl_divergence(q, p).item() != pytest.approx(expected.item(), rel=0.1)


def test_nothing_to_score_is_refused() -> None:
    with pytest.raises(ValueError, match="not one token to score"):
        readings(small_model(), [[1]], 8)
