"""What exists at the start is set aside, what comes later is collected."""

from __future__ import annotations

import gc
import weakref
from collections.abc import Iterator

import pytest

from comfy_nodes.settings import Settings
from comfy_nodes.startup_objects import StartupObjects


class Ring:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.ring: object = self


class NodeCache:
    """ComfyUI's, which once used knows whoever knows it."""

    def __init__(self) -> None:
        self.user: Ring | None = None


class Executor:
    """Has a cache from the start, as ComfyUI's PromptExecutor."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        self.cache = NodeCache()


def nothing() -> None:
    """There is no node cache."""


@pytest.fixture(autouse=True)
def unfrozen() -> Iterator[None]:
    """Leaves the process as it was."""
    gc.collect()
    yield
    gc.unfreeze()


def test_the_collector_passes_over_what_was_there() -> None:
    StartupObjects(Settings(), nothing).set_aside()
    assert gc.get_freeze_count() > 1000
    assert len(gc.get_objects()) < 1000


def test_what_came_later_is_collected() -> None:
    StartupObjects(Settings(), nothing).set_aside()
    model = Ring()
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_it_is_done_once_before_models_come() -> None:
    startup = StartupObjects(Settings(), nothing)
    startup.set_aside()
    model = Ring()
    startup.set_aside()
    alive = weakref.ref(model)
    del model
    gc.collect()
    assert alive() is None


def test_a_node_cache_that_was_there_is_collected_once_another_takes_its_place() -> None:
    executor = Executor()
    StartupObjects(Settings(), executor.reset).set_aside()
    executor.cache.user = Ring()
    executor.cache.user.ring = executor.cache
    alive = weakref.ref(executor.cache.user)
    executor.reset()
    gc.collect()
    assert alive() is None


def test_it_can_be_turned_off() -> None:
    renewed: list[bool] = []
    StartupObjects(Settings(gc_freeze=False), lambda: renewed.append(True)).set_aside()
    assert gc.get_freeze_count() == 0
    assert not renewed
