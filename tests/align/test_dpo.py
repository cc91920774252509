"""DPO: ln 2 at the start, the derivative by hand, TRL's loss and gradients on whole models."""

import copy
import dataclasses
import math
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoModelForCausalLM, AutoTokenizer
from trl import DPOConfig, DPOTrainer

from minillm.align import dpo as room
from minillm.align.chat import Message
from minillm.align.dpo import (
    PairStream,
    dpo_loss,
    pair_rows,
    padded,
    preference_loss,
    reply_logprobs,
    token_logprobs,
)
from minillm.align.pairs import Pair
from minillm.batches.stream import IGNORE
from minillm.export.huggingface import save_folder
from minillm.model.experts import with_penalties
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from tests.train.tiny import tiny_model, tiny_run

PAIRS = (
    Pair(Message("user", "Who has the ball?"), "Ann.", "Tom.", "wrong answer"),
    Pair(Message("user", "Why is Tom glad? It rains."), "The story does not say.", "Yes.", "guess"),
    Pair(Message("user", "Tom?"), "Tom is glad.", "Tom wants the ball. Ann has it.", "own mistake"),
)
LENGTH, BETA = 96, 0.3
numbers = st.floats(-60, 0, width=32)


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    run = tiny_run(tmp_path_factory.mktemp("tokens"))
    return Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")


def a_model(tokenizer: Tokenizer, seed: int, **changes: object) -> Transformer:
    torch.manual_seed(seed)
    shape = tiny_model(vocab_size=tokenizer.vocab_size, context_length=LENGTH)
    return Transformer(dataclasses.replace(shape, initial_std=0.3, **changes))


@pytest.fixture
def rows(tokenizer):
    return pair_rows(PAIRS, tokenizer, LENGTH)


def vectors(*values: float) -> list[torch.Tensor]:
    return [torch.tensor([value]) for value in values]


def test_a_policy_that_is_its_reference_has_a_loss_of_ln_2():
    chosen, rejected = torch.tensor([-3.0, -70.0]), torch.tensor([-1.0, -0.5])
    loss, first, second = dpo_loss(chosen, rejected, chosen, rejected, BETA)
    assert abs(loss.item() - math.log(2)) < 1e-6
    assert not first.any() and not second.any()


def test_by_hand():
    loss, chosen, rejected = dpo_loss(*vectors(-1.0, -3.0, -2.0, -2.5), 0.5)
    assert (chosen.item(), rejected.item()) == (0.5, -0.25)
    assert abs(loss.item() - math.log(1 + math.exp(-0.75))) < 1e-6


@given(numbers, numbers, numbers, numbers)
def test_the_gradient_is_minus_beta_times_how_wrong_the_order_is(a, b, c, d):
    policy = [torch.tensor([v], dtype=torch.float64, requires_grad=True) for v in (a, b)]
    reference = [torch.tensor([v], dtype=torch.float64) for v in (c, d)]
    loss, chosen, rejected = dpo_loss(*policy, *reference, BETA)
    loss.backward()
    expected = -BETA * torch.sigmoid(rejected - chosen)
    torch.testing.assert_close(policy[0].grad, expected)
    torch.testing.assert_close(policy[1].grad, -expected)


def test_a_reply_counts_by_the_sum_of_its_tokens(tokenizer, rows):
    model, batch = a_model(tokenizer, 0), padded([chosen for chosen, _ in rows], 0)
    logits_BTV = model(batch.tokens_BT)
    by_hand = []
    for row in range(len(rows)):
        total = 0.0
        for place, target in enumerate(batch.targets_BT[row].tolist()):
            if target != IGNORE:
                total += torch.log_softmax(logits_BTV[row, place], -1)[target].item()
        by_hand.append(total)
    torch.testing.assert_close(reply_logprobs(model, batch), torch.tensor(by_hand))
    nowhere = dataclasses.replace(batch, targets_BT=torch.full_like(batch.targets_BT, IGNORE))
    assert not token_logprobs(model, nowhere).any()


def test_logits_are_made_where_something_is_said_and_nowhere_else(tokenizer, rows):
    model, batch, seen = a_model(tokenizer, 0), padded([chosen for chosen, _ in rows], 0), []
    model.lm_head.register_forward_hook(lambda _, inputs, __: seen.append(inputs[0].shape))
    reply_logprobs(model, batch)
    num_said = int((batch.targets_BT != IGNORE).sum())
    assert seen == [(num_said, model.config.width)] and num_said < batch.targets_BT.numel()


def their_trainer(policy, reference, tokenizer, folder: Path) -> DPOTrainer:
    """TRL's own trainer over both models; its collator is given our ids."""
    models = []
    for name, model in (("policy", policy), ("reference", reference)):
        save_folder(model, tokenizer, folder / name)
        models.append(AutoModelForCausalLM.from_pretrained(folder / name, dtype=torch.float32))
    config = DPOConfig(
        output_dir=str(folder / "out"), beta=BETA, use_cpu=True, report_to=[], bf16=False,
        per_device_train_batch_size=len(PAIRS), max_length=None,
    )  # fmt: skip
    dataset = Dataset.from_list([{"prompt": "a", "chosen": "b", "rejected": "c"}])
    return DPOTrainer(
        model=models[0], ref_model=models[1], args=config, train_dataset=dataset,
        processing_class=AutoTokenizer.from_pretrained(folder / "policy"),
    )  # fmt: skip


def their_inputs(rows, trainer: DPOTrainer) -> dict[str, torch.Tensor]:
    """Each pair as prompt, chosen and rejected ids, without the new line after the reply."""
    examples = []
    for pair in rows:
        pieces = []
        for example in pair:
            said = [t for t, own in zip(example.tokens, example.is_said, strict=True) if own]
            pieces.append(said)
        begin = pair[0].is_said.index(True)
        prompt = list(pair[0].tokens[:begin])
        examples.append({"prompt_ids": prompt, "chosen_ids": pieces[0], "rejected_ids": pieces[1]})
    return dict(trainer.data_collator(examples))


def our_loss(policy, reference, rows, tokenizer):
    pairs = next(PairStream(rows, reference, len(rows), tokenizer.end_of_text, seed=0))
    return preference_loss(BETA)(policy, pairs)


def test_loss_and_gradients_equal_those_of_trl(tokenizer, rows, tmp_path):
    policy, reference = a_model(tokenizer, 0), a_model(tokenizer, 1)
    trainer = their_trainer(policy, reference, tokenizer, tmp_path)
    trainer.model.train()
    theirs = trainer.compute_loss(trainer.model, their_inputs(rows, trainer))
    theirs.backward()
    loss, figures = our_loss(policy, reference, rows, tokenizer)
    loss.backward()
    assert figures["num_targets"] == len(PAIRS)
    assert abs(loss.item() - theirs.item()) <= 1e-6 * max(1.0, theirs.item())
    gradients = {name: each.grad for name, each in trainer.model.named_parameters()}
    for name, parameter in policy.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-6, rtol=1e-4)
    # planted bugs: rewards turned round, a mean where a sum belongs
    pairs = next(PairStream(rows, reference, len(rows), tokenizer.end_of_text, seed=0))
    turned = dataclasses.replace(pairs, chosen=pairs.rejected, rejected=pairs.chosen)
    assert abs(preference_loss(BETA)(policy, turned)[0].item() - theirs.item()) > 1e-3


# With experts


BALANCED = {"num_experts": 5, "balance_coefficient": 0.7}


def gradients_of(model: Transformer) -> dict[str, torch.Tensor]:
    return {name: each.grad for name, each in model.named_parameters()}


def test_with_experts_a_policy_that_is_its_reference_has_a_loss_of_ln_2(tokenizer, rows):
    policy, reference = (a_model(tokenizer, 0, **BALANCED) for _ in "pr")
    loss, figures = our_loss(policy, reference, rows, tokenizer)
    assert abs(loss.item() - math.log(2)) < 1e-6  # what routers owe is not shown
    assert figures["chosen_reward"] == figures["rejected_reward"] == 0
    loss.backward()
    assert all(each.grad is None for each in reference.parameters())


def their_names(gradients: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """A Mixtral keeps its experts in one tensor: each part under the name it has here."""
    found = {}
    for name, each in gradients.items():
        stem, kind = name.rsplit(".", 1)
        for expert, part in enumerate(each if kind in ("gate_up_proj", "down_proj") else []):
            halves = part.chunk(2) if kind == "gate_up_proj" else (part,)
            names = ("gate_proj", "up_proj") if kind == "gate_up_proj" else ("down_proj",)
            found |= {f"{stem}.{expert}.{n}.weight": h for n, h in zip(names, halves, strict=True)}
        found[name] = each
    return found


def test_with_experts_loss_and_gradients_equal_those_of_trl(tokenizer, rows, tmp_path):
    """One layer: they pool the layers of a model where we add them up. They know no z-loss."""
    changes = BALANCED | {"num_layers": 1, "router_z_coefficient": 0.0}
    policy, reference = (a_model(tokenizer, seed, **changes) for seed in (0, 1))
    trainer = their_trainer(policy, reference, tokenizer, tmp_path)
    assert trainer.aux_loss_enabled and trainer.router_aux_loss_coef == pytest.approx(0.7 / 2)
    trainer.model.train()
    theirs = trainer.compute_loss(trainer.model, their_inputs(rows, trainer))
    theirs.backward()
    owed = trainer.router_aux_loss_coef * trainer._metrics["train"]["aux_loss"][-1]
    loss, _ = our_loss(policy, reference, rows, tokenizer)
    loss.backward()
    assert owed > 0.5 and abs(loss.item() - (theirs.item() - owed)) < 1e-5
    expected = their_names({name: each.grad for name, each in trainer.model.named_parameters()})
    for name, each in gradients_of(policy).items():
        torch.testing.assert_close(each, expected[name], atol=1e-6, rtol=1e-4, msg=name)


def penalty_by_hand(logits: list[torch.Tensor], config) -> torch.Tensor:
    """Token by token: what one router owes for logits_NE of both passes together."""
    num_experts, per_token = config.num_experts, config.experts_per_token
    num_tokens = sum(map(len, logits))
    shares, means, z = [0.0] * num_experts, [0.0] * num_experts, 0.0
    for logits_E in torch.cat(logits):
        probabilities = logits_E.softmax(-1)
        for expert in probabilities.argsort(descending=True)[:per_token].tolist():
            shares[expert] += 1 / (num_tokens * per_token)
        for expert in range(num_experts):
            means[expert] = means[expert] + probabilities[expert] / num_tokens
        z = z + logits_E.exp().sum().log() ** 2 / num_tokens
    balance = num_experts * sum(s * p for s, p in zip(shares, means, strict=True))
    return config.balance_coefficient * balance + config.router_z_coefficient * z


def reference_gradients(policy, reference, rows) -> dict[str, torch.Tensor]:
    """In float64, one conversation at a time: no batch, no padding, no mask."""
    models = [copy.deepcopy(model).double() for model in (policy, reference)]
    said, heard = [[], []], [[] for _ in models[0].model.layers]
    for layer, found in zip(models[0].model.layers, heard, strict=True):
        layer.mlp.gate.register_forward_hook(lambda _, given, out, found=found: found.append(out))
    for which, model in enumerate(models):
        for example in (example for pair in rows for example in pair):
            ids = torch.tensor([example.tokens])
            logprobs_TV = model(ids[:, :-1])[0].log_softmax(-1)
            chosen_T = logprobs_TV.gather(1, ids[0, 1:, None])[:, 0]
            said[which].append(chosen_T[torch.tensor(example.is_said[1:])].sum())
    rewards = [BETA * (ours - theirs.detach()) for ours, theirs in zip(*said, strict=True)]
    differences = [chosen - rejected for chosen, rejected in zip(rewards[::2], rewards[1::2])]
    loss = sum((1 + (-each).exp()).log() for each in differences) / len(rows)
    (loss + sum(penalty_by_hand(found, policy.config) for found in heard)).backward()
    return gradients_of(models[0])


def owed_apart(loss: torch.Tensor, *passes) -> torch.Tensor:
    """Planted bug: each pass owes as much as both together."""
    for each in passes:
        loss = with_penalties(loss, each)
    return loss


def gradient_error(policy, reference, rows, tokenizer) -> float:
    policy.zero_grad()
    expected = reference_gradients(policy, reference, rows)
    our_loss(policy, reference, rows, tokenizer)[0].backward()
    found = gradients_of(policy)
    return max((found[name] - each).abs().max().item() for name, each in expected.items())


def test_with_experts_gradients_are_those_of_a_float64_reference(
    tokenizer, rows, monkeypatch
) -> None:
    changes = BALANCED | {"router_z_coefficient": 0.3}
    policy, reference = (a_model(tokenizer, seed, **changes) for seed in (0, 1))
    assert gradient_error(policy, reference, rows, tokenizer) < 1e-5
    bugs = {
        "the last pass alone": lambda loss, *passes: with_penalties(loss, passes[-1]),
        "each pass by itself": owed_apart,
        "left out": lambda loss, *passes: loss,
    }
    for name, bug in bugs.items():
        monkeypatch.setattr(room, "with_penalties", bug)
        assert gradient_error(policy, reference, rows, tokenizer) > 1e-2, name


@pytest.mark.parametrize("changes", [{}, {"num_experts": 5}], ids=["plain", "experts"])
def test_the_chosen_reply_becomes_likelier_than_the_rejected_one(tokenizer, rows, changes):
    policy, reference = (a_model(tokenizer, 0, **changes) for _ in "pr")
    stream = PairStream(rows, reference, 3, tokenizer.end_of_text, seed=0)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    first = None
    for _ in range(30):
        loss, figures = preference_loss(BETA)(policy, next(stream))
        first = first or loss.item()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert abs(first - math.log(2)) < 1e-5
    assert loss.item() < 0.2 and figures["accuracy"] == 1


def test_a_stream_of_pairs_resumes_and_refuses_too_few(tokenizer, rows):
    reference = a_model(tokenizer, 0)
    stream = PairStream(rows, reference, 2, tokenizer.end_of_text, seed=3)
    batches = [next(stream) for _ in range(5)]
    again = PairStream(rows, reference, 2, tokenizer.end_of_text, seed=3, position=3)
    assert torch.equal(next(again).chosen.tokens_BT, batches[3].chosen.tokens_BT)
    with pytest.raises(ValueError, match="batch_size = 4: only 3 pairs fit"):
        PairStream(rows, reference, 4, tokenizer.end_of_text, seed=3)


def test_a_pair_that_is_too_long_is_left_out(tokenizer):
    long = Pair(Message("user", "ball " * 90), "Ann.", "Tom.", "x")
    assert len(pair_rows([long, *PAIRS], tokenizer, LENGTH)) == len(PAIRS)
