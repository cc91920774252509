"""The verb that answers requests over HTTP: serve."""

import argparse
import hashlib
import json
import sys
from pathlib import Path

from minillm.verbs.arguments import existing_run, notes, refuse

GIVEN = ("host", "port", "num_slots", "max_queue", "max_body_bytes", "max_tokens")


# package only
def add_options(parser: argparse.ArgumentParser) -> None:
    """What only `serve` takes; what is not given is `ServeConfig`'s."""
    add = parser.add_argument
    add("--host", metavar="ADDRESS", help="where to listen (default: this machine alone)")
    add("--port", type=int, help="0: any free one")
    add("--slots", "--num-slots", dest="num_slots", type=int, help="requests served at once")
    add("--max-queue", type=int, help="requests that may wait beyond those")
    add("--max-body-bytes", type=int)
    add("--max-tokens", type=int, help="the longest reply")
    add("--log-text", action="store_true", help="keep prompts, replies and corrections in the log")
    add("--api-key-file", type=Path, metavar="FILE", help="ask for the key in this file")
    add("--api-key-sha256", metavar="HEX", help="ask for the key with this SHA-256")


# package only
def key_sha256(path: Path) -> str:
    """The hash of the key in a file; ValueError for an empty one."""
    key = path.read_text(encoding="utf-8").strip()
    if not key:
        raise ValueError(f"--api-key-file: {path} is empty; write the key into it, on one line")
    return hashlib.sha256(key.encode()).hexdigest()


# package only
def run_serve(args: argparse.Namespace) -> int:
    """Answer requests with the run's promoted or newest model until interrupted."""
    from minillm.serve.config import ServeConfig
    from minillm.serve.process import listen

    run = existing_run(args)
    given = {name: getattr(args, name) for name in GIVEN if getattr(args, name) is not None}
    if args.api_key_file:
        refuse(args, ("api_key_sha256",), "the key comes from --api-key-file; give one of the two")
        given["api_key_sha256"] = key_sha256(args.api_key_file)
    elif args.api_key_sha256:
        given["api_key_sha256"] = args.api_key_sha256
    config = ServeConfig(log_text=args.log_text, **given)

    def on_ready(url: str, name: str) -> None:
        if args.json:
            print(json.dumps({"url": url, "model": name, "run": run.name}), flush=True)
            return
        print(f"{name} answers at {url} (Ctrl-C ends)", file=notes(args), flush=True)
        if config.host not in ("127.0.0.1", "localhost", "::1") and not config.api_key_sha256:
            words = "everyone who can reach this machine may use the model; --api-key-file asks"
            print(f"minillm serve: warning: {words} for a key", file=sys.stderr)

    listen(run, config, on_ready)
    return 0
