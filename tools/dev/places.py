"""Where things are: the checkout, what `./dev` makes in it, and a ComfyUI to test in."""

from __future__ import annotations

import os
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BUILD = ROOT / "build"
LOGS = BUILD / "logs"
REPORTS = BUILD / "reports"
TOOLS = BUILD / "tools"
HEADER_WHEELS = BUILD / "deps"
PACKAGE = ROOT / "bindings" / "hearth"

NO_COMFYUI = (
    "No ComfyUI found. Get one: git clone https://github.com/comfyanonymous/ComfyUI ~/ComfyUI",
    "Or say where yours is: COMFYUI_PATH=/path/to/ComfyUI ./dev run",
)


def venv_python() -> Path:
    """The interpreter of the checkout's own environment; there once the environment is made."""
    return VENV / "bin" / "python"


def find_comfyui() -> Path | None:
    """COMFYUI_PATH alone when it is set, else the one hearth sits in, else the home folder's."""
    named = os.environ.get("COMFYUI_PATH")
    if named:
        candidates = [Path(named).expanduser()]
    else:
        home = Path.home()
        candidates = [ROOT.parent.parent, home / "ComfyUI", home / "comfyui"]
        candidates.append(home / "ComfyUI" / "ComfyUI")
    for candidate in candidates:
        if (candidate / "main.py").is_file() and (candidate / "comfy" / "sd.py").is_file():
            return candidate.resolve()
    return None
