"""What of `hearth run`'s node table differs from what a ComfyUI says of its nodes."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from hearth.headless.node_table import NODES, Input, NodeClass

Info = Mapping[str, Any]
# Of ComfyUI's lists hearth computes a part.
_PARTS = ("sampler_name", "scheduler")


def trimmed(info: Info) -> dict[str, Any]:
    """Of /object_info what is compared: the classes of the table, without texts and file lists."""
    return {
        name: {
            "input": {
                section: {
                    field: _without_texts(NODES[name].inputs.get(field), spec)
                    for field, spec in info[name]["input"].get(section, {}).items()
                }
                for section in ("required", "optional")
            },
            "output": list(info[name]["output"]),
            "output_node": info[name]["output_node"],
        }
        for name in NODES
        if name in info
    }


def differences(info: Info, *, newest: bool = True) -> list[str]:
    """A line for each; `newest`: lists have to be equal, of an older ComfyUI they are contained."""
    found = []
    for name, node in NODES.items():
        if name not in info:
            found.append(f"{name}: unknown there")
            continue
        found += [f"{name}: {line}" for line in _of_node(node, info[name], newest)]
    return found


def _of_node(node: NodeClass, info: Info, newest: bool) -> list[str]:
    found = []
    outputs = [output.type for output in node.outputs]
    if outputs != list(info["output"]) and (newest or info["output"]):
        found.append(f"outputs {outputs}, there {info['output']}")
    if node.is_output != info["output_node"]:
        found.append(f"output node: {node.is_output}")
    for section in ("required", "optional"):
        theirs = info["input"].get(section, {})
        ours = {
            name: input_
            for name, input_ in node.inputs.items()
            if input_.optional == (section == "optional")
        }
        if set(ours) != set(theirs):
            found.append(f"{section} inputs {sorted(ours)}, there {sorted(theirs)}")
        for name in set(ours) & set(theirs):
            found += [
                f"{name}: {line}" for line in _of_input(name, ours[name], theirs[name], newest)
            ]
    return found


def _of_input(name: str, ours: Input, spec: Any, newest: bool) -> list[str]:
    type_, options = _parts(spec)
    found = [f"{ours.type}, there {type_}"] if ours.type != type_ else []
    for key, value in (("min", ours.min), ("max", ours.max)):
        if value != options.get(key):
            found.append(f"{key} {value}, there {options.get(key)}")
    if "default" in options and ours.default != options["default"]:
        found.append(f"default {ours.default}, there {options['default']}")
    elif newest and "default" not in options and type_ != "COMBO" and ours.default is not None:
        found.append(f"default {ours.default}, there none")
    if type_ == "COMBO" and not ours.model_list:
        mine, theirs = {*ours.choices, *ours.refused}, set(options["options"])
        if not (mine <= theirs if name in _PARTS else mine == theirs if newest else theirs <= mine):
            found.append(f"choices {sorted(mine ^ theirs)} are in one of both only")
        if ours.default is not None and not ours.refused and ours.default != options["options"][0]:
            found.append(f"default {ours.default}, there {options['options'][0]}")
    return found


def _parts(spec: Any) -> tuple[str, dict[str, Any]]:
    type_, options = spec[0], dict(spec[1]) if len(spec) > 1 else {}
    if isinstance(type_, list):
        return "COMBO", {"options": type_, **options}
    return type_, options


def _without_texts(ours: Input | None, spec: Any) -> list[Any]:
    type_, options = _parts(spec)
    kept = {key: options[key] for key in ("default", "min", "max", "options") if key in options}
    if ours is not None and ours.model_list:
        kept["options"] = []
    return [type_, kept]
