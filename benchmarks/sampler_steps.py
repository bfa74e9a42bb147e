"""hearth's sampler functions against ComfyUI's: waits, device work and time of their steps.

    python -m benchmarks.sampler_steps [--shape 1,16,128,128] [--steps 8]
                                       [--device-ms 100] [--host-ms 15] [--repeat 10]
                                       [--samplers NAME,…] [--out FILE]

Both get the same schedule and the same stand-in for a model: for counting it answers with a tensor
that was there before; for timing it keeps the host busy for `--host-ms` and then the device for
`--device-ms`, which is what a wait costs: host and device one after the other, not side by side.
Needs ComfyUI (COMFYUI_PATH) with its requirements, and hearth._torch; without a CUDA device only
what would be sent to one is counted. Prints a table, and writes JSON lines with `--out`.
"""

from __future__ import annotations

import argparse
import importlib
import inspect
import json
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from rich.console import Console
from rich.table import Table

from benchmarks.harness.comfy_server import REPOSITORY, find_comfy
from benchmarks.harness.host_waits import HostWaits

_LAUNCHES = ("cudaLaunchKernel", "cuLaunchKernel")
_SYNCHRONISATIONS = ("cudaStreamSynchronize", "cudaDeviceSynchronize", "cudaEventSynchronize")
_PROBE_CYCLES = 50_000_000


@dataclass(frozen=True)
class Row:
    """One sampler function; counts and times are of a whole run."""

    sampler: str
    of: str
    steps: int
    waits: int
    operations: int
    launches: int | None
    synchronisations: int | None
    median_ms: float | None
    fastest_ms: float | None


class StandIn:
    """Answers as a model would, with work of a known length on host and device."""

    def __init__(self, answer: Any, host_ms: float = 0.0, cycles: int = 0) -> None:
        self._answer = answer
        self._host_s = host_ms / 1000.0
        self._cycles = cycles
        # ComfyUI's functions look through the wrappers for the kind of noise a model takes.
        self.inner_model = self.model_patcher = self

        self.model_sampling = importlib.import_module("comfy.model_sampling").EPS()

    def get_model_object(self, _: str) -> Any:
        """How the model mixes image and noise."""
        return self.model_sampling

    def __call__(self, x: Any, sigma: Any) -> Any:
        until = time.perf_counter() + self._host_s
        while time.perf_counter() < until:
            pass
        if self._cycles:
            torch.cuda._sleep(self._cycles)
        return self._answer


class Bench:
    """The functions under comparison, and what they are given."""

    def __init__(self, given: argparse.Namespace) -> None:
        self._given = given
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        shape = [int(part) for part in given.shape.split(",")]
        self._x = torch.randn(shape, device=self._device)
        self._answer = self._x * 0.5
        self._sigmas = torch.linspace(1.0, 0.0, given.steps + 1, device=self._device)
        self._cycles = _cycles_per_ms() * given.device_ms if self._device.type == "cuda" else 0

    def device_name(self) -> str:
        """What the figures hold for."""
        on_gpu = self._device.type == "cuda"
        return str(torch.cuda.get_device_name()) if on_gpu else "cpu"

    def measure(self, name: str, functions: dict[str, Callable[..., Any]]) -> list[Row]:
        """One row for each function; the timed runs take turns, so that drift meets all alike."""
        times: dict[str, list[float]] = {of: [] for of in functions}
        if self._device.type == "cuda":
            for _ in range(self._given.repeat + 1):
                for of, function in functions.items():
                    times[of].append(self._timed(function))
        return [self._row(name, of, functions[of], times[of][1:]) for of in functions]

    def _row(self, name: str, of: str, function: Callable[..., Any], times: list[float]) -> Row:
        with HostWaits() as counted:
            self._run(function, StandIn(self._answer))
        launches, synchronisations = self._profiled(function)
        return Row(
            sampler=name,
            of=of,
            steps=self._given.steps,
            waits=counted.waits,
            operations=counted.operations,
            launches=launches,
            synchronisations=synchronisations,
            median_ms=statistics.median(times) if times else None,
            fastest_ms=min(times, default=None),
        )

    def _run(self, function: Callable[..., Any], model: StandIn) -> None:
        # Noise without cost: Brownian noise is torchsde's work for both, and reads on the host.
        takes_noise = "noise_sampler" in inspect.signature(function).parameters
        options = {"noise_sampler": lambda *_: torch.zeros_like(self._x)} if takes_noise else {}
        with torch.inference_mode():
            # A schedule of its own: uni_pc writes to it.
            function(model, self._x, self._sigmas.clone(), extra_args={}, disable=True, **options)

    def _timed(self, function: Callable[..., Any]) -> float:
        model = StandIn(self._answer, self._given.host_ms, int(self._cycles))
        torch.cuda.synchronize()
        start = time.perf_counter()
        self._run(function, model)
        torch.cuda.synchronize()
        return (time.perf_counter() - start) * 1000.0

    def _profiled(self, function: Callable[..., Any]) -> tuple[int | None, int | None]:
        if self._device.type != "cuda":
            return None, None
        activities = [torch.profiler.ProfilerActivity.CPU, torch.profiler.ProfilerActivity.CUDA]
        torch.cuda.synchronize()
        with torch.profiler.profile(activities=activities) as profile:
            self._run(function, StandIn(self._answer))
            # The profiler itself waits when it stops; what comes after this mark is not ours.
            with torch.profiler.record_function("end of the run"):
                pass
        events = sorted(profile.events(), key=lambda event: event.time_range.start)
        names = [event.name for event in events]
        names = names[: names.index("end of the run")]
        return (
            sum(name.startswith(_LAUNCHES) for name in names),
            sum(name.startswith(_SYNCHRONISATIONS) for name in names),
        )


def _cycles_per_ms() -> float:
    begin, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
    torch.cuda._sleep(_PROBE_CYCLES)
    begin.record()
    torch.cuda._sleep(_PROBE_CYCLES)
    end.record()
    end.synchronize()
    return _PROBE_CYCLES / float(begin.elapsed_time(end))


def _comfyuis_objects() -> Any:
    """Makes ComfyUI's sampler object of a name."""
    sys.path[:0] = [str(find_comfy()), str(REPOSITORY / "bindings")]
    sys.argv = [sys.argv[0], *([] if torch.cuda.is_available() else ["--cpu"])]
    importlib.import_module("comfy.options").enable_args_parsing()
    return importlib.import_module("comfy.samplers").sampler_object


def _table(rows: list[Row]) -> Table:
    table = Table(
        "sampler", "of", "waits", "operations", "launches", "syncs", "median ms", "best ms"
    )
    for row in rows:
        counts = [row.waits, row.operations, row.launches, row.synchronisations]
        times = [row.median_ms, row.fastest_ms]
        shown = ["-" if count is None else str(count) for count in counts]
        shown += ["-" if ms is None else f"{ms:.2f}" for ms in times]
        table.add_row(row.sampler, row.of, *shown)
    return table


def main() -> int:
    """Measures every native sampler and prints the table."""
    parser = argparse.ArgumentParser(description="Waits and times of sampler steps.")
    parser.add_argument("--shape", default="1,16,128,128", help="of the latents")
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--device-ms", type=float, default=100.0, help="of the stand-in model")
    parser.add_argument("--host-ms", type=float, default=15.0, help="of the stand-in model")
    parser.add_argument("--repeat", type=int, default=10, help="timed runs of each function")
    parser.add_argument("--samplers", help="names with commas between them; default: all")
    parser.add_argument("--out", type=Path, help="JSON lines")
    given = parser.parse_args()
    sampler_object = _comfyuis_objects()
    native = importlib.import_module("hearth.sampling").functions()
    bench = Bench(given)
    rows = []
    wanted = given.samplers.split(",") if given.samplers else list(native)
    if unknown := [name for name in wanted if name not in native]:
        sys.exit(f"no sampler of hearth's is called {unknown[0]}; there are {', '.join(native)}")
    for name in wanted:
        function = native[name]
        pair = {"ComfyUI": sampler_object(name).sampler_function, "hearth": function}
        rows += bench.measure(name, pair)
    Console().print(_table(rows))
    if given.out is not None:
        machine = {"torch": str(torch.__version__), "device": bench.device_name()}
        settings = {name: value for name, value in vars(given).items() if name != "out"}
        lines = (json.dumps(asdict(row) | machine | settings) + "\n" for row in rows)
        given.out.write_text("".join(lines), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
