"""The promoted model is served; one that was made anew since is not."""

import pytest

from minillm.core.promotion import promote, served_model
from minillm.core.records import Artifact, Run, make_artifact


def made(
    run: Run, kind: str, content: str = "weights", parents: tuple[Artifact, ...] = ()
) -> Artifact:
    def write(folder):
        (folder / "model.safetensors").write_text(content)
        return {}

    return make_artifact(
        run, kind, config={"content": content}, parents=parents, code=(), write=write,
        summary=lambda figures: kind,
    )


def test_without_a_promotion_the_newest_model_answers(tmp_path):
    run = Run(name="r", path=tmp_path / "r")
    with pytest.raises(FileNotFoundError, match="has no model yet"):
        served_model(run)
    made(run, "model")
    assert served_model(run).kind == "model"
    made(run, "assistant")
    assert served_model(run).kind == "assistant"


def test_the_promoted_model_answers_though_a_newer_one_was_refused(tmp_path):
    run = Run(name="r", path=tmp_path / "r")
    promote(run, made(run, "assistant"))
    made(run, "aligned")
    assert served_model(run).kind == "assistant"


def test_a_promotion_ends_when_its_model_is_made_anew(tmp_path):
    run = Run(name="r", path=tmp_path / "r")
    promote(run, made(run, "assistant"))
    made(run, "aligned")
    made(run, "assistant", "other weights")
    assert served_model(run).kind == "aligned"


def test_what_was_made_from_an_earlier_model_is_not_the_newest(tmp_path):
    run = Run(name="r", path=tmp_path / "r")
    made(run, "aligned", parents=(made(run, "assistant", parents=(made(run, "model"),)),))
    assert served_model(run).kind == "aligned"
    made(run, "model", "other weights")
    assert served_model(run).kind == "model"
    promote(run, made(run, "assistant", parents=(run.artifact("model"),)))
    assert served_model(run).kind == "assistant"
    made(run, "model", "weights of a third")
    assert served_model(run).kind == "model", "a promotion does not outlive what it rests on"
