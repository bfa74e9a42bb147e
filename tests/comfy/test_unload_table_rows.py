"""Rows of docs/unload.md in a running ComfyUI: one model idle, one pinned, one that samples.

The model that sampled is held by ComfyUI's own node cache afterwards, so that it lingers where the
others go. What only a GPU could show is in tests/python/test_unload_rows.py.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from test_nodes import text_of

from benchmarks.harness import toy_models
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import node, sd3_graph

pytestmark = pytest.mark.older_too

IDLE, PINNED, USED = (f"toy_sd3_{letter}.safetensors" for letter in "abc")
ALL = {IDLE, PINNED, USED}
Change = Callable[[LiveComfy], None]


def _config(**changes: Any) -> Change:
    """A change of the config, asked for while the prompt runs."""

    def change(live: LiveComfy) -> None:
        status, answer = live.client.post("/hearth/config", {"patch": changes})
        assert (status, answer) == (202, {"queued": True})

    return change


def _free(live: LiveComfy) -> None:
    live.client.free()


def _evict_all(live: LiveComfy) -> None:
    assert live.client.post("/hearth/evict", {"all": True})[0] == 202


def _evict_by_name(live: LiveComfy) -> None:
    for name in sorted(ALL):
        assert live.client.post("/hearth/evict", {"name": name})[0] == 202


@dataclass(frozen=True)
class Row:
    """What happens while a prompt runs, what is resident after it, and after the unpinning.

    `gone`: why the used one, which lingers at first, leaves the workflow as well; "": it does not.
    """

    change: Change
    left: set[str]
    left_unpinned: set[str]
    gone: str = ""


_ASKED = "its holder was asked"  # where RAM is short
_LET_GO = "no workflow holds it any more"
_LIMIT = {"max_cached_models": 0}
ROWS = {
    "`max_cached_models` lowered": Row(_config(**_LIMIT), {PINNED}, set()),
    "`budget.ram_gib` lowered": Row(_config(budget={"ram_gib": 0.0001}), {PINNED}, set(), _ASKED),
    "free RAM below `budget.keep_free_ram_gib`": Row(
        _config(budget={"keep_free_ram_gib": 1e6}), {PINNED}, set(), _ASKED
    ),
    "a limit lowered, policy `noeviction`": Row(
        _config(**_LIMIT, unload={"policy": "noeviction"}), ALL, ALL
    ),
    "a limit lowered, policy `idle`, not idle so long": Row(
        _config(**_LIMIT, unload={"policy": "idle", "idle_seconds": 3600}), ALL, ALL
    ),
    "a limit lowered, policy `lfu`": Row(
        _config(**_LIMIT, unload={"policy": "lfu"}), {PINNED}, set()
    ),
    "`unload.idle_seconds` over": Row(_config(unload={"idle_seconds": 0.01}), {PINNED}, set()),
    "`keep_model_in_memory` turned off": Row(_config(keep_model_in_memory=False), set(), set()),
    "`/free`": Row(_free, {PINNED}, {PINNED}, _LET_GO),
    "`POST /hearth/evict` of all": Row(_evict_all, {PINNED}, {PINNED}),
    "`POST /hearth/evict` by name": Row(_evict_by_name, set(), set()),
}


@pytest.fixture
def scene(hearth: LiveComfy) -> Iterator[LiveComfy]:
    """hearth with an idle and a pinned model; nothing is pinned any more afterwards."""
    for name in (IDLE, PINNED):
        hearth.run(sd3_graph(name, seed=900))
    assert hearth.client.post("/hearth/pin", {"name": PINNED})[0] == 200
    yield hearth
    hearth.client.post("/hearth/pin", {"name": PINNED, "pinned": False})


def _holds(live: LiveComfy, names: set[str]) -> Callable[[], bool]:
    return lambda: live.hearth.resident() == names


def _left_its_workflow(live: LiveComfy, after: int) -> list[tuple[str, str]]:
    """Models that had lingered and are gone, each with why."""
    events = [each for each in live.hearth.events(after) if each["kind"] == "lingering_gone"]
    return [(each["model"], each["reason"]) for each in events]


@pytest.mark.parametrize("what", ROWS)
def test_a_row_of_the_table_holds_for_an_idle_a_pinned_and_a_used_model(
    scene: LiveComfy, what: str
) -> None:
    row, barrier = ROWS[what], f"row {list(ROWS).index(what)}"
    graph = sd3_graph(USED, seed=901)
    graph["hold"] = node("SpyHoldSampling", model=["loader", 0], barrier=barrier)
    graph["sampler"]["inputs"]["model"] = ["hold", 0]
    prompt = scene.client.submit(graph)
    held = scene.server.barriers / f"{barrier}.held"
    wait_until(held.exists, "the prompt to be held in the middle of sampling")
    newest = scene.hearth.last_event()
    row.change(scene)
    assert scene.hearth.resident() == ALL, "nothing is taken while a prompt runs"
    (scene.server.barriers / f"{barrier}.go").touch()
    assert scene.client.wait(prompt).status == "success"
    wait_until(_holds(scene, row.left), f"{sorted(row.left)} to be left")
    if row.gone:
        gone = [(USED, row.gone)]
        wait_until(lambda: _left_its_workflow(scene, newest) == gone, f"{gone} to be told")
    lingering = set() if row.gone else {USED} - row.left
    wait_until(lambda: scene.hearth.lingering() == lingering, f"{lingering} to linger")
    # Done on the worker, behind the change: where nobody goes, the change has counted by now.
    assert scene.client.post("/hearth/pin", {"name": PINNED, "pinned": False})[0] == 200
    wait_until(_holds(scene, row.left_unpinned), f"{sorted(row.left_unpinned)} to be left")
    assert scene.hearth.lingering() == lingering, "nobody lets go of it later"


@pytest.mark.parametrize("what", ["another model needs its place"])
def test_the_place_of_an_idle_model_is_taken_and_never_that_of_a_pinned_or_a_used_one(
    scene: LiveComfy, what: str
) -> None:
    scene.configure(max_cached_models=2)
    scene.run(sd3_graph(USED, seed=910))
    assert scene.hearth.resident() == {PINNED, USED}, f"{what}: the idle one goes"
    graph = sd3_graph(USED, seed=911)
    graph["another"] = node("HearthPrewarm", model=f"checkpoints/{IDLE}", after=["sampler", 0])
    graph["decode"]["inputs"]["samples"] = ["another", 0]
    said: list[str] = []
    assert scene.reads_during(lambda: said.append(text_of(scene, graph, "another"))) == []
    assert "is not loaded: no room" in said[0]
    assert scene.hearth.resident() == {PINNED, USED}, f"{what}: neither goes"


@pytest.mark.parametrize("what", ["its file has changed and was loaded anew"])
def test_a_file_that_changed_takes_its_old_model_along_pinned_or_held_and_its_pin_stays(
    hearth: LiveComfy, what: str
) -> None:
    file = hearth.models / "checkpoints" / "unload_rows.safetensors"
    toy_models.write_checkpoint(file, 51)
    try:
        hearth.run(sd3_graph(file.name, seed=920))
        assert hearth.client.post("/hearth/pin", {"name": file.name})[0] == 200
        toy_models.write_checkpoint(file, 52)
        again = lambda: hearth.run(sd3_graph(file.name, seed=920))  # noqa: E731
        assert hearth.reads_during(again) == [file.name], what
        (resident,) = hearth.client.get("/hearth/models")["resident"]
        assert (resident["name"], resident["pinned"]) == (file.name, True)
    finally:
        hearth.client.post("/hearth/pin", {"name": file.name, "pinned": False})
        file.unlink()
