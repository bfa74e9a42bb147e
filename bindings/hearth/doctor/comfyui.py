"""A ComfyUI: its version, whether hearth is in it and built for its Python."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from hearth.doctor.finding import Finding, Level
from hearth.doctor.flags import flag_findings
from hearth.doctor.machine import Machine

_OLDEST_TESTED = (0, 3, 64)
_FIRST_WITH_PINS = (0, 33)
# Run by ComfyUI's own Python: packages are looked up, not imported, and hearth is.
_PROBE = """
import importlib.metadata as m, json, sys
def version(name):
    try: return m.version(name)
    except m.PackageNotFoundError: return ""
found = {"python": "%d.%d" % sys.version_info[:2], "torch": version("torch"),
         "aimdo": version("comfy-aimdo"), "hearth": "", "fault": ""}
try:
    import hearth
    found["hearth"] = hearth.__version__
except BaseException as error:
    found["fault"] = str(error)
print("\\n" + json.dumps(found))
"""


@dataclass(frozen=True)
class Checkout:
    """A ComfyUI; `asked_for` when this command names it, and then what it lacks is a problem.
    `./dev run` takes the one that COMFYUI_PATH names and needs no pack in it."""

    path: Path
    asked_for: bool


def is_comfyui(path: Path) -> bool:
    """Whether ComfyUI's sources lie there."""
    try:
        return (path / "main.py").is_file() and (path / "comfy" / "sd.py").is_file()
    except OSError:
        return False


def find(named: str | None) -> Checkout | None:
    """The one named, else COMFYUI_PATH, the one hearth sits in, the home folder's."""
    asked = named or os.environ.get("COMFYUI_PATH")
    if asked:
        path = Path(asked).expanduser()
        return Checkout(path, bool(named)) if is_comfyui(path) else None
    home = Path(os.path.expanduser("~"))
    around = Path(__file__).resolve().parents[3].parent.parent
    for path in (around, home / "ComfyUI", home / "comfyui", home / "ComfyUI" / "ComfyUI"):
        if is_comfyui(path):
            return Checkout(path, False)
    return None


def version(checkout: Checkout) -> Iterator[Finding]:
    """Which ComfyUI it is."""
    text = (checkout.path / "comfyui_version.py").read_text(encoding="utf-8", errors="replace")
    match = re.search(r'__version__\s*=\s*"([\d.]+)', text)
    if match is None:
        raise ValueError("comfyui_version.py does not say")
    numbers = tuple(int(part) for part in match[1].strip(".").split("."))
    facts, what = {"version": match[1]}, f"ComfyUI {match[1]} in {checkout.path}"
    update = "`git pull` in its folder, then its requirements"
    if numbers < _OLDEST_TESTED:
        what += ": older than any that hearth was tried with (0.3.64)"
        yield Finding("comfyui", "warning", what, update, facts=facts)
    elif numbers < _FIRST_WITH_PINS:
        what += ": models stay, but it moves their weights in its own way"
        todo = f"for transfers at the bus's rate take 0.33 or newer: {update}"
        yield Finding("comfyui", "note", what, todo, facts=facts)
    else:
        yield Finding("comfyui", "ok", what, facts=facts)


def pack_folders(checkout: Checkout) -> list[Path]:
    """The folders under custom_nodes that are hearth, disabled ones too."""
    folder = checkout.path / "custom_nodes"
    if not folder.is_dir():
        return []
    entries = sorted(folder.iterdir())
    return [e for e in entries if (e / "comfy_nodes" / "composition.py").is_file()]


def pack(checkout: Checkout, machine: Machine) -> Iterator[Finding]:
    """Whether hearth is a custom node there, once, and works with that ComfyUI's Python."""
    folders = pack_folders(checkout)
    enabled = [folder for folder in folders if not folder.name.endswith(".disabled")]
    if not enabled:
        yield _absent(checkout, folders)
        return
    if len(enabled) > 1:
        names = ", ".join(folder.name for folder in enabled)
        todo = f"`rm -r` all but one of them in {checkout.path / 'custom_nodes'}"
        yield Finding("pack", "problem", f"hearth is there more than once: {names}", todo)
        return
    yield Finding("pack", "ok", f"hearth is a custom node: {enabled[0].name}")
    yield from _in_its_python(checkout, enabled[0], machine)


def _absent(checkout: Checkout, folders: Sequence[Path]) -> Finding:
    level: Level = "problem" if checkout.asked_for else "warning"
    if folders:
        todo = f"`mv {folders[0]} {folders[0].with_name(folders[0].name[: -len('.disabled')])}`"
        return Finding("pack", level, f"hearth is disabled there: {folders[0].name}", todo)
    target = checkout.path / "custom_nodes" / "hearth"
    checkout_of_hearth = Path(__file__).resolve().parents[3]
    todo = f"clone hearth to {target} and run `./dev build` there"
    if (checkout_of_hearth / "comfy_nodes").is_dir():  # not from a wheel
        todo = f"`ln -s {checkout_of_hearth} {target}`, or {todo}"
    what = f"hearth is no custom node of {checkout.path}: workflows there run without it"
    return Finding("pack", level, what, todo)


def python_of(checkout: Checkout, machine: Machine) -> str:
    """The Python that runs it now, else that of a virtual environment in it, else this one."""
    if named := os.environ.get("HEARTH_PYTHON"):
        return named
    try:
        pids = [pid for pid, _ in running(checkout, machine)]
        if pids:
            # Not /proc/PID/exe: a link's target leaves the virtual environment.
            return next(words[0] for pid, words, _ in machine.processes() if pid == pids[0])
    except OSError:
        pass
    for folder in (checkout.path, checkout.path.parent):
        for name in (".venv", "venv", "python_embeded"):
            python = folder / name / "bin" / "python"
            if os.access(python, os.X_OK):
                return str(python)
    return sys.executable


def _in_its_python(checkout: Checkout, folder: Path, machine: Machine) -> Iterator[Finding]:
    python = python_of(checkout, machine)
    code, text = machine.output(
        [python, "-c", _PROBE], {"PYTHONPATH": str(folder / "bindings"), "PYTHONSAFEPATH": "1"}
    )
    if code != 0:
        raise OSError(f"{python} ended with {code}: {text.strip()[-200:]}")
    found = json.loads(text.strip().splitlines()[-1])
    which = f"Python {found['python']} ({python})"
    build = f"`cd {folder} && HEARTH_PYTHON={python} ./dev build`"
    if found["fault"]:
        yield Finding("built", "problem", f"{which}: {found['fault'].rstrip('.')}", build)
    else:
        yield Finding("built", "ok", f"hearth {found['hearth']} is built for {which}", facts=found)
    yield from _torch(found["torch"], found["aimdo"], which)


def _torch(torch: str, aimdo: str, which: str) -> Iterator[Finding]:
    facts = {"torch": torch, "comfy_aimdo": aimdo}
    if not torch:
        what, todo = f"there is no torch in {which}", "is it ComfyUI's? Name it: HEARTH_PYTHON"
        yield Finding("torch", "warning", what, todo, facts=facts)
    elif torch.endswith("+cpu"):
        what, todo = f"torch {torch} uses no GPU", "install the CUDA build: pytorch.org says how"
        yield Finding("torch", "warning", what, todo, facts=facts)
    elif not aimdo:
        what = f"torch {torch}; comfy-aimdo is missing, so there is no dynamic VRAM"
        todo = "install ComfyUI's requirements.txt"
        yield Finding("torch", "note", what, todo, facts=facts)
    else:
        yield Finding("torch", "ok", f"torch {torch}, comfy-aimdo {aimdo}", facts=facts)


def running(checkout: Checkout, machine: Machine) -> list[tuple[int, list[str]]]:
    """Pid and arguments of each ComfyUI that runs from there."""
    main = checkout.path.resolve() / "main.py"
    found = []
    for pid, words, folder in machine.processes():
        for place, word in enumerate(words[:6]):
            if Path(word).name == "main.py" and (folder / word).resolve() == main:
                found.append((pid, words[place + 1 :]))
                break
    return found


def flags(checkout: Checkout, machine: Machine) -> Iterator[Finding]:
    """What the flags of a running ComfyUI do to hearth."""
    servers = running(checkout, machine)
    if not servers:
        what = "no ComfyUI runs from there, so its flags are not known"
        yield Finding("flags", "note", what, "start it and run `hearth doctor` again")
    names = [folder.name for folder in pack_folders(checkout)]
    for pid, words in servers:
        found = flag_findings(words, names)
        shown = " ".join(words) or "none"
        facts = {"pid": pid, "flags": words}
        if not found:
            what = f"flags of process {pid}: {shown}"
            yield Finding("flags", "ok", what, subject=str(pid), facts=facts)
        yield from found
