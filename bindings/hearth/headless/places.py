"""Where a request's files go, and whether they can: said before anything is loaded."""

from __future__ import annotations

import functools
import os
import stat
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

from hearth.headless.checks import Plan
from hearth.headless.faults import Fault
from hearth.headless.prefixes import MAX_NAME_BYTES, PREVIEWS, filled
from hearth.headless.whole_files import is_stream

_SOME_SIZE = (16, 16)


def faults_of_places(out: Path, files: Mapping[str, Path], added_bytes: int) -> list[Fault]:
    """What stands in the way of the folder for images, and of files by the options that name them.
    `added_bytes`: by how much a file's name may grow, because each run has one."""
    found = {"--out": _hindrance(out)}
    found |= {option: _hindrance_of_file(path, added_bytes) for option, path in files.items()}
    faults = [Fault(f"{option}: {text}") for option, text in found.items() if text]
    paths = [os.path.realpath(path) for path in files.values() if not is_stream(path)]
    if len(set(paths)) < len(paths):
        faults.append(Fault(f"{' and '.join(files)} name one file, {paths[0]}"))
    return faults


def faults_of_prefixes(plans: Iterable[Plan], out: Path) -> list[Fault]:
    """Folders for images that cannot be made: something else has their name."""
    if _hindrance(out):
        return []  # that is told of --out, once
    hindrance = functools.cache(_hindrance)
    faults = []
    for node in (node for plan in plans for node in plan.nodes.values()):
        prefix = node.values.get("filename_prefix")
        if node.class_name == "PreviewImage":
            folder, name = out / PREVIEWS, ""
        elif isinstance(prefix, str):
            place = os.path.normpath(filled(prefix, _SOME_SIZE))
            folder, name = out / os.path.dirname(place), "filename_prefix"
        else:
            continue
        if hindrance(folder):
            faults.append(Fault(hindrance(folder), node.id, node.class_name, name))
    return faults


def faults_of_overwriting(files: Mapping[str, Path], read: Iterable[Path]) -> list[Fault]:
    """Files that are to be written to and are read by the same request."""
    inputs = {_identity(path) for path in read} - {None}
    return [
        Fault(f"{option}: {path} is read by this run, and would be written over")
        for option, path in files.items()
        if not is_stream(path) and _identity(path) in inputs
    ]


def _hindrance_of_file(path: Path, added_bytes: int) -> str:
    if is_stream(path):
        is_socket = stat.S_ISSOCK(os.stat(path).st_mode)
        return f"{path} is a socket, not a file" if is_socket else ""
    if os.path.isdir(path):
        return f"{path} is a folder, not a file"
    if len(os.fsencode(path.name)) + added_bytes > MAX_NAME_BYTES:
        return f"{path.name} is too long for a file's name"
    return _hindrance(path.parent)


def _hindrance(folder: Path) -> str:
    """A folder that is not there is made, so the nearest one above it counts. It is tried: root may
    write everywhere, and still not to a file system that is read-only or makes its own files."""
    place, missing = folder.absolute(), []
    while not os.path.lexists(place) and place != place.parent:
        missing.append(place.name)
        place = place.parent
    if not os.path.isdir(place):
        what = "a link to nothing" if os.path.islink(place) else "a file"
        return f"{place} is {what}, so nothing can be written below it"
    if any(len(os.fsencode(name)) > MAX_NAME_BYTES for name in missing):
        return f"{folder} is too long for a folder's name"
    try:
        tempfile.TemporaryDirectory(prefix=".hearth.", dir=place).cleanup()
    except OSError as error:
        return f"nothing can be written to {place}: {error.strerror or error}"
    return ""


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return None
    return state.st_dev, state.st_ino
