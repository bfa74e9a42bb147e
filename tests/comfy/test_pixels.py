"""Images are the same with hearth on, off and broken, for every kind of graph."""

from __future__ import annotations

import pytest

from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import (
    dual_clip_graph,
    lora_graph,
    sd3_graph,
    separate_graph,
)

GRAPHS = {
    "checkpoint": sd3_graph("toy_sd3_a.safetensors"),
    "another checkpoint": sd3_graph("toy_sd3_b.safetensors"),
    "lora": lora_graph(),
    "separate files": separate_graph(),
    "two text encoders": dual_clip_graph(),
}


@pytest.fixture(scope="session")
def expected(stock: LiveComfy) -> dict[str, tuple[str, ...]]:
    """Pixels of every graph from ComfyUI without hearth."""
    pixels = {name: stock.run(graph).pixels for name, graph in GRAPHS.items()}
    # The graphs have to differ, or equality with stock would prove nothing.
    assert len(set(pixels.values())) == len(GRAPHS)
    return pixels


@pytest.mark.parametrize("graph", GRAPHS)
def test_pixels_with_hearth_on_are_those_of_stock(
    hearth_server: LiveComfy, expected: dict[str, tuple[str, ...]], graph: str
) -> None:
    first = hearth_server.run(GRAPHS[graph])
    hearth_server.run(sd3_graph("toy_sd3_c.safetensors"))
    again = hearth_server.run(GRAPHS[graph])
    assert first.pixels == again.pixels == expected[graph]


@pytest.mark.parametrize("graph", GRAPHS)
def test_pixels_with_hearth_switched_off_are_those_of_stock(
    switched_off: LiveComfy, expected: dict[str, tuple[str, ...]], graph: str
) -> None:
    assert switched_off.run(GRAPHS[graph]).pixels == expected[graph]


@pytest.mark.parametrize("graph", GRAPHS)
def test_pixels_without_the_native_module_are_those_of_stock(
    without_native: LiveComfy, expected: dict[str, tuple[str, ...]], graph: str
) -> None:
    assert without_native.run(GRAPHS[graph]).pixels == expected[graph]


def test_switched_off_hearth_leaves_loading_to_stock(switched_off: LiveComfy) -> None:
    a, b = "toy_sd3_a.safetensors", "toy_sd3_b.safetensors"
    before = switched_off.hearth.resident()
    switched_off.run(sd3_graph("toy_sd3_c.safetensors", seed=60))
    reads = switched_off.reads_during(
        lambda: [switched_off.run(sd3_graph(name, seed=60)) for name in (a, b, a)]
    )
    assert reads == [a, b, a]
    assert switched_off.hearth.resident() == before


def test_missing_native_module_is_said_in_one_line_of_the_log(without_native: LiveComfy) -> None:
    said = [line for line in without_native.server.log_text().splitlines() if "hearth" in line]
    telling = [line for line in said if "./dev build" in line]
    assert len(telling) == 1, said
    assert "Traceback" not in without_native.server.log_text()


def test_lora_on_a_clone_leaves_the_base_as_it_was(
    hearth: LiveComfy, expected: dict[str, tuple[str, ...]]
) -> None:
    checkpoint = "toy_sd3_a.safetensors"
    reads = hearth.reads_during(
        lambda: (
            [hearth.run(lora_graph(seed=seed)) for seed in (1, 2)] + [hearth.run(sd3_graph(seed=2))]
        )
    )
    assert hearth.run(GRAPHS["lora"]).pixels == expected["lora"]
    assert hearth.run(GRAPHS["checkpoint"]).pixels == expected["checkpoint"]
    assert reads.count(checkpoint) == 1
