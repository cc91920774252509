"""One row a request, in SQLite: written by the server, rated by feedback, read by the monitor.

The one idea: a row is committed before the reply's last byte is sent, into a write-ahead log, so
that a killed server has lost no request that anybody saw finished. Texts are kept by opt-in alone;
without them a row says how long and how surprising a prompt was, never what it said. Who asked is
a salted hash: delete the salt, and rows can no longer be joined to an address.
Left out: logs of several servers, which would first have to be merged by time.
"""

import dataclasses
import hashlib
import secrets
import sqlite3
import threading
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from minillm.core.records import atomic_write

REQUEST_LOG = "requests.sqlite"
SALT = "requests.salt"
BUSY_TIMEOUT_S = 5.0
OK = 200


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestRow:
    """A request as it is remembered; what never happened (a first token, a rating) is None."""

    id: str
    created_s: float
    client: str
    endpoint: str
    model: str
    model_sha256: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_bytes: int | None = None
    prompt_bits_per_byte: float | None = None
    queued_ms: float | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    status: int
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


COLUMNS = tuple(each.name for each in dataclasses.fields(RequestRow))
TABLE = "requests"
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS {TABLE}(
    id TEXT PRIMARY KEY, created_s REAL, client TEXT, endpoint TEXT, model TEXT, model_sha256 TEXT,
    prompt_tokens INT, completion_tokens INT, prompt_bytes INT, prompt_bits_per_byte REAL,
    queued_ms REAL, first_token_ms REAL, total_ms REAL, status INT, finish_reason TEXT, error TEXT,
    prompt TEXT, reply TEXT, rating INT, correction TEXT)
"""


class RequestLog:
    """The table, open for writing; usable from any thread. `keeps_text` is the opt-in."""

    def __init__(self, folder: Path, *, keeps_text: bool = False) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.keeps_text, self._salt, self._lock = keeps_text, salt_of(folder), threading.Lock()
        # autocommit: what `execute` has returned from stays, though this process be killed
        self._connection = sqlite3.connect(
            folder / REQUEST_LOG, isolation_level=None, check_same_thread=False,
            timeout=BUSY_TIMEOUT_S,
        )  # fmt: skip
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(SCHEMA)

    def client(self, address: str) -> str:
        """The same for the same address, and no way back from it without the salt."""
        return hashlib.sha256(self._salt + address.encode()).hexdigest()[:16]

    def add(self, row: RequestRow) -> None:
        """Commit one row, its texts only if that was opted for."""
        if not self.keeps_text:
            row = dataclasses.replace(row, prompt=None, reply=None, correction=None)
        fields = dataclasses.asdict(row)
        names, places = ", ".join(fields), ", ".join(f":{name}" for name in fields)
        with self._lock:
            self._connection.execute(f"INSERT INTO {TABLE}({names}) VALUES({places})", fields)

    def rate(self, request_id: str, rating: int, correction: str | None) -> bool:
        """Add a reader's judgement, the last one counts; False if there is no such reply."""
        kept = correction if self.keeps_text else None
        with self._lock:
            found = self._connection.execute(
                f"UPDATE {TABLE} SET rating = ?, correction = ? "
                "WHERE id = ? AND completion_tokens IS NOT NULL",
                (rating, kept, request_id),
            )
        return found.rowcount == 1

    def close(self) -> None:
        """Fold the write-ahead log into the file."""
        with self._lock:
            self._connection.close()


# package only
def salt_of(folder: Path) -> bytes:
    """The secret that client hashes are salted with, made once a run."""
    path = folder / SALT
    if not path.is_file():
        atomic_write(path, secrets.token_bytes(32))
        path.chmod(0o600)
    return path.read_bytes()


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


def read_requests(path: Path) -> list[RequestRow]:
    """The log's rows in order of arrival, as of this moment; a live writer is not disturbed."""
    asked = f"SELECT {', '.join(COLUMNS)} FROM {TABLE} ORDER BY created_s, id"
    try:
        with closing(opened(path)) as connection:
            rows = connection.execute(asked).fetchall()
    except sqlite3.DatabaseError as error:
        raise ValueError(
            f"{path}: not a request log of this course ({error}); give the requests.sqlite that "
            "minillm serve keeps"
        ) from None
    return [RequestRow(**dict(zip(COLUMNS, row, strict=True))) for row in rows]
