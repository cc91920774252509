"""A language model from raw text to a monitored service, one room per stage.

core       knows nothing of language models: runs, records, pictures, visible proofs
corpus     text → documents          notebook 01     tokenizer  documents → tokens     notebook 02
batches    tokens → batches          notebook 03     model      tokens → logits → text 04, 05, 06
train      batches → checkpoint      notebook 07     scale      one process → many    notebook 08
align      checkpoint → assistant    09, 10          evaluate   any model → scores     notebook 11
compress   model → smaller model     notebook 12     export     → other people's engines
serve      model → replies → log     notebook 13     monitor    log → alarm           14, 15
recipes    a complete run, as a function             bench      ours against named peers
verbs      what each verb does                       __main__   the command line

A room imports only from rooms above it. Importing this package imports nothing heavy; it only asks
the driver whether there is a GPU, because Triton's interpreter must be chosen before Triton loads.
"""

import ctypes
import os

__version__ = "0.1.0"


# package only
def num_gpus() -> int:
    """The number of NVIDIA GPUs, asked of the driver itself: no need to import torch for it."""
    try:
        driver = ctypes.CDLL("libcuda.so.1")
    except OSError:
        return 0
    count = ctypes.c_int(0)
    if driver.cuInit(0) != 0 or driver.cuDeviceGetCount(ctypes.byref(count)) != 0:
        return 0
    return count.value


if num_gpus() == 0:
    os.environ.setdefault("TRITON_INTERPRET", "1")
