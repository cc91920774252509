"""A run that is killed at chosen moments and goes on: `python -m tests.train.kills HOME MOMENT…`.

A moment is a number: the run dies at that many acts after it has begun or gone on. Acts are what
it does to the disk (writing, flushing, renaming, deleting) and its steps; half of what is written
at that moment is on the disk already. After each death one line of JSON says which step was
reported as saved, and which one can be read. Each life is a fork, so that no import is repeated:
nothing is trained before the first fork, for a fork cannot go on with what autograd has begun.
With `--removes-first` as a moment the earlier checkpoints go before the next is written: a bug.
"""

import builtins
import json
import os
import signal
import sys
import warnings
from collections.abc import Callable
from pathlib import Path

import torch

from minillm.core.records import Run
from minillm.train import loop, resumable
from minillm.train.checkpoint import load_latest_checkpoint, remove_checkpoints
from minillm.train.trainer import CHECKPOINTS, LOG, pretrain
from tests.train.tiny import tiny_config, tiny_run

SETTINGS = {
    "checkpoint_every_steps": 3, "evaluate_every_steps": 2, "average_decay": 0.8,
    "keep_best": "score", "max_steps": 20,
}  # fmt: skip


def score(_model: torch.nn.Module, step: int) -> dict[str, float]:
    """An evaluation that is best at step 8, and again worse."""
    return {"score": abs(step - 8) + 0.5}


class Death:
    """Counts acts, and kills this process at one of them."""

    def __init__(self, moment: int | None) -> None:
        self.moment, self.num_acts = moment, 0

    def is_now(self) -> bool:
        self.num_acts += 1
        return self.num_acts == self.moment

    def kill(self) -> None:
        os.kill(os.getpid(), signal.SIGKILL)

    def before(self, act: Callable) -> Callable:
        """The same act, which may never be done."""

        def risky(*given: object, **named: object) -> object:
            if self.is_now():
                self.kill()
            return act(*given, **named)

        return risky

    def opening(self, plain: Callable) -> Callable:
        """The same `open`; of what is written to the file perhaps half is, and no more."""

        def risky(name: object, mode: str = "r", *given: object, **named: object) -> object:
            stream = plain(name, mode, *given, **named)
            if mode not in ("wb", "a"):
                return stream
            write = stream.write

            def half(content: str | bytes) -> int:
                if self.is_now():
                    write(content[: len(content) // 2])
                    stream.flush()
                    self.kill()
                return write(content)

            return Written(stream, half)

        return risky


class Written:
    """A file whose `write` is another."""

    def __init__(self, stream: object, write: Callable) -> None:
        self.stream, self.write = stream, write

    def __enter__(self) -> "Written":
        return self

    def __exit__(self, *_: object) -> None:
        self.stream.close()

    def __getattr__(self, name: str) -> object:
        return getattr(self.stream, name)


def live(home: Path, moment: int | None) -> int:
    """Train until death or the end; how many acts that took, where it ended."""
    run, death = tiny_run(home), Death(moment)
    for name in ("fsync", "replace", "unlink", "rmdir", "mkdir"):
        setattr(os, name, death.before(getattr(os, name)))
    builtins.open = death.opening(builtins.open)
    loop.training_step = death.before(loop.training_step)
    pretrain(tiny_config(run, **SETTINGS), run, evaluate=score)
    return death.num_acts


def reported(run: Run) -> int:
    """The last step that the log calls saved, 0 if none."""
    lines = (run.path / LOG).read_text().splitlines() if (run.path / LOG).is_file() else []
    saved = [0]
    for line in lines:
        try:
            fields = json.loads(line)
        except json.JSONDecodeError:
            break
        if fields["event"] == "checkpoint":
            saved.append(fields["step"])
    return saved[-1]


def in_a_fork(home: Path, moment: int | None) -> int:
    """One life; the status with which it ended."""
    child = os.fork()
    if child == 0:
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
        live(home, moment)
        os._exit(0)
    return os.waitpid(child, 0)[1]


if __name__ == "__main__":
    torch.set_num_threads(1)
    home, *moments = sys.argv[1:]
    if "--removes-first" in moments:
        moments.remove("--removes-first")
        save = resumable.save_checkpoint
        resumable.save_checkpoint = lambda made, folder, step, **more: (
            remove_checkpoints(folder, 0, 1), save(made, folder, step, **more)
        )  # fmt: skip
    tiny = Run(name="tiny", path=Path(home) / "runs" / "tiny")
    tiny_run(Path(home))
    for moment in [*map(int, moments), None]:
        status = in_a_fork(Path(home), moment)
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            found = load_latest_checkpoint(tiny.path / CHECKPOINTS)
        print(json.dumps({
            "moment": moment, "signal": os.WTERMSIG(status) if os.WIFSIGNALED(status) else 0,
            "status": os.WEXITSTATUS(status) if os.WIFEXITED(status) else None,
            "reported": reported(tiny), "readable": found.state["train"]["step"] if found else 0,
            "is_finished": (tiny.path / "model" / "manifest.json").is_file(),
            "is_in_save": any((tiny.path / CHECKPOINTS).glob(".step_*")),
            "warnings": [str(each.message) for each in caught],
        }), flush=True)  # fmt: skip
