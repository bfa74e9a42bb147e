"""VAE decode and Save image of hearth's in a real ComfyUI, with any model."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
from PIL import Image

from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import Graph, node, sd3_graph

pytestmark = pytest.mark.older_too

A = "toy_sd3_a.safetensors"


def of_prefix(graph: Graph, prefix: str) -> Graph:
    """The graph with other names for its files."""
    changed = copy.deepcopy(graph)
    changed["save"]["inputs"]["filename_prefix"] = prefix
    return changed


def with_hearth_save(graph: Graph) -> Graph:
    """The graph with hearth's node in place of SaveImage."""
    changed = copy.deepcopy(graph)
    changed["save"]["class_type"] = "HearthSaveImage"
    return changed


def run(live: LiveComfy, graph: Graph) -> tuple[Any, list[Any]]:
    """The entry of the history for what was saved, and the images."""
    answer = live.run(graph)
    (entry,) = live.client.get(f"/history/{answer.prompt_id}").values()
    out = live.server.spec.base / "output"
    saved = entry["outputs"]["save"]
    return saved, [
        Image.open(out / each["subfolder"] / each["filename"]) for each in saved["images"]
    ]


def test_saved_files_differ_from_save_images_in_nothing_but_their_compression(
    hearth: LiveComfy,
) -> None:
    graph = sd3_graph(A, seed=800)
    graph["latent"]["inputs"]["batch_size"] = 2
    for prefix in ("plain", "below/%width%/named"):
        stock, theirs = run(hearth, of_prefix(graph, f"theirs_{prefix}"))
        found, ours = run(hearth, with_hearth_save(of_prefix(graph, f"ours_{prefix}")))
        told = [each | {k: each[k].replace("ours", "theirs") for k in ("filename", "subfolder")}
                for each in found["images"]]  # fmt: skip
        assert {**found, "images": told} == stock
        for mine, other in zip(ours, theirs, strict=True):
            assert np.array_equal(np.asarray(mine), np.asarray(other))
            assert (mine.mode, list(mine.text)) == (other.mode, list(other.text))
            text = other.text["prompt"].replace("theirs_", "ours_")
            assert mine.text["prompt"] == text.replace('"SaveImage"', '"HearthSaveImage"')


def test_numbers_go_on_whichever_node_saves(hearth: LiveComfy) -> None:
    graph = of_prefix(sd3_graph(A, seed=810), "mixed")
    graph["own"] = with_hearth_save(graph)["save"]
    graph["third"] = copy.deepcopy(graph["own"])
    hearth.run(graph)
    graph["sampler"]["inputs"]["seed"] = 811
    hearth.run(graph)
    files = sorted(path.name for path in (hearth.server.spec.base / "output").glob("mixed*"))
    assert files == [f"mixed_0000{number}_.png" for number in range(1, 7)]


def test_an_image_that_cannot_be_written_fails_its_prompt_in_words(hearth: LiveComfy) -> None:
    graph = with_hearth_save(of_prefix(sd3_graph(A, seed=820), "../outside"))
    refused = hearth.client.wait(hearth.client.submit(graph))
    assert refused.status == "error"
    assert "outside the output folder" in refused.error


def test_vae_decode_gives_what_comfyuis_gives(hearth: LiveComfy) -> None:
    graph = of_prefix(sd3_graph(A, seed=830), "decoded")
    expected = np.asarray(run(hearth, graph)[1][0]).astype(int)
    graph["decode"]["class_type"] = "HearthVAEDecode"
    before = _vae_passes(hearth)
    found = np.asarray(run(hearth, graph)[1][0]).astype(int)
    assert abs(found - expected).max() <= 1
    after = _vae_passes(hearth)
    assert after["engine"] + after["python"] > before["engine"] + before["python"]


def _vae_passes(live: LiveComfy) -> dict[str, Any]:
    report = live.client.get("/hearth/health")["engine"]
    return dict(report.get("vae", {"engine": 0, "python": 0}))


def test_a_file_that_is_not_z_image_is_refused_by_its_kind(hearth: LiveComfy) -> None:
    name = "toy_mmdit.safetensors"
    graph = {
        "unet": node("HearthZImageLoader", unet_name=name, weight_dtype="default"),
        "show": node("HearthPin", model=["unet", 0]),
    }
    refused = hearth.client.wait(hearth.client.submit(graph))
    assert f"{name} is not a Z-Image transformer" in refused.error
    assert "takes it for SD3" in refused.error
