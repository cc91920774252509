"""A folder that looks like a checkout of nanoGPT: its names and calls, a model of two tables."""

from pathlib import Path

MODEL = '''
from dataclasses import dataclass

import torch.nn.functional as F
from torch import nn
from torch.optim import AdamW


@dataclass
class GPTConfig:
    block_size: int
    vocab_size: int
    n_layer: int
    n_head: int
    n_embd: int
    dropout: float
    bias: bool


class GPT(nn.Module):
    def __init__(self, config):
        super().__init__()
        print("number of parameters: few")  # as the true one does, on standard output
        self.table = nn.Embedding(config.vocab_size, config.n_embd)
        self.head = nn.Linear(config.n_embd, config.vocab_size)

    def configure_optimizers(self, weight_decay, learning_rate, betas, device_type):
        return AdamW(self.parameters(), lr=learning_rate, betas=betas, weight_decay=weight_decay)

    def forward(self, ids, targets=None):
        logits = self.head(self.table(ids))
        # a view, as the true one has it: targets must lie in one row
        return logits, F.cross_entropy(logits.flatten(0, 1), targets.view(-1))
'''


def write_checkout(folder: Path) -> Path:
    """The folder, with the model in it."""
    folder.mkdir(exist_ok=True)
    (folder / "model.py").write_text(MODEL, encoding="utf-8")
    return folder
