"""What a browser is told while hearth's samplers work, and how it stops them."""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest
from PIL import Image
from test_nodes_sampling import KINDS, with_hearth_sampler

from benchmarks.harness.client import RunResult
from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.listener import Listener
from benchmarks.harness.live_comfy import LiveComfy, StartComfy
from benchmarks.harness.workflows import Graph, node, sd3_graph

pytestmark = pytest.mark.older_too

A = "toy_sd3_a.safetensors"
_HEADER = 8  # the kind of the message and of the image, four bytes each
_NATIVE, _OF_COMFYUI = "res_multistep", "lms"


@dataclass
class Heard:
    """What the client that sent a prompt was told until its end."""

    result: RunResult
    progress: list[tuple[str, int, int]]
    previews: list[bytes]
    kinds: list[str]


def heard(live: LiveComfy, graph: Graph, meanwhile: Callable[[], None] = lambda: None) -> Heard:
    """Runs a graph as a browser does; `meanwhile` is called once it is in the queue."""
    events: list[dict[str, Any]] = []
    with Listener(live.server.url) as listener:
        listener.told = events.append
        body = {"prompt": graph, "client_id": listener.client_id}
        prompt = str(live.client.post("/prompt", body)[1]["prompt_id"])
        meanwhile()
        result = live.client.wait(prompt)
        wait_until(lambda: any(_ends(each, prompt) for each in events), "the end to be told")
        previews = list(listener.previews)
    steps = [each["data"] for each in events if each["type"] == "progress"]
    progress = [(str(each["node"]), int(each["value"]), int(each["max"])) for each in steps]
    return Heard(result, progress, previews, [str(each["type"]) for each in events])


def _ends(event: dict[str, Any], prompt: str) -> bool:
    ends = ("execution_success", "execution_error", "execution_interrupted")
    return event["type"] in ends and event["data"]["prompt_id"] == prompt


def sampled_by(sampler: str, seed: int) -> Graph:
    """A workflow with the stock KSampler."""
    graph = sd3_graph(A, seed=seed)
    graph["sampler"]["inputs"]["sampler_name"] = sampler
    return graph


@pytest.fixture(scope="module")
def previewing(start_comfy: StartComfy) -> LiveComfy:
    """ComfyUI with hearth that shows what a step has made of the latent."""
    return start_comfy("previewing", hearth=REPOSITORY, flags=("--preview-method", "latent2rgb"))


@pytest.mark.parametrize("sampler", [_NATIVE, _OF_COMFYUI])
def test_each_step_is_told_and_shown_as_by_the_stock_node(
    previewing: LiveComfy, sampler: str
) -> None:
    graph = sampled_by(sampler, seed=950)
    stock = heard(previewing, graph)
    ours = heard(previewing, with_hearth_sampler(graph))
    assert ours.result.pixels == stock.result.pixels
    steps = graph["sampler"]["inputs"]["steps"]
    assert ours.progress[-1] == ("sampler", steps, steps)
    assert ours.progress == stock.progress
    assert len(ours.previews) >= steps
    assert ours.previews == stock.previews
    assert Image.open(io.BytesIO(ours.previews[-1][_HEADER:])).size > (0, 0)


INTERRUPTED = {
    "native steps": sampled_by(_NATIVE, seed=960),
    "steps of ComfyUI's": sampled_by(_OF_COMFYUI, seed=960),
    "custom": KINDS["custom"],
    "custom advanced": KINDS["custom advanced"],
}


@pytest.mark.parametrize("kind", INTERRUPTED)
def test_an_interrupt_ends_a_sampler_of_hearths_and_the_model_stays_for_the_next_prompt(
    hearth: LiveComfy, stock: LiveComfy, kind: str
) -> None:
    barrier = f"interrupted {kind}"
    graph = with_hearth_sampler(INTERRUPTED[kind])
    graph["hold"] = node("SpyHoldSampling", model=["loader", 0], barrier=barrier)
    graph["guider" if "guider" in graph else "sampler"]["inputs"]["model"] = ["hold", 0]

    def interrupt() -> None:
        held = hearth.server.barriers / f"{barrier}.held"
        wait_until(held.exists, "the prompt to be held in the middle of sampling")
        hearth.client.interrupt()
        (hearth.server.barriers / f"{barrier}.go").touch()

    before = hearth.hearth.last_event()
    ended = heard(hearth, graph, interrupt)
    assert ended.result.error == "interrupted"
    assert "execution_interrupted" in ended.kinds
    assert "execution_error" not in ended.kinds
    assert "out_of_memory" not in {each["kind"] for each in hearth.hearth.events(before)}
    assert hearth.hearth.resident() == {A}
    after = sampled_by(_NATIVE, seed=961 + list(INTERRUPTED).index(kind))
    pixels: list[tuple[str, ...]] = []
    run = lambda: pixels.append(hearth.run(with_hearth_sampler(after)).pixels)  # noqa: E731
    assert hearth.reads_during(run) == []
    assert pixels == [stock.run(after).pixels]
