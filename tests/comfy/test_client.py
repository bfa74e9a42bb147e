"""hearth.client against a real ComfyUI, its errors as well as its good days."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness.client import pixel_hash
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import node, sd3_graph

pytestmark = pytest.mark.older_too

client_module = pytest.importorskip(
    "hearth.client", reason="NOT RUN, needs hearth's native module: ./dev build"
)
Client = client_module.Client

A, B = "toy_sd3_a.safetensors", "toy_sd3_b.safetensors"


@pytest.fixture
def client(hearth: LiveComfy) -> Any:
    """A client of the server with hearth."""
    return Client(hearth.server.url)


def held(barrier: str) -> dict[str, Any]:
    """A prompt that waits before it decodes."""
    graph = sd3_graph(A, seed=900)
    graph["hold"] = node("SpyHold", latent=["sampler", 0], barrier=barrier)
    graph["decode"]["inputs"]["samples"] = ["hold", 0]
    return graph


def test_prewarm_run_and_fetch_is_one_load_and_stocks_pixels(
    client: Any, hearth: LiveComfy, stock: LiveComfy, tmp_path: Path
) -> None:
    graph = sd3_graph(A, seed=910)
    saved: list[Path] = []

    def work() -> None:
        client.wait_until_ready()
        assert [item["state"] for item in client.prewarm(models=[A])] == ["done"]
        saved.extend(image.save(tmp_path / "out") for image in client.run(graph).images)

    assert hearth.reads_during(work) == [A]
    assert [pixel_hash(path.read_bytes()) for path in saved] == list(stock.run(graph).pixels)


def test_a_prewarm_that_takes_long_is_waited_for(client: Any, hearth: LiveComfy) -> None:
    prompt = client.submit(held("long_prewarm"))
    barrier = hearth.server.barriers / "long_prewarm.held"
    wait_until(barrier.exists, "the prompt to be held")
    with pytest.raises(client_module.ClientTimeoutError, match="prewarm"):
        client.prewarm(models=[B], timeout_s=0.1)
    (hearth.server.barriers / "long_prewarm.go").touch()
    client.wait(prompt)
    wait_until(lambda: B in hearth.hearth.resident(), "B to be prewarmed all the same")


def test_what_cannot_be_prewarmed_is_an_error_with_its_name(client: Any) -> None:
    with pytest.raises(client_module.PrewarmFailedError, match="toy_nobody") as failure:
        client.prewarm(models=["toy_nobody.safetensors", A])
    assert [item["state"] for item in failure.value.items] == ["failed", "done"]


def test_a_refused_graph_names_node_and_class(client: Any) -> None:
    with pytest.raises(client_module.RequestRefusedError) as refusal:
        client.submit(sd3_graph("toy_nobody.safetensors"))
    assert "node loader (CheckpointLoaderSimple)" in str(refusal.value)
    assert "toy_nobody.safetensors" in str(refusal.value)
    assert refusal.value.status == 400


def test_a_node_that_fails_is_named(client: Any) -> None:
    graph = sd3_graph(A, seed=920)
    graph["fail"] = node("SpyFail", latent=["sampler", 0])
    graph["decode"]["inputs"]["samples"] = ["fail", 0]
    with pytest.raises(client_module.NodeFailedError) as failure:
        client.run(graph)
    assert (failure.value.node_id, failure.value.node_class) == ("fail", "SpyFail")
    assert "on purpose" in str(failure.value)


def test_an_interrupted_prompt_and_one_that_takes_too_long_are_told_apart(
    client: Any, hearth: LiveComfy
) -> None:
    prompt = client.submit(held("slow"))
    wait_until((hearth.server.barriers / "slow.held").exists, "the prompt to be held")
    with pytest.raises(client_module.ClientTimeoutError, match=r"within 0\.1 s"):
        client.wait(prompt, timeout_s=0.1)
    hearth.client.interrupt()
    (hearth.server.barriers / "slow.go").touch()
    with pytest.raises(client_module.PromptInterruptedError):
        client.wait(prompt)


def test_without_a_server_the_address_is_named() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(client_module.ServerNotRunningError, match=url):
            Client(url).run({})
        with pytest.raises(client_module.ClientTimeoutError):
            Client(url).wait_until_ready(timeout_s=0.2)


def test_without_hearth_it_says_so_and_prompts_still_run(stock: LiveComfy) -> None:
    client = Client(stock.server.url)
    with pytest.raises(client_module.HearthMissingError):
        client.prewarm(models=[A])
    assert len(client.run(sd3_graph(A, seed=930)).images) == 1
