"""Checks checkpoint files without loading them: is a file what its name promises?

`refuse_if_corrupt` is for the way into ComfyUI and reads the header only. `check_file` makes a
report for people and programs; with `deep=True` it reads every byte. Nothing is ever unpickled.
"""

from __future__ import annotations

import hashlib
import os
import stat
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from hearth._native import _core
from hearth.errors import CheckpointCorruptError, CheckpointNotFoundError

SAFETENSORS_SUFFIXES = (".safetensors", ".sft")
SET_SUFFIX = ".safetensors.index.json"
# What ComfyUI reads by itself and this module leaves alone.
LEFT_TO_COMFYUI = {
    ".ckpt": "a PyTorch checkpoint",
    ".pt": "a PyTorch checkpoint",
    ".pt2": "a PyTorch checkpoint",
    ".pth": "a PyTorch checkpoint",
    ".bin": "a PyTorch checkpoint",
    ".pkl": "a PyTorch checkpoint",
    ".gguf": "a GGUF file",
}

Status = Literal["good", "bad", "unchecked"]
# Told the number of bytes read since the last call.
Progress = Callable[[int], None]


@dataclass(frozen=True)
class DeepReport:
    """What reading every byte of a file, or of all files of a set, gave."""

    sha256: str  # of a set empty
    seconds: float
    nan: dict[str, int]  # dtype -> NaN values
    infinite: dict[str, int]
    worst: list[tuple[str, int, int]]  # tensor, NaN, infinite; the ten with most
    shards: dict[str, str] = field(default_factory=dict)  # of a set: file -> sha256


@dataclass(frozen=True)
class FileReport:
    """The verdict on one file, or on one sharded set of files."""

    path: str
    status: Status
    kind: str
    size: int = 0
    tensors: int = 0
    dtypes: dict[str, int] = field(default_factory=dict)  # dtype -> bytes
    metadata: dict[str, str] = field(default_factory=dict)
    warnings: list[str] = field(default_factory=list)
    error: str = ""  # why it is bad or unchecked, and what to do
    byte_offset: int | None = None
    tensor: str = ""
    expected: str = ""
    shards: list[str] = field(default_factory=list)  # names of the files of a set
    deep: DeepReport | None = None


def refuse_if_corrupt(path: str | os.PathLike[str], roots: Sequence[str] = ()) -> None:
    """Raises for a safetensors file that must not reach ComfyUI; returns for every other format.

    Reads the header only: a millisecond for a usual file. With `roots`, a file that lies outside
    these folders once its links are followed is refused too.

    Raises:
        CheckpointCorruptError: the file is not what its name promises; says why and what to do.
        CheckpointNotFoundError: there is no such file.
    """
    if os.fspath(path).lower().endswith(SAFETENSORS_SUFFIXES):
        _core.check_checkpoint(path, list(roots))


def tensor_names(path: str | os.PathLike[str]) -> frozenset[str]:
    """The names in a safetensors file, once its header was checked. Raises as refuse_if_corrupt."""
    return frozenset(tensor.name for tensor in _core.Checkpoint(path).tensors)


def find_files(paths: Iterable[str | os.PathLike[str]]) -> Iterator[Path]:
    """The files to check, each once: those given, and in each folder all checkpoints, sorted by
    name.

    A folder that may not be searched is among them, so that nobody takes it for checked.
    """
    seen: set[str] = set()
    for path in paths:
        # Unlike Path, isdir takes "" for no folder: a variable that was not set.
        is_folder = os.path.isdir(path)
        for file in _checkpoints_below(Path(path)) if is_folder else (Path(path),):
            # A link to a file is a file of its own: it has another name, and may lead elsewhere.
            place = os.path.join(os.path.realpath(file.parent), file.name)
            if place not in seen:
                seen.add(place)
                yield file


def check_file(
    path: str | os.PathLike[str],
    *,
    deep: bool = False,
    roots: Sequence[str] = (),
    on_progress: Progress | None = None,
) -> FileReport:
    """Checks one file, or the set that an index file names; a bad file is a report, no error."""
    text = os.fspath(path)
    lowered = text.lower()
    closed = _why_folder_is_closed(text)
    if closed:
        return FileReport(text, "bad", "folder", error=closed)
    left = LEFT_TO_COMFYUI.get(os.path.splitext(lowered)[1])
    size = _size_of(text)
    if left is not None:
        reason = f"not checked: {left} is left to ComfyUI, and never unpickled here"
        return FileReport(text, "unchecked", left, size, error=reason)
    is_set = lowered.endswith(SET_SUFFIX)
    try:
        if is_set:
            return _check_set(text, deep, roots, on_progress)
        return _check_safetensors(text, deep, roots, on_progress)
    except CheckpointCorruptError as error:
        return FileReport(
            text,
            "bad",
            "sharded set" if is_set else "safetensors",
            size,
            error=_without_name(str(error), error.file_name, is_set),
            byte_offset=error.byte_offset,
            tensor=error.tensor,
            expected=error.expected,
        )
    except CheckpointNotFoundError as error:
        kind = "sharded set" if is_set else "safetensors"
        message = str(error) if is_set else str(error).split(": ", 1)[-1]
        return FileReport(text, "bad", kind, size, error=message)


def _check_safetensors(
    path: str, deep: bool, roots: Sequence[str], on_progress: Progress | None
) -> FileReport:
    checkpoint = _core.Checkpoint(path, list(roots))
    dtypes = checkpoint.dtypes
    return FileReport(
        path,
        "good",
        "safetensors",
        checkpoint.size,
        tensors=sum(count for count, _ in dtypes.values()),
        dtypes={name: size for name, (_, size) in dtypes.items()},
        metadata=checkpoint.metadata,
        warnings=checkpoint.warnings,
        deep=_read_all(checkpoint, on_progress) if deep else None,
    )


def _check_set(
    path: str, deep: bool, roots: Sequence[str], on_progress: Progress | None
) -> FileReport:
    found = _core.check_sharded_set(path, list(roots))
    shards = [str(shard) for shard in found["shards"]]
    folder = os.path.dirname(path)
    return FileReport(
        path,
        "good",
        f"sharded set of {len(shards)}",
        found["tensor_bytes"],
        tensors=found["tensors"],
        warnings=found["warnings"],
        shards=shards,
        deep=_read_shards(folder, shards, roots, on_progress) if deep else None,
    )


def _read_shards(
    folder: str, shards: Sequence[str], roots: Sequence[str], on_progress: Progress | None
) -> DeepReport:
    found = {
        shard: _read_all(_core.Checkpoint(os.path.join(folder, shard), list(roots)), on_progress)
        for shard in shards
    }
    reports = list(found.values())
    return DeepReport(
        "",
        sum(report.seconds for report in reports),
        _sum(report.nan for report in reports),
        _sum(report.infinite for report in reports),
        _most([each for report in reports for each in report.worst]),
        {shard: report.sha256 for shard, report in found.items()},
    )


def _read_all(checkpoint: _core.Checkpoint, on_progress: Progress | None) -> DeepReport:
    digest = hashlib.sha256()

    def take(block: memoryview) -> None:
        digest.update(block)  # gives up the GIL while it hashes
        if on_progress is not None:
            on_progress(len(block))

    start = time.monotonic()
    found = checkpoint.scan(take)
    seconds = time.monotonic() - start
    nan = _sum({dtype: nans} for _, dtype, nans, _ in found)
    infinite = _sum({dtype: infinites} for _, dtype, _, infinites in found)
    worst = _most([(name, nans, infinites) for name, _, nans, infinites in found])
    return DeepReport(digest.hexdigest(), seconds, nan, infinite, worst)


def _sum(counts: Iterable[dict[str, int]]) -> dict[str, int]:
    total: dict[str, int] = {}
    for count in counts:
        for dtype, number in count.items():
            total[dtype] = total.get(dtype, 0) + number
    return total


def _most(tensors: list[tuple[str, int, int]]) -> list[tuple[str, int, int]]:
    """The ten with most values that are no numbers."""
    return sorted(tensors, key=lambda tensor: -(tensor[1] + tensor[2]))[:10]


def _checkpoints_below(folder: Path) -> Iterator[Path]:
    """Follows links to folders, as ComfyUI does, but into none twice."""
    seen: set[tuple[int, int]] = set()
    closed: list[Path] = []

    def note(error: OSError) -> None:
        closed.append(Path(error.filename))

    for root, folders, files in os.walk(folder, onerror=note, followlinks=True):
        folders.sort()
        try:
            status = os.stat(root)
        except OSError:
            folders.clear()
            continue
        if (status.st_dev, status.st_ino) in seen:
            folders.clear()
            continue
        seen.add((status.st_dev, status.st_ino))
        for name in sorted(files):
            lowered = name.lower()
            if (
                lowered.endswith((*SAFETENSORS_SUFFIXES, SET_SUFFIX))
                or os.path.splitext(lowered)[1] in LEFT_TO_COMFYUI
            ):
                yield Path(root) / name
    yield from closed


def _why_folder_is_closed(path: str) -> str:
    """Empty for what is no folder, or can be searched."""
    try:
        if os.path.isdir(path):
            os.scandir(path).close()
    except OSError as error:
        return (
            f"the folder cannot be searched ({error.strerror}); "
            "give the user who runs ComfyUI permission to read it."
        )
    return ""


def _size_of(path: str) -> int:
    try:
        status = os.stat(path)
    except OSError:
        return 0
    return status.st_size if stat.S_ISREG(status.st_mode) else 0


def _without_name(message: str, file_name: str, is_set: bool) -> str:
    """Messages start with the file's name, which a report shows beside them; a set has several."""
    return message if is_set else message.removeprefix(f"{file_name}: ")
