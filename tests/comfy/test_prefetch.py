"""What waiting prompts need is read while another prompt runs."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy, StartComfy
from benchmarks.harness.workflows import node, sd3_graph

pytestmark = pytest.mark.older_too

A, C = "toy_sd3_a.safetensors", "toy_sd3_c.safetensors"


def _files(live: LiveComfy) -> dict[str, str]:
    """Names and states of the files in host memory."""
    files: list[dict[str, Any]] = live.client.get("/hearth/models")["host_tier"]["files"]
    return {file["name"]: file["state"] for file in files}


@pytest.fixture(scope="module")
def live(start_comfy: StartComfy) -> LiveComfy:
    """A server of its own: what others have mapped would look as if read ahead."""
    return start_comfy("prefetch", hearth=REPOSITORY)


def test_the_file_of_a_waiting_prompt_is_read_while_another_prompt_runs(live: LiveComfy) -> None:
    held = sd3_graph(A)
    held["hold"] = node("SpyHold", latent=["sampler", 0], barrier="prefetch")
    held["decode"]["inputs"]["samples"] = ["hold", 0]
    running = live.client.submit(held)
    wait_until((live.server.barriers / "prefetch.held").exists, "the first prompt to be held")
    assert C not in _files(live)
    waiting = live.client.submit(sd3_graph(C))
    wait_until(lambda: _files(live).get(C) == "read", "the waiting prompt's file to be read")
    assert C not in live.server.reads()
    (live.server.barriers / "prefetch.go").touch()
    assert live.client.wait(running).status == live.client.wait(waiting).status == "success"
    assert live.server.reads().count(C) == 1
