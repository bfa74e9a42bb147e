"""What is measured of a maker: each row sends requests and returns seconds."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.engine_rows.makers import Maker
from benchmarks.harness.client import Graph

Samples = dict[str, Any]

_SUBJECTS = ("a lighthouse", "two foxes", "an old ship", "a glass city", "a tea house", "a comet")
_PLACES = ("in the snow", "at night", "in heavy rain", "behind a fence", "on a hill", "from above")
_IMAGE_SEED = 900


@dataclass
class Bench:
    """One maker under measurement; `graph` as the workflow's file has it."""

    maker: Maker
    graph: Graph
    count: int
    seconds: float
    """Of an open loop."""
    out: Path
    name: str
    size: int
    """Pixels of a side; the small row has half of it."""
    asked: int = 0

    def request(self, *, size: int, prompt: str | None = None) -> Graph:
        """The graph with a seed that was not there before, and this size and prompt."""
        self.asked += 1
        return _with(self.graph, 1000 + self.asked, size, prompt)

    def new_prompt(self) -> str:
        """One that no request had before, of changing length."""
        number = self.asked
        words = [_SUBJECTS[number % 6], _PLACES[number // 6 % 6], f"number {number}"]
        return ", ".join(words + ["detailed"] * (number % 3))

    def latency(self, graph: Graph) -> tuple[float, Mapping[str, float]]:
        """Of one request that is alone: seconds, and those of its parts."""
        began = time.time()
        request = self.maker.submit(graph)
        return self.maker.done(request) - began, self.maker.parts(request)


@dataclass(frozen=True)
class Row:
    """One thing that is measured. The first sample of a size is a warm-up and told apart."""

    name: str
    what: str
    measure: Callable[[Bench], Samples]


def _latencies(bench: Bench, size: int, prompts: Callable[[], str | None]) -> Samples:
    first, _ = bench.latency(bench.request(size=size, prompt=prompts()))
    bench.latency(bench.request(size=size, prompt=prompts()))
    found = [bench.latency(bench.request(size=size, prompt=prompts())) for _ in range(bench.count)]
    names = list(dict.fromkeys(name for _, parts in found for name in parts))
    parts = {name: median([each.get(name, 0.0) for _, each in found]) for name in names}
    return {"first": first, "seconds": [seconds for seconds, _ in found], "parts": parts}


def _same_prompt(bench: Bench) -> Samples:
    return _latencies(bench, bench.size, lambda: None)


def _new_prompt(bench: Bench) -> Samples:
    return _latencies(bench, bench.size, bench.new_prompt)


def _small(bench: Bench) -> Samples:
    return _latencies(bench, bench.size // 2, bench.new_prompt)


def _sustained(bench: Bench) -> Samples:
    graphs = [
        bench.request(size=bench.size, prompt=bench.new_prompt()) for _ in range(2 * bench.count)
    ]
    began = time.time()
    requests = [bench.maker.submit(graph) for graph in graphs]
    ends = [bench.maker.done(request) for request in requests]
    return {"each": (max(ends) - began) / len(graphs)}


def _open_loop(bench: Bench, at_once: int) -> Samples:
    bench.latency(bench.request(size=bench.size, prompt=bench.new_prompt()))
    count = int(bench.seconds)
    begin = time.time()
    sent: list[tuple[float, str]] = []
    for number in range(count):
        due = begin + number // at_once * at_once
        time.sleep(max(0.0, due - time.time()))
        graph = bench.request(size=bench.size, prompt=bench.new_prompt())
        sent.append((due, bench.maker.submit(graph)))
    return {"seconds": [bench.maker.done(request) - due for due, request in sent]}


def _image(bench: Bench) -> Samples:
    """One image of the workflow's prompt and a fixed seed, kept for comparing."""
    request = bench.maker.submit(_with(bench.graph, _IMAGE_SEED, bench.size, None))
    bench.maker.done(request)
    newest = max(bench.maker.outputs().rglob("*.png"), key=lambda path: path.stat().st_mtime_ns)
    kept = bench.out / f"{bench.name}.png"
    shutil.copyfile(newest, kept)
    return {"file": kept.name}


ROWS: Sequence[Row] = (
    Row("same_prompt", "an image of the same prompt, new seed", _same_prompt),
    Row("new_prompt", "an image of a new prompt", _new_prompt),
    Row("sustained", "images queued at once: seconds each", _sustained),
    Row("small", "an image of half the width and height", _small),
    Row("open_loop", "one request a second", lambda bench: _open_loop(bench, 1)),
    Row("pairs", "two requests at once every two seconds", lambda bench: _open_loop(bench, 2)),
    Row("image", "distance of an image from stock's", _image),
)


def _with(graph: Graph, seed: int, size: int, prompt: str | None) -> Graph:
    changed: Graph = {}
    for name, node in graph.items():
        inputs = dict(node["inputs"])
        if "seed" in inputs:
            inputs["seed"] = seed
        if "width" in inputs:
            inputs["width"] = inputs["height"] = size
        if node["class_type"] == "CLIPTextEncode" and prompt is not None:
            inputs["text"] = prompt
        changed[name] = {**node, "inputs": inputs}
    return changed
