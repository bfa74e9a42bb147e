"""`hearth run` as a process that stays: a request a line on stdin, an answer a line on stdout.

    {"id": "7", "set": ["positive.text=a cat"], "numbers": "fast", "parts": false}
    {"id": "7", "finished": 1764.25, "files": ["….png"], "parts": {}}

Everything between is the product's: the same checks, executor, cache and image thread. What is
added is that a plan is made per request, as for a run of the command line, and that answers come
from a thread of their own, so that the next run does not wait for them. `parts` has the GPU waited
for at the ends of each node; without it nothing is waited for that `hearth run` would not.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import queue
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from hearth.headless import allocator

os.environ.update(allocator.settings(os.environ))  # as `hearth run` does, before torch

import torch  # noqa: E402
from hearth import engine  # noqa: E402
from hearth.errors import HearthError  # noqa: E402
from hearth.headless import graph, settings, trace  # noqa: E402
from hearth.headless.ahead import read_ahead  # noqa: E402
from hearth.headless.checks import Plan, PlannedNode, check  # noqa: E402
from hearth.headless.executor import Executor, RunRecord  # noqa: E402
from hearth.headless.faults import RefusedError  # noqa: E402
from hearth.headless.image_writer import ImageWriter  # noqa: E402
from hearth.headless.request import Job, Request, prepare  # noqa: E402
from hearth.headless.work import Place  # noqa: E402

from benchmarks.engine_rows.makers import PARTS, mean_step  # noqa: E402

Line = dict[str, Any]
Answer = Callable[[], Line]


class PartClock:
    """Is told of a run's nodes and steps, and times them where that is asked for."""

    def __init__(self, *, on_gpu: bool) -> None:
        self._on_gpu = on_gpu
        self.begin(times=False)

    def begin(self, *, times: bool) -> None:
        """Of a run."""
        self._times = times
        self.save_began = 0.0
        self._seconds: dict[str, float] = {}
        self._steps: list[tuple[int, float]] = []

    def began(self, node: PlannedNode) -> None:
        """A node begins."""
        self._node_began = self._now()
        if PARTS.get(node.class_name) == "png":
            self.save_began = self._node_began

    def stepped(self, done: int, total: int) -> None:
        """The sampler tells of a step when the one before it is done."""
        self._steps.append((done, time.perf_counter()))

    def ended(self, node: PlannedNode, seconds: float) -> None:
        """A node is done."""
        part = PARTS.get(node.class_name)
        if part is not None:
            self._seconds[part] = self._now() - self._node_began

    def take(self) -> dict[str, float]:
        """The seconds of the run; nothing where they were not asked for."""
        return self._seconds | mean_step(self._steps) if self._times else {}

    def _now(self) -> float:
        if self._times and self._on_gpu:
            torch.cuda.synchronize()
        return time.perf_counter()


class Service:
    """Carries requests out, one after the other. REQUIRES: the thread of engine.start()."""

    def __init__(self, job: Job, writer: ImageWriter) -> None:
        self._job, self._writer = job, writer
        asked = job.request.device
        self._device = asked or ("cuda" if torch.cuda.is_available() else "cpu")
        self._executors: dict[str, Executor] = {}
        self._clock = PartClock(on_gpu=self._device == "cuda")

    def run(self, line: Line) -> Answer:
        """Computes; the function that is returned waits for the files and has the answer."""
        plan = self._plan(line["set"])
        self._clock.begin(times=line["parts"])
        record = self._executor(line["numbers"]).run(plan)
        trace.tell(record)
        parts, save_began = self._clock.take(), self._clock.save_began
        engine.tidy()
        if "latents" in line:
            _write_latents(Path(line["latents"]), record)

        def answer() -> Line:
            record.complete()
            end = record.began + record.seconds
            finished = end - time.perf_counter() + time.time()
            whole = parts | {"png": end - save_began} if parts else {}
            files = [str(path) for path in record.files]
            return {"id": line["id"], "finished": finished, "files": files, "parts": whole}

        return answer

    def _plan(self, changes: list[str]) -> Plan:
        found = graph.read(self._job.request.workflows[0])
        faults = settings.apply(found, changes)
        plan = check(found, self._job.models)
        if faults or plan.faults:
            raise RefusedError([*faults, *plan.faults])
        return plan

    def _executor(self, numbers: Any) -> Executor:
        if numbers not in self._executors:
            job = self._job
            where_to = job.models, job.request.out
            place = Place(*where_to, self._device, numbers, job.tokenizer, self._writer)
            self._executors[numbers] = Executor(place, self._clock)
        return self._executors[numbers]


class Answers:
    """Written in the order of the requests, each when it is known."""

    def __init__(self, file: Any) -> None:
        self._file = file
        self._waiting: queue.SimpleQueue[tuple[str, Answer] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._write)
        self._thread.start()

    def add(self, id_: str, answer: Answer) -> None:
        """Returns at once."""
        self._waiting.put((id_, answer))

    def end(self) -> None:
        """Waits until all are written."""
        self._waiting.put(None)
        self._thread.join()

    def _write(self) -> None:
        while (entry := self._waiting.get()) is not None:
            id_, answer = entry
            self._file.write(json.dumps(_or_error(id_, answer)) + "\n")
            self._file.flush()


def _or_error(id_: str, answer: Answer) -> Line:
    try:
        return answer()
    except HearthError as error:
        return _failed(id_, error)


def _failed(id_: str, error: HearthError) -> Line:
    return {"id": id_, "error": str(error).replace("\n", "; ")}


def _write_latents(path: Path, record: RunRecord) -> None:
    from safetensors.torch import save_file

    save_file({"latent_tensor": record.latents.cpu().contiguous()}, path)


def serve(job: Job, answers: Answers) -> None:
    """Works until stdin ends."""
    engine.start()
    with ImageWriter() as writer:
        service = Service(job, writer)
        answers.add("ready", lambda: {"id": "ready"})
        for text in sys.stdin:
            line: Line = json.loads(text)
            try:
                answers.add(line["id"], service.run(line))
            except HearthError as error:
                answers.add(line["id"], functools.partial(_failed, line["id"], error))


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="see the module's text")
    parser.add_argument("workflow", type=Path)
    parser.add_argument("--models", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--tokenizer", type=Path)
    parser.add_argument("--device", choices=("cpu", "cuda"))
    return parser.parse_args()


def main() -> int:
    """0; 2 when the workflow is refused."""
    given = _parse()
    given.out.mkdir(parents=True, exist_ok=True)
    # What anything else prints is no answer.
    file = os.fdopen(os.dup(1), "w", encoding="utf-8")
    sys.stdout = sys.stderr
    places = {"models": given.models, "out": given.out, "tokenizer": given.tokenizer}
    try:
        job = prepare(Request([given.workflow], [], **places, device=given.device))
    except RefusedError as refused:
        for fault in refused.faults:
            print(f"hearth: {fault.line()}")
        return 2
    read_ahead(job.plans, job.models)
    answers = Answers(file)
    try:
        serve(job, answers)
    finally:
        answers.end()
    return 0


if __name__ == "__main__":
    sys.exit(main())
