"""From an API-format workflow to the part of it that a prewarm runs: nothing that saves or shows.

ComfyUI runs what its output nodes (SaveImage, PreviewImage, …) ask for. A prewarm asks for the
nodes that feed them instead, so that everything is computed once and nothing leaves the process.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .nodes.node import WRITES
from .prewarm_names import Graph, PrewarmError

MODEL_TYPES = frozenset(("MODEL", "CLIP", "VAE"))
_EXPORT = 'export it in API format (menu "Workflow", "Export (API)")'


@dataclass(frozen=True)
class Work:
    """A graph and the nodes of it whose results are asked for."""

    graph: Graph
    targets: tuple[str, ...]


def read_workflow(name: str, folders: list[Path]) -> Any:
    """The JSON of the first file of that name; `.json` may be left out. Throws PrewarmError."""
    for folder in folders:
        for candidate in (folder / name, folder / f"{name}.json"):
            try:
                if candidate.is_file():  # throws where the name is too long for one
                    return json.loads(candidate.read_text(encoding="utf-8"))
            except ValueError as error:
                raise PrewarmError(f"workflow {name} is no JSON file: {error}") from error
            except RecursionError:
                raise PrewarmError(f"workflow {name} is nested too deeply") from None
            except OSError as error:  # whose own text has the full path
                raise PrewarmError(f"workflow {name}: {error.strerror}") from error
    raise PrewarmError(
        f"there is no workflow {name}; it is looked for beside the config file, in ComfyUI's user "
        "directory, and among hearth's examples/api"
    )


def check_graph(value: Any, name: str) -> Graph:
    """The graph in a file or request; a body of POST /prompt is taken as well."""
    if isinstance(value, Mapping) and isinstance(value.get("prompt"), Mapping):
        value = value["prompt"]
    if isinstance(value, Mapping) and isinstance(value.get("nodes"), list):
        raise PrewarmError(f"workflow {name} is one of the editor; {_EXPORT}")
    if not isinstance(value, Mapping) or not value or not all(map(_is_node, value.values())):
        raise PrewarmError(f"workflow {name} is no graph; {_EXPORT}")
    return {str(node_id): dict(node) for node_id, node in value.items()}


def plan_workflow(graph: Graph, classes: Mapping[str, Any], infer: bool) -> Work:
    """What to run of a workflow: all up to its output nodes, or only its loaders.

    Throws PrewarmError when a node's class is not installed or nothing is left to run.
    """
    for node_id, node in graph.items():
        if node["class_type"] not in classes:
            raise PrewarmError(f"node {node_id}: {node['class_type']} is not installed")
    outputs = {
        node_id for node_id, node in graph.items() if _saves_or_shows(classes[node["class_type"]])
    }
    # What an output node feeds cannot be had without it, and is left out.
    behind = _downstream(graph, outputs)
    rest = {node_id: node for node_id, node in graph.items() if node_id not in behind}
    asked = {link for output in behind for link in _links(graph[output]) if link in rest}
    needed = _upstream(rest, asked)
    if not infer:
        asked = {each for each in needed if _is_loader(each, rest, classes)}
        needed = _upstream(rest, asked)
    if not asked:
        raise PrewarmError("nothing to run: no node feeds an output node")
    kept = {node_id: node for node_id, node in rest.items() if node_id in needed}
    return Work(kept, tuple(node_id for node_id in kept if node_id in asked))


def _saves_or_shows(owner: Any) -> bool:
    # Most of hearth's own pass models on and keep or drop them, which a prewarm is for.
    writes = getattr(owner, WRITES, None)
    return bool(getattr(owner, "OUTPUT_NODE", False)) and writes is not False


def _is_node(value: Any) -> bool:
    return (
        isinstance(value, Mapping)
        and isinstance(value.get("class_type"), str)
        and isinstance(value.get("inputs"), Mapping)
    )


def _is_loader(node_id: str, graph: Graph, classes: Mapping[str, Any]) -> bool:
    """Gives a MODEL, CLIP or VAE, and is not given one."""
    if not MODEL_TYPES & set(_returns(graph[node_id], classes)):
        return False
    for value in graph[node_id]["inputs"].values():
        if _is_link(value) and str(value[0]) in graph:
            given = _returns(graph[str(value[0])], classes)
            if value[1] < len(given) and given[value[1]] in MODEL_TYPES:
                return False
    return True


def _returns(node: Mapping[str, Any], classes: Mapping[str, Any]) -> list[str]:
    return [str(each) for each in getattr(classes[node["class_type"]], "RETURN_TYPES", ()) or ()]


def _is_link(value: Any) -> bool:
    return (
        isinstance(value, list)
        and len(value) == 2
        and isinstance(value[0], (str, int))
        and isinstance(value[1], int)
    )


def _links(node: Mapping[str, Any]) -> Iterator[str]:
    return (str(value[0]) for value in node["inputs"].values() if _is_link(value))


def _upstream(graph: Graph, start: set[str]) -> set[str]:
    return _reached(
        start & graph.keys(), lambda each: (i for i in _links(graph[each]) if i in graph)
    )


def _downstream(graph: Graph, start: set[str]) -> set[str]:
    fed: dict[str, list[str]] = {}
    for node_id, node in graph.items():
        for source in _links(node):
            fed.setdefault(source, []).append(node_id)
    return _reached(start, lambda node_id: fed.get(node_id, ()))


def _reached(start: set[str], following: Callable[[str], Iterable[str]]) -> set[str]:
    found: set[str] = set()
    ahead = list(start)
    while ahead:
        node_id = ahead.pop()
        if node_id not in found:
            found.add(node_id)
            ahead.extend(following(node_id))
    return found
