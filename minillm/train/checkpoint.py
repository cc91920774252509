"""A model on disk, and a training run that survives being killed.

`save_model` writes what the world needs: weights, shape, tokenizer. `save_checkpoint` writes what
the *next step* needs as well: optimizer, random numbers, place in the stream. Files are safetensors
and JSON, never pickles: loading them runs no code. A checkpoint appears whole, by a rename, or not
at all, and carries the SHA-256 of each of its files. Left out: sharded checkpoints.
"""

import dataclasses
import hashlib
import json
import os
import shutil
import warnings
from dataclasses import dataclass
from pathlib import Path

import safetensors.torch
import torch
from safetensors import SafetensorError
from torch import nn

from minillm.core.records import atomic_write, canonical, replace_folder, sha256_of
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer

WEIGHTS, SHAPE, TOKENIZER = "model.safetensors", "model.json", "tokenizer.json"
PARTS, STATE = ("model", "optimizer", "random"), "state.json"


def model_tensors(model: nn.Module, dtype: torch.dtype | None = None) -> dict[str, torch.Tensor]:
    """The weights by name, each number once: a tied head *is* the embedding."""
    named = model.named_parameters()
    return {name: each.detach().to("cpu", dtype).contiguous() for name, each in named}


@torch.no_grad()
def load_model_tensors(model: nn.Module, tensors: dict[str, torch.Tensor]) -> None:
    """Copy weights into a model of the same shape; ValueError names the first that does not fit."""
    parameters = dict(model.named_parameters())
    for name in sorted(parameters.keys() | tensors.keys()):
        expected = tuple(parameters[name].shape) if name in parameters else "nothing"
        found = tuple(tensors[name].shape) if name in tensors else "nothing"
        if expected != found:
            raise ValueError(
                f"weight {name}: the model expects {expected}, the file has {found}; "
                "build the model with the shape that was saved"
            )
        parameters[name].copy_(tensors[name])


def save_model(
    model: Transformer, tokenizer: Tokenizer, folder: Path, dtype: torch.dtype | None = None
) -> None:
    """Write weights (in `dtype`, or as they are), shape and tokenizer into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    atomic_write(folder / WEIGHTS, safetensors.torch.save(model_tensors(model, dtype)))
    atomic_write(folder / SHAPE, json.dumps(dataclasses.asdict(model.config), indent=1) + "\n")
    tokenizer.save(folder / TOKENIZER)


def load_model(folder: Path | str, device: str = "cpu") -> tuple[Transformer, Tokenizer]:
    """Model (float32, ready to generate) and tokenizer from a folder that `save_model` wrote."""
    folder = Path(folder)
    for name in (WEIGHTS, SHAPE, TOKENIZER):
        if not (folder / name).is_file():
            raise FileNotFoundError(f"{folder / name} is missing: no model lies here; train one")
    try:
        config = ModelConfig(**json.loads((folder / SHAPE).read_text(encoding="utf-8")))
        tensors = safetensors.torch.load_file(folder / WEIGHTS)
    except (SafetensorError, UnicodeDecodeError, json.JSONDecodeError, TypeError) as error:
        raise ValueError(
            f"{folder}: not a readable model ({error}); copy it again, or train it again"
        ) from None
    model = Transformer(config)
    load_model_tensors(model, tensors)
    return model.to(device).eval(), Tokenizer.load(folder / TOKENIZER)


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """All that the next step depends on: weights, optimizer, random numbers, plain numbers."""

    model: dict[str, torch.Tensor]
    optimizer: dict[str, torch.Tensor]
    random: dict[str, torch.Tensor]
    state: dict


# package only
def random_state() -> dict[str, torch.Tensor]:
    """The state of torch's random number generators."""
    state = {"cpu": torch.get_rng_state()}
    return state | {"cuda": torch.cuda.get_rng_state()} if torch.cuda.is_available() else state


# package only
def set_random_state(state: dict[str, torch.Tensor]) -> None:
    """Draw on from where `random_state` was taken."""
    torch.set_rng_state(state["cpu"])
    if "cuda" in state and torch.cuda.is_available():
        torch.cuda.set_rng_state(state["cuda"])


def save_checkpoint(
    checkpoint: Checkpoint, folder: Path, step: int, *, keep: int = 2, best_step: int | None = None
) -> Path:
    """Write `folder/step_000100` whole or not at all; only then remove all but the last `keep`.

    The best one, `best_step`, is never removed.
    """
    parts = {name: getattr(checkpoint, name) for name in PARTS}
    target = folder / f"step_{step:06d}"
    partial = folder / f".{target.name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        hashes = {"state": sha256_of(canonical(checkpoint.state))}
        for name, tensors in parts.items():
            content = safetensors.torch.save(tensors)
            hashes[name] = hashlib.sha256(content).hexdigest()
            atomic_write(partial / f"{name}.safetensors", content)
        atomic_write(partial / STATE, json.dumps({"state": checkpoint.state, "sha256": hashes}))
        flush_folder(partial)
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise OSError(
            error.errno,
            f"{error.strerror}: the checkpoint of step {step} is not saved, earlier ones are "
            "intact; free some space and run the same command again",
            str(target),
        ) from error
    replace_folder(partial, target)
    flush_folder(folder)
    remove_checkpoints(folder, step, keep, best_step)
    return target


# package only
def flush_folder(folder: Path) -> None:
    """A rename survives a power cut only when the folder that holds the name is on disk too."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def step_of(path: Path) -> int:
    """The step that a checkpoint's folder is named after."""
    return int(path.name.removeprefix("step_"))


def checkpoints_in(folder: Path) -> list[Path]:
    """A folder for each step that was saved, in their order."""
    named = (each for each in folder.glob("step_*") if each.name.removeprefix("step_").isdigit())
    return sorted(named, key=step_of)


def remove_checkpoints(
    folder: Path, step: int, keep: int, best_step: float | None = None
) -> None:
    """Keep the last `keep` up to `step`, and the best; later ones belong to a future given up."""
    every = checkpoints_in(folder)
    kept = [path for path in every if step_of(path) <= step][-keep:]
    if best_step is not None:
        kept.append(folder / f"step_{int(best_step):06d}")
    for path in set(every) - set(kept):
        shutil.rmtree(path, ignore_errors=True)  # another process may be at the same
    for path in folder.glob(".step_*.partial"):  # of a process that was killed while it saved
        shutil.rmtree(path, ignore_errors=True)


def read_checkpoint(path: Path) -> Checkpoint:
    """One checkpoint, checked against its SHA-256s; ValueError names the file that differs."""
    written = json.loads((path / STATE).read_text(encoding="utf-8"))
    if sha256_of(canonical(written["state"])) != written["sha256"]["state"]:
        raise ValueError(f"{STATE} is damaged")
    parts = {}
    for name in PARTS:
        content = (path / f"{name}.safetensors").read_bytes()
        if hashlib.sha256(content).hexdigest() != written["sha256"][name]:
            raise ValueError(f"{name}.safetensors is damaged")
        parts[name] = safetensors.torch.load(content)
    return Checkpoint(state=written["state"], **parts)


def load_latest_checkpoint(folder: Path, key: str | None = None) -> Checkpoint | None:
    """The newest checkpoint (of this key); a damaged one is passed over with a warning."""
    for path in reversed(checkpoints_in(folder)):
        try:
            checkpoint = read_checkpoint(path)
        except (ValueError, KeyError, TypeError, OSError) as error:
            warnings.warn(
                f"{path.name} cannot be used ({error}); the checkpoint before it is tried",
                stacklevel=2,
            )
            continue
        if key is None or checkpoint.state.get("key") == key:
            return checkpoint
    return None
