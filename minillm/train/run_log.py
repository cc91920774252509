"""A run's log, one JSON line an event: cut behind the step that a run goes on from.

In: the log of a run that was killed, or sent back by a spike. Out: the log up to that step, and who
writes on: the file, TensorBoard's files where the recipe asks for them, and the live picture where
a person watches. The one idea: whatever a resumed run does again, it also writes again, so lines
behind its step go first.
"""

import json
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path

from minillm.core.progress import is_watched
from minillm.core.records import JsonLines, atomic_write, read_json_lines
from minillm.train.board import BoardLog, board_writer
from minillm.train.ranks import ALONE, Ranks, Unlogged
from minillm.train.schedule import TrainingConfig
from minillm.train.watch import Log


# package only
def cut_log(path: Path, step: int) -> None:
    """Drop what came after the checkpoint of `step`, and a line that a kill cut.

    A resumed run writes it again, an evaluation behind the last step too.
    """
    kept = []
    # a full disk may have cut a character in two: its line is no JSON any more, and goes
    text = path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""
    # "\n" alone ends a line: a text in it may hold other separators, and splitlines() cuts at them
    for line in text.split("\n"):
        try:
            fields = json.loads(line)
        except json.JSONDecodeError:
            break
        if fields["step"] > step:
            break
        kept.append(line + "\n")
        if fields["event"] == "checkpoint" and fields["step"] == step:
            break
    atomic_write(path, "".join(kept))


# package only
@contextmanager
def log_from(
    path: Path, step: int, training: TrainingConfig, ranks: Ranks = ALONE
) -> Iterator[Log]:
    """The log of a run that goes on after `step`; its board; its picture if a person watches."""
    if ranks.rank != 0:
        yield Unlogged()
        return
    cut_log(path, step)
    log: Log = JsonLines(path)
    with ExitStack() as closed_in_the_end:
        if training.tensorboard:
            board = board_writer(path.parent / "tensorboard" / path.stem, step)
            log = BoardLog(log, closed_in_the_end.enter_context(closing(board)))
        if is_watched():
            # matplotlib takes half a second to import: for who looks at it alone
            from minillm.train.picture import LiveCurves, reader_of_the_notebook

            curves = LiveCurves(log, show=reader_of_the_notebook(), lines=read_json_lines(path))
            log = closed_in_the_end.enter_context(closing(curves))
        yield log


# package only
def steps_given_up(path: Path, step: int) -> list[list[float]]:
    """Cut the log behind `step`; the steps and losses that were there. Earlier rollbacks stay."""
    lines = [line for line in read_json_lines(path) if line["step"] > step]
    cut_log(path, step)
    for line in lines:
        if line["event"] == "rollback":
            JsonLines(path).write(**line)
    return [[line["step"], line["loss"]] for line in lines if line["event"] == "step"]
