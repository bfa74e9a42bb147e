"""hearth without ComfyUI as a process that keeps its models: `hearth run`'s own executor, fed by
JSON lines {"id", "graph"} on stdin. Answers {"id", "done", "parts"} once a request's files lie. Its
argument is JSON: models, out, numbers, device and, where it is not found, tokenizer."""

from __future__ import annotations

import json
import sys
import time
from concurrent.futures import Future
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY / "bindings"))

from hearth import engine  # noqa: E402
from hearth.errors import HearthError  # noqa: E402
from hearth.headless import graph  # noqa: E402
from hearth.headless.checks import PlannedNode, check  # noqa: E402
from hearth.headless.executor import Executor, RunRecord  # noqa: E402
from hearth.headless.faults import RefusedError  # noqa: E402
from hearth.headless.image_writer import ImageWriter  # noqa: E402
from hearth.headless.request import Job, Request, prepare  # noqa: E402
from hearth.headless.work import Place  # noqa: E402


class _Nobody:
    def began(self, node: PlannedNode) -> None:
        """Nobody is told."""

    def stepped(self, done: int, total: int) -> None:
        """Nobody is told."""

    def ended(self, node: PlannedNode, seconds: float) -> None:
        """Nobody is told."""


def _answer(name: str, record: RunRecord) -> None:
    parts: dict[str, float] = {}
    for node in record.nodes:
        parts[node.class_name] = parts.get(node.class_name, 0.0) + node.seconds

    def tell(_: Future[float] | None) -> None:
        body = {"id": name, "done": time.time(), "parts": parts}
        print(json.dumps(body), flush=True)

    if record.writing:
        record.writing[-1][1].add_done_callback(tell)
    else:
        tell(None)


def _request(setting: dict[str, str], workflow: Path) -> Request:
    tokenizer = Path(setting["tokenizer"]) if "tokenizer" in setting else None
    return Request(
        [workflow],
        [],
        Path(setting["models"]),
        workflow.parent,
        tokenizer=tokenizer,
        device=setting["device"],
        numbers=setting["numbers"],  # type: ignore[arg-type]
    )


def main(arguments: list[str]) -> int:
    """Until stdin ends."""
    setting: dict[str, str] = json.loads(arguments[0])
    workflow = Path(setting["out"]) / "request.json"
    request = _request(setting, workflow)
    engine.start()
    with ImageWriter() as writer:
        job: Job | None = None
        for line in sys.stdin:
            asked: dict[str, Any] = json.loads(line)
            workflow.write_text(json.dumps(asked["graph"]), encoding="utf-8")
            try:
                if job is None:  # later requests change what `--prompts` and `--set` would
                    job = prepare(request)
                    shared = (job.models, request.out, setting["device"], request.numbers)
                    executor = Executor(Place(*shared, job.tokenizer, writer), _Nobody())
                _answer(asked["id"], executor.run(check(graph.read(workflow), job.models)))
                engine.tidy()
            except (HearthError, RefusedError) as error:
                print(json.dumps({"id": asked["id"], "error": str(error)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
