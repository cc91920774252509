"""The rows of `bench/RESULTS.md` about a training step: who is compared, in which words.

In: sizes of the recorded bench. Out: for each figure its words, its place in the JSON and how it is
written. An older recording has fewer peers, and says in its words what they lacked.
"""

from collections.abc import Iterable

Keys = tuple[str, ...]
Figure = tuple[str, str, str, str]
OURS: tuple[Figure, ...] = (
    ("share of the machine's matrix product (MFU)", "mfu", "ours", ".0%"),
    ("parameters, ours", "parameters", "ours", ",.0f"),
    ("parameters, nanoGPT at the same depth and width", "parameters", "nanoGPT", ",.0f"),
    ("seconds of the first step, ours (compiled)", "first_step_s", "ours", ".0f"),
    ("seconds of the first step, nanoGPT (compiled)", "first_step_s", "nanoGPT, compiled", ".0f"),
    ("seconds of the first step, transformers' Llama (compiled)", "first_step_s",
     "transformers, compiled", ".0f"),
)  # fmt: skip
IN_FLOAT32: tuple[Figure, ...] = (
    ("tokens/s, ours (compiled)", "tokens_per_s", "ours", ",.0f"),
    ("times nanoGPT as its README runs it on a CPU (float32)", "ours_over", "nanoGPT", ".2f"),
    ("ours in bfloat16 without a compiler: times nanoGPT in float32 without one",
     "ours_eager_over", "nanoGPT", ".2f"),
)  # fmt: skip
TRAINED: tuple[Figure, ...] = (
    *IN_FLOAT32,
    ("times nanoGPT at its best (bfloat16; the faster of compiled and not)", "ours_over",
     "nanoGPT at its best", ".2f"),
    ("times transformers' Llama, bfloat16, not compiled", "ours_over", "transformers", ".2f"),
    ("times transformers' Llama at its best (the faster of compiled and not)", "ours_over",
     "transformers at its best", ".2f"),
    ("both bfloat16, neither compiled: times nanoGPT", "ours_eager_over", "nanoGPT, eager", ".2f"),
    ("both bfloat16, neither compiled: times transformers' Llama", "ours_eager_over",
     "transformers", ".2f"),
    *OURS,
)  # fmt: skip
OLDER: tuple[Figure, ...] = (
    *IN_FLOAT32,
    ("times nanoGPT, bfloat16, compiled, PyTorch's own allocator settings", "ours_over",
     "nanoGPT, compiled", ".2f"),
    ("times transformers' Llama, bfloat16, not compiled, AdamW not fused", "ours_over",
     "transformers", ".2f"),
    ("both bfloat16, neither compiled: times transformers' Llama, AdamW not fused",
     "ours_eager_over", "transformers", ".2f"),
    *OURS,
)  # fmt: skip


def step_rows(
    sizes: Iterable[str], figures: Iterable[Figure]
) -> tuple[tuple[str, Keys, str], ...]:
    """The figures of a step, size by size."""
    of_size = (
        ("seconds of training after which compiling is repaid", "compiling_repaid_after_s", ".0f"),
        ("the matrix product that MFU is a share of, TFLOP/s", "peak_tflop_per_s", ".2f"),
    )
    rows: list[tuple[str, Keys, str]] = []
    for size in sizes:
        rows += [(f"{size}: {words}", (size, kind, name), form)
                 for words, kind, name, form in figures]
        rows += [(f"{size}: {words}", (size, name), form) for words, name, form in of_size]
    return tuple(rows)
