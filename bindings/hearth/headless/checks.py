"""Checks a workflow against the node table and the lists of models: every fault, nothing loaded."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from hearth.headless.faults import Fault, hint, quoted
from hearth.headless.graph import Graph, GraphNode
from hearth.headless.links import Link, LinkFault, Links
from hearth.headless.model_lists import FOLDERS, READABLE, ModelLists
from hearth.headless.node_table import ANY, NODES, Input, NodeClass
from hearth.headless.prefixes import bytes_too_many, leaves_folder
from hearth.headless.prewarm_names import loader_of
from hearth.headless.values import WrongValueError, check_choice, converted

_MAX_LEVELS = 10**8
"""Of a schedule; what ComfyUI's own limits of steps and denoise allow is a hundredth of it."""
_SMALLEST = (16, 16)
"""An image's width and height: what a prefix is too long for with these it is with any."""


@dataclass
class PlannedNode:
    """One node that is going to run: its values complete and right, its links lead somewhere."""

    id: str
    class_name: str
    values: dict[str, Any] = field(default_factory=dict)
    links: dict[str, Link] = field(default_factory=dict)

    @property
    def node_class(self) -> NodeClass:
        """Its entry in the table."""
        return NODES[self.class_name]


@dataclass
class Plan:
    """A workflow that can run."""

    graph: Graph
    nodes: dict[str, PlannedNode]
    """By id, each behind those that it needs."""
    faults: list[Fault]
    """None, or it cannot run after all."""
    notes: list[str]
    """What does not hinder and yet should be known."""


def origins_of(nodes: Iterable[PlannedNode]) -> dict[Link, Link]:
    """Where what comes through a link was made, for links to nodes that hand on what they are
    given; every other link is its own origin. REQUIRES: each node stands behind those it needs."""
    origins: dict[Link, Link] = {}
    for node in nodes:
        for number, output in enumerate(node.node_class.outputs):
            if output.passes in node.links:
                link = node.links[output.passes]
                origins[Link(node.id, number)] = origins.get(link, link)
    return origins


def check(graph: Graph, models: ModelLists) -> Plan:
    """The plan of a workflow; what is wrong with it is in `faults`.

    As in ComfyUI, nodes that lead to no output node are not looked at, but for their class.
    """
    return _Check(graph, models).run()


class _Check:
    def __init__(self, graph: Graph, models: ModelLists) -> None:
        self._graph = graph
        self._models = models
        self._links = Links(graph)
        self._plan = Plan(graph, {}, list(graph.faults), [])
        self._blamed: set[str] = set()

    def run(self) -> Plan:
        known = [node for node in self._graph.nodes.values() if self._is_known(node)]
        outputs = [node.id for node in known if NODES[node.class_name].is_output]
        if not outputs and not self._plan.faults:
            self._plan.faults.append(
                Fault(f"{self._graph.name}: no node writes or shows anything; add a SaveImage")
            )
        order, cycles = self._links.order(outputs)
        for id_ in order:
            self._check_node(self._graph.nodes[id_])
        for link, path in cycles:
            node = self._graph.nodes[link.by]
            way = f": {' -> '.join(path)}" if path else ""
            self._blame(node, link.input, f"leads back to where it began{way}")
        return self._plan

    def _is_known(self, node: GraphNode) -> bool:
        if node.class_name in NODES:
            return True
        text = f"hearth run has no node class {quoted(node.class_name)}"
        self._blame(node, "", text + hint(node.class_name, NODES, list_all=False))
        return False

    def _check_node(self, node: GraphNode) -> None:
        if node.class_name not in NODES:
            return
        planned = PlannedNode(node.id, node.class_name)
        inputs = NODES[node.class_name].inputs
        for name, input_ in inputs.items():
            if name in node.inputs:
                self._take_input(node, planned, name, input_)
            elif input_.optional:
                planned.values[name] = input_.default
            else:
                self._blame(node, name, _missing(node, name, input_))
        for name in node.inputs:
            if name not in inputs:
                self._note_unknown(node, name, inputs)
        if node.id not in self._blamed:
            self._check_together(node, planned)
        self._plan.nodes[node.id] = planned

    def _take_input(self, node: GraphNode, planned: PlannedNode, name: str, input_: Input) -> None:
        value = node.inputs[name]
        try:
            if isinstance(value, list):
                planned.links[name] = self._links.follow(node.id, name, input_)
            elif input_.is_link:
                raise WrongValueError(
                    f"{quoted(value)} is no link to a node that gives {input_.type}"
                )
            else:
                self._check_value(input_, value)
                planned.values[name] = converted(input_, value)
        except (WrongValueError, LinkFault) as fault:
            self._blame(node, name, str(fault))

    def _check_value(self, input_: Input, value: Any) -> None:
        if input_.type != "COMBO":
            return
        if isinstance(value, str) and value in input_.refused:
            near = f"; take {quoted(input_.choices[0])}" if len(input_.choices) == 1 else ""
            raise WrongValueError(f"{quoted(value)} is not possible: {input_.refused[value]}{near}")
        if not input_.model_list:
            check_choice(value, list(input_.choices), "one of the choices")
        elif value not in input_.choices:
            self._check_model(input_.model_list, value)

    def _check_model(self, model_list: str, value: Any) -> None:
        if not isinstance(value, str):
            raise WrongValueError(f"{quoted(value)} is not the name of a model")
        if not self._models.is_there:
            return  # that is told of --models, once
        names = self._names(model_list)
        if value in names:
            if not value.lower().endswith(READABLE):
                raise WrongValueError(f"{quoted(value)}: hearth reads safetensors files only")
            return
        folder = "the lists of models" if model_list == ANY else f"the list {model_list}"
        near = hint(value.rpartition("/")[2], names)
        if os.path.isabs(value) or ".." in value.replace("\\", "/").split("/"):
            raise WrongValueError(f"{quoted(value)} is a path, not an entry of {folder}{near}")
        empty = "" if names else f", which is empty: no model lies in {self._models.root}/"
        empty += "" if names or model_list == ANY else model_list
        raise WrongValueError(f"{quoted(value)} is not in {folder}{near or empty}")

    def _names(self, model_list: str) -> list[str]:
        if model_list != ANY:
            return self._models.names(model_list)
        each = [(name, entry) for name in FOLDERS for entry in self._models.names(name)]
        return [f"{name}/{entry}" for name, entry in each] + [entry for _, entry in each]

    def _note_unknown(self, node: GraphNode, name: str, inputs: Mapping[str, Input]) -> None:
        where = f"node {node.id} ({node.class_name})"
        near = hint(name, [known for known in inputs if known not in node.inputs], list_all=False)
        self._plan.notes.append(f"{where} has no input {quoted(name)}; it is passed over{near}")

    def _check_together(self, node: GraphNode, planned: PlannedNode) -> None:
        """What no single input is wrong about."""
        values = planned.values
        if node.class_name == "ModelSamplingAuraFlow" and values.get("shift") == 0:
            self._blame(node, "shift", "0 leaves no noise level to begin with; Z-Image's is 3")
        if _levels(values) > _MAX_LEVELS:
            least = values["steps"] / _MAX_LEVELS
            text = f"{values['denoise']} makes a schedule too long; take 0, or {least:g} or more"
            self._blame(node, "denoise", text)
        wrong = _wrong_prefix(values.get("filename_prefix"))
        if wrong:
            self._blame(node, "filename_prefix", wrong)
        if node.class_name == "HearthPrewarm" and {"model", "options"} <= values.keys():
            self._check_prewarm(node, values)

    def _check_prewarm(self, node: GraphNode, values: Mapping[str, Any]) -> None:
        if not self._models.is_there:
            return
        try:
            loader_of(values["model"], values["options"], self._models)
        except WrongValueError as fault:
            self._blame(node, "model", str(fault))

    def _blame(self, node: GraphNode, name: str, text: str) -> None:
        self._blamed.add(node.id)
        self._plan.faults.append(Fault(text, node.id, node.class_name, name))


def _levels(values: Mapping[str, Any]) -> float:
    """How long the schedule is that a sampler takes the last steps of."""
    steps, denoise = values.get("steps", 0), values.get("denoise", 0.0)
    return float(steps / denoise) if denoise > 0.0 else 0.0


def _wrong_prefix(prefix: Any) -> str:
    if not isinstance(prefix, str):
        return ""
    if leaves_folder(prefix):
        return f"{quoted(prefix)} leads out of the output folder"
    more = bytes_too_many(prefix, _SMALLEST)
    return f"{quoted(prefix)} is too long for a file's name; take {more} bytes out" if more else ""


def _missing(node: GraphNode, name: str, input_: Input) -> str:
    if input_.is_link:
        what = f"link it to a node that gives {input_.type}"
    elif input_.choices:
        what = f"take one of its choices, as {quoted(input_.choices[0])}"
    elif input_.default is not None:
        what = f"ComfyUI's default is {quoted(input_.default)}"
    else:
        what = "it has no default"
    others = [given for given in node.inputs if given not in NODES[node.class_name].inputs]
    near = hint(name, others, list_all=False).replace("did you mean", "is it")
    return f"is missing; {what}{near}"
