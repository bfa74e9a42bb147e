"""Measures how fast one file gets into RAM and onto a GPU, with safetensors' loader beside it.

Each row is a dict: `row`, `file`, `bytes`, `cache` (what the page cache was made to be), `seconds`
(the median), `worst_seconds`, `repeats`, `gb_per_s`, and what belongs to it alone. What was not
measured is a row too: `left_out` says why. Bytes on the device are compared off the clock.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth import device, host_files
from hearth.disk import read_seconds

Row = dict[str, Any]
_COMPARE_BYTES = 64 << 20
_BUS_BYTES = 256 << 20
_DISK_BYTES = 2 << 30  # more says no more of a disk, and a slow one would take minutes
_THREADS = (1, 16)


class BytesDiffer(Exception):
    """What arrived on the device is not what the file holds."""


@dataclass(frozen=True)
class LoadBench:
    """One file under measurement. `gpu_reason` says why there is no GPU, empty when there is."""

    path: Path
    gpu_reason: str = ""
    index: int = 0
    repeats: int = 3
    cold: bool = False

    @property
    def nbytes(self) -> int:
        """The file's size."""
        return self.path.stat().st_size

    def row(self, what: str, cache: str, seconds: list[float], **more: Any) -> Row:
        """One row; `seconds` are the repeats."""
        return self._row(what, cache, seconds, self.nbytes) | more

    def _row(self, what: str, cache: str, seconds: list[float], nbytes: int) -> Row:
        median = statistics.median(seconds)
        return {
            "row": what,
            "file": self.path.name,
            "bytes": nbytes,
            "cache": cache,
            "seconds": round(median, 5),
            "worst_seconds": round(max(seconds), 5),
            "repeats": len(seconds),
            "gb_per_s": round(nbytes / median / 1e9, 3) if median > 0 else None,
        }

    def left_out(self, what: str, cache: str, reason: str, **more: Any) -> Row:
        """A row that was not measured, and why."""
        return {"row": what, "file": self.path.name, "cache": cache, "left_out": reason} | more

    def make(self, cache: str) -> None:
        """Makes the page cache what the row says it is."""
        if cache == "warm":
            with host_files.tier().hold(self.path) as file:
                file.read_ahead(wait=True)
        host_files.tier().give_way()  # the kernel keeps pages that are mapped
        if cache == "cold":
            with self.path.open("rb") as stream:
                os.fsync(stream.fileno())
                os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


@contextmanager
def clock(into: list[float]) -> Iterator[None]:
    """Adds the seconds that the block took."""
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


def disk_rate(bench: LoadBench, threads: int) -> Iterator[Row]:
    """What the disk gives past the page cache: of the file's first 2 GiB."""
    nbytes = min(bench.nbytes, _DISK_BYTES)
    try:
        taken = [
            read_seconds(bench.path, nbytes, threads, direct=True) for _ in range(bench.repeats)
        ]
    except OSError as error:
        reason = f"O_DIRECT is refused: {error.strerror}"
        yield bench.left_out("disk", "past it", reason, threads=threads)
        return
    yield bench._row("disk", "past it", taken, nbytes) | {"threads": threads}


def host_rate(bench: LoadBench, threads: int) -> Iterator[Row]:
    """What one copy in RAM costs: out of the page cache."""
    bench.make("warm")
    taken = [
        read_seconds(bench.path, bench.nbytes, threads, direct=False) for _ in range(bench.repeats)
    ]
    yield bench.row("host", "warm", taken, threads=threads)


def bus_rate(bench: LoadBench) -> Iterator[Row]:
    """Pinned memory to the device, by torch and not by us."""
    try:
        import torch
    except ImportError:
        yield bench.left_out("bus", "pinned", "there is no torch")
        return
    if not torch.cuda.is_available():
        yield bench.left_out("bus", "pinned", "this torch has no GPU")
        return
    source = torch.empty(_BUS_BYTES, dtype=torch.uint8, pin_memory=True)
    target = torch.empty_like(source, device=f"cuda:{bench.index}")
    taken: list[float] = []
    for _ in range(bench.repeats + 1):
        with clock(taken):
            target.copy_(source, non_blocking=True)
            torch.cuda.synchronize(bench.index)
    yield bench._row("bus", "pinned", taken[1:], _BUS_BYTES)  # the first pays for the start


def read_ahead(bench: LoadBench, cache: str) -> Iterator[Row]:
    """From the disk, or the page cache, into this process's mapping."""
    taken: list[float] = []
    from_disk = 0
    for _ in range(bench.repeats):
        bench.make(cache)
        with clock(taken), host_files.tier().hold(bench.path) as file:
            file.read_ahead(wait=True)
            from_disk = file.progress["from_disk_bytes"]
    yield bench.row("read_ahead", cache, taken, from_disk_bytes=from_disk)


def require_equal(bench: LoadBench, arena: device.DeviceArena) -> None:
    """The device has the file's bytes.

    Raises:
        BytesDiffer: it has others.
    """
    with bench.path.open("rb") as stream:
        for offset in range(0, bench.nbytes, _COMPARE_BYTES):
            expected = stream.read(_COMPARE_BYTES)
            if arena.read_back(offset, len(expected)) != expected:
                raise BytesDiffer(f"{bench.path.name}: other bytes on the device near {offset}")


def _register_slice(file: host_files.HostFile, slices: list[float]) -> int:
    with clock(slices):
        return file.register(max_seconds=0.0)


def register_and_upload(bench: LoadBench) -> Iterator[Row]:
    """Map, register and copy: everything together, registering alone, and once registered."""
    whole: list[float] = []
    registering: list[float] = []
    slices: list[float] = []
    again: list[float] = []
    stats: dict[str, Any] = {}
    uploader = device.Uploader(device.devices(), bench.index)
    for _ in range(bench.repeats):
        bench.make("warm")
        arena = device.DeviceArena(device.devices(), bench.index, bench.nbytes)
        with clock(whole), host_files.tier().hold(bench.path) as file:
            file.read_ahead(wait=True)
            with clock(registering):
                while _register_slice(file, slices):
                    pass
            refusal = file.refusal
            stats = uploader.run(file, arena)
        require_equal(bench, arena)
        with host_files.tier().hold(bench.path) as file, clock(again):
            uploader.run(file, arena)
        require_equal(bench, arena)
        del arena
    stall = round(max(slices), 5)
    yield bench.row("register", "warm", registering, refusal=refusal, worst_slice_seconds=stall)
    yield bench.row("map_register_upload", "warm", whole, upload=stats, bytes_equal=True)
    yield bench.row("upload_registered", "host tier", again, bytes_equal=True)


def stream(bench: LoadBench, cache: str, reads: str) -> Iterator[Row]:
    """Through the transfer buffers, the file neither mapped in full nor registered."""
    taken: list[float] = []
    stats: dict[str, Any] = {}
    uploader = device.Uploader(device.devices(), bench.index, reads=reads)
    for _ in range(bench.repeats):
        bench.make(cache)
        arena = device.DeviceArena(device.devices(), bench.index, bench.nbytes)
        with host_files.tier().hold(bench.path) as file, clock(taken):
            stats = uploader.run(file, arena)
        require_equal(bench, arena)
        del arena
    yield bench.row("upload_ring", cache, taken, reads=reads, upload=stats, bytes_equal=True)


def safetensors(bench: LoadBench, cache: str, target: str) -> Iterator[Row]:
    """The same file by safetensors' load_file."""
    try:
        import torch
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        yield bench.left_out("safetensors", cache, str(error), device=target)
        return
    if target != "cpu" and not torch.cuda.is_available():
        yield bench.left_out("safetensors", cache, "this torch has no GPU", device=target)
        return
    taken: list[float] = []
    for _ in range(bench.repeats):
        bench.make(cache)
        try:
            with clock(taken):
                tensors = load_file(bench.path, device=target)
                if target != "cpu":
                    torch.cuda.synchronize()
                else:  # they are mapped only until somebody reads them
                    for tensor in tensors.values():
                        tensor.clone()
        except SafetensorError as error:
            yield bench.left_out("safetensors", cache, str(error), device=target)
            return
        del tensors
    yield bench.row("safetensors", cache, taken, device=target)


Step = Callable[[], Iterator[Row]]


def steps(bench: LoadBench) -> list[Step]:
    """What there is to measure, in order; each yields its rows."""
    machine: list[Step] = [lambda t=t: disk_rate(bench, t) for t in _THREADS]  # type: ignore[misc]
    machine += [lambda t=t: host_rate(bench, t) for t in _THREADS]  # type: ignore[misc]
    target = f"cuda:{bench.index}"
    return [
        *machine,
        _on_gpu(bench, lambda: bus_rate(bench), "bus"),
        lambda: read_ahead(bench, "warm"),
        _cold(bench, lambda: read_ahead(bench, "cold"), "read_ahead"),
        lambda: safetensors(bench, "warm", "cpu"),
        _cold(bench, lambda: safetensors(bench, "cold", "cpu"), "safetensors", "cpu"),
        _on_gpu(bench, lambda: register_and_upload(bench), "map_register_upload"),
        _on_gpu(bench, lambda: stream(bench, "warm", "page_cache"), "upload_ring"),
        _on_gpu(bench, lambda: safetensors(bench, "warm", target), "safetensors"),
        _on_gpu(bench, _cold(bench, lambda: _cold_to_gpu(bench), "upload_ring"), "upload_ring"),
    ]


def _cold_to_gpu(bench: LoadBench) -> Iterator[Row]:
    yield from stream(bench, "cold", "page_cache")
    yield from stream(bench, "cold", "direct")
    yield from safetensors(bench, "cold", f"cuda:{bench.index}")


def _on_gpu(bench: LoadBench, step: Step, what: str) -> Step:
    if not bench.gpu_reason:
        return step
    left_out = bench.left_out(what, "", f"no GPU: {bench.gpu_reason}")
    return lambda: iter([left_out])


def _cold(bench: LoadBench, step: Step, what: str, target: str = "GPU") -> Step:
    if bench.cold:
        return step
    reason = "only with --cold, which drops the file's pages"
    left_out = bench.left_out(what, "cold", reason, device=target)
    return lambda: iter([left_out])
