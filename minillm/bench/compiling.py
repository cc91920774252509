"""Compile the kernels' launches for a GPU that need not be here; a JSON line a kernel.

`python -m minillm.bench.compiling 80|90 [number of calls]`, with TRITON_INTERPRET=0. Triton asks
its driver which GPU there is: a stand-in answers, each launch becomes a compilation of exactly its
arguments, and the tensors stay on the CPU. Registers and spills are read from the machine code by
the wheel's own cuobjdump.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import torch
import triton
from triton.backends.compiler import GPUTarget
from triton.runtime.driver import driver
from triton.runtime.jit import JITFunction

from minillm.model import flash_attention as launches
from minillm.model import flash_decode, flash_inputs, fused_norm

CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"

# dtype, batch, query heads, key heads, queries, keys, head width, offset, window, documents?
CALLS = {
    80: [
        (torch.bfloat16, 2, 8, 2, 1024, 1024, 128, 0, None, True),
        (torch.float16, 2, 8, 2, 1024, 1024, 48, 0, 256, False),
    ],
    90: [
        (torch.bfloat16, 2, 8, 2, 1024, 1024, 64, 0, None, False),
        (torch.float16, 1, 8, 2, 1000, 1037, 96, 37, 200, False),
    ],
}
DECODED = (torch.bfloat16, 2, 8, 2, 1, 4096, 128)
NORMED = (torch.bfloat16, 4096, 2048)


# package only
class AbsentGpu:
    """What Triton asks a driver in order to compile."""

    def __init__(self, architecture: int) -> None:
        self.architecture = architecture

    def get_current_target(self) -> GPUTarget:
        return GPUTarget("cuda", self.architecture, 32)

    def get_current_device(self) -> int:
        return 0

    def get_current_stream(self, device: int) -> int:
        return 0


# package only
def resources(cubin: bytes) -> dict[str, int]:
    """Registers a thread and bytes spilled to its stack, from the machine code."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [CUOBJDUMP, "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"\b(REG|STACK):(\d+)", text))
    return {"registers": int(found["REG"]), "spilled_bytes": int(found["STACK"])}


# package only
def compile_instead_of_launching(architecture: int) -> None:
    """From here on, a launch compiles for this GPU and prints what came out."""
    driver.set_active(AbsentGpu(architecture))
    flash_inputs.check_tensors = lambda *inputs: None  # which would refuse tensors on the CPU
    fused_norm.check_inputs = lambda *inputs: None
    launch = JITFunction.run

    def compiled(self: JITFunction, *arguments: object, warmup: bool, **options: object) -> None:
        kernel = launch(self, *arguments, warmup=True, **options)
        ptx = kernel.asm["ptx"]
        line = {
            "kernel": self.__name__,
            "target": re.search(r"\.target (\w+)", ptx)[1],
            "matrix_unit": "wgmma" in ptx or "mma.sync" in ptx,
            "shared_bytes": kernel.metadata.shared,
        }
        print(json.dumps(line | resources(kernel.asm["cubin"])), flush=True)

    JITFunction.run = compiled


# package only
def attend(
    dtype: torch.dtype, B: int, H: int, G: int, T: int, S: int, K: int, offset: int,
    window: int | None, is_packed: bool,
) -> None:  # fmt: skip
    """The forward and the backward pass of one call."""
    q, k, v = (
        torch.zeros(B, length, heads, K, dtype=dtype).transpose(1, 2).requires_grad_()
        for length, heads in ((T, H), (S, G), (S, G))
    )
    documents_BT = torch.zeros(B, T, dtype=torch.int32) if is_packed else None
    said = {"documents_BT": documents_BT, "offset": offset, "window": window}
    out = launches.flash_attention(q, k, v, **said)
    out.backward(torch.zeros_like(out))


# package only
def decode_and_norm() -> None:
    """One query a row against a long cache, with a window; a norm, forward and backward."""
    dtype, B, H, G, T, S, K = DECODED
    q, k = torch.zeros(B, H, T, K, dtype=dtype), torch.zeros(B, G, S, K, dtype=dtype)
    flash_decode.decode_attention(q, k, k, offset=S - 1, window=1000)
    dtype, N, D = NORMED
    x, weight = torch.zeros(N, D, dtype=dtype, requires_grad=True), torch.ones(D, dtype=dtype)
    y = fused_norm.fused_rms_norm(x, weight, 1e-5)
    y.backward(torch.zeros_like(y))


# package only
def main(architecture: int, num_calls: int | None = None) -> None:
    """All calls and the two other pairs of kernels, or the first calls alone."""
    compile_instead_of_launching(architecture)
    for call in CALLS[architecture][:num_calls]:
        attend(*call)
    if num_calls is None:
        decode_and_norm()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
