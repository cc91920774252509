"""Experts: many feed-forward parts, of which each token uses a few that a router picks for it.

In: tokens. Out: for each the sum of its experts' outputs, weighted by the router. A model stores
the numbers of all experts and pays for those of a few (Shazeer et al., arXiv:1701.06538; the form
is Mixtral's, arXiv:2401.04088). A router left alone sends ever more to what it already likes, so
training adds a loss for balance (Switch, arXiv:2101.03961) and one that keeps the router's logits
small (arXiv:2202.08906). No token is ever dropped. Left out: a bound on what an expert takes,
experts on ranks of their own, shared experts; places without a target count in both losses.
"""

from dataclasses import dataclass

import torch
from torch import nn

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
    """E · Σ_e share_e · mean probability_e: 1 where all is even, E where one expert gets all.

    Shares are counts and have no slope; the gradient comes through the probabilities.
    """
    num_experts = routing.probabilities_NE.shape[1]
    shares_E = expert_shares(routing.chosen_NA, num_experts)
    return num_experts * (shares_E * routing.probabilities_NE.mean(dim=0)).sum()


def router_z_loss(routing: Routing) -> torch.Tensor:
    """mean over tokens of (ln Σ_e exp logit_e)²: large logits make a softmax coarse."""
    return routing.logits_NE.logsumexp(dim=-1).square().mean()


class Experts(nn.Module):
    """E feed-forward parts and a router; of the last pass it keeps who was chosen, and the penalty
    that training owes."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.experts_per_token = config.experts_per_token
        self.coefficients = config.balance_coefficient, config.router_z_coefficient
        self.gate = nn.Linear(config.width, config.num_experts, bias=False)
        self.experts = nn.ModuleList(FeedForward(config) for _ in range(config.num_experts))
        self.penalty: torch.Tensor | None = None
        self.chosen_NA: torch.Tensor | None = None

    def forward(self, x_BTD: torch.Tensor) -> torch.Tensor:
        x_ND = x_BTD.flatten(0, -2)
        # a rounded logit would change who is chosen, not by how much
        with torch.autocast(x_ND.device.type, enabled=False):
            logits_NE = self.gate(x_ND.to(self.gate.weight.dtype))
        routing = routed(logits_NE, self.experts_per_token)
        self.penalty = self.owed(routing) if torch.is_grad_enabled() else None
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
        # a penalty hangs on a graph, which cannot be copied
        return self.__dict__ | {"penalty": None, "chosen_NA": None}


def with_balance(nats: torch.Tensor, model: nn.Module) -> torch.Tensor:
    """`nats`, to which routers add their gradient but not their value: figures stay surprise."""
    experts = [each for each in model.modules() if isinstance(each, Experts)]
    owed = [each.penalty for each in experts if each.penalty is not None]
    for each in experts:
        each.penalty = None
    return nats + sum(penalty - penalty.detach() for penalty in owed) if owed else nats


# package only
def refuse_router_losses(model: nn.Module, who: str) -> None:
    """ValueError if routers owe losses, which `who` would leave out, naming the coefficients."""
    for each in model.modules():
        if isinstance(each, Experts) and any(each.coefficients):
            balance, z = each.coefficients
            raise ValueError(
                f"balance_coefficient = {balance}, router_z_coefficient = {z}: {who} leaves the "
                "routers' losses out; give 0 for both to train without them"
            )
