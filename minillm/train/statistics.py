"""What a step looks like from inside, every so many steps: where it is large, what stands still.

In: the model between its gradients and its move, and after it. Out: a line for the log: gradient
norm by kind of parameter, ‖Δθ‖/‖θ‖ by layer, dead units, attention's entropy, the experts' shares,
speed, the share of the machine's multiplications that are used (MFU: Chowdhery et al.,
arXiv:2204.02311, B), memory, the time left, and energy by an assumption. Nothing is measured on the
steps between, whose operations alone are counted. Compiled steps have no inside: what is found in
layers is left out. Left out too: single weights, and the units of experts.
"""

import math
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import wraps

import torch
from torch import nn

from minillm.model.attention import attention_mask
from minillm.model.counting import training_flops
from minillm.model.experts import Experts, expert_shares
from minillm.model.feed_forward import FeedForward
from minillm.model.positions import alibi_bias
from minillm.model.transformer import Transformer
from minillm.train.loop import BatchType, LossFunction, StepFigures
from minillm.train.machine import assumed_watts, memory_figures, peak_flops
from minillm.train.ranks import Sums
from minillm.train.schedule import TrainingConfig, TrainState, seconds_left
from minillm.train.watch import Log

# a unit that never reaches this share of its layer's root mean square is dead to the layer
DEAD_SHARE = 0.01
# enough for a mean over a batch's documents; the weights of more rows would take much memory
ENTROPY_ROWS = 8
KINDS = (
    ("embed_tokens", "embedding"), ("lm_head", "head"), ("norm", "norms"),
    ("self_attn", "attention"), ("mlp", "feed-forward"),
)  # fmt: skip


def kind_of(name: str) -> str:
    """The part of the model that a parameter belongs to, over all layers."""
    return next((kind for part, kind in KINDS if part in name), "other")


def layer_of(name: str) -> str:
    """The layer that a parameter belongs to; outside the layers, its kind."""
    found = re.search(r"\.layers\.(\d+)\.", name)
    return f"layer {found[1]}" if found else kind_of(name)


def joined_norms(norms: dict[str, float], key: Callable[[str], str]) -> dict[str, float]:
    """One length over all that have the same key: the root of the sum of squares."""
    squares: dict[str, float] = {}
    for name, norm in norms.items():
        squares[key(name)] = squares.get(key(name), 0.0) + norm**2
    return {name: math.sqrt(square) for name, square in squares.items()}


def norms_of(tensors: dict[str, torch.Tensor]) -> dict[str, float]:
    """Each tensor's length; one look at the device for all."""
    lengths = torch.stack(torch._foreach_norm(list(tensors.values()))).tolist()
    return dict(zip(tensors, lengths, strict=True))


def gradient_norms(model: nn.Module, before_clipping: float) -> dict[str, float]:
    """‖g‖ by kind of parameter, as long as before clipping: all were cut by one factor."""
    gradients = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    by_kind = joined_norms(norms_of(gradients), kind_of)
    total = math.sqrt(sum(norm**2 for norm in by_kind.values()))
    return {kind: norm * before_clipping / total for kind, norm in by_kind.items() if total > 0}


def update_ratios(before: dict[str, torch.Tensor], model: nn.Module) -> dict[str, float]:
    """‖Δθ‖/‖θ‖ by layer: how much of itself each has moved in this step."""
    after = {name: each.detach() for name, each in model.named_parameters() if name in before}
    moves = torch._foreach_sub(list(after.values()), list(before.values()))
    moved = joined_norms(norms_of(dict(zip(before, moves, strict=True))), layer_of)
    sizes = joined_norms(norms_of(before), layer_of)
    return {name: moved[name] / size for name, size in sizes.items() if size > 0}


def attention_entropy(
    q_BHTK: torch.Tensor,
    k_BGSK: torch.Tensor,
    *,
    documents_BT: torch.Tensor | None = None,
    slopes_H: torch.Tensor | None = None,
    window: int | None = None,
) -> torch.Tensor:
    """Mean of −Σ p·ln p over queries and heads, in nats: 0 looks at one place, ln t at t alike."""
    k_BHSK = k_BGSK.repeat_interleave(q_BHTK.shape[1] // k_BGSK.shape[1], dim=1)
    scores_BHTS = q_BHTK.float() @ k_BHSK.float().mT / math.sqrt(q_BHTK.shape[-1])
    num_queries, num_keys = scores_BHTS.shape[-2:]
    if slopes_H is not None:
        scores_BHTS = scores_BHTS + alibi_bias(slopes_H, num_queries, num_keys, 0)
    mask = attention_mask(num_queries, num_keys, 0, documents_BT, scores_BHTS.device, window)
    logs_BHTS = scores_BHTS.masked_fill(~mask, -math.inf).log_softmax(dim=-1)
    return -(logs_BHTS.exp() * logs_BHTS.masked_fill(~mask, 0.0)).sum(dim=-1).mean()


def dead_share(largest_F: torch.Tensor, mean_square: torch.Tensor) -> float:
    """Of units whose largest sizes over a batch these are, the share that is next to nothing."""
    return (largest_F < DEAD_SHARE * mean_square.sqrt()).float().mean().item()


# package only
class Probe:
    """Looks into the layers while a forward pass runs inside `looking()`; keeps little of it."""

    def __init__(self, model: nn.Module) -> None:
        self.layers = list(model.model.layers) if isinstance(model, Transformer) else []
        self.forget()

    def forget(self) -> None:
        """Begin anew, for another step."""
        self.largest: dict[int, torch.Tensor] = {}
        self.squares: dict[int, list[torch.Tensor]] = {}
        self.entropies: dict[int, torch.Tensor] = {}
        self.chosen: dict[int, list[torch.Tensor]] = {}

    @torch.no_grad()
    def note_units(self, index: int, hidden_BTF: torch.Tensor) -> None:
        """The largest size of each unit so far, silu(gate)·up, and the layer's mean square."""
        sizes_F = hidden_BTF.detach().abs().amax(dim=tuple(range(hidden_BTF.ndim - 1))).float()
        earlier_F = self.largest.get(index, sizes_F)
        self.largest[index] = torch.maximum(earlier_F, sizes_F)
        self.squares.setdefault(index, []).append(hidden_BTF.detach().float().square().mean())

    def note_choice(self, index: int, experts: Experts) -> None:
        """Whom the router chose for the tokens of this pass, padding too."""
        self.chosen.setdefault(index, []).append(experts.chosen_NA)

    @contextmanager
    def looking(self) -> Iterator[None]:
        """Inside, every layer is looked into; afterwards nothing is left attached."""
        handles = []
        for index, layer in enumerate(self.layers):
            if isinstance(layer.mlp, FeedForward):  # an expert may have no row to tell it by
                handles.append(layer.mlp.down_proj.register_forward_pre_hook(
                    lambda _module, given, index=index: self.note_units(index, given[0])
                ))  # fmt: skip
            else:
                handles.append(layer.mlp.register_forward_hook(
                    lambda experts, *_given, index=index: self.note_choice(index, experts)
                ))  # fmt: skip
            layer.self_attn.attend = self.overhears(index, layer.self_attn.attend)
        try:
            yield
        finally:
            for handle in handles:
                handle.remove()
            for layer in self.layers:
                layer.self_attn.attend = layer.self_attn.attend.__wrapped__

    def overhears(self, index: int, attend: Callable) -> Callable:
        """The same attention; the entropy of the first rows' weights is kept."""

        @wraps(attend)
        def attend_and_note(*parts_BHTK: torch.Tensor, **seen: object) -> torch.Tensor:
            documents_BT, first = seen.get("documents_BT"), slice(ENTROPY_ROWS)
            # .float() is not enough: under autocast float32 products are bfloat16's
            with torch.no_grad(), torch.autocast(parts_BHTK[0].device.type, enabled=False):
                self.entropies[index] = attention_entropy(
                    parts_BHTK[0][first], parts_BHTK[1][first], slopes_H=seen.get("slopes_H"),
                    documents_BT=None if documents_BT is None else documents_BT[first],
                    window=seen.get("window"),
                )
            return attend(*parts_BHTK, **seen)

        return attend_and_note

    def figures(self) -> dict[str, list]:
        """Of each layer the share of dead units over the step's batches, the entropy, and which
        part of all choices fell on each expert."""
        found = {
            "dead_units": [
                dead_share(self.largest[at], torch.stack(self.squares[at]).mean())
                for at in sorted(self.largest)
            ],
            "attention_entropy_nats": [self.entropies[at].item() for at in sorted(self.entropies)],
            "expert_shares": [
                expert_shares(torch.cat(self.chosen[at]), len(self.layers[at].mlp.experts)).tolist()
                for at in sorted(self.chosen)
            ],
        }
        return {name: values for name, values in found.items() if values}


# package only
class StatisticsWatch:
    """Every `statistics_every_steps` steps a line of statistics goes into the log.

    Speed and energy are those of all ranks (`world_size`), MFU and memory those of this one.
    """

    def __init__(
        self, model: nn.Module, config: TrainingConfig, state: TrainState, log: Log,
        world_size: int = 1,
    ) -> None:
        self.model, self.config, self.state, self.log = model, config, state, log
        self.world_size = world_size
        self.probe, self.device = Probe(model), next(model.parameters()).device.type
        # operations of whole steps since the last line, and of the step that is under way
        self.done_flops, self.step_flops = 0, 0
        self.line: dict[str, object] | None = None
        self.before: dict[str, torch.Tensor] = {}
        self.since = (state.step, state.elapsed_s, state.num_targets)

    def is_due(self) -> bool:
        return (self.state.step + 1) % self.config.statistics_every_steps == 0

    def noting(self, loss_fn: LossFunction) -> LossFunction:
        """The same loss, looked into on the steps that are due."""
        noted = -1

        def loss(model: nn.Module, batch: BatchType) -> tuple[torch.Tensor, StepFigures]:
            nonlocal noted
            if noted != self.state.step:
                noted = self.state.step
                self.done_flops, self.step_flops = self.done_flops + self.step_flops, 0
                self.probe.forget()
            if hasattr(batch, "tokens_BT") and isinstance(self.model, Transformer):
                shape, again = batch.tokens_BT.shape, self.config.recompute
                self.step_flops += training_flops(self.model.config, *shape, again)
            if not self.is_due():
                return loss_fn(model, batch)
            with nullcontext() if self.config.compile else self.probe.looking():
                return loss_fn(model, batch)

        return loss

    def allows_move(self, figures: Sums) -> bool:
        if self.is_due():
            norms = gradient_norms(self.model, float(figures["gradient_norm"]))
            self.line = {"step": self.state.step + 1, "gradient_norms": norms}
            trained = {n: p for n, p in self.model.named_parameters() if p.requires_grad}
            self.before = {name: each.detach().clone() for name, each in trained.items()}
        return True

    def after_move(self) -> None:
        if self.line is not None:
            line = self.line | {"update_ratios": update_ratios(self.before, self.model)}
            memory = memory_figures(self.device)  # before `speed` multiplies its large matrices
            line |= self.probe.figures() | self.speed() | memory
            self.log.write(event="statistics", **line)
            self.line, self.before = None, {}

    def speed(self) -> dict[str, float]:
        """Of the steps since the last line; time left; energy. Nothing before the first step."""
        state, (step, elapsed_s, num_targets) = self.state, self.since
        self.since = (state.step, state.elapsed_s, state.num_targets)
        flops, self.done_flops = self.done_flops, 0
        seconds = state.elapsed_s - elapsed_s
        if state.step == step or seconds <= 0:
            return {}
        watts = self.world_size * assumed_watts(self.device)
        figures = {
            "tokens_per_s": (state.num_targets - num_targets) / seconds,
            "eta_s": seconds_left(state, self.config),
            "assumed_watts": watts, "energy_j": watts * state.elapsed_s,
        }
        if flops:
            peak = peak_flops(self.device, self.config.precision or "float32")
            figures["mfu"] = flops / seconds / peak
            figures["peak_flops_per_s"] = peak
        return figures
