"""From one process to many on this machine: start ranks, join them into a group, watch them.

`run_ranks` starts a function of the package in n processes under torchrun's own agent, which gives
each its rank in environment variables, watches all, and ends or restarts all when one dies;
`joined` is the other side, and works under a plain `torchrun` as well. Processes talk by gloo over
127.0.0.1. Left out: several machines (torchrun's --nnodes and --rdzv-endpoint) and NCCL, which
GPUs use instead of gloo.
"""

import datetime
import json
import logging
import os
import platform
import signal
import tempfile
import threading
import uuid
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import torch.distributed as dist

from minillm.scale.data_parallel import DataParallel
from minillm.train.ranks import ALONE, Ranks

if TYPE_CHECKING:
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

Result = TypeVar("Result")

GROUP_TIMEOUT_S = 120.0
ENVIRONMENT = {
    # a restarted rank must not read the dead rank's address from the agent's store
    "TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1",
    # ranks of one machine listen to that machine alone
    "GLOO_SOCKET_IFNAME": "lo0" if platform.system() == "Darwin" else "lo",
}


# package only
def check_processes(num_processes: int, batch_size: int) -> None:
    """ValueError where a batch cannot be shared by so many processes."""
    if num_processes < 1 or batch_size % num_processes:
        fitting = [n for n in range(1, batch_size + 1) if batch_size % n == 0]
        raise ValueError(
            f"processes = {num_processes}: every process takes as many rows of a batch of "
            f"{batch_size}; choose one of {', '.join(map(str, fitting))}, or change "
            "batches.batch_size"
        )


@contextmanager
def joined(timeout_s: float = GROUP_TIMEOUT_S) -> Iterator[Ranks]:
    """The group that torchrun's environment variables describe; without them this process alone.

    Inside, ranks other than the first print nothing: it would be the same again.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1:
        yield ALONE
        return
    if dist.is_initialized():
        yield DataParallel()
        return
    # a rank that waits longer than this for another takes it for dead, and ends with an error
    dist.init_process_group("gloo", timeout=datetime.timedelta(seconds=timeout_s))
    with ExitStack() as stack:
        if dist.get_rank() > 0:
            nowhere = stack.enter_context(open(os.devnull, "w", encoding="utf-8"))
            stack.enter_context(redirect_stdout(nowhere))
            stack.enter_context(redirect_stderr(nowhere))
        yield DataParallel()
    # after an error the group is left to the process's end: the others must not hear of it first
    dist.destroy_process_group()


# package only
@contextmanager
def surroundings() -> Iterator[None]:
    """The environment that ranks inherit; the agent's signal handlers and log lines go with it."""
    kept = {name: os.environ.get(name) for name in os.environ.keys() | ENVIRONMENT.keys()}
    is_main = threading.current_thread() is threading.main_thread()
    numbers = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT) if is_main else ()
    handlers = {number: signal.getsignal(number) for number in numbers}
    disabled = logging.root.manager.disable
    os.environ.update(ENVIRONMENT)
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    logging.disable(logging.CRITICAL)  # what the agent says is in the error that is raised
    try:
        yield
    finally:
        logging.disable(disabled)
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for name in os.environ.keys() - kept.keys():
            del os.environ[name]
        os.environ.update({name: value for name, value in kept.items() if value is not None})


# package only
def in_own_session(function: Callable[..., Result], *arguments: object) -> Result:
    """A rank's life: Ctrl-C in the terminal reaches the agent alone, which tells the ranks once."""
    if hasattr(os, "setsid"):
        os.setsid()
    try:
        return function(*arguments)
    except KeyboardInterrupt as error:  # it would pass for a rank that is done
        raise RuntimeError(f"stopped ({error})") from None


def run_ranks(
    function: Callable[..., Result], num_ranks: int, *arguments: object, max_restarts: int = 0
) -> list[Result]:
    """Call a function of the package in `num_ranks` processes at once; what each returned, by rank.

    One that dies ends all; with `max_restarts` all begin again, and find their checkpoint.
    """
    from torch.distributed.elastic.multiprocessing import DefaultLogsSpecs, SignalException
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    with tempfile.TemporaryDirectory() as log_dir, surroundings():
        config = LaunchConfig(
            min_nodes=1, max_nodes=1, nproc_per_node=num_ranks, max_restarts=max_restarts,
            run_id=str(uuid.uuid4()), rdzv_backend="c10d", rdzv_endpoint="127.0.0.1:0",
            local_addr="127.0.0.1", logs_specs=DefaultLogsSpecs(log_dir=log_dir),
        )  # fmt: skip
        try:
            results = elastic_launch(config, in_own_session)(function, *arguments)
        except SignalException as error:
            raise KeyboardInterrupt(signal.Signals(error.sigval).name) from None
        except ChildFailedError as error:
            words = failure_words(error, Path(log_dir))
            raise RuntimeError(f"one of {num_ranks} ranks failed: {words}") from None
    return [results[rank] for rank in range(num_ranks)]


# package only
def failure_words(error: "ChildFailedError", log_dir: Path) -> str:
    """Which rank failed first, and why; what the others said after that follows from it.

    A rank that raises leaves a file; one that is killed leaves nothing but broken connections.
    """
    files = sorted(log_dir.rglob("error.json"), key=lambda path: path.stat().st_mtime_ns)
    for path in files[:1]:
        words = json.loads(path.read_text(encoding="utf-8"))["message"]["message"]
        if "gloo" not in words:
            return f"rank {path.parent.name}: {words}"
    _, failure = error.get_first_failure()
    name = signal.Signals(-failure.exitcode).name if failure.exitcode < 0 else "its end"
    return f"it was ended by {name}; run again, and training goes on from the last checkpoint"
