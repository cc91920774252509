"""From an artifact back to what it was made from, and whether each link of that chain still holds.

A manifest names its parents by their content hash, so no register is needed: whoever has the
folders can walk from a model to its documents, and sees what was altered or made anew.
"""

from collections.abc import Sequence

from minillm.core.records import MANIFEST, Artifact, Run


def lineage(run: Run, kinds: Sequence[str]) -> list[dict[str, str]]:
    """The chain of manifests from the last artifact back to the first, and the state of each link.

    A state is `intact`, or says which file was altered, or which parent is gone,
    unreadable or made anew since.
    """
    links = []
    for kind in reversed(kinds):
        folder = run.path / kind
        if not (folder / MANIFEST).is_file():
            continue
        try:
            artifact = Artifact.load(folder)
        except ValueError as error:
            links.append({"kind": kind, "summary": "?", "sha256": "?", "state": str(error)})
            continue
        link = {"kind": kind, "summary": artifact.summary, "sha256": artifact.sha256}
        links.append(link | {"state": link_state(run, artifact)})
    if not links:
        raise FileNotFoundError(
            f"run '{run.name}' has no artifact yet ({run.path}); "
            f"start with: minillm train --run {run.name}"
        )
    return links


def link_state(run: Run, artifact: Artifact) -> str:
    """Is an artifact still what was written, and are its parents still those it was made from?"""
    if name := artifact.altered_file():
        return f"ALTERED after it was written: {artifact.path / name}"
    for kind, sha256 in artifact.parents.items():
        if not (run.path / kind / MANIFEST).is_file():
            return f"its {kind} are missing from this run"
        try:
            parent = Artifact.load(run.path / kind)
        except ValueError as error:
            return f"its {kind} cannot be read: {error}"
        if parent.sha256 != sha256:
            return f"made from other {kind} than those in this run"
    return "intact"
