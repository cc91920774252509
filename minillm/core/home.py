"""Where runs lie, and which of them succeeded last."""

from pathlib import Path

from minillm.core.records import Run, atomic_write

LATEST_FILE = "latest"


# package only
def home_folder(home: str | Path | None = None) -> Path:
    """Where `runs/` lies: the folder given, else the nearest checkout around here, else here."""
    if home is not None:
        return Path(home).resolve()
    here = Path.cwd().resolve()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    return here


# package only
def latest_run_name(home: str | Path | None = None) -> str:
    """The last run that succeeded; FileNotFoundError with the remedy if there is none."""
    pointer = home_folder(home) / "runs" / LATEST_FILE
    if not pointer.is_file():
        raise FileNotFoundError(
            f"no run has succeeded yet ({pointer}); give --run NAME or start with: minillm course"
        )
    return pointer.read_text(encoding="utf-8").strip()


# package only
def mark_latest(run: Run) -> None:
    """Let verbs without `--run` mean this run from here on."""
    atomic_write(run.path.parent / LATEST_FILE, run.name + "\n")
