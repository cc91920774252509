"""Users by script meet a real server: what they did is in its log, and in no other."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from minillm.core.records import Artifact, Run, read_json_lines
from minillm.monitor.drift import DriftConfig
from minillm.monitor.population import PLAN, PopulationConfig, Wish, population
from minillm.monitor.requests import LOG, read_requests
from minillm.monitor.traffic import Sent, aside, feedback, name_clients, send_all, traffic
from minillm.monitor.watch import MonitorConfig, monitor
from minillm.recipes import open_run
from minillm.tokenizer.bytepair import TokenizerConfig, train_tokenizer
from tests.monitor.logs import connected

SCRIPT = PopulationConfig(calm=24, peak=8, topic=8, attack=8, gap_ms=0.0, continue_tokens=4)
WATCH = MonitorConfig(
    drift=DriftConfig(reference_requests=16, window_requests=8, min_values=3, permutations=99)
)


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Artifact]:
    """A run with a model that has learnt nothing, and its traffic."""
    import torch

    from minillm.core.records import make_artifact
    from minillm.corpus.storyworld import tell_story
    from minillm.model.transformer import ModelConfig, Transformer
    from minillm.train.checkpoint import save_model

    run, _ = open_run("tiny", home=tmp_path_factory.mktemp("home"))
    tokenizer = train_tokenizer(
        [tell_story(seed, 1).text for seed in range(40)], TokenizerConfig(vocab_size=512)
    )
    torch.manual_seed(0)
    shape = ModelConfig(
        vocab_size=512, width=32, num_layers=1, num_heads=2, num_kv_heads=1, ffn_width=32,
        context_length=160,
    )  # fmt: skip

    def write(folder: Path) -> dict:
        save_model(Transformer(shape), tokenizer, folder)
        return {}

    make_artifact(
        run, "model", config={}, parents=(), code=(), write=write, summary=lambda _: "untrained"
    )
    connection = connected(run.path / LOG)  # the log of real users, who are not to be disturbed
    connection.close()
    return run, traffic(SCRIPT, run)


def test_every_wish_is_in_the_log_under_its_id_in_the_order_of_events(
    served: tuple[Run, Artifact],
) -> None:
    _, artifact = served
    rows, plan = read_requests(artifact.path / LOG), list(read_json_lines(artifact.path / PLAN))
    assert len(rows) == len(plan) == 48 and artifact.figures["requests"] == 48
    by_id = {line["id"]: line for line in plan}
    assert {row.id for row in rows} == by_id.keys()
    assert all(row.status == by_id[row.id]["status"] for row in rows)
    order = ["calm"] * 24 + ["peak"] * 8 + ["drift"] * 8 + ["attack"] * 8
    assert [by_id[row.id]["event"] for row in rows] == order
    assert {row.model_sha256 for row in rows} == {artifact.parents["model"]}


def test_each_user_has_one_hash_and_no_two_share_one(served: tuple[Run, Artifact]) -> None:
    _, artifact = served
    planned = {line["id"]: line["client"] for line in read_json_lines(artifact.path / PLAN)}
    pairs = {(planned[row.id], row.client) for row in read_requests(artifact.path / LOG)}
    assert len(pairs) == len({one for one, _ in pairs}) == len({other for _, other in pairs})


def test_ratings_are_those_of_users_who_know_the_truth(served: tuple[Run, Artifact]) -> None:
    _, artifact = served
    truth = {line["id"]: line["truth"] for line in read_json_lines(artifact.path / PLAN)}
    rated = [row for row in read_requests(artifact.path / LOG) if row.rating is not None]
    assert len(rated) == artifact.figures["ratings"] > 10
    # a model that has learnt nothing is never right
    assert all(row.rating < 0 and row.correction == truth[row.id] for row in rated)


def test_the_runs_own_log_is_left_alone_and_the_copy_is_closed(
    served: tuple[Run, Artifact],
) -> None:
    run, artifact = served
    assert read_requests(run.path / LOG) == []
    assert sorted(artifact.files) == [PLAN, LOG] and artifact.altered_file() is None
    read_requests(artifact.path / LOG)
    assert artifact.altered_file() is None, "reading changes nothing"


def test_traffic_is_used_again_and_the_watch_has_it_as_parent(
    served: tuple[Run, Artifact],
) -> None:
    run, artifact = served
    assert traffic(SCRIPT, run).sha256 == artifact.sha256
    drift = monitor(WATCH, run)
    assert drift.parents == {"traffic": artifact.sha256} and drift.figures["windows"] == 4
    report = json.loads((drift.path / "drift.json").read_text())
    assert [each["planted"] for each in report["windows"]] == [
        ["calm"], ["peak"], ["drift"], ["attack"],
    ]  # fmt: skip
    assert (drift.path / "index.html").read_text().startswith("<!doctype html>")


def test_where_all_come_from_one_address_the_closed_log_is_told_who_was_who(
    tmp_path: Path, served: tuple[Run, Artifact]
) -> None:
    _, artifact = served
    log = tmp_path / LOG
    log.write_bytes((artifact.path / LOG).read_bytes())
    with closing(sqlite3.connect(log)) as connection, connection:
        connection.execute("UPDATE requests SET client = 'everyone'")
    ids = [row.id for row in read_requests(log)]
    sent = [Sent(wish=w, id=i, status=200) for w, i in zip(population(SCRIPT), ids, strict=True)]
    name_clients(log, sent)
    assert [row.client for row in read_requests(log)] == [each.wish.client for each in sent]


def test_the_scene_beside_a_run_has_its_models_and_an_empty_log(
    served: tuple[Run, Artifact],
) -> None:
    run, _ = served
    with aside(run, run.artifact("model")) as scene:
        assert scene.name == run.name and scene.artifact("model").sha256
        assert not (scene.path / LOG).exists() and (scene.path / "recipe.json").exists()
        folder = scene.path
    assert not folder.exists() and (run.path / "model" / "manifest.json").is_file()


def test_events_do_not_overlap_and_only_crowds_send_at_once() -> None:
    import threading

    running, most, order, lock = 0, {}, [], threading.Lock()

    def send_one(wish: Wish) -> Sent:
        nonlocal running
        with lock:
            running += 1
            most[wish.event] = max(most.get(wish.event, 0), running)
            order.append(wish.event)
        threading.Event().wait(0.005)
        with lock:
            running -= 1
        return Sent(wish=wish, id="x", status=200)

    sent = send_all(population(SCRIPT), SCRIPT, send_one)
    assert [each.wish for each in sent] == population(SCRIPT)
    assert order == [each.wish.event for each in sent], "one event ends before the next begins"
    assert most["calm"] <= 2 and most["drift"] <= 2 < most["peak"] <= 8


def test_a_right_answer_gets_a_thumb_and_a_wrong_one_the_truth() -> None:
    wish = Wish(event="calm", client="a", kind="question", prompt="", truth="Mia.", rates=True)
    quiet = Wish(event="calm", client="a", kind="question", prompt="", truth="Mia.")
    sent = [
        Sent(wish=wish, id="1", status=200, reply=" mia"),
        Sent(wish=wish, id="2", status=200, reply="Tom."),
        Sent(wish=wish, id="3", status=400),
        Sent(wish=quiet, id="4", status=200, reply="Tom."),
    ]
    assert feedback(sent) == [
        {"id": "1", "rating": "up"},
        {"id": "2", "rating": "down", "correction": "Mia."},
    ]
