"""How large a tile is, and how many warps work on it: from a table, or by the clock on a GPU.

Larger tiles are read less often, too large ones overflow the registers. The table was chosen by
what the compiler says: nothing is spilled for sm_80 and sm_90, but for the keys' gradients under a
window (up to 24 bytes), and shared memory is enough on the smaller GPUs too. On a GPU long calls
are timed, once for each kind of call, and the fastest stays; another process may find another one
faster, and then adds up in another order. Not run on a GPU: that the timing is right is tested with
made-up times.
"""

from collections.abc import Callable, Sequence
from typing import NamedTuple

import torch
import triton
from triton.runtime.errors import OutOfResources, PTXASError

from minillm.model.flash_inputs import INTERPRETED
from minillm.model.flash_kernels import Mask

# Shorter calls take the table's tiles: timing costs seconds, and would cost them for every length.
MIN_TIMED_QUERIES = 1024


class Tiles(NamedTuple):
    """Queries and keys in a tile; warps (32 threads each) in a program; loads under way at once."""

    queries: int
    keys: int
    warps: int
    stages: int

    def arguments(self) -> dict[str, int]:
        """What a launch is told."""
        sizes = {"TILE_T": self.queries, "TILE_S": self.keys}
        return sizes | {"num_warps": self.warps, "num_stages": self.stages}


# For heads of at most so many columns.
TABLE = {
    "output": {64: Tiles(128, 64, 8, 3), 128: Tiles(128, 64, 8, 3), 256: Tiles(64, 32, 8, 2)},
    "grad query": {64: Tiles(128, 64, 8, 2), 128: Tiles(64, 64, 4, 2), 256: Tiles(32, 32, 8, 2)},
    "grad key": {64: Tiles(32, 128, 8, 2), 128: Tiles(32, 64, 8, 2), 256: Tiles(32, 32, 8, 2)},
}
# What else is timed on a GPU: spills little there, needs more shared memory, or is less busy.
CANDIDATES = {
    "output": [Tiles(64, 64, 4, 3), Tiles(128, 64, 4, 3), Tiles(128, 128, 8, 2)],
    "grad query": [Tiles(64, 64, 4, 2), Tiles(128, 64, 8, 2), Tiles(64, 32, 4, 3)],
    "grad key": [Tiles(64, 64, 8, 2), Tiles(64, 128, 8, 2), Tiles(32, 64, 4, 2)],
}
FASTEST: dict[tuple[object, ...], Tiles] = {}  # what was timed in this process
Launch = Callable[[Tiles], object]


def table_tiles(kernel: str, head_width: int, dtype: torch.dtype) -> Tiles:
    """For calls that nobody has timed. The kernel is "output", "grad query" or "grad key"."""
    if INTERPRETED:  # it has no registers to spill, and takes as long for a large tile
        return Tiles(64, 64, 4, 2)
    tiles = next(tiles for width, tiles in TABLE[kernel].items() if head_width <= width)
    if dtype == torch.float32:  # a product of these needs twice the registers, without matrix units
        edge = 32 if head_width <= 128 else 16
        tiles = Tiles(edge, edge, 4 if head_width <= 64 else 8, 2)
    return tiles


def fastest(launch: Launch, candidates: Sequence[Tiles], time_ms: Callable[..., float]) -> Tiles:
    """The candidate with the shortest time; one that does not fit this GPU is none."""
    times_ms = {}
    for tiles in candidates:
        try:
            times_ms[tiles] = time_ms(lambda tiles=tiles: launch(tiles))
        except (OutOfResources, PTXASError):
            continue
    if not times_ms:
        raise ValueError(f"none of {list(candidates)} fits this GPU; choose attention 'torch'")
    return min(times_ms, key=times_ms.__getitem__)


def tiles_for(kernel: str, launch: Launch, q_BHTK: torch.Tensor, mask: Mask) -> Tiles:
    """The table's tiles; on a GPU, for long calls, the fastest, timed once a kind of call."""
    width, dtype = q_BHTK.shape[3], q_BHTK.dtype
    table = table_tiles(kernel, width, dtype)
    is_long = q_BHTK.shape[2] >= MIN_TIMED_QUERIES and dtype != torch.float32
    if INTERPRETED or not q_BHTK.is_cuda or not is_long:
        return table
    if torch.cuda.is_current_stream_capturing():  # a graph records launches: nothing can be timed
        return table
    kind = kernel, width, dtype, mask.window is None, mask.documents_BT is None
    if kind not in FASTEST:
        FASTEST[kind] = fastest(launch, [table, *CANDIDATES[kernel]], triton.testing.do_bench)
    return FASTEST[kind]
