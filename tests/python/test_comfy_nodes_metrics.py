"""The figures that Prometheus reads."""

from __future__ import annotations

import sys

import pytest

hearth = pytest.importorskip("hearth", reason="hearth's native module is not built: ./dev build")
parser = pytest.importorskip("prometheus_client.parser", reason="NOT RUN, needs prometheus-client")

from comfy_nodes.metrics import MetricsMissingError, metrics_text  # noqa: E402


class Model:
    def release(self) -> None:
        pass


def test_every_count_of_the_cache_is_a_figure_that_prometheus_can_read() -> None:
    cache = hearth.ModelCache(hearth.CacheLimits(max_models=1))
    for name in ("a", "a", "b"):
        key = hearth.ModelKey("checkpoint", "Loader", name)
        cache.acquire(key, lambda: (Model(), {"mapped": 7})).close()
    text, kind = metrics_text(cache.stats(), ready=True, passes={})
    assert kind.startswith("text/plain")
    found = {
        (sample.name, *sample.labels.values()): sample.value
        for family in parser.text_string_to_metric_families(text.decode())
        for sample in family.samples
    }
    assert found[("hearth_loads_total",)] == 2
    assert found[("hearth_hits_total",)] == 1
    assert found[("hearth_evictions_total",)] == 1
    assert found[("hearth_resident_models",)] == 1
    assert found[("hearth_bytes", "resident", "mapped")] == 7
    assert found[("hearth_ready",)] == 1
    counted = {name for name, value in cache.stats().items() if isinstance(value, int)}
    told = {name.removeprefix("hearth_") for name, *_ in found}
    told = {name.removesuffix("_total").removesuffix("_models") for name in told}
    assert counted - told == {"resident_models", "loading"}


def test_without_the_package_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "prometheus_client", None)
    cache = hearth.ModelCache(hearth.CacheLimits())
    with pytest.raises(MetricsMissingError, match="pip install prometheus-client"):
        metrics_text(cache.stats(), ready=False, passes={})
