"""hearth's nodes in each form they have: in either node API, and where hearth is off."""

from __future__ import annotations

from typing import Any

import pytest
from test_nodes import text_of, with_hearth_loaders
from test_nodes_sampling import with_hearth_sampler

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.live_comfy import LiveComfy, StartComfy
from benchmarks.harness.workflows import node, sd3_graph

pytestmark = pytest.mark.older_too

A = "toy_sd3_a.safetensors"
# A pack that is hearth in a ComfyUI without the newer node API.
_OLD_API = f"""
import importlib.util, sys
import comfy_api.latest as api
taken = api.ComfyExtension
del api.ComfyExtension
try:
    place = {str(REPOSITORY)!r}
    spec = importlib.util.spec_from_file_location(
        "hearth_pack", place + "/__init__.py", submodule_search_locations=[place]
    )
    pack = sys.modules["hearth_pack"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(pack)
finally:
    api.ComfyExtension = taken
assert not hasattr(pack, "comfy_entrypoint")
NODE_CLASS_MAPPINGS = pack.NODE_CLASS_MAPPINGS
NODE_DISPLAY_NAME_MAPPINGS = pack.NODE_DISPLAY_NAME_MAPPINGS
"""


@pytest.fixture(scope="module")
def old_api(start_comfy: StartComfy, tmp_path_factory: pytest.TempPathFactory) -> LiveComfy:
    """ComfyUI with hearth's nodes in the older API."""
    pack = tmp_path_factory.mktemp("old_api") / "hearth"
    pack.mkdir()
    (pack / "__init__.py").write_text(_OLD_API, encoding="utf-8")
    return start_comfy("old_api", hearth=pack)


def _nodes(live: LiveComfy) -> dict[str, Any]:
    nodes = live.client.get("/object_info")
    found = {name: info for name, info in nodes.items() if info["category"] == "hearth"}
    for info in found.values():  # what some versions give every output node, and no user sees
        info["input"].pop("hidden", None)
    return found


def _told(info: dict[str, Any]) -> dict[str, Any]:
    """What the editor is told of a node, in one form for both APIs."""
    inputs = {
        (section, name): _input(*spec)
        for section, specs in info["input"].items()
        for name, spec in specs.items()
    }
    words = ("display_name", "description", "output_node", "output_name")
    outputs = list(info["output"]), list(info["output_tooltips"])
    return {"inputs": inputs, "outputs": outputs} | {word: info[word] for word in words}


def _input(type_: Any, settings: Any = None) -> Any:
    rest = dict(settings or {})
    return ("COMBO", rest | {"options": type_}) if isinstance(type_, list) else (type_, rest)


def test_both_node_apis_tell_the_editor_the_same(hearth: LiveComfy, old_api: LiveComfy) -> None:
    newer, older = _nodes(hearth), _nodes(old_api)
    assert len(newer) == 15
    assert {name: _told(info) for name, info in older.items()} == {
        name: _told(info) for name, info in newer.items()
    }


def test_every_input_and_output_has_a_tooltip_and_every_node_a_description(
    hearth: LiveComfy,
) -> None:
    for name, info in _nodes(hearth).items():
        told = _told(info)
        assert told["description"], name
        assert all(settings.get("tooltip") for _, settings in told["inputs"].values()), name
        assert all(told["outputs"][1]), name


def test_every_node_has_a_help_page(hearth: LiveComfy) -> None:
    for name, info in _nodes(hearth).items():
        folder = info["python_module"].removeprefix("custom_nodes.")
        page = hearth.client.get_text(f"/extensions/{folder}/docs/{name}.md")
        assert page.startswith(f"# {info['display_name']}\n"), name
        for section in info["input"].values():
            assert all(f"`{input_}`" in page for input_ in section), name


def test_nodes_of_the_older_api_serve_from_the_cache(old_api: LiveComfy) -> None:
    graph = with_hearth_sampler(with_hearth_loaders(sd3_graph(A, seed=700)))
    graph["status"] = node("HearthCacheStatus", after=["sampler", 0])
    old_api.run(sd3_graph(A, seed=701))
    shown: list[str] = []
    assert old_api.reads_during(lambda: shown.append(text_of(old_api, graph, "status"))) == []
    assert A in shown[0]
    bad = with_hearth_loaders(sd3_graph("toy_sd3_aa.safetensors"))
    assert f"did you mean {A}?" in str(old_api.client.post("/prompt", {"prompt": bad}))


def test_without_the_native_module_the_nodes_do_as_the_stock_ones(
    without_native: LiveComfy, stock: LiveComfy
) -> None:
    graph = sd3_graph(A, seed=710)
    expected = stock.run(graph).pixels
    graph = with_hearth_sampler(with_hearth_loaders(graph, pin=True, keep_alive_s=5))
    graph["pin"] = node("HearthPin", model=["loader", 0])
    graph["prewarm"] = node("HearthPrewarm", model=f"checkpoints/{A}")
    graph["evict"] = node("HearthEvict", model=A, after=["decode", 0])
    graph["decode"]["class_type"] = "HearthVAEDecode"
    graph["save"]["inputs"]["images"] = ["evict", 0]
    graph["save"]["class_type"] = "HearthSaveImage"
    graph["status"] = node("HearthCacheStatus", after=["decode", 0])
    assert "hearth is off" in text_of(without_native, graph, "status")
    graph["sampler"]["inputs"]["seed"] = 711
    assert without_native.run(graph).pixels != expected
    graph["sampler"]["inputs"]["seed"] = 710
    assert without_native.run(graph).pixels == expected
