"""Errors for want of memory, planted by the spy: room is made, the node runs once more, no oftener.

On the CPU the device of the models is RAM itself, so that idle models have what is missing.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest
from test_nodes import with_hearth_loaders
from test_nodes_sampling import with_hearth_sampler

from benchmarks.harness.client import PromptFailedError
from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import Graph, node, sd3_graph

pytestmark = pytest.mark.older_too

A, B = "toy_sd3_a.safetensors", "toy_sd3_b.safetensors"
STOCK_ERROR = "OutOfMemoryError"


def plant(live: LiveComfy, name: str, times: int) -> Callable[[], int]:
    """Has the spy raise that often; returns what counts the tries."""
    barriers = live.server.barriers
    (barriers / name).write_text(str(times), encoding="ascii")
    tries = barriers / f"{name}.tries"
    tries.unlink(missing_ok=True)
    return lambda: len(tries.read_text(encoding="ascii")) if tries.exists() else 0


def short_of_memory(seed: int, *, sampling: str = "", decoding: str = "") -> Graph:
    """A workflow whose model and VAE do as the files of these names say."""
    graph = sd3_graph(A, seed=seed)
    graph["spy"] = node(
        "SpyOutOfMemory",
        model=["loader", 0],
        vae=["loader", 2],
        sampling=sampling,
        decoding=decoding,
    )
    graph["sampler"]["inputs"]["model"] = ["spy", 0]
    graph["decode"]["inputs"]["vae"] = ["spy", 1]
    return graph


def reasons(live: LiveComfy, after: int) -> list[str]:
    """What the events say that was done about it."""
    events = live.hearth.events(after)
    return [event["reason"] for event in events if event["kind"] == "out_of_memory"]


def with_idle_model(live: LiveComfy) -> int:
    """Makes B resident and idle; the newest event."""
    live.run(sd3_graph(B, seed=800))
    return live.hearth.last_event()


@pytest.mark.parametrize("work", ["sampling", "decoding"])
def test_an_idle_model_goes_and_the_node_runs_once_more(
    hearth: LiveComfy, stock: LiveComfy, work: str
) -> None:
    before = with_idle_model(hearth)
    tries = plant(hearth, f"once_{work}", 1)
    result = hearth.run(short_of_memory(801, **{work: f"once_{work}"}))
    assert result.pixels == stock.run(sd3_graph(A, seed=801)).pixels
    assert tries() == 2
    assert hearth.hearth.resident() == {A}
    (reason,) = reasons(hearth, before)
    assert "1 model gave way" in reason
    assert ("sampler" if work == "sampling" else "decode") in reason


def test_a_second_error_is_told_and_there_is_no_third_try(hearth: LiveComfy) -> None:
    before = with_idle_model(hearth)
    tries = plant(hearth, "twice", 99)
    with pytest.raises(PromptFailedError) as failure:
        hearth.run(short_of_memory(810, sampling="twice"))
    assert tries() == 2
    assert "DeviceOutOfMemoryError" in str(failure.value)
    assert "node sampler (KSampler)" in str(failure.value)
    assert "oom_fallback" in str(failure.value)
    assert reasons(hearth, before)[-1].endswith("a second time")
    assert hearth.run(sd3_graph(A, seed=811)).status == "success"


def test_with_nothing_to_evict_it_is_as_if_hearth_were_not_there(
    hearth: LiveComfy, stock: LiveComfy
) -> None:
    before = hearth.hearth.last_event()
    errors = []
    for live in (hearth, stock):
        tries = plant(live, "alone", 99)
        with pytest.raises(PromptFailedError) as failure:
            live.run(short_of_memory(820, sampling="alone"))
        errors.append(str(failure.value))
        assert tries() == 1
    assert errors[0] == errors[1]
    assert STOCK_ERROR in errors[0]
    assert reasons(hearth, before) == []


def test_a_pinned_model_is_not_evicted_for_it(hearth: LiveComfy) -> None:
    with_idle_model(hearth)
    hearth.client.post("/hearth/pin", {"name": B})
    tries = plant(hearth, "pinned", 1)
    with pytest.raises(PromptFailedError, match=STOCK_ERROR):
        hearth.run(short_of_memory(825, sampling="pinned"))
    assert tries() == 1
    assert B in hearth.hearth.resident()
    hearth.client.post("/hearth/pin", {"name": B, "pinned": False})


@pytest.mark.parametrize("work", ["sampling", "decoding"])
@pytest.mark.parametrize(("idle", "errors"), [(False, 1), (True, 2)])
def test_where_the_config_says_so_the_node_is_run_on_the_cpu_at_last(
    hearth: LiveComfy, stock: LiveComfy, work: str, idle: bool, errors: int
) -> None:
    hearth.configure(oom_fallback="cpu")
    before = with_idle_model(hearth) if idle else hearth.hearth.last_event()
    name = f"cpu_{work}_{errors}"
    tries = plant(hearth, name, errors)
    seed = 830 + errors
    result = hearth.run(short_of_memory(seed, **{work: name}))
    assert result.pixels == stock.run(sd3_graph(A, seed=seed)).pixels
    assert tries() == errors + 1
    assert "is run on the CPU (oom_fallback)" in reasons(hearth, before)[-1]
    after = sd3_graph(A, seed=seed + 100)
    assert hearth.run(after).pixels == stock.run(after).pixels


def test_a_load_without_enough_ram_is_tried_again_once_others_have_gone(
    hearth: LiveComfy, stock: LiveComfy
) -> None:
    before = with_idle_model(hearth)
    tries = plant(hearth, f"{A}.planted", 1)
    result = hearth.run(sd3_graph(A, seed=840))
    assert result.pixels == stock.run(sd3_graph(A, seed=840)).pixels
    assert tries() == 2
    assert hearth.hearth.resident() == {A}
    assert "RAM did not suffice for node loader" in reasons(hearth, before)[0]


def test_what_only_a_workflow_holds_goes_for_a_load_without_enough_ram(
    hearth_with_lru: LiveComfy,
) -> None:
    live = hearth_with_lru
    with_idle_model(live)
    live.hearth.evict(B)
    assert live.hearth.lingering() == {B}
    tries = plant(live, f"{A}.planted", 1)
    assert live.run(sd3_graph(A, seed=850)).status == "success"
    assert tries() == 2
    assert live.hearth.lingering() == set()


def test_a_loader_that_fails_for_want_of_ram_is_not_told_to_sample_smaller(
    hearth: LiveComfy,
) -> None:
    with_idle_model(hearth)
    plant(hearth, f"{A}.planted", 2)
    with pytest.raises(PromptFailedError) as failure:
        hearth.run(sd3_graph(A, seed=860))
    assert "smaller model" in str(failure.value)
    assert "batch" not in str(failure.value)


@pytest.mark.parametrize("work", ["sampling", "decoding", "loading"])
def test_where_stock_loaders_are_stock_hearths_nodes_still_have_an_idle_model_go_and_run_once_more(
    hearth: LiveComfy, stock: LiveComfy, work: str
) -> None:
    hearth.configure(transparent=False)
    hearth.run(with_hearth_loaders(sd3_graph(B, seed=870)))
    before = hearth.hearth.last_event()
    name = f"{A}.planted" if work == "loading" else f"own_{work}"
    tries = plant(hearth, name, 1)
    planted = {} if work == "loading" else {work: name}
    graph = with_hearth_sampler(with_hearth_loaders(short_of_memory(871, **planted)))
    graph["decode"]["class_type"] = "HearthVAEDecode"
    assert hearth.run(graph).pixels == stock.run(sd3_graph(A, seed=871)).pixels
    assert tries() == 2
    assert hearth.hearth.resident() == {A}
    (reason,) = reasons(hearth, before)
    assert "1 model gave way" in reason
    assert {"loading": "loader", "sampling": "sampler", "decoding": "decode"}[work] in reason


def test_where_stock_loaders_are_stock_so_is_what_a_stock_sampler_does_without_memory(
    hearth: LiveComfy,
) -> None:
    hearth.configure(transparent=False)
    hearth.run(with_hearth_loaders(sd3_graph(B, seed=880)))
    before = hearth.hearth.last_event()
    tries = plant(hearth, "stock_sampling", 1)
    with pytest.raises(PromptFailedError, match=STOCK_ERROR):
        hearth.run(short_of_memory(881, sampling="stock_sampling"))
    assert tries() == 1
    assert hearth.hearth.resident() == {B}
    assert reasons(hearth, before) == []
