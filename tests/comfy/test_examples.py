"""The graphs and the full-size models that `examples/` speaks of."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.harness import ui_workflows
from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import Graph, example_text, examples

pytestmark = pytest.mark.older_too

TOY = {name: graph for name, graph in examples().items() if not name.startswith("z_image")}


@pytest.mark.parametrize("name", examples())
def test_example_file_is_what_its_builder_makes(name: str) -> None:
    text = (REPOSITORY / "examples" / "api" / name).read_text(encoding="utf-8")
    assert text == example_text(examples()[name]), "python -m benchmarks.harness.workflows"


@pytest.mark.parametrize("name", [name for name in TOY if "hearth" not in name])
def test_example_with_toy_models_runs_and_makes_an_image(stock: LiveComfy, name: str) -> None:
    graph: Graph = TOY[name]
    assert len(stock.run(graph).files) == 1


@pytest.mark.parametrize("name", TOY)
def test_example_with_toy_models_runs_with_hearth_too(hearth: LiveComfy, name: str) -> None:
    try:
        assert len(hearth.run(TOY[name]).files) == 1
    finally:  # one of them pins
        for model in hearth.hearth.resident():
            hearth.client.post("/hearth/pin", {"name": model, "pinned": False})


@pytest.mark.parametrize("name", ui_workflows.SHOWN)
def test_the_workflow_of_the_template_browser_is_the_one_for_scripts(
    hearth: LiveComfy, name: str
) -> None:
    workflow = json.loads((ui_workflows.FOLDER / f"{name}.json").read_text(encoding="utf-8"))
    nodes = hearth.client.get("/object_info")
    sent = ui_workflows.api_graph(workflow, nodes)
    assert ui_workflows.same_graph(sent, examples()[f"{name}.json"], nodes)


def test_z_image_graphs_use_only_nodes_that_are_there(hearth: LiveComfy) -> None:
    known = hearth.client.get("/object_info")
    for name in examples().keys() - TOY.keys():
        for node in examples()[name].values():
            required = known[node["class_type"]]["input"]["required"]
            assert required.keys() <= node["inputs"].keys(), (name, node)


def test_full_size_z_image_files_are_what_comfyui_expects_where_it_knows_z_image(
    comfy: Path,
) -> None:
    check = subprocess.run(
        [sys.executable, "-B", "-m", "benchmarks.harness.zimage_check", str(comfy)],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
    )
    if "class ZImage(" in (comfy / "comfy" / "supported_models.py").read_text(encoding="utf-8"):
        assert check.returncode == 0, check.stdout + check.stderr
    else:
        transformer, text_encoder = check.stdout.splitlines()
        assert transformer == "the transformer is taken for Lumina2, not for ZImage", check.stderr
        assert text_encoder.endswith("this ComfyUI knows no Qwen3-4B")
