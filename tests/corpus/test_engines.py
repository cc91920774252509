"""Engines: every task ends once with its own result, whatever dies on the way."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from minillm.corpus import engines
from minillm.corpus.engines import MAX_ATTEMPTS, Outcome, Pools, check_engine, open_engine


def square(number: int) -> int:
    return number * number


def square_or_fail(number: int) -> int:
    if number == 3:
        raise ValueError("three is not wanted")
    return number * number


def die_on(task: tuple[int, str]) -> int:
    """Square a number, or end the process if a file says so; a file `once` is gone then."""
    number, folder = task
    with open(Path(folder) / "log", "a") as log:
        log.write(f"{number}\n")
    for name in (f"{number}.once", f"{number}.always"):
        path = Path(folder) / name
        if path.is_file():
            if name.endswith("once"):
                path.unlink()
            os._exit(9)
    return number * number


def process_id(_: int) -> int:
    time.sleep(0.05)
    return os.getpid()


def wait_here(_: int) -> None:
    time.sleep(60)


def outcomes(name: str, function, tasks: dict, workers: int | None = None) -> dict[str, Outcome]:
    """The outcomes by task; each task has exactly one."""
    with open_engine(name, workers) as engine:
        found = list(engine(function, tasks))
    assert len({each.name for each in found}) == len(found)
    return {each.name: each for each in found}


@pytest.mark.parametrize(("name", "workers"), [("local", None), ("processes", 1), ("processes", 2)])
def test_every_task_ends_with_its_own_result(name, workers):
    tasks = {f"task {number}": number for number in range(7)}
    found = outcomes(name, square, tasks, workers)
    assert {key: each.result for key, each in found.items()} == {
        key: number * number for key, number in tasks.items()
    }
    assert outcomes(name, square, {}, workers) == {}


@pytest.mark.parametrize(("name", "workers"), [("local", None), ("processes", 2)])
def test_a_task_that_raises_is_reported_and_the_rest_goes_on(name, workers):
    found = outcomes(name, square_or_fail, {str(n): n for n in range(6)}, workers)
    assert found["3"].failure == "ValueError: three is not wanted"
    assert isinstance(found["3"].error, ValueError)
    assert [found[str(n)].result for n in (0, 1, 2, 4, 5)] == [0, 1, 4, 16, 25]


def test_one_engine_serves_several_lists_with_the_same_workers():
    with open_engine("processes", 2) as engine:
        first, second = ({each.result for each in engine(process_id, {str(n): n for n in range(8)})}
                         for _ in range(2))  # fmt: skip
    assert first == second and len(first) == 2 and os.getpid() not in first


def test_a_worker_that_dies_once_costs_a_second_try(tmp_path):
    (tmp_path / "2.once").touch()
    found = outcomes("processes", die_on, {str(n): (n, str(tmp_path)) for n in range(5)}, 2)
    assert [found[str(n)].result for n in range(5)] == [0, 1, 4, 9, 16]
    tries = (tmp_path / "log").read_text().split()
    assert 1 <= len(tries) - 5 <= 2, "only those that ran at that moment are tried again"


def test_a_task_that_always_kills_its_worker_is_named_and_takes_nobody_with_it(tmp_path):
    (tmp_path / "1.always").touch()
    found = outcomes("processes", die_on, {str(n): (n, str(tmp_path)) for n in range(4)}, 2)
    assert found["1"].result is None and f"died {MAX_ATTEMPTS} times" in found["1"].failure
    assert [found[str(n)].result for n in (0, 2, 3)] == [0, 4, 9]
    assert (tmp_path / "log").read_text().split().count("1") == MAX_ATTEMPTS


def test_without_trying_again_a_death_would_take_its_neighbour_with_it(tmp_path, monkeypatch):
    """The planted bug: suspects are given up at once."""
    monkeypatch.setattr(engines, "MAX_ATTEMPTS", 1)
    (tmp_path / "0.once").touch()
    found = outcomes("processes", die_on, {str(n): (n, str(tmp_path)) for n in range(2)}, 2)
    assert any(each.failure for each in found.values())


def test_a_pool_whose_idle_worker_died_is_replaced():
    pools = Pools(engines.process_pool, 1)
    try:
        (first,) = (each.result for each in pools(process_id, {"a": 0}))
        os.kill(first, 9)
        (second,) = (each.result for each in pools(process_id, {"b": 0}))
        assert second != first
    finally:
        pools.close()


def test_workers_end_when_their_parent_is_killed():
    program = (
        "from minillm.corpus.engines import open_engine\n"
        "from tests.corpus.test_engines import wait_here, process_id\n"
        "if __name__ == '__main__':\n"
        "    with open_engine('processes', 1) as engine:\n"
        "        print(next(engine(process_id, {'a': 0})).result, flush=True)\n"
        "        list(engine(wait_here, {'b': 0}))\n"
    )
    parent = subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE, text=True)
    with parent:
        worker = int(parent.stdout.readline())
        parent.kill()
    for _ in range(100):
        if not Path(f"/proc/{worker}").exists() or is_zombie(worker):
            return
        time.sleep(0.1)
    pytest.fail(f"worker {worker} outlived its parent")


def is_zombie(process: int) -> bool:
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("cloud", None, None), "engine is 'cloud'; choose one of local, processes, ray"),
        (("processes", 0, None), "workers is 0; give at least 1"),
        (("local", 2, None), "workers is 2, but engine local is one; use engine processes"),
        (("processes", 2, "here:1"), "address is here:1, but engine processes has none"),
    ],
)
def test_what_cannot_be_heeded_is_refused_with_a_remedy(arguments, message):
    with pytest.raises(ValueError, match=message):
        check_engine(*arguments)


def test_without_ray_the_error_says_how_to_install_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ImportError, match=r'pip install "minillm\[ray\]"'):
        with open_engine("ray", 1):
            pass


def test_importing_the_engines_brings_no_ray_and_no_torch():
    program = (
        "import sys, minillm.corpus.sharded; print(*{'ray', 'torch'} & set(sys.modules), sep=',')"
    )
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert (result.returncode, result.stdout.strip()) == (0, "")
