"""How fast a file gets into RAM and onto a GPU: `python -m benchmarks.load FILE…`

For each file: the disk's own rate, the page cache cold and warm, mapping, registering (in slices,
so that the longest stall is known) and uploading, and beside it safetensors' load_file. Bytes on
the device are compared with the file's, off the clock. One JSON object a line; without a GPU its
rows are left out, and one line says why.
"""

from __future__ import annotations

import argparse
import json
import mmap
import os
import statistics
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth import device, host_files

_COMPARE_BYTES = 64 << 20
_DIRECT_BYTES = 4 << 20
_DIRECT_THREADS = 16


@dataclass(frozen=True)
class Bench:
    """One file under measurement, and where its rows go."""

    path: Path
    index: int
    repeats: int
    threads: int

    @property
    def nbytes(self) -> int:
        """The file's size."""
        return self.path.stat().st_size

    def row(self, what: str, cache: str, seconds: list[float], **more: Any) -> None:
        """Prints one line; `seconds` are the repeats."""
        median = statistics.median(seconds)
        facts = {
            "row": what,
            "file": self.path.name,
            "bytes": self.nbytes,
            "cache": cache,
            "seconds": round(median, 5),
            "worst_seconds": round(max(seconds), 5),
            "repeats": len(seconds),
            "gb_per_s": round(self.nbytes / median / 1e9, 3) if median > 0 else None,
        }
        print(json.dumps(facts | more), flush=True)

    def drop(self) -> None:
        """Has the kernel forget the file's pages; nobody may have them mapped."""
        host_files.tier().give_way()
        with self.path.open("rb") as stream:
            os.fsync(stream.fileno())
            os.posix_fadvise(stream.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)

    def make(self, cache: str) -> None:
        """Makes the page cache what the row says it is."""
        if cache == "cold":
            self.drop()
            return
        with host_files.tier().hold(self.path) as file:
            file.read_ahead(wait=True)
        host_files.tier().give_way()


@contextmanager
def clock(into: list[float]) -> Iterator[None]:
    """Adds the seconds that the block took."""
    start = time.perf_counter()
    yield
    into.append(time.perf_counter() - start)


def disk_rate(bench: Bench) -> None:
    """What the disk gives past the page cache, to 1 and to 16 threads."""
    for threads in (1, _DIRECT_THREADS):
        seconds: list[float] = []
        try:
            descriptor = os.open(bench.path, os.O_RDONLY | os.O_DIRECT)
        except OSError as error:
            print(json.dumps({"row": "disk_direct", "refused": str(error)}), flush=True)
            return
        local = threading.local()

        def read(offset: int, descriptor: int = descriptor, local: Any = local) -> None:
            if not hasattr(local, "buffer"):
                local.buffer = mmap.mmap(-1, _DIRECT_BYTES)  # O_DIRECT wants whole pages
            os.preadv(descriptor, [local.buffer], offset)

        with ThreadPoolExecutor(threads) as pool, clock(seconds):
            list(pool.map(read, range(0, bench.nbytes, _DIRECT_BYTES)))
        os.close(descriptor)
        bench.row("disk_direct", "past it", seconds, threads=threads)


def read_rate(bench: Bench, cache: str) -> None:
    """From the disk, or the page cache, into this process's mapping."""
    seconds: list[float] = []
    from_disk = 0
    for _ in range(bench.repeats):
        bench.make(cache)
        with clock(seconds), host_files.tier().hold(bench.path) as file:
            file.read_ahead(threads=bench.threads, wait=True)
            from_disk = file.progress["from_disk_bytes"]
    bench.row("read_ahead", cache, seconds, from_disk_bytes=from_disk, threads=bench.threads)


def require_equal(bench: Bench, arena: device.DeviceArena) -> None:
    """The device has the file's bytes."""
    with bench.path.open("rb") as stream:
        for offset in range(0, bench.nbytes, _COMPARE_BYTES):
            expected = stream.read(_COMPARE_BYTES)
            if arena.read_back(offset, len(expected)) != expected:
                raise SystemExit(f"{bench.path.name}: other bytes on the device near {offset}")


def register_slice(file: host_files.HostFile, slices: list[float]) -> int:
    """Registers one slice; 0 when there is none left, or it was refused."""
    with clock(slices):
        return file.register(max_seconds=0.0)


def register_and_upload(bench: Bench) -> None:
    """Map, register and copy: everything together, each alone, and once it is registered."""
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
                while register_slice(file, slices):
                    pass
            refusal = file.refusal
            stats = uploader.run(file, arena)
        require_equal(bench, arena)
        with host_files.tier().hold(bench.path) as file, clock(again):
            uploader.run(file, arena)
        require_equal(bench, arena)
        del arena
    bench.row("register", "warm", registering, refusal=refusal, worst_slice_seconds=max(slices))
    bench.row("map_register_upload", "warm", whole, upload=stats)
    bench.row("upload_registered", "host tier", again)


def stream_rate(bench: Bench, cache: str, reads: str) -> None:
    """Through the transfer buffers, the file neither mapped in full nor registered."""
    seconds: list[float] = []
    stats: dict[str, Any] = {}
    uploader = device.Uploader(device.devices(), bench.index, reads=reads)
    for _ in range(bench.repeats):
        bench.make(cache)
        arena = device.DeviceArena(device.devices(), bench.index, bench.nbytes)
        with host_files.tier().hold(bench.path) as file, clock(seconds):
            stats = uploader.run(file, arena)
        require_equal(bench, arena)
        del arena
    bench.row("upload_ring", cache, seconds, reads=reads, upload=stats)


def safetensors_rate(bench: Bench, cache: str, target: str) -> None:
    """The same file by safetensors' load_file."""
    try:
        import torch
        from safetensors.torch import load_file
    except ImportError as error:
        print(json.dumps({"row": "safetensors", "left_out": str(error)}), flush=True)
        return
    seconds: list[float] = []
    for _ in range(bench.repeats):
        bench.make(cache)
        with clock(seconds):
            tensors = load_file(bench.path, device=target)
            if target != "cpu":
                torch.cuda.synchronize()
            else:  # they are mapped only until somebody reads them
                for tensor in tensors.values():
                    tensor.clone()
        del tensors
    bench.row("safetensors", cache, seconds, device=target)


def measure(bench: Bench, has_gpu: bool) -> None:
    """All rows of one file."""
    rows: list[Callable[[], None]] = [
        lambda: disk_rate(bench),
        lambda: read_rate(bench, "cold"),
        lambda: read_rate(bench, "warm"),
        lambda: safetensors_rate(bench, "warm", "cpu"),
    ]
    if has_gpu:
        rows += [
            lambda: register_and_upload(bench),
            lambda: stream_rate(bench, "warm", "page_cache"),
            lambda: stream_rate(bench, "cold", "page_cache"),
            lambda: stream_rate(bench, "cold", "direct"),
            lambda: safetensors_rate(bench, "warm", f"cuda:{bench.index}"),
            lambda: safetensors_rate(bench, "cold", f"cuda:{bench.index}"),
        ]
    for row in rows:
        row()


def main(arguments: list[str] | None = None) -> int:
    """Runs the benchmark; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__)
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--device", type=int, default=0)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--threads", type=int, default=0, help="for reading ahead; 0: automatic")
    options = parser.parse_args(arguments)
    found = device.probe()
    start: list[float] = []
    if found.devices:
        with clock(start):
            device.open_device(options.device)
    facts = {
        "row": "machine",
        "driver_version": found.driver_version,
        "no_gpu": found.reason,
        "devices": [vars(gpu) for gpu in found.devices],
        "context_seconds": start,
        "copies_span_ranges": bool(found.devices) and device.devices().copies_span_ranges(),
    }
    print(json.dumps(facts), flush=True)
    for path in options.files:
        measure(Bench(path, options.device, options.repeats, options.threads), bool(found.devices))
    return 0


if __name__ == "__main__":
    sys.exit(main())
