"""Fine-tuning: only what is said has a gradient, TRL agrees, and a kill costs nothing."""

import dataclasses
from pathlib import Path

import pytest
import torch
from datasets import Dataset
from trl import SFTConfig as TheirConfig
from trl import SFTTrainer

from minillm.align import sft
from minillm.align.chat import Message, chat_tokens
from minillm.align.conversations import ConversationStream, Example, batch_of_examples, encoded
from minillm.align.instructions import Conversation
from minillm.align.sft import SftConfig, completion_loss, fine_tune, hidden_states
from minillm.batches.shards import BatchesConfig
from minillm.batches.stream import IGNORE, Batch
from minillm.core.records import JsonLines, make_artifact, read_json_lines
from minillm.export.huggingface import save_folder
from minillm.model.transformer import Transformer
from minillm.tokenizer.bytepair import Tokenizer
from minillm.train.checkpoint import load_model, save_model
from minillm.train.precision import compiled
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.trainer import next_token_loss
from tests.train.tiny import tiny_model, tiny_run

CHATS = (
    (("user", "Who has the ball?"), ("assistant", "Ann.")),
    (("user", "Tom?"), ("assistant", "Tom is glad."), ("user", "And Ann?"), ("assistant", "Yes.")),
    (("user", "The rain falls on the town. Why?"), ("assistant", "The story does not say.")),
)
LENGTH = 96


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory) -> Tokenizer:
    run = tiny_run(tmp_path_factory.mktemp("tokens"))
    return Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")


@pytest.fixture(scope="module")
def examples(tokenizer) -> list[Example]:
    turns = [tuple(Message(*turn) for turn in chat) for chat in CHATS]
    chats = [Conversation("questions", str(index), each) for index, each in enumerate(turns)]
    return encoded(chats, tokenizer, LENGTH)


@pytest.fixture
def model(tokenizer) -> Transformer:
    torch.manual_seed(0)
    shape = tiny_model(vocab_size=tokenizer.vocab_size, context_length=3 * LENGTH)
    return Transformer(dataclasses.replace(shape, initial_std=0.3))


def test_targets_are_the_tokens_that_the_assistant_says_next(examples, tokenizer):
    batch = batch_of_examples([examples[:1]], LENGTH, tokenizer.end_of_text)
    ids, is_said = examples[0].tokens, examples[0].is_said
    for place in range(LENGTH):
        is_target = place + 1 < len(ids) and is_said[place + 1]
        expected = ids[place + 1] if is_target else IGNORE
        assert batch.targets_BT[0, place] == expected
    said = [token for token in batch.targets_BT[0].tolist() if token != IGNORE]
    assert tokenizer.decode(said) == " Ann.<|im_end|>"


def test_where_nothing_is_said_the_gradient_is_exactly_zero(model, examples, tokenizer):
    batch = batch_of_examples([examples], 3 * LENGTH, tokenizer.end_of_text)
    logits_BTV = model(batch.tokens_BT, documents_BT=batch.documents_BT)
    logits_BTV.retain_grad()
    torch.nn.functional.cross_entropy(
        logits_BTV.flatten(0, 1), batch.targets_BT.flatten(), ignore_index=IGNORE
    ).backward()
    is_target = batch.targets_BT != IGNORE
    assert (logits_BTV.grad[~is_target] == 0).all()
    assert (logits_BTV.grad[is_target].abs().sum(-1) > 0).all()


def test_logits_at_the_targets_alone_give_the_loss_and_gradients_of_all_logits(
    model, examples, tokenizer
):
    batch = batch_of_examples([examples, examples[:1]], 3 * LENGTH, tokenizer.end_of_text)
    everywhere = next_token_loss(model, batch)
    everywhere.backward()
    gradients = {name: each.grad.clone() for name, each in model.named_parameters()}
    model.zero_grad()
    loss, figures = completion_loss("cpu")(model, batch)
    loss.backward()
    assert figures["num_targets"] == int((batch.targets_BT != IGNORE).sum())
    torch.testing.assert_close(loss, everywhere)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name])

    def one_place_late(model: Transformer, batch: Batch) -> torch.Tensor:
        return hidden_states(model, batch).roll(1, dims=1)

    wrong, _ = completion_loss("cpu", one_place_late)(model, batch)
    assert abs(wrong.item() - everywhere.item()) > 1e-3


def test_compiled_layers_give_the_eager_loss(model, examples, tokenizer, compiler_in):
    layers = compiled(hidden_states, device="cpu", cache_folder=compiler_in)
    for rows in ([examples, examples[:1]], [examples, examples]):
        batch = batch_of_examples(rows, 3 * LENGTH, tokenizer.end_of_text)
        eager, _ = completion_loss("cpu")(model, batch)
        torch.testing.assert_close(completion_loss("cpu", layers)(model, batch)[0], eager)


def test_a_question_that_changes_changes_no_target_of_a_neighbour(model, examples, tokenizer):
    row = batch_of_examples([examples], 3 * LENGTH, tokenizer.end_of_text)
    begin = len(examples[0].tokens) - 1
    changed = dataclasses.replace(examples[0], tokens=tuple(reversed(examples[0].tokens)))
    other = batch_of_examples([[changed, *examples[1:]]], 3 * LENGTH, tokenizer.end_of_text)
    with torch.no_grad():
        ours = model(row.tokens_BT, documents_BT=row.documents_BT)[0, begin:]
        theirs = model(other.tokens_BT, documents_BT=other.documents_BT)[0, begin:]
    torch.testing.assert_close(ours, theirs)


def their_loss(model, tokenizer, examples, folder: Path) -> tuple[float, dict[str, torch.Tensor]]:
    """TRL's own trainer on the same conversations, one a row: its loss and its gradients."""
    save_folder(model, tokenizer, folder / "model")
    rows = [
        {"input_ids": list(each.tokens), "completion_mask": [int(said) for said in each.is_said]}
        for each in examples
    ]
    config = TheirConfig(
        output_dir=str(folder / "out"), per_device_train_batch_size=len(rows), use_cpu=True,
        report_to=[], max_length=None, completion_only_loss=True, bf16=False,
        model_init_kwargs={"dtype": "float32"},
    )  # fmt: skip
    trainer = SFTTrainer(
        model=str(folder / "model"), args=config, train_dataset=Dataset.from_list(rows)
    )
    batch = next(iter(trainer.get_train_dataloader()))
    trainer.model.train()
    loss = trainer.compute_loss(trainer.model, batch)
    loss.backward()
    gradients = {n: p.grad for n, p in trainer.model.named_parameters() if p.grad is not None}
    return loss.item(), gradients


def test_loss_and_gradients_equal_those_of_trl(model, tokenizer, examples, tmp_path):
    theirs, gradients = their_loss(model, tokenizer, examples, tmp_path)
    packed = batch_of_examples([examples], 3 * LENGTH, tokenizer.end_of_text)
    loss, figures = completion_loss("cpu")(model, packed)
    loss.backward()
    assert figures["num_targets"] == sum(sum(each.is_said) for each in examples)
    assert abs(loss.item() - theirs) <= 1e-6 * max(1.0, theirs)
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(parameter.grad, gradients[name], atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("bug", ["mask ignored", "mask one place early", "turn end left out"])
def test_trl_tells_a_planted_bug(model, tokenizer, examples, tmp_path, bug):
    theirs, _ = their_loss(model, tokenizer, examples, tmp_path)
    end = tokenizer.special_ids["<|im_end|>"]
    change = {
        "mask ignored": lambda e: [True] * len(e.tokens),
        "mask one place early": lambda e: [*e.is_said[1:], False],
        "turn end left out": lambda e: [s and t != end for t, s in zip(e.tokens, e.is_said)],
    }[bug]
    wrong = [dataclasses.replace(each, is_said=tuple(change(each))) for each in examples]
    packed = batch_of_examples([wrong], 3 * LENGTH, tokenizer.end_of_text)
    assert abs(next_token_loss(model, packed).item() - theirs) > 1e-3


def test_a_conversation_too_long_for_a_row_is_left_out_whole(tokenizer):
    long = Conversation("x", "long", (Message("user", "ball " * 90), Message("assistant", "Ann.")))
    short = Conversation("x", "short", (Message("user", "Who?"), Message("assistant", "Ann.")))
    assert len(encoded([long, short], tokenizer, LENGTH)) == 1
    with pytest.raises(ValueError, match="context_length = 96: no conversation fits"):
        ConversationStream([], BatchesConfig(context_length=LENGTH), tokenizer.end_of_text)


def test_each_conversation_comes_once_an_epoch_and_a_stream_resumes(examples, tokenizer):
    many = [examples[index % 3] for index in range(17)]
    config = BatchesConfig(context_length=LENGTH, batch_size=2)
    stream = ConversationStream(many, config, tokenizer.end_of_text)
    batches = [next(stream) for _ in range(40)]
    end = tokenizer.special_ids["<|im_end|>"]
    turns = sum(int((batch.targets_BT == end).sum()) for batch in batches)
    per_epoch = sum(sum(t == end and s for t, s in zip(e.tokens, e.is_said)) for e in many)
    assert turns > 2 * per_epoch
    for position in (0, 1, 7, 23):
        again = ConversationStream(many, config, tokenizer.end_of_text, position)
        assert torch.equal(next(again).tokens_BT, batches[position].tokens_BT)
        assert again.position == position + 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"stories": ()}, "stories = \\(\\)"),
        ({"stories": (0, 0)}, "one above 0"),
        ({"stories": (5, -1)}, "at least 0 for each level"),
        ({"starts": (0.0,)}, "give 0 ≤ start < end ≤ 1 for each of the 3 levels"),
        ({"ends": (0.0, 0.5, 1.0)}, "start < end"),
        ({"stories": (5,) * 5}, r"stories = .*levels \(1, 2, 3, 4\); give at most 4 counts"),
        ({"stories": (5, 5, 5, 5)}, "give 0 ≤ start < end ≤ 1 for each of the 4 levels in stories"),
        ({"max_documents": -1}, "max_documents = -1: must be at least 0"),
    ],
)
def test_a_bad_field_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        SftConfig(**fields)


def prepared_run(home: Path):
    """A run with documents, tokenizer and an untrained model: enough to fine-tune."""
    run = tiny_run(home)
    tokenizer = Tokenizer.load(run.artifact("tokenizer").path / "tokenizer.json")

    def write_documents(folder: Path) -> dict:
        (folder / "documents.jsonl").write_text("")
        return {}

    def write_model(folder: Path) -> dict:
        torch.manual_seed(1)
        save_model(Transformer(tiny_model(vocab_size=tokenizer.vocab_size)), tokenizer, folder)
        return {}

    for kind, write in (("documents", write_documents), ("model", write_model)):
        make_artifact(
            run, kind, config={}, parents=(), code=(), write=write, summary=lambda figures: "tiny"
        )
    return run


def tiny_sft(**changes) -> SftConfig:
    training = TrainingConfig(
        max_steps=8, learning_rate=1e-2, precision="float32", checkpoint_every_steps=2,
        evaluate_every_steps=1,
    )
    batches = BatchesConfig(context_length=420, batch_size=2)
    fields = {"stories": (12,), "batches": batches, "training": training}
    return SftConfig(**{**fields, **changes})


def test_a_fourth_count_teaches_level_4_and_moves_no_other_conversation(tmp_path):
    run, spread = prepared_run(tmp_path), {"starts": (0, 0, 0, 0.5), "ends": (0.5, 0.5, 0.5, 1)}
    three = sft.taught_conversations(tiny_sft(stories=(6, 4, 2), **spread), run)
    four = sft.taught_conversations(tiny_sft(stories=(6, 4, 2, 5), **spread), run)
    assert four[:12] == three
    assert [each.source.split("/")[1] for each in four[12:]] == ["4"] * 5


def curve(run) -> list[tuple[int, float]]:
    lines = read_json_lines(sft.sft_log(run))
    return [(line["step"], line["loss"]) for line in lines if line["event"] == "step"]


def test_killed_and_resumed_is_uninterrupted(tmp_path):
    straight, cut = (prepared_run(tmp_path / name) for name in ("straight", "cut"))
    artifact = fine_tune(tiny_sft(), straight)

    def plug(_model, step: int) -> dict[str, float]:
        if step == 5:
            raise KeyboardInterrupt
        return {}

    # an evaluation is no part of the key: the same run goes on without it
    with pytest.raises(KeyboardInterrupt):
        fine_tune(tiny_sft(), cut, evaluate=plug)
    assert not (cut.path / "assistant").exists()
    again = fine_tune(tiny_sft(), cut)
    assert curve(cut) == curve(straight)
    weights = [(each.path / "model.safetensors").read_bytes() for each in (artifact, again)]
    assert weights[0] == weights[1]
    assert artifact.parents.keys() == {"model", "documents"}


def test_the_assistant_has_the_base_models_shape_and_room_for_a_story(tmp_path):
    run = prepared_run(tmp_path)
    model, _ = load_model(fine_tune(tiny_sft(), run).path)
    assert model.config.context_length == 420
    assert model.config.width == tiny_model().width


def test_from_random_weights_is_another_start(tmp_path):
    runs = [prepared_run(tmp_path / name) for name in "ab"]
    for run, from_base in zip(runs, (True, False), strict=True):
        fine_tune(tiny_sft(from_base=from_base), run)
    assert curve(runs[0])[0] != curve(runs[1])[0]


def test_the_manifests_loss_is_of_steps_that_moved_the_weights(tmp_path):
    run = prepared_run(tmp_path)
    log = JsonLines(sft.sft_log(run))
    for step in range(1, 21):
        skipped = {"is_skipped": 1.0} if step == 19 else {}
        log.write(event="step", step=step, loss=float("nan") if skipped else 1.0 * step, **skipped)
    figures = sft.sft_figures(Transformer(tiny_model()), TrainState(step=20), run)
    assert figures["loss"] == 20.0
