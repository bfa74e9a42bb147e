"""Seconds of single sampling steps, as ComfyUI tells a browser of them."""

from __future__ import annotations

import copy
import time
from typing import Any

from benchmarks.harness.client import Graph
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.listener import Listener
from benchmarks.harness.workflows import with_seed
from benchmarks.rows.session import Session

# So long that reading begins, and goes on for many steps: hearth looks at the queue once a second.
_STEPS = 60
_FIRST_STEPS = 3  # of which the weights' way to the device is a part
_FEWEST_STEPS = 3
_TIMEOUT_SECONDS = 600.0


def step_seconds(session: Session, letter: str, seed: int, waiting: str = "") -> list[float]:
    """From step to step of one long prompt. `waiting`: a prompt of that letter stands behind it
    until its files are being read; only steps from then on count."""
    graph = with_seed(_with_steps(session.graphs[letter], _STEPS), seed)
    with Listener(session.server.url) as listener:
        told: list[tuple[int, float]] = []

        def note(event: dict[str, Any]) -> None:
            if event["type"] == "progress":
                told.append((int(event["data"]["value"]), time.monotonic()))

        listener.told = note
        body = {"prompt": graph, "client_id": listener.client_id}
        _, answer = session.client.post("/prompt", body)
        begun = 0.0
        if waiting:
            begun = _until_it_is_read(session, waiting, seed)
        result = session.client.wait(str(answer["prompt_id"]), _TIMEOUT_SECONDS)
    if result.status != "success":
        raise RuntimeError(f"{letter} failed: {result.error}")
    seen = [each for each in told if each[0] > _FIRST_STEPS and each[1] >= begun]
    if len(seen) < _FEWEST_STEPS:
        raise RuntimeError(f"only {len(seen)} steps were told of after reading began")
    # Of steps that follow each other in less than a tenth of a second not each is told of.
    return [
        (at - before) / (step - step_before)
        for (step_before, before), (step, at) in zip(seen, seen[1:], strict=False)
        if step > step_before
    ]


def _until_it_is_read(session: Session, letter: str, seed: int) -> float:
    """When its transformer's file came into host memory; the prompt never runs."""
    graph = with_seed(session.graphs[letter], seed)
    prompt = session.client.submit(graph)
    try:
        [name] = [
            each["inputs"]["unet_name"]
            for each in graph.values()
            if each["class_type"] == "UNETLoader"
        ]
        wait_until(lambda: name in _in_host_memory(session), f"{name} to be read ahead")
        return time.monotonic()
    finally:
        session.client.post("/queue", {"delete": [prompt]})


def _in_host_memory(session: Session) -> set[str]:
    files = session.client.get("/hearth/models")["host_tier"]["files"]
    return {str(file["name"]) for file in files}


def _with_steps(graph: Graph, steps: int) -> Graph:
    found = copy.deepcopy(graph)
    for each in found.values():
        if "steps" in each["inputs"]:
            each["inputs"]["steps"] = steps
    return found
