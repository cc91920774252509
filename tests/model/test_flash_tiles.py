"""Which tiles are launched: the table's, or on a GPU the fastest, timed once a kind of call."""

import pytest
import torch

pytest.importorskip("triton", reason="triton has wheels for Linux alone")

from triton.runtime.errors import OutOfResources  # noqa: E402  needs triton

from minillm.model import flash_tiles  # noqa: E402  needs triton
from minillm.model.flash_attention import mask_of  # noqa: E402  needs triton
from minillm.model.flash_tiles import (  # noqa: E402  needs triton
    CANDIDATES,
    TABLE,
    Tiles,
    fastest,
    table_tiles,
)

SMALL, MIDDLE, LARGE = Tiles(16, 16, 4, 2), Tiles(64, 64, 4, 2), Tiles(256, 256, 8, 3)
TIMES_MS = {SMALL: 3.0, MIDDLE: 1.0}


class OnGpu:
    """What is asked of the queries: where they are, how many, how wide."""

    is_cuda = True

    def __init__(self, num_queries: int, width: int, dtype: torch.dtype = torch.bfloat16) -> None:
        self.shape, self.dtype = (1, 1, num_queries, width), dtype


def launched(tiles: Tiles) -> Tiles:
    """A launch that fails where a GPU's would."""
    if tiles == LARGE:
        raise OutOfResources(300_000, 232_448, "shared memory")
    return tiles


@pytest.mark.parametrize("candidates", [[SMALL, MIDDLE], [MIDDLE, LARGE, SMALL]])
def test_the_fastest_that_fits_is_kept(candidates: list[Tiles]):
    assert fastest(launched, candidates, lambda launch: TIMES_MS[launch()]) == MIDDLE


def test_where_nothing_fits_the_remedy_is_named():
    with pytest.raises(ValueError, match="none of .* fits this GPU; choose attention 'torch'"):
        fastest(launched, [LARGE], lambda launch: TIMES_MS[launch()])


def test_a_mistake_in_a_launch_is_not_taken_for_a_tile_that_does_not_fit():
    def broken(tiles: Tiles) -> None:
        raise TypeError("no such argument")

    with pytest.raises(TypeError):
        fastest(broken, [SMALL], lambda launch: launch())


def test_on_a_gpu_a_kind_of_call_is_timed_once(monkeypatch: pytest.MonkeyPatch):
    timed = []

    def time_ms(launch) -> float:
        timed.append(launch())
        return -float(len(timed))

    monkeypatch.setattr(flash_tiles, "INTERPRETED", False)
    monkeypatch.setattr(flash_tiles, "FASTEST", {})
    monkeypatch.setattr("triton.testing.do_bench", time_ms)
    monkeypatch.setattr("torch.cuda.is_current_stream_capturing", lambda: False)
    plain, windowed = mask_of(None, 0, None), mask_of(None, 0, 512)
    table = table_tiles("output", 128, torch.bfloat16)
    for mask, num_queries in ((plain, 4096), (plain, 2048), (windowed, 4096)):
        chosen = flash_tiles.tiles_for("output", launched, OnGpu(num_queries, 128), mask)
        assert chosen == CANDIDATES["output"][-1] != table, "the last is the fastest here"
    assert timed == [table, *CANDIDATES["output"]] * 2
    for queries in (OnGpu(512, 128), OnGpu(4096, 128, torch.float32)):
        flash_tiles.tiles_for("output", launched, queries, plain)
    assert len(timed) == 2 * (1 + len(CANDIDATES["output"])), "short or float32: by the table"


@pytest.mark.parametrize("kernel", TABLE)
def test_the_table_has_tiles_for_every_width_and_dtype(
    kernel: str, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(flash_tiles, "INTERPRETED", False)
    for width in (1, 48, 64, 65, 128, 129, 256):
        for dtype in (torch.float16, torch.bfloat16, torch.float32):
            tiles = table_tiles(kernel, width, dtype)
            assert min(tiles.queries, tiles.keys) >= 16, "a matrix product asks for 16"
    assert table_tiles(kernel, 96, torch.float32) == Tiles(32, 32, 8, 2)
