"""A course runs in order, goes on where it failed, and ends in a report that needs nothing else."""

import json
import os
import re
import subprocess
import sys
import textwrap
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
import torch
from jupyter_client.manager import AsyncKernelManager

from minillm.core.records import JsonLines, make_artifact
from minillm.core.settings import with_fields
from minillm.model.transformer import ModelConfig, Transformer
from minillm.recipes import laptop, open_run, smoke
from minillm.stages import STAGES
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from minillm.train.checkpoint import save_model
from tools import course, finished, lane, report

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
    monkeypatch.setattr(course, "num_cores", lambda: 1)
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


def test_one_notebook_runs_by_itself(root, executed, monkeypatch, capsys):
    monkeypatch.chdir(root)
    assert lane.main(["notebooks/02_two.ipynb"]) == 0
    assert executed == ["02_two"]
    assert "✓ 02_two.ipynb: 0 s → runs/smoke/notebooks" in capsys.readouterr().out
    write_notebook(root, "03_three.ipynb", "1 / 0")
    for name, said in (
        ("03_three", "✗ 03_three.ipynb, cell [2] (1 / 0): ZeroDivisionError: division by zero\n"),
        ("nope", "✗ notebooks/nope.ipynb: no such notebook; they lie in notebooks/\n"),
    ):
        assert lane.main([f"notebooks/{name}.ipynb"]) == 1
        assert capsys.readouterr().err == said
    with pytest.raises(SystemExit) as ended:
        lane.main(["--help"])
    assert ended.value.code == 0
    assert "usage: python -m tools.lane [-h] [--run NAME] notebook" in capsys.readouterr().out


def test_siblings_make_nothing_that_another_of_them_reads():
    """Each asks for stages up to the scores, and makes its own by name."""
    own = {"12": {"quantized"}, "13": set(), "14": {"traffic", "drift"}}
    assert set(course.SIBLINGS) == set(own)
    after = STAGES[STAGES.index("scores") + 1 :]
    for path in (course.ROOT / "notebooks").glob("*.ipynb"):
        if not path.name.startswith(course.SIBLINGS):
            continue
        code = "\n".join(c.source for c in nbformat.read(path, 4).cells if c.cell_type == "code")
        code = "\n".join(re.findall(r"^.*\brun\b.*$", code, re.MULTILINE))
        named = {kind for kind in after if re.search(rf"\"{kind}\"", code)}
        assert named <= own[path.name[:2]] and "promote_best" not in code, path.name


CHAPTERS = "00_a 01_b 01b_c 06_d 09_e 10_f 11_g 12_h 13_i 14_j 15_k".split()


@pytest.mark.parametrize(
    "name, others",
    [
        ("00_a", ""), ("01_b", "00_a"), ("01b_c", "00_a"), ("06_d", "00_a"), ("09_e", "00_a"),
        ("10_f", "00_a 09_e"), ("11_g", "00_a 09_e 10_f"), ("12_h", "00_a 09_e 10_f 11_g"),
        ("13_i", "00_a 09_e 10_f 11_g"), ("14_j", "00_a 09_e 10_f 11_g"),
        ("15_k", "00_a 09_e 10_f 11_g 12_h 13_i 14_j"),
    ],
)  # fmt: skip
def test_a_notebook_waits_for_those_that_it_builds_on(name, others):
    path = Path(f"{name}.ipynb")
    found = [each for each in CHAPTERS if course.builds_on(path, Path(f"{each}.ipynb"))]
    assert found == others.split()


class Pool:
    """In the place of processes: what is given to it is at work until `end` is asked for the next
    to end, which is the first of `ends` that is at work, or else the one that began first."""

    def __init__(self, ends: str) -> None:
        self.ends, self.began = ends.split(), []
        self.at_work: dict[str, Future] = {}

    def __enter__(self) -> "Pool":
        return self

    def __exit__(self, *error: object) -> None:
        assert not self.at_work

    def submit(self, work, notebook: Path, run, threads) -> Future:
        self.began.append(" | ".join([notebook.stem, *sorted(self.at_work)]))
        return self.at_work.setdefault(notebook.stem, Future())

    def end(self, at_work, return_when) -> SimpleNamespace:
        name = next(each for each in [*self.ends, *self.at_work] if each in self.at_work)
        future = self.at_work.pop(name)
        future.set_result((None, 1.0, None))
        return SimpleNamespace(done={future})


def order_of(root: Path, recipe, monkeypatch, ends: str) -> list[str]:
    """The notebooks in the order in which they begin, each with those then at work: `b | a`."""
    for name in CHAPTERS:
        write_notebook(root, f"{name}.ipynb", f"print('{name}')")
    pool = Pool(ends)
    monkeypatch.setattr(course, "ProcessPoolExecutor", lambda *_, **__: pool)
    monkeypatch.setattr(course, "wait", pool.end)
    monkeypatch.setattr(course, "num_cores", lambda: 2)
    run, _ = open_run("smoke", recipe=recipe, home=root)
    notebooks = [root / "notebooks" / f"{name}.ipynb" for name in CHAPTERS]
    assert course.run_notebooks(notebooks, run, course.chapters_by_the_clock(recipe)) is not None
    return pool.began


def test_two_at_a_time_those_that_others_build_on_first(root, executed, monkeypatch):
    began = order_of(root, smoke(), monkeypatch, "09_e 10_f 01_b 01b_c 06_d 11_g 13_i 14_j 12_h")
    assert began[:4] == ["00_a", "09_e", "01_b | 09_e", "10_f | 01_b"]
    assert began[4:7] == ["11_g | 01_b", "01b_c | 11_g", "06_d | 11_g"]
    assert began[7:] == ["12_h", "13_i | 12_h", "14_j | 12_h", "15_k"]


@pytest.mark.parametrize("cores", [1, 2])
def test_the_longest_of_those_that_nobody_waits_for_go_first(root, cores, monkeypatch):
    monkeypatch.setattr(course, "num_cores", lambda: cores)
    names = ["00_a", "01_b", "04d_c", "06_e", "07e_d", "09_f"]
    run, _ = open_run("smoke", recipe=smoke(), home=root)
    found = course.Course(
        notebooks=[root / f"{name}.ipynb" for name in names], run=run, package="", recipe="",
        timed=(), finished={},
    )
    ordered = [each.stem for each in found.waiting]
    two = ["00_a", "09_f", "04d_c", "07e_d", "01_b", "06_e"]
    assert ordered == (names if cores == 1 else two)


def test_what_trains_by_the_clock_runs_alone_and_is_not_overtaken(root, executed, monkeypatch):
    began = order_of(root, laptop(), monkeypatch, "")
    assert began[:5] == ["00_a", "09_e", "10_f", "11_g", "01_b | 11_g"]
    for part, chapter in (
        ("training", "00_a"), ("sft.training", "09_e"), ("preferences.dpo", "10_f"),
        ("preferences.rl", "10_f"), ("second.training", "15_k"),
    ):  # fmt: skip
        timed = with_fields(smoke(), [f"{part}.max_minutes=1", f"{part}.max_steps=null"])
        assert course.chapters_by_the_clock(timed) == (chapter[:2],), part
    began = order_of(root, timed, monkeypatch, "09_e 10_f 11_g 12_h 13_i 14_j")
    assert began[-3:] == ["15_k", "01b_c", "06_d | 01b_c"], "it waits for 01_b and for no other"


@pytest.mark.parametrize("cores", [1, 2])
def test_on_one_core_the_order_is_that_of_the_course(root, executed, monkeypatch, cores):
    monkeypatch.setattr(course, "num_cores", lambda: cores)
    for name in ("00_map", "09_sft"):
        write_notebook(root, f"{name}.ipynb", f"print('{name}')")
    found = run_again(root, executed)
    in_order = ["00_map", "01_one", "02_two", "04b_side", "09_sft"]
    assert sorted(found) == in_order and (found == in_order) == (cores == 1)


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
def wider(root: Path, executed: list[str], monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The same checkout with a first notebook and two that make something, on eight cores."""
    monkeypatch.setattr(course, "num_cores", lambda: 8)
    for name in ("00_map", "09_sft", "10_more"):
        write_notebook(root, f"{name}.ipynb", f"print('{name}')")
    return executed


def test_two_run_at_once_with_half_of_the_cores_each(root, wider, monkeypatch):
    """The first two wait for each other: one after the other, they would wait for ever."""
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
    assert threads == {"00_map": "64", **halves, "10_more": "64"}
    pages = {path.stem for path in (root / "runs" / "smoke" / "report").glob("*.html")}
    assert pages == {*threads, "index"}


@pytest.mark.parametrize("given, expected", [("2", "2"), ("64", "4"), ("", "4"), ("all", "4")])
def test_a_kernel_gets_no_more_threads_than_were_given(root, wider, monkeypatch, given, expected):
    threads, plain = {}, lane.execute

    def execute(notebook, run):
        threads[notebook.stem] = os.environ["OMP_NUM_THREADS"]
        return plain(notebook, run)

    monkeypatch.setattr(lane, "execute", execute)
    monkeypatch.setenv("OMP_NUM_THREADS", given)
    run_again(root, wider)
    assert threads["00_map"] == given and threads["09_sft"] == expected


def test_a_kernel_alone_gets_what_the_course_was_given_though_its_lane_had_less(
    root, wider, monkeypatch
):
    threads, plain, is_noted = {}, lane.execute, threading.Event()

    def execute(notebook, run):
        threads[notebook.stem] = os.environ.get("OMP_NUM_THREADS")
        if notebook.stem == "09_sft":
            assert is_noted.wait(20)
        return plain(notebook, run)

    monkeypatch.setattr(lane, "execute", execute)
    monkeypatch.setattr(
        course, "print", lambda text, **_: "✓ [2/4] 01_one" in text and is_noted.set(),
        raising=False,
    )  # fmt: skip
    monkeypatch.delenv("OMP_NUM_THREADS")
    for name in ("02_two", "04b_side"):
        (root / "notebooks" / f"{name}.ipynb").unlink()
    run_again(root, wider)
    assert threads == {"00_map": None, "01_one": "4", "09_sft": "4", "10_more": None}


@pytest.mark.parametrize("error", [None, OSError("no space left")])
def test_nothing_begins_after_a_failure(root, wider, monkeypatch, capsys, error):
    """The one beside it goes on to its end."""
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
    ended = finished.finished_before(open_run("smoke", home=root)[0])
    assert set(ended) == {"00_map.ipynb", "09_sft.ipynb"}


def test_notebooks_run_in_processes_whose_kernels_get_their_share(root, monkeypatch):
    """The real thing: papermill in two processes, in each a kernel with its threads."""
    monkeypatch.setattr(course, "num_cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    run, _ = open_run("trial", recipe=smoke(), home=root)
    names = ("01_one", "09_sft")
    for name in names:
        words = "os.environ['OMP_NUM_THREADS'], os.getppid(), os.getcwd()"
        write_notebook(root, f"{name}.ipynb", f"import os\nprint({words})")
    paths = [root / "notebooks" / f"{name}.ipynb" for name in names]
    here = Path.cwd()
    assert set(course.run_notebooks(paths, run)) == {f"{name}.ipynb" for name in names}
    printed = []
    for name in names:
        written = nbformat.read(run.path / "notebooks" / f"{name}.ipynb", as_version=4)
        outputs = [each for cell in written.cells for each in cell.get("outputs", ())]
        printed.append("".join(each.text for each in outputs).split())
        assert report.page_path(run, f"{name}.ipynb").is_file()
    assert [each[0] for each in printed] == ["3", "3"] and printed[0][1] != printed[1][1]
    assert [each[2] for each in printed] == [str(root / "notebooks")] * 2 and Path.cwd() == here


def test_what_was_made_beside_it_is_no_artifact_of_a_reader(root, wider):
    manifest = root / "runs" / "smoke" / "scores" / "manifest.json"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("{}")
    run, _ = open_run("smoke", recipe=smoke(), home=root)
    notebooks = sorted((root / "notebooks").glob("*_*.ipynb"))
    ended = course.run_notebooks(notebooks, run)
    made = {name: one.artifacts for name, one in ended.items()}
    assert made["09_sft.ipynb"] == ["scores"] and made["01_one.ipynb"] == []


def test_seconds_in_which_two_ran_count_once_and_breaks_not_at_all():
    def ran(began: float, seconds: float) -> finished.Finished:
        return finished.Finished(key="", began=began, seconds=seconds, artifacts=[])

    assert finished.seconds_at_work([]) == 0
    assert finished.seconds_at_work([ran(0, 10), ran(10, 20), ran(12, 5), ran(25, 10)]) == 35
    assert finished.seconds_at_work([ran(100, 5), ran(0, 10)]) == 15


def test_a_course_that_went_on_counts_from_where_it_stood(root, executed, monkeypatch):
    plain = lane.execute
    monkeypatch.setattr(lane, "execute", lambda *given: time.sleep(0.2) or plain(*given))
    write_notebook(root, "02_two.ipynb", "1 / 0")
    run_again(root, executed)
    time.sleep(1)
    write_notebook(root, "02_two.ipynb", "print('mended')")
    run_again(root, executed)
    run, _ = open_run("smoke", home=root)
    ended = finished.finished_before(run)
    first, second = ended["01_one.ipynb"], ended["02_two.ipynb"]
    assert -0.01 < second.began - (first.began + first.seconds) < 0.9, "the break is left out"
    figures = json.loads((run.path / "figures.json").read_text(encoding="utf-8"))
    assert 0.6 <= figures["total_seconds"] < 1.6
    assert "side by side" not in (run.path / "report" / "index.html").read_text(encoding="utf-8")


def test_a_note_of_another_form_counts_for_nothing(root, executed):
    run_again(root, executed)
    run, _ = open_run("smoke", home=root)
    path = run.path / "notebooks" / finished.COURSE_FILE
    notes = json.loads(path.read_text())
    del notes["02_two.ipynb"]["began"]
    path.write_text(json.dumps(notes))
    assert run_again(root, executed) == ["02_two"]


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
    ended = course.run_notebooks(notebooks, run)
    assert ended["01_one.ipynb"].artifacts == ["documents"]
    course.run_notebooks(notebooks, run)
    assert executed == ["01_one"]
    manifest.unlink()
    course.run_notebooks(notebooks, run)
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


def test_a_kernel_that_dies_leaves_its_notebook_as_far_as_it_came(root):
    name = root / "notebooks" / "01_one.ipynb"
    write_notebook(root, name.name, "print('came here')", "import os; os.kill(os.getpid(), 9)")
    run, _ = open_run("trial", recipe=smoke(), home=root)
    (run.path / "notebooks").mkdir()
    assert lane.execute(name, run).startswith("the kernel died or hung")
    written = nbformat.read(run.path / "notebooks" / name.name, as_version=4)
    outputs = {cell.source: cell.outputs for cell in written.cells}
    assert outputs["print('came here')"][0].text == "came here\n"


def test_a_kernel_is_asked_to_end_and_not_interrupted(root, monkeypatch):
    """An interrupt right after the last cell is printed as an error, now and then."""
    sent: list[int] = []
    signal_kernel = AsyncKernelManager._async_signal_kernel

    async def noted(manager: AsyncKernelManager, signum: int) -> None:
        sent.append(signum)
        await signal_kernel(manager, signum)

    monkeypatch.setattr(AsyncKernelManager, "_async_signal_kernel", noted)
    write_notebook(root, "01_one.ipynb", "print('ran')")
    run, _ = open_run("trial", recipe=smoke(), home=root)
    (run.path / "notebooks").mkdir()
    assert lane.execute(root / "notebooks" / "01_one.ipynb", run) is None
    assert sent == []


def test_a_kernel_runs_its_exit_handlers_and_is_not_taken_apart(root):
    """What a notebook leaves to its end is done; what modules still hold is not freed."""
    name = root / "notebooks" / "01_one.ipynb"
    ends = """
        import atexit, json, os, tempfile
        from pathlib import Path
        class Kept:
            def __del__(self, write=os.write, note=os.open("note", os.O_CREAT | os.O_WRONLY)):
                write(note, b"freed")
        json.kept, folder = Kept(), tempfile.TemporaryDirectory()
        _ = Path("folder").write_text(folder.name)
        _ = atexit.register(Path("handled").touch)
    """
    begun = "print([name for name in globals() if name in ('_', 'os', 'atexit')])"
    write_notebook(root, name.name, begun, textwrap.dedent(ends))
    run, _ = open_run("trial", recipe=smoke(), home=root)
    (run.path / "notebooks").mkdir()
    assert lane.execute(name, run) is None
    place = name.parent
    assert (place / "handled").exists() and (place / "note").read_text() == ""
    assert not Path((place / "folder").read_text()).exists()
    written = nbformat.read(run.path / "notebooks" / name.name, as_version=4)
    assert [c.outputs[0].text for c in written.cells if c.source == begun] == ["['_']\n"]


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
        return {"parameters": 12_345, "tokens": 6_000, "loss": 5.5, "level1_bits_per_byte": 1.25,
                "bits_per_byte/stories": 1.5}

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
    assert "bits per byte/stories" not in headline
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
    paths = [home / "notebooks" / f"{{name}}.ipynb" for name in ("01_one", "09_sft")]
    course.run_notebooks(paths, open_run("trial", home=home)[0])
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


def test_the_pages_curve_is_of_steps_alone(tmp_path: Path) -> None:
    """A spike's line has a step and a loss as well: drawn, the curve would leap back."""
    steps = [{"event": "step", "step": step, "loss": 3.0 - step / 10} for step in range(1, 9)]
    spike = {"event": "spike", "step": 4, "loss": 99.0}
    pictures = []
    for lines in (steps, [*steps[:4], spike, *steps[4:]]):
        log = tmp_path / f"{len(lines)}.jsonl"
        log.write_text("".join(json.dumps(line) + "\n" for line in lines))
        pictures.append(report.loss_curve(log))
    assert pictures[0] == pictures[1]
