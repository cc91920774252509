"""The environment is what it says: one list, installed as pinned, and every import declared."""

import ast
import importlib.metadata
import platform
import re
import sys
import tomllib
from pathlib import Path

import pytest

from tools import setup_environment

ROOT = Path(__file__).resolve().parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
# What the set-up leaves out: no notebook and no test needs it.
LEFT_OUT = {"board"}
EXTRAS = {n: pins for n, pins in PROJECT["optional-dependencies"].items() if n not in LEFT_OUT}
ENVIRONMENT = (ROOT / "environment.yml").read_text(encoding="utf-8")
OWN_EXTRAS = re.compile(r"minillm\[([a-z,]+)\]")
PINNED = PROJECT["dependencies"] + [
    pin for pins in EXTRAS.values() for pin in pins if not OWN_EXTRAS.fullmatch(pin)
]
ITSELF = f".[{','.join(EXTRAS)}]"
OWN = {"minillm", "exercises", "tools", "tests"}


def distribution(requirement: str) -> str:
    """The normalised name in front of a requirement's version."""
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert name, requirement
    return re.sub(r"[-_.]+", "-", name[0]).lower()


def installed_by(extra: str) -> list[str]:
    """The pins of an extra, and of the extras that it names."""
    found = []
    for requirement in EXTRAS[extra]:
        named = OWN_EXTRAS.fullmatch(requirement)
        found += sum(map(installed_by, named[1].split(",")), []) if named else [requirement]
    return found


def applies(requirement: str) -> bool:
    """Whether a requirement is meant for this machine."""
    _, _, marker = requirement.partition(";")
    return not marker or marker.strip() == f"platform_system == '{platform.system()}'"


def imported_names(source: str) -> set[str]:
    """The top-level modules that a source imports, at any depth."""
    names = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names.add((node.module or "").partition(".")[0])
    return names - OWN - set(sys.stdlib_module_names)


def undeclared(folder: Path, declared: set[str]) -> list[str]:
    """`file: module` for each import under a folder that no declared distribution provides."""
    providers = importlib.metadata.packages_distributions()
    missing = []
    for path in sorted(folder.rglob("*.py")):
        for name in sorted(imported_names(path.read_text(encoding="utf-8"))):
            if not {distribution(each) for each in providers.get(name, [name])} & declared:
                missing.append(f"{path.relative_to(folder.parent)}: {name}")
    return missing


def test_environment_yml_lists_what_pyproject_pins_and_the_project_last():
    assert setup_environment.requirements(ENVIRONMENT) == [*PINNED, f"-e {ITSELF}"]


def test_environment_yml_asks_conda_for_python_and_pip_alone():
    head, _, _ = ENVIRONMENT.partition("  - pip:\n")
    assert re.findall(r"^  - (.*)$", head, re.MULTILINE) == ["conda-forge", "python=3.11", "pip"]


@pytest.mark.parametrize("requirement", [r for r in PINNED if applies(r)], ids=distribution)
def test_what_is_installed_is_what_is_pinned(requirement: str):
    pinned = requirement.partition(";")[0].partition("==")[2].strip()
    installed = importlib.metadata.version(distribution(requirement))
    assert pinned and installed.partition("+")[0] == pinned


def test_python_is_recent_enough():
    assert PROJECT["requires-python"] == ">=3.11"
    assert sys.version_info >= setup_environment.MIN_PYTHON == (3, 11)


@pytest.mark.parametrize(
    ("folder", "extras"),
    [
        ("minillm", [extra for extra in EXTRAS if extra not in ("course", "test")]),
        ("exercises", ["course"]),
        ("tools", ["course"]),
        ("tests", ["test"]),
    ],
)
def test_every_import_is_declared(folder: str, extras: list[str]):
    requirements = PROJECT["dependencies"] + [r for extra in extras for r in installed_by(extra)]
    assert undeclared(ROOT / folder, {distribution(each) for each in requirements}) == []


def test_the_tests_extra_brings_the_peers_and_all_else_that_the_set_up_installs():
    assert set(EXTRAS["bench"]) <= set(installed_by("test"))
    assert {*PROJECT["dependencies"], *installed_by("test")} == set(PINNED)


def test_an_undeclared_import_is_seen(tmp_path: Path):
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "file.py").write_text("import torch.nn\ndef f():\n    import yaml\n")
    assert undeclared(tmp_path / "room", {"torch"}) == ["room/file.py: yaml"]


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout elsewhere, in which nothing is really installed."""
    for name in ("environment.yml", "pyproject.toml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    environment = tmp_path / ".venv"
    places = {
        "ROOT": tmp_path,
        "ENVIRONMENT": environment,
        "STAMP": environment / "minillm-setup.txt",
        "BIN": environment / "bin",
        "INPUTS": (tmp_path / "environment.yml", tmp_path / "pyproject.toml"),
        "SOLVERS": (),
    }
    for name, value in places.items():
        monkeypatch.setattr(setup_environment, name, value)
    return tmp_path


def pretend(monkeypatch: pytest.MonkeyPatch, *, failing: str = "") -> list[tuple[str, ...]]:
    """Stand in for commands: note them, make what venv makes, fail those that hold `failing`."""
    commands: list[tuple[str, ...]] = []

    def run(*command: str) -> bool:
        commands.append(command)
        setup_environment.BIN.mkdir(parents=True, exist_ok=True)
        (setup_environment.BIN / "python").touch()
        return not failing or failing not in command

    monkeypatch.setattr(setup_environment, "run", run)
    return commands


def test_set_up_installs_the_list_once_and_again_when_it_changes(checkout, monkeypatch):
    commands = pretend(monkeypatch)
    assert setup_environment.main() == 0
    assert commands[-1][-2:] == ("-e", ITSELF) and "numpy==2.4.6" in commands[-1]
    assert setup_environment.main() == 0 and len(commands) == 2
    (checkout / "environment.yml").write_text(ENVIRONMENT.replace("numpy==2.4.6", "numpy==2.4.7"))
    assert setup_environment.main() == 0
    assert "numpy==2.4.7" in commands[-1]


def test_a_failed_installation_is_tried_again(checkout, monkeypatch, capsys):
    pretend(monkeypatch, failing="pip")
    assert setup_environment.main() == 1
    assert "✗ pip could not install the list" in capsys.readouterr().err
    assert not setup_environment.is_ready()
    pretend(monkeypatch)
    assert setup_environment.main() == 0 and setup_environment.is_ready()


def test_conda_is_used_where_found_and_a_venv_where_it_fails(checkout, monkeypatch, capsys):
    monkeypatch.setattr(setup_environment, "SOLVERS", ("sh",))
    commands = pretend(monkeypatch)
    setup_environment.set_up()
    assert commands[0][1:4] == ("env", "create", "--prefix") and len(commands) == 1
    commands = pretend(monkeypatch, failing="env")
    setup_environment.set_up()
    assert "going on with a venv" in capsys.readouterr().out
    assert [command[2] for command in commands[1:]] == ["venv", "pip"]


def test_jupyterlab_is_told_not_to_ask_for_news(checkout, monkeypatch):
    pretend(monkeypatch)
    setup_environment.set_up()
    settings = checkout / ".venv/share/jupyter/lab/settings/overrides.json"
    assert '"fetchNews": "false"' in settings.read_text()


def test_missing_python_is_said_with_its_remedy(checkout, monkeypatch, capsys):
    monkeypatch.setattr(setup_environment, "PYTHONS", ("no-such-python",))
    assert setup_environment.main() == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("✗ Python 3.11 is missing; mend it with: ")


def test_missing_venv_is_said_with_its_remedy(checkout, monkeypatch, capsys):
    without_venv = checkout / "python3.11"
    without_venv.write_text('#!/bin/sh\ncase "$2" in *ensurepip*) exit 1;; esac\nexit 0\n')
    without_venv.chmod(0o755)
    monkeypatch.setattr(setup_environment, "PYTHONS", (str(without_venv),))
    assert setup_environment.main() == 1
    assert "✗ Python's venv module is missing; mend it with: " in capsys.readouterr().err


def test_a_full_disk_is_said_before_anything_is_written(checkout, monkeypatch, capsys):
    commands = pretend(monkeypatch)
    monkeypatch.setattr(setup_environment, "MIN_FREE_GB", 1e9)
    assert setup_environment.main() == 1
    assert "are free here and the environment takes" in capsys.readouterr().err
    assert commands == [] and not (checkout / ".venv").exists()


def test_a_missing_compiler_is_a_warning(checkout, monkeypatch, capsys):
    monkeypatch.setattr(setup_environment.shutil, "which", lambda name: None)
    pretend(monkeypatch)
    setup_environment.warn_of_compiler()
    assert "! no C++ compiler" in capsys.readouterr().out
