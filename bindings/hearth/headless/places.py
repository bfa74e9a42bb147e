"""Where a request's files go, and whether they can: said before anything is loaded."""

from __future__ import annotations

import os
import stat
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path

from hearth.headless.checks import Plan
from hearth.headless.faults import Fault
from hearth.headless.prefixes import filled
from hearth.headless.whole_files import is_stream

_MAX_NAME_BYTES = 255
_SOME_SIZE = (16, 16)
_SAVING = ("SaveImage", "HearthSaveImage")
_PREVIEW = "PreviewImage"


def faults_of_places(out: Path, files: Mapping[str, Path], added_bytes: int) -> list[Fault]:
    """What stands in the way of the folder for images, and of files by the options that name them.
    `added_bytes`: by how much a file's name may grow, because each run has one."""
    faults = [Fault(f"--out: {text}") for text in _hindrances(out)]
    for option, path in files.items():
        faults += [Fault(f"{option}: {text}") for text in _hindrances_of_file(path, added_bytes)]
    paths = [os.path.realpath(path) for path in files.values() if not is_stream(path)]
    if len(set(paths)) < len(paths):
        faults.append(Fault(f"{' and '.join(files)} name one file, {paths[0]}"))
    return faults


def faults_of_prefixes(plans: Iterable[Plan], out: Path) -> list[Fault]:
    """Folders for images that cannot be made: something else has their name."""
    if list(_hindrances(out)):
        return []  # that is told of --out, once
    known: dict[Path, list[str]] = {}
    faults = []
    for plan in plans:
        for node in plan.nodes.values():
            prefix = node.values.get("filename_prefix") if node.class_name in _SAVING else None
            if node.class_name == _PREVIEW:
                folder, name = out / "temp", ""
            elif isinstance(prefix, str):
                place = os.path.normpath(filled(prefix, _SOME_SIZE))
                folder, name = out / os.path.dirname(place), "filename_prefix"
            else:
                continue
            if folder not in known:
                known[folder] = list(_hindrances(folder))
            faults += [Fault(text, node.id, node.class_name, name) for text in known[folder]]
    return faults


def faults_of_overwriting(files: Mapping[str, Path], read: Iterable[Path]) -> list[Fault]:
    """Files that are to be written to and are read by the same request."""
    inputs = {place: path for path in read for place in _places_of(path)}
    return [
        Fault(f"{option}: {path} is read by this run, and would be written over")
        for option, path in files.items()
        if not is_stream(path) and any(place in inputs for place in _places_of(path))
    ]


def _hindrances_of_file(path: Path, added_bytes: int) -> Iterator[str]:
    if is_stream(path):
        if stat.S_ISSOCK(os.stat(path).st_mode):
            yield f"{path} is a socket, not a file"
        return
    if os.path.isdir(path):
        yield f"{path} is a folder, not a file"
    elif len(os.fsencode(path.name)) + added_bytes > _MAX_NAME_BYTES:
        yield f"{path.name} is too long for a file's name"
    else:
        yield from _hindrances(path.parent)


def _hindrances(folder: Path) -> Iterator[str]:
    """A folder that is not there is made, so the nearest one above it counts. It is tried: root may
    write everywhere, and still not to a file system that is read-only or makes its own files."""
    place, missing = folder.absolute(), []
    while not os.path.lexists(place) and place != place.parent:
        missing.append(place.name)
        place = place.parent
    if not os.path.isdir(place):
        what = "a link to nothing" if os.path.islink(place) else "a file"
        yield f"{place} is {what}, so nothing can be written below it"
        return
    if any(len(os.fsencode(name)) > _MAX_NAME_BYTES for name in missing):
        yield f"{folder} is too long for a folder's name"
        return
    try:
        tempfile.TemporaryDirectory(prefix=".hearth.", dir=place).cleanup()
    except OSError as error:
        yield f"nothing can be written to {place}: {error.strerror or error}"


def _places_of(path: Path) -> Iterator[tuple[int, int]]:
    try:
        state = os.stat(path)
    except (OSError, ValueError):
        return
    yield state.st_dev, state.st_ino
