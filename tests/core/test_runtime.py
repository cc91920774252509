"""The runtime says what is so, and faster products are allowed only where they are right enough."""

from collections.abc import Iterator

import pytest
import torch

from minillm.core import runtime
from minillm.core.runtime import allow_medium_precision, detect, product_error


@pytest.fixture(autouse=True)
def precision_as_before() -> Iterator[None]:
    before = torch.get_float32_matmul_precision()
    yield
    torch.set_float32_matmul_precision(before)


def test_the_device_is_one_that_is_there_and_one_process_is_rank_0_of_1() -> None:
    found = detect(seed=7)
    assert found.device == ("cuda" if torch.cuda.is_available() else "cpu")
    assert (found.rank, found.world_size, found.seed) == (0, 1, 7)
    torch.zeros(1, device=found.device, dtype=found.dtype)


@pytest.mark.parametrize("name", ["avx512_bf16", "amx_bf16", "bf16"])
def test_bfloat16_only_where_a_processor_has_instructions_for_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    for has, dtype in ((True, torch.bfloat16), (False, torch.float32)):
        capabilities = {"avx2": True, name: has}
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda found=capabilities: found)
        assert detect().dtype == dtype


@pytest.mark.parametrize(
    ("error", "precision"),
    [(0.0, "medium"), (1e-4, "medium"), (1.1e-4, "highest"), (float("nan"), "highest")],
)
def test_faster_products_are_allowed_up_to_an_error_of_1e_4(
    error: float, precision: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(runtime, "product_error", lambda device: error)
    allow_medium_precision("cpu")
    assert torch.get_float32_matmul_precision() == precision


def test_float32_products_are_as_exact_as_they_are_said_to_be() -> None:
    allow_medium_precision("cpu")
    assert product_error("cpu") <= runtime.MEDIUM_PRECISION_ERROR
    torch.set_float32_matmul_precision("highest")
    # a sum of 256 float32 products: 256 roundings of at most 2⁻²⁴ each
    assert product_error("cpu") <= 256 * 2**-24


def test_the_error_is_measured_on_the_device_that_is_asked_about() -> None:
    with pytest.raises((RuntimeError, NotImplementedError), match="meta"):
        product_error("meta")
