"""The stage that sends the scripted users to a real server, and keeps the log that it wrote.

In: a population and the run's served model. Out: `requests.sqlite`, closed, and `plan.jsonl`, which
says of every request by whom it was sent, in which event, and what the true answer was. The one
idea: nothing is simulated but the users: the requests are HTTP, the model answers, the server's own
log is what the monitor reads. Their clock is the real one; only the order of events is planned.
"""

import json
import socket
import sqlite3
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from itertools import groupby
from pathlib import Path
from urllib.parse import urlsplit
from urllib.request import urlopen

from minillm.core.promotion import PROMOTED, promote, served_before
from minillm.core.records import Artifact, JsonLines, Run, make_artifact
from minillm.monitor.population import PLAN, PopulationConfig, Wish, is_right, population
from minillm.monitor.requests import LOG, OK, TABLE, closed_copy
from minillm.serve.config import ServeConfig
from minillm.serve.process import running_server

CODE = ("minillm.monitor.population", "minillm.monitor.traffic", "minillm.serve")
CHAT, FEEDBACK = "/v1/chat/completions", "/v1/feedback"
TIMEOUT_S = 60.0
CROWDED = ("peak", "attack")  # events in which many send at once


@dataclass(frozen=True, kw_only=True, slots=True)
class Sent:
    """A wish that was sent: the id that the log has for it, the status, and the reply."""

    wish: Wish
    id: str
    status: int
    reply: str = ""


# package only
def posted(base_url: str, path: str, fields: dict, address: str | None = None) -> tuple[int, dict]:
    """Post JSON, from one of this machine's addresses if given; the status and what comes back."""
    place = urlsplit(base_url)
    source = (address, 0) if address else None
    connection = HTTPConnection(place.hostname, place.port, TIMEOUT_S, source_address=source)
    with closing(connection):
        body, headers = json.dumps(fields).encode(), {"Content-Type": "application/json"}
        connection.request("POST", path, body, headers)
        answer = connection.getresponse()
        return answer.status, json.load(answer) | {"request_id": answer.headers["x-request-id"]}


# package only
def model_name(base_url: str) -> str:
    """The one model that the server answers with."""
    with urlopen(f"{base_url}/v1/models", timeout=TIMEOUT_S) as answer:
        return json.load(answer)["data"][0]["id"]


# package only
def has_many_addresses() -> bool:
    """May a connection come from any address in 127.0.0.0/8? (Linux: yes; macOS: from one.)"""
    with socket.socket() as trial:
        try:
            trial.bind(("127.1.2.3", 0))
        except OSError:
            return False
    return True


def send(base_url: str, model: str, wish: Wish, own_address: bool = True) -> Sent:
    """One chat request from the user's own address, answered or refused."""
    fields = {
        "model": model, "max_tokens": wish.max_tokens, "temperature": 0,
        "messages": [{"role": "user", "content": wish.prompt}],
    }  # fmt: skip
    status, answer = posted(base_url, CHAT, fields, wish.client if own_address else None)
    reply = answer["choices"][0]["message"]["content"] if status == OK else ""
    return Sent(wish=wish, id=answer["request_id"], status=status, reply=reply)


def send_all(
    wishes: Sequence[Wish], config: PopulationConfig, send_one: Callable[[Wish], Sent]
) -> list[Sent]:
    """Event after event: a few people at a time, each with a pause, or a crowd without."""
    sent: list[Sent] = []
    for event, group in groupby(wishes, key=lambda wish: wish.event):
        is_crowd = event in CROWDED
        pause_s = 0.0 if is_crowd else config.gap_ms / 1000

        def one(wish: Wish, pause_s: float = pause_s) -> Sent:
            time.sleep(pause_s)
            return send_one(wish)

        with ThreadPoolExecutor(config.peak_clients if is_crowd else config.calm_clients) as pool:
            sent += pool.map(one, group)
    return sent


def feedback(sent: Sequence[Sent]) -> list[dict]:
    """What those who rate will say later: a thumb, and below a lowered one the right answer."""
    said = []
    for each in sent:
        if each.wish.rates and each.status == OK and not each.wish.is_misuse:
            right = is_right(each.wish, each.reply)
            correction = {} if right else {"correction": each.wish.truth}
            said.append({"id": each.id, "rating": "up" if right else "down"} | correction)
    return said


# package only
def name_clients(log: Path, sent: Sequence[Sent]) -> None:
    """Write into a closed log who sent what, where all came from one address."""
    with closing(sqlite3.connect(log)) as connection, connection:
        rows = [(each.wish.client, each.id) for each in sent]
        connection.executemany(f"UPDATE {TABLE} SET client = ? WHERE id = ?", rows)


# package only
@contextmanager
def aside(run: Run, model: Artifact) -> Iterator[Run]:
    """The same run in a folder of its own, in which this model answers, and whose request log is
    empty: users by script and real users do not meet in one log."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home) / "runs" / run.name
        folder.mkdir(parents=True)
        for path in run.path.iterdir():
            if not path.name.startswith(("requests.", ".", PROMOTED)):
                (folder / path.name).symlink_to(path.resolve())
        scene = Run(name=run.name, path=folder)
        promote(scene, model)
        yield scene


# package only
def planned(each: Sent) -> dict:
    """A line of the plan: what was meant, beside the id under which the log has what happened."""
    wish = each.wish
    return {
        "id": each.id, "event": wish.event, "client": wish.client, "kind": wish.kind,
        "topic": wish.topic, "is_misuse": wish.is_misuse, "status": each.status,
        "truth": wish.truth,
    }  # fmt: skip


# package only
def write_traffic(config: PopulationConfig, run: Run, answering: Artifact, folder: Path) -> dict:
    """Serve the model, send everything, rate, close the log; the figures."""
    own_address = has_many_addresses()
    with aside(run, answering) as scene:
        serving = ServeConfig(log_text=True, num_slots=config.peak_clients)
        with running_server(scene, serving) as base_url:
            model = model_name(base_url)
            sent = send_all(
                population(config), config,
                lambda wish: send(base_url, model, wish, own_address),
            )  # fmt: skip
            said = feedback(sent)
            for each in said:
                status, answer = posted(base_url, FEEDBACK, each)
                if status != OK:
                    raise RuntimeError(f"feedback was refused with status {status}: {answer}")
        closed_copy(scene.path / LOG, folder / LOG)
    if not own_address:
        reason = "this machine has one loopback address: who sent what is added to the closed log"
        warnings.warn(reason, stacklevel=2)
        name_clients(folder / LOG, sent)
    plan = JsonLines(folder / PLAN)
    for each in sent:
        plan.write(**planned(each))
    return {
        "requests": len(sent),
        "clients": len({each.wish.client for each in sent}),
        "answered": sum(each.status == OK for each in sent),
        "ratings": len(said),
        "thumbs_up": sum(each["rating"] == "up" for each in said),
    }


def traffic(config: PopulationConfig, run: Run) -> Artifact:
    """The run's served model answers the scripted users; the server's log is the artifact."""
    model = served_before(run)
    return make_artifact(
        run, "traffic", config=config, parents=(model,), code=CODE,
        write=lambda folder: write_traffic(config, run, model, folder),
        summary=lambda figures: (
            f"{figures['requests']} requests of {figures['clients']} users by script"
        ),
    )
