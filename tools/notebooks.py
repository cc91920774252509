"""Execute, tidy and check the notebooks: `python tools/notebooks.py VERB [notebook …]`.

execute   runs notebooks so that the same run gives the same file, and tidies them
repeat    runs them in memory, and says which cell's output is not what is committed
check     says what the course asks of a notebook and this one lacks
tidy      puts metadata in order without running anything
exercises writes the exercise notebooks of chapters ("02") from their checks and solutions

Output that depends on the clock, on chance or on training belongs in cells tagged `measured`; nbval
and `repeat` ignore it, and `check` wants an assertion there. All other output is always the same.
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

ROOT = Path(__file__).resolve().parent.parent
KERNEL = {"display_name": "Python 3 (ipykernel)", "language": "python", "name": "python3"}
LANGUAGE = {
    "file_extension": ".py",
    "mimetype": "text/x-python",
    "name": "python",
    "pygments_lexer": "ipython3",
}
MEASURED, IGNORED = "measured", "nbval-ignore-output"
CELL_TIMEOUT_S = 600
MIN_WORDS, MIN_PICTURES, MIN_VISIBLE_CHECKS, MAX_CELL_LINES = 900, 3, 8, 40
MACHINE_PATH = re.compile(r"(?:/home|/root|/work|/tmp|/Users|/opt|/mnt)/\w|\b[A-Z]:\\\\?Users")
ADDRESS = re.compile(r"\bat 0x[0-9a-f]{6,}")
TIME = re.compile(r"\b\d[\d.,]*\s?(?:ns|µs|ms|s|sec|seconds|min|minutes|(?:\w+)/s)\b")
# What a draft leaves to be written; a constant may be called TITLE, a heading or a string may not.
PLACEHOLDER = re.compile(r"\b(?:TODO|FIXME|FAKE|TBD)\b|(?:[\"'*]|# )TITLE\b(?! =)")
# Up to these stages something is trained, with progress on stderr, but only where it is made anew.
TRAINED = frozenset(
    "model assistant aligned scores quantized traffic drift feedback second".split()
)
PARAMETERS = {"run_name": "smoke", "home": None}

Notebook = nbformat.NotebookNode
Cell = nbformat.NotebookNode


def tags(cell: Cell) -> list[str]:
    """The tags of a cell."""
    return cell.metadata.get("tags", [])


def code_cells(notebook: Notebook) -> list[Cell]:
    """The code cells that hold code."""
    return [cell for cell in notebook.cells if cell.cell_type == "code" and cell.source.strip()]


def printed(cell: Cell) -> str:
    """The text of a cell's outputs, as a reader sees it."""
    texts = []
    for output in cell.outputs:
        texts.append(output.get("text", ""))
        texts.append(output.get("data", {}).get("text/plain", ""))
        texts.append(output.get("data", {}).get("text/html", ""))
    return "\n".join(texts)


def merged_streams(outputs: list[Notebook]) -> list[Notebook]:
    """Outputs with neighbouring pieces of one stream joined: how it was cut is chance."""
    merged: list[Notebook] = []
    for output in outputs:
        last = merged[-1] if merged else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
        else:
            merged.append(output)
    return merged


def tidy(notebook: Notebook) -> None:
    """Put metadata and tags in order, and outputs in a form that repeats."""
    notebook.metadata = nbformat.from_dict({"kernelspec": KERNEL, "language_info": LANGUAGE})
    for cell in notebook.cells:
        kept = {key: cell.metadata[key] for key in ("tags", "exercise") if cell.metadata.get(key)}
        if MEASURED in kept.get("tags", ()):
            kept["tags"] = sorted({*kept["tags"], IGNORED})
        cell.metadata = nbformat.from_dict(kept)
        cell.source = cell.source.rstrip()
        cell.pop("attachments", None)
        if cell.cell_type == "code":
            cell.outputs = merged_streams(cell.outputs)


def executed(notebook: Notebook, folder: Path) -> Notebook:
    """A copy of the notebook, run from top to bottom with `folder` as working folder."""
    copy = nbformat.from_dict(notebook)
    client = NotebookClient(
        copy,
        timeout=CELL_TIMEOUT_S,
        kernel_name="python3",
        record_timing=False,
        extra_arguments=["--IPKernelApp.log_level=ERROR"],
        resources={"metadata": {"path": str(folder)}},
    )
    client.execute()
    tidy(copy)
    return copy


def differences(committed: Notebook, again: Notebook) -> Iterator[str]:
    """The cells, outside those tagged measured, whose outputs differ between two executions."""
    for old, new in zip(code_cells(committed), code_cells(again), strict=True):
        if MEASURED not in tags(old) and old.outputs != new.outputs:
            line = old.source.splitlines()[0]
            yield f"cell [{old.execution_count}] gives another output: {line}"


def parameters(cell: Cell) -> dict[str, object]:
    """The names and values that the parameters cell sets."""
    found = {}
    for statement in ast.parse(cell.source).body:
        if isinstance(statement, ast.Assign) and isinstance(statement.value, ast.Constant):
            found[ast.unparse(statement.targets[0])] = statement.value.value
    return found


def num_words(notebook: Notebook) -> int:
    """Words of prose: Markdown without code, formulas, tags and links."""
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    for noise in (r"```.*?```", r"\$\$.*?\$\$", r"\$[^$\n]*\$", r"<[^>]+>", r"\]\([^)]*\)"):
        prose = re.sub(noise, " ", prose, flags=re.DOTALL)
    return len(re.findall(r"[^\W\d_][\w'’-]*", prose))


def asserts(source: str) -> bool:
    """Does code hold an `assert`, or call a function whose name begins with `prove`?"""
    for node in ast.walk(ast.parse(source)):
        called = node.func if isinstance(node, ast.Call) else None
        name = called.attr if isinstance(called, ast.Attribute) else getattr(called, "id", "")
        if isinstance(node, ast.Assert) or name.startswith("prove"):
            return True
    return False


def is_quiet(node: ast.AST) -> bool:
    """Is this a definition, which does nothing yet, or a `with` that holds stderr back?"""
    if isinstance(node, ast.With):
        return any("redirect_stderr" in ast.unparse(item) for item in node.items)
    return isinstance(node, ast.FunctionDef)


def may_report(source: str) -> bool:
    """Does code reach for a stage that trains, where its progress would be seen on stderr?"""
    tree = ast.parse(source)
    quiet = {each for node in ast.walk(tree) if is_quiet(node) for each in ast.walk(node)}
    return any(
        isinstance(node, ast.Call)
        and ast.unparse(node.func).rpartition(".")[2] == "reach"
        and any(isinstance(each, ast.Constant) and each.value in TRAINED for each in node.args)
        for node in ast.walk(tree)
        if node not in quiet
    )


def cell_problems(cell: Cell) -> Iterator[str]:
    """What is wrong with one code cell."""
    text, is_measured = printed(cell), MEASURED in tags(cell)
    for output in cell.outputs:
        if output.output_type == "error" and "raises-exception" not in tags(cell):
            yield f"ends in {output.ename}: {output.evalue}"
        if output.output_type == "stream" and output.name == "stderr":
            yield f"writes to stderr: {output.text.splitlines()[0]}"
    for found in (MACHINE_PATH.search(cell.source), MACHINE_PATH.search(text)):
        if found:
            yield f"holds a path of one machine: {found[0]}…"
    if ADDRESS.search(text):
        yield "prints a memory address, another one every time"
    num_lines = sum(bool(line.strip()) for line in cell.source.splitlines())
    if num_lines > MAX_CELL_LINES:
        yield f"has {num_lines} lines of code; at most {MAX_CELL_LINES}"
    if not is_measured and (found := TIME.search(text)):
        yield f"prints a time ({found[0]}) and is not tagged {MEASURED}"
    if not is_measured and may_report(cell.source):
        yield "may train, and would then write its progress to stderr; redirect it"
    if is_measured and IGNORED not in tags(cell):
        yield f"is tagged {MEASURED} but not {IGNORED}; run `python tools/notebooks.py tidy`"
    if is_measured and not asserts(cell.source):
        yield f"is tagged {MEASURED} and asserts nothing"


def placeholders(notebook: Notebook) -> Iterator[str]:
    """What a draft has left to be written, in prose and code."""
    for number, cell in enumerate(notebook.cells, start=1):
        if found := PLACEHOLDER.search(cell.source):
            yield f"still holds a placeholder ({found[0]}) in cell {number} of all; write it"


def check(notebook: Notebook) -> Iterator[str]:
    """What the course asks of a notebook and this one lacks."""
    cells = code_cells(notebook)
    counts = [cell.execution_count for cell in cells]
    if counts != list(range(1, len(cells) + 1)):
        yield "is not executed from top to bottom; run `python tools/notebooks.py execute`"
    for number, cell in enumerate(cells, start=1):
        for problem in cell_problems(cell):
            yield f"cell [{number}] {problem}"
    yield from placeholders(notebook)
    if any(MACHINE_PATH.search(c.source) for c in notebook.cells if c.cell_type == "markdown"):
        yield "holds a path of one machine in its prose"
    if [parameters(cell) for cell in cells if "parameters" in tags(cell)] != [PARAMETERS]:
        yield f"needs one cell tagged parameters that sets {PARAMETERS}"
    if notebook.metadata.get("kernelspec") != KERNEL:
        yield "names another kernel; run `python tools/notebooks.py tidy`"
    pictures = sum("image/png" in output.get("data", {}) for c in cells for output in c.outputs)
    visible = sum(printed(cell).count("✓") for cell in cells)
    for what, found, least in (
        ("words of prose", num_words(notebook), MIN_WORDS),
        ("pictures", pictures, MIN_PICTURES),
        ("visible checks (✓)", visible, MIN_VISIBLE_CHECKS),
    ):
        if found < least:
            yield f"has {found} {what}; at least {least}"


def work(verb: str, path: Path) -> list[str]:
    """Do what a verb says to one notebook; the problems found."""
    notebook = nbformat.read(path, as_version=4)
    if verb == "check":
        return list(check(notebook))
    if verb == "tidy":
        tidy(notebook)
        nbformat.write(notebook, path)
        return []
    try:
        again = executed(notebook, path.resolve().parent)
    except CellExecutionError as error:
        return [str(error)]
    if verb == "repeat":
        return list(differences(notebook, again))
    nbformat.write(again, path)
    return []


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["execute", "repeat", "check", "tidy", "exercises"])
    parser.add_argument("notebooks", nargs="*")
    options = parser.parse_args(arguments)
    if options.verb == "exercises":
        from exercises.engine import chapters
        from exercises.notebook import write_notebook

        for chapter in options.notebooks or chapters():
            print(f"✓ {write_notebook(chapter).name}")
        return 0
    named = [Path(name) for name in options.notebooks]
    paths = named or sorted((ROOT / "notebooks").glob("*.ipynb"))
    if missing := next((path for path in paths if not path.is_file()), None):
        print(f"✗ {missing}: no such notebook; they lie in notebooks/", file=sys.stderr)
        return 1
    num_problems = 0
    for path in paths:
        problems = work(options.verb, path)
        num_problems += len(problems)
        print("\n".join(f"✗ {path.name} {problem}" for problem in problems) or f"✓ {path.name}")
    return int(num_problems > 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
