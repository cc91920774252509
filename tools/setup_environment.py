"""Make the course's environment in `.venv`, or see in a moment that it is there.

Needs nothing but a Python: conda, mamba or micromamba is used where one is found, with
`environment.yml`; else a venv gets the same list. Says what the machine lacks, with the command
that mends it. Packages come from where this machine's pip is configured to get them.
"""

import hashlib
import json
import os
import platform
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ENVIRONMENT = ROOT / ".venv"
STAMP = ENVIRONMENT / "minillm-setup.txt"
BIN = ENVIRONMENT / ("Scripts" if os.name == "nt" else "bin")
INPUTS = (ROOT / "environment.yml", ROOT / "pyproject.toml", Path(__file__))

MIN_PYTHON = (3, 11)
PYTHONS = ("python3.11", sys.executable, "python3.12", "python3.13", "python3", "python")
SOLVERS = ("micromamba", "mamba", "conda")
MIN_FREE_GB, AMPLE_FREE_GB = 3.0, 9.0  # measured: 2 GB; torch's build for GPUs brings 6 GB more
# JupyterLab asks on its first start whether it may fetch news; the course does without.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False}
}
INSTALLERS = {
    "apt-get": "sudo apt-get install",
    "dnf": "sudo dnf install",
    "pacman": "sudo pacman -S",
    "brew": "brew install",
}
PACKAGES = {
    "python": {"apt-get": "python3.11 python3.11-venv", "dnf": "python3.11", "brew": "python@3.11"},
    "venv": {"apt-get": "python3-venv"},
    "compiler": {"apt-get": "g++", "dnf": "gcc-c++", "pacman": "gcc", "brew": "gcc"},
    "headers": {"apt-get": "python3-dev", "dnf": "python3-devel"},
}


class Lacking(Exception):
    """Something that the set-up cannot do without; its text says what mends it."""


def remedy(what: str) -> str:
    """The command that installs this on this machine, or words where it is not known."""
    if what == "compiler" and platform.system() == "Darwin":
        return "xcode-select --install"
    for installer, command in INSTALLERS.items():
        if shutil.which(installer) and installer in PACKAGES[what]:
            return f"{command} {PACKAGES[what][installer]}"
    return f"install {what} with your system's package manager, or install conda"


def fingerprint() -> str:
    """Changes with the list of packages, this script, and the place of the checkout."""
    digest = hashlib.sha256(str(ROOT).encode())
    for path in INPUTS:
        digest.update(path.read_bytes())
    return digest.hexdigest()


def requirements(environment: str) -> list[str]:
    """The pip list of an environment.yml."""
    _, _, listed = environment.partition("- pip:\n")
    lines = [line.strip() for line in listed.splitlines()]
    return [line[2:].strip() for line in lines if line.startswith("- ")]


def is_python(command: str) -> bool:
    """Whether this command runs, and is a Python that is recent enough."""
    question = f"import sys; sys.exit(sys.version_info < {MIN_PYTHON})"
    try:
        return subprocess.run([command, "-c", question], capture_output=True).returncode == 0
    except OSError:
        return False


def find_python() -> str:
    """A Python that can make a venv: 3.11 where there is one, else a later one."""
    found = next((command for command in PYTHONS if is_python(command)), None)
    if found is None:
        raise Lacking(f"Python 3.11 is missing; mend it with: {remedy('python')}")
    modules = subprocess.run([found, "-c", "import ensurepip, venv"], capture_output=True)
    if modules.returncode != 0:
        raise Lacking(f"Python's venv module is missing; mend it with: {remedy('venv')}")
    return found


def check_disk() -> None:
    """Enough room for the packages."""
    free_gb = shutil.disk_usage(ROOT).free / 1e9
    if free_gb < MIN_FREE_GB:
        raise Lacking(
            f"only {free_gb:.1f} GB are free here and the environment takes {MIN_FREE_GB:.0f}; "
            "free some, or clone to a larger disk"
        )
    if free_gb < AMPLE_FREE_GB:
        print(f"! {free_gb:.1f} GB are free; torch's build for GPUs needs {AMPLE_FREE_GB:.0f}")


def warn_of_compiler() -> None:
    """torch.compile, which long runs on a user's text use, needs a C++ compiler and headers."""
    if not any(shutil.which(name) for name in ("g++", "clang++", "c++", "cl")):
        print(f"! no C++ compiler, so torch.compile is out; mend it with: {remedy('compiler')}")
    elif not (Path(sysconfig.get_path("include")) / "Python.h").is_file():
        print(f"! no Python.h, so torch.compile is out; mend it with: {remedy('headers')}")


def run(*command: str) -> bool:
    """Run a command where the user sees it; whether it succeeded."""
    print("$", " ".join(command), flush=True)
    return subprocess.run(command, cwd=ROOT).returncode == 0


def install_with_solver(solver: str) -> bool:
    """Solve environment.yml into `.venv` with conda or one of its kin."""
    place = ["--prefix", str(ENVIRONMENT), "--file", str(ROOT / "environment.yml")]
    if Path(solver).stem == "micromamba":
        verb = "install" if (ENVIRONMENT / "conda-meta").is_dir() else "create"
        return run(solver, verb, "--yes", *place)
    verb = "update" if (ENVIRONMENT / "conda-meta").is_dir() else "create"
    return run(solver, "env", verb, *place)


def install_with_venv() -> None:
    """Make a venv and install the list of environment.yml into it."""
    python = find_python()
    listed = requirements((ROOT / "environment.yml").read_text(encoding="utf-8"))
    split = [line.split(" ", 1) if line.startswith("-e ") else [line] for line in listed]
    arguments = [part for parts in split for part in parts]
    if not run(python, "-m", "venv", str(ENVIRONMENT)):
        raise Lacking(f"the venv could not be made; mend it with: rm -rf {ENVIRONMENT.name}")
    if not run(str(BIN / "python"), "-m", "pip", "install", *arguments):
        raise Lacking("pip could not install the list, and says above why; then run this again")


def set_up() -> None:
    """Install everything, then leave the stamp that makes the next time quick."""
    check_disk()
    warn_of_compiler()
    print("making .venv: some 3 minutes on a quiet machine, more on a busy one", flush=True)
    is_venv = (ENVIRONMENT / "pyvenv.cfg").is_file()
    solver = None if is_venv else next(filter(None, map(shutil.which, SOLVERS)), None)
    if solver is None or not install_with_solver(solver):
        if solver:
            print(f"! {solver} could not make the environment; going on with a venv")
            shutil.rmtree(ENVIRONMENT, ignore_errors=True)
        install_with_venv()
    settings = ENVIRONMENT / "share" / "jupyter" / "lab" / "settings" / "overrides.json"
    settings.parent.mkdir(parents=True, exist_ok=True)
    settings.write_text(json.dumps(LAB_SETTINGS, indent=1), encoding="utf-8")
    STAMP.write_text(fingerprint(), encoding="utf-8")
    print(f"✓ the environment is ready: {ENVIRONMENT.name}")


def is_ready() -> bool:
    """Whether the environment was made from just these inputs, and still runs."""
    made = STAMP.is_file() and STAMP.read_text(encoding="utf-8") == fingerprint()
    return made and (BIN / "python").exists()


def main() -> int:
    """The command line."""
    if is_ready():
        return 0
    try:
        set_up()
    except Lacking as lack:
        print(f"✗ {lack}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
