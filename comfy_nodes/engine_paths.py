"""Which of two computed a pass of a model, hearth's engine or ComfyUI's Python, and why."""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from typing import Any

_LOG = logging.getLogger("hearth")


@dataclass(frozen=True)
class Refusal:
    """Why the engine leaves a pass to ComfyUI: a cause of a short list, and which one it was."""

    cause: str
    detail: str = ""

    def __str__(self) -> str:
        return f"{self.cause} ({self.detail})" if self.detail else self.cause


class EnginePaths:
    """Counts passes by part ("transformer", "vae"). Written by the worker, read by any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._engine: Counter[str] = Counter()
        self._python: Counter[tuple[str, str]] = Counter()
        self._logged: set[tuple[str, Refusal]] = set()

    def by_engine(self, part: str) -> None:
        """One pass was hearth's."""
        with self._lock:
            self._engine[part] += 1

    def by_python(self, part: str, refusal: Refusal) -> None:
        """One pass was ComfyUI's; says so in the log once a reason."""
        with self._lock:
            self._python[part, refusal.cause] += 1
            is_new = (part, refusal) not in self._logged
            self._logged.add((part, refusal))
        if is_new:
            _LOG.info("engine: ComfyUI computes this %s itself: %s", part, refusal)

    def report(self) -> dict[str, Any]:
        """Per part, the passes of each and the causes of ComfyUI's; {} before the first pass."""
        with self._lock:
            engine, python = dict(self._engine), dict(self._python)
        return {
            part: {
                "engine": engine.get(part, 0),
                "python": sum(count for (of, _), count in python.items() if of == part),
                "causes": {cause: count for (of, cause), count in python.items() if of == part},
            }
            for part in sorted({*engine, *(of for of, _ in python)})
        }

    def lines(self) -> list[str]:
        """A line a part, for people."""
        return [_line(part, passes) for part, passes in self.report().items()]


def _line(part: str, passes: dict[str, Any]) -> str:
    text = f"engine: {part}: {passes['engine']} passes by hearth, {passes['python']} by ComfyUI"
    causes = ", ".join(f"{cause} {count}x" for cause, count in passes["causes"].items())
    return f"{text} ({causes})" if causes else text
