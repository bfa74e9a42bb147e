"""The config file that counts, and what is wrong with it."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hearth import check_config, runtime
from hearth.doctor.finding import Finding
from hearth.text_files import read_config

_NAME = "hearth.json"


def places(comfyui: Path | None) -> list[tuple[str, Path, bool]]:
    """Label, path, and whether it must be there, in the order in which they count."""
    found: list[tuple[str, Path, bool]] = []
    if named := os.environ.get("HEARTH_CONFIG"):
        found.append(("HEARTH_CONFIG", Path(named), True))
    if comfyui is not None:  # ComfyUI keeps what HTTP must not reach below `__name`
        user = comfyui / "user"
        found += [("ComfyUI's user directory", user / f, False) for f in _user_names()]
    here = Path(__file__).resolve()
    for folder in (here.parents[3] / "config", here.parents[1] / "config"):  # checkout, wheel
        found.append(("shipped default", folder / _NAME, False))
    return found


def _user_names() -> tuple[str, str]:
    return (f"__hearth/{_NAME}", f"hearth/{_NAME}")


def values_in_force(comfyui: Path | None) -> dict[str, Any]:
    """The values of the config that counts; the defaults where it is bad."""
    try:
        _, path, _ = next(place for place in places(comfyui) if os.path.exists(place[1]))
        runtime().configure(read_config(path), "doctor")
    except (OSError, ValueError, StopIteration):
        pass  # configuration() says so
    return dict(runtime().config)


def configuration(comfyui: Path | None) -> Iterator[Finding]:
    """Which file counts; every fault of it with its JSON pointer; keys without effect."""
    for label, path, required in places(comfyui):
        if not os.path.exists(path):
            if required:
                what = f"HEARTH_CONFIG names {path}, which does not exist; the next place counts"
                yield Finding("config", "problem", what, "mend it: `export HEARTH_CONFIG=FILE`")
            continue
        yield from _findings(label, path)
        return
    yield Finding("config", "note", "there is no hearth.json; the defaults are in force")


def _findings(label: str, path: Path) -> Iterator[Finding]:
    try:
        faults = check_config(read_config(path))
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        what = f"{path} cannot be read ({reason}); the defaults are in force"
        yield Finding("config", "problem", what, f"`ls -l {path}`")
        return
    facts = {"path": str(path), "source": label}
    if not faults:
        yield Finding("config", "ok", f"{label}: {path}", facts=facts)
        for pointer in _inert(path):
            what = f"{pointer.strip('/').replace('/', '.')} is not acted on by this version"
            yield Finding("config", "note", what, "leave it out", subject=pointer)
    for fault in faults:
        pointer = fault["pointer"] or "/"
        what = f"{pointer}: {fault['message'].rstrip('.')}"
        todo = f"mend it in {path}; docs/config.md lists every key"
        yield Finding("config", "problem", what, todo, subject=pointer, facts=facts)


def _inert(path: Path) -> list[str]:
    runtime().configure(read_config(path), "doctor")
    return list(runtime().config_inert)
