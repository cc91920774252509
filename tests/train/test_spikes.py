"""Spikes: measured by hand, left out, rolled back; what a resumed run and other ranks decide."""

import math
import os
import signal
from collections.abc import Iterator
from dataclasses import replace
from itertools import repeat
from pathlib import Path
from statistics import fmean, stdev
from types import SimpleNamespace

import pytest
import torch
from torch import nn

from minillm.batches.stream import Batch, Stream
from minillm.core.records import JsonLines, read_json_lines
from minillm.model.transformer import Transformer
from minillm.train import resumable, run_log, trainer
from minillm.train.averaging import optimizer_for
from minillm.train.checkpoint import save_checkpoint
from minillm.train.loop import train, training_step
from minillm.train.optimizer import make_optimizer
from minillm.train.ranks import ALONE, Unlogged
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.spikes import SpikeConfig, yardstick
from minillm.train.trainer import LOG, pretrain
from minillm.train.watch import SpikeFound, SpikeWatch, Watches, remember, seen
from tests.train.test_loop import LOSS, Lines, config, made_batch
from tests.train.test_statistics import Writer
from tests.train.tiny import losses, tiny_config, tiny_model, tiny_run, weights

WATCHED = SpikeConfig(action="skip", window=16, min_steps=4)
POISONED = 12  # the batch with wrong targets in runs of twenty steps: it is read by step 13


pytestmark = pytest.mark.usefixtures("one_thread")


def test_the_yardstick_by_hand() -> None:
    """Median 2; deviations 0 .1 .1 .2 .2, their median .1; a spread is .14826: 3.0 is 6.745 out."""
    found = yardstick([2.0, 2.1, 1.9, 2.2, 1.8], [8] * 5, 8)
    assert found.middle == 2.0
    assert found.spread == pytest.approx(0.14826)
    assert found.distance(3.0) == pytest.approx(1 / 0.14826)
    assert found.distance(math.nan) == found.distance(math.inf) == math.inf


def test_a_mean_over_a_quarter_of_the_targets_may_lie_twice_as_far() -> None:
    recent = [2.0, 2.1, 1.9, 2.2, 1.8]
    whole, quarter = (yardstick(recent, [800] * 5, count) for count in (800, 200))
    assert quarter.spread == pytest.approx(2 * whole.spread)


def test_spikes_among_the_recent_do_not_bend_it_as_they_bend_mean_and_deviation() -> None:
    calm = [2 + 0.1 * math.sin(7 * step) for step in range(32)]
    bent = [*calm[:28], 9.0, 12.0, 9.0, 12.0]
    assert yardstick(bent, [1] * 32, 1).distance(5.0) > 15
    assert (5.0 - fmean(bent)) / stdev(bent) < 1


def false_alarms(by_count: bool) -> int:
    """Alarms in 3,000 steps of a calm run whose last batch of ten has a sixteenth of the rows."""
    noise, alarms = torch.Generator().manual_seed(0), 0
    recent: list[float] = []
    counts: list[int] = []
    for step in range(3000):
        count = 4 if step % 10 == 9 else 64
        value = 3 + torch.randn((), generator=noise).item() / math.sqrt(count)
        if len(recent) >= 16:
            told = (counts, count) if by_count else ([1] * len(counts), 1)
            alarms += yardstick(recent, *told).distance(value) > 8
        recent, counts = [*recent, value][-64:], [*counts, count][-64:]
    return alarms


def test_fewer_rows_are_no_spike_and_a_yardstick_that_forgets_them_sees_many() -> None:
    assert false_alarms(by_count=True) == 0
    assert false_alarms(by_count=False) > 5


def norm_distances(share_of_noise: float) -> Iterator[tuple[TrainState, dict, int]]:
    """A gradient's lengths in 10⁴ dimensions: a ramp of the batch, each tenth one far smaller."""
    noise, state = torch.Generator().manual_seed(0), TrainState()
    true = (1 - share_of_noise) * torch.ones(10_000)
    for step in range(400):
        count = 4 if step % 10 == 9 else 16 * (1 + min(3, step // 50))
        random = share_of_noise * torch.randn(10_000, generator=noise) / math.sqrt(count)
        norm = float((true + random).norm())
        yield state, seen(3.0, norm, count, state, WATCHED), count
        remember(state, 3.0, norm, count, WATCHED.window)


@pytest.mark.parametrize("share_of_noise", [1.0, 0.5, 0.05])
def test_a_longer_gradient_over_fewer_rows_is_no_spike(share_of_noise: float) -> None:
    """E‖g‖² = ‖μ‖² + σ²/n: of 4 rows instead of 64 up to four times as long."""
    found = list(norm_distances(share_of_noise))
    assert max(line["norm_distance"] for _, line, _ in found) <= 8


def test_planted_bug_norms_measured_like_losses_cry_wolf() -> None:
    alarms = 0
    for state, line, count in norm_distances(1.0):
        if len(state.recent_norms) >= WATCHED.min_steps:
            plain = yardstick(state.recent_norms, state.recent_counts, count)
            alarms += plain.distance(line["gradient_norm"]) > 8
    assert alarms > 30  # a small batch comes every tenth step


def test_a_norm_many_times_as_long_is_still_a_spike_at_any_number_of_rows() -> None:
    *_, (state, line, _) = norm_distances(1.0)
    for count in (4, 64, 256):
        longest = max(1.0, math.sqrt(64 / count)) * 100 / math.sqrt(64)
        assert seen(3.0, 5 * longest, count, state, WATCHED)["norm_distance"] > 8


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action": "panic"}, "spikes.action = 'panic': choose one of log, skip, rollback"),
        ({"factor": 0.0}, "spikes.factor = 0.0: must be above 0"),
        ({"min_steps": 1}, "spikes.min_steps = 1: must lie between 2 and window = 64"),
        ({"min_steps": 99}, "spikes.min_steps = 99: must lie between 2"),
        ({"margin_batches": -1}, "spikes.margin_batches = -1: must be at least 0"),
        ({"max_rollbacks": 0}, "spikes.max_rollbacks = 0: must be at least 1"),
    ],
)
def test_a_configuration_that_cannot_be_is_refused(fields: dict, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        SpikeConfig(**fields)


def test_a_rollback_needs_something_to_go_back_to() -> None:
    with pytest.raises(ValueError, match="'rollback' with checkpoint_every_steps = None.*'skip'"):
        TrainingConfig(max_steps=9, spikes=SpikeConfig(action="rollback"))


class Poisoned:
    """One batch for ever, but at some places its loss is a hundred times as large."""

    def __init__(self, places: set[int]) -> None:
        self.position, self.places = 0, places

    def __iter__(self) -> Iterator[tuple[Batch, bool]]:
        return self

    def __next__(self) -> tuple[Batch, bool]:
        self.position += 1
        return made_batch(2, self.position % 3), self.position - 1 in self.places


def loss_fn(model: nn.Module, given: tuple[Batch, bool]) -> tuple:
    loss, figures = LOSS(model, given[0])
    return loss * (100.0 if given[1] else 1.0), figures


def watched_run(
    places: set[int], settings: SpikeConfig = WATCHED, ranks: object = ALONE, **training: object
) -> tuple[TrainState, Lines, nn.Module]:
    torch.manual_seed(0)
    model, state, log = Transformer(tiny_model()), TrainState(), Lines()
    asked = config(**{"max_steps": 12, **training})
    stream = Poisoned(places)
    watcher = SpikeWatch(
        settings, state, log, position=lambda: stream.position, ranks=ranks,
        is_scaled=asked.precision == "float16",
    )  # fmt: skip
    optimizer = optimizer_for(model, asked)
    train(model, stream, loss_fn, optimizer, asked, state=state, log=log, watch=watcher)
    return state, log, model


def spike_lines(log: list[dict]) -> list[dict]:
    return [line for line in log if line["event"] == "spike"]


def test_a_spike_is_left_out_and_the_log_says_which_batch_and_how_far() -> None:
    state, log, _ = watched_run({7})
    (spike,) = spike_lines(log)
    assert spike["step"] == 8 and spike["batches"] == [7, 7] and spike["action"] == "skip"
    assert spike["loss"] > 50 * spike["usual_loss"] and spike["loss_distance"] > 100
    assert spike["norm_distance"] > 8
    assert [line["step"] for line in log if line.get("is_skipped")] == [8]
    assert state.num_skipped_in_a_row == 0 and len(state.recent_losses) == 11


def test_a_step_left_out_moves_no_weight_and_no_average() -> None:
    torch.manual_seed(0)
    model, state = Transformer(tiny_model()), TrainState()
    settings, stream = config(spikes=WATCHED), Poisoned({5})
    optimizer = optimizer_for(model, settings)
    watcher = SpikeWatch(WATCHED, state, Unlogged(), position=lambda: stream.position)

    def step() -> dict:
        return training_step(
            model, stream, loss_fn, optimizer, settings, fraction=0.5, watch=watcher
        )

    for _ in range(5):
        step()
    parts = (model.state_dict, optimizer.state_tensors)
    before = [{name: each.clone() for name, each in part().items()} for part in parts]
    assert step()["is_skipped"] == 1.0
    after = [part() for part in parts]
    assert all(torch.equal(old[n], new[n]) for old, new in zip(before, after) for n in old)
    assert all(parameter.grad is None for parameter in model.parameters())
    assert "is_skipped" not in step()
    assert not torch.equal(model.lm_head.weight, before[0]["lm_head.weight"])


def test_a_spike_that_is_only_logged_moves_the_weights() -> None:
    logged, log, model = watched_run({7}, replace(WATCHED, action="log"))
    assert len(spike_lines(log)) == 1 and not any(line.get("is_skipped") for line in log)
    _, _, left_out = watched_run({7})
    assert not torch.equal(model.lm_head.weight, left_out.lm_head.weight)
    assert len(logged.recent_losses) == 12


def test_a_loss_that_is_no_number_is_left_out_from_the_first_step_on(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state, log, model = watched_run({0, 7})
    assert [line["step"] for line in spike_lines(log)] == [8]  # too early to know what is usual

    def broken(model: nn.Module, given: tuple[Batch, bool]) -> tuple:
        loss, figures = LOSS(model, given[0])
        return loss * (math.nan if given[1] else 1.0), figures

    monkeypatch.setitem(globals(), "loss_fn", broken)
    state, log, model = watched_run({0, 7})
    assert [line["step"] for line in spike_lines(log)] == [1, 8]
    assert all(bool(torch.isfinite(each).all()) for each in model.parameters())
    assert len(state.recent_losses) == 10


def test_too_many_skips_in_a_row_are_one_clear_error() -> None:
    with pytest.raises(
        ValueError, match="max_skips_in_a_row = 4: another spike.*step 12, batches 11 to 11.*lower"
    ):
        watched_run(set(range(7, 99)), max_steps=40)


def test_a_float16_overflow_still_reaches_the_optimizer() -> None:
    """Where the loss is finite the norm's infinity is the scale's: it halves, and nobody skips."""
    torch.manual_seed(0)
    model, state, log = Transformer(tiny_model()), TrainState(), Lines()
    settings = config(precision="float16")
    optimizer = optimizer_for(model, settings)
    optimizer.scale = 2.0**40
    options = {"position": lambda: 0, "is_scaled": True}

    def step(watcher: SpikeWatch) -> dict:
        batches = repeat(made_batch(1, 0))
        return training_step(
            model, batches, LOSS, optimizer, settings, fraction=0.5, watch=watcher
        )

    figures = step(SpikeWatch(WATCHED, state, log, **options))
    assert figures["loss_scale"] == 2.0**39 and log == [] and state.recent_losses == []
    # the planted bug: a watch that does not know of the scale keeps it for ever
    step(SpikeWatch(WATCHED, state, log, position=lambda: 0))
    assert optimizer.scale == 2.0**39 and len(log) == 1


class Told:
    """Ranks of which another one has seen a spike, at its third step."""

    rank, world_size = 1, 2

    def __init__(self) -> None:
        self.num_asked = 0

    def average_gradients(self, model: nn.Module, sums: dict) -> dict:
        return sums

    def largest(self, *values: float) -> list[float]:
        self.num_asked += len(values) == 1
        return [max(values[0], float(self.num_asked == 3)), *values[1:]]


def test_a_rank_leaves_out_what_another_one_leaves_out() -> None:
    log, state, told = Lines(), TrainState(), Told()
    watcher = SpikeWatch(WATCHED, state, log, position=lambda: 0, ranks=told)
    figures = {"loss": 2.0, "gradient_norm": 1.0, "num_targets": 8}
    assert [watcher.allows_move(figures) for _ in range(5)] == [True, True, False, True, True]


def test_after_a_no_nobody_else_is_asked_and_only_those_asked_hear_more() -> None:
    heard = []

    class Named:
        def __init__(self, name: str, answer: bool) -> None:
            self.name, self.answer = name, answer

        def allows_move(self, figures: dict) -> bool:
            heard.append(f"{self.name}?")
            return self.answer

        def after_move(self) -> None:
            heard.append(self.name)

    several = Watches([Named("a", True), Named("b", False), Named("c", True)])
    assert not several.allows_move({})
    several.after_move()
    assert heard == ["a?", "b?", "a", "b"]


class PoisonedStream(Stream):
    """The run's own batches; the targets of some are one and the same token."""

    places = (POISONED,)

    def __next__(self) -> Batch:
        is_hit, batch = self.position in self.places, super().__next__()
        return replace(batch, targets_BT=torch.full_like(batch.targets_BT, 7)) if is_hit else batch


class JumpingStream(Stream):
    """The run's own batches without those that a rollback to step 10 leaves out."""

    def __next__(self) -> Batch:
        if self.position == 10:
            self.position = POISONED + 1
        return super().__next__()


ROLLED_BACK = SpikeConfig(
    action="rollback", window=16, min_steps=4, factor=6.0, margin_batches=0
)  # fmt: skip


class Killed(BaseException):
    """Stands for a death of the process: nothing catches it."""


def run_with(
    home: Path, stream: type[Stream], patch: pytest.MonkeyPatch,
    deaths: tuple[int, ...] = (), **training: object,
) -> tuple[list, bytes, list[dict]]:
    """Curve, weights and log of a run over these batches that dies after each of these steps."""
    run = tiny_run(home)
    patch.setattr(trainer, "Stream", stream)
    settings = tiny_config(run, **{"spikes": ROLLED_BACK, **training})
    for death in deaths:

        def dies(_model: nn.Module, step: int, death: int = death) -> dict:
            lines = [line["event"] for line in read_json_lines(run.path / LOG)]
            if step == death and ("rollback" in lines or death < POISONED):
                raise Killed
            return {}

        with pytest.raises(Killed):
            pretrain(settings, run, evaluate=dies)
    artifact = pretrain(settings, run)
    return losses(run), weights(artifact), list(read_json_lines(run.path / LOG))


def test_a_rollback_is_the_run_without_the_batches_it_leaves_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve, end, log = run_with(tmp_path / "back", PoisonedStream, monkeypatch)
    clean, clean_end, _ = run_with(tmp_path / "jump", JumpingStream, monkeypatch)
    assert [step for step, *_ in curve] == list(range(1, 21))
    assert (curve, end) == (clean, clean_end)
    (line,) = [line for line in log if line["event"] == "rollback"]
    assert (line["spike_step"], line["to_step"], line["step"]) == (13, 10, 11)
    assert line["batches"] == [POISONED, POISONED] and line["left_out"] == [10, POISONED]
    assert [step for step, _ in line["given_up"]] == [11, 12]
    assert max(line["loss_distance"], line["norm_distance"]) > ROLLED_BACK.factor


@pytest.mark.parametrize("forgotten", ["gradients", "stream"])
def test_planted_bugs_in_going_back_are_seen(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, forgotten: str
) -> None:
    clean, _, _ = run_with(tmp_path / "jump", JumpingStream, monkeypatch)
    back = resumable.gone_back
    if forgotten == "gradients":

        def leaves_gradients(spike: object, state: object, model: nn.Module, *rest, **more):
            kept = {name: each.grad.clone() for name, each in model.named_parameters()}
            found = back(spike, state, model, *rest, **more)
            for name, each in model.named_parameters():
                each.grad = kept[name]
            return found

        monkeypatch.setattr(resumable, "gone_back", leaves_gradients)
        curve, _, _ = run_with(tmp_path / "back", PoisonedStream, monkeypatch)
        assert curve[:10] == clean[:10] and curve[10] != clean[10]
    else:

        class Stuck(PoisonedStream):
            def __init__(self, *given: object, position: int = 0, **more: object) -> None:
                super().__init__(*given, position=min(position, 10), **more)

        with pytest.raises(ValueError, match="max_rollbacks = 3"):
            run_with(tmp_path / "back", Stuck, monkeypatch)


@pytest.mark.parametrize("deaths", [(8,), (12,), (12, 17)])
def test_killed_around_a_rollback_the_run_ends_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, deaths: tuple[int, ...]
) -> None:
    """Step 12 is met before the rollback and after it, where it dies: nothing is saved yet."""
    plain = run_with(tmp_path / "plain", PoisonedStream, monkeypatch, evaluate_every_steps=1)
    killed = run_with(tmp_path / "killed", PoisonedStream, monkeypatch, deaths=deaths)
    assert killed[:2] == plain[:2]
    backs = [[line for line in log if line["event"] == "rollback"] for *_, log in (plain, killed)]
    assert backs[0] == backs[1] and len(backs[0]) == 1


def test_a_spike_before_the_first_checkpoint_goes_back_to_the_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    curve, _, log = run_with(
        tmp_path, PoisonedStream, monkeypatch, checkpoint_every_steps=15
    )  # fmt: skip
    (line,) = [line for line in log if line["event"] == "rollback"]
    assert line["to_step"] == 0 and line["step"] == 1 and line["left_out"] == [0, POISONED]
    assert [step for step, *_ in curve] == list(range(1, 21))


def test_a_margin_leaves_out_what_stands_behind_the_spike(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Three bad batches in a row cost one rollback with a margin of two, three without one."""

    class Row(PoisonedStream):
        places = (POISONED, POISONED + 1, POISONED + 2)

    found = {}
    for margin in (0, 2):
        settings = {"spikes": replace(ROLLED_BACK, margin_batches=margin)}
        _, _, log = run_with(tmp_path / str(margin), Row, monkeypatch, **settings)
        found[margin] = [line["left_out"] for line in log if line["event"] == "rollback"]
    assert found[2] == [[10, POISONED + 2]]
    assert found[0] == [[10, POISONED + more] for more in range(3)], "each has its line"


def test_a_signal_in_the_spikes_step_stops_the_run_once_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = run_with(tmp_path / "plain", PoisonedStream, monkeypatch)
    asked = []

    class Asking(PoisonedStream):
        def __next__(self) -> Batch:
            if self.position == POISONED and not asked:
                asked.append(POISONED)
                os.kill(os.getpid(), signal.SIGTERM)
            return super().__next__()

    with pytest.raises(KeyboardInterrupt, match="SIGTERM: training stopped after step 10"):
        run_with(tmp_path / "asked", Asking, monkeypatch)
    resumed = run_with(tmp_path / "asked", Asking, monkeypatch)
    assert asked == [POISONED] and resumed[:2] == plain[:2]
    assert len([line for line in resumed[2] if line["event"] == "rollback"]) == 1


def test_a_signal_to_another_rank_in_the_spikes_step_stops_this_one_too() -> None:
    spike = SpikeFound({"loss": 9.0, "step": 13}, 13)
    resumable.stop_if_asked(spike, TrainState(step=10), ALONE)

    class Other:
        def largest(self, *values: float) -> list[float]:
            return [*values[:-1], 1.0]

    with pytest.raises(KeyboardInterrupt, match="a signal to another rank.* after step 10"):
        resumable.stop_if_asked(spike, TrainState(step=10), Other())


def test_a_rollback_gives_back_no_time_that_was_spent(tmp_path: Path) -> None:
    """Not that of compiling either: it came once, and perhaps after the checkpoint."""
    model, stream = Transformer(tiny_model()), SimpleNamespace(position=10)
    optimizer = make_optimizer(model, "adamw", weight_decay=0.1, betas=(0.9, 0.95))
    before = TrainState(step=10, elapsed_s=5.0)
    kept = resumable.run_checkpoint(model, optimizer, stream, before, "key")
    save_checkpoint(kept, tmp_path / "checkpoints", 10, keep=1)
    spike = SpikeFound({"loss": 9.0, "step": 13}, 13)
    state = TrainState(step=12, elapsed_s=60.0, compiling_s=40.0, num_rollbacks=1)
    (tmp_path / "log.jsonl").touch()
    back = resumable.gone_back(
        spike, state, model, optimizer, tmp_path / "checkpoints", tmp_path / "log.jsonl",
        JsonLines(tmp_path / "log.jsonl"), "key",
    )  # fmt: skip
    found = back.step, back.elapsed_s, back.compiling_s, back.num_rollbacks
    assert found == (10, 60.0, 40.0, 2)


def test_a_rollback_stands_on_the_board_without_what_it_gave_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    writer = Writer()
    monkeypatch.setattr(run_log, "board_writer", lambda folder, step: writer)
    run_with(tmp_path, PoisonedStream, monkeypatch, tensorboard=True)
    assert ("rollback/to_step", 10.0, 11) in writer.scalars and writer.is_closed
    assert not any("given_up" in tag for tag, *_ in writer.scalars)


def test_rollbacks_are_bounded_and_the_error_names_the_batch(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Everywhere(PoisonedStream):
        places = tuple(range(POISONED, 200))

    # each rollback leaves out one batch more: 12, 13, 14 are behind it when 15 is met
    with pytest.raises(ValueError, match="max_rollbacks = 3.*batches 15 to 15, loss"):
        run_with(tmp_path, Everywhere, monkeypatch)


def test_a_skipping_run_that_is_killed_goes_on_with_what_it_knows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    skip = {"spikes": replace(ROLLED_BACK, action="skip"), "average_decay": 0.9}
    plain = run_with(tmp_path / "plain", PoisonedStream, monkeypatch, **skip)
    killed = run_with(tmp_path / "killed", PoisonedStream, monkeypatch, deaths=(11,), **skip)
    assert killed[:2] == plain[:2] and len(spike_lines(killed[2])) == 1
    # the planted bug: a resumed run that forgets what was usual lets the spike through
    state_of = resumable.restore_run

    def forgetful(*given: object) -> TrainState:
        return replace(state_of(*given), recent_losses=[], recent_norms=[], recent_counts=[])

    monkeypatch.setattr(resumable, "restore_run", forgetful)
    blind = run_with(tmp_path / "blind", PoisonedStream, monkeypatch, deaths=(11,), **skip)
    assert blind[0][:12] == plain[0][:12] and blind[1] != plain[1]
