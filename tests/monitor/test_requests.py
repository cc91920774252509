"""The log is read as it is, while others write, and never changed."""

import sqlite3
import threading
from pathlib import Path

import numpy as np
import pytest

from minillm.monitor.requests import (
    Request,
    closed_copy,
    first_of_each_client,
    read_requests,
    windows_of,
)
from tests.monitor.logs import add, connected, usual, written


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("count", [0, 1, 7])
def test_what_was_written_is_read_in_the_order_of_arrival(
    tmp_path: Path, rng: np.random.Generator, count: int
) -> None:
    requests = usual(count, rng)
    path = written(tmp_path / "log.sqlite", requests[::-1])
    assert read_requests(path) == requests
    assert read_requests(path, since_s=1003.0) == requests[3:]


def test_a_column_that_a_later_server_adds_is_no_obstacle(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    path = written(tmp_path / "log.sqlite", usual(3, rng))
    connection = sqlite3.connect(path)
    connection.execute("ALTER TABLE requests ADD COLUMN colour TEXT")
    connection.close()
    assert len(read_requests(path)) == 3


def test_reading_beside_a_live_writer_sees_whole_rows_and_all_that_came_before(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    connection, requests = connected(tmp_path / "log.sqlite"), usual(300, rng)
    add(connection, requests[:100])
    done, errors = threading.Event(), []

    def keep_writing() -> None:
        writer = sqlite3.connect(tmp_path / "log.sqlite", isolation_level=None, timeout=5)
        try:
            for request in requests[100:]:
                add(writer, [request])
        except sqlite3.Error as error:
            errors.append(error)
        finally:
            writer.close()
            done.set()

    thread = threading.Thread(target=keep_writing)
    thread.start()
    counts = []
    while not done.is_set() or not counts:
        found = read_requests(tmp_path / "log.sqlite")
        assert found == requests[: len(found)]
        counts.append(len(found))
    thread.join()
    connection.close()
    assert errors == [] and counts == sorted(counts) and min(counts) >= 100
    assert read_requests(tmp_path / "log.sqlite") == requests


def test_a_reader_cannot_write(tmp_path: Path, rng: np.random.Generator) -> None:
    from minillm.monitor.requests import opened

    path = written(tmp_path / "log.sqlite", usual(3, rng))
    connection = opened(path)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        connection.execute("DELETE FROM requests")
    connection.close()


def test_a_closed_copy_is_one_file_with_all_rows_of_a_log_in_use(
    tmp_path: Path, rng: np.random.Generator
) -> None:
    connection, requests = connected(tmp_path / "log.sqlite"), usual(50, rng)
    add(connection, requests)
    assert (tmp_path / "log.sqlite-wal").exists()
    (tmp_path / "copy").mkdir()
    closed_copy(tmp_path / "log.sqlite", tmp_path / "copy" / "log.sqlite")
    connection.close()
    assert [path.name for path in (tmp_path / "copy").iterdir()] == ["log.sqlite"]
    assert read_requests(tmp_path / "copy" / "log.sqlite") == requests


def test_a_missing_log_and_another_file_are_named_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="no request log.*minillm serve"):
        read_requests(tmp_path / "gone.sqlite")
    (tmp_path / "text.sqlite").write_text("a text of more than a hundred bytes\n" * 40)
    with pytest.raises(ValueError, match="not a request log.*requests.sqlite"):
        read_requests(tmp_path / "text.sqlite")
    sqlite3.connect(tmp_path / "other.sqlite").execute("CREATE TABLE t(x)").connection.close()
    with pytest.raises(ValueError, match="no such table"):
        read_requests(tmp_path / "other.sqlite")


@pytest.mark.parametrize("count, size, number", [(0, 3, 0), (2, 3, 0), (7, 3, 2), (6, 1, 6)])
def test_windows_hold_equally_many_and_the_rest_waits(
    rng: np.random.Generator, count: int, size: int, number: int
) -> None:
    requests = usual(count, rng)
    windows = windows_of(requests, size)
    assert [len(window) for window in windows] == [size] * number
    assert sum(windows, []) == requests[: number * size]
    with pytest.raises(ValueError, match="size = 0"):
        windows_of(requests, 0)


def test_each_client_has_one_voice_and_refused_requests_have_none() -> None:
    rows = [
        Request(id=str(index), created_s=index, client=client, status=status)
        for index, (client, status) in enumerate(
            [("a", 400), ("a", 200), ("b", 200), ("a", 200), ("c", 503), ("b", 200)]
        )
    ]
    assert [each.id for each in first_of_each_client(rows)] == ["1", "2"]
