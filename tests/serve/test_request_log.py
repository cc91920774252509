"""Rows are committed, texts are opt-in, clients are salted hashes; metrics count the same rows."""

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from minillm.serve.metrics import Metrics
from minillm.serve.request_log import (
    COLUMNS,
    REQUEST_LOG,
    SALT,
    RequestLog,
    RequestRow,
    opened,
    read_requests,
)

AGREED = (
    "id created_s client endpoint model model_sha256 prompt_tokens completion_tokens prompt_bytes "
    "prompt_bits_per_byte queued_ms first_token_ms total_ms status finish_reason error prompt "
    "reply rating correction"
).split()


def row(number: int = 0, **fields: object) -> RequestRow:
    given = {
        "id": f"cmpl-{number}", "created_s": 100.0 + number, "client": "c", "endpoint": "/v1/x",
        "model": "m", "model_sha256": "s", "status": 200, "prompt_tokens": 3,
        "completion_tokens": 5, "queued_ms": 1.0, "first_token_ms": 20.0, "total_ms": 100.0,
        "finish_reason": "stop", "prompt": "p", "reply": "r",
    }  # fmt: skip
    return RequestRow(**{**given, **fields})


def test_the_table_and_the_row_have_exactly_the_columns_agreed_on(tmp_path: Path) -> None:
    RequestLog(tmp_path).close()
    connection = sqlite3.connect(tmp_path / REQUEST_LOG)
    found = connection.execute("PRAGMA table_info(requests)").fetchall()
    connection.close()
    assert [each[1] for each in found] == list(COLUMNS) == AGREED
    types = {each[1]: each[2] for each in found}
    assert types["id"] == "TEXT" and types["created_s"] == "REAL" and types["rating"] == "INT"
    assert [each[1] for each in found if each[5]] == ["id"], "the primary key"


def test_texts_are_kept_by_opt_in_alone(tmp_path: Path) -> None:
    for keeps_text, expected in ((False, (None, None, None)), (True, ("p", "r", "better"))):
        folder = tmp_path / str(keeps_text)
        log = RequestLog(folder, keeps_text=keeps_text)
        log.add(row())
        assert log.rate("cmpl-0", -1, "better")
        (kept,) = read_requests(folder / REQUEST_LOG)
        assert (kept.prompt, kept.reply, kept.correction) == expected
        assert kept.rating == -1 and kept.total_ms == 100.0
        log.close()
        everything = b"".join(path.read_bytes() for path in folder.iterdir())
        assert (b"better" in everything) == keeps_text


def test_only_a_reply_can_be_judged(tmp_path: Path) -> None:
    log = RequestLog(tmp_path)
    log.add(row(status=400, completion_tokens=None))
    assert not log.rate("cmpl-0", 1, None) and not log.rate("gone", 1, None)


def test_a_client_is_a_hash_that_needs_the_salt(tmp_path: Path) -> None:
    log = RequestLog(tmp_path / "a")
    name = log.client("192.0.2.7")
    assert name == RequestLog(tmp_path / "a").client("192.0.2.7") != log.client("192.0.2.8")
    assert name != RequestLog(tmp_path / "b").client("192.0.2.7") and "192" not in name
    assert (tmp_path / "a" / SALT).stat().st_mode & 0o077 == 0


@pytest.mark.parametrize("count", [0, 1, 7])
def test_what_was_written_is_read_in_the_order_of_arrival(tmp_path: Path, count: int) -> None:
    log, rows = RequestLog(tmp_path, keeps_text=True), [row(number) for number in range(count)]
    for each in rows[::-1]:
        log.add(each)
    assert read_requests(tmp_path / REQUEST_LOG) == rows
    log.add(row(8))
    with pytest.raises(sqlite3.IntegrityError):
        log.add(row(8))


def test_a_row_is_answered_if_the_server_replied_without_an_error() -> None:
    assert row(status=200).is_answered
    assert not any(row(status=status).is_answered for status in (400, 499, 503))


def test_a_column_that_a_later_server_adds_is_no_obstacle(tmp_path: Path) -> None:
    RequestLog(tmp_path).add(row())
    with closing(sqlite3.connect(tmp_path / REQUEST_LOG)) as connection:
        connection.execute("ALTER TABLE requests ADD COLUMN colour TEXT")
    assert [each.id for each in read_requests(tmp_path / REQUEST_LOG)] == ["cmpl-0"]


def test_reading_beside_a_live_writer_sees_whole_rows_and_all_that_came_before(
    tmp_path: Path,
) -> None:
    log, rows = RequestLog(tmp_path, keeps_text=True), [row(number) for number in range(300)]
    for each in rows[:100]:
        log.add(each)
    done, errors = threading.Event(), []

    def keep_writing() -> None:
        try:
            for each in rows[100:]:
                log.add(each)
        except sqlite3.Error as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=keep_writing)
    thread.start()
    counts = []
    while not done.is_set() or not counts:
        found = read_requests(tmp_path / REQUEST_LOG)
        assert found == rows[: len(found)]
        counts.append(len(found))
    thread.join()
    log.close()
    assert errors == [] and counts == sorted(counts) and min(counts) >= 100
    assert read_requests(tmp_path / REQUEST_LOG) == rows


def test_a_reader_cannot_write(tmp_path: Path) -> None:
    RequestLog(tmp_path).add(row())
    with closing(opened(tmp_path / REQUEST_LOG)) as connection:
        with pytest.raises(sqlite3.OperationalError, match="readonly"):
            connection.execute("DELETE FROM requests")


def test_a_missing_log_and_another_file_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no request log.*minillm serve"):
        read_requests(tmp_path / "gone.sqlite")
    (tmp_path / "text.sqlite").write_text("a text of more than a hundred bytes\n" * 40)
    with pytest.raises(ValueError, match="not a request log.*requests.sqlite"):
        read_requests(tmp_path / "text.sqlite")
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE t(x)").connection.close()
    with pytest.raises(ValueError, match="no such table"):
        read_requests(tmp_path / "other.sqlite")


def test_a_killed_process_has_lost_no_row_that_it_added(tmp_path: Path) -> None:
    program = (
        "import sys; from pathlib import Path; from tests.serve.test_request_log import row; "
        "from minillm.serve.request_log import RequestLog\n"
        "log = RequestLog(Path(sys.argv[1]))\n"
        "for number in range(10**6):\n"
        "    log.add(row(number)); print(number, flush=True)\n"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, text=True,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    for line in process.stdout:
        if int(line) >= 50:
            process.send_signal(signal.SIGKILL)
            break
    said = [int(line), *map(int, process.stdout.read().split("\n")[:-1])]
    process.wait()
    process.stdout.close()
    kept = {each.id for each in read_requests(tmp_path / REQUEST_LOG)}
    assert {f"cmpl-{number}" for number in range(said[-1] + 1)} <= kept
    assert len(kept) <= said[-1] + 2


def sample(metrics: Metrics, name: str, **labels: str) -> float | None:
    return metrics.registry.get_sample_value(f"minillm:{name}", labels)


def test_metrics_count_what_was_logged() -> None:
    running = [3]
    metrics = Metrics(lambda: running[0], lambda: 2, num_slots=8)
    metrics.count(row())
    metrics.count(row(first_token_ms=700.0, total_ms=1700.0, completion_tokens=1))
    metrics.count(row(status=503, error="queue_full"))
    assert sample(metrics, "request_success_total", finished_reason="stop") == 2
    assert sample(metrics, "request_errors_total", status="503", code="queue_full") == 1
    assert sample(metrics, "prompt_tokens_total") == 6
    assert sample(metrics, "generation_tokens_total") == 6
    assert sample(metrics, "time_to_first_token_seconds_bucket", le="0.02") == 1
    assert sample(metrics, "time_to_first_token_seconds_bucket", le="0.75") == 2
    assert sample(metrics, "e2e_request_latency_seconds_sum") == pytest.approx(1.8)
    # a reply of one token has no time between tokens
    assert sample(metrics, "request_time_per_output_token_seconds_count") == 1
    assert sample(metrics, "request_time_per_output_token_seconds_sum") == pytest.approx(0.02)
    assert sample(metrics, "num_requests_running") == 3
    running[0] = 1
    assert sample(metrics, "num_requests_running") == 1 and sample(metrics, "num_slots") == 8
    assert b"# TYPE minillm:e2e_request_latency_seconds histogram" in metrics.text()


def test_two_servers_in_a_process_do_not_mix() -> None:
    first, second = (Metrics(lambda: 0, lambda: 0, 1) for _ in range(2))
    first.count(row())
    assert sample(second, "prompt_tokens_total") == 0
