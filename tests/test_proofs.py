"""A proof is recorded with its command, and with the figures that it hands over."""

import datetime
import json
import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from minillm.bench.measuring import machine

ROOT = Path(__file__).resolve().parent.parent
PROOFS = """
import pytest

@pytest.mark.proof
@pytest.mark.parametrize("name", ["a.gz", "a b"])
def test_memory(name, record_property):
    record_property("peak_memory_mb", 231)
    record_property("allowed_memory_mb", 500)
    assert name == "a.gz"

@pytest.mark.proof
def test_plain():
    pass

@pytest.fixture
def broken():
    raise OSError("no room")

@pytest.mark.proof
def test_not_begun(broken):
    pass

@pytest.mark.proof
def test_left_out():
    pytest.skip("no such machine")

def test_no_proof():
    pass
"""
OLD = {"date": "2026-11-25", "machine": "x", "outcome": "passed", "python": "3", "seconds": 1.0}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with the tests above, what all tests share, and an older record."""
    for folder in ("tests", "bench"):
        (tmp_path / folder).mkdir()
    shutil.copy(ROOT / "tests" / "conftest.py", tmp_path / "tests")
    (tmp_path / "tests" / "test_a.py").write_text(PROOFS)
    (tmp_path / "pytest.ini").write_text("[pytest]\nmarkers = proof\naddopts = -m 'not proof'\n")
    records = {"tests/test_a.py::test_plain": OLD, "tests/test_b.py::test_other": OLD}
    (tmp_path / "bench" / "proofs.json").write_text(json.dumps(records))
    return tmp_path


def recorded_after(project: Path, command: str) -> dict[str, dict[str, object]]:
    """What bench/proofs.json says when a command of Python's has run there."""
    _, *arguments = shlex.split(command)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    subprocess.run(
        [sys.executable, *arguments], cwd=project, env=environment, stdout=subprocess.DEVNULL
    )
    return json.loads((project / "bench" / "proofs.json").read_text(encoding="utf-8"))


def test_each_proof_is_recorded_with_a_command_that_repeats_it_and_its_figures(project: Path):
    found = recorded_after(project, "python -m pytest -m proof tests")
    assert found.pop("tests/test_b.py::test_other") == OLD
    names = ("memory[a b]", "memory[a.gz]", "not_begun", "plain")
    assert list(found) == [f"tests/test_a.py::test_{name}" for name in names]
    failed, passed, not_begun, plain = found.values()
    assert failed["figures"] == passed["figures"] == {
        "peak_memory_mb": 231, "allowed_memory_mb": 500,
    }  # fmt: skip
    assert "figures" not in plain and "figures" not in not_begun
    outcomes = [each["outcome"] for each in found.values()]
    assert outcomes == ["failed", "passed", "failed", "passed"]
    for each in found.values():
        assert each["machine"] == machine() and datetime.date.fromisoformat(each["date"])
        assert 0 <= each["seconds"] < 60
    assert plain["command"] == "python -m pytest -m proof tests/test_a.py::test_plain"
    (project / "bench" / "proofs.json").unlink()
    again = recorded_after(project, failed["command"])
    assert list(again) == ["tests/test_a.py::test_memory[a b]"]


def test_other_tests_are_not_recorded(project: Path) -> None:
    before = (project / "bench" / "proofs.json").read_bytes()
    recorded_after(project, "python -m pytest tests")
    assert (project / "bench" / "proofs.json").read_bytes() == before
