"""Statistics of a step, each against a number known otherwise; what is off leaves no trace."""

import io
import math
import re
import sys
from dataclasses import replace
from itertools import repeat
from pathlib import Path

import pytest
import torch
from torch import nn

from minillm.core.progress import Progress
from minillm.core.records import read_json_lines
from minillm.model.attention import reference_attention
from minillm.model.counting import training_flops
from minillm.model.transformer import Transformer
from minillm.train import loop, machine, resumable, run_log, statistics
from minillm.train.averaging import optimizer_for
from minillm.train.board import BoardLog, board_writer, scalars
from minillm.train.loop import train, training_step
from minillm.train.picture import LiveCurves
from minillm.train.ranks import Unlogged
from minillm.train.schedule import TrainingConfig, TrainState
from minillm.train.statistics import (
    Probe,
    StatisticsWatch,
    attention_entropy,
    dead_share,
    gradient_norms,
    kind_of,
    layer_of,
    update_ratios,
)
from minillm.train.trainer import LOG, next_token_loss, pretrain
from tests.train.test_loop import LOSS, Lines, config, made_batch
from tests.train.tiny import CONTEXT, losses, tiny_config, tiny_model, tiny_run, weights


def fresh(**changes: object) -> Transformer:
    torch.manual_seed(0)
    return Transformer(tiny_model(**changes))


def measured(num_steps: int = 6, every: int = 2, **training: object) -> tuple[Lines, Lines]:
    """The statistics of a short run, and its steps."""
    settings = config(max_steps=num_steps, statistics_every_steps=every, **training)
    model, state, log = fresh(), TrainState(), Lines()
    watcher = StatisticsWatch(model, settings, state, log)
    train(
        model, repeat(made_batch(2, 0)), watcher.noting(LOSS), optimizer_for(model, settings),
        settings, state=state, log=log, watch=watcher,
    )  # fmt: skip
    return tuple([line for line in log if line["event"] == name] for name in ("statistics", "step"))


def test_every_parameter_has_a_kind_and_a_layer() -> None:
    names = [name for name, _ in fresh(tie_embeddings=False).named_parameters()]
    kinds = {kind_of(name) for name in names}
    assert kinds == {"embedding", "attention", "feed-forward", "norms", "head"}
    assert kind_of("model.layers.1.input_layernorm.weight") == "norms"
    layers = {layer_of(name) for name in names}
    assert layers == {"layer 0", "layer 1", "embedding", "norms", "head"}
    assert layer_of("model.layers.11.mlp.up_proj.weight") == "layer 11"
    assert kind_of("value_head.weight") == layer_of("value_head.weight") == "other"


def test_a_lines_figures_are_those_of_its_step() -> None:
    lines, steps = measured()
    assert [line["step"] for line in lines] == [2, 4, 6]
    for line in lines:
        total = math.sqrt(sum(norm**2 for norm in line["gradient_norms"].values()))
        assert total == pytest.approx(steps[line["step"] - 1]["gradient_norm"], rel=1e-5)
        assert len(line["dead_units"]) == len(line["attention_entropy_nats"]) == 2
        assert line["resident_peak_bytes"] > 1 << 20


@pytest.mark.parametrize("clip_norm", [1e-3, 1e9])
def test_norms_are_those_before_clipping(clip_norm: float) -> None:
    lines, _ = measured(num_steps=1, every=1, clip_norm=clip_norm)
    model = fresh()
    LOSS(model, made_batch(2, 0))[0].backward()
    norms = gradient_norms(
        model, float(torch.cat([p.grad.flatten() for p in model.parameters()]).norm())
    )
    assert lines[0]["gradient_norms"] == pytest.approx(norms, rel=1e-5)


def test_the_update_ratio_is_the_move_over_the_weight_before_it() -> None:
    """By hand: 3, 4 becomes 3.3, 4.4: moved by .5, long 5 before: .1."""
    model = nn.Linear(2, 1, bias=False)
    model.weight.data = torch.tensor([[3.0, 4.0]])
    before = {"weight": model.weight.detach().clone()}
    model.weight.data = torch.tensor([[3.3, 4.4]])
    assert update_ratios(before, model)["other"] == pytest.approx(0.1)


def test_the_ratio_of_a_run_is_found_by_adamw_alone() -> None:
    """The first AdamW step moves every number by the rate: ‖Δθ‖ is rate · √n."""
    lines, _ = measured(num_steps=1, every=1, learning_rate=1e-3, weight_decay=0.0)
    model = fresh()
    name = "model.norm.weight"
    size = dict(model.named_parameters())[name]
    expected = 1e-3 * math.sqrt(size.numel()) / float(size.detach().norm())
    assert lines[0]["update_ratios"]["norms"] == pytest.approx(expected, rel=0.01)


def test_planted_bugs_in_the_update_ratio_are_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """Divided by the gradient, or both taken after the step: neither gives the ratio by hand."""
    model = nn.Linear(2, 1, bias=False)
    model.weight.data, gradient = torch.tensor([[3.3, 4.4]]), torch.tensor([[1.0, 0.0]])
    before = {"weight": torch.tensor([[3.0, 4.0]])}
    norms_of = statistics.norms_of

    def of_gradient(tensors: dict) -> dict:
        return norms_of({n: gradient if each is before["weight"] else each for n, each in
                         tensors.items()})  # fmt: skip

    def of_after(tensors: dict) -> dict:
        return norms_of({n: model.weight.data if each is before["weight"] else each for n, each in
                         tensors.items()})  # fmt: skip

    for bug in (of_gradient, of_after):
        monkeypatch.setattr(statistics, "norms_of", bug)
        assert update_ratios(before, model)["other"] != pytest.approx(0.1, rel=1e-3)


def test_a_unit_that_was_killed_is_found_dead_over_all_batches_of_a_step() -> None:
    model, batches = fresh(), [made_batch(2, seed) for seed in (1, 2)]
    F = model.config.ffn_width
    with torch.no_grad():
        model.model.layers[1].mlp.up_proj.weight[: F // 4] = 0.0
    probe = Probe(model)
    with probe.looking():
        for batch in batches:
            model(batch.tokens_BT)
    assert probe.figures()["dead_units"] == [0.0, 0.25]
    assert not any(m._forward_pre_hooks for m in model.modules())
    attends = {layer.self_attn.attend for layer in model.model.layers}
    assert all(not hasattr(each, "__wrapped__") for each in attends)


def test_active_once_is_not_dead() -> None:
    assert dead_share(torch.tensor([0.0, 5.0, 0.009, 0.011]), torch.tensor(1.0)) == 0.5


@pytest.mark.parametrize("has_documents", [False, True])
def test_entropy_equals_that_of_the_weights_written_out(has_documents: bool) -> None:
    q, k = torch.randn(1, 4, 7, 8), torch.randn(1, 2, 7, 8)
    documents = torch.tensor([[0, 0, 0, 1, 1, 1, 1]]) if has_documents else None
    eye = torch.eye(7).expand(1, 2, 7, 7)
    weights_BHTS = reference_attention(q, k, eye, documents_BT=documents)
    expected = -torch.xlogy(weights_BHTS, weights_BHTS).sum(-1).mean()
    assert float(attention_entropy(q, k, documents_BT=documents)) == pytest.approx(
        float(expected), abs=1e-6
    )


def test_entropy_by_hand() -> None:
    """Equal keys: query t looks at t places alike, ln 1 … ln 4; mean ln 24 / 4."""
    zeros = torch.zeros(1, 1, 4, 2)
    assert float(attention_entropy(zeros, zeros)) == pytest.approx(math.log(24) / 4)


def test_entropy_of_a_window_by_hand() -> None:
    """Two keys at most: ln 1, then ln 2 three times."""
    zeros = torch.zeros(1, 1, 4, 2)
    assert float(attention_entropy(zeros, zeros, window=2)) == pytest.approx(3 * math.log(2) / 4)


def test_windows_and_experts_are_looked_into_as_far_as_they_go() -> None:
    model = fresh(window=2, num_experts=3)
    for layer in model.model.layers:
        layer.self_attn.q_proj.weight.data.zero_()  # every key seen is heard alike
    probe = Probe(model)
    with probe.looking():
        LOSS(model, made_batch(2, 0))
    found = probe.figures()
    assert found.keys() == {"attention_entropy_nats", "expert_shares"}
    assert max(found["attention_entropy_nats"]) <= math.log(2)


def test_the_experts_shares_are_those_of_all_batches_of_a_step() -> None:
    model, batches = fresh(num_experts=3, experts_per_token=1), [made_batch(2, 0), made_batch(1, 1)]
    # of two layers the first sends all tokens to one expert, the second each to the best of three
    model.model.layers[0].mlp.gate.weight.data.zero_()
    chosen = []
    model.model.layers[1].mlp.register_forward_hook(
        lambda experts, *_given: chosen.append(experts.chosen_NA.flatten())
    )
    probe = Probe(model)
    with probe.looking():
        for batch in batches:
            LOSS(model, batch)
    first, second = probe.figures()["expert_shares"]
    assert sorted(first) == [0.0, 0.0, 1.0]
    counts = torch.cat(chosen).bincount(minlength=3)
    assert second == pytest.approx((counts / counts.sum()).tolist()) and len(chosen) == 2
    assert sum(len(each._forward_hooks) for each in model.modules()) == 1  # the test's own
    probe.forget()
    assert probe.figures() == {}


def test_entropy_is_computed_in_float32_under_autocast_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plain, asked = statistics.attention_entropy, []

    def noting(*given: torch.Tensor, **named: object) -> torch.Tensor:
        asked.append((given, named, plain(*given, **named)))
        return asked[-1][-1]

    monkeypatch.setattr(statistics, "attention_entropy", noting)
    model = fresh()
    probe = Probe(model)
    with torch.autocast("cpu", torch.bfloat16), probe.looking():
        LOSS(model, made_batch(2, 0))
    assert len(asked) == 2
    for given, named, found in asked:
        assert torch.equal(found, plain(*given, **named))
        with torch.autocast("cpu", torch.bfloat16):
            assert not torch.equal(found, plain(*given, **named)), "products would be bfloat16's"


class Clock:
    """A clock that moves by half a second whenever it is read."""

    now_s = 0.0

    def perf_counter(self) -> float:
        self.now_s += 0.5
        return self.now_s


def test_speed_mfu_and_time_left_by_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half a second a step of 2 × 24 tokens; a machine of 1 GFLOP/s; ten watts a thread."""
    monkeypatch.setattr(loop, "time", Clock())
    monkeypatch.setattr(statistics, "peak_flops", lambda device, precision: 1e9)
    monkeypatch.setattr(machine.torch, "get_num_threads", lambda: 3)
    lines, _ = measured(num_steps=8, every=4)
    first, second = lines
    flops = training_flops(tiny_model(), 2, CONTEXT)
    assert first["tokens_per_s"] == second["tokens_per_s"] == 2 * CONTEXT / 0.5
    assert second["mfu"] == pytest.approx(flops / 0.5 / 1e9)
    assert second["eta_s"] == pytest.approx(0.5)  # the line is written before step 8 is counted
    assert (second["assumed_watts"], second["energy_j"]) == (30.0, 30.0 * 3.5)


def test_energy_is_that_of_all_ranks_as_the_tokens_are(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two ranks of three threads, ten watts each: joules a token do not halve with a rank more."""
    monkeypatch.setattr(loop, "time", Clock())
    monkeypatch.setattr(statistics, "peak_flops", lambda device, precision: 1e9)
    monkeypatch.setattr(machine.torch, "get_num_threads", lambda: 3)
    settings = config(max_steps=8, statistics_every_steps=4)
    model, state, log, two = fresh(), TrainState(), Lines(), Unlogged()
    two.rank, two.world_size = 0, 2
    watch, loss_fn = resumable.watched(model, settings, LOSS, state, log, repeat(None), two)
    train(
        model, repeat(made_batch(2, 0)), loss_fn, optimizer_for(model, settings), settings,
        state=state, log=log, watch=watch,
    )  # fmt: skip
    last = [line for line in log if line["event"] == "statistics"][-1]
    assert (last["assumed_watts"], last["energy_j"]) == (60.0, 60.0 * 3.5)


def test_accumulated_and_recomputed_operations_are_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(loop, "time", Clock())
    monkeypatch.setattr(statistics, "peak_flops", lambda device, precision: 1.0)
    lines, _ = measured(num_steps=4, every=2, accumulate=3, recompute=True)
    flops = training_flops(tiny_model(), 2, CONTEXT, is_recomputed=True)
    assert lines[-1]["mfu"] == pytest.approx(3 * flops / 0.5)


def test_operations_are_those_of_the_steps_that_were_made_while_a_batch_grows(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Eight steps of 1, 1, 2, 2, 3, 3, 4, 4 batches: the last line is of steps 4 to 7."""
    monkeypatch.setattr(loop, "time", Clock())
    monkeypatch.setattr(statistics, "peak_flops", lambda device, precision: 1.0)
    lines, _ = measured(num_steps=8, every=4, accumulate=4, ramp_fraction=1.0)
    flops = training_flops(tiny_model(), 2, CONTEXT)
    assert lines[-1]["mfu"] == pytest.approx((2 + 3 + 3 + 4) * flops / (4 * 0.5))


def test_the_peak_is_measured_once_and_is_a_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(machine.PEAK_WIDTH, "cpu", 64)
    machine.peak_flops.cache_clear()
    peak = machine.peak_flops("cpu", "float32")
    assert 1e7 < peak < 1e14
    monkeypatch.setattr(machine, "time", None)  # a second measurement would need a clock
    assert machine.peak_flops("cpu", "float32") == peak
    machine.peak_flops.cache_clear()


def test_statistics_change_no_bit_of_a_run(tmp_path: Path) -> None:
    runs = [tiny_run(tmp_path / name) for name in ("plain", "looked")]
    plain = pretrain(tiny_config(runs[0]), runs[0])
    looked = pretrain(tiny_config(runs[1], statistics_every_steps=3), runs[1])
    assert losses(runs[0]) == losses(runs[1]) and weights(plain) == weights(looked)
    lines = list(read_json_lines(runs[1].path / LOG))
    steps = [line["step"] for line in lines if line["event"] == "statistics"]
    assert steps == [3, 6, 9, 12, 15, 18]
    assert all("mfu" in line for line in lines if line["event"] == "statistics")


def test_what_is_off_is_never_called(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this module runs where nobody asks for it: not once in twenty steps."""
    monkeypatch.setattr(resumable, "StatisticsWatch", None)
    run = tiny_run(tmp_path)
    pretrain(tiny_config(run), run)
    every = list(read_json_lines(run.path / LOG))
    assert {line["event"] for line in every} <= {"step", "checkpoint"}


def test_steps_between_are_not_looked_into(monkeypatch: pytest.MonkeyPatch) -> None:
    looked = []
    looking = Probe.looking
    monkeypatch.setattr(Probe, "looking", lambda self: looked.append(1) or looking(self))
    measured(num_steps=10, every=5, accumulate=2)
    assert len(looked) == 2 * 2


def test_a_compiled_step_is_not_looked_into() -> None:
    settings = config(max_steps=1, statistics_every_steps=1, compile=True)
    model, state, log = fresh(), TrainState(), Lines()
    watcher = StatisticsWatch(model, settings, state, log)
    training_step(
        model, repeat(made_batch(1, 0)), watcher.noting(LOSS), optimizer_for(model, settings),
        replace(settings, precision="float32"), fraction=0.5, watch=watcher,
    )  # fmt: skip
    assert "dead_units" not in log[0] and "update_ratios" in log[0]


def test_another_model_than_a_transformer_has_what_can_be_known() -> None:
    model, state, log = nn.Linear(3, 1), TrainState(), Lines()
    settings = config(max_steps=2, statistics_every_steps=1)
    watcher = StatisticsWatch(model, settings, state, log)

    def loss_fn(model: nn.Module, batch: torch.Tensor) -> tuple:
        return model(batch).square().mean(), {"num_targets": len(batch)}

    train(
        model, repeat(torch.ones(4, 3)), watcher.noting(loss_fn), optimizer_for(model, settings),
        settings, state=state, log=log, watch=watcher,
    )  # fmt: skip
    lines = [line for line in log if line["event"] == "statistics"]
    assert "mfu" not in lines[1] and "tokens_per_s" in lines[1]
    assert set(lines[0]["update_ratios"]) == {"other"}


def test_a_positive_number_of_steps_is_asked_for() -> None:
    with pytest.raises(ValueError, match="statistics_every_steps = 0: must be above 0"):
        TrainingConfig(max_steps=1, statistics_every_steps=0)


class Screen(io.StringIO):
    """A terminal in memory."""

    def isatty(self) -> bool:
        return True


def test_the_bar_shows_step_loss_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    screen = Screen()
    monkeypatch.setattr("minillm.core.progress.TERMINAL_INTERVAL_S", 0.0)
    monkeypatch.setattr(loop, "Progress", lambda label: Progress(label, screen))
    measured(num_steps=3)
    shown = screen.getvalue()
    assert re.search(r"step 2 loss \d\.\d{3} [\d,]+ tokens/s \(.* left\)", shown)


class Writer:
    """Stands in for TensorBoard's writer."""

    def __init__(self, folder: str = "", purge_step: int | None = None) -> None:
        self.scalars, self.folder, self.purge_step = [], folder, purge_step
        self.is_closed = False

    def close(self) -> None:
        self.is_closed = True

    def add_scalar(self, tag: str, scalar_value: float, global_step: int) -> None:
        self.scalars.append((tag, scalar_value, global_step))


def test_the_board_gets_every_number_of_every_line() -> None:
    log, writer = Lines(), Writer()
    both = BoardLog(log, writer)
    both.write(event="step", step=3, loss=2.5, is_last=True, note="text")
    both.write(event="statistics", step=3, update_ratios={"layer 0": 0.1}, dead_units=[0.0, 0.5])
    assert len(log) == 2 and log[0]["note"] == "text"
    assert writer.scalars == [
        ("step/loss", 2.5, 3), ("statistics/update_ratios/layer 0", 0.1, 3),
        ("statistics/dead_units/0", 0.0, 3), ("statistics/dead_units/1", 0.5, 3),
    ]  # fmt: skip
    assert dict(scalars({"event": "x", "step": 1}, "x")) == {}


def test_a_run_asks_for_the_board_and_hides_what_it_writes_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = []

    def writer(folder: Path, step: int) -> Writer:
        made.append(Writer(str(folder), step + 1))
        return made[-1]

    monkeypatch.setattr(run_log, "board_writer", writer)
    run = tiny_run(tmp_path)
    pretrain(tiny_config(run, tensorboard=True), run)
    (found,) = made
    assert found.folder.endswith("logs/tensorboard/pretrain") and found.purge_step == 1
    assert found.is_closed, "what was written last is on the disk"
    assert [step for tag, _, step in found.scalars if tag == "step/loss"] == list(range(1, 21))


def test_without_tensorboard_the_error_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "tensorboard", None)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard", raising=False)
    monkeypatch.delitem(sys.modules, "torch.utils.tensorboard.writer", raising=False)
    with pytest.raises(ModuleNotFoundError, match=r"tensorboard = True.*minillm\[board\]"):
        board_writer(Path("nowhere"), 0)


def test_curves_are_shown_while_somebody_watches_and_drawn_once_where_nobody_does() -> None:
    shown, log = [], Lines()
    watched = LiveCurves(log, show=shown.append, every_s=0.0)
    alone = LiveCurves()
    line = {"event": "step", "loss": 2.0, "gradient_norm": 1.0, "tokens_per_s": 10.0}
    for curves in (watched, alone):
        for step in range(1, 6):
            curves.write(step=step, **line, **({"is_skipped": 1.0} if step == 3 else {}))
        curves.write(event="rollback", step=4)
        curves.write(step=4, **line)
    assert len(shown) == 7 and len(log) == 7
    figure = alone.draw()
    assert len(figure.axes) == 3
    assert list(figure.axes[0].lines[0].get_xdata()) == [1, 2, 3, 4]
    assert list(figure.axes[0].lines[1].get_xdata()) == [3]


def test_spikes_that_are_only_logged_are_marked_and_those_given_up_are_not() -> None:
    curves, line = LiveCurves(), {"loss": 2.0, "gradient_norm": 1.0}
    for step in (1, 2, 3):
        if step > 1:
            curves.write(event="spike", step=step, **line)
        curves.write(event="step", step=step, tokens_per_s=10.0, **line)
    crosses = [list(ax.lines[1].get_xdata()) for ax in curves.draw().axes]
    assert crosses == [[2, 3]] * 3
    curves.write(event="rollback", step=3)
    curves.write(event="step", step=3, tokens_per_s=10.0, **line)
    assert list(curves.draw().axes[0].lines[1].get_xdata()) == [2]


def test_next_token_loss_is_looked_into_with_its_documents() -> None:
    model, batch = fresh(), made_batch(2, 0)
    probe = Probe(model)
    with probe.looking():
        looked = next_token_loss(model, batch)
    assert torch.equal(looked, next_token_loss(model, batch))
    assert len(probe.figures()["attention_entropy_nats"]) == 2
