"""What torch.compile makes of a step is what the step says: or plain steps are taken."""

import dataclasses
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import pytest
import torch

from minillm.batches.stream import Batch
from minillm.model.transformer import Transformer
from minillm.recipes import laptop
from minillm.train import precision
from minillm.train.precision import (
    OLDER_PROCESSOR,
    autocast,
    compiled,
    trusted_options,
)
from minillm.train.trainer import next_token_loss, pretrain
from tests.train.tiny import losses, rests, tiny_config, tiny_run

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture(autouse=True)
def nothing_remembered() -> Iterator[None]:
    """What is trusted is found out once a process: no test may hand its answer to another."""
    trusted_options.cache_clear()
    yield
    trusted_options.cache_clear()


def faulty(options_of_faulty_code: list[dict]) -> Callable:
    """A torch.compile whose code forgets to double wherever it gets one of these options."""

    def compile(function: Callable, options: dict) -> Callable:
        if options not in options_of_faulty_code:
            return function
        return lambda *tensors: function(*tensors) / 2

    return compile


@pytest.mark.parametrize(
    ("wrong", "registers", "options"),
    [
        ([], "AVX512", {}),
        ([{}], "AVX512", OLDER_PROCESSOR),
        ([{}, OLDER_PROCESSOR], "AVX512", None),
        ([{}], "AVX2", None),
    ],
)
def test_code_that_computes_something_else_is_not_trusted(
    wrong: list[dict], registers: str, options: dict | None, tmp_path: Path, uninterrupted: tuple,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(precision, "missing_for_compile", lambda device: None)
    monkeypatch.setattr(torch, "compile", faulty(wrong))
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: registers)
    assert trusted_options() == options
    if options is None:
        run = tiny_run(tmp_path / "run")
        with pytest.warns(UserWarning, match="not used: the C.. compiler's code computes wrong"):
            pretrain(tiny_config(run, compile=True), run, evaluate=rests)
        assert losses(run) == uninterrupted[0]


def test_this_machines_compiler_is_trusted_with_some_options(compiler_in: Path) -> None:
    """g++ 12.2 at -O3 mixes columns up for processors with AMX; for older ones it does not."""
    assert trusted_options() in ({}, OLDER_PROCESSOR)


@pytest.mark.parametrize("z_weight", [0.0, 0.3])
def test_compiled_gradients_in_bfloat16_are_the_plain_ones(
    z_weight: float, compiler_in: Path
) -> None:
    """One layer of the laptop recipe's shape: rounding moves a matrix's gradient by 1 %."""
    torch.manual_seed(0)
    model = Transformer(dataclasses.replace(laptop().model, vocab_size=512, num_layers=1))
    tokens = torch.randint(512, (4, 257), generator=torch.Generator().manual_seed(0))
    batch = Batch(tokens[:, :-1], tokens[:, 1:], torch.zeros(4, 256, dtype=torch.long))
    found = []
    plain_loss = partial(next_token_loss, z_weight=z_weight)
    fused_loss = compiled(plain_loss, device="cpu", cache_folder=compiler_in)
    for loss in (plain_loss, fused_loss):
        with autocast("cpu", "bfloat16"):
            nats = loss(model, batch)
        found.append(torch.autograd.grad(nats, list(model.parameters())))
    for (name, _), plain, fused in zip(model.named_parameters(), *found, strict=True):
        assert (fused - plain).norm() < 0.03 * plain.norm(), name
