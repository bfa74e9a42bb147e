"""The checkout's own Python environment, .venv: first the tools, then torch and ComfyUI's needs."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from pathlib import Path

from tools.dev.packages import install
from tools.dev.places import ROOT, VENV, find_comfyui, venv_python
from tools.dev.steps import Step, StepFailed, run_step
from tools.dev.third_parties import apt_install, may_install
from tools.dev.toolchain import output_of

TOOL_REQUIREMENTS = ROOT / "tools" / "requirements-dev.txt"
TORCH_REQUIREMENTS = ROOT / "tools" / "requirements-torch.txt"
REFERENCE_REQUIREMENTS = ROOT / "tools" / "requirements-references.txt"
OLDEST, NEWEST = (3, 10), (3, 13)


def ensure_tools() -> None:
    """What builds, checks and tests: seconds, and nothing at all when it is there."""
    _ensure_venv()
    _ensure_layer("tools", [TOOL_REQUIREMENTS], [])


def ensure_full() -> None:
    """The tools, torch, models to compare with, and what the ComfyUI that is found needs.

    Minutes the first time.
    """
    ensure_tools()
    comfyui = find_comfyui()
    name = "torch"
    files = [TORCH_REQUIREMENTS, REFERENCE_REQUIREMENTS]
    if comfyui is not None and (comfyui / "requirements.txt").is_file():
        name = "torch-and-comfyui"
        files.append(comfyui / "requirements.txt")
    _ensure_layer(name, files, [TORCH_REQUIREMENTS])


def _ensure_layer(name: str, files: list[Path], constraints: list[Path]) -> None:
    stamp = VENV / f".hearth-{name.split('-')[0]}.stamp"
    wanted = _fingerprint([*files, *constraints])
    if stamp.is_file() and stamp.read_text(encoding="utf-8") == wanted:
        return
    arguments: list[str | Path] = []
    for file in files:
        arguments += ["-r", file]
    for file in constraints:
        arguments += ["-c", file]
    install(f"install {name.replace('-', ' ')} into .venv", arguments)
    stamp.write_text(wanted, encoding="utf-8")


def _fingerprint(files: list[Path]) -> str:
    digest = hashlib.sha256(output_of([str(venv_python()), "--version"]).encode())
    for file in files:
        digest.update(file.read_bytes())
    return digest.hexdigest()


def _ensure_venv() -> None:
    if output_of([str(venv_python()), "-m", "pip", "--version"]):
        return
    if VENV.exists():
        shutil.rmtree(VENV)
    python = _usable_python()
    if not output_of([python, "-c", "import ensurepip, venv; print(1)"]) and may_install():
        apt_install(["python3-venv"])
    hint = "install Python's venv (Debian, Ubuntu: apt-get install python3-venv)"
    run_step(Step("make .venv", [python, "-m", "venv", VENV], hint))


def _usable_python() -> str:
    if OLDEST <= sys.version_info[:2] <= NEWEST:
        return sys.executable
    for minor in range(NEWEST[1], OLDEST[1] - 1, -1):
        found = shutil.which(f"python3.{minor}")
        if found and subprocess.run([found, "--version"], check=False).returncode == 0:
            return found
    raise StepFailed(
        f"Step failed: look for Python 3.10 to 3.13: this is {sys.version.split()[0]}.\n"
        "What to try: install one of them and run it by name: python3.12 ./dev test"
    )
