"""The log's figures in TensorBoard as well, for those who have it.

In: the lines that the log takes. Out: the same lines in the log, their numbers as scalars beside
it, one folder a log. TensorBoard is an extra of its own and is imported where it is asked for.
A resumed run hides what it writes again; a rollback leaves its given-up steps visible. Left out:
histograms, pictures, comparing runs.
"""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Protocol

from minillm.train.watch import Log


# package only
class ScalarWriter(Protocol):
    """What TensorBoard's `SummaryWriter` does of which this needs two verbs."""

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None: ...

    def close(self) -> None: ...


# package only
def scalars(fields: Mapping[str, object], prefix: str) -> Iterator[tuple[str, float]]:
    """The numbers of a line by name; those of a group or a list under `group/name`.

    What a rollback gave up is there already, step by step.
    """
    for name, value in fields.items():
        if isinstance(value, bool) or name in ("event", "step", "given_up"):
            continue
        if isinstance(value, int | float):
            yield f"{prefix}/{name}", float(value)
        elif isinstance(value, Mapping):
            yield from scalars(value, f"{prefix}/{name}")
        elif isinstance(value, list):
            numbered = {str(at): each for at, each in enumerate(value)}
            yield from scalars(numbered, f"{prefix}/{name}")


# package only
class BoardLog:
    """A log that writes each line's numbers to TensorBoard too."""

    def __init__(self, log: Log, writer: ScalarWriter) -> None:
        self.log, self.writer = log, writer

    def write(self, **fields: object) -> None:
        self.log.write(**fields)
        for tag, value in scalars(fields, str(fields["event"])):
            self.writer.add_scalar(tag, value, int(fields["step"]))


# package only
def board_writer(folder: Path, step: int) -> ScalarWriter:
    """TensorBoard's writer for a run that goes on after `step`."""
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"tensorboard = True: {error.name} is not installed; get the extra: "
            "pip install 'minillm[board]', or leave tensorboard out: the log has the same figures",
            name=error.name,
        ) from None
    return SummaryWriter(str(folder), purge_step=step + 1)
