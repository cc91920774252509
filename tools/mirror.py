"""Keep notebooks and package one text: `python tools/mirror.py check|push|pull [notebook …]`.

A code cell whose first line is `# minillm/<room>/<file>.py` is mirrored: it holds imports and
definitions (def, class, assignment) alone, and each definition is word for word the one of that
name in that file, its decorators and the comment directly above it included. Its imports are among
the file's. A def or class that no notebook shows has `# package only` directly above it.

check   says what differs, and which share of the package's definitions the notebooks write
push    carries the notebooks' definitions into the package
pull    carries the package's definitions into the notebooks, whose outputs and ids stay
"""

import argparse
import ast
import re
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import nbformat

ROOT = Path(__file__).resolve().parent.parent
HEADER = re.compile(r"# (minillm/\w+(?:/\w+)*\.py)\s*$")
MARK = "# package only"
MIN_SHARE = 0.5


@dataclass(frozen=True)
class Definition:
    """A top-level def, class or assignment: its lines `first` to `end` of a source."""

    name: str
    first: int
    end: int
    text: str
    is_code: bool

    @property
    def package_only(self) -> bool:
        """Marked in the comment above it as not shown by any notebook."""
        return MARK in self.text.splitlines()


@dataclass(frozen=True)
class Source:
    """What a file or a mirrored cell holds at its top level."""

    definitions: dict[str, Definition]
    imports: set[str]
    import_end: int
    others: list[str]


@dataclass(frozen=True)
class Mirror:
    """A mirrored cell and the file that it writes a part of."""

    notebook: Path
    cell: nbformat.NotebookNode
    file: str

    @property
    def place(self) -> str:
        """Words for a message: which notebook and file."""
        return f"{self.notebook.name} · {self.file}"


def assigned_name(statement: ast.stmt) -> str | None:
    """The name that a simple assignment binds."""
    targets = statement.targets if isinstance(statement, ast.Assign) else []
    if isinstance(statement, ast.AnnAssign):
        targets = [statement.target]
    return targets[0].id if len(targets) == 1 and isinstance(targets[0], ast.Name) else None


def definition_of(statement: ast.stmt, lines: list[str], floor: int) -> Definition | None:
    """The definition that a statement makes, with decorators and the comment directly above."""
    is_code = isinstance(statement, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef))
    name = statement.name if is_code else assigned_name(statement)
    if name is None:
        return None
    decorators = statement.decorator_list if is_code else []
    first = min([statement.lineno, *(decorator.lineno for decorator in decorators)]) - 1
    while first > floor and lines[first - 1].startswith("#"):
        first -= 1
    text = "\n".join(line.rstrip() for line in lines[first : statement.end_lineno])
    return Definition(name, first, statement.end_lineno, text, is_code)


def import_names(statement: ast.Import | ast.ImportFrom) -> set[str]:
    """One line for each name that an import statement brings in."""
    source = f"from {statement.module} " if isinstance(statement, ast.ImportFrom) else ""
    return {f"{source}import {ast.unparse(alias)}" for alias in statement.names}


def parse(text: str) -> Source:
    """The top level of a file or cell; a cell's header line belongs to no definition."""
    lines, statements = text.split("\n"), ast.parse(text).body
    floor = 1 if HEADER.match(lines[0]) else 0
    documented = statements and isinstance(statements[0], ast.Expr)
    import_end = statements[0].end_lineno if documented else 0
    definitions, imports, others = {}, set(), []
    for statement in statements:
        definition = definition_of(statement, lines, floor)
        if definition:
            definitions[definition.name] = definition
        elif isinstance(statement, (ast.Import, ast.ImportFrom)):
            imports |= import_names(statement)
            import_end = statement.end_lineno
        else:
            others.append(lines[statement.lineno - 1])
    return Source(definitions, imports, import_end, others)


def mirrors(notebooks: dict[Path, nbformat.NotebookNode]) -> Iterator[Mirror]:
    """The mirrored cells of these notebooks, in order."""
    for path, notebook in notebooks.items():
        for cell in notebook.cells:
            header = HEADER.match(cell.source.split("\n", 1)[0])
            if cell.cell_type == "code" and header:
                yield Mirror(path, cell, header[1])


def read_notebooks(root: Path, names: list[str]) -> dict[Path, nbformat.NotebookNode]:
    """The notebooks named, or all of the course."""
    paths = [Path(name) for name in names] or sorted((root / "notebooks").glob("*.ipynb"))
    return {path: nbformat.read(path, as_version=4) for path in paths}


def cell_problems(mirror: Mirror, root: Path) -> Iterator[str]:
    """In what a mirrored cell differs from its file."""
    if not (root / mirror.file).is_file():
        yield f"{mirror.place}: the file does not exist; `push` writes it"
        return
    cell = parse(mirror.cell.source)
    file = parse((root / mirror.file).read_text(encoding="utf-8"))
    for line in cell.others:
        yield f"{mirror.place}: neither definition nor import: {line.strip()}"
    for line in sorted(cell.imports - file.imports):
        yield f"{mirror.place}: not among the file's imports: {line}"
    for name, shown in cell.definitions.items():
        if name not in file.definitions:
            yield f"{mirror.place}: {name} is not in the file; `push` adds it"
        elif file.definitions[name].text != shown.text:
            yield f"{mirror.place}: {name} differs; `push` takes the notebook's, `pull` the file's"


def package_definitions(root: Path) -> dict[tuple[str, str], Definition]:
    """Every def and class of the package, by file and name."""
    found = {}
    for path in sorted((root / "minillm").rglob("*.py")):
        file = path.relative_to(root).as_posix()
        definitions = parse(path.read_text(encoding="utf-8")).definitions
        found |= {(file, name): one for name, one in definitions.items() if one.is_code}
    return found


def check(root: Path, names: list[str]) -> list[str]:
    """All problems, and the share printed; of notebooks given by name, what their cells say."""
    problems, shown_at = [], {}
    for mirror in mirrors(read_notebooks(root, names)):
        problems += cell_problems(mirror, root)
        for name in parse(mirror.cell.source).definitions:
            key = (mirror.file, name)
            if key in shown_at:
                problems.append(f"{mirror.place}: {name} is also in {shown_at[key]}; show it once")
            shown_at[key] = mirror.notebook.name
    package = package_definitions(root)
    for (file, name), definition in package.items():
        if definition.package_only and (file, name) in shown_at:
            problems.append(f"{file}: {name} is in a notebook; take `{MARK}` away")
        if not names and not definition.package_only and (file, name) not in shown_at:
            problems.append(f"{file}: {name} is in no notebook; show it or write `{MARK}` above")
    num_shown = sum(key in shown_at for key in package)
    share = num_shown / max(len(package), 1)
    if not names:
        print(f"notebooks write {num_shown} of {len(package)} definitions ({share:.0%})")
        if share < MIN_SHARE:
            problems.append(f"the share is {share:.2f}; it has to be at least {MIN_SHARE}")
    return problems


def replaced(text: str, definition: Definition, new: str) -> str:
    """The text with this definition's lines replaced."""
    lines = text.split("\n")
    return "\n".join([*lines[: definition.first], new, *lines[definition.end :]])


def pushed(text: str, cell: Source) -> str:
    """The file's text with the cell's imports and definitions in it."""
    for line in sorted(cell.imports - parse(text).imports):
        lines, end = text.split("\n"), parse(text).import_end
        text = "\n".join([*lines[:end], line, *lines[end:]])
    for name, definition in cell.definitions.items():
        present = parse(text).definitions
        if name in present:
            text = replaced(text, present[name], definition.text)
        else:
            text = f"{text.rstrip()}\n\n\n{definition.text}\n".lstrip()
    return text


def push(root: Path, names: list[str]) -> list[str]:
    """Carry the notebooks' definitions into the package; the files that changed."""
    changed = []
    for mirror in mirrors(read_notebooks(root, names)):
        path = root / mirror.file
        before = path.read_text(encoding="utf-8") if path.is_file() else ""
        after = pushed(before, parse(mirror.cell.source))
        if after != before:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(after, encoding="utf-8")
            changed.append(mirror.place)
    return changed


def pull(root: Path, names: list[str]) -> list[str]:
    """Carry the package's definitions into the notebooks; the cells that changed."""
    changed, notebooks = [], read_notebooks(root, names)
    for mirror in mirrors(notebooks):
        before = mirror.cell.source
        file = parse((root / mirror.file).read_text(encoding="utf-8")).definitions
        for name in parse(before).definitions:
            if name in file:
                shown = parse(mirror.cell.source).definitions[name]
                mirror.cell.source = replaced(mirror.cell.source, shown, file[name].text)
        if mirror.cell.source != before:
            changed.append(mirror.place)
            nbformat.write(notebooks[mirror.notebook], mirror.notebook)
    return changed


def main(arguments: list[str]) -> int:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("verb", choices=["check", "push", "pull"])
    parser.add_argument("notebooks", nargs="*")
    options = parser.parse_args(arguments)
    lines = {"check": check, "push": push, "pull": pull}[options.verb](ROOT, options.notebooks)
    failed = options.verb == "check" and bool(lines)
    for line in lines:
        print(line, file=sys.stderr if failed else sys.stdout)
    if not lines:
        print("✓ notebooks and package are one text")
    return int(failed)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
