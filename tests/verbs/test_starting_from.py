"""A folder that transformers wrote is trained on; what does not fit it is said before a run begins.

The weights are random and made here: no network.
"""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from minillm.__main__ import main
from minillm.corpus.storyworld import tell_story
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from minillm.train.checkpoint import load_model

TEXTS = [tell_story(seed, 1).text for seed in range(60)]
VOCAB_SIZE, WIDTH = 320, 16
STEPS = (
    "--set", "training.max_minutes=null", "--set", "training.max_steps=2",
    "--set", "training.checkpoint_every_steps=null", "--set", "training.compile=false",
)  # fmt: skip


def llama_folder(folder: Path, num_padded: int = 0, **changes: object) -> Path:
    """A tiny random Llama, as transformers saves it, with a tokenizer.json beside it."""
    tokenizer = train_tokenizer(TEXTS, TokenizerConfig(vocab_size=VOCAB_SIZE))
    torch.manual_seed(0)
    fields = {
        "vocab_size": VOCAB_SIZE + num_padded, "hidden_size": WIDTH, "intermediate_size": 32,
        "num_hidden_layers": 2, "num_attention_heads": 4, "num_key_value_heads": 2,
        "max_position_embeddings": 64, "tie_word_embeddings": True,
    }  # fmt: skip
    LlamaForCausalLM(LlamaConfig(**(fields | changes))).save_pretrained(folder)
    tokenizer.save(folder / "tokenizer.json")
    return folder


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return llama_folder(tmp_path_factory.mktemp("hf") / "llama")


@pytest.fixture(scope="module")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("text") / "stories.txt"
    path.write_text("\n\n".join(tell_story(900 + seed, 1).text for seed in range(40)))
    return path


@pytest.fixture
def train(
    tmp_path: Path, text: Path, capsys: pytest.CaptureFixture
) -> Callable[..., tuple[int, str]]:
    """`minillm train --text … --from FOLDER …`: its exit code and what it said last."""

    def run(folder: Path, *words: str) -> tuple[int, str]:
        command = ["train", "--text", str(text), "--run", "on", "--home", str(tmp_path)]
        code = main([*command, "--from", str(folder), *STEPS, *words])
        said = capsys.readouterr()
        return code, said.err if code else said.out

    return run


def test_weights_of_transformers_are_the_first_weights(
    folder: Path, train: Callable, tmp_path: Path
) -> None:
    """At a rate of nearly 0 two steps leave them as they were; at an ordinary one they move."""
    code, said = train(folder, "--set", "training.learning_rate=1e-12")
    assert code == 0, said
    assert f"{VOCAB_SIZE} tokens, of the model started from" in said
    ours, tokenizer = load_model(tmp_path / "runs" / "on" / "model")
    theirs = LlamaForCausalLM.from_pretrained(folder).eval()
    tokens_BT = torch.tensor([tokenizer.encode(TEXTS[0])[:40]])
    with torch.no_grad():
        torch.testing.assert_close(ours(tokens_BT), theirs(tokens_BT).logits, rtol=1e-4, atol=1e-5)
    assert train(folder, "--set", "training.learning_rate=1e-2")[0] == 0
    moved, _ = load_model(tmp_path / "runs" / "on" / "model")
    with torch.no_grad():
        assert not torch.allclose(moved(tokens_BT), theirs(tokens_BT).logits, atol=1e-3)
    manifest = json.loads((tmp_path / "runs" / "on" / "model" / "manifest.json").read_text())
    assert manifest["config"]["initial_sha256"], "the manifest says that it did not start from 0"


def test_a_run_that_started_so_goes_on_so(folder: Path, train: Callable, tmp_path: Path) -> None:
    """The recipe keeps where it started: the same run again needs no --from."""
    assert train(folder)[0] == 0
    assert main(["train", "--run", "on", "--home", str(tmp_path)]) == 0
    again = ["train", "--run", "on", "--home", str(tmp_path), "--set", "model.width=32"]
    assert main(again) == 1


def test_how_attention_is_computed_may_be_chosen(
    folder: Path, train: Callable, tmp_path: Path
) -> None:
    assert train(folder, "--set", "model.attention=reference")[0] == 0
    assert load_model(tmp_path / "runs" / "on" / "model")[0].config.attention == "reference"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (("model.width=32",), ("model.width = 32", f"made with {WIDTH}", "without --from")),
        (("model.num_layers=3",), ("model.num_layers = 3", "made with 2")),
        (("tokenizer.vocab_size=512",), ("tokenizer.vocab_size = 512", f"with {VOCAB_SIZE}")),
        (("batches.context_length=128",), ("batches.context_length = 128", "at most 64")),
    ],
)
def test_another_shape_is_refused_and_not_passed_over(
    changes: tuple[str, ...], words: tuple[str, ...], folder: Path, train: Callable
) -> None:
    code, said = train(folder, *(word for each in changes for word in ("--set", each)))
    assert code == 1 and all(each in said for each in words), said


def without(folder: Path, name: str, target: Path) -> Path:
    shutil.copytree(folder, target)
    (target / name).unlink()
    return target


def test_a_folder_that_lacks_a_file_or_has_another_vocabulary_is_named_before_a_run_begins(
    folder: Path, train: Callable, tmp_path: Path
) -> None:
    bare = without(folder, "tokenizer.json", tmp_path / "bare")
    code, said = train(bare)
    assert code == 1 and f"{bare / 'tokenizer.json'}: missing" in said and "minillm export" in said
    padded = llama_folder(tmp_path / "padded", num_padded=8)
    code, said = train(padded)
    assert code == 1 and "vocab_size = 328, but its tokenizer has 320 tokens" in said
    assert "resize_token_embeddings(320)" in said
    short = llama_folder(tmp_path / "short", num_padded=-20)
    code, said = train(short)
    assert code == 1 and "vocab_size = 300" in said and "320 tokens" in said
    foreign = llama_folder(tmp_path / "foreign")
    (foreign / "tokenizer.json").write_text('{"model": {"type": "WordPiece"}}')
    code, said = train(foreign)
    assert code == 1 and str(foreign / "tokenizer.json") in said
    other = llama_folder(tmp_path / "other", hidden_act="gelu")
    code, said = train(other)
    assert code == 1 and "hidden_act = 'gelu'; only 'silu' can be loaded" in said
    assert not (tmp_path / "runs").exists(), "nothing was begun"


def test_the_remedy_for_rows_without_a_token_works(
    train: Callable, tmp_path: Path
) -> None:
    padded = llama_folder(tmp_path / "padded", num_padded=8)
    model = LlamaForCausalLM.from_pretrained(padded)
    model.resize_token_embeddings(VOCAB_SIZE)
    model.save_pretrained(padded)
    assert train(padded)[0] == 0
