"""The folders that model files lie in: their file system, disk, and way to the GPU."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

from hearth import host_files
from hearth.check import find_files
from hearth.disk import read_seconds
from hearth.doctor.finding import Finding, gib
from hearth.doctor.machine import Machine

_THREADS = 16
_QUICK_BYTES = 512 << 20
_SLICE_BYTES = 256 << 20
_IN_MEMORY = {"tmpfs", "ramfs"}
_REMOTE = {"nfs", "cifs", "smb2", "9p", "fuse", "ceph", "lustre"}
_WITHOUT_RIGHTS = {"vfat", "exfat", "ntfs", "ntfs3"}


def largest_file(folder: Path) -> Path:
    """The largest safetensors file of a folder.

    Raises:
        FileNotFoundError: there is no such folder, or none in it.
    """
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} is no folder")
    files = [file for file in find_files([str(folder)]) if file.name.endswith(".safetensors")]
    sizes = {file: file.stat().st_size for file in files if file.is_file()}
    if not any(sizes.values()):
        raise FileNotFoundError(f"{folder} holds no safetensors file")
    return max(sizes, key=lambda file: sizes[file])


def folder_is_there(folder: Path) -> Iterator[Finding]:
    """Says so where a folder that was named is none, and leaves broken files to `hearth check`."""
    if not folder.is_dir():
        what = f"{folder} is no folder"
        yield Finding("models", "problem", what, "name the folder: `--models DIR`", str(folder))
        return
    largest = largest_file(folder)
    facts = {"largest_bytes": largest.stat().st_size}
    what = f"the largest file is {largest.name}, {gib(largest.stat().st_size)}"
    todo = f"whether all files are sound: `hearth check {folder}`"
    yield Finding("models", "ok", what, todo, str(folder), facts)


def file_system(folder: Path) -> Iterator[Finding]:
    """What kind of file system it is, and what that costs."""
    with host_files.tier().hold(largest_file(folder)) as file:
        kind = file.file_system
    facts, subject = {"file_system": kind}, str(folder)
    if kind in _REMOTE:
        what = f"{kind}: the first read of a model is as slow as the network or its server"
        todo = "copy the models to a local disk and name it in extra_model_paths.yaml"
        yield Finding("file_system", "warning", what, todo, subject, facts)
    elif kind in _WITHOUT_RIGHTS:
        what = f"{kind}: its driver reads slowly and may refuse reads past the page cache"
        todo = "move the models to ext4, xfs or btrfs"
        yield Finding("file_system", "warning", what, todo, subject, facts)
    elif kind == "overlay":
        what = "overlay: the models lie inside a container's image"
        todo = "mount them as a volume: `-v /models:/models`"
        yield Finding("file_system", "note", what, todo, subject, facts)
    elif kind in _IN_MEMORY:
        what = f"{kind}: the files are in RAM already, and count against it"
        yield Finding("file_system", "note", what, "", subject, facts)
    else:
        yield Finding("file_system", "ok", kind, "", subject, facts)


def disk(folder: Path) -> Iterator[Finding]:
    """The disk's own rate, from at most 512 MiB of the largest file."""
    path = largest_file(folder)
    nbytes = min(path.stat().st_size, _QUICK_BYTES)
    subject = str(folder)
    try:
        seconds = read_seconds(path, nbytes, _THREADS, direct=True)
    except OSError as error:
        what = f"O_DIRECT is refused ({error.strerror}): cold files are read through the page cache"
        yield Finding("disk", "note", what, "", subject)
        return
    rate = nbytes / max(seconds, 1e-9) / 1e9
    facts = {"bytes": nbytes, "seconds": round(seconds, 4), "gb_per_s": round(rate, 3)}
    what = f"{rate:.2f} GB/s past the page cache, {nbytes >> 20} MiB in {_THREADS} threads"
    if rate < 0.5 and nbytes == _QUICK_BYTES:
        todo = "put the models on an NVMe disk, or prewarm them: docs/prewarm.md"
        yield Finding("disk", "warning", what, todo, subject, facts)
    else:
        yield Finding("disk", "ok", what, "exactly: `hearth bench load FILE`", subject, facts)


def mapping(folder: Path, machine: Machine) -> Iterator[Finding]:
    """Maps the largest file, and registers its beginning with the GPU where there is one."""
    path = largest_file(folder)
    subject = str(folder)
    try:
        with host_files.tier().hold(path) as file:
            if file.address == 0:
                what = f"{file.name} cannot be mapped; it goes through the transfer buffers"
                todo = "move the models to a local file system such as ext4 or xfs"
                yield Finding("mapping", "warning", what, todo, subject)
                return
            yield Finding("mapping", "ok", f"{file.name} is mapped", "", subject)
            yield _registering(file, machine, subject)
    finally:
        host_files.tier().give_way()


def _registering(file: host_files.HostFile, machine: Machine, subject: str) -> Finding:
    gpus = machine.gpus()
    if not gpus.devices:
        reason = gpus.reason.rstrip(".") or "the driver lists no GPU"
        return Finding("registering", "note", f"not tried: {reason}", "", subject)
    file.read_ahead(max_bytes=_SLICE_BYTES, wait=True)
    start = time.perf_counter()
    registered = file.register(max_bytes=_SLICE_BYTES)
    seconds = time.perf_counter() - start
    if registered == 0:
        what = f"the GPU cannot read the mapping ({file.refusal.rstrip('.')}): files go through "
        what += "pinned buffers, with a copy more"
        todo = "see `registering` in docs/doctor.md; a local ext4 or xfs file system works"
        return Finding("registering", "warning", what, todo, subject)
    facts = {"bytes": registered, "seconds": round(seconds, 4)}
    what = f"the GPU reads the mapping itself: {registered >> 20} MiB registered in {seconds:.3f} s"
    return Finding("registering", "ok", what, "", subject, facts)
