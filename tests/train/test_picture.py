"""A run is shown while a person watches, and nowhere else; a kernel knows who runs its cells."""

import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
from jupyter_client.blocking import BlockingKernelClient
from jupyter_client.manager import start_new_kernel
from matplotlib.figure import Figure

from minillm.core.progress import is_watched
from minillm.core.records import Run
from minillm.train import picture, run_log
from minillm.train.trainer import pretrain
from tests.train.tiny import losses, rests, tiny_config, tiny_run, weights

ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def run(tmp_path: Path) -> Run:
    return tiny_run(tmp_path / "run")


def shell_asked_by(content: dict | None) -> SimpleNamespace:
    """A kernel's shell whose cell was sent in a message of this content; None: before any."""
    message = {} if content is None else {"content": content}
    return SimpleNamespace(get_parent=lambda: message)


@pytest.mark.parametrize(
    ("shell", "environment", "expected"),
    [
        (shell_asked_by({"code": "", "allow_stdin": True}), {}, True),  # JupyterLab, VS Code
        (shell_asked_by({"code": "", "allow_stdin": False}), {}, False),  # papermill, nbval
        (shell_asked_by({"code": "", "allow_stdin": True}), {"CI": "true"}, False),
        (shell_asked_by({"code": ""}), {}, False),
        (shell_asked_by(None), {}, False),
        (SimpleNamespace(), {}, False),  # IPython in a terminal
        (None, {}, False),  # a program that has imported IPython
    ],
)
def test_who_watches_is_said_by_the_message_that_runs_the_cell(
    shell: object, environment: dict, expected: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CI", raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))
    assert is_watched() is expected


def test_where_ipython_was_never_imported_nobody_watches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.delitem(sys.modules, "IPython", raising=False)
    assert not is_watched() and "IPython" not in sys.modules


@pytest.fixture(scope="module")
def kernel() -> Iterator[BlockingKernelClient]:
    manager, client = start_new_kernel(cwd=str(ROOT), extra_arguments=["--quiet"])
    client.execute_interactive("import os; os.environ.pop('CI', None)", output_hook=list)
    yield client
    client.stop_channels()
    manager.shutdown_kernel(now=True)


SHOWS = """
import minillm
from minillm.core.progress import is_watched
from minillm.train.picture import LiveCurves, reader_of_the_notebook
curves = LiveCurves(show=reader_of_the_notebook() if is_watched() else None, every_s=0.0)
for step in (1, 2):
    curves.write(event="step", step=step, loss=2.0, gradient_norm=1.0, tokens_per_s=10.0)
curves.close()
"""


@pytest.mark.parametrize("can_be_asked", [True, False])
def test_a_real_kernel_shows_the_run_to_a_person_alone(
    kernel: BlockingKernelClient, can_be_asked: bool
) -> None:
    messages = []
    reply = kernel.execute_interactive(
        SHOWS, allow_stdin=can_be_asked, output_hook=messages.append, timeout=60
    )
    assert reply["content"]["status"] == "ok", reply["content"]
    shown = [each for each in messages if each["msg_type"] == "update_display_data"]
    assert len(shown) == (3 if can_be_asked else 0)
    assert all("image/png" in each["content"]["data"] for each in shown)
    places = {each["content"]["transient"]["display_id"] for each in shown}
    assert len(places) == (1 if can_be_asked else 0), "each in the place of the one before"
    others = {each["msg_type"] for each in messages} - {"status", "execute_input"}
    assert others <= {"update_display_data", "display_data"} and (can_be_asked or not others)


def show_to(shown: list[Figure], monkeypatch: pytest.MonkeyPatch, is_there: bool) -> None:
    monkeypatch.setattr(run_log, "is_watched", lambda: is_there)
    monkeypatch.setattr(picture, "reader_of_the_notebook", lambda: shown.append)


def steps_drawn(figure: Figure) -> list[int]:
    return list(figure.axes[0].lines[0].get_xdata())


def test_a_stage_that_is_watched_shows_itself_and_trains_the_same(
    run: Run, uninterrupted: tuple, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Figure] = []
    show_to(shown, monkeypatch, is_there=True)
    artifact = pretrain(tiny_config(run), run, evaluate=rests)
    assert (losses(run), weights(artifact)) == uninterrupted
    assert steps_drawn(shown[-1]) == list(range(1, 21)), "at its end it is drawn whole"


def test_a_stage_that_nobody_watches_shows_nothing(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[Figure] = []
    show_to(shown, monkeypatch, is_there=False)
    pretrain(tiny_config(run), run, evaluate=rests)
    assert shown == []


def test_a_run_that_goes_on_is_shown_from_its_first_step(
    run: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dies(_model: object, step: int) -> dict[str, float]:
        if step == 13:
            raise KeyboardInterrupt
        return {}

    shown: list[Figure] = []
    show_to(shown, monkeypatch, is_there=True)
    with pytest.raises(KeyboardInterrupt):
        pretrain(tiny_config(run), run, evaluate=dies)
    assert steps_drawn(shown[-1]) == list(range(1, 14)), "what there was when it stopped"
    pretrain(tiny_config(run), run, evaluate=rests)
    assert steps_drawn(shown[-1]) == list(range(1, 21))
