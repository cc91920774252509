"""Every exercise of every chapter can be solved, and each of its wrong answers is told by name."""

import json
import threading
import time
from pathlib import Path

import nbformat
import pytest
import torch

from exercises import engine
from exercises.answers import plain, same
from exercises.engine import Exercise, Mistake, State, check_notebook, close, grade, satisfies
from exercises.notebook import chapter_notebook, stub

CHAPTERS = engine.chapters()
EXERCISES = [exercise for chapter in CHAPTERS for exercise in engine.exercises_of(chapter)]
MISTAKES = [(exercise, mistake) for exercise in EXERCISES for mistake in exercise.mistakes]


def reports_of(notebook: nbformat.NotebookNode, folder: Path) -> list[engine.Report]:
    """Grade a notebook as a learner would have saved it."""
    path = folder / "answers.ipynb"
    nbformat.write(notebook, path)
    return check_notebook(path)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_every_stub_is_not_started(chapter, tmp_path):
    _, notebook = chapter_notebook(chapter)
    states = [report.state for report in reports_of(notebook, tmp_path)]
    assert states == [State.NOT_STARTED] * len(engine.exercises_of(chapter))


@pytest.mark.parametrize("exercise", EXERCISES, ids=lambda exercise: exercise.id)
def test_the_solution_passes(exercise):
    report = grade(exercise, exercise.solution)
    assert report.state is State.PASSED, report


@pytest.mark.parametrize(
    ("exercise", "mistake"), MISTAKES, ids=[f"{e.id}-{m.name}" for e, m in MISTAKES]
)
def test_the_wrong_answer_is_rejected_and_told_apart(exercise, mistake):
    report = grade(exercise, mistake.answer)
    assert (report.state, report.mistake) == (State.WRONG, mistake.name), report
    assert mistake.explanation in repr(report)


LEAST = {"01": 11, "02": 8, "03": 6} | dict.fromkeys(("04", "05", "06", "07"), 6)


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_a_chapter_has_its_exercises_with_three_wrong_answers_each(chapter):
    exercises = engine.exercises_of(chapter)
    assert len(exercises) >= LEAST.get(chapter, 4)
    assert [e.id for e in exercises] == [f"{chapter}.{n}" for n in range(1, len(exercises) + 1)]
    for exercise in exercises:
        assert len({mistake.name for mistake in exercise.mistakes}) >= 3, exercise.id
        assert exercise.hints and exercise.question and exercise.title, exercise.id


@pytest.mark.parametrize("chapter", CHAPTERS)
def test_the_notebook_is_in_step_with_checks_and_solutions(chapter):
    """The answers are the learner's, and may be there; all else is what the tool writes."""
    path, expected = chapter_notebook(chapter)
    found = nbformat.read(path, as_version=4)

    def frame(notebook: nbformat.NotebookNode) -> list[tuple[str, str]]:
        cells = [cell for cell in notebook.cells if "exercise" not in cell.metadata]
        return [(cell.id, cell.source) for cell in cells]

    ids = [cell.metadata["exercise"] for cell in found.cells if "exercise" in cell.metadata]
    assert ids == [exercise.id for exercise in engine.exercises_of(chapter)]
    assert frame(found)[:1] + frame(found)[2:] == frame(expected)[:1] + frame(expected)[2:]
    assert set(expected.cells[1].source.splitlines()) <= set(found.cells[1].source.splitlines())


def test_a_notebook_imports_what_each_of_its_solutions_needs():
    first, *others = chapter_notebook("07")[1].cells[1].source.splitlines()
    assert first == "import math" and "import math" not in others, "each import once"
    assert "from statistics import median" in others, "watching, not c07_train, imports it"


# The engine itself, on an exercise of its own.


def count_pairs(ids: list[int]) -> dict[tuple[int, int], int]:
    """How often each pair of neighbours occurs."""
    if not ids:
        raise ValueError("no ids")
    pairs = list(zip(ids, ids[1:]))
    return {pair: pairs.count(pair) for pair in pairs}


def counts_once(ids: list[int]) -> dict[tuple[int, int], int]:
    return {**dict.fromkeys(zip(ids, ids[1:]), 1)} if ids else count_pairs(ids)


def forgets_the_empty_list(ids: list[int]) -> dict[tuple[int, int], int]:
    return count_pairs(ids) if ids else {}


PAIRS = Exercise(
    id="99.1",
    title="Count the pairs",
    question="How often does each pair occur?",
    solution=count_pairs,
    cases=(([1, 2, 1, 2],), ([7, 7, 7],), ([],)),
    mistakes=(
        Mistake("counts a pair once", "Add to the count.", counts_once),
        Mistake("forgets the empty list", "It is an error.", forgets_the_empty_list),
    ),
    hints=("zip", "zip(ids, ids[1:])"),
    max_seconds=0.2,
)


def test_a_correct_but_different_answer_passes():
    def other(ids):
        found = {}
        for index in range(len(ids) - 1):
            pair = (ids[index], ids[index + 1])
            found[pair] = found.get(pair, 0) + 1
        if len(ids) == 0:
            raise ValueError("another text")
        return found

    assert grade(PAIRS, other).state is State.PASSED


def test_another_way_to_make_a_known_mistake_is_told_by_name():
    def also_once(ids):
        if not ids:
            raise ValueError
        return {(ids[n], ids[n + 1]): 1 for n in range(len(ids) - 1)}

    assert grade(PAIRS, also_once).mistake == "counts a pair once"


def test_an_unknown_mistake_shows_the_first_failing_case():
    report = grade(PAIRS, lambda ids: {} if ids else count_pairs(ids))
    assert report.state is State.WRONG and report.mistake is None
    assert report.message.splitlines() == [
        "for ([1, 2, 1, 2])",
        "expected {(1, 2): 2, (2, 1): 1}",
        "got      {}",
    ]


def test_an_answer_that_raises_is_told_where():
    def fails(ids):
        counts = {}
        return counts[ids[0]]

    message = grade(PAIRS, fails).message
    assert "raised KeyError: 1\nin line 3 of fails: return counts[ids[0]]" in message


def test_an_answer_that_should_raise_and_does_not_is_told_so():
    found = grade(PAIRS, lambda ids: count_pairs(ids) if ids else None)
    assert "expected to raise ValueError: no ids\ngot None" in found.message


def test_an_endless_loop_is_stopped():
    def endless(ids):
        while True:
            try:
                ids[0] += 1
            except Exception:
                pass

    started, num_threads = time.monotonic(), threading.active_count()
    report = grade(PAIRS, endless)
    assert "no answer after 0.2 seconds" in report.message
    assert time.monotonic() - started < 3 and threading.active_count() == num_threads


def test_a_changed_argument_is_told_and_the_cases_stay_as_they_are():
    def greedy(ids):
        counts = count_pairs(ids)
        ids.append(0)
        return counts

    assert "it changes its arguments" in grade(PAIRS, greedy).message
    assert PAIRS.cases == (([1, 2, 1, 2],), ([7, 7, 7],), ([],))


def test_a_property_lets_any_right_answer_pass():
    def fault(got: list[int], total: int) -> str:
        return "" if sum(got) == total else f"the parts add up to {sum(got)}"

    def halves(total: int) -> list[int]:
        """Two parts."""
        return [total // 2, total - total // 2]

    split = Exercise(
        id="99.2", title="", question="", solution=halves, cases=((7,), (2,)), hints=("",),
        mistakes=(), judge=satisfies(fault),
    )
    assert grade(split, lambda total: [total]).state is State.PASSED
    assert "the parts add up to 6" in grade(split, lambda total: [total - 1]).message
    assert "it cannot be examined (TypeError" in grade(split, lambda total: None).message


def test_tensors_lists_tuples_and_ranges_of_one_content_are_one_answer():
    exercise = Exercise(
        id="99.3", title="", question="", solution=lambda: torch.tensor([1.0, 2.0]), cases=((),),
        hints=("",), mistakes=(), judge=close(1e-4),
    )
    almost = torch.tensor([1.00001, 2.0], dtype=torch.float64)
    for value in ([1.0, 2.0], (1, 2), range(1, 3), almost):
        assert grade(exercise, lambda: value).state is State.PASSED
    for value in ([1.0, 2.1], [1.0], [[1.0, 2.0]], range(2), None, float("nan")):
        assert grade(exercise, lambda: value).state is State.WRONG


def test_nan_equals_nan_and_nothing_else():
    nan = float("nan")
    assert same(plain([nan]), plain([nan])) and not same(nan, 0.0) and not same(0.0, nan, 1e9)


def test_reports_are_lines_in_a_terminal_and_safe_in_a_page():
    report = grade(PAIRS, lambda ids: "<b>&</b>")
    assert repr(report).startswith("✗ 99.1 Count the pairs: wrong\n    for ([1, 2, 1, 2])")
    assert "<b>" not in report._repr_html_() and "&lt;b&gt;" in report._repr_html_()
    assert repr(grade(PAIRS, count_pairs)) == "✓ 99.1 Count the pairs: passed\n    right on 3 cases"


def test_a_stub_is_signature_and_docstring():
    assert stub(count_pairs).splitlines() == [
        "def count_pairs(ids: list[int]) -> dict[tuple[int, int], int]:",
        '    """How often each pair of neighbours occurs."""',
        "    raise NotImplementedError",
    ]


def test_hints_come_in_tiers_and_unknown_ids_are_named(monkeypatch):
    monkeypatch.setattr(engine, "chapters", lambda: ["99"])
    monkeypatch.setattr(engine, "exercises_of", lambda chapter: (PAIRS,))
    assert repr(engine.hint("99.1")) == 'Hint 1 of 2 for 99.1; the next: hint("99.1", 2)\nzip'
    assert repr(engine.hint("99.1", 2)) == "Hint 2 of 2 for 99.1\nzip(ids, ids[1:])"
    assert "def count_pairs" in repr(engine.solution("99.1"))
    with pytest.raises(ValueError, match="has hints 1 to 2"):
        engine.hint("99.1", 3)
    with pytest.raises(ValueError, match="this chapter has: 99.1"):
        engine.check("99.7", count_pairs)


def test_an_unknown_chapter_is_named_with_those_there_are():
    for name in ("01d", "07e_probes"):
        said = f"chapter is '{name}'; the exercises of a side .*: minillm check {name[:2]}$"
        with pytest.raises(ValueError, match=said):
            engine.chapter_reports(name)
    with pytest.raises(ValueError, match="chapter is '77'; chapters with exercises are: "):
        engine.check_chapter("77")


@pytest.fixture
def learner(tmp_path, monkeypatch):
    """A learner's folder: write an answer's source, get the exit code of `minillm check 99`."""
    monkeypatch.setattr(engine, "FOLDER", tmp_path)
    monkeypatch.setattr(engine, "chapters", lambda: ["99"])
    monkeypatch.setattr(engine, "exercises_of", lambda chapter: (PAIRS,))

    def answer(source: str, imports: str = "import math") -> int:
        cells = [
            {"cell_type": "code", "metadata": {}, "source": "1 / 0"},
            {"cell_type": "code", "metadata": {"tags": ["imports"]}, "source": imports},
            {"cell_type": "code", "metadata": {"exercise": "99.1"}, "source": source},
        ]
        (tmp_path / "99_pairs.ipynb").write_text(json.dumps({"cells": cells}))
        return engine.check_chapter("99")

    return answer


def test_the_terminal_runs_imports_and_answers_alone(learner, capsys):
    right = "from collections import Counter\ndef count_pairs(ids):\n    math.sqrt(len(ids))\n" \
        "    if not ids: raise ValueError\n    return Counter(zip(ids, ids[1:]))"
    assert learner(right) == 0
    assert capsys.readouterr().out.splitlines()[-1] == "1 of 1 exercises passed"
    assert learner(stub(count_pairs)) == 1
    assert "○ 99.1 Count the pairs: not started" in capsys.readouterr().out


def test_an_answer_that_does_not_load_is_wrong(learner, capsys):
    assert learner("def count_pairs(ids) return 1") == 1
    assert "its cell raises SyntaxError" in capsys.readouterr().out
    assert learner("def something_else(): ...") == 1
    assert "its cell defines no function called count_pairs" in capsys.readouterr().out
    assert learner("def count_pairs(ids):\n    return {}[1]") == 1
    assert "in line 2 of count_pairs: return {}[1]" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("imports", "name"), [("import nothere", "ModuleNotFoundError"), ("import", "SyntaxError")]
)
def test_imports_that_raise_are_named_and_the_answers_are_still_checked(
    learner, capsys, imports, name
):
    said = f"exercises/99_pairs.ipynb, cell 2 raises {name}: .*; what it imports is missing below"
    with pytest.warns(UserWarning, match=said):
        assert learner("def count_pairs(ids):\n    return {}", imports) == 1
    assert "✗ 99.1 Count the pairs: wrong" in capsys.readouterr().out


@pytest.mark.parametrize("content", ['{"cells": [', "[]", "3", "{}", '{"cells": 3}'])
def test_a_notebook_that_is_none_any_more_is_named_with_the_way_back(learner, tmp_path, content):
    learner("")
    (tmp_path / "99_pairs.ipynb").write_text(content)
    with pytest.raises(ValueError, match="exercises/99_pairs.ipynb is not .* git checkout exer"):
        engine.check_chapter("99")


def test_a_tuple_is_shown_as_one_and_a_list_with_the_same_is_right():
    right, case = (2, 7), ([(1, 2)],)

    def pair(ids: list) -> tuple[int, int]:
        """A pair."""
        return right

    exercise = Exercise(
        id="99.2", title="Pair", question="?", solution=pair, cases=(case,), mistakes=(), hints=()
    )
    assert grade(exercise, lambda ids: [2, 7]).state is State.PASSED
    said = grade(exercise, lambda ids: (2, 8)).message
    assert said == "for ([(1, 2)])\nexpected (2, 7)\ngot      (2, 8)"
