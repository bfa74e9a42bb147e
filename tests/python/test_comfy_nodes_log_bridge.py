"""What a user reads in ComfyUI's log about the models."""

from __future__ import annotations

import logging

import pytest

hearth = pytest.importorskip("hearth", reason="hearth's native module is not built: ./dev build")

from comfy_nodes.log_bridge import LogBridge  # noqa: E402
from comfy_nodes.settings import Settings  # noqa: E402


class Model:
    def release(self) -> None:
        pass


class RuntimeOf:
    """A runtime with a cache of its own and nothing else logged."""

    def __init__(self) -> None:
        self.cache = hearth.ModelCache(hearth.CacheLimits(max_models=1))

    def drain_log(self) -> list[tuple[int, str]]:
        return []

    def load(self, name: str) -> None:
        key = hearth.ModelKey("checkpoint", "Loader", name)
        self.cache.acquire(key, lambda: (Model(), {"mapped": 12_310_000_000}), node="4").close()


def lines(runtime: RuntimeOf, settings: Settings, caplog: pytest.LogCaptureFixture) -> list[str]:
    with caplog.at_level(logging.INFO, logger="hearth"):
        LogBridge(runtime, settings).drain()
    return [record.getMessage() for record in caplog.records]


def test_each_load_and_eviction_is_a_line_that_says_what_why_and_who(
    caplog: pytest.LogCaptureFixture,
) -> None:
    runtime = RuntimeOf()
    runtime.load("a")
    runtime.load("a")
    runtime.load("b")
    opened, evicted, second = lines(runtime, Settings(), caplog)
    assert "a opened: never loaded (12.31 GB" in opened
    assert "node 4" in opened
    assert "a evicted: limit of 1 model" in evicted
    assert "b opened" in second


def test_a_line_is_written_once(caplog: pytest.LogCaptureFixture) -> None:
    runtime = RuntimeOf()
    runtime.load("a")
    bridge = LogBridge(runtime, Settings())
    with caplog.at_level(logging.INFO, logger="hearth"):
        bridge.drain()
        bridge.drain()
    assert len(caplog.records) == 1


def test_a_name_cannot_forge_a_line_or_drive_the_terminal(caplog: pytest.LogCaptureFixture) -> None:
    runtime = RuntimeOf()
    runtime.load("größe\nhearth: all is well\x1b[2J")
    [line] = lines(runtime, Settings(), caplog)
    assert "größe\\nhearth: all is well\\x1b[2J opened" in line


def test_without_trace_loads_nothing_is_written(caplog: pytest.LogCaptureFixture) -> None:
    runtime = RuntimeOf()
    runtime.load("a")
    assert lines(runtime, Settings(trace_loads=False), caplog) == []


def test_the_level_of_the_config_counts_for_pythons_lines_too() -> None:
    logger = logging.getLogger("hearth")
    before = logger.level
    bridge = LogBridge(RuntimeOf(), Settings())
    try:
        bridge.follow({"log": {"level": "error"}})
        assert not logger.isEnabledFor(logging.WARNING)
        bridge.follow({"log": {"level": "debug"}})
        assert logger.isEnabledFor(logging.DEBUG)
    finally:
        logger.setLevel(before)
