"""Where things are: the checkout, what `./dev` makes in it, and a ComfyUI to test in."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
BUILD = ROOT / "build"
LOGS = BUILD / "logs"
REPORTS = BUILD / "reports"
TOOLS = BUILD / "tools"
HEADER_WHEELS = BUILD / "deps"
PACKAGE = ROOT / "bindings" / "hearth"


def no_comfyui(named: str) -> tuple[str, str]:
    """What to do when there is none where COMFYUI_PATH says."""
    return (
        f"There is no ComfyUI in {named} (COMFYUI_PATH). "
        "Get one: git clone https://github.com/comfyanonymous/ComfyUI ~/ComfyUI",
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
    return next((each.resolve() for each in candidates if _is_comfyui(each)), None)


def find_older_comfyui() -> Path | None:
    """COMFYUI_PATH_OLD alone when it is set, else the oldest `ComfyUI-*` in the home folder.

    It has to be older than the one that `find_comfyui` finds, or it shows nothing new.
    """
    named = os.environ.get("COMFYUI_PATH_OLD")
    if named:
        older = Path(named).expanduser()
        return older.resolve() if _is_comfyui(older) else None
    newest = find_comfyui()
    if newest is None:
        return None
    found = [each for each in Path.home().glob("[Cc]omfy[Uu][Ii]-*") if _is_comfyui(each)]
    oldest = min(found, key=comfyui_version, default=newest)
    return oldest.resolve() if comfyui_version(oldest) < comfyui_version(newest) else None


def comfyui_version(folder: Path) -> tuple[int, ...]:
    """The version that a checkout of ComfyUI says it is; of one that says none, the highest."""
    file = folder / "comfyui_version.py"
    text = file.read_text(encoding="utf-8") if file.is_file() else ""
    said = re.search(r'__version__ = "([0-9.]+)"', text)
    return tuple(int(part) for part in said[1].split(".")) if said else (sys.maxsize,)


def _is_comfyui(folder: Path) -> bool:
    return (folder / "main.py").is_file() and (folder / "comfy" / "sd.py").is_file()
