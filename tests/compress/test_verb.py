"""`minillm compress`, and what chat and export make of its run: from outside."""

import json
from pathlib import Path

import pytest
from gguf import GGUFReader

from minillm.__main__ import main
from minillm.train.trainer import pretrain
from tests.train.tiny import tiny_config, tiny_run


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with the finished run `tiny`."""
    folder = tmp_path_factory.mktemp("home")
    run = tiny_run(folder)
    pretrain(tiny_config(run), run)
    (run.path / "recipe.json").write_text('{"name": "smoke"}')
    return folder


def called(home: Path, capsys: pytest.CaptureFixture, *words: object) -> tuple[int, str, str]:
    code = main([*map(str, words), "--run", "tiny", "--home", str(home)])
    out, err = capsys.readouterr()
    return code, out, err


def test_compress_reports_bytes_and_cost(home: Path, capsys: pytest.CaptureFixture) -> None:
    code, out, err = called(home, capsys, "compress", "--scheme", "int4-g8", "--json")
    figures = json.loads(out)
    assert code == 0 and out.count("\n") == 1 and "times smaller" in err
    assert figures["scheme"] == "int4-g8" and figures["bytes"] < figures["full_bytes"] / 2
    assert figures["kl_nats"] > 0 and Path(figures["path"]).is_dir()


def test_without_a_scheme_the_recipe_decides(home: Path, capsys: pytest.CaptureFixture) -> None:
    code, out, _ = called(home, capsys, "compress")
    assert code == 0 and "quantized: int8" in out and "perplexity" in out and "KL" in out


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--scheme", "int2"), "scheme = 'int2': give int8 or int4"),
        (("--scheme", "int4-tensor", "--method", "gptq"), "int4-channel"),
        (("--set", "compress.scheme=int4"), "keeps its own recipe"),
    ],
)
def test_bad_input_is_one_line_and_leaves_nothing(home, capsys, words, message) -> None:
    before = sorted(path.name for path in (home / "runs" / "tiny").iterdir())
    code, out, err = called(home, capsys, "compress", *words)
    assert code == 1 and out == "" and message in err and err.count("\n") == 1
    assert sorted(path.name for path in (home / "runs" / "tiny").iterdir()) == before


def test_chat_answers_with_the_quantised_model(home: Path, capsys: pytest.CaptureFixture) -> None:
    called(home, capsys, "compress", "--scheme", "int4-g8")
    words = ("chat", "--prompt", "Ann", "--max-tokens", 6, "--temperature", 0)
    code, out, _ = called(home, capsys, *words, "--quantized")
    assert code == 0 and out.startswith("Ann") and len(out) > len("Ann\n")


def test_export_writes_a_gguf_file(home: Path, capsys, tmp_path: Path) -> None:
    path = tmp_path / "tiny.gguf"
    code, out, _ = called(home, capsys, "export", "--to", "gguf", "--out", path, "--json")
    assert code == 0 and json.loads(out)["path"] == str(path)
    assert GGUFReader(path).fields["general.file_type"].contents() == 1
    code, _, _ = called(
        home, capsys, "export", "--to", "gguf", "--type", "f32", "--out", path
    )
    assert code == 0 and GGUFReader(path).fields["general.file_type"].contents() == 0


def test_what_cannot_be_exported_is_one_line(home, capsys, tmp_path) -> None:
    words = ("--to", "hf", "--type", "f16", "--out", tmp_path / "out")
    code, out, err = called(home, capsys, "export", *words)
    assert code == 1 and out == "" and err.count("\n") == 1
    assert "--type: a choice of GGUF files" in err
    assert list(tmp_path.iterdir()) == []
