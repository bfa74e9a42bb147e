"""hearth on a host whose RAM does not hold two models: a control group with a limit of its own."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from benchmarks.harness import toy_models
from benchmarks.harness.comfy_server import REPOSITORY, SPY_PACK, ComfyServer, ServerSpec
from benchmarks.harness.hearth_face import HearthConfig
from benchmarks.harness.live_comfy import DEFAULTS, LiveComfy
from benchmarks.harness.memory_group import MemoryGroup, NoMemoryGroupError
from benchmarks.harness.workflows import sd3_graph
from benchmarks.rows import page_cache

A, B = "wide_a.safetensors", "wide_b.safetensors"
_DEPTH = 8  # 0.3 GB in a file


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two checkpoints large enough to matter beside the server itself."""
    folder = tmp_path_factory.mktemp("wide") / "models"
    for seed, name in enumerate((A, B), start=1):
        toy_models.write_checkpoint(folder / "checkpoints" / name, seed, _DEPTH)
    return folder


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    """A control group without a limit as yet."""
    try:
        made = MemoryGroup.make("hearth_small_host")
    except NoMemoryGroupError as why:
        pytest.skip(f"NOT RUN, needs a memory control group: {why}")
    yield made
    made.remove()


@pytest.fixture
def live(comfy: Path, models: Path, group: MemoryGroup, tmp_path: Path) -> Iterator[LiveComfy]:
    """A server in the group from its first byte on."""
    config = HearthConfig(tmp_path / "hearth.json")
    config.write(DEFAULTS)
    spec = ServerSpec(
        comfy=comfy,
        base=tmp_path / "small",
        models=models,
        python=str(group.starter(tmp_path / "python", sys.executable)),
        packs={"spy": SPY_PACK, "hearth": REPOSITORY},
        flags=("--cpu",),
        env={"HEARTH_CONFIG": str(config.path), "OMP_NUM_THREADS": "1"},
    )
    page_cache.drop(models)  # its pages would stay charged to whoever wrote the files
    with ComfyServer(spec) as server:
        yield LiveComfy(server, models, config)


def test_two_models_that_do_not_fit_take_turns_without_swap_or_lost_results(
    live: LiveComfy, group: MemoryGroup, models: Path
) -> None:
    assert live.hearth.active, live.server.log_text()
    expected = {name: live.run(sd3_graph(name, seed=1)).pixels for name in (A, B)}
    live.start_afresh(budget={"ram_gib": None, "keep_free_ram_gib": 0.1})
    live.run(sd3_graph(A, seed=2))
    # With one of them there is room for half of the other.
    group.limit(group.busy_bytes() + (models / "checkpoints" / A).stat().st_size // 2)
    before = live.hearth.last_event()
    for seed, name in enumerate((B, A, B), start=3):
        graph = sd3_graph(name, seed=seed)
        live.run(graph)
        assert live.run(graph).cached_nodes == set(graph), "results were dropped"
    reasons = [
        event["reason"] for event in live.hearth.events(before) if event["kind"] == "evicted"
    ]
    assert reasons
    assert all("RAM" in reason for reason in reasons), reasons
    assert group.swapped_bytes() == 0
    assert {name: live.run(sd3_graph(name, seed=1)).pixels for name in (A, B)} == expected
