"""One function over many tasks: in this process, in several, or on a Ray cluster.

In: a function of the package and named tasks that can be pickled. Out: an `Outcome` for each task,
in the order in which they end. The one idea: an engine may only choose where and when a task runs,
so a task must be safe to run twice: a worker that dies takes its task with it, and the task is
tried again, alone, so that one bad task cannot take others with it. Ray does the same over
machines (Moritz et al., arXiv:1712.05889). Left out: tasks that need each other's results.
"""

import os
import re
import socket
import threading
from collections import Counter, deque
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Executor, Future, ProcessPoolExecutor
from concurrent.futures import ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from multiprocessing import connection, get_context, parent_process
from types import ModuleType
from typing import Generic, TypeVar

Task = TypeVar("Task")
Result = TypeVar("Result")

ENGINES = ("local", "processes", "ray")
# Once with others, then alone: by the third death it is the task, and not the machine.
MAX_ATTEMPTS = 3
# Tasks hand over files, so that little passes through Ray's shared memory.
OBJECT_STORE_BYTES = 200_000_000
RAY_IS_MISSING = 'engine ray: Ray is not installed; install it with: pip install "minillm[ray]"'
# An address that Ray looks up for itself, and then fails at once if there is none.
FOUND_BY_RAY = ("auto", "local")
CONNECT_TIMEOUT_S = 5
PORT, MAX_PORT = re.compile(r"[0-9]{1,5}"), 65_535
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0"}
# Without it Ray's servers listen to every network that the machine is in.
ON_THIS_MACHINE_ALONE = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}


@dataclass(frozen=True, slots=True)
class Outcome(Generic[Result]):
    """How one task ended: with a result, or with the words of its failure."""

    name: str
    result: Result | None = None
    failure: str | None = None
    error: BaseException | None = None


Function = Callable[[Task], Result]
Tasks = Mapping[str, Task]
Engine = Callable[[Function, Tasks], Iterator[Outcome]]


def ended(name: str, future: Future) -> Outcome:
    """The outcome of a task that ran to its end or raised."""
    error = future.exception()
    if error is None:
        return Outcome(name, result=future.result())
    return Outcome(name, failure=f"{type(error).__name__}: {error}", error=error)


def in_one_pool(
    pool: Executor, width: int, function: Function, tasks: Tasks, waiting: deque[str]
) -> Generator[Outcome, None, list[str]]:
    """Keep `width` tasks running until none waits or a worker dies; returns those lost with it."""
    running: dict[Future, str] = {}
    lost: list[str] = []
    while running or (waiting and not lost):
        while waiting and not lost and len(running) < width:
            try:
                future = pool.submit(function, tasks[waiting[0]])
            except BrokenProcessPool:  # an idle worker died: nothing is lost but the pool
                break
            running[future] = waiting.popleft()
        if not running:
            break
        for future in wait(running, return_when=FIRST_COMPLETED).done:
            name = running.pop(future)
            if isinstance(future.exception(), BrokenProcessPool):
                lost.append(name)
            else:
                yield ended(name, future)
    return lost


class Pools:
    """The engine of one machine: one pool for all that is to be done, another if it breaks."""

    def __init__(self, open_pool: Callable[[int], Executor], width: int) -> None:
        self.open_pool, self.width = open_pool, width
        self.pool = open_pool(width)

    def __call__(self, function: Function, tasks: Tasks) -> Iterator[Outcome]:
        """Until each task has ended; after a death those that ran go on one by one."""
        waiting, suspects = deque(tasks), deque()
        num_deaths: Counter[str] = Counter()
        while waiting or suspects:
            alone = deque([suspects.popleft()]) if suspects else None
            batch, width = (alone, 1) if alone else (waiting, self.width)
            lost = yield from in_one_pool(self.pool, width, function, tasks, batch)
            if lost or batch:
                self.close()
                self.pool = self.open_pool(self.width)
            num_deaths.update(lost)
            suspects += [name for name in lost if num_deaths[name] < MAX_ATTEMPTS]
            for name in lost:
                if num_deaths[name] >= MAX_ATTEMPTS:
                    words = f"its worker process died {MAX_ATTEMPTS} times; too little memory?"
                    yield Outcome(name, failure=words)

    def close(self) -> None:
        """Wait for what runs, forget what waits, end the workers."""
        self.pool.shutdown(cancel_futures=True)


# package only
def end_with_parent() -> None:
    """A worker's first act: whatever ends the parent, even SIGKILL, ends this process too."""
    import signal

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's: it waits for the shards

    def watch() -> None:
        connection.wait([parent_process().sentinel])
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


# package only
def process_pool(num_workers: int) -> ProcessPoolExecutor:
    """Fresh processes, not copies of this one: a fork would copy its threads' locks as they are."""
    return ProcessPoolExecutor(num_workers, get_context("spawn"), end_with_parent)


# package only
def import_ray(address: str | None = None) -> ModuleType:
    """Ray; one that is to be started here is told, before it is imported, to stay here."""
    settings = QUIET | (ON_THIS_MACHINE_ALONE if address is None else {})
    for name, value in settings.items():
        os.environ.setdefault(name, value)
    try:
        import ray
    except ImportError:
        raise ImportError(RAY_IS_MISSING) from None
    return ray


# package only
@contextmanager
def ray_session(num_workers: int, address: str | None) -> Iterator[ModuleType]:
    """Ray, joined at `address`, or started here and ended again; one that runs already is used."""
    ray = import_ray(address)
    if ray.is_initialized():
        joined = ray.get_runtime_context().gcs_address
        if address not in (None, joined):
            raise ValueError(f"address is {address}, but this process has joined {joined} already")
        yield ray
        return
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if address is None:
        ray.init(
            address="local", num_cpus=num_workers, include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES, _node_ip_address="127.0.0.1", **quiet,
        )  # fmt: skip
    else:
        check_cluster(address)
        ray.init(address=address, **quiet)
    try:
        yield ray
    finally:
        ray.shutdown()


def on_ray(
    ray: ModuleType, width: int | None, function: Function, tasks: Tasks
) -> Iterator[Outcome]:
    """Each task as a Ray task: what dies with its worker or machine, Ray runs again elsewhere."""
    remote = ray.remote(num_cpus=1, max_retries=MAX_ATTEMPTS - 1)(function)
    waiting, running = deque(tasks), {}
    while waiting or running:
        while waiting and (width is None or len(running) < width):
            name = waiting.popleft()
            running[remote.remote(tasks[name])] = name
        (reference,), _ = ray.wait(list(running), num_returns=1)
        name = running.pop(reference)
        try:
            yield Outcome(name, result=ray.get(reference))
        except ray.exceptions.RayTaskError as error:
            words = f"{type(error.cause).__name__}: {error.cause}"
            yield Outcome(name, failure=words, error=error)
        except ray.exceptions.RayError as error:
            words = f"its worker or machine died {MAX_ATTEMPTS} times ({type(error).__name__})"
            yield Outcome(name, failure=words)


# package only
def check_cluster(address: str, dashes: str = "") -> None:
    """ConnectionError where nobody listens, which Ray would try for minutes; ValueError where this
    is no host with a port.
    """
    given = f"{dashes}address {address}"
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if address in FOUND_BY_RAY:
        return
    malformed = ValueError(f"{given}: give HOST:PORT, as `ray start --head` has printed it")
    if not host or not PORT.fullmatch(port) or not 0 < int(port) <= MAX_PORT:
        raise malformed
    try:
        socket.create_connection((host.strip("[]"), int(port)), CONNECT_TIMEOUT_S).close()
    except UnicodeError:  # of a name that no host may have
        raise malformed from None
    except OSError as error:
        remedy = "start one (`ray start --head`), or leave the address out for one of this machine"
        words = f"{given}: no Ray cluster answers there ({error}); {remedy}"
        raise ConnectionError(words) from None


# package only
def check_engine(
    name: str, num_workers: int | None, address: str | None, dashes: str = ""
) -> None:
    """ValueError for an engine, workers or an address that cannot be heeded.

    The command line has `dashes` before the names.
    """
    engine, workers = f"{dashes}engine", f"{dashes}workers"
    if name not in ENGINES:
        raise ValueError(f"{engine} is {name!r}; choose one of {', '.join(ENGINES)}")
    if num_workers is not None and num_workers < 1:
        raise ValueError(f"{workers} is {num_workers}; give at least 1")
    if name == "local" and num_workers not in (None, 1):
        words = f"but {engine} local is one; use {engine} processes"
        raise ValueError(f"{workers} is {num_workers}, {words}")
    if name != "ray" and address is not None:
        words = f"but {engine} {name} has none; use {engine} ray"
        raise ValueError(f"{dashes}address is {address}, {words}")


# package only
@contextmanager
def open_engine(
    name: str, num_workers: int | None = None, address: str | None = None
) -> Iterator[Engine]:
    """The engine of this name, and its end: what it started is gone when the block is left."""
    check_engine(name, num_workers, address)
    width = num_workers or os.cpu_count()
    if name == "ray":
        with ray_session(width, address) as ray:
            yield partial(on_ray, ray, num_workers)
    else:
        local = name == "local"
        pools = Pools(ThreadPoolExecutor, 1) if local else Pools(process_pool, width)
        try:
            yield pools
        finally:
            pools.close()
