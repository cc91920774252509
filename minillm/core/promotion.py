"""Which of a run's models answers users: the promoted one, else the newest there is.

A model is promoted by the gate that has read its report card (evaluate); the file `promoted.json`
names its kind and content hash, so that a model made anew since is not served by mistake. For the
same reason none is served when a model that it was made from has been made anew.
"""

import json
from collections.abc import Sequence

from minillm.core.records import MANIFEST, Artifact, Run, atomic_write

PROMOTED = "promoted.json"
# from the first model to the last that a run can have
MODEL_KINDS = ("model", "assistant", "aligned", "second")


# package only
def promote(run: Run, artifact: Artifact) -> None:
    """From here on this model answers the run's users."""
    fields = {"kind": artifact.kind, "sha256": artifact.sha256}
    atomic_write(run.path / PROMOTED, json.dumps(fields, indent=1) + "\n")


# package only
def served_model(run: Run, kinds: Sequence[str] = MODEL_KINDS) -> Artifact:
    """The promoted model; without one the newest; FileNotFoundError where there is none."""
    path = run.path / PROMOTED
    if path.is_file():
        fields = json.loads(path.read_text(encoding="utf-8"))
        artifact = run.artifact(fields["kind"])
        if artifact.sha256 == fields["sha256"] and is_current(run, artifact.kind):
            return artifact
    made = [kind for kind in kinds if is_current(run, kind)]
    return run.artifact(made[-1] if made else kinds[0])


# package only
def is_current(run: Run, kind: str) -> bool:
    """Is there such a model, made from those that the run has now?"""
    if not (run.path / kind / MANIFEST).is_file():
        return False
    parents = Artifact.load(run.path / kind).parents
    return all(
        is_current(run, each) and Artifact.load(run.path / each).sha256 == parents[each]
        for each in MODEL_KINDS
        if each in parents
    )


# package only
def served_before(run: Run, kind: str = "second") -> Artifact:
    """The served model, or, if that one is of this kind, the model which it was made from.

    A round's traffic was answered by the model before it: what a round makes is never its input."""
    artifact = served_model(run, [each for each in MODEL_KINDS if each != kind])
    while artifact.kind == kind:
        (parent,) = (each for each in MODEL_KINDS if each in artifact.parents)
        artifact = run.artifact(parent)
    return artifact
