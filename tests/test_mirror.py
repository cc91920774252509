"""Notebook and package are one text, and a changed token on either side is seen."""

from pathlib import Path

import nbformat
import pytest

from tools import mirror

ROOT = Path(__file__).resolve().parent.parent
FILE = '''"""What the room does."""

import math
from collections import Counter

LIMIT = 3


# a comment that belongs to the function
def root(number: float) -> float:
    """Its square root."""
    return math.sqrt(number)


@property
def decorated(self: object) -> int:
    return LIMIT


# package only
def plumbing() -> None:
    """No notebook shows this."""
'''
CELL = '''# minillm/room/file.py
import math

LIMIT = 3


# a comment that belongs to the function
def root(number: float) -> float:
    """Its square root."""
    return math.sqrt(number)


@property
def decorated(self: object) -> int:
    return LIMIT'''


@pytest.fixture
def course(tmp_path: Path) -> Path:
    """A course of one file and one notebook, which are one text."""
    (tmp_path / "minillm" / "room").mkdir(parents=True)
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "minillm" / "room" / "file.py").write_text(FILE)
    write_cells(tmp_path, CELL, "root(4.0)")
    return tmp_path


def write_cells(course: Path, *sources: str, name: str = "01_room.ipynb") -> None:
    """A notebook of these code cells, the first of them with an output."""
    cells = [nbformat.v4.new_code_cell(source, id=f"c{n}") for n, source in enumerate(sources)]
    cells[0].outputs = [nbformat.v4.new_output("stream", name="stdout", text="kept\n")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), course / "notebooks" / name)


def first_cell(course: Path) -> nbformat.NotebookNode:
    """The mirrored cell, as it lies on disk."""
    return nbformat.read(course / "notebooks" / "01_room.ipynb", as_version=4).cells[0]


def file_text(course: Path) -> str:
    """The package's file, as it lies on disk."""
    return (course / "minillm" / "room" / "file.py").read_text()


def edit_file(course: Path, old: str, new: str) -> None:
    """Change the package's file."""
    assert old in FILE
    (course / "minillm" / "room" / "file.py").write_text(FILE.replace(old, new))


CHANGES = [
    ("math.sqrt(number)", "math.sqrt(number + 1)", "root differs"),
    ("belongs to the function", "belongs to this function", "root differs"),
    ('"""Its square root."""', '"""Its root."""', "root differs"),
    ("@property", "@staticmethod", "decorated differs"),
    ("LIMIT = 3", "LIMIT = 4", "LIMIT differs"),
    ("import math", "import cmath as math", "not among the file's imports: import "),
]


def test_the_project_itself_is_one_text(capsys):
    assert mirror.check(ROOT, []) == []


def test_equal_texts_have_no_problem_and_the_share_is_printed(course, capsys):
    assert mirror.check(course, []) == []
    assert "notebooks write 2 of 3 definitions (67%)" in capsys.readouterr().out


@pytest.mark.parametrize(("old", "new", "problem"), CHANGES)
def test_a_change_in_the_package_is_seen(course, old, new, problem):
    edit_file(course, old, new)
    assert any(problem in found for found in mirror.check(course, []))


@pytest.mark.parametrize(("old", "new", "problem"), CHANGES)
def test_a_change_in_the_notebook_is_seen(course, old, new, problem):
    write_cells(course, CELL.replace(old, new))
    assert any(problem in found for found in mirror.check(course, []))


@pytest.mark.parametrize(("old", "new", "problem"), CHANGES[:-1])
def test_push_makes_the_package_equal_and_touches_nothing_else(course, old, new, problem):
    write_cells(course, CELL.replace(old, new))
    assert mirror.push(course, []) == ["01_room.ipynb · minillm/room/file.py"]
    assert file_text(course) == FILE.replace(old, new)
    assert mirror.check(course, []) == [] and mirror.push(course, []) == []


@pytest.mark.parametrize(("old", "new", "problem"), CHANGES[:-1])
def test_pull_makes_the_notebook_equal_and_keeps_outputs_and_ids(course, old, new, problem):
    before = first_cell(course)
    edit_file(course, old, new)
    assert mirror.pull(course, []) == ["01_room.ipynb · minillm/room/file.py"]
    after = first_cell(course)
    assert after.source == CELL.replace(old, new)
    assert (after.id, after.outputs) == (before.id, before.outputs)
    assert mirror.check(course, []) == [] and mirror.pull(course, []) == []


def test_push_adds_what_the_file_lacks(course):
    write_cells(course, CELL.replace("import math", "import math\nimport json") + "\n\n\nNEW = 1")
    mirror.push(course, [])
    text = file_text(course)
    assert text.endswith("\n\n\nNEW = 1\n") and "import json\n" in text
    assert text.startswith('"""What the room does."""\n')
    assert mirror.check(course, []) == []


def test_push_writes_a_file_that_does_not_exist(course):
    write_cells(course, CELL.replace("room/file.py", "other/place.py"), name="02_other.ipynb")
    assert any("`push` writes it" in found for found in mirror.check(course, []))
    mirror.push(course, [])
    assert mirror.check(course, []) == []


def test_a_definition_that_no_notebook_shows_needs_its_mark(course):
    edit_file(course, "# package only\n", "")
    (problem,) = mirror.check(course, [])
    assert problem == "minillm/room/file.py: plumbing is in no notebook; show it or write " \
        "`# package only` above"


def test_a_definition_that_a_notebook_shows_must_not_carry_the_mark(course):
    plumbing = FILE.partition("# package only")[2].rstrip()
    write_cells(course, f"{CELL}\n\n\n# package only{plumbing}")
    assert any("take `# package only` away" in found for found in mirror.check(course, []))


def test_a_definition_is_shown_once(course):
    write_cells(course, CELL, name="02_again.ipynb")
    assert any("is also in 01_room.ipynb" in found for found in mirror.check(course, []))


def test_a_mirrored_cell_holds_definitions_and_imports_alone(course):
    write_cells(course, CELL + "\n\nroot(4.0)")
    (problem,) = mirror.check(course, [])
    assert problem.endswith("neither definition nor import: root(4.0)")


def test_less_than_half_of_the_definitions_is_too_little(course):
    write_cells(course, "# minillm/room/file.py\nLIMIT = 3")
    edit_file(course, "def root", "def root")
    problems = mirror.check(course, [])
    assert problems[-1] == "the share is 0.00; it has to be at least 0.5"


def test_named_notebooks_are_judged_alone(course):
    edit_file(course, "# package only\n", "")
    assert mirror.check(course, [str(course / "notebooks" / "01_room.ipynb")]) == []
