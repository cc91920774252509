"""Grade a learner's answer, and say which mistake it makes.

An exercise is a solution, the cases to try it on (inputs only: the solution says what to expect),
hints, and *wrong answers, each named by its mistake*. A learner whose results equal those of a
known wrong answer is told that mistake; any other sees the first case that fails. Notebooks end a
cell with `check("02.1", count_pairs)`, `hint("02.1")` or `solution("02.1")`. A whole chapter, in
`exercises/checks/c02_tokenizer.py`, for the functions of `exercises/solutions/c02_tokenizer.py`:

    def counts_once(ids: list[int]) -> dict[tuple[int, int], int]:
        return {pair: 1 for pair in zip(ids, ids[1:])}

    EXERCISES = (
        Exercise(
            id="02.1",
            title="Count the pairs",
            question="How often does each pair of neighbours occur in `ids`?",
            solution=solutions.count_pairs,
            cases=(([1, 2, 1, 2],), ([],), ([7, 7, 7],)),
            mistakes=(
                Mistake("counts a pair once", "Add one to the count that is there.", counts_once),
            ),
            hints=("What pairs a list with itself, moved by one?", "`zip(ids, ids[1:])`"),
        ),
    )

A stub raises `NotImplementedError`, which reads as "not started".
"""

import html
import importlib
import inspect
import json
import linecache
import warnings
from dataclasses import dataclass
from enum import Enum
from pathlib import Path
from types import FunctionType

from exercises.answers import Case, Judge, Outcome, TookTooLong, alike, fault, outcome, shown
from exercises.answers import close as close
from exercises.answers import exact as exact
from exercises.answers import satisfies as satisfies

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Mistake:
    """A wrong answer, named by what it gets wrong, with a sentence that helps out of it."""

    name: str
    explanation: str
    answer: FunctionType


@dataclass(frozen=True, kw_only=True)
class Exercise:
    """A question, its solution, cases to try answers on, and the ways in which it goes wrong."""

    id: str
    title: str
    question: str
    solution: FunctionType
    cases: tuple[Case, ...]
    mistakes: tuple[Mistake, ...]
    hints: tuple[str, ...]
    judge: Judge = exact
    max_seconds: float = 5.0


class State(Enum):
    """How far an answer is."""

    NOT_STARTED = "not started"
    PASSED = "passed"
    WRONG = "wrong"


@dataclass(frozen=True)
class Report:
    """The result of a check: a coloured box in a notebook, lines in a terminal."""

    exercise: Exercise
    state: State
    message: str = ""
    mistake: str | None = None

    def __repr__(self) -> str:
        sign = {State.PASSED: "✓", State.NOT_STARTED: "○", State.WRONG: "✗"}[self.state]
        body = "".join(f"\n    {line}" for line in self.message.splitlines())
        return f"{sign} {self.exercise.id} {self.exercise.title}: {self.state.value}{body}"

    def _repr_html_(self) -> str:
        colour = {State.PASSED: "#009e73", State.NOT_STARTED: "#999999", State.WRONG: "#d55e00"}
        style = f"border-left: 4px solid {colour[self.state]}; padding: .4em 1em; margin: 0"
        return f'<pre style="{style}">{html.escape(repr(self))}</pre>'


@dataclass(frozen=True)
class Folded:
    """Text that a notebook shows after a click, and a terminal at once."""

    title: str
    text: str

    def __repr__(self) -> str:
        return f"{self.title}\n{self.text}"

    def _repr_html_(self) -> str:
        title, text = html.escape(self.title), html.escape(self.text)
        return f"<details><summary>{title}</summary><pre>{text}</pre></details>"


def outcomes(exercise: Exercise, answer: FunctionType) -> list[Outcome]:
    """One outcome a case; none after a case that took too long."""
    results: list[Outcome] = []
    for case in exercise.cases:
        results.append(outcome(answer, case, exercise.max_seconds))
        if isinstance(results[-1].error, TookTooLong):
            break
    return results


def grade(exercise: Exercise, answer: FunctionType) -> Report:
    """Not started, passed, or wrong: with the mistake's name where it is a known one."""
    got = outcomes(exercise, answer)
    if any(isinstance(one.error, NotImplementedError) for one in got):
        return Report(exercise, State.NOT_STARTED)
    expected = outcomes(exercise, exercise.solution)
    faults = [
        f"for ({', '.join(shown(argument) for argument in case)})\n{found}"
        for case, wanted, one in zip(exercise.cases, expected, got)
        if (found := fault(case, wanted, one, exercise.judge, answer))
    ]
    if not faults:
        return Report(exercise, State.PASSED, f"right on {len(exercise.cases)} cases")
    for mistake in exercise.mistakes:
        if alike(got, outcomes(exercise, mistake.answer)):
            message = f"known mistake: {mistake.name}\n{mistake.explanation}\n{faults[0]}"
            return Report(exercise, State.WRONG, message, mistake.name)
    return Report(exercise, State.WRONG, faults[0])


def chapters() -> list[str]:
    """The two-digit numbers of the chapters that have exercises."""
    return sorted(path.stem[1:3] for path in (FOLDER / "checks").glob("c[0-9][0-9]_*.py"))


def exercises_of(chapter: str) -> tuple[Exercise, ...]:
    """A chapter's exercises, in order."""
    if chapter not in chapters():
        if chapter[:2] in chapters() and chapter[2:3].isalpha():
            number = chapter[:2]
            words = f"the exercises of a side notebook are its chapter's: minillm check {number}"
            raise ValueError(f"chapter is {chapter!r}; {words}")
        known = ", ".join(chapters())
        raise ValueError(f"chapter is {chapter!r}; chapters with exercises are: {known}")
    (path,) = (FOLDER / "checks").glob(f"c{chapter}_*.py")
    return importlib.import_module(f"exercises.checks.{path.stem}").EXERCISES


def find(exercise_id: str) -> Exercise:
    """The exercise of this id, such as "02.1": its chapter, a dot, its number."""
    exercises = exercises_of(exercise_id.partition(".")[0])
    for exercise in exercises:
        if exercise.id == exercise_id:
            return exercise
    known = ", ".join(exercise.id for exercise in exercises)
    raise ValueError(f"exercise is {exercise_id!r}; this chapter has: {known}")


def check(exercise_id: str, answer: FunctionType) -> Report:
    """Grade an answer to an exercise; end a notebook's cell with it."""
    return grade(find(exercise_id), answer)


def hint(exercise_id: str, tier: int = 1) -> Folded:
    """The first hint, or a later, plainer one: `hint("02.1", 2)`."""
    hints = find(exercise_id).hints
    if not 1 <= tier <= len(hints):
        raise ValueError(f"tier is {tier}; exercise {exercise_id} has hints 1 to {len(hints)}")
    further = f'; the next: hint("{exercise_id}", {tier + 1})' if tier < len(hints) else ""
    return Folded(f"Hint {tier} of {len(hints)} for {exercise_id}{further}", hints[tier - 1])


def solution(exercise_id: str) -> Folded:
    """The source of the solution: one right answer, of several."""
    return Folded(f"A solution of {exercise_id}", inspect.getsource(find(exercise_id).solution))


def check_cell(exercise: Exercise, source: str, names: dict[str, object]) -> Report:
    """Run the cell that holds an answer, and grade it."""
    name, place = exercise.solution.__name__, f"exercise {exercise.id}"
    linecache.cache[place] = (len(source), None, source.splitlines(keepends=True), place)
    try:
        exec(compile(source, place, "exec"), names)
    except Exception as error:  # a learner's code may raise anything: then it is a wrong answer
        message = f"its cell raises {type(error).__name__}: {error}"
        return Report(exercise, State.WRONG, message)
    if name not in names:
        return Report(exercise, State.WRONG, f"its cell defines no function called {name}")
    return grade(exercise, names[name])


def cells_of(path: Path) -> list[dict]:
    """The cells of a notebook; ValueError with the way back where it is none any more."""
    try:
        return list(json.loads(path.read_text(encoding="utf-8"))["cells"])
    except (ValueError, LookupError, TypeError) as error:
        place = f"exercises/{path.name}"
        way = f"bring it back, without your answers, with: git checkout {place}"
        raise ValueError(f"{place} is not a notebook any more ({error}); {way}") from None


def run_imports(source: str, names: dict[str, object], place: str) -> None:
    """Run the cell that imports; where it raises, say so, so that the answers are still graded."""
    try:
        exec(compile(source, place, "exec"), names)
    except Exception as error:  # a learner may have put anything there
        words = f"{place} raises {type(error).__name__}: {error}; what it imports is missing below"
        warnings.warn(words, stacklevel=2)


def check_notebook(path: Path) -> list[Report]:
    """Run a notebook's imports (cells tagged so) and answers, nothing else; grade each answer."""
    names: dict[str, object] = {"__name__": path.stem}
    reports = []
    for number, cell in enumerate(cells_of(path), start=1):
        source, metadata = "".join(cell["source"]), cell["metadata"]
        if "imports" in metadata.get("tags", ()):
            run_imports(source, names, f"exercises/{path.name}, cell {number}")
        if "exercise" in metadata:
            reports.append(check_cell(find(metadata["exercise"]), source, names))
    return reports


def chapter_reports(chapter: str | None = None) -> list[Report]:
    """Grade a chapter's notebook ("02"), or every one."""
    reports = []
    for number in chapters() if chapter is None else [chapter.zfill(2)]:
        exercises_of(number)
        paths = list(FOLDER.glob(f"{number}_*.ipynb"))
        if not paths:
            raise FileNotFoundError(
                f"exercises/{number}_*.ipynb is missing; bring it back with: git checkout exercises"
            )
        reports += check_notebook(paths[0])
    return reports


def num_passed(reports: list[Report]) -> int:
    """How many of these exercises are solved."""
    return sum(report.state is State.PASSED for report in reports)


def check_chapter(chapter: str | None = None) -> int:
    """Grade a chapter's notebook, or every one; print the reports; 0 if all is passed."""
    reports = chapter_reports(chapter)
    for report in reports:
        print(report)
    print(f"{num_passed(reports)} of {len(reports)} exercises passed")
    return 0 if num_passed(reports) == len(reports) else 1
