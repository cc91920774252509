"""Checkpoints: whole or not at all, checked, kept two; models: loaded, or one clear error."""

import errno
from pathlib import Path

import pytest
import safetensors.torch
import torch

from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from minillm.train import checkpoint as module
from minillm.train.checkpoint import (
    Checkpoint,
    load_latest_checkpoint,
    load_model,
    load_model_tensors,
    model_tensors,
    random_state,
    save_checkpoint,
    save_model,
    set_random_state,
)
from tests.train.tiny import TEXTS, VOCAB_SIZE, tiny_model


def made(number: float, key: str = "one") -> Checkpoint:
    return Checkpoint(
        model={"w": torch.full((3, 2), number), "v": torch.tensor([number])},
        optimizer={"adamw.num_steps": torch.tensor(7)},
        random=random_state(),
        state={"key": key, "position": 3, "elapsed_s": 0.1 + 0.2},
    )


def saved_number(folder: Path, key: str | None = None) -> float | None:
    found = load_latest_checkpoint(folder, key)
    return None if found is None else found.model["v"].item()


def test_a_checkpoint_comes_back_as_it_was(tmp_path: Path) -> None:
    checkpoint = made(1.5)
    save_checkpoint(checkpoint, tmp_path, 5)
    found = load_latest_checkpoint(tmp_path)
    assert found.state == checkpoint.state
    assert torch.equal(found.model["w"], checkpoint.model["w"])
    assert torch.equal(found.random["cpu"], checkpoint.random["cpu"])
    assert found.optimizer["adamw.num_steps"].item() == 7


def test_random_numbers_go_on_where_they_were() -> None:
    state = random_state()
    first = torch.rand(5)
    set_random_state(state)
    assert torch.equal(torch.rand(5), first)


def test_the_last_two_are_kept_and_files_run_no_code(tmp_path: Path) -> None:
    for step in (5, 10, 15):
        save_checkpoint(made(step), tmp_path, step)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["step_000010", "step_000015"]
    suffixes = {each.suffix for each in tmp_path.rglob("*") if each.is_file()}
    assert suffixes == {".safetensors", ".json"}


def test_checkpoints_of_a_future_that_was_given_up_are_removed(tmp_path: Path) -> None:
    for step in (5, 10, 7):
        save_checkpoint(made(step), tmp_path, step)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["step_000005", "step_000007"]


def test_the_best_is_never_removed_however_old(tmp_path: Path) -> None:
    for step in (5, 10, 15, 20):
        save_checkpoint(made(step), tmp_path, step, keep=1, best_step=5)
    assert sorted(each.name for each in tmp_path.iterdir()) == ["step_000005", "step_000020"]
    save_checkpoint(made(25), tmp_path, 25, keep=1, best_step=25)
    assert [each.name for each in tmp_path.iterdir()] == ["step_000025"]


def test_steps_are_numbers_however_many_digits_they_have(tmp_path: Path) -> None:
    """As text step_999000 would come behind step_1000000."""
    for step in (998_000, 999_000, 1_000_000):
        save_checkpoint(made(step), tmp_path, step)
    assert {each.name for each in tmp_path.iterdir()} == {"step_999000", "step_1000000"}
    assert saved_number(tmp_path) == 1_000_000


def test_what_a_kill_left_half_written_goes_with_the_next_save(tmp_path: Path) -> None:
    (tmp_path / ".step_000137.partial").mkdir()
    copy = tmp_path / "step_000100_copy"  # of a person's: no step is named so
    copy.mkdir()
    save_checkpoint(made(1.0), tmp_path, 150)
    assert {each.name for each in tmp_path.iterdir()} == {"step_000150", copy.name}
    assert saved_number(tmp_path) == 1.0


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_as_many_are_kept_as_asked_for(tmp_path: Path, keep: int) -> None:
    for step in (5, 10, 15, 20):
        save_checkpoint(made(step), tmp_path, step, keep=keep)
    kept = sorted(int(each.name.removeprefix("step_")) for each in tmp_path.iterdir())
    assert kept == [5, 10, 15, 20][-keep:]


@pytest.mark.parametrize(
    "name", ["model.safetensors", "optimizer.safetensors", "random.safetensors", "state.json"]
)
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_a_damaged_checkpoint_is_passed_over_with_a_warning(
    tmp_path: Path, name: str, damage: str
) -> None:
    save_checkpoint(made(1.0), tmp_path, 5)
    file = save_checkpoint(made(2.0), tmp_path, 10) / name
    content = bytearray(file.read_bytes())
    if damage == "flip":
        content[-20] ^= 1
        file.write_bytes(content)
    elif damage == "cut":
        file.write_bytes(content[: len(content) // 2])
    else:
        file.unlink()
    with pytest.warns(
        UserWarning, match="step_000010 cannot be used.*the checkpoint before it is tried"
    ):
        assert saved_number(tmp_path) == 1.0


def test_only_the_checksum_sees_a_flipped_bit(tmp_path: Path) -> None:
    """The file format alone reads the damaged weights without a word."""
    file = save_checkpoint(made(2.0), tmp_path, 10) / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    damaged = safetensors.torch.load(bytes(content))
    assert {name: tensor.shape for name, tensor in damaged.items()} == {"w": (3, 2), "v": (1,)}
    assert damaged["w"][-1, -1] != 2.0
    file.write_bytes(content)
    with pytest.warns(UserWarning, match="model.safetensors is damaged"):
        assert saved_number(tmp_path) is None


def test_a_checkpoint_of_another_recipe_is_not_used(tmp_path: Path) -> None:
    save_checkpoint(made(1.0, "mine"), tmp_path, 5)
    save_checkpoint(made(2.0, "other"), tmp_path, 10)
    assert saved_number(tmp_path, "mine") == 1.0
    assert saved_number(tmp_path, "nobody") is None
    assert saved_number(tmp_path / "missing") is None


@pytest.mark.parametrize("full_after", [0, 1, 2, 3])
def test_a_full_disk_stops_cleanly_and_leaves_the_earlier_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, full_after: int
) -> None:
    save_checkpoint(made(1.0), tmp_path, 5)
    write, written = module.atomic_write, []

    def write_until_full(path: Path, content: bytes) -> None:
        if len(written) == full_after:
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        written.append(path)
        write(path, content)

    monkeypatch.setattr(module, "atomic_write", write_until_full)
    with pytest.raises(
        OSError, match="No space left.*step 10 is not saved, earlier ones are intact; free"
    ) as error:
        save_checkpoint(made(2.0), tmp_path, 10)
    assert error.value.errno == errno.ENOSPC
    assert [each.name for each in tmp_path.iterdir()] == ["step_000005"]
    assert saved_number(tmp_path) == 1.0


def test_a_half_written_folder_is_neither_read_nor_in_the_way(tmp_path: Path) -> None:
    partial = tmp_path / ".step_000010.partial"
    partial.mkdir()
    (partial / "model.safetensors").write_bytes(b"half")
    assert saved_number(tmp_path) is None
    save_checkpoint(made(2.0), tmp_path, 10)
    assert [each.name for each in tmp_path.iterdir()] == ["step_000010"]
    assert saved_number(tmp_path) == 2.0


@pytest.mark.parametrize("is_tied", [True, False])
@pytest.mark.parametrize("dtype", [None, torch.bfloat16])
def test_a_model_comes_back_with_its_tokenizer(
    tmp_path: Path, is_tied: bool, dtype: torch.dtype | None
) -> None:
    tokenizer = train_tokenizer(TEXTS, TokenizerConfig(vocab_size=VOCAB_SIZE))
    model = Transformer(tiny_model(tie_embeddings=is_tied, vocab_size=tokenizer.vocab_size))
    save_model(model, tokenizer, tmp_path / "model", dtype=dtype)
    loaded, loaded_tokenizer = load_model(tmp_path / "model")
    assert loaded.config == model.config and not loaded.training
    assert loaded_tokenizer.encode(TEXTS[3]) == tokenizer.encode(TEXTS[3])
    assert (loaded.lm_head.weight is loaded.model.embed_tokens.weight) == is_tied
    for (name, expected), found in zip(model.named_parameters(), loaded.parameters(), strict=True):
        assert found.dtype == torch.float32
        assert torch.equal(found, expected.to(dtype or torch.float32).float()), name


def test_weights_of_another_shape_are_named() -> None:
    model = Transformer(tiny_model())
    tensors = model_tensors(Transformer(tiny_model(ffn_width=32)))
    with pytest.raises(
        ValueError, match=r"down_proj.weight: the model expects \(16, 24\), the file has \(16, 32\)"
    ):
        load_model_tensors(model, tensors)
    whole = model_tensors(model)
    with pytest.raises(ValueError, match=r"zoo: the model expects nothing, the file has \(1,\)"):
        load_model_tensors(model, {**whole, "zoo": torch.zeros(1)})
    del whole["model.norm.weight"]
    with pytest.raises(ValueError, match=r"norm.weight: .* expects \(16,\), the file has nothing"):
        load_model_tensors(model, whole)


def test_a_missing_or_unreadable_model_is_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="model.safetensors is missing.*train one"):
        load_model(tmp_path / "nowhere")
    tokenizer = train_tokenizer(TEXTS, TokenizerConfig(vocab_size=VOCAB_SIZE))
    model = Transformer(tiny_model(vocab_size=tokenizer.vocab_size))
    for name, content in (
        ("model.safetensors", b"\x00\x01"),
        ("model.json", b"[]"),
        ("model.json", b"\xff{"),
    ):
        save_model(model, tokenizer, tmp_path)
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match="not a readable model.*copy it again"):
            load_model(tmp_path)
