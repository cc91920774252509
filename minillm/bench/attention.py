"""Attention's forms timed side by side, forward and backward, and what each holds in memory.

On a GPU: our Triton kernels (the tiles timed first), PyTorch's flash and cuDNN kernels, and plain
code, in bfloat16, 16,384 tokens a call in rows of 512 to 16,384. Without a GPU nothing of ours can
be timed, for an interpreter says nothing about speed: then the forms that the CPU has are, and the
figures say so. Rounds are interleaved; operations are those of a causal mask, half of all pairs.
"""

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from functools import partial

import torch
import torch.nn.functional as F
from torch.nn.attention import SDPBackend, sdpa_kernel

from minillm.bench.measuring import median_seconds
from minillm.model.attention import reference_attention, torch_attention, triton_attention

TOKENS, MODEL_WIDTH = 16_384, 2048  # a call, on a GPU; heads of 64 or 128 of these columns
GPU_LENGTHS, HEAD_WIDTHS = (512, 1024, 2048, 4096, 8192, 16_384), (64, 128)
CPU_LENGTHS, CPU_HEADS = (256, 512, 1024, 2048, 4096), 4
REPEATS = 5
ROUND_S = 0.02  # a round runs a form as often as it takes to last that long, on a GPU
NO_GPU = "no GPU: the Triton kernels are not timed; the forms of the CPU, float32, threads: "
COMPARED = 4096  # tokens at which, and at twice as many, the forms' ratios are given
ARCHITECTURES = (80, 90)

Attend = Callable[..., torch.Tensor]
Figures = dict[str, object]


# package only
@dataclass(frozen=True, kw_only=True)
class Setting:
    """Where the forms are compared: the device, its dtype, the forms by name."""

    device: str
    dtype: torch.dtype
    forms: Mapping[str, Attend]

    @property
    def is_gpu(self) -> bool:
        return self.device == "cuda"


# package only
def of_backend(backend: SDPBackend, *qkv: torch.Tensor) -> torch.Tensor:
    """PyTorch's fused attention by one of its kernels, or an error where it has none."""
    with sdpa_kernel(backend):
        return F.scaled_dot_product_attention(*qkv, is_causal=True)


GPU = Setting(
    device="cuda",
    dtype=torch.bfloat16,
    forms={
        "ours": triton_attention,
        "flash": partial(of_backend, SDPBackend.FLASH_ATTENTION),
        "cudnn": partial(of_backend, SDPBackend.CUDNN_ATTENTION),
        "plain": reference_attention,
    },
)
CPU = Setting(
    device="cpu",
    dtype=torch.float32,
    forms={
        "fused": torch_attention,
        "math": partial(of_backend, SDPBackend.MATH),
        "plain": reference_attention,
    },
)


# package only
def timed(
    setting: Setting, actions: Mapping[str, Callable[[], object]], repeats: int
) -> dict[str, float]:
    """Milliseconds of each action, the median of interleaved rounds."""
    if not setting.is_gpu:
        return {name: 1e3 * s for name, s in median_seconds(actions, repeats).items()}

    def looped(action: Callable[[], object], times: int) -> None:
        for _ in range(times):
            action()
        torch.cuda.synchronize()

    once = {name: partial(looped, action, 1) for name, action in actions.items()}
    first = median_seconds(once, 3)  # the first of them compiles and chooses its tiles
    times = {name: max(1, round(ROUND_S / first[name])) for name in actions}
    rounds = {name: partial(looped, action, times[name]) for name, action in actions.items()}
    seconds = median_seconds(rounds, repeats)
    return {name: 1e3 * seconds[name] / times[name] for name in actions}


# package only
def bytes_held(setting: Setting, attend: Attend, leaves: Sequence[torch.Tensor]) -> int:
    """On a GPU the peak of a forward and a backward pass; else what is kept between the two."""
    if setting.is_gpu:
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        attend(*leaves).sum().backward()
        held = torch.cuda.max_memory_allocated() - before
        for leaf in leaves:
            leaf.grad = None
        return held
    kept: dict[int, int] = {}

    def keep(x: torch.Tensor) -> torch.Tensor:
        kept[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
        attend(*leaves)
    return sum(kept.values())


# package only
def supported(setting: Setting, leaves: Sequence[torch.Tensor]) -> dict[str, Attend]:
    """The forms that run here, on these tensors, backward too: memory may not be enough for all."""
    found = {}
    for name, attend in setting.forms.items():
        try:
            attend(*leaves).sum().backward()
        except (RuntimeError, torch.OutOfMemoryError) as error:
            print(f"{name} is left out: {str(error).splitlines()[0]}")
        else:
            found[name] = attend
        for leaf in leaves:
            leaf.grad = None
    return found


# package only
def row(setting: Setting, sizes: tuple[int, int, int, int], repeats: int) -> Figures:
    """One length: milliseconds, operations a second and bytes of every form."""
    batch, heads, length, width = sizes
    generator = torch.Generator(setting.device).manual_seed(length)
    normal = partial(torch.randn, sizes, generator=generator, device=setting.device)
    leaves = [normal().to(setting.dtype).requires_grad_() for _ in "qkv"]
    grad, forms = normal().to(setting.dtype), supported(setting, leaves)
    outs = {name: attend(*leaves) for name, attend in forms.items()}
    passes = {
        "forward": {name: partial(attend, *leaves) for name, attend in forms.items()},
        "backward": {
            name: partial(torch.autograd.grad, out, leaves, grad, retain_graph=True)
            for name, out in outs.items()
        },
    }
    figures: Figures = {"batch": batch, "heads": heads, "tokens": length, "head_width": width}
    for name, operations in (("forward", 2), ("backward", 5)):
        with torch.no_grad() if name == "forward" else nullcontext():
            ms = timed(setting, passes[name], repeats)
        figures[f"{name}_ms"] = ms
        operations *= batch * heads * length**2 * width
        rates = {form: operations / each / 1e9 for form, each in ms.items()}
        figures[f"{name}_tflop_per_s"] = rates
    del outs, passes
    figures["held_bytes"] = {
        name: bytes_held(setting, attend, leaves) for name, attend in forms.items()
    }
    return figures


# package only
def ratios(rows: Mapping[str, Figures], ours: str, others: Sequence[str], length: int) -> Figures:
    """How many times as fast ours is as each other form, at this length."""
    found: Figures = {}
    for figures in rows.values():
        if figures["tokens"] != length:
            continue
        for name in ("forward", "backward"):
            ms = figures[f"{name}_ms"]
            for other in others:
                if ours in ms and other in ms:
                    key = f"{name}_times_{other}_at_{length}_width_{figures['head_width']}"
                    found[key] = ms[other] / ms[ours]
    return found


# package only
def held_growth(rows: Mapping[str, Figures], name: str) -> float | None:
    """Bytes held at the longest length for each held at the shortest, by token: linear is 1. Of the
    head width where that is most; None where the longest length did not run."""
    growths = []
    for width in {figures["head_width"] for figures in rows.values()}:
        of_width = [figures for figures in rows.values() if figures["head_width"] == width]
        ends = [find(of_width, key=lambda figures: figures["tokens"]) for find in (min, max)]
        if not all(name in figures["held_bytes"] for figures in ends):
            return None
        first, last = (
            figures["held_bytes"][name] / (figures["batch"] * figures["tokens"]) for figures in ends
        )
        growths.append(last / first)
    return max(growths, default=None)


# package only
def compiled() -> list[Figures]:
    """Registers, spills and shared memory of every kernel, from machine code for absent GPUs."""
    if importlib.util.find_spec("triton") is None:
        return []
    lines = []
    for architecture in ARCHITECTURES:
        command = [sys.executable, "-m", "minillm.bench.compiling", str(architecture)]
        environment = os.environ | {"TRITON_INTERPRET": "0"}
        done = subprocess.run(command, capture_output=True, text=True, env=environment)
        if done.returncode:
            last = done.stderr.strip().splitlines()[-1:] or ["it said nothing"]
            raise RuntimeError(f"compiling for sm_{architecture} has ended: {last[0]}")
        lines += done.stdout.splitlines()
    return [json.loads(line) for line in lines]


# package only
def compare(
    setting: Setting, shapes: Sequence[tuple[int, int, int, int]], repeats: int
) -> dict[str, Figures]:
    """A row of figures for each shape: batch, heads, tokens, head width."""
    rows = {}
    for sizes in shapes:
        rows[f"tokens_{sizes[2]}_width_{sizes[3]}"] = row(setting, sizes, repeats)
    return rows


# package only
def measure() -> Figures:
    """`minillm bench attention`: on the GPU if there is one."""
    if torch.cuda.is_available():
        setting, device, ours = GPU, torch.cuda.get_device_name(), "ours"
        shapes = [(TOKENS // n, MODEL_WIDTH // k, n, k) for k in HEAD_WIDTHS for n in GPU_LENGTHS]
    else:
        setting, device, ours = CPU, f"{NO_GPU}{torch.get_num_threads()}", "fused"
        shapes = [(1, CPU_HEADS, length, 64) for length in CPU_LENGTHS]
    print(device)
    machine_code = compiled()  # first: what goes wrong there is not to lose what was timed
    rows = compare(setting, shapes, REPEATS)
    others = [name for name in setting.forms if name != ours]
    figures: Figures = {"device": device, **rows}
    for length in (COMPARED, 2 * COMPARED):
        figures |= ratios(rows, ours, others, length)
    for name in setting.forms:
        figures[f"{name}_held_bytes_a_token_grow_times"] = held_growth(rows, name)
    if setting.is_gpu:
        from minillm.model.flash_tiles import FASTEST

        figures["tiles"] = {" ".join(map(str, kind)): list(each) for kind, each in FASTEST.items()}
    return figures | {"compiled": machine_code}
