"""One row a request, in SQLite: what the monitor reads, and what feedback is added to.

The one idea: a row is committed before the reply's last byte is sent, into a write-ahead log, so
that a killed server has lost no request that anybody saw finished. Texts are kept by opt-in alone;
without them a row says how long and how surprising a prompt was, never what it said. Who asked is
a salted hash: delete the salt, and rows can no longer be joined to an address.
"""

import dataclasses
import hashlib
import secrets
import sqlite3
import threading
from dataclasses import dataclass
from pathlib import Path

from minillm.core.records import atomic_write

REQUEST_LOG = "requests.sqlite"
SALT = "requests.salt"
BUSY_TIMEOUT_S = 5.0


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestRow:
    """A request as it is remembered; what never happened (a first token, a rating) is None."""

    id: str
    created_s: float
    client: str
    endpoint: str
    model: str
    model_sha256: str
    status: int
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    prompt_bytes: int | None = None
    prompt_bits_per_byte: float | None = None
    queued_ms: float | None = None
    first_token_ms: float | None = None
    total_ms: float | None = None
    finish_reason: str | None = None
    error: str | None = None
    prompt: str | None = None
    reply: str | None = None
    rating: int | None = None
    correction: str | None = None


TABLE = """
CREATE TABLE IF NOT EXISTS requests(
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
        # autocommit: each statement is a transaction of its own, on disk when `execute` returns
        self._connection = sqlite3.connect(
            folder / REQUEST_LOG, isolation_level=None, check_same_thread=False,
            timeout=BUSY_TIMEOUT_S,
        )  # fmt: skip
        self._connection.execute("PRAGMA journal_mode=WAL")
        self._connection.execute("PRAGMA synchronous=NORMAL")
        self._connection.execute(TABLE)

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
            self._connection.execute(f"INSERT INTO requests({names}) VALUES({places})", fields)

    def rate(self, request_id: str, rating: int, correction: str | None) -> bool:
        """Add a reader's judgement, the last one counts; False if there is no such reply."""
        kept = correction if self.keeps_text else None
        with self._lock:
            found = self._connection.execute(
                "UPDATE requests SET rating = ?, correction = ? "
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


def read_requests(folder: Path) -> list[dict]:
    """All rows, oldest first; reading does not disturb a server that writes."""
    path = folder / REQUEST_LOG
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} is missing: no request was logged yet; start a server: minillm serve"
        )
    connection = sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)
    connection.row_factory = sqlite3.Row
    try:
        rows = connection.execute("SELECT * FROM requests ORDER BY created_s, id")
        return [dict(row) for row in rows]
    finally:
        connection.close()
