"""What `--set` and `--prompts` change in a workflow."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from hearth.headless.checks import Plan
from hearth.headless.faults import Fault, RefusedError, hint, quoted
from hearth.headless.graph import Graph
from hearth.headless.node_table import NODES
from hearth.headless.values import WrongValueError, from_text
from hearth.text_files import read_text

_POSITIVE = "positive"
_MAX_BYTES = 64 << 20


def apply(graph: Graph, settings: Iterable[str]) -> list[Fault]:
    """Puts each `node.input=value` into the workflow; the faults of those that cannot be."""
    faults: list[Fault] = []
    seen: set[str] = set()
    for setting in settings:
        place, equals, text = setting.partition("=")
        node, dot, name = place.rpartition(".")
        if not (equals and dot and node and name):
            faults.append(_fault(setting, "is not written NODE.INPUT=VALUE"))
        elif place in seen:
            faults.append(_fault(setting, f"{quoted(place)} is set twice"))
        else:
            faults += _apply_one(graph, node, name, text)
        seen.add(place)
    return faults


def _apply_one(graph: Graph, node: str, name: str, text: str) -> list[Fault]:
    setting = f"{node}.{name}"
    if node not in graph.nodes:
        same = [each.id for each in graph.nodes.values() if each.class_name == node]
        near = f"; nodes of this class: {', '.join(same)}" if same else hint(node, graph.nodes)
        return [_fault(setting, f"there is no node {quoted(node)}{near}")]
    class_name = graph.nodes[node].class_name
    if class_name not in NODES:
        return []  # that is told anyway
    inputs = NODES[class_name].inputs
    if name not in inputs:
        near = hint(name, inputs)
        return [_fault(setting, f"node {node} ({class_name}) has no input {quoted(name)}{near}")]
    try:
        graph.set_input(node, name, from_text(inputs[name], text))
    except WrongValueError as fault:
        return [_fault(setting, str(fault))]
    return []


def read_prompts(path: Path) -> list[str]:
    """The prompts of a file, one a line; lines of nothing but spaces are none.

    Throws RefusedError.
    """
    try:
        text = read_text(path, _MAX_BYTES, pipes=True).removeprefix("\ufeff")
    except ValueError as fault:
        raise _refused(path, str(fault)) from None
    except OSError as error:
        raise _refused(path, f"cannot be read: {error.strerror}") from error
    prompts = [line.strip() for line in text.splitlines() if line.strip()]
    if not prompts:
        raise _refused(path, "holds no prompt; write one a line")
    return prompts


def prompt_node(plan: Plan) -> str:
    """The id of the CLIPTextEncode that the samplers' `positive` comes from.

    Throws RefusedError where there is none or more than one.
    """
    found = {
        source
        for node in plan.nodes.values()
        if _POSITIVE in node.links
        for source in _encoders(plan, node.links[_POSITIVE].node)
    }
    if len(found) == 1:
        return found.pop()
    what = "no CLIPTextEncode leads" if not found else f"nodes {', '.join(sorted(found))} all lead"
    raise RefusedError(
        [Fault(f"--prompts: {what} to a sampler's positive, so where prompts go is not clear")]
    )


def _encoders(plan: Plan, node_id: str) -> set[str]:
    """Those that lead to a node. By a stack of its own: a chain may be longer than Python's."""
    found: set[str] = set()
    seen: set[str] = set()
    left = [node_id]
    while left:
        id_ = left.pop()
        if id_ in seen:
            continue
        seen.add(id_)
        node = plan.nodes[id_]
        if node.class_name == "CLIPTextEncode":
            found.add(id_)
        else:
            left += [link.node for link in node.links.values()]
    return found


def _fault(setting: str, text: str) -> Fault:
    return Fault(f"--set {quoted(setting)}: {text}")


def _refused(path: Path, text: str) -> RefusedError:
    return RefusedError([Fault(f"--prompts {path}: {text}")])
