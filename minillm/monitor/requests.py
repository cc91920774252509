"""The rows of the server's request log as the monitor takes them: in windows, one voice a client.

In: the log that the server keeps, read as `minillm.serve.request_log` reads it; a row is called a
`Request` here. Out: windows of requests, one request of each client, a closed copy of a log in use.
The one idea: windows hold equally many requests, not equally many seconds, so that a test on each
window always has the same power, by day and by night.
"""

import sqlite3
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

# some of these for the other modules of this room
from minillm.serve.request_log import OK, TABLE, opened, read_requests
from minillm.serve.request_log import REQUEST_LOG as LOG
from minillm.serve.request_log import RequestRow as Request


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
