"""A run's model on a port: in this process until it is told to stop, or in one of its own.

`running_server` is how tests, notebooks and the monitor use a server: it starts one on a free port,
waits until it answers, and ends it by its own process id.
"""

import dataclasses
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import uvicorn

from minillm.compress.pipeline import load_served
from minillm.core.promotion import served_model
from minillm.core.records import Run
from minillm.serve.config import ServeConfig
from minillm.serve.request_log import RequestLog
from minillm.serve.server import make_app
from minillm.serve.service import Service

GRACE_S, BACKLOG = 10, 512


# package only
def bound_socket(config: ServeConfig) -> socket.socket:
    """A socket that listens before the model is loaded, so that a taken port is known at once."""
    family = socket.AF_INET6 if ":" in config.host else socket.AF_INET
    try:
        listening = socket.create_server((config.host, config.port), family=family, backlog=BACKLOG)
        # else a reply's last packet waits up to 40 ms for the acknowledgement of the one before
        listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return listening
    except OSError as error:
        raise OSError(
            error.errno,
            f"{error.strerror}: cannot listen on {config.host} port {config.port}; "
            "choose another with --port (0: any free one)",
        ) from None


# package only
def listen(run: Run, config: ServeConfig, on_ready: Callable[[str, str], None]) -> None:
    """Serve the run's model until SIGINT or SIGTERM; `on_ready` gets the address and the name."""
    listening = bound_socket(config)
    artifact = served_model(run)
    model, tokenizer = load_served(artifact.path)
    name = f"{run.name}-{artifact.kind}"
    service = Service(
        model, tokenizer, config, RequestLog(run.path, keeps_text=config.log_text),
        name=name, kind=artifact.kind, sha256=artifact.sha256,
    )  # fmt: skip
    host, port = listening.getsockname()[:2]
    settings = uvicorn.Config(
        make_app(service), log_level="warning", access_log=False, backlog=BACKLOG,
        timeout_graceful_shutdown=GRACE_S, server_header=False,
    )  # fmt: skip
    on_ready(f"http://{f'[{host}]' if ':' in host else host}:{port}", name)
    uvicorn.Server(settings).run(sockets=[listening])


# package only
def options_of(config: ServeConfig) -> list[str]:
    """A configuration as the options of `minillm serve`."""
    words = []
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if value is True:
            words += [f"--{field.name.replace('_', '-')}"]
        elif value is not None and value is not False:
            words += [f"--{field.name.replace('_', '-')}", str(value)]
    return words


# package only
@contextmanager
def running_server(run: Run, config: ServeConfig | None = None) -> Iterator[str]:
    """The address of a server that answers for this run, on a free port, until the block ends."""
    process, url = start_server(run, config or ServeConfig())
    try:
        yield url
    finally:
        stop_server(process)


# package only
def start_server(run: Run, config: ServeConfig) -> tuple[subprocess.Popen, str]:
    """A server in a process of its own, ready to answer, and its address."""
    command = [sys.executable, "-m", "minillm", "serve", "--run", run.name, "--json"]
    command += ["--home", str(run.path.parent.parent)]
    command += options_of(dataclasses.replace(config, port=0))
    package = Path(__file__).resolve().parents[2]
    paths = os.pathsep.join([str(package), os.environ.get("PYTHONPATH", "")])
    said = tempfile.TemporaryFile("w+")
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=said, text=True,
        env=os.environ | {"PYTHONPATH": paths.rstrip(os.pathsep)},
    )  # fmt: skip
    line = process.stdout.readline()  # comes when the model is loaded, or not at all
    if not line:
        process.wait()
        said.seek(0)
        raise RuntimeError(f"the server did not start: {said.read().strip()}")
    return process, json.loads(line)["url"]


# package only
def stop_server(process: subprocess.Popen) -> None:
    """End a server by its own id: ask it, and kill it if it does not listen."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(timeout=2 * GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    process.stdout.close()
