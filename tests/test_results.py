"""bench/RESULTS.md says what the recorded benches say, and the bars that they are held to."""

import json
import shutil
from pathlib import Path

import pytest

from tools.results import BENCH, RESULTS, results

TRAIN = json.loads((BENCH / "train.json").read_text(encoding="utf-8"))["figures"]


def test_the_page_is_what_the_recorded_benches_make() -> None:
    assert RESULTS.read_text(encoding="utf-8") == results()


def test_another_figure_is_another_page(tmp_path: Path) -> None:
    folder = tmp_path / "bench"
    shutil.copytree(BENCH, folder)
    path = folder / "transfer.json"
    recorded = json.loads(path.read_text(encoding="utf-8"))
    recorded["figures"]["best_rates_apart"]["transfer"] = 1.4
    path.write_text(json.dumps(recorded), encoding="utf-8")
    assert "| the same with the width rule | 1.40 |" in results(folder)


def test_a_bench_without_a_section_is_told(tmp_path: Path) -> None:
    (tmp_path / "new.json").write_text("{}", encoding="utf-8")
    with pytest.raises(KeyError, match="new.json has no section in tools/results.py"):
        results(tmp_path)


@pytest.mark.parametrize(
    ("size", "transformers", "mfu"), [("5.4M", 1.6, 0.45), ("14M", 1.25, 0.50)]
)
def test_the_recorded_step_holds_its_bars(size: str, transformers: float, mfu: float) -> None:
    found = TRAIN[size]
    assert found["ours_over"]["nanoGPT"] >= 3.4
    assert found["ours_over"]["nanoGPT at its best"] >= 1.15
    assert found["ours_over"]["transformers"] >= transformers
    assert found["ours_eager_over"]["nanoGPT"] >= 2.3
    assert found["mfu"]["ours"] >= mfu
    # within the laptop recipe's minutes of pretraining
    assert found["compiling_repaid_after_s"] <= 8.4 * 60
