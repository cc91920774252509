"""One notebook of a course, by papermill: run, timed, its page written; in a process of a lane.

In: a notebook and a run. Out: the executed notebook and its page in the run's folders.
`python -m tools.lane notebooks/02_tokenizer.ipynb [--run NAME]` runs one by itself.
"""

import argparse
import os
import sys
import threading
import time
from concurrent.futures import Future
from multiprocessing import parent_process
from multiprocessing.connection import wait
from pathlib import Path

import papermill
from jupyter_client.manager import AsyncKernelManager
from nbclient.exceptions import CellTimeoutError, DeadKernelError
from papermill.engines import NBClientEngine, NotebookExecutionManager, papermill_engines
from papermill.exceptions import PapermillExecutionError

from minillm.core.records import Run
from minillm.recipes import open_run
from tools.report import peak_memory_gib, write_page

THREADS = "OMP_NUM_THREADS"  # what torch and numpy ask for their number of threads
# The first finalizer of a kernel is the last to run. It ends the process there: to take torch's
# modules apart costs .7 s of processor time a notebook. What a notebook leaves open is not written
# out then, and a handler registered before this line does not run.
END_AT_ONCE = '__import__("weakref").finalize(__import__, __import__("os")._exit, 0) and None'


class NeverInterrupted(AsyncKernelManager):
    """A kernel that is only asked to end. The interrupt that usually goes before may strike while
    the last cell's reply is on its way, and is then reported as an error that nobody made."""

    async def _async_interrupt_kernel(self) -> None:
        """Nothing: no cell runs any more, or its kernel is killed for having hung."""


class SavedAtItsEnd(NBClientEngine):
    """papermill's engine, which saves a notebook twice a cell, some 10 ms each time; this one
    before the first cell and after the last that ran, also where a kernel dies."""

    @classmethod
    def execute_managed_notebook(
        cls, nb_man: NotebookExecutionManager, kernel_name: str, **options: object
    ) -> None:
        """Run the cells; what begins and ends a notebook saves it."""
        nb_man.save = lambda **_: None
        try:
            super().execute_managed_notebook(nb_man, kernel_name, **options)
        finally:
            del nb_man.save


papermill_engines.register("saved-at-its-end", SavedAtItsEnd)


def execute(notebook: Path, run: Run) -> str | None:
    """Run one notebook; None, or one line that says which cell failed and how."""
    home = run.path.parent.parent  # said outright: the notebook's working folder is another
    try:
        papermill.execute_notebook(
            notebook,
            run.path / "notebooks" / notebook.name,
            parameters={"run_name": run.name, "home": str(home)},
            cwd=str(notebook.parent),
            engine_name="saved-at-its-end",
            kernel_manager_class=NeverInterrupted,
            kernel_name="python3",
            language="python",
            progress_bar=False,
            stderr_file=sys.stderr,
            extra_arguments=[
                "--IPKernelApp.log_level=ERROR", f"--IPKernelApp.exec_lines={END_AT_ONCE}"
            ],
        )
    except PapermillExecutionError as error:
        line = next((line for line in error.source.splitlines() if line.strip()), "")
        return f"cell [{error.exec_count}] ({line}): {error.ename}: {error.evalue}"
    except (DeadKernelError, CellTimeoutError) as error:
        return f"the kernel died or hung: {' '.join(str(error).split())}"
    return None


def executed(
    notebook: Path, run: Run, threads: str | None
) -> tuple[str | None, float, float | None]:
    """Run one notebook and write its page: what failed, its seconds, the peak memory in GiB.

    `threads`: how many its kernel may compute with (None: as many as it likes); two kernels with
    more than there are cores would wait for each other.
    """
    if threads is None:
        os.environ.pop(THREADS, None)
    else:
        os.environ[THREADS] = threads
    started_s = time.monotonic()
    failure = execute(notebook, run)
    if failure is None:
        write_page(run, notebook.name)
    return failure, time.monotonic() - started_s, peak_memory_gib()


def outcome_of(job: Future) -> tuple[str | None, float, float | None]:
    """What `executed` returned; an error beside the notebook itself (a full disk, a killed process)
    as its failure, so that the other lane's notebook is still noted."""
    error = job.exception()
    return job.result() if error is None else (f"{type(error).__name__}: {error}", 0.0, None)


def end_with_parent() -> None:
    """A lane does not outlive a course that was killed: it would go on writing to the run."""

    def watch() -> None:
        wait([parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def main(arguments: list[str]) -> int:
    """The command line: one notebook, which makes what it needs of the run itself."""
    words = "Run one notebook headless; the committed one stays as it is."
    parser = argparse.ArgumentParser(prog="python -m tools.lane", description=words)
    parser.add_argument("notebook", type=Path, help="such as notebooks/02_tokenizer.ipynb")
    parser.add_argument("--run", default="smoke", metavar="NAME", help="its run (default: smoke)")
    options = parser.parse_args(arguments)
    if not options.notebook.is_file():
        print(f"✗ {options.notebook}: no such notebook; they lie in notebooks/", file=sys.stderr)
        return 1
    run, _ = open_run(options.run)
    (run.path / "notebooks").mkdir(parents=True, exist_ok=True)
    failure, seconds, _ = executed(options.notebook.resolve(), run, os.environ.get(THREADS))
    if failure is not None:
        print(f"✗ {options.notebook.name}, {failure}", file=sys.stderr)
        return 1
    print(f"✓ {options.notebook.name}: {seconds:.0f} s → runs/{run.name}/notebooks")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
