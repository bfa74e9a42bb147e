"""Graphs in the editor's own format: what the template browser shows and a canvas takes by drop.

`python -m benchmarks.harness.ui_workflows URL` rewrites `examples/*.json` from the API-format
graphs; the ComfyUI at that address says which inputs are sockets and which are widgets.
"""

from __future__ import annotations

import json
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from benchmarks.harness.workflows import Graph, examples

FOLDER = Path(__file__).resolve().parents[2] / "examples"
SHOWN = (
    *("sd3", "sd3_lora", "separate_files", "dual_clip", "hearth_nodes"),
    *("z_image_turbo", "z_image_engine"),
)

_WIDGETS = ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")
_SEEDS = ("seed", "noise_seed")
_AFTER_A_RUN = "increment"
_NOTE = "MarkdownNote"
_WIDTH, _LINE, _GAP = 320, 26, 60
# Of nodes that show more than their inputs.
_FURTHER_LINES = {"CLIPTextEncode": 4, "SaveImage": 12, "HearthSaveImage": 12} | {"PreviewAny": 6}

NodeInfo = Mapping[str, Any]
Json = dict[str, Any]


def ui_workflow(graph: Graph, nodes: Mapping[str, NodeInfo], note: str) -> Json:
    """The graph as the editor saves it, with a note beside it; `nodes` is /object_info."""
    ids = {name: number for number, name in enumerate(graph, start=1)}
    links = list(_links(graph, ids, nodes))
    made = [_ui_node(graph, name, ids[name], links, nodes) for name in graph]
    _lay_out(graph, made)
    made.append(_note(len(made) + 1, note))
    return {
        "last_node_id": len(made),
        "last_link_id": len(links),
        "nodes": made,
        "links": links,
        "groups": [],
        "config": {},
        "extra": {},
        "version": 0.4,
    }


def api_graph(workflow: Json, nodes: Mapping[str, NodeInfo]) -> Graph:
    """What the editor sends for a workflow that it has loaded."""
    sources = {link[0]: [str(link[1]), link[2]] for link in workflow["links"]}
    graph: Graph = {}
    for entry in workflow["nodes"]:
        if entry["type"] == _NOTE:
            continue
        values = iter(entry["widgets_values"])
        inputs = {name: next(values) for name in _with_controls(nodes[entry["type"]])}
        inputs.pop("", None)
        inputs |= {
            slot["name"]: sources[slot["link"]]
            for slot in entry["inputs"]
            if slot["link"] is not None
        }
        graph[str(entry["id"])] = {"class_type": entry["type"], "inputs": inputs}
    return graph


def same_graph(one: Graph, other: Graph, nodes: Mapping[str, NodeInfo]) -> bool:
    """Whether two graphs compute the same, whatever their nodes are called."""
    return _shapes(one, nodes) == _shapes(other, nodes)


def _shapes(graph: Graph, nodes: Mapping[str, NodeInfo]) -> list[str]:
    def shape(name: str) -> Json:
        entry = graph[name]
        inputs = _defaults(nodes[entry["class_type"]]) | entry["inputs"]
        return {"type": entry["class_type"]} | {
            key: [shape(str(value[0])), value[1]] if isinstance(value, list) else _number(value)
            for key, value in inputs.items()
        }

    return sorted(json.dumps(shape(name), sort_keys=True) for name in graph)


def _number(value: object) -> object:
    """JavaScript, and so the editor, writes 4.0 as 4."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def _specs(info: NodeInfo) -> Iterator[tuple[str, Any, Json]]:
    """Name, type and settings of each input, a combo's type in either form as COMBO."""
    for section in ("required", "optional"):
        for name, spec in info["input"].get(section, {}).items():
            settings = dict(spec[1]) if len(spec) > 1 else {}
            if isinstance(spec[0], list):
                yield name, "COMBO", {"options": spec[0], **settings}
            else:
                yield name, spec[0], settings


def _defaults(info: NodeInfo) -> Json:
    found: Json = {}
    for name, type_, settings in _specs(info):
        if "default" in settings:
            found[name] = settings["default"]
        elif type_ == "COMBO" and settings["options"]:
            found[name] = settings["options"][0]
    return found


def _with_controls(info: NodeInfo) -> Iterator[str]:
    """Names of the widgets in the editor's order; "" for what a seed does after a run."""
    for name, type_, _ in _specs(info):
        if type_ in _WIDGETS:
            yield name
            if name in _SEEDS:
                yield ""


def _links(
    graph: Graph, ids: Mapping[str, int], nodes: Mapping[str, NodeInfo]
) -> Iterator[list[Any]]:
    number = 0
    for name, entry in graph.items():
        sockets = [
            socket
            for socket, type_, _ in _specs(nodes[entry["class_type"]])
            if type_ not in _WIDGETS
        ]
        for slot, socket in enumerate(sockets):
            value = entry["inputs"].get(socket)
            if isinstance(value, list):
                number += 1
                type_ = nodes[graph[value[0]]["class_type"]]["output"][value[1]]
                yield [number, ids[value[0]], value[1], ids[name], slot, type_]


def _ui_node(
    graph: Graph, name: str, id_: int, links: list[list[Any]], nodes: Mapping[str, NodeInfo]
) -> Json:
    entry, info = graph[name], nodes[graph[name]["class_type"]]
    given = _defaults(info) | entry["inputs"]
    sockets = [(socket, type_) for socket, type_, _ in _specs(info) if type_ not in _WIDGETS]
    by_slot = {link[4]: link[0] for link in links if link[3] == id_}
    outputs = zip(info["output_name"], info["output"], strict=True)
    return {
        "id": id_,
        "type": entry["class_type"],
        "flags": {},
        "order": id_ - 1,
        "mode": 0,
        "inputs": [
            {"name": socket, "type": type_, "link": by_slot.get(slot)}
            for slot, (socket, type_) in enumerate(sockets)
        ],
        "outputs": [
            {
                "name": output,
                "type": type_,
                "links": [link[0] for link in links if link[1:3] == [id_, slot]],
            }
            for slot, (output, type_) in enumerate(outputs)
        ],
        "properties": {"Node name for S&R": entry["class_type"]},
        "widgets_values": [
            given[widget] if widget else _AFTER_A_RUN for widget in _with_controls(info)
        ],
    }


def _lay_out(graph: Graph, made: list[Json]) -> None:
    """A column for each distance from the loaders, one node below the other."""
    depths: dict[str, int] = {}

    def depth(name: str) -> int:
        if name not in depths:
            values = graph[name]["inputs"].values()
            before = [depth(value[0]) + 1 for value in values if isinstance(value, list)]
            depths[name] = max(before, default=0)
        return depths[name]

    bottoms: dict[int, int] = {}
    for name, entry in zip(graph, made, strict=True):
        lines = max(len(entry["inputs"]), len(entry["outputs"])) + len(entry["widgets_values"])
        height = _LINE * (lines + 1 + _FURTHER_LINES.get(entry["type"], 0))
        column = depth(name)
        top = bottoms.get(column, 0)
        bottoms[column] = top + height + _GAP
        entry["pos"] = [column * (_WIDTH + _GAP), top]
        entry["size"] = [_WIDTH, height]


def _note(id_: int, text: str) -> Json:
    return {
        "id": id_,
        "type": _NOTE,
        "pos": [0, -220],
        "size": [_WIDTH * 2 + _GAP, 160],
        "flags": {},
        "order": id_ - 1,
        "mode": 0,
        "inputs": [],
        "outputs": [],
        "properties": {},
        "widgets_values": [text],
    }


def _main() -> int:
    with urllib.request.urlopen(f"{sys.argv[1]}/object_info", timeout=60) as answer:
        nodes = json.loads(answer.read())
    for name in SHOWN:
        workflow = ui_workflow(examples()[f"{name}.json"], nodes, NOTES[name])
        (FOLDER / f"{name}.json").write_text(json.dumps(workflow, indent=1) + "\n", "utf-8")
    return 0


_TOYS = (
    "The model files are toys that `./dev run` writes, and make noise: "
    "**choose your own in the loader**, with a size and steps that suit them."
)
NOTES = {
    "sd3": f"Text to image from one SD3 checkpoint, with ComfyUI's own nodes. Run it, run another "
    f"workflow, come back: hearth keeps the model.\n\n{_TOYS}",
    "sd3_lora": "A LoRA on a model that other workflows use without it: hearth keeps the model "
    f"once, and the LoRA never reaches it.\n\n{_TOYS}",
    "separate_files": "Transformer, text encoder and VAE from files of their own; hearth keeps "
    f"each by itself.\n\n{_TOYS}",
    "dual_clip": f"Two text encoder files in one loader; hearth keeps them as one.\n\n{_TOYS}",
    "hearth_nodes": "hearth's own nodes: a loader that pins its model, a sampler that holds it, "
    "Prewarm for the model that comes next, and the cache as text. Each node has a help page."
    f"\n\n{_TOYS}",
    "z_image_turbo": "Z-Image-Turbo as ComfyUI's own template runs it, with the released files.",
    "z_image_engine": "Z-Image-Turbo on hearth's own engine: its loader, VAE decode and "
    "Save image. Put a LoRA behind the loader and ComfyUI's own code computes; Cache status "
    "says who did.",
}

if __name__ == "__main__":
    sys.exit(_main())
