"""Under load as alone, seeds included; slots are freed, queues are bounded, nothing hangs."""

import random
import threading

import pytest
import torch

from minillm.model.generate import generate
from minillm.serve import engine as engine_module
from minillm.serve.engine import Engine, EngineClosed, QueueFull, run_engine, step
from minillm.serve.generation import Generation, Sampling
from tests.serve.small import asking, run_all, small_engine, small_model, small_tokenizer


def many(count: int, **fields: object) -> list[Generation]:
    """Prompts and replies of all lengths, each with a seed of its own."""
    draw = random.Random(0)
    return [
        asking(
            [draw.randrange(296) for _ in range(draw.choice((1, 2, 7, 13, 30)))],
            max_tokens=draw.choice((1, 2, 5, 20, 34)), seed=number, **fields,
        )
        for number in range(count)
    ]  # fmt: skip


def alone(count: int, num_slots: int, **fields: object) -> list[Generation]:
    """The same requests, one at a time through an engine of the same width."""
    engine = small_engine(num_slots)
    return [run_all(engine, [each])[0] for each in many(count, **fields)]


@pytest.mark.parametrize(
    "fields",
    [{}, {"temperature": 0.9}, {"temperature": 1.3, "top_p": 0.7},
     {"temperature": 1.2, "min_p": 0.02, "frequency_penalty": 1.0, "presence_penalty": 0.5}],
)  # fmt: skip
def test_32_requests_at_once_get_the_replies_of_one_at_a_time(fields: dict) -> None:
    together = run_all(small_engine(4), many(32, **fields))
    singly = alone(32, 4, **fields)
    assert [each.reply for each in together] == [each.reply for each in singly]
    assert [each.prompt_nats for each in together] == [each.prompt_nats for each in singly]
    assert len({tuple(each.reply) for each in together}) > 25, "the replies must differ"


def test_the_order_of_arrival_changes_no_reply() -> None:
    first, shuffled = many(16), many(16)
    run_all(small_engine(3), first)
    order = random.Random(1).sample(range(16), 16)
    run_all(small_engine(3), [shuffled[index] for index in order])
    assert [each.reply for each in first] == [each.reply for each in shuffled]


@pytest.mark.parametrize(
    "fields", [{}, {"frequency_penalty": 1.5, "presence_penalty": -0.5}, {"repetition_penalty": 2}]
)
def test_greedy_replies_are_those_of_generate(fields: dict) -> None:
    engine, plain = small_engine(4), run_all(small_engine(4), many(12))
    replies = run_all(engine, many(12, **fields))
    for each in replies:
        expected = generate(
            engine.model, each.prompt, max_tokens=each.sampling.max_tokens, temperature=0, **fields
        )
        assert each.reply == expected
    is_changed = [each.reply for each in replies] != [each.reply for each in plain]
    assert is_changed is bool(fields)


def test_without_a_seed_replies_differ_and_with_one_they_do_not() -> None:
    def replies(seed: int | None) -> set[tuple[int, ...]]:
        asked = [asking([1, 2], temperature=1.0, seed=seed) for _ in range(4)]
        return {tuple(each.reply) for each in run_all(small_engine(4), asked)}

    assert len(replies(None)) == 4 and len(replies(7)) == 1


def test_one_generator_for_all_would_be_noticed() -> None:
    """The planted bug: requests share their random numbers, so neighbours change a reply."""
    shared = torch.Generator().manual_seed(0)

    def replies(count: int) -> list[list[int]]:
        shared.manual_seed(0)
        asked = many(count, temperature=1.0)
        for each in asked:
            each.random = shared
        return [each.reply for each in run_all(small_engine(4), asked)]

    assert replies(1)[0] != replies(8)[0]


def test_a_reply_ends_at_the_context_at_max_tokens_and_at_a_stop_id() -> None:
    engine = small_engine(2, context_length=16)
    full, brief = run_all(engine, [asking([1] * 10, 50), asking([1] * 10, 2)])
    assert (len(full.reply), full.finish_reason) == (6, "length")
    assert (len(brief.reply), brief.finish_reason) == (2, "length")
    last_place = run_all(engine, [asking([1] * 15, 5)])[0]
    assert last_place.reply == generate(engine.model, [1] * 15, max_tokens=1, temperature=0)
    stop = full.reply[3]
    stopped = run_all(engine, [asking([1] * 10, 6, stop_ids=frozenset([stop]))])[0]
    assert stopped.reply == full.reply[: full.reply.index(stop)]
    assert stopped.finish_reason == "stop"


def test_a_stop_string_ends_the_reply_and_frees_the_slot() -> None:
    engine = small_engine(1)
    free = run_all(engine, [asking([5, 6, 7], 20)])[0]
    stop = free.text.sent[4:7]
    stopped = run_all(engine, [asking([5, 6, 7], 20, stop=(stop,))])[0]
    assert stopped.text.sent == free.text.sent.partition(stop)[0]
    assert stopped.finish_reason == "stop" and engine.num_running == 0


def test_the_pieces_that_are_delivered_are_the_text() -> None:
    pieces = []
    each = asking([5, 6, 7], 20)
    each.deliver = lambda text, reason: pieces.append((text, reason))
    run_all(small_engine(2), [each])
    assert "".join(text for text, _ in pieces) == each.text.sent
    assert [reason for _, reason in pieces] == [None] * (len(pieces) - 1) + ["length"]
    assert len(pieces) > 10


def test_who_waits_moves_into_a_freed_slot_between_two_steps() -> None:
    engine = small_engine(2)
    long, short, waiting = asking([1], 9), asking([2], 2), asking([3], 3)
    for each in (long, short, waiting):
        engine.submit(each)
    step(engine)  # one token by prefill and one by decode: the short one is done
    assert engine.slots == [long, None] and short.finish_reason == "length"
    step(engine)
    assert engine.slots == [long, waiting], "the next one does not wait for the long one"


def test_giving_up_frees_a_slot_and_a_place_in_the_queue() -> None:
    engine = small_engine(1, max_queue=1)
    running, waiting = asking([1], 50), asking([2], 50)
    engine.submit(running)
    step(engine)
    engine.submit(waiting)
    with pytest.raises(QueueFull):
        engine.submit(asking([3]))
    running.is_cancelled = waiting.is_cancelled = True
    assert step(engine) is False
    assert running.finish_reason == waiting.finish_reason == "cancelled"
    assert engine.num_running == 0 and not engine.waiting
    assert run_all(engine, [asking([1], 4)])[0].reply == run_all(small_engine(1), [asking([1], 4)])[
        0
    ].reply


def test_the_queue_counts_those_for_whom_there_is_no_free_slot() -> None:
    engine = small_engine(2, max_queue=0)
    engine.submit(asking([1]))
    engine.submit(asking([2]))
    with pytest.raises(QueueFull):
        engine.submit(asking([3]))


def test_a_failing_step_ends_every_request_instead_of_leaving_it_waiting(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engine = small_engine(1)
    running, waiting = asking([1], 9), asking([2], 9)
    engine.submit(running)
    engine.submit(waiting)

    def fail(_: Engine) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(engine_module, "decode", fail)
    with pytest.raises(RuntimeError, match="out of memory"):
        run_engine(engine)
    assert running.finish_reason == waiting.finish_reason == "error"
    with pytest.raises(EngineClosed):
        engine.submit(asking([3]))


def test_the_thread_sleeps_wakes_and_ends() -> None:
    engine = small_engine(2)
    thread = threading.Thread(target=run_engine, args=(engine,))
    thread.start()
    ended = threading.Event()
    each = asking([1], 5)
    each.deliver = lambda text, reason: ended.set() if reason else None
    engine.submit(each)
    assert ended.wait(10) and each.finish_reason == "length"
    engine.close()
    thread.join(10)
    assert not thread.is_alive()


def test_width_one_and_a_prompt_of_one_token() -> None:
    assert len(run_all(small_engine(1), [asking([0], 1)])[0].reply) == 1


@pytest.mark.parametrize(
    ("fields", "message"),
    [({"max_tokens": 0}, "max_tokens = 0"), ({"temperature": -1.0}, "temperature = -1.0"),
     ({"top_p": 0.0}, "top_p = 0.0"), ({"seed": -1}, "seed = -1"),
     ({"stop": ("",)}, "leave it out")],
)  # fmt: skip
def test_impossible_sampling_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Sampling(**{"max_tokens": 1, **fields})


def test_both_attentions_serve_the_same_replies() -> None:
    tokenizer = small_tokenizer()
    replies = []
    for attention in ("reference", "torch"):
        model = small_model(tokenizer, attention=attention)
        engine = Engine(model, tokenizer, num_slots=3, max_queue=9)
        replies.append([each.reply for each in run_all(engine, many(6))])
    assert replies[0] == replies[1]
