"""Experts: many feed-forward parts, of which each token uses a few that a router picks for it.

In: tokens. Out: for each the sum of its experts' outputs, weighted by the router. A model stores
the numbers of all experts and pays for those of a few (Shazeer et al., arXiv:1701.06538; the form
is Mixtral's, arXiv:2401.04088). A router left alone sends ever more to what it already likes, so
training adds a loss for balance (Switch, arXiv:2101.03961) and one that keeps the router's logits
small (arXiv:2202.08906); padding counts in neither. No token is ever dropped. Left out: a bound on
what an expert takes, experts on ranks of their own, shared experts.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields

import torch
from torch import nn

from minillm.batches.stream import IGNORE, Batch
from minillm.model.feed_forward import FeedForward
from minillm.model.shape import ModelConfig


@dataclass(frozen=True, kw_only=True, slots=True)
class Routing:
    """What the router says of N tokens: A experts each, and how much each of these counts."""

    logits_NE: torch.Tensor
    probabilities_NE: torch.Tensor
    weights_NA: torch.Tensor
    chosen_NA: torch.Tensor


def routed(logits_NE: torch.Tensor, experts_per_token: int) -> Routing:
    """softmax, the A largest, divided by their sum so that a token's weights add up to 1."""
    probabilities_NE = logits_NE.float().softmax(dim=-1)
    largest_NA, chosen_NA = probabilities_NE.topk(experts_per_token, dim=-1)
    weights_NA = largest_NA / largest_NA.sum(dim=-1, keepdim=True)
    return Routing(
        logits_NE=logits_NE.float(), probabilities_NE=probabilities_NE,
        weights_NA=weights_NA, chosen_NA=chosen_NA,
    )  # fmt: skip


def expert_shares(chosen_NA: torch.Tensor, num_experts: int) -> torch.Tensor:
    """Which fraction of all choices fell on each expert, `[E]`; 1/E each where all are alike."""
    return chosen_NA.flatten().bincount(minlength=num_experts) / chosen_NA.numel()


def balance_loss(routing: Routing) -> torch.Tensor:
    """E · Σ_e share_e · mean probability_e: 1 where all is even, E/A where the same A get all.

    Shares are counts and have no slope; the gradient comes through the probabilities.
    """
    num_experts = routing.probabilities_NE.shape[1]
    shares_E = expert_shares(routing.chosen_NA, num_experts)
    return num_experts * (shares_E * routing.probabilities_NE.mean(dim=0)).sum()


def router_z_loss(routing: Routing) -> torch.Tensor:
    """mean over tokens of (ln Σ_e exp logit_e)²: large logits make a softmax coarse."""
    return routing.logits_NE.logsumexp(dim=-1).square().mean()


def is_on_the_way_back() -> bool:
    """Does the backward pass run this? A layer that is recomputed has told its routing before."""
    return torch._C._current_graph_task_id() != -1


def real_places(batch: Batch) -> torch.Tensor:
    """is_real_BT: padding is a piece of its row like any other, but without a single target."""
    pieces_BT = batch.documents_BT.long()
    has_target_BT = (batch.targets_BT != IGNORE).long()
    num_targets_BT = torch.zeros_like(pieces_BT).scatter_add_(1, pieces_BT, has_target_BT)
    return num_targets_BT.gather(1, pieces_BT) > 0


def of_each_tensor(make: Callable[..., torch.Tensor], *routings: Routing) -> Routing:
    """A routing whose tensors are made of those of the same name in others."""
    names = [field.name for field in fields(Routing)]
    return Routing(**{name: make(*(getattr(each, name) for each in routings)) for name in names})


class Experts(nn.Module):
    """E feed-forward parts and a router; of the last pass it keeps who was chosen, and, where
    training owes a penalty for it, all that the router said."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.experts_per_token = config.experts_per_token
        self.coefficients = config.balance_coefficient, config.router_z_coefficient
        self.gate = nn.Linear(config.width, config.num_experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(config) for _ in range(config.num_experts))
        self.routing: Routing | None = None
        self.chosen_NA: torch.Tensor | None = None

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        x_ND = x_BTD.flatten(0, -2)
        # a rounded logit would change who is chosen, not by how much
        with torch.autocast(x_ND.device.type, enabled=False):
            logits_NE = self.gate(x_ND.to(self.gate.weight.dtype))
        routing = routed(logits_NE, self.experts_per_token)
        self.routing = routing if torch.is_grad_enabled() and not is_on_the_way_back() else None
        self.chosen_NA = routing.chosen_NA
        return self.grouped(x_ND, routing).view_as(x_BTD)

    def owed(self, routing: Routing) -> torch.Tensor:
        """The two losses, each by its coefficient."""
        balance, z = self.coefficients
        return balance * balance_loss(routing) + z * router_z_loss(routing)

    def grouped(self, x_ND: torch.Tensor, routing: Routing) -> torch.Tensor:
        """Choices sorted by expert: each runs once, over its tokens, of which there may be none."""
        by_expert = routing.chosen_NA.flatten().argsort(stable=True)
        token = by_expert // self.experts_per_token
        counts = routing.chosen_NA.flatten().bincount(minlength=len(self.experts))
        pieces = x_ND[token].split(counts.tolist())
        told_MD = torch.cat([expert(x) for expert, x in zip(self.experts, pieces, strict=True)])
        weights_M1 = routing.weights_NA.flatten()[by_expert, None].to(told_MD.dtype)
        out_ND = torch.zeros_like(x_ND, dtype=told_MD.dtype)
        return out_ND.index_add(0, token, weights_M1 * told_MD)

    def __getstate__(self) -> dict[str, object]:
        # a routing hangs on a graph, which cannot be copied
        return self.__dict__ | {"routing": None, "chosen_NA": None}


def real_routings(model: nn.Module, batch: Batch) -> dict[Experts, Routing]:
    """What each router said of this batch, the last pass, without padding; it then forgets it."""
    experts = [each for each in model.modules() if isinstance(each, Experts)]
    routers = [each for each in experts if each.routing is not None]
    if not routers:
        return {}
    kept_N = real_places(batch).flatten()
    found = {}
    for each in routers:
        found[each] = of_each_tensor(lambda tensor_NX: tensor_NX[kept_N], each.routing)
        each.routing = None
    return found


def with_penalties(nats: torch.Tensor, *passes: Mapping[Experts, Routing]) -> torch.Tensor:
    """`nats`, to which routers add their gradient but not their value: figures stay surprise.

    Several passes owe what one over all their tokens would.
    """
    owed = []
    for each in passes[0]:
        told = [found[each] for found in passes]
        owed.append(each.owed(of_each_tensor(lambda *parts: torch.cat(parts), *told)))
    return nats + sum(penalty - penalty.detach() for penalty in owed) if owed else nats


def with_balance(nats: torch.Tensor, model: nn.Module, batch: Batch) -> torch.Tensor:
    """`nats`, with what routers owe for this batch, the model's last pass."""
    return with_penalties(nats, real_routings(model, batch))
