"""Ray: the same result as one process, also when workers crash and when a machine dies."""

import json
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from dataclasses import asdict
from pathlib import Path

import pytest

from minillm.corpus.dirty import make_dirty_web
from minillm.corpus.engines import import_ray, open_engine
from minillm.corpus.pipeline import apply_steps, steps
from minillm.corpus.sharded import clean_files
from minillm.corpus.shardfolders import id_hash, json_line
from tests.corpus import planted
from tests.corpus.test_engines import die_on, square_or_fail

NUM_PAGES = 120
NUM_READ_BEFORE_DEATH = 8
SMALL_NODE = {"num_cpus": 1, "object_store_memory": 80_000_000, "node_ip_address": "127.0.0.1"}
AGENT_PORTS = (
    "metrics_agent_port", "metrics_export_port", "dashboard_agent_listen_port",
    "runtime_env_agent_port",
)  # fmt: skip


def small_node() -> dict[str, object]:
    """A node's settings; with ports chosen here it need not wait until its agents choose them.

    On a busy machine that takes longer than the 15 s after which Ray gives up.
    """
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in AGENT_PORTS]
        for each in found:
            each.bind(("127.0.0.1", 0))
        ports = {name: each.getsockname()[1] for name, each in zip(AGENT_PORTS, found, strict=True)}
    return SMALL_NODE | ports


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """Two machines of one core each, played by two groups of processes on this one."""
    ray = import_ray()
    from ray.cluster_utils import Cluster

    quiet = {"include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
    started = Cluster(initialize_head=True, head_node_args=small_node() | quiet)
    try:
        started.add_node(**small_node())
        ray.init(address=started.address, log_to_driver=False, logging_level="ERROR")
        yield started
    finally:
        ray.shutdown()
        started.shutdown()


@pytest.fixture(scope="module")
def crawl(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """A file of dirty pages, and the hash of what one process makes of them."""
    documents = [page.document for page in make_dirty_web(NUM_PAGES, 5)]
    path = tmp_path_factory.mktemp("crawl") / "crawl.jsonl"
    path.write_text("".join(json_line(asdict(each)) for each in documents), encoding="utf-8")
    kept, rejected = apply_steps(documents, steps())
    return path, id_hash([*kept, *rejected])


def test_every_server_of_ray_listens_to_this_machine_alone(cluster):
    ray = import_ray()
    assert ray.get_runtime_context().gcs_address.startswith("127.0.0.1:")
    assert [each["NodeManagerAddress"] for each in ray.nodes()] == ["127.0.0.1"] * 2


def test_ray_runs_tasks_reports_errors_and_tries_deaths_again(cluster, tmp_path):
    (tmp_path / "2.once").touch()
    with open_engine("ray", 2) as engine:
        found = {e.name: e for e in engine(square_or_fail, {str(n): n for n in range(5)})}
        assert found["3"].failure == "ValueError: three is not wanted"
        assert [found[str(n)].result for n in (0, 1, 2, 4)] == [0, 1, 4, 16]
        tasks = {str(n): (n, str(tmp_path)) for n in range(4)}
        found = {each.name: each for each in engine(die_on, tasks)}
        assert [found[str(n)].result for n in range(4)] == [0, 1, 4, 9]
    assert (tmp_path / "log").read_text().split().count("2") == 2


def test_another_address_than_the_joined_one_is_refused(cluster):
    with pytest.raises(ValueError, match="this process has joined 127.0.0.1"):
        with open_engine("ray", None, "127.0.0.1:1"):
            pass


@pytest.mark.parametrize("num_shards", [1, 3, 7])
def test_ray_gives_what_one_process_gives(cluster, crawl, tmp_path, num_shards):
    path, expected = crawl
    artifact = clean_files([path], tmp_path / "out", engine="ray", num_shards=num_shards)
    assert artifact.figures["id_hash"] == expected
    assert artifact.sha256 == clean_files([path], tmp_path / "local").sha256, "with its data card"


def kill_when_at_work(cluster: object, node: object, seen: Path) -> None:
    """Take a machine away while it stays at a document in the middle of a shard."""
    for _ in range(6000):
        if seen.is_file() and seen.read_text().count(node.node_id) >= NUM_READ_BEFORE_DEATH:
            cluster.remove_node(node, allow_graceful=False)
            return
        time.sleep(0.01)


def cleaned_while_one_dies(cluster: object, path: Path, folder: Path, num_shards: int) -> tuple:
    """The hash, and how often pages were read, when one machine of two is taken away at work.

    Where there is one machine, another one comes first. The one that is to go stays at its
    eighth document, so that it is gone in the middle of its work however slow the killer is.
    """
    trouble = folder / "trouble"
    trouble.mkdir()
    (trouble / "all.sleep").write_text("0.05")
    if not cluster.worker_nodes:
        cluster.add_node(**small_node())
    (node,) = cluster.worker_nodes
    (trouble / f"{node.node_id}.stay").write_text(str(NUM_READ_BEFORE_DEATH))
    killer = threading.Thread(target=kill_when_at_work, args=(cluster, node, trouble / "seen"))
    killer.start()
    artifact = clean_files(
        [path], folder / "out", engine="ray", num_shards=num_shards, steps_from=planted.STEPS,
        options={"folder": str(trouble)},
    )  # fmt: skip
    killer.join()
    assert not cluster.worker_nodes, "one of the two machines was taken away"
    seen = [line.split()[0] for line in (trouble / "seen").read_text().splitlines()]
    return artifact.figures["id_hash"], Counter(seen)


def test_a_machine_that_dies_in_the_middle_leaves_no_trace(cluster, crawl, tmp_path):
    path, expected = crawl
    found, times_read = cleaned_while_one_dies(cluster, path, tmp_path, num_shards=8)
    assert found == expected
    assert times_read.keys() == {f"web/{number}" for number in range(NUM_PAGES)}
    assert times_read.total() - NUM_PAGES == NUM_READ_BEFORE_DEATH, "of a shard of 15"


@pytest.mark.proof
@pytest.mark.parametrize("num_shards", [2, 3, 7, 40])
def test_a_machine_that_dies_leaves_no_trace_in_any_number_of_shards(
    cluster, tmp_path, num_shards
):
    documents = [page.document for page in make_dirty_web(400, 11)]
    (tmp_path / "crawl.jsonl").write_text("".join(json_line(asdict(each)) for each in documents))
    kept, rejected = apply_steps(documents, steps())
    path = tmp_path / "crawl.jsonl"
    found, times_read = cleaned_while_one_dies(cluster, path, tmp_path, num_shards)
    assert found == id_hash([*kept, *rejected])
    assert times_read.total() - len(documents) == NUM_READ_BEFORE_DEATH


@pytest.mark.proof
def test_the_command_line_starts_a_ray_of_its_own_and_ends_it(crawl, tmp_path):
    path, expected = crawl
    words = ["corpus", "clean", "--documents", str(path), "--out", str(tmp_path / "out"), "--json"]
    command = [sys.executable, "-m", "minillm", *words, "--engine", "ray", "--workers", "2"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as running:
        figures = json.loads(running.communicate(timeout=60)[0])
    assert (running.returncode, figures["id_hash"]) == (0, expected)
    session = f"_{running.pid}/"  # Ray names a session's folder after the process that began it
    for _ in range(100):
        if not any(session in each for each in command_lines()):
            return
        time.sleep(0.1)
    pytest.fail("processes of Ray are left")


def command_lines() -> list[str]:
    """The command lines of all processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.append(path.read_text(errors="replace"))
    return found
