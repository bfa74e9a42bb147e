"""Looks at a machine, its model folders, a ComfyUI and the config; says what is in hearth's way.

Nothing is changed, and nothing that cannot be looked at ends the rest.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from hearth.doctor import comfyui, config, hardware, models
from hearth.doctor.finding import LEVELS, Finding, Level, Look, look
from hearth.doctor.machine import Machine


def examine(
    folders: Sequence[str] = (), named_comfyui: str | None = None, machine: Machine | None = None
) -> list[Finding]:
    """Everything, in the order in which it is shown. Never raises.

    Without folders, those of the ComfyUI that was found are looked at.
    """
    machine = machine or Machine()
    checkout = comfyui.find(named_comfyui)
    path = checkout.path if checkout else None
    values = config.values_in_force(path)
    looks: list[tuple[str, Look]] = [
        ("driver", lambda: hardware.driver(machine)),
        ("persistence", lambda: hardware.persistence(machine)),
        ("memlock", lambda: hardware.memlock(machine)),
        ("cgroup", lambda: hardware.control_group(machine)),
        ("memory", lambda: hardware.free_memory(machine, values)),
        ("page_cache", lambda: hardware.page_cache(machine)),
        ("config", lambda: config.configuration(path)),
    ]
    found = [finding for check, into in looks for finding in look(check, into)]
    found += _comfyui(checkout, named_comfyui, machine)
    places = [Path(folder).expanduser() for folder in folders]
    if not places and path is not None:
        places = [path / "models"]
    for folder in places:
        found += _folder(folder, machine)
    return found


def _comfyui(
    checkout: comfyui.Checkout | None, named: str | None, machine: Machine
) -> list[Finding]:
    if checkout is None:
        named = named or os.environ.get("COMFYUI_PATH")
        level: Level = "problem" if named else "note"
        what = f"{named} is no ComfyUI" if named else "no ComfyUI was found"
        return [Finding("comfyui", level, what, "name its folder: `--comfyui DIR`")]
    return [
        *look("comfyui", lambda: comfyui.version(checkout)),
        *look("pack", lambda: comfyui.pack(checkout, machine)),
        *look("flags", lambda: comfyui.flags(checkout, machine)),
    ]


def _folder(folder: Path, machine: Machine) -> list[Finding]:
    subject = str(folder)
    found = look("models", lambda: models.folder_is_there(folder), subject)
    if any(finding.level != "ok" for finding in found):
        return found  # the reason is said once
    return [
        *found,
        *look("file_system", lambda: models.file_system(folder), subject),
        *look("disk", lambda: models.disk(folder), subject),
        *look("mapping", lambda: models.mapping(folder, machine), subject),
    ]


__all__ = ["LEVELS", "Finding", "Level", "Machine", "examine"]
