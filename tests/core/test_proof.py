"""Visible checks say their margin, and cannot pass on what is not so."""

import math

import numpy as np
import pytest
import torch

from minillm.core.proof import in_words, margin, prove, prove_close, prove_equal


def test_margins_are_rounded_up_to_a_power_of_ten() -> None:
    shown = [margin(value, 1e-12) for value in (3e-6, 9.9e-5, 0.2)]
    assert shown == ["< 1e-05", "< 1e-04", "< 1e+00"]


def test_what_is_far_inside_the_bound_is_shown_alike_on_every_machine() -> None:
    assert {margin(value, 1e-5) for value in (0.0, 1e-9, 4e-7, 9e-7)} == {"< 1e-06"}
    assert margin(2e-6, 1e-5) == "< 1e-05" and margin(0.0, 2e-5) == "< 1e-05"
    assert margin(math.inf, 1e-4) == "inf"


def test_a_margin_that_passes_is_never_shown_above_what_is_allowed() -> None:
    assert margin(0.3, 0.5) == "≤ 5e-01" and margin(0.02, 0.5) == "< 1e-01"
    assert margin(0.123, 0.15) == "≤ 0.15" and margin(0.2, 0.25) == "≤ 0.25"
    assert in_words(0.0106066) == "1e-02", "a bound that was computed has many digits"
    assert margin(1e-4, 1e-4) == "≤ 1e-04" and margin(9e-5, 1e-4) == "< 1e-04"
    assert margin(0.6, 0.5) == "< 1e+00", "what fails is shown as it is"


def test_a_proof_prints_its_margin(capsys: pytest.CaptureFixture) -> None:
    prove_close("about", 1.123, 1.0, 0.15)
    assert capsys.readouterr().out == "✓ about (largest difference ≤ 0.15, allowed 0.15)\n"
    prove_close("ours = theirs", torch.tensor([1.0, 2.0]), np.array([1.0, 2.00003]), 1e-4)
    assert (
        capsys.readouterr().out == "✓ ours = theirs (largest difference < 1e-04, allowed 1e-04)\n"
    )


@pytest.mark.parametrize(
    "ours, theirs", [([1.0], [1.1]), ([math.nan], [math.nan]), ([1.0, 2.0], [1.0])]
)
def test_differences_nan_and_other_shapes_never_pass(ours: list, theirs: list) -> None:
    with pytest.raises(AssertionError, match="✗ same"):
        prove_close("same", ours, theirs, 1e-3)


def test_equality_is_exact_for_texts_and_tensors() -> None:
    prove_equal("text", "a", "a")
    prove_equal("tensor", torch.arange(3), np.arange(3))
    for ours, theirs in (
        ("a", "b"),
        (torch.arange(3), torch.arange(4)),
        (torch.tensor([1.0]), torch.tensor([1.0 + 1e-6])),
    ):
        with pytest.raises(AssertionError):
            prove_equal("different", ours, theirs)


def test_a_false_condition_fails() -> None:
    with pytest.raises(AssertionError, match="✗ the moon is cheese"):
        prove("the moon is cheese", False)
