"""The course's visible checks: a claim and its margin, printed in one line, or an error.

Margins are rounded up to a power of ten, or to what is allowed where that is less, so that the
line is the same on every machine.
"""

import math

import numpy as np


def prove(name: str, condition: bool, detail: str = "") -> None:
    """Print `✓ name (detail)` if the condition holds; AssertionError if not."""
    if not condition:
        raise AssertionError(f"✗ {name}" + (f" ({detail})" if detail else ""))
    print(f"✓ {name}" + (f" ({detail})" if detail else ""))


def prove_equal(name: str, ours: object, theirs: object) -> None:
    """Exact equality: numbers, texts, lists, arrays or tensors of the same shape."""
    if hasattr(ours, "shape") or hasattr(theirs, "shape"):
        condition = bool(np.array_equal(as_array(ours), as_array(theirs)))
    else:
        condition = bool(ours == theirs)
    prove(name, condition, "exactly" if condition else f"{ours!r:.200} is not {theirs!r:.200}")


def prove_close(name: str, ours: object, theirs: object, allowed: float) -> None:
    """The largest absolute difference is at most `allowed`; shapes must agree, NaN never passes."""
    left, right = as_array(ours).astype(np.float64), as_array(theirs).astype(np.float64)
    assert left.shape == right.shape, f"✗ {name}: shapes {left.shape} and {right.shape} differ"
    difference = float(np.abs(left - right).max()) if left.size else 0.0
    detail = f"largest difference {margin(difference, allowed)}, allowed {in_words(allowed)}"
    prove(name, difference <= allowed, detail)


def in_words(allowed: float) -> str:
    """As it was chosen where it has two digits, 0.15; else by one: 1e-05."""
    one, two = f"{allowed:.0e}", f"{allowed:.2g}"
    return two if float(two) == allowed != float(one) else one


def margin(difference: float, allowed: float) -> str:
    """The power of ten above a difference, from a tenth of what is allowed up to what is allowed.

    Rounding differs from one processor to the next: what is far inside the bound is not told apart.
    """
    if not math.isfinite(difference):
        return str(difference)
    if difference < allowed / 10:
        return f"< 1e{math.ceil(math.log10(allowed / 10) - 1e-9):+03d}"
    above = f"1e{math.floor(math.log10(difference)) + 1:+03d}"
    return f"≤ {in_words(allowed)}" if difference <= allowed < float(above) else f"< {above}"


def as_array(value: object) -> np.ndarray:
    """A tensor, array, list or number as an array; bfloat16 becomes float32."""
    if hasattr(value, "detach"):
        value = value.detach().cpu()
        value = value.float() if value.is_floating_point() and value.element_size() < 4 else value
    return np.asarray(value)
