"""What all tests share: Triton's interpreter, no windows, and the record of `make proofs`."""

import datetime
import json
import platform
import shlex
from collections.abc import Iterator
from pathlib import Path

import minillm  # noqa: F401  first of all: it chooses Triton's interpreter where there is no GPU

import matplotlib
import pytest
import torch

from minillm.bench.measuring import machine

matplotlib.use("Agg")

ROOT = Path(__file__).resolve().parent.parent
RESULTS = ROOT / "bench" / "proofs.json"


def record_of(report: pytest.TestReport) -> dict[str, object]:
    """What is kept of a proof: the command that repeats it alone, and the figures it handed over.

    It hands them over by `record_property(name, number)`, before it asserts anything of them.
    """
    figures = {"figures": dict(report.user_properties)} if report.user_properties else {}
    return figures | {
        "command": f"python -m pytest -m proof {shlex.quote(report.nodeid)}",
        "outcome": report.outcome,
        "seconds": round(report.duration, 1),
        "date": datetime.date.today().isoformat(),
        "machine": machine(),
        "python": platform.python_version(),
    }


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """After `make proofs`, what was proved, where and when, goes into bench/proofs.json."""
    if config.getoption("markexpr") != "proof":
        return
    recorded = json.loads(RESULTS.read_text(encoding="utf-8")) if RESULTS.is_file() else {}
    # an error is a failure before the call or after it
    for outcome in ("passed", "failed", "error"):
        for report in terminalreporter.stats.get(outcome, []):
            if report.when == "call" or report.failed:
                recorded[report.nodeid] = record_of(report)
    RESULTS.parent.mkdir(exist_ok=True)
    text = json.dumps(recorded, indent=1, sort_keys=True, ensure_ascii=False)
    RESULTS.write_text(text + "\n", encoding="utf-8")


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """As in the processes that are killed: sums over several threads may round otherwise."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture
def compiler_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder for torch.compile's kernels; the test is skipped where it cannot work."""
    from minillm.train.precision import missing_for_compile

    if reason := missing_for_compile("cpu"):
        pytest.skip(f"torch.compile cannot work here: {reason}")
    # `compiled` sets it for the whole process if nobody has
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    return tmp_path
