"""A hint leads to an exercise's solution and is not itself the solution."""

import ast
import inspect
import re

import pytest

from exercises import engine

EXERCISES = [each for chapter in engine.chapters() for each in engine.exercises_of(chapter)]
MOST = 0.7


def letters(code: str) -> str:
    return re.sub(r"\W+", "", code)


def told_fraction(hints: tuple[str, ...], body: str) -> float:
    """How much of a solution's letters the longest piece of code in its hints holds."""
    pieces = [letters(code) for code in re.findall(r"`([^`]+)`", " ".join(hints))]
    told = [len(piece) for piece in pieces if piece in letters(body)]
    return max(told, default=0) / len(letters(body))


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_no_hint_is_most_of_the_solution(exercise):
    (function,) = ast.parse(inspect.getsource(exercise.solution)).body
    first = 1 if ast.get_docstring(function) else 0
    body = "\n".join(map(ast.unparse, function.body[first:]))
    assert told_fraction(exercise.hints, body) < MOST


def test_the_whole_line_is_noticed():
    body = "return sum(weights) / len(weights)"
    assert told_fraction(("`sum(weights) / len(weights)`",), body) > MOST
    assert told_fraction(("`len(weights)`",), body) < MOST
