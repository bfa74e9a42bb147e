"""Rows of docs/unload.md about VRAM, with ComfyUI's model objects stood in for and a fake GPU.

The C++ tests hold the cache to the whole table; these hold what hearth does to ComfyUI's models to
it, where only a GPU could show it in a real ComfyUI. `ROWS` is the part of the page that they have
to themselves; a test of the documents compares the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

hearth = pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built")

from fakes.comfy_fakes import Patcher  # noqa: E402
from fakes.comfy_host import admit, make_host, model_key  # noqa: E402

STAYS = "stays"
GIVES = "gives its VRAM back and stays"
AFTER_USE = "the same when its use ends"
UNPINNED = "the same when it is unpinned"
NEW_TIME = "its time begins when its use ends"

ROWS = [("`unload.device_idle_seconds` over", GIVES, NEW_TIME, UNPINNED, GIVES)]
_VRAM_ROWS = [
    *ROWS,
    ("`budget.vram_gib` lowered", GIVES, AFTER_USE, UNPINNED, GIVES),
    ("GPU memory did not suffice for a node", GIVES, STAYS, STAYS, GIVES),
]
_IDLE_SECONDS = 60.0


class Scene:
    """A model of 100 bytes in VRAM, and the gaps between prompts."""

    def __init__(self) -> None:
        self.clock = hearth.ManualClock()
        self.host = make_host(self.clock)
        self.cache = self.host.runtime.cache
        self.base = Patcher()
        self.host.adapter.management.load_models_gpu([self.base])
        self.resident = admit(self.host, "m", self.base)

    @property
    def outcome(self) -> str:
        """What has become of it so far."""
        assert [each["name"] for each in self.cache.residents()] == ["m"]
        assert not self.resident.released
        return STAYS if self.base.model.loaded else GIVES

    def end_use(self, handle: Any) -> str:
        """How it goes on when the prompt that worked with it ends."""
        handle.close()
        self.cache.enforce()
        if self.outcome == GIVES:
            return AFTER_USE
        if self.cache.seconds_to_next_expiry() is None:
            return STAYS
        self.clock.advance(self.cache.seconds_to_next_expiry())
        self.cache.enforce()
        return NEW_TIME if self.outcome == GIVES else STAYS


def _let_idle(scene: Scene) -> None:
    scene.cache.set_limits(hearth.CacheLimits(device_idle_seconds=_IDLE_SECONDS))
    scene.clock.advance(_IDLE_SECONDS)


def _lower_vram(scene: Scene) -> None:
    scene.cache.set_limits(hearth.CacheLimits(max_device_bytes=1))


def _trim_vram(scene: Scene) -> None:
    scene.cache.trim(0, 1 << 60, "GPU memory did not suffice for node 7")


_HAPPENS: dict[str, Callable[[Scene], None]] = {
    "`unload.device_idle_seconds` over": _let_idle,
    "`budget.vram_gib` lowered": _lower_vram,
    "GPU memory did not suffice for a node": _trim_vram,
}


@pytest.fixture(params=_VRAM_ROWS, ids=[row[0] for row in _VRAM_ROWS])
def row(request: pytest.FixtureRequest) -> tuple[str, ...]:
    """One row."""
    found: tuple[str, ...] = request.param
    return found


def test_of_an_idle_model_the_vram_goes_and_no_more(row: tuple[str, ...]) -> None:
    scene = Scene()
    _HAPPENS[row[0]](scene)
    scene.cache.enforce()
    assert scene.outcome == row[1]


def test_a_model_in_use_keeps_its_vram_until_its_use_ends(row: tuple[str, ...]) -> None:
    scene = Scene()
    handle = scene.cache.lookup(model_key("m"))
    _HAPPENS[row[0]](scene)
    scene.cache.enforce()
    assert scene.outcome == STAYS
    assert scene.end_use(handle) == row[2]


def test_a_pinned_model_keeps_its_vram_until_it_is_unpinned(row: tuple[str, ...]) -> None:
    scene = Scene()
    scene.cache.pin(model_key("m"))
    _HAPPENS[row[0]](scene)
    scene.cache.enforce()
    assert scene.outcome == STAYS
    scene.cache.unpin(model_key("m"))
    scene.cache.enforce()
    assert (UNPINNED if scene.outcome == GIVES else STAYS) == row[3]


def test_of_a_model_that_a_workflow_holds_the_vram_goes_and_the_workflow_can_use_it_again(
    row: tuple[str, ...],
) -> None:
    scene = Scene()
    held = scene.base.clone()
    _HAPPENS[row[0]](scene)
    scene.cache.enforce()
    assert scene.outcome == row[4]
    scene.host.adapter.management.load_models_gpu([held])
    assert scene.base.model.loaded == held.model.size
