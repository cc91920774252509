"""The stage: the run's model becomes a smaller one, in a folder that loads like any other model.

In: the model that answers users. Out: the artifact `quantized`: codes and scales, the scheme, shape
and tokenizer; and figures: bytes, change of perplexity and KL on the run's held-out documents.
`load_served` loads whichever kind of model lies in a folder.
"""

import dataclasses
import json
import math
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Literal

import safetensors.torch
import torch
from safetensors import SafetensorError

from minillm.batches.shards import Shards, open_shards
from minillm.compress.compare import compared, readings
from minillm.compress.gptq import gptq_state, input_moments
from minillm.compress.layers import with_quantized_modules
from minillm.compress.quantize import (
    QuantizedWeight,
    State,
    quantize_state,
    scheme_named,
    scheme_of,
    state_bytes,
)
from minillm.core.promotion import served_before
from minillm.core.records import Artifact, Run, atomic_write, make_artifact
from minillm.model.transformer import ModelConfig, Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import SHAPE, TOKENIZER, load_model, model_tensors

CODE = ("minillm.model", "minillm.compress")
CODES, SCHEMES = "codes.safetensors", "quantized.json"


# package only
@dataclass(frozen=True, kw_only=True, slots=True)
class CompressConfig:
    """The layers' scheme and that of the token table, how codes are found, and what is measured.

    `gptq` reads documents of the training split; figures are of the held-out ones.
    """

    scheme: str = "int8"
    table_scheme: str = "int8"
    method: Literal["nearest", "gptq"] = "nearest"
    calibration_documents: int = 48
    measured_documents: int = 60

    def __post_init__(self) -> None:
        layers, _ = scheme_named(self.scheme), scheme_named(self.table_scheme)
        if self.method not in ("nearest", "gptq"):
            raise ValueError(f"method = {self.method!r}: choose nearest or gptq")
        if self.method == "gptq" and layers.shared_by == "tensor":
            raise ValueError(
                f"scheme = {self.scheme!r}: gptq needs a scale a row or group; use "
                f"int{layers.bits}-channel, or method = nearest"
            )
        for name in ("calibration_documents", "measured_documents"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}: must be at least 1")


# package only
def save_quantized(
    state: State, config: ModelConfig, tokenizer: Tokenizer, folder: Path, schemes: dict[str, str]
) -> None:
    """Write codes and scales, the two schemes' names, shape and tokenizer into a folder."""
    folder.mkdir(parents=True, exist_ok=True)
    tensors = {}
    for name, each in state.items():
        if isinstance(each, QuantizedWeight):
            tensors |= {f"{name}.codes": each.codes, f"{name}.scales": each.scales}
        else:
            tensors[name] = each
    atomic_write(folder / CODES, safetensors.torch.save(tensors))
    atomic_write(folder / SCHEMES, json.dumps(schemes, indent=1) + "\n")
    atomic_write(folder / SHAPE, json.dumps(dataclasses.asdict(config), indent=1) + "\n")
    tokenizer.save(folder / TOKENIZER)


# package only
def stored_state(
    model: Transformer, tensors: dict[str, torch.Tensor], schemes: dict[str, str]
) -> State:
    """Codes and scales put together again; ValueError naming what does not fit the shape."""
    layers, tables = scheme_named(schemes["layers"]), scheme_named(schemes["tables"])
    state: State = {}
    for name, parameter in model.named_parameters():
        scheme = scheme_of(name, parameter, layers, tables)
        parts = [name] if scheme is None else [f"{name}.codes", f"{name}.scales"]
        if missing := [part for part in parts if part not in tensors]:
            raise ValueError(f"{missing[0]} is missing")
        found = [tensors[part].clone() for part in parts]  # off the file, at an aligned address
        if scheme is None:
            state[name] = found[0]
            continue
        state[name] = QuantizedWeight(
            codes=found[0], scales=found[1], shape=tuple(parameter.shape), scheme=scheme
        )
        num_bytes = math.ceil(parameter.numel() * scheme.bits / 8)
        if found[0].nbytes != num_bytes:
            raise ValueError(f"{parts[0]} has {found[0].nbytes} bytes, the shape asks {num_bytes}")
    return state


# package only
def load_quantized(folder: Path | str) -> tuple[Transformer, Tokenizer]:
    """Model (its matrices read as codes) and tokenizer from a folder of `save_quantized`."""
    folder = Path(folder)
    for name in (CODES, SCHEMES, SHAPE, TOKENIZER):
        if not (folder / name).is_file():
            raise FileNotFoundError(
                f"{folder / name} is missing: no quantised model lies here; make one with: "
                "minillm compress"
            )
    try:
        shape, schemes = (
            json.loads((folder / name).read_text(encoding="utf-8")) for name in (SHAPE, SCHEMES)
        )
        model = Transformer(ModelConfig(**shape))
        state = stored_state(model, safetensors.torch.load_file(folder / CODES), schemes)
    except (SafetensorError, KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"{folder}: not a readable quantised model ({error}); make it again with: "
            "minillm compress"
        ) from None
    return with_quantized_modules(model, state), Tokenizer.load(folder / TOKENIZER)


# package only
def load_served(folder: Path | str, device: str = "cpu") -> tuple[Transformer, Tokenizer]:
    """Whichever kind of model lies in the folder of an artifact: quantised, or in full."""
    if (Path(folder) / SCHEMES).is_file():
        model, tokenizer = load_quantized(folder)
        return model.to(device), tokenizer
    return load_model(folder, device)


# package only
def some_documents(shards: Shards, count: int, context_length: int) -> list[list[int]]:
    """Documents spread evenly over a split, cut to the context, each with a token to predict."""
    step = max(1, shards.num_documents // count)
    chosen = range(0, shards.num_documents, step)
    documents = (shards.document(index)[: context_length + 1] for index in chosen)
    return list(islice((each.tolist() for each in documents if len(each) > 1), count))


def compressed_state(config: CompressConfig, model: Transformer, run: Run) -> State:
    """The model's tensors in codes, by the method that the configuration names."""
    layers, tables = scheme_named(config.scheme), scheme_named(config.table_scheme)
    tensors = model_tensors(model)
    if config.method == "nearest":
        return quantize_state(tensors, layers, tables)
    shards = open_shards(run.artifact("shards").path, "train")
    length = model.config.context_length
    documents = some_documents(shards, config.calibration_documents, length)
    batches = (torch.tensor([document[:length]]) for document in documents)
    return gptq_state(tensors, input_moments(model, batches), layers, tables)


# package only
def held_out_figures(
    config: CompressConfig, full: Transformer, smaller: Transformer, tokenizer: Tokenizer, run: Run
) -> dict[str, float]:
    """Both models on the same held-out documents of the run; nothing where there are none."""
    shards = open_shards(run.artifact("shards").path, "validation")
    length = full.config.context_length
    documents = some_documents(shards, config.measured_documents, length)
    if not documents:
        return {}
    num_bytes = sum(len(tokenizer.decode_bytes(document[1:])) for document in documents)
    read = readings(full, documents, length)
    before, after = (compared(model, read, num_bytes) for model in (full, smaller))
    return {
        "kl_nats": after.kl_nats,
        "perplexity_change_fraction": after.perplexity_change_fraction,
        "perplexity": after.perplexity,
        "bits_per_byte": after.bits_per_byte,
        "full_bits_per_byte": before.bits_per_byte,
        "measured_tokens": after.num_tokens,
    }


def compress(config: CompressConfig, run: Run) -> Artifact:
    """The model that answers the run's users → the same in codes, with what it lost."""
    served, shards = served_before(run), run.artifact("shards")

    def write(folder: Path) -> dict[str, object]:
        model, tokenizer = load_model(served.path)
        state = compressed_state(config, model, run)
        schemes = {"layers": config.scheme, "tables": config.table_scheme}
        save_quantized(state, model.config, tokenizer, folder, schemes)
        smaller, _ = load_quantized(folder)
        return {
            "scheme": config.scheme,
            "bytes": state_bytes(state),
            "full_bytes": state_bytes(dict(model_tensors(model))),
            **held_out_figures(config, model, smaller, tokenizer, run),
        }

    return make_artifact(
        run, "quantized", config=config, parents=(served, shards), code=CODE,
        write=write, summary=compress_summary,
    )


# package only
def compress_summary(figures: dict[str, object]) -> str:
    """What is the same on every machine."""
    ratio = figures["full_bytes"] / figures["bytes"]
    return f"{figures['scheme']}, {figures['bytes']:,} bytes, {ratio:.1f} times smaller"
