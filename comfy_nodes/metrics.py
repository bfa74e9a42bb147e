"""The cache in figures, in the text form that Prometheus reads."""

from __future__ import annotations

import importlib
from collections.abc import Iterator, Mapping
from typing import Any

_COUNTERS = {
    "hits": "Requests for a model that was resident.",
    "misses": "Requests for a model that was not.",
    "loads": "Models loaded.",
    "load_failures": "Loads that ended with an error; not files that were refused before.",
    "evictions": "Models dropped by the policy or a limit.",
    "demotions": "Models that gave their device memory back and stayed.",
    "erasures": "Models dropped on request.",
    "reloads": "Models replaced because their file had changed.",
    "reclaims": "Lingering models taken back without a read.",
    "served_uncached": "Models loaded for one caller alone.",
    "busy": "Loads for which no room could be made.",
}
_GAUGES = {
    "resident": "Models in the cache.",
    "in_use": "Models that the running prompt uses.",
    "pinned": "Pinned models.",
    "lingering": "Models that left the cache and that a workflow still holds.",
}


class MetricsMissingError(RuntimeError):
    """The package prometheus-client is not installed."""


def metrics_text(
    stats: Mapping[str, Any], ready: bool, passes: Mapping[str, Any]
) -> tuple[bytes, str]:
    """The page and its content type; `passes` as EnginePaths.report() has them.

    Throws MetricsMissingError.
    """
    try:
        client = importlib.import_module("prometheus_client")
        core = importlib.import_module("prometheus_client.core")
    except ImportError as error:
        raise MetricsMissingError("pip install prometheus-client to have metrics") from error
    registry = client.CollectorRegistry(auto_describe=False)
    registry.register(_Figures(core, stats, ready, passes))
    return client.generate_latest(registry), str(client.CONTENT_TYPE_LATEST)


class _Figures:
    """What prometheus_client calls a collector, over one look at the cache."""

    def __init__(
        self, core: Any, stats: Mapping[str, Any], ready: bool, passes: Mapping[str, Any]
    ) -> None:
        self._core = core
        self._stats = stats
        self._ready = ready
        self._passes = passes

    def describe(self) -> list[Any]:
        """Nothing: the names are not needed before collect()."""
        return []

    def collect(self) -> Iterator[Any]:
        """One family a figure."""
        counter, gauge = self._core.CounterMetricFamily, self._core.GaugeMetricFamily
        for name, meaning in _COUNTERS.items():
            yield counter(f"hearth_{name}", meaning, value=self._stats[name])
        for name, meaning in _GAUGES.items():
            yield gauge(f"hearth_{name}_models", meaning, value=self._stats[name])
        size = gauge("hearth_bytes", "Bytes by where they are.", labels=("state", "tier"))
        for state in ("resident", "lingering"):
            for tier, value in self._stats[f"{state}_bytes"].items():
                size.add_metric((state, tier), value)
        yield size
        yield gauge("hearth_ready", "1 when all that is prewarmed was tried.", value=self._ready)
        yield self._engine(counter)

    def _engine(self, counter: Any) -> Any:
        passes = counter(
            "hearth_engine_passes",
            "Passes of models with hearth's engine, by who computed them and why.",
            labels=("part", "path", "cause"),
        )
        for part, found in self._passes.items():
            passes.add_metric((part, "engine", ""), found["engine"])
            for cause, count in found["causes"].items():
                passes.add_metric((part, "python", cause), count)
        return passes
