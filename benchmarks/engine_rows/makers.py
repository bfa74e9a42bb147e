"""What makes images, whichever way: rows ask only this of it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from benchmarks.harness.workflows import Graph

PARTS = {"CLIPTextEncode": "text", "KSampler": "sampling"}
PARTS |= dict.fromkeys(("VAEDecode", "HearthVAEDecode"), "vae")
PARTS |= dict.fromkeys(("SaveImage", "HearthSaveImage"), "png")
"""What a node of each class is in the table."""


@dataclass(frozen=True)
class Wish:
    """One image."""

    prompt: str
    seed: int
    size: int
    """Width and height."""
    with_parts: bool = False
    """Whether its parts are timed, which may cost a little: such an image counts for them only."""


@dataclass(frozen=True)
class Made:
    """One image that is on disk. Seconds of the system clock, and of each part; `step` is the
    mean of the steps."""

    sent: float
    finished: float
    parts: dict[str, float] = field(default_factory=dict)

    @property
    def seconds(self) -> float:
        """From the request until the PNG is there."""
        return self.finished - self.sent


class Maker(Protocol):
    """A process that is ready for requests and works on them in their order."""

    start_seconds: float
    """From the start of the process until it can be asked."""

    def send(self, wish: Wish) -> str:
        """Asks for an image and returns at once, with what `wait` takes."""

    def wait(self, ticket: str) -> Made:
        """The image; throws RuntimeError for one that failed, TimeoutError past the limit."""

    def keep(self, wish: Wish, folder: Path) -> None:
        """Leaves latents and image in a folder of the variant's name below this one."""


class Deadline:
    """Until when a variant may work."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds, more than none; throws TimeoutError."""
        left = self._end - time.monotonic()
        if left <= 0:
            raise TimeoutError(f"over its limit of {self._seconds:.0f} s")
        return left


def changes(graph: Graph, wish: Wish) -> list[tuple[str, str, Any]]:
    """Node, input and value of all that a wish changes. REQUIRES: one KSampler, whose prompt and
    latents come straight from the nodes that make them."""
    [sampler] = [name for name, each in graph.items() if each["class_type"] == "KSampler"]
    inputs = graph[sampler]["inputs"]
    latent = inputs["latent_image"][0]
    return [
        (inputs["positive"][0], "text", wish.prompt),
        (sampler, "seed", wish.seed),
        (latent, "width", wish.size),
        (latent, "height", wish.size),
    ]


def mean_step(told: Sequence[tuple[int, float]]) -> dict[str, float]:
    """`step` from how many steps were told to be done, and when: the mean between the first step
    and the last. ComfyUI leaves out steps that follow within a tenth of a second, and either may
    tell of a step before the device has done it: alike for the first and for the last."""
    steps = [(done, when) for done, when in told if done > 0]
    if len(steps) < 2 or steps[-1][0] <= steps[0][0]:
        return {}
    (first, began), (last, ended) = steps[0], steps[-1]
    return {"step": (ended - began) / (last - first)}
