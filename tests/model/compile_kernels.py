"""Compile the launches of `flash_attention` for a GPU that need not be here; a JSON line a kernel.

`python compile_kernels.py 80|90 [number of calls]`, without TRITON_INTERPRET. Triton asks its
driver which GPU there is: a stand-in answers, each launch becomes a compilation of exactly its
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

CUOBJDUMP = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "cuobjdump"

# dtype, batch, query heads, key heads, queries, keys, head width, offset, documents?
CALLS = {
    80: [
        (torch.bfloat16, 2, 8, 2, 1024, 1024, 128, 0, True),
        (torch.float32, 2, 8, 2, 1024, 1024, 32, 0, False),
    ],
    90: [
        (torch.bfloat16, 2, 8, 2, 1024, 1024, 64, 0, False),
        (torch.float16, 1, 1, 1, 1, 37, 20, 36, False),
    ],
}


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


def resources(cubin: bytes) -> dict[str, int]:
    """Registers a thread and bytes spilled to its stack, from the machine code."""
    with tempfile.NamedTemporaryFile(suffix=".cubin") as file:
        file.write(cubin)
        file.flush()
        command = [CUOBJDUMP, "--dump-resource-usage", file.name]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = dict(re.findall(r"\b(REG|STACK):(\d+)", text))
    return {"registers": int(found["REG"]), "spilled_bytes": int(found["STACK"])}


def compile_instead_of_launching(architecture: int) -> None:
    """From here on, a launch compiles for this GPU and prints what came out."""
    driver.set_active(AbsentGpu(architecture))
    launches.check_inputs = lambda *inputs: None  # which would refuse tensors on the CPU
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


def main(architecture: int, num_calls: int | None = None) -> None:
    """The forward and the backward pass of the first calls, or of all."""
    compile_instead_of_launching(architecture)
    for dtype, B, H, G, T, S, K, offset, is_packed in CALLS[architecture][:num_calls]:
        q, k, v = (
            torch.zeros(B, length, heads, K, dtype=dtype).transpose(1, 2).requires_grad_()
            for length, heads in ((T, H), (S, G), (S, G))
        )
        documents_BT = torch.zeros(B, T, dtype=torch.int32) if is_packed else None
        out = launches.flash_attention(q, k, v, documents_BT=documents_BT, offset=offset)
        out.backward(torch.zeros_like(out))


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
