"""Request logs for tests: rows with known truth, and the table as the server makes it."""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np

from minillm.monitor.requests import Request
from minillm.serve.request_log import COLUMNS, SCHEMA

ASKED = {"endpoint": "/v1/chat/completions", "model": "m", "model_sha256": "a" * 64}


def connected(path: Path) -> sqlite3.Connection:
    """A server's connection: write-ahead log, every statement its own transaction."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode=WAL")
    connection.execute(SCHEMA)
    return connection


def add(connection: sqlite3.Connection, requests: Sequence[Request]) -> None:
    """Write rows."""
    places = ", ".join("?" * len(COLUMNS))
    for request in requests:
        values = [getattr(request, name) for name in COLUMNS]
        connection.execute(f"INSERT INTO requests({', '.join(COLUMNS)}) VALUES({places})", values)


def written(path: Path, requests: Sequence[Request]) -> Path:
    """A finished log."""
    with closing(connected(path)) as connection:
        add(connection, requests)
    return path


def usual(
    count: int,
    rng: np.random.Generator,
    *,
    begin: int = 0,
    bits_shift: float = 0.0,
    thumbs_up: float = 0.7,
    clients: int | None = None,
) -> list[Request]:
    """Requests as on any day: skewed bits, lengths of a few kinds, replies cut at 24 tokens."""
    rows = []
    for index in range(begin, begin + count):
        is_question = rng.random() < 0.6
        client = index if clients is None else int(rng.integers(clients))
        rated = rng.random() < 0.7
        rows.append(
            Request(
                id=f"r{index:06d}", created_s=1000.0 + index, client=f"c{client:06d}",
                status=200, **ASKED,
                prompt_tokens=50 + 50 * is_question,
                prompt_bytes=int(rng.normal(400 if is_question else 130, 25)),
                prompt_bits_per_byte=float(rng.lognormal(0.2 * is_question + bits_shift, 0.3)),
                completion_tokens=min(24, 2 + int(rng.geometric(0.15))),
                queued_ms=float(rng.exponential(2)), first_token_ms=float(rng.normal(30, 3)),
                total_ms=float(rng.lognormal(4, 0.4)),
                rating=(1 if rng.random() < thumbs_up else -1) if rated else None,
            )
        )  # fmt: skip
    return rows
