"""What hearth answers over HTTP, as plain values. Names only: no answer carries a file path."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

import hearth

from .config_file import ConfigFile
from .metrics import metrics_text
from .prewarm import Prewarm
from .seams import Seams
from .shown_text import shown

Json = dict[str, Any]


class Reports:
    """Read-only views of the runtime, made on the server's thread.

    Reasons and errors are ComfyUI's and Python's own words, and values of the config the user's:
    any of them may have a full path in it.
    """

    def __init__(
        self, runtime: Any, seams: Seams, config: ConfigFile, prewarm: Prewarm, comfyui: str
    ) -> None:
        self._runtime = runtime
        self._seams = seams
        self._config = config
        self._prewarm = prewarm
        self._comfyui = comfyui
        self._more: dict[str, Callable[[], Json]] = {}
        self._weights: Callable[[], Json] = dict

    def show_too(self, **reports: Callable[[], Json]) -> None:
        """Has health() call these as well."""
        self._more |= reports

    def show_weights(self, report: Callable[[], Json]) -> None:
        """Has models() tell how weights reach the device."""
        self._weights = report

    def health(self) -> Json:
        """State of hearth itself: version, config with its faults, seams, counters."""
        faults = self._config.faults
        answer = {
            "status": "degraded" if faults or self._seams.missing else "ok",
            "version": hearth.__version__,
            "native": True,
            "comfyui": self._comfyui,
            "config": {
                "source": self._runtime.config_source,
                "faults": faults,
                "not_acted_on": self._runtime.config_inert,
                "in_force": self._runtime.config,
            },
            "seams": dict(self._seams.found),
            "missing_seams": self._seams.missing,
            "notes": dict(self._seams.notes),
            "prewarm": self._prewarm.report(),
            "counters": _counters(self._runtime.cache.stats()),
            **{name: report() for name, report in self._more.items()},
        }
        return _shown(answer)

    def ready(self) -> Json:
        """Whether all that was to be prewarmed at start has been tried, and how far that is."""
        return _shown({"ready": self._prewarm.ready, "prewarm": self._prewarm.report()})

    def metrics(self) -> tuple[bytes, str]:
        """The same for Prometheus, and the content type. Throws MetricsMissingError."""
        engine = self._more.get("engine", dict)()
        return metrics_text(self._runtime.cache.stats(), self._prewarm.ready, engine)

    def models(self) -> Json:
        """Who is resident, who lingers, and what that takes."""
        residents = [_resident(each) for each in self._runtime.cache.residents()]
        answer = {
            "resident": [each for each in residents if not each["lingering"]],
            "lingering": [each for each in residents if each["lingering"]],
            "stats": self._runtime.cache.stats(),
            "host_memory": self._runtime.host_memory(),
            "host_tier": _host_tier(self._runtime.host_tier.stats()),
            "weights": self._weights(),
        }
        return _shown(answer)

    def events(self, after: int) -> Json:
        """What happened after the event with that number, oldest first: as many as fit."""
        cache = self._runtime.cache
        events = cache.events(after)
        # Without any, `after` may be a number of an earlier start, and then none is newer for long.
        is_known = events or (after > 0 and cache.events(after - 1))
        last = events[-1]["sequence"] if events else after
        newest = last if is_known else 0
        while more := cache.events(newest):
            newest = more[-1]["sequence"]
        return _shown({"events": events, "last": min(last, newest), "newest": newest})


def _shown(answer: Json) -> Json:
    without_paths: Json = shown(answer)
    return without_paths


def _host_tier(stats: Mapping[str, Any]) -> Json:
    """Files whose bytes are in host memory, least recently used first, without their place."""
    files = [
        {
            **{name: value for name, value in file.items() if name != "identity"},
            "bytes": file["identity"].size,
            "registered": _how_far(file["registered_bytes"], file["identity"].size),
        }
        for file in stats["files"]
    ]
    return {**stats, "files": files}


def _how_far(done: int, size: int) -> str:
    if done == 0:
        return "no"
    return "all" if done >= size else "in part"


def _counters(stats: Mapping[str, Any]) -> Json:
    return {name: value for name, value in stats.items() if isinstance(value, int)}


def _resident(view: Mapping[str, Any]) -> Json:
    shown = {name: value for name, value in view.items() if name not in ("key", "options")}
    try:
        shown["inputs"] = json.loads(view["options"]).get("inputs", {})
    except (ValueError, AttributeError):
        shown["inputs"] = {}
    return shown
