"""What happens when models leave the cache, and what a workflow still holds then."""

from __future__ import annotations

import pytest

from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import sd3_graph

pytestmark = pytest.mark.older_too

A, B, C = (f"toy_sd3_{letter}.safetensors" for letter in "abc")
# Between the size of one toy checkpoint and of two.
_ROOM_FOR_ONE_GIB = 0.018


def test_idle_eviction_leaves_an_identical_request_fully_cached(hearth: LiveComfy) -> None:
    graph = sd3_graph(A, seed=300)
    expected = hearth.run(graph).pixels
    hearth.configure(unload={"policy": "lru", "idle_seconds": 1})
    wait_until(lambda: A not in hearth.hearth.resident(), "the idle model to be evicted")
    again = hearth.run(graph)
    assert again.cached_nodes == set(graph)
    assert again.pixels in ((), expected)


def test_what_a_workflow_still_holds_is_lingering_and_taken_back_without_a_read(
    hearth_with_lru: LiveComfy, stock: LiveComfy
) -> None:
    live = hearth_with_lru
    live.configure(max_cached_models=1)
    live.run(sd3_graph(A, seed=310))
    live.run(sd3_graph(B, seed=310))
    wait_until(lambda: live.hearth.lingering() == {A}, "A to be shown as lingering")
    again = sd3_graph(A, seed=311)
    pixels: list[tuple[str, ...]] = []
    assert live.reads_during(lambda: pixels.append(live.run(again).pixels)) == []
    wait_until(lambda: A in live.hearth.resident(), "A to be taken back")
    assert pixels == [stock.run(again).pixels]


def test_what_lingers_is_freed_on_demand(hearth_with_lru: LiveComfy) -> None:
    live = hearth_with_lru
    for checkpoint in (A, B):
        live.run(sd3_graph(checkpoint, seed=315))
    live.hearth.evict(A)
    wait_until(lambda: live.hearth.lingering() == {A}, "A to be shown as lingering")
    live.hearth.evict(A, free=True)
    wait_until(lambda: not live.hearth.lingering(), "A to be freed")
    assert live.hearth.resident() == {B}
    reads = live.reads_during(lambda: live.run(sd3_graph(A, seed=316)))
    assert reads == [A]


def test_budget_evicts_before_it_loads(hearth: LiveComfy) -> None:
    hearth.configure(budget={"ram_gib": _ROOM_FOR_ONE_GIB})
    before = hearth.hearth.last_event()
    for seed, checkpoint in enumerate((A, B, A), start=320):
        hearth.run(sd3_graph(checkpoint, seed=seed))
    seen = [
        (event["kind"], event["model"])
        for event in hearth.hearth.events(before)
        if event["kind"] in ("opened", "evicted")
    ]
    assert seen == [
        ("opened", A),
        ("evicted", A),
        ("opened", B),
        ("evicted", B),
        ("opened", A),
    ]


def test_lowering_the_limit_evicts_at_once(hearth: LiveComfy) -> None:
    for checkpoint in (A, B, C):
        hearth.run(sd3_graph(checkpoint, seed=330))
    assert hearth.hearth.resident() == {A, B, C}
    hearth.configure(max_cached_models=1)
    wait_until(lambda: hearth.hearth.resident() == {C}, "the two older models to go")
