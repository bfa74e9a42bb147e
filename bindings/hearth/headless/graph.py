"""A workflow in ComfyUI's API format: nodes by their id, each with a class and inputs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hearth.headless.faults import Fault, RefusedError, quoted, wrong_letters
from hearth.text_files import read_text

_MAX_BYTES = 64 << 20
_MAX_DEPTH = 100
"""Of what holds what. A workflow has four; what walks through it may rely on a limit."""


@dataclass
class GraphNode:
    """One node as it is written; what is a list among its inputs is a link."""

    id: str
    class_name: str
    inputs: dict[str, Any]


@dataclass
class Graph:
    """All nodes whose form is right, the faults of the others, and the text they come from."""

    name: str
    """Of the file, without its ending."""
    nodes: dict[str, GraphNode]
    raw: dict[str, Any]
    """As read, with what `--set` changed: an image carries it as its `prompt`."""
    faults: list[Fault] = field(default_factory=list)

    def set_input(self, node: str, name: str, value: Any) -> None:
        """Changes one input, as if the file had it."""
        self.nodes[node].inputs[name] = value
        self.raw[node]["inputs"] = self.nodes[node].inputs


def read(path: Path) -> Graph:
    """Reads a workflow's file. Throws RefusedError when it is none at all."""
    try:
        if path.is_dir():
            raise _refused(path, "is a folder; give the workflow's file")
        text = read_text(path, _MAX_BYTES, pipes=True).removeprefix("\ufeff")
    except FileNotFoundError:
        raise _refused(path, "there is no such file") from None
    except ValueError as fault:
        raise _refused(path, f"{fault}, so no workflow") from None
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    return parse(text, path)


def parse(text: str, path: Path) -> Graph:
    """A workflow from its text. Throws RefusedError when it is none at all."""
    found: dict[str, Any] = _decode(text, path)
    inner = found.get("prompt")
    if isinstance(inner, dict) and "class_type" not in inner:
        found = inner  # what was sent to /prompt
    if isinstance(found.get("nodes"), list):
        raise _refused(
            path,
            "is a workflow of ComfyUI's editor, not in API format. In ComfyUI: Workflow > "
            "Export (API), and give that file",
        )
    if not found:
        raise _refused(path, "holds no node")
    graph = Graph(path.stem, {}, found)
    for id_, node in found.items():
        _take(graph, id_, node)
    return graph


def _decode(text: str, path: Path) -> dict[str, Any]:
    if not text.strip():
        raise _refused(path, "is empty")
    twice: list[str] = []

    def pairs(members: list[tuple[str, Any]]) -> dict[str, Any]:
        made: dict[str, Any] = {}
        for name, value in members:
            if name in made:
                twice.append(name)
            made[name] = value
        return made

    try:
        found = json.loads(text, object_pairs_hook=pairs)
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}"
        raise _refused(path, f"is not JSON: {error.msg} at {where}") from error
    except ValueError:  # Python's limit for texts that are to become numbers
        raise _refused(path, "holds a whole number of thousands of digits") from None
    except RecursionError:
        raise _refused(path, _TOO_DEEP) from None
    if _is_too_deep(found):
        raise _refused(path, _TOO_DEEP)
    if twice:
        raise _refused(path, f"has {quoted(twice[0])} twice in one object; only one would count")
    if not isinstance(found, dict):
        raise _refused(path, f"is {_kind(found)}, not an object of nodes by their ids")
    return found


def _is_too_deep(found: Any) -> bool:
    level = [found] if isinstance(found, (dict, list)) else []
    for _ in range(_MAX_DEPTH):
        inner = [each.values() if isinstance(each, dict) else each for each in level]
        level = [each for values in inner for each in values if isinstance(each, (dict, list))]
        if not level:
            return False
    return True


def _take(graph: Graph, id_: str, node: Any) -> None:
    fault = _fault_of_form(node) or wrong_letters(id_)
    if fault:
        class_name = node.get("class_type", "") if isinstance(node, dict) else ""
        named = class_name if isinstance(class_name, str) else ""
        graph.faults.append(Fault(fault, id_, named))
        return
    inputs: Mapping[str, Any] = node.get("inputs", {})
    values = {name: _unwrapped(value) for name, value in inputs.items()}
    graph.nodes[id_] = GraphNode(id_, node["class_type"], values)


def _fault_of_form(node: Any) -> str:
    if not isinstance(node, dict):
        return f"is {_kind(node)}, not a node with class_type and inputs"
    if "class_type" not in node:
        return "has no class_type, so nobody knows which node it is"
    if not isinstance(node["class_type"], str):
        return f"class_type is {_kind(node['class_type'])}, not the name of a node class"
    if not isinstance(node.get("inputs", {}), dict):
        return f"inputs is {_kind(node['inputs'])}, not an object of inputs by their names"
    return ""


def _unwrapped(value: Any) -> Any:
    """ComfyUI's editor writes a value that is a list as {"__value__": [...]}."""
    return value["__value__"] if isinstance(value, dict) and "__value__" in value else value


def _kind(value: Any) -> str:
    if value is None:
        return "null"
    names = {dict: "an object", list: "a list", str: "a text", bool: "true or false"}
    return names.get(type(value), "a number")


_TOO_DEEP = "is nested too deeply for a workflow"


def _refused(path: Path, text: str) -> RefusedError:
    return RefusedError([Fault(f"{path}: {text}")])
