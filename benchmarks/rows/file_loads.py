"""One file's way to the GPU, by `hearth bench load`: hearth's and safetensors', bytes compared."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.harness.comfy_server import REPOSITORY

VARIANT = "files"
ROW = "file_to_gpu"
WHAT = "a file's way to the GPU, from a warm and a cold page cache"
WANTED = {
    ("map_register_upload", "warm"): "22 GB/s",
    ("upload_registered", "host tier"): "53 GB/s",
    ("upload_ring", "cold"): "0.95 of the disk",
}
_WORDS = {
    "disk": "the disk alone, past the page cache",
    "bus": "pinned memory to the GPU, by torch",
    "map_register_upload": "hearth: map, register, copy",
    "upload_registered": "hearth: copy what is registered",
    "register": "hearth: register alone",
    "upload_ring": "hearth: through buffers",
    "safetensors": "safetensors' load_file",
}

BenchRow = dict[str, Any]


def bench(file: Path, repeats: int) -> list[BenchRow]:
    """All rows of the tool. Throws RuntimeError when it fails, or when bytes differ."""
    command = [sys.executable, "-m", "hearth", "bench", "load", "--cold", "--json"]
    paths = [str(REPOSITORY / "bindings"), os.environ.get("PYTHONPATH", "")]
    done = subprocess.run(
        [*command, "--repeat", str(repeats), str(file.resolve())],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, paths))},
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise RuntimeError(done.stderr.strip() or f"it ended with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines()]


def largest(models: Path) -> Path:
    """The file that is measured: the largest diffusion model."""
    files = (models / "diffusion_models").glob("*.safetensors")
    return max(files, key=lambda path: (path.stat().st_size, path.name))


def table(rows: Sequence[BenchRow]) -> list[list[str]]:
    """Cells; the first line is the heading."""
    lines = [["one file", "page cache", "GB/s", "s (worst)", "wanted"]]
    for row in rows:
        if row["row"] not in _WORDS or row.get("device") == "cpu":
            continue
        wanted = WANTED.get((row["row"], row["cache"]), "")
        what = _WORDS[row["row"]]
        for name in ("threads", "reads"):
            what += f", {row[name]} {name}" if name in row else ""
        if "left_out" in row:
            lines.append([what, row["cache"], "–", f"not measured: {row['left_out']}", wanted])
            continue
        seconds = f"{row['seconds']:.3f} ({row['worst_seconds']:.3f})"
        lines.append([what, row["cache"], f"{row['gb_per_s'] or 0:.1f}", seconds, wanted])
    return lines
