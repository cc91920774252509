"""The notebooks hold what the course asks, and the tool that says so sees each fault."""

import subprocess
import sys
from pathlib import Path

import nbformat
import pytest

from tools import notebooks

ROOT = Path(__file__).resolve().parent.parent
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
HOME_PATH = "/home" + "/somebody/corpus.txt"
PNG = {"image/png": "iVBORw0KGgo=", "text/plain": "<Figure size 640x480 with 1 Axes>"}


def cell(source: str, *outputs: nbformat.NotebookNode, tags: tuple[str, ...] = ()):
    """A code cell with outputs."""
    made = nbformat.v4.new_code_cell(source, outputs=list(outputs))
    made.metadata = nbformat.from_dict({"tags": list(tags)} if tags else {})
    return made


def stdout(text: str) -> nbformat.NotebookNode:
    return nbformat.v4.new_output("stream", name="stdout", text=text)


def good_notebook() -> nbformat.NotebookNode:
    """The least that the course asks of a notebook."""
    picture = nbformat.v4.new_output("display_data", data=PNG)
    made = nbformat.v4.new_notebook(
        cells=[
            nbformat.v4.new_markdown_cell("word " * notebooks.MIN_WORDS),
            cell('run_name = "smoke"\nhome = None', tags=("parameters",)),
            cell("plot()", picture, picture, picture),
            cell("prove()", stdout("✓ exactly\n" * notebooks.MIN_VISIBLE_CHECKS)),
            cell("assert wait() < 3", stdout("2.1 s\n"), tags=("measured", "nbval-ignore-output")),
        ]
    )
    for count, code in enumerate(notebooks.code_cells(made), start=1):
        code.execution_count = count
    notebooks.tidy(made)
    return made


def problems_after(change) -> list[str]:
    """What `check` says of the good notebook after a change to its cells."""
    made = good_notebook()
    change(made.cells)
    return list(notebooks.check(made))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_notebook_holds_what_the_course_asks(path):
    assert list(notebooks.check(nbformat.read(path, as_version=4))) == []


@pytest.mark.proof
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_executing_again_changes_nothing_outside_measured_cells(path):
    committed = nbformat.read(path, as_version=4)
    assert list(notebooks.differences(committed, notebooks.executed(committed, path.parent))) == []


def test_a_good_notebook_has_no_problem():
    assert problems_after(lambda cells: None) == []


def add(number: int, text: str):
    """A change: cell `number` prints this too."""
    return lambda cells: cells[number].outputs.append(stdout(text))


def put(number: int, **fields: object):
    """A change: fields of cell `number`."""
    return lambda cells: cells[number].update(**fields)


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (put(3, execution_count=None), "not executed from top to bottom"),
        (put(3, execution_count=9), "not executed from top to bottom"),
        (put(3, source="x = 1\n" * 41), "cell [3] has 41 lines of code; at most 40"),
        (put(0, source="word " * 899), "has 899 words of prose; at least 900"),
        (lambda cells: cells[2].outputs.pop(), "has 2 pictures; at least 3"),
        (put(3, outputs=[stdout("✓\n" * 7)]), "has 7 visible checks (✓); at least 8"),
        (put(3, source=f"open('{HOME_PATH}')"), "cell [3] holds a path of one machine"),
        (add(4, HOME_PATH), "cell [4] holds a path of one machine"),
        (put(0, source="word " * 900 + HOME_PATH), "holds a path of one machine in its prose"),
        (put(0, source="word " * 900 + "TODO: a picture"), "holds a placeholder (TODO) in cell 1"),
        (put(0, source="# TITLE\n" + "word " * 900), "holds a placeholder (# TITLE) in cell 1"),
        (put(3, source='ax.set(title="TITLE")'), "placeholder (\"TITLE) in cell 4"),
        (put(3, source="figures = FAKE"), "placeholder (FAKE) in cell 4"),
        (add(3, "<A at 0x7f12345678>"), "cell [3] prints a memory address"),
        (add(3, "took 3.2 ms"), "cell [3] prints a time (3.2 ms)"),
        (add(3, "12,000 tokens/s"), "cell [3] prints a time (12,000 tokens/s)"),
        (put(4, source="print(clock())"), "cell [4] is tagged measured and asserts nothing"),
        (put(4, metadata={"tags": ["measured"]}), "not nbval-ignore-output"),
        (
            put(3, source='x = stages.reach(run, recipe, "aligned")'),
            "cell [3] may train, and would",
        ),
        (
            put(3, source='with redirect_stderr(quiet):\n    y\nreach(run, recipe, "model")'),
            "cell [3] may train, and would",
        ),
        (put(1, metadata={}), "needs one cell tagged parameters"),
        (put(1, source='run_name = "laptop"\nhome = None'), "needs one cell tagged parameters"),
    ],
)
def test_each_fault_is_seen(change, problem):
    assert any(problem in found for found in problems_after(change))


def test_a_constant_may_be_called_title():
    assert problems_after(put(3, source='TITLE = "Stories"\nprint(TITLE)')) == []


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("for x in y:\n    assert x", True),
        ("prove('a', x > 1)", True),
        ("x = 1\nproof.prove_close('a', x, y, 1e-3)", True),
        ("improve(x)", False),
        ("model.improve(x)", False),
        ("# assert nothing, prove nothing", False),
        ("from minillm.core.proof import prove", False),
        ("print('assert ', prove)", False),
        ("checks[0](x)", False),
    ],
)
def test_a_check_is_an_assertion_or_a_call_and_no_word_in_passing(source, expected):
    assert notebooks.asserts(source) is expected


@pytest.mark.parametrize(
    "source",
    [
        'with redirect_stderr(io.StringIO()):\n    reach(run, recipe, "model")',
        'reach(run, recipe, "shards")',
        'print("reach the model")',
    ],
)
def test_a_cell_without_progress_to_show_is_fine(source):
    assert problems_after(put(3, source=source)) == []


def test_an_error_is_a_fault_unless_it_is_meant():
    error = nbformat.v4.new_output("error", ename="KeyError", evalue="7", traceback=[])
    assert problems_after(lambda c: c[2].outputs.append(error)) == ["cell [2] ends in KeyError: 7"]

    def meant(cells):
        cells[2].outputs.append(error)
        cells[2].metadata["tags"] = ["raises-exception"]

    assert problems_after(meant) == []


def test_a_warning_on_stderr_is_a_fault():
    warning = nbformat.v4.new_output("stream", name="stderr", text="FutureWarning: gone soon\n")
    found = problems_after(lambda c: c[2].outputs.append(warning))
    assert found == ["cell [2] writes to stderr: FutureWarning: gone soon"]


def test_prose_is_counted_without_code_and_formulas():
    prose = "Three plain words $x_{BTD}$ ```\nfour = more\n``` [a link](https://x.example/y)"
    made = nbformat.v4.new_notebook(cells=[nbformat.v4.new_markdown_cell(prose)])
    assert notebooks.num_words(made) == 5


def test_executing_gives_the_same_file_twice_and_the_measured_cell_is_free(tmp_path):
    made = nbformat.v4.new_notebook(
        cells=[
            cell("import time\nstamp = time.perf_counter_ns()"),
            cell("print(stamp)", tags=("measured",)),
            cell("print('piece', end='', flush=True)\nprint(' by piece')"),
        ]
    )
    path = tmp_path / "01.ipynb"
    nbformat.write(made, path)
    assert notebooks.work("execute", path) == []
    once = nbformat.read(path, as_version=4)
    assert [c.execution_count for c in once.cells] == [1, 2, 3]
    assert notebooks.work("repeat", path) == []
    again = notebooks.executed(once, tmp_path)
    assert again.cells[1].outputs != once.cells[1].outputs
    again.cells[1].outputs = once.cells[1].outputs
    assert nbformat.writes(again) == nbformat.writes(once)


def test_output_that_depends_on_the_clock_is_found_by_repeat(tmp_path):
    path = tmp_path / "01.ipynb"
    made = nbformat.v4.new_notebook(cells=[cell("import time\nprint(time.perf_counter_ns())")])
    nbformat.write(made, path)
    assert notebooks.work("execute", path) == []
    assert notebooks.work("repeat", path) == ["cell [1] gives another output: import time"]


def test_a_failing_cell_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "01.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell("1 / 0")]), path)
    before = path.read_bytes()
    (problem,) = notebooks.work("execute", path)
    assert "ZeroDivisionError" in problem and path.read_bytes() == before


@pytest.mark.parametrize("verb", ["execute", "check"])
def test_a_notebook_that_is_not_there_is_named_in_one_line(verb, capsys):
    assert notebooks.main([verb, "notebooks/nope.ipynb"]) == 1
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        "✗ notebooks/nope.ipynb: no such notebook; they lie in notebooks/"
    ]
    assert printed.out == ""


def test_the_command_line_fails_where_a_notebook_does(tmp_path):
    path = tmp_path / "01.ipynb"
    nbformat.write(nbformat.v4.new_notebook(cells=[cell("x = 1")]), path)
    command = [sys.executable, str(ROOT / "tools" / "notebooks.py"), "check", str(path)]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 1 and "✗ 01.ipynb is not executed" in result.stdout
