"""Write a chapter's exercise notebook from its checks and solutions, so that nothing is said twice.

The introduction is the docstring of the checks module, the imports are those of the solutions
modules, and the stub of an exercise is the signature and docstring of its solution.
"""

import ast
import inspect
import textwrap
from collections.abc import Iterable
from pathlib import Path
from types import FunctionType, ModuleType

import nbformat

from exercises.engine import FOLDER, Exercise, exercises_of

KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}


def stub(solution: FunctionType) -> str:
    """The solution's signature and docstring, its body not written yet."""
    source = textwrap.dedent(inspect.getsource(solution))
    (function,) = ast.parse(source).body
    documented = isinstance(function, ast.FunctionDef) and ast.get_docstring(function)
    if not documented:
        raise ValueError(f"solution {solution.__name__} has no docstring for its stub: add one")
    lines = source.splitlines()[: function.body[0].end_lineno]
    return "\n".join([*lines, "    raise NotImplementedError"])


def import_cell(modules: Iterable[ModuleType]) -> str:
    """The imports of the solutions' modules, each once, and the three verbs of the notebook."""
    lines: list[str] = []
    for source in map(inspect.getsource, modules):
        statements = ast.parse(source).body
        imports = [s for s in statements if isinstance(s, (ast.Import, ast.ImportFrom))]
        lines += [ast.get_source_segment(source, statement) or "" for statement in imports]
    return "\n".join([*dict.fromkeys(lines), "from exercises.engine import check, hint, solution"])


def exercise_cells(exercise: Exercise) -> list[nbformat.NotebookNode]:
    """The question, the stub, and the three cells below it."""
    name, key = exercise.solution.__name__, exercise.id.replace(".", "-")
    tags = {"exercise": exercise.id, "tags": ["exercise"]}
    question = f"## {exercise.id} {exercise.title}\n\n{exercise.question}"
    markdown, code = nbformat.v4.new_markdown_cell, nbformat.v4.new_code_cell
    return [
        markdown(question, id=f"{key}-question"),
        code(stub(exercise.solution), id=f"{key}-answer", metadata=tags),
        code(f'check("{exercise.id}", {name})', id=f"{key}-check"),
        code(f'hint("{exercise.id}")', id=f"{key}-hint"),
        code(f'solution("{exercise.id}")', id=f"{key}-solution"),
    ]


def chapter_notebook(chapter: str) -> tuple[Path, nbformat.NotebookNode]:
    """Where the notebook of a chapter ("02") lies, and what it holds before anyone has answered."""
    exercises = exercises_of(chapter)
    modules = dict.fromkeys(inspect.getmodule(exercise.solution) for exercise in exercises)
    (checks,) = (FOLDER / "checks").glob(f"c{chapter}_*.py")
    introduction = ast.get_docstring(ast.parse(checks.read_text(encoding="utf-8")))
    title, _, rest = (introduction or "").partition("\n")
    cells = [
        nbformat.v4.new_markdown_cell(f"# {title}\n\n{rest.strip()}".strip(), id="title"),
        nbformat.v4.new_code_cell(
            import_cell(modules), id="imports", metadata={"tags": ["imports"]}
        ),
    ]
    for exercise in exercises:
        cells += exercise_cells(exercise)
    notebook = nbformat.v4.new_notebook(cells=cells, metadata={"kernelspec": KERNEL})
    return FOLDER / f"{checks.stem[1:]}.ipynb", notebook


def write_notebook(chapter: str) -> Path:
    """Write a chapter's notebook; what a learner has answered in it is lost."""
    path, notebook = chapter_notebook(chapter)
    nbformat.write(notebook, path)
    return path
