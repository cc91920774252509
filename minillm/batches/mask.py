"""Which places of a packed row may look at which, and where each stands in its own document.

In: for each place the ordinal of its piece, as a batch has it. Out: the block-diagonal causal mask,
and positions that begin at 0 in every piece. The one idea: two places belong together if their
ordinals are equal, so a row of many documents computes what each would compute alone. Models with
rotary positions (Su et al. 2021, arXiv 2104.09864) see distances only, and need the mask but not
the positions; models with learnt absolute positions need both.
"""

import torch


def block_diagonal_mask(documents_BT: torch.Tensor) -> torch.Tensor:
    """True at `[b, t, s]` where place t may look at place s: s ≤ t, and the same piece."""
    same_BTS = documents_BT[:, :, None] == documents_BT[:, None, :]
    return same_BTS.tril()


def restarted_positions(documents_BT: torch.Tensor) -> torch.Tensor:
    """The place of each token in its piece: ordinals 0 0 0 1 1 2 give 0 1 2 0 1 0."""
    places_T = torch.arange(documents_BT.shape[1], device=documents_BT.device)
    begins_BT = torch.ones_like(documents_BT, dtype=torch.bool)
    begins_BT[:, 1:] = documents_BT.diff(dim=1) != 0
    return places_T - torch.where(begins_BT, places_T, 0).cummax(dim=1).values
