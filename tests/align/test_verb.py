"""`minillm align`: one line for what is wrong, figures for programs, nothing half written."""

import json

import pytest

from minillm.__main__ import main


def test_figures_of_the_assistant_come_as_json(tmp_path, capsys):
    small = [
        "corpus.stories=[60,20,10]", "corpus.held_out_stories=4", "tokenizer.vocab_size=400",
        "training.max_steps=2", "sft.stories=[12,4,2]", "sft.training.max_steps=2",
        "sampling.count=2", "sft.asked_stories=1", "sft.batches.context_length=400",
    ]  # fmt: skip
    options = [part for each in small for part in ("--set", each)]
    base = ["align", "--run", "tiny", "--home", str(tmp_path), "--json"]
    assert main([*base, "--until", "assistant", *options]) == 0
    figures = json.loads(capsys.readouterr().out)
    assert figures["steps"] == 2 and figures["run"] == "tiny"
    assert (tmp_path / "runs" / "tiny" / "assistant" / "manifest.json").is_file()


@pytest.mark.parametrize(
    ("assignment", "message"),
    [
        ("sft.stories=[]", "stories = ()"),
        ("preferences.beta=0", "beta = 0"),
        ("sft.nothing=1", "nothing"),
    ],
)
def test_a_bad_field_is_one_line_and_leaves_nothing(tmp_path, capsys, assignment, message):
    assert main(["align", "--run", "bad", "--home", str(tmp_path), "--set", assignment]) == 1
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1
    assert not (tmp_path / "runs" / "bad").exists()


def test_a_stage_that_is_none_is_wrong_usage(capsys):
    with pytest.raises(SystemExit) as stopped:
        main(["align", "--until", "heaven"])
    assert stopped.value.code == 2
