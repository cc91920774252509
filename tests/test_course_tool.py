"""A course runs in order, goes on where it failed, and ends in a report that needs nothing else."""

import dataclasses
import json
import os
import re
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import nbformat
import pytest
import torch

from minillm.core.records import JsonLines, make_artifact
from minillm.core.settings import with_fields
from minillm.model.transformer import ModelConfig, Transformer
from minillm.recipes import laptop, open_run, smoke
from minillm.stages import STAGES
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from minillm.train.checkpoint import save_model
from tools import course, lane, report

PARAMETERS = nbformat.v4.new_code_cell(
    'run_name = "smoke"\nhome = None', metadata={"tags": ["parameters"]}
)


def write_notebook(root: Path, name: str, *sources: str) -> None:
    """A notebook with the parameters cell and these code cells."""
    cells = [PARAMETERS, *(nbformat.v4.new_code_cell(source) for source in sources)]
    (root / "notebooks").mkdir(exist_ok=True)
    nbformat.write(nbformat.v4.new_notebook(cells=cells), root / "notebooks" / name)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A checkout with three notebooks."""
    for name in ("01_one", "02_two", "04b_side"):
        write_notebook(tmp_path, f"{name}.ipynb", f"print('{name}')")
    write_notebook(tmp_path, "scratch.ipynb", "1 / 0")
    return tmp_path


@pytest.fixture
def executed(root: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The notebooks executed, in order; instead of papermill, a copy, and failure on `1 / 0`."""
    names: list[str] = []

    def execute(notebook, run):
        names.append(notebook.stem)
        text = notebook.read_text()
        (run.path / "notebooks" / notebook.name).write_text(text)
        return "cell [2] (1 / 0): ZeroDivisionError: division by zero" if "1 / 0" in text else None

    def write_page(run, name):
        page = report.page_path(run, name)
        page.parent.mkdir(exist_ok=True)
        page.write_text("a page")

    monkeypatch.setattr(lane, "execute", execute)
    monkeypatch.setattr(lane, "write_page", write_page)
    monkeypatch.setattr(course, "code_sha256", lambda modules: f"code of {modules}")
    # lanes of threads: what a test puts in the place of `execute` is not known to other processes
    monkeypatch.setattr(course, "ProcessPoolExecutor", lambda n, *_, **__: ThreadPoolExecutor(n))
    monkeypatch.setattr(course, "num_cores", lambda: 8)
    monkeypatch.setenv("OMP_NUM_THREADS", "64")  # and back again after the test
    return names


def run_again(root: Path, executed: list[str]) -> list[str]:
    """Run the course; what it executed this time."""
    executed.clear()
    course.run_course(run_name="smoke", home=root, root=root)
    return list(executed)


def test_notebooks_run_in_order_once(root, executed, capsys):
    assert run_again(root, executed) == ["01_one", "02_two", "04b_side"]
    assert run_again(root, executed) == []
    assert "✓ [1/3] 01_one: unchanged" in capsys.readouterr().out


def test_readers_go_beside_makers_but_what_trains_by_the_clock_runs_alone(monkeypatch):
    monkeypatch.setattr(course, "num_cores", lambda: 2)
    names = "00_a 01_b 01b_c 08_d 09_e 10_f 11_g 15_h".split()
    paths = {name: Path(f"{name}.ipynb") for name in names}

    def stems(recipe):
        alone, lanes = course.arranged(list(paths.values()), recipe)
        return [" ".join(each.stem for each in part) for part in (alone, *lanes)]

    readers = "01_b 01b_c 08_d"
    assert stems(smoke()) == ["00_a", "09_e 10_f 11_g 15_h", readers]
    assert stems(laptop()) == ["00_a 09_e 10_f", "11_g 15_h", readers]
    expected = {
        "training": ["00_a", "09_e 10_f 11_g 15_h", readers],
        "sft.training": ["00_a 09_e", "10_f 11_g 15_h", readers],
        "preferences.dpo": ["00_a 09_e 10_f", "11_g 15_h", readers],
        "preferences.rl": ["00_a 09_e 10_f", "11_g 15_h", readers],
        "second.training": [" ".join(names)],
    }
    for part, arrangement in expected.items():
        timed = with_fields(smoke(), [f"{part}.max_minutes=1", f"{part}.max_steps=null"])
        assert stems(timed) == arrangement, part
    del paths["15_h"], paths["11_g"]
    assert stems(laptop()) == ["00_a 01_b 01b_c 08_d 09_e 10_f"]
    monkeypatch.setattr(course, "num_cores", lambda: 1)
    assert stems(smoke()) == ["00_a 01_b 01b_c 08_d 09_e 10_f"]


def test_readers_make_no_stage_after_the_model_and_makers_do():
    after = "|".join(STAGES[STAGES.index("model") + 1 :])
    rooms = "compress|traffic|monitor|feedback|second|fine_tune|make_assistant|align|make_scores"
    makes = re.compile(
        rf"reach\(.*\"({after})\"|\b({rooms}|\w*evaluate|promote_best)\(recipe[.\w]*, run"
    )
    makers = set()
    for path in (course.ROOT / "notebooks").glob("*.ipynb"):
        code = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code")
        makers |= {path.name[:2]} if makes.search(code) else set()
    assert makers >= {"09", "10", "11", "12", "14", "15"}, "the pattern has to know these"
    assert not makers & set(course.READERS)


@pytest.fixture
def wider(root: Path, executed: list[str]) -> list[str]:
    """The same checkout with a first notebook and two makers: two lanes."""
    for name in ("00_map", "09_sft", "10_more"):
        write_notebook(root, f"{name}.ipynb", f"print('{name}')")
    return executed


def test_two_lanes_run_at_once_with_half_of_the_cores_each(root, wider, monkeypatch, capsys):
    """Each lane's first waits for the other's: one after the other, they would wait for ever."""
    both, others_end, threads = threading.Barrier(2, timeout=20), threading.Event(), {}
    plain = lane.execute

    def execute(notebook, run):
        threads[notebook.stem] = os.environ["OMP_NUM_THREADS"]
        if notebook.stem in ("01_one", "09_sft"):
            both.wait()
        if notebook.stem == "09_sft":
            assert others_end.wait(20)
        return plain(notebook, run)

    def said(text, **options):
        if text.startswith("✓ [4/6] 04b_side"):
            others_end.set()

    monkeypatch.setattr(lane, "execute", execute)
    monkeypatch.setattr(course, "print", said, raising=False)
    assert course.run_course(run_name="smoke", home=root, root=root) == 0
    halves = {"01_one": "4", "02_two": "4", "04b_side": "4", "09_sft": "4"}
    assert threads == {"00_map": "64", **halves, "10_more": "8"}
    pages = {path.stem for path in (root / "runs" / "smoke" / "report").glob("*.html")}
    assert pages == {*threads, "index"}


def test_a_lane_with_nothing_to_run_leaves_its_cores(root, wider, monkeypatch):
    run_again(root, wider)
    for name in ("09_sft", "10_more"):
        write_notebook(root, f"{name}.ipynb", f"print('{name}, changed')")
    threads = []
    plain = lane.execute
    monkeypatch.setattr(
        lane, "execute",
        lambda *given: threads.append(os.environ["OMP_NUM_THREADS"]) or plain(*given),
    )  # fmt: skip
    monkeypatch.setenv("OMP_NUM_THREADS", "64")
    assert run_again(root, wider) == ["09_sft", "10_more"] and threads == ["8", "8"]


@pytest.mark.parametrize("given, expected", [("2", "2"), ("64", "4"), ("", "4"), ("all", "4")])
def test_a_kernel_gets_no_more_threads_than_were_given(root, wider, monkeypatch, given, expected):
    threads, plain = {}, lane.execute

    def execute(notebook, run):
        threads[notebook.stem] = os.environ["OMP_NUM_THREADS"]
        return plain(notebook, run)

    monkeypatch.setattr(lane, "execute", execute)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    run_again(root, wider)
    assert threads["00_map"] == given and threads["01_one"] == expected


@pytest.mark.parametrize("error", [None, OSError("no space left")])
def test_a_lane_stops_when_the_other_fails(root, wider, monkeypatch, capsys, error):
    """The maker goes on until the reader has failed; then its lane begins no other."""
    has_failed = threading.Event()
    plain = lane.execute

    def execute(notebook, run):
        if notebook.stem == "09_sft":
            assert has_failed.wait(20)
            time.sleep(0.2)
        if notebook.stem == "01_one":
            has_failed.set()
            if error is not None:
                raise error
        return plain(notebook, run)

    monkeypatch.setattr(lane, "execute", execute)
    write_notebook(root, "01_one.ipynb", "1 / 0")
    assert course.run_course(run_name="smoke", home=root, root=root) == 1
    said = "cell [2] (1 / 0): ZeroDivision" if error is None else "OSError: no space left"
    assert capsys.readouterr().err.startswith(f"✗ 01_one.ipynb, {said}")
    assert "09_sft" in wider and not {"10_more", "02_two"} & set(wider)
    finished = course.finished_before(open_run("smoke", home=root)[0])
    assert set(finished) == {"00_map.ipynb", "09_sft.ipynb"}


def test_lanes_are_processes_whose_kernels_get_their_share(root, monkeypatch):
    """The real thing: papermill in two processes, in each a kernel with its threads."""
    monkeypatch.setattr(course, "num_cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run, _ = open_run("trial", recipe=smoke(), home=root)
    names = ("01_one", "09_sft")
    for name in names:
        words = "os.environ['OMP_NUM_THREADS'], os.getppid(), os.getcwd()"
        write_notebook(root, f"{name}.ipynb", f"import os\nprint({words})")
    lanes = [[root / "notebooks" / f"{name}.ipynb"] for name in names]
    here = Path.cwd()
    assert set(course.run_notebooks([], lanes, run)) == {f"{name}.ipynb" for name in names}
    printed = []
    for name in names:
        written = nbformat.read(run.path / "notebooks" / f"{name}.ipynb", as_version=4)
        outputs = [each for cell in written.cells for each in cell.get("outputs", ())]
        printed.append("".join(each.text for each in outputs).split())
        assert report.page_path(run, f"{name}.ipynb").is_file()
    assert [each[0] for each in printed] == ["3", "3"] and printed[0][1] != printed[1][1]
    assert [each[2] for each in printed] == [str(root / "notebooks")] * 2 and Path.cwd() == here


def test_what_the_other_lane_made_is_no_artifact_of_a_reader(root, wider):
    manifest = root / "runs" / "smoke" / "scores" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    run, _ = open_run("smoke", recipe=smoke(), home=root)
    notebooks = sorted((root / "notebooks").glob("*_*.ipynb"))
    alone, lanes = course.arranged(notebooks, smoke())
    finished = course.run_notebooks(alone, lanes, run)
    made = {name: one.artifacts for name, one in finished.items()}
    assert made["09_sft.ipynb"] == ["scores"] and made["01_one.ipynb"] == []


def test_side_by_side_one_waits_for_the_longer_lane(root, wider, monkeypatch):
    run_again(root, wider)
    run, _ = open_run("smoke", home=root)
    took = {"00_map": 10.0, "01_one": 20.0, "02_two": 30.0, "04b_side": 5.0, "09_sft": 40.0}
    finished = {
        name: dataclasses.replace(one, seconds=took.get(Path(name).stem, 2.0))
        for name, one in course.finished_before(run).items()
    }
    course.keep(run, finished)
    assert run_again(root, wider) == []
    figures = json.loads((run.path / "figures.json").read_text(encoding="utf-8"))
    assert figures["total_seconds"] == 10.0 + 55.0
    page = (run.path / "report" / "index.html").read_text(encoding="utf-8")
    assert "all, some side by side" in page


def test_changed_code_runs_again_and_changed_prose_does_not(root, executed):
    run_again(root, executed)
    path = root / "notebooks" / "02_two.ipynb"
    notebook = nbformat.read(path, as_version=4)
    notebook.cells.append(nbformat.v4.new_markdown_cell("more words"))
    notebook.cells[1].outputs = [nbformat.v4.new_output("stream", text="other")]
    nbformat.write(notebook, path)
    assert run_again(root, executed) == []
    write_notebook(root, "02_two.ipynb", "print('changed')")
    assert run_again(root, executed) == ["02_two"]


def test_a_changed_recipe_or_package_runs_everything_again(root, executed, monkeypatch):
    run_again(root, executed)
    open_run("smoke", recipe=laptop(), home=root)
    assert len(run_again(root, executed)) == 3
    open_run("smoke", recipe=smoke(), home=root)
    monkeypatch.setattr(course, "code_sha256", lambda modules: "another package")
    assert len(run_again(root, executed)) == 3


def test_an_artifact_that_is_gone_is_made_again(root, executed):
    manifest = root / "runs" / "smoke" / "documents" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    (run, _), notebooks = open_run("smoke", home=root), [root / "notebooks" / "01_one.ipynb"]
    finished = course.run_notebooks(notebooks, [], run)
    assert finished["01_one.ipynb"].artifacts == ["documents"]
    course.run_notebooks(notebooks, [], run)
    assert executed == ["01_one"]
    manifest.unlink()
    course.run_notebooks(notebooks, [], run)
    assert executed == ["01_one", "01_one"]


def test_a_failed_course_goes_on_where_it_failed(root, executed, capsys):
    write_notebook(root, "02_two.ipynb", "1 / 0")
    assert course.run_course(run_name="smoke", home=root, root=root) == 1
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "✗ 02_two.ipynb, cell [2] (1 / 0): ZeroDivisionError: division by zero"
    assert lines[1].endswith("go on with: minillm course --run smoke")
    assert not (root / "runs" / "smoke" / "report" / "index.html").exists()
    assert run_again(root, executed) == ["02_two"]
    write_notebook(root, "02_two.ipynb", "print('mended')")
    assert run_again(root, executed) == ["02_two", "04b_side"]


def test_a_failed_course_leaves_no_report_of_the_one_before(root, executed):
    run_again(root, executed)
    run = open_run("smoke", home=root)[0]
    whole = [run.path / "report" / "index.html", run.path / "figures.json"]
    assert all(path.is_file() for path in whole)
    write_notebook(root, "02_two.ipynb", "1 / 0")
    assert run_again(root, executed) == ["02_two"] and not any(path.exists() for path in whole)


def test_the_peak_of_a_course_that_went_on_is_that_of_all_its_notebooks(
    root, executed, monkeypatch
):
    """What ran before the failure counts too: in the second process it is no child any more."""
    peaks = iter([3.0, 3.5, 0.5, 0.6])  # the second: of what failed
    monkeypatch.setattr(lane, "peak_memory_gib", lambda: next(peaks))
    write_notebook(root, "02_two.ipynb", "1 / 0")
    assert run_again(root, executed) == ["01_one", "02_two"]
    write_notebook(root, "02_two.ipynb", "print('mended')")
    assert run_again(root, executed) == ["02_two", "04b_side"]
    figures = json.loads((root / "runs" / "smoke" / "figures.json").read_text(encoding="utf-8"))
    assert figures["peak_memory_gib"] == 3.0


def test_no_notebooks_is_an_error_with_its_remedy(tmp_path):
    with pytest.raises(FileNotFoundError, match="git checkout notebooks"):
        course.run_course(run_name="smoke", home=tmp_path, root=tmp_path)


def test_papermill_gives_the_run_and_names_the_failing_cell(root, capsys):
    """The real thing: parameters arrive, sources stay untouched, the failing cell is named."""
    name = root / "notebooks" / "01_one.ipynb"
    write_notebook(root, name.name, "print(run_name, home)", "# why\n{}['missing']")
    before, (run, _) = name.read_bytes(), open_run("trial", recipe=smoke(), home=root)
    (run.path / "notebooks").mkdir()
    failure = lane.execute(name, run)
    assert failure == "cell [4] (# why): KeyError: 'missing'"
    assert name.read_bytes() == before
    written = nbformat.read(run.path / "notebooks" / name.name, as_version=4)
    printed = [c.outputs[0].text for c in written.cells if "print(run_name" in c.source]
    assert printed == [f"trial {root}\n"]


def test_the_report_shows_model_curve_samples_and_times_and_needs_nothing_else(tmp_path, capsys):
    run, _ = open_run("tiny", recipe=smoke(), home=tmp_path)
    texts = ["Once upon a time a hen found a red ball in the village. "] * 30
    tokenizer = train_tokenizer(texts, TokenizerConfig(vocab_size=280))
    torch.manual_seed(0)
    model = Transformer(
        ModelConfig(
            vocab_size=tokenizer.vocab_size, width=16, num_layers=1, num_heads=2, num_kv_heads=1,
            ffn_width=16, context_length=64,
        )
    )  # fmt: skip

    def write(folder: Path) -> dict[str, object]:
        save_model(model, tokenizer, folder)
        return {"parameters": 12_345, "tokens": 6_000, "loss": 5.5, "level1_bits_per_byte": 1.25}

    make_artifact(
        run, "model", config=model.config, parents=(), code=("minillm.model",), write=write,
        summary=lambda figures: "a <small> model",
    )  # fmt: skip
    log = JsonLines(run.path / report.LOG)
    for step in range(3):
        log.write(event="step", step=step, loss=5.0 - step)
    write_notebook(run.path, "07_train.ipynb", "print('trained')")
    page, headline = report.write_report(run, {"07_train.ipynb": 65.0}, 65.0)
    text = page.read_text()
    assert "a &lt;small&gt; model" in text and "1 min 05 s" in text and "12,345" in text
    assert text.count("<blockquote>Once upon a time") == 1 and "data:image/png;base64," in text
    assert "parameters 12,345 · tokens 6,000 · loss 5.5 · level1 bits per byte 1.25" in headline
    for written in (page, page.with_name("07_train.html")):
        assert not re.search(r"(?:src|href)=\"https?://|url\(https?:", written.read_text())
    assert report.number({"stories": 2000, "<b>": []}) == "stories 2,000, &lt;b&gt; none"
    figures = json.loads((run.path / "figures.json").read_text())
    assert figures["artifacts"]["model"]["loss"] == 5.5
    assert figures["seconds"] == {"07_train.ipynb": 65.0}
    assert report.samples(run.path / "model") == report.samples(run.path / "model")
    assert "side by side" not in text
    page, headline = report.write_report(run, {"07_train.ipynb": 65.0}, 50.0)
    assert "all, some side by side" in page.read_text() and headline.endswith("time 50 s")
    old = page.with_name("07_train.html")
    old.write_text("of an earlier course")
    os.utime(old, (0, 0))
    report.write_report(run, {"07_train.ipynb": 65.0}, 65.0)
    assert "trained" in old.read_text()


@pytest.mark.skipif(not Path("/proc/self/status").is_file(), reason="asks /proc who is running")
def test_lanes_end_with_a_course_that_is_killed(root):
    """Else a notebook would go on writing to the run, beside the course that is started again."""
    for name in ("01_one", "09_sft"):
        note = f"pathlib.Path({str(root / name)!r}).write_text(str(os.getppid()))"
        write_notebook(root, f"{name}.ipynb", f"import os, pathlib, time\n{note}\ntime.sleep(120)")
    open_run("trial", recipe=smoke(), home=root)
    script = root / "killed.py"
    script.write_text(f"""
from pathlib import Path
from minillm.recipes import open_run
from tools import course
if __name__ == "__main__":
    home = Path({str(root)!r})
    lanes = [[home / "notebooks" / f"{{name}}.ipynb"] for name in ("01_one", "09_sft")]
    course.run_notebooks([], lanes, open_run("trial", home=home)[0])
""")
    process = subprocess.Popen(
        [sys.executable, str(script)], cwd=course.ROOT, env=os.environ | {"PYTHONPATH": "."}
    )
    notes = [root / "01_one", root / "09_sft"]
    try:
        wait_until(lambda: all(note.is_file() and note.read_text() for note in notes), 60)
        lanes = [int(note.read_text()) for note in notes]
        assert all(map(is_running, lanes))
    finally:
        process.kill()
        process.wait()
    wait_until(lambda: not any(map(is_running, lanes)), 20)


def is_running(pid: int) -> bool:
    """Whether a process of this id is there, and no zombie."""
    try:
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except FileNotFoundError:
        return False


def wait_until(holds, seconds: float) -> None:
    """Until it holds; an AssertionError after so many seconds."""
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end, f"not after {seconds} s"
        time.sleep(0.1)
