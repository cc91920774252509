"""Keys and values of several requests side by side, each at its own length: one slot a request.

In: a finished prefill, then one token a slot and step. Out: what attention reads. The one idea: the
tables are always as wide (`num_slots`) and as long (the context) as they can be, and a mask hides
what a request has not written. A matrix product may round a row differently when the number of rows
changes; at a fixed width a reply cannot depend on who else is being served. With experts it can, in
its last digits: how many rows an expert gets depends on all slots.
Left out: pages instead of whole rows (arXiv:2309.06180), prompts that share their beginning.
"""

import torch

from minillm.model.caches import KeyValueCache
from minillm.model.transformer import ModelConfig


class SlotCache:
    """A `Cache` whose rows have lengths of their own; a free slot has length 0."""

    def __init__(self, config: ModelConfig, num_slots: int) -> None:
        shape = (
            config.num_layers, num_slots, config.num_kv_heads,
            config.context_length, config.head_width,
        )  # fmt: skip
        self.k_LBGSK, self.v_LBGSK = torch.zeros(shape), torch.zeros(shape)
        self.num_tokens = torch.zeros(num_slots, dtype=torch.long)
        self.rows = torch.arange(num_slots)

    def extend(
        self, layer: int, k_BGTK: torch.Tensor, v_BGTK: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Write one token's keys and values at each row's own end; the layer's whole tables."""
        assert k_BGTK.shape[2] == 1, f"{k_BGTK.shape[2]} tokens at once: prompts are prefilled"
        self.k_LBGSK[layer][self.rows, :, self.num_tokens] = k_BGTK[:, :, 0]
        self.v_LBGSK[layer][self.rows, :, self.num_tokens] = v_BGTK[:, :, 0]
        return self.k_LBGSK[layer], self.v_LBGSK[layer]

    def fill(self, slot: int, prefilled: KeyValueCache) -> None:
        """Copy the keys and values of a prompt, computed alone, into a slot."""
        for layer, (k_1GSK, v_1GSK) in prefilled.layers.items():
            num_tokens = k_1GSK.shape[2]
            self.k_LBGSK[layer, slot, :, :num_tokens] = k_1GSK[0]
            self.v_LBGSK[layer, slot, :, :num_tokens] = v_1GSK[0]
        self.num_tokens[slot] = num_tokens

    def free(self, slot: int) -> None:
        """Forget a slot's request; what it wrote stays behind the mask until it is overwritten."""
        self.num_tokens[slot] = 0
