"""The request log as typed rows: read while the server writes, never written to.

In: the SQLite file that the server keeps (`requests.sqlite`). Out: `Request`s in the order in which
they came, and windows of them. The one idea: windows hold equally many requests, not equally many
seconds, so that a test on each window always has the same power, by day and by night.
Left out: logs of several servers, which would first have to be merged by time.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, fields
from pathlib import Path

LOG, TABLE = "requests.sqlite", "requests"
BUSY_TIMEOUT_S = 5.0
OK = 200


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One row of the log; None where the server did not get that far, or was not to write text."""

    id: str
    created_s: float
    client: str
    endpoint: str | None = None
    model: str | None = None
    model_sha256: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_bytes: int | None = None
    prompt_bits_per_byte: float | None = None
    queued_ms: float | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    status: int | None = None
    finish_reason: str | None = None
    error: str | None = None
    prompt: str | None = None
    reply: str | None = None
    rating: int | None = None
    correction: str | None = None

    @property
    def is_answered(self) -> bool:
        """The server answered, and without an error."""
        return self.status == OK


COLUMNS = tuple(each.name for each in fields(Request))


# package only
def opened(path: Path) -> sqlite3.Connection:
    """A connection that cannot write; FileNotFoundError with the remedy where there is no log."""
    if not path.is_file():
        raise FileNotFoundError(
            f"{path}: no request log is here; a server writes one while it answers "
            "(minillm serve), and `minillm monitor --simulate` sends it users by script"
        )
    uri = f"{path.resolve().as_uri()}?mode=ro"
    return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_S)


def read_requests(path: Path, since_s: float | None = None) -> list[Request]:
    """The log's rows in order of arrival, as of this moment; a live writer is not disturbed."""
    asked = f"SELECT {', '.join(COLUMNS)} FROM {TABLE} WHERE created_s >= ? ORDER BY created_s, id"
    begin_s = float("-inf") if since_s is None else since_s
    try:
        with closing(opened(path)) as connection:
            rows = connection.execute(asked, (begin_s,)).fetchall()
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path}: not a request log of this course ({error}); give the requests.sqlite that "
            "minillm serve keeps"
        ) from None
    return [Request(**dict(zip(COLUMNS, row, strict=True))) for row in rows]


def windows_of(requests: Sequence[Request], size: int) -> list[list[Request]]:
    """Consecutive windows of `size` requests; what does not fill one waits for the next look."""
    if size < 1:
        raise ValueError(f"size = {size}: a window holds at least 1 request; 100 is a good start")
    return [list(requests[at : at + size]) for at in range(0, len(requests) - size + 1, size)]


def first_of_each_client(requests: Sequence[Request]) -> list[Request]:
    """The first answered request of every client: one voice each, however much someone says."""
    found: dict[str, Request] = {}
    for request in requests:
        if request.is_answered:
            found.setdefault(request.client, request)
    return list(found.values())


# package only
def request_with_id(logs: Sequence[Path], identity: str) -> Request:
    """The request of this id in the first of these logs that has it; ValueError if none has."""
    there = [path for path in logs if path.is_file()]
    for path in there or logs[:1]:
        for request in read_requests(path):
            if request.id == identity:
                return request
    names = " and ".join(str(path) for path in there)
    raise ValueError(f"no request {identity!r} in {names}; ids are what a server's replies carry")


# package only
def closed_copy(source: Path, target: Path) -> None:
    """Copy a log, which may be in use, into one file that nobody writes to any more."""
    with closing(opened(source)) as live, closing(sqlite3.connect(target)) as copy:
        live.backup(copy)
        copy.execute("PRAGMA journal_mode=DELETE")
