"""Before and after, conversation by conversation."""

import numpy as np
import pytest

from minillm.monitor.population import TOYS, in_other_words
from minillm.monitor.slices import SliceScores, slice_change, slice_conversations, slice_scores
from tests.evaluate.fakes import Uniform, story_tokenizer

TOKENIZER = story_tokenizer()


def test_a_change_by_hand() -> None:
    before = SliceScores((10.0, 20.0, 60.0), (10, 10, 10), (False, True, True))
    after = SliceScores((8.0, 17.0, 57.0), (10, 10, 10), (True, True, False))
    found = slice_change(after, before)
    assert found.bits_per_byte.value == pytest.approx(-8 / 30)
    assert found.fraction.value == pytest.approx(-8 / 90)
    assert found.right.value == 0 and found.right.n == 3
    assert before.bits_per_byte == 3.0


def test_no_change_has_an_interval_of_no_width_at_zero() -> None:
    same = SliceScores((1.0, 2.0), (3, 4), (True, False))
    found = slice_change(same, same)
    for each in (found.bits_per_byte, found.fraction, found.right):
        assert (each.low, each.value, each.high) == (0, 0, 0)


def test_a_paired_interval_covers_the_true_change_and_sees_one_of_two_percent() -> None:
    rng, held, certain, trials = np.random.default_rng(0), 0, 0, 200
    for _ in range(trials):
        bits = rng.lognormal(4, 0.6, 40)
        moved = bits * rng.normal(0.98, 0.02, 40)
        scores = [SliceScores(tuple(each), (1,) * 40, (True,) * 40) for each in (moved, bits)]
        fraction = slice_change(*scores).fraction
        held += fraction.low <= -0.02 <= fraction.high
        certain += fraction.high < 0
    # 95 % within 5 standard deviations of a binomial: at least 0.95 − 5·0.0154; measured 0.94
    assert held / trials > 0.87
    # the mean moves by 0.02 with a standard error of 0.004: five of them; measured 200 of 200
    assert certain / trials > 0.95


def test_both_slices_tell_the_same_stories_in_other_words() -> None:
    old, drifted = (slice_conversations(name, 12, 320, TOKENIZER) for name in ("old", "drifted"))
    assert len(old) == len(drifted) > 0
    for one, other in zip(old, drifted, strict=True):
        assert in_other_words(other.prompt.content, TOYS) == one.prompt.content
        assert in_other_words(other.answer, TOYS) == one.answer
    assert any(one.prompt != other.prompt for one, other in zip(old, drifted, strict=True))


def test_a_story_that_does_not_fit_in_one_wording_is_asked_in_none() -> None:
    limits = [len(slice_conversations(name, 12, 190, TOKENIZER)) for name in ("old", "drifted")]
    assert limits[0] == limits[1] < 12


def test_a_uniform_model_needs_log2_v_bits_for_each_token() -> None:
    model = Uniform(TOKENIZER.vocab_size)
    conversations = slice_conversations("old", 3, 320, TOKENIZER)
    scores = slice_scores(model, TOKENIZER, conversations)
    from minillm.monitor.slices import tokens_of

    tokens = [len(tokens_of(each, TOKENIZER)) - 1 for each in conversations]
    expected = np.array(tokens) * np.log2(TOKENIZER.vocab_size)
    np.testing.assert_allclose(scores.bits, expected, rtol=1e-5)
    assert scores.is_right == (False,) * len(conversations)
