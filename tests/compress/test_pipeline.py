"""The stage and its folder: what is saved is what is loaded, by whoever asks for the model."""

import dataclasses
from pathlib import Path

import pytest
import torch

from minillm.compress import pipeline
from minillm.compress.layers import QuantizedLinear
from minillm.compress.pipeline import (
    CODES,
    SCHEMES,
    CompressConfig,
    compress,
    load_quantized,
    load_served,
    save_quantized,
)
from minillm.compress.quantize import quantize_state, scheme_named, state_bytes
from minillm.core.records import Run
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import load_model, model_tensors
from minillm.train.trainer import pretrain
from tests.train.tiny import tiny_config, tiny_run

# tables as codes of 4 bits too: all that a folder can hold
BOTH = ({"layers": "int8", "tables": "int8"}, {"layers": "int4-g7", "tables": "int4-channel"})


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """A run whose model has learnt a little."""
    made = tiny_run(tmp_path_factory.mktemp("home"))
    pretrain(tiny_config(made), made)
    return made


@pytest.fixture
def model_and_tokenizer(run: Run) -> tuple[Transformer, Tokenizer]:
    return load_model(run.artifact("model").path)


@torch.no_grad()
@pytest.mark.parametrize("schemes", BOTH)
def test_what_is_saved_is_what_is_loaded(schemes, model_and_tokenizer, tmp_path: Path) -> None:
    model, tokenizer = model_and_tokenizer
    layers, tables = (scheme_named(schemes[name]) for name in ("layers", "tables"))
    state = quantize_state(model_tensors(model), layers, tables)
    save_quantized(state, model.config, tokenizer, tmp_path, schemes)
    loaded, loaded_tokenizer = load_quantized(tmp_path)
    for name, module in loaded.named_modules():
        if isinstance(module, QuantizedLinear) and name != "lm_head":
            assert torch.equal(module.codes, state[f"{name}.weight"].codes)
            assert module.scheme == layers
    assert loaded.lm_head.scheme == tables
    assert loaded_tokenizer.encode("Ann has") == tokenizer.encode("Ann has")
    header = 8 + int.from_bytes((tmp_path / CODES).read_bytes()[:8], "little")
    assert (tmp_path / CODES).stat().st_size - header == state_bytes(state)
    served, _ = load_served(tmp_path)
    tokens_BT = torch.arange(20).reshape(1, 20) + 40
    assert torch.equal(served(tokens_BT), loaded(tokens_BT))


def test_one_loader_serves_both_kinds(run: Run) -> None:
    artifact = compress(CompressConfig(), run)
    kinds = [
        type(load_served(each.path)[0].lm_head).__name__
        for each in (run.artifact("model"), artifact)
    ]
    assert kinds == ["Linear", "QuantizedLinear"]


def test_the_stage_says_what_it_saved_and_what_that_cost(run: Run) -> None:
    eight, four = (compress(CompressConfig(scheme=name), run) for name in ("int8", "int4-channel"))
    assert list(four.parents) == ["model", "shards"] and four.altered_file() is None
    for figures in (eight.figures, four.figures):
        assert 0 < figures["kl_nats"] < 0.1
        assert figures["full_bytes"] == 4 * load_model(run.artifact("model").path)[0].num_parameters
    assert four.figures["bytes"] < eight.figures["bytes"] < eight.figures["full_bytes"] / 2.5
    assert four.figures["kl_nats"] > 5 * eight.figures["kl_nats"]
    ratio = eight.figures["bits_per_byte"] / eight.figures["full_bits_per_byte"]
    assert abs(ratio - 1) < 0.01


def test_the_same_again_is_found_and_not_made(run: Run, capsys: pytest.CaptureFixture) -> None:
    first = compress(CompressConfig(), run)
    changed = (first.path / "manifest.json").stat().st_mtime_ns
    assert compress(CompressConfig(), run) == first
    assert (first.path / "manifest.json").stat().st_mtime_ns == changed
    compress(CompressConfig(scheme="int8-tensor"), run)
    assert (first.path / "manifest.json").stat().st_mtime_ns != changed


def test_gptq_reads_training_documents_and_gives_other_codes_of_the_same_size(run: Run) -> None:
    config = CompressConfig(scheme="int4-channel", calibration_documents=3)
    plain = compress(config, run).figures
    found = compress(dataclasses.replace(config, method="gptq"), run).figures
    assert found["bytes"] == plain["bytes"] and found["kl_nats"] != plain["kl_nats"]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"scheme": "int3"}, "scheme = 'int3'.*int8 or int4"),
        ({"table_scheme": "float"}, "int8 or int4"),
        ({"method": "luck"}, "method = 'luck'.*nearest or gptq"),
        ({"scheme": "int8-tensor", "method": "gptq"}, "int8-channel"),
        ({"measured_documents": 0}, "measured_documents = 0.*at least 1"),
    ],
)
def test_impossible_settings_are_refused(fields: dict, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        CompressConfig(**fields)


@pytest.fixture
def folder(model_and_tokenizer, tmp_path: Path) -> Path:
    model, tokenizer = model_and_tokenizer
    schemes = {"layers": "int4-channel", "tables": "int8"}
    state = quantize_state(
        model_tensors(model), scheme_named("int4-channel"), scheme_named("int8")
    )
    save_quantized(state, model.config, tokenizer, tmp_path / "made", schemes)
    return tmp_path / "made"


@pytest.mark.parametrize("name", [CODES, SCHEMES, "model.json", "tokenizer.json"])
def test_a_missing_file_is_named_with_the_remedy(folder: Path, name: str) -> None:
    (folder / name).unlink()
    with pytest.raises(FileNotFoundError, match=f"{name} is missing.*minillm compress"):
        load_quantized(folder)


def test_damaged_files_are_refused_in_one_line(folder: Path) -> None:
    content = (folder / CODES).read_bytes()
    for change in (
        lambda: (folder / CODES).write_bytes(content[:-5]),
        lambda: (folder / SCHEMES).write_text("[]"),
        lambda: (folder / SCHEMES).write_text('{"layers": "int4-g7", "tables": "int9"}'),
        lambda: (folder / SCHEMES).write_text('{"layers": "int8", "tables": "int8"}'),
        lambda: (folder / "model.json").write_text("{"),
    ):
        change()
        with pytest.raises(ValueError, match="not a readable quantised model") as caught:
            load_quantized(folder)
        assert "\n" not in str(caught.value)
        (folder / CODES).write_bytes(content)


def test_a_run_without_held_out_documents_has_no_figures_of_them(run: Run, monkeypatch) -> None:
    monkeypatch.setattr(pipeline, "some_documents", lambda *_: [])
    figures = compress(CompressConfig(scheme="int8-g3"), run).figures
    assert "kl_nats" not in figures and figures["bytes"] > 0
