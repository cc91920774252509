"""From an artifact back to what it was made from, and whether each link of that chain still holds.

A manifest names its parents by their content hash, so no register is needed: whoever has the
folders can walk from a model to its documents, and sees what was altered or made anew. An artifact
may have several parents (users' words came from traffic, traffic from a model), so the walk is over
a directed graph without cycles, children before parents.
"""

from collections.abc import Sequence

from minillm.core.records import MANIFEST, Artifact, Run

def lineage(
    run: Run, kinds: Sequence[str], root: str | None = None
) -> list[dict[str, str]]:
    """The links from `root` back to the first artifacts (without a root: all of these kinds).

    `kinds` are in the order of making. A state is `intact`, or says which file was altered, or
    which parent is gone, unreadable or made anew since.
    """
    wanted = set(kinds) if root is None else {root}
    links = []
    # parents were made earlier, so one pass backwards meets every child before its parents
    for kind in reversed(kinds):
        folder = run.path / kind
        if kind not in wanted or not (folder / MANIFEST).is_file():
            continue
        try:
            artifact = Artifact.load(folder)
        except ValueError as error:
            # who its parents were is unknown now: whatever was made before may be one
            wanted |= set(kinds[: kinds.index(kind)])
            links.append({"kind": kind, "summary": "?", "sha256": "?", "state": str(error)})
            continue
        wanted |= set(artifact.parents)
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


# package only
def parents_of(run: Run, kind: str) -> list[str]:
    """The kinds that an artifact was made from, as its manifest says; none if it is unreadable."""
    try:
        return list(Artifact.load(run.path / kind).parents)
    except ValueError:
        return []


# package only
def depths(run: Run, links: Sequence[dict[str, str]]) -> dict[str, int]:
    """How far each link is from the first one, by the longest way: a drawing's indentation."""
    found = {link["kind"]: 0 for link in links}
    for link in links:
        for parent in parents_of(run, link["kind"]):
            if parent in found:
                found[parent] = max(found[parent], found[link["kind"]] + 1)
    return found


# package only
def artifact_with(run: Run, kinds: Sequence[str], sha256: str) -> Artifact | None:
    """The artifact that has this content hash; None if it was made anew since, or is gone."""
    for kind in kinds:
        folder = run.path / kind
        try:
            if (folder / MANIFEST).is_file() and Artifact.load(folder).sha256 == sha256:
                return Artifact.load(folder)
        except ValueError:
            continue
    return None
