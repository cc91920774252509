"""A log in use is copied whole; windows are equal, and each client has one voice."""

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
from tests.monitor.logs import ASKED, add, connected, usual


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


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
        Request(id=str(index), created_s=index, client=client, status=status, **ASKED)
        for index, (client, status) in enumerate(
            [("a", 400), ("a", 200), ("b", 200), ("a", 200), ("c", 503), ("b", 200)]
        )
    ]
    assert [each.id for each in first_of_each_client(rows)] == ["1", "2"]
