"""Run an answer on a case, and compare what comes back.

An answer is a learner's function. It gets a copy of the arguments, is stopped when it runs on, and
whatever it returns, raises or changes is its outcome. Values are compared as plain lists, dicts and
numbers, so that a tuple, an array or a tensor with the right content is right. A judge decides
about one value: `exact`, `close(tolerance)`, or `satisfies(fault)` where several answers are right.
"""

import copy
import ctypes
import math
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import FunctionType

Case = tuple[object, ...]
Judge = Callable[[Case, object, object], str]
"""(arguments, expected, got) → what is wrong with `got`; an empty string where nothing is."""

MAX_SHOWN_CHARACTERS = 240


def plain(value: object, keep_tuples: bool = False) -> object:
    """A copy in lists, dicts, numbers and strings: what answers are compared by, and shown by
    with tuples left as such."""
    if hasattr(value, "tolist"):  # arrays and tensors, without importing their libraries
        return value.tolist()
    if isinstance(value, Mapping):
        return {key: plain(entry, keep_tuples) for key, entry in value.items()}
    if isinstance(value, (list, tuple, range)):
        entries = [plain(entry, keep_tuples) for entry in value]
        return tuple(entries) if keep_tuples and isinstance(value, tuple) else entries
    if value is not None and type(value).__eq__ is object.__eq__:
        return f"<{type(value).__name__}>"
    return copy.copy(value)


def same(ours: object, theirs: object, tolerance: float = 0.0) -> bool:
    """Equal plain values, numbers up to a relative (near zero: absolute) tolerance."""
    if isinstance(ours, list) and isinstance(theirs, list):
        pairs = zip(ours, theirs)
        return len(ours) == len(theirs) and all(same(a, b, tolerance) for a, b in pairs)
    if isinstance(ours, dict) and isinstance(theirs, dict):
        return ours.keys() == theirs.keys() and all(
            same(ours[key], theirs[key], tolerance) for key in ours
        )
    if isinstance(ours, (int, float)) and isinstance(theirs, (int, float)):
        both_nan = math.isnan(ours) and math.isnan(theirs)
        return both_nan or math.isclose(ours, theirs, rel_tol=tolerance, abs_tol=tolerance)
    return bool(ours == theirs)


def shown(value: object) -> str:
    """A value as text, cut where it would fill the page."""
    text = repr(plain(value, keep_tuples=True))
    return text if len(text) <= MAX_SHOWN_CHARACTERS else text[:MAX_SHOWN_CHARACTERS] + " …"


def close(tolerance: float) -> Judge:
    """A judge for numbers, which may differ by `tolerance`, relative or absolute."""

    def judge(case: Case, expected: object, got: object) -> str:
        if same(plain(expected), plain(got), tolerance):
            return ""
        return f"expected {shown(expected)}\ngot      {shown(got)}"

    return judge


exact = close(0.0)


def satisfies(fault: Callable[..., str]) -> Judge:
    """Any value without a fault is right: `fault(got, *arguments)` says what is wrong, or ""."""

    def judge(case: Case, expected: object, got: object) -> str:
        try:
            found = fault(got, *copy.deepcopy(case))
        except (TypeError, ValueError, AttributeError, LookupError, RuntimeError) as error:
            found = f"it cannot be examined ({type(error).__name__}: {error})"
        return f"{found}\ngot {shown(got)}" if found else ""

    return judge


class TookTooLong(BaseException):
    """Raised inside an answer that runs on; not an Exception, so that answers do not catch it."""


@dataclass(frozen=True)
class Outcome:
    """What one call did: the value it returned or the error it raised, and to its arguments."""

    value: object = None
    error: BaseException | None = None
    arguments_changed: bool = False


def outcome(answer: FunctionType, case: Case, max_seconds: float) -> Outcome:
    """Call the answer on a copy of the case, in a thread that can be stopped."""
    arguments, found = copy.deepcopy(case), []

    def call() -> None:
        try:
            value = answer(*arguments)
            found.append(Outcome(value, None, not same(plain(arguments), plain(case))))
        except (Exception, TookTooLong) as error:  # a learner's code may raise anything
            found.append(Outcome(error=error))

    thread = threading.Thread(target=call, daemon=True)
    thread.start()
    thread.join(max_seconds)
    if thread.is_alive():  # Python's only way to break a loop in another thread, on any system
        stop = ctypes.pythonapi.PyThreadState_SetAsyncExc
        stop(ctypes.c_ulong(thread.ident), ctypes.py_object(TookTooLong))
        thread.join(1.0)
        return Outcome(error=TookTooLong(f"no answer after {max_seconds:g} seconds"))
    return found[0]


def explained(error: BaseException, answer: FunctionType) -> str:
    """The error in one line, with the line of the answer that it came from."""
    if isinstance(error, TookTooLong):
        return f"{error}: does its loop come to an end?"
    code, where = answer.__code__, ""
    for frame in traceback.extract_tb(error.__traceback__):
        if frame.filename == code.co_filename:
            number = frame.lineno - code.co_firstlineno + 1
            where = f"\nin line {number} of {code.co_name}: {frame.line}".rstrip(": ")
    return f"raised {type(error).__name__}: {error}{where}"


def fault(case: Case, expected: Outcome, got: Outcome, judge: Judge, answer: FunctionType) -> str:
    """What is wrong with one outcome; an empty string where nothing is."""
    if got.error is not None:
        right_error = type(got.error) is type(expected.error)
        return "" if right_error else explained(got.error, answer)
    if expected.error is not None:
        wanted = f"{type(expected.error).__name__}: {expected.error}"
        return f"expected to raise {wanted}\ngot {shown(got.value)}"
    if got.arguments_changed and not expected.arguments_changed:
        return "it changes its arguments; work on a copy"
    return judge(case, expected.value, got.value)


def alike(ours: list[Outcome], theirs: list[Outcome]) -> bool:
    """The same values, errors and changes, case by case."""
    return len(ours) == len(theirs) and all(
        type(a.error) is type(b.error)
        and a.arguments_changed == b.arguments_changed
        and same(plain(a.value), plain(b.value), 1e-6)
        for a, b in zip(ours, theirs)
    )
