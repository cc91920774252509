"""What the kernels of fused attention take: dtypes, shapes, devices; ValueError with the remedy.

The interpreter has to compute something easy before it is trusted. It never gets bfloat16, of which
it gets products wrong and cuts digits off instead of rounding: that is computed in float32, and
rounded once, at the end, by PyTorch.
"""

import torch
import triton

from minillm.model.flash_selftest import check_interpreter

# With no GPU the kernels run in Triton's interpreter, on the CPU (see minillm/__init__.py).
INTERPRETED = triton.knobs.runtime.interpret
DTYPES = {torch.float32, torch.float16, torch.bfloat16}  # products of these are summed in float32
MAX_GRID = 65_535  # programs along the second and the third axis of a launch
MAX_HEAD_WIDTH = 256  # tiles of wider heads do not fit a GPU's registers and shared memory
NO_GPU = (
    "the kernels run on a GPU; move the tensors with .to('cuda'), choose attention 'torch', "
    "or start Python with TRITON_INTERPRET=1 (slow, for checking)"
)


# package only
def check_tensors(q_BHTK: torch.Tensor, k_BGSK: torch.Tensor, v_BGSK: torch.Tensor) -> None:
    """ValueError for tensors that the kernels cannot take: what was found, and the remedy."""
    inputs = {"q_BHTK": q_BHTK, "k_BGSK": k_BGSK, "v_BGSK": v_BGSK}
    found = ", ".join(f"{key} {tuple(x.shape)} {x.dtype} {x.device}" for key, x in inputs.items())
    if any(x.ndim != 4 or 0 in x.shape for x in inputs.values()):
        raise ValueError(f"{found}: each needs four dimensions, none of them empty; reshape them")
    (batch_size, num_heads, _, width), keys = q_BHTK.shape, k_BGSK.shape
    dtypes = {x.dtype for x in inputs.values()}
    for is_wrong, remedy in (
        (v_BGSK.shape != keys, "keys and values need the same shape"),
        (keys[0] != batch_size, "queries and keys need the same batch size"),
        (num_heads % keys[1], "H must be a multiple of G; change num_heads or num_kv_heads"),
        (keys[3] != width, "queries and keys need the same head width"),
        (width > MAX_HEAD_WIDTH, f"K can be {MAX_HEAD_WIDTH} at most; use more, narrower heads"),
        (len(dtypes) > 1, "all need the same dtype; cast them"),
        (max(batch_size, num_heads) > MAX_GRID, f"at most {MAX_GRID:,} rows and heads; cut them"),
        (not dtypes <= DTYPES, "cast them to float32, float16 or bfloat16"),
        (len({x.device for x in inputs.values()}) > 1, "move all to one device"),
        (not (q_BHTK.is_cuda or INTERPRETED), NO_GPU),
    ):
        if is_wrong:
            raise ValueError(f"{found}: {remedy}")


# package only
def check_mask(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    documents_BT: torch.Tensor | None,
    offset: int,
    window: int | None,
) -> None:
    """ValueError for a mask that does not fit the tensors, or leaves a query without a key."""
    (batch_size, _, num_queries, _), num_keys = q_BHTK.shape, k_BGSK.shape[2]
    found = f"{num_queries} queries, {num_keys} keys, offset {offset}"
    if offset < 0:
        remedy = "the keys before the first query cannot be fewer than 0; give more"
        raise ValueError(f"{found}: {remedy}")
    check_window(window)
    if window is not None and num_queries + offset - window >= num_keys:
        raise ValueError(
            f"{found}, window {window}: the last query sees no key; give more keys, a smaller "
            "offset or a wider window"
        )
    if documents_BT is None:
        return
    is_square = documents_BT.shape == (batch_size, num_queries) and num_queries == num_keys
    if not is_square or offset != 0:
        raise ValueError(
            f"{found}, documents_BT {tuple(documents_BT.shape)}: documents need shape (B, T), "
            "T keys and offset 0: no cache"
        )


# package only
def check_window(window: int | None) -> None:
    """ValueError for a window in which a query would not see itself."""
    if window is not None and window < 1:
        raise ValueError(f"window is {window}; give at least 1 (a query sees itself), or None")


def kernel_inputs(*qkv: torch.Tensor) -> tuple[list[torch.Tensor], torch.dtype]:
    """Queries, keys and values as the kernels take them, and the dtype that the output shall have.

    Under autocast they are cast, as for PyTorch's own attention."""
    if torch.is_autocast_enabled(qkv[0].device.type):
        qkv = [x.to(torch.get_autocast_dtype(qkv[0].device.type)) for x in qkv]
    check_tensors(*qkv)
    dtype = qkv[0].dtype
    if INTERPRETED:
        check_interpreter()
        if dtype == torch.bfloat16:  # the interpreter is wrong about these
            qkv = [x.float() for x in qkv]
    return list(qkv), dtype
