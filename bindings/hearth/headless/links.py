"""The links of a workflow: where they lead, what comes through them, and in which order that is."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from typing import Any

from hearth.headless.faults import quoted
from hearth.headless.graph import Graph
from hearth.headless.node_table import ANY, NODES, Input

_SHOWN = 4
_SHOWN_CIRCLES, _SHOWN_NODES = 20, 12
_NO_MORE: tuple[str, None] = ("", None)


@dataclass(frozen=True)
class Link:
    """From an output of a node."""

    node: str
    output: int


@dataclass(frozen=True)
class Closing:
    """The link that closes a circle."""

    by: str
    input: str


class LinkFault(ValueError):
    """A link that leads nowhere, or to what does not fit."""


class Links:
    """All links of one workflow."""

    def __init__(self, graph: Graph) -> None:
        self._graph = graph
        self._types: dict[Link, str] = {}
        self._fitting: dict[str, list[str]] = {}

    def follow(self, node: str, name: str, input_: Input) -> Link:
        """The link at an input. Throws LinkFault."""
        value = self._graph.nodes[node].inputs[name]
        try:
            link = self._link(value)
        except LinkFault as fault:
            raise LinkFault(f"{fault}{self._sources_of(input_.type)}") from None
        given = self._type_of(link)
        if given and given != input_.type and input_.type != ANY:
            source = self._graph.nodes[link.node].class_name
            raise LinkFault(
                f"is linked to {given}, output {link.output} of node {link.node} ({source}), "
                f"and takes {input_.type}{self._sources_of(input_.type)}"
            )
        return link

    def order(self, outputs: Iterable[str]) -> tuple[list[str], list[tuple[Closing, list[str]]]]:
        """What the output nodes need, each behind its own needs; and the circles there are, with
        the way that the first of them go."""
        done: dict[str, None] = {}
        cycles: list[tuple[Closing, list[str]]] = []
        for output in outputs:
            # A stack of its own: a workflow may be a longer chain than Python's may be.
            stack = [(output, iter(self._sources(output)))]
            path = {output: None}  # in order, and asked for each link whether a node is in it
            while stack:
                node, sources = stack[-1]
                name, source = next(sources, _NO_MORE)
                if source is None:
                    stack.pop()
                    path.popitem()
                    done.setdefault(node)
                elif source in path:
                    way = _circle(path, source) if len(cycles) < _SHOWN_CIRCLES else []
                    cycles.append((Closing(node, name), way))
                elif source not in done:
                    stack.append((source, iter(self._sources(source))))
                    path[source] = None
        return list(done), cycles

    def _sources(self, node: str) -> list[tuple[str, str]]:
        found: list[tuple[str, str]] = []
        known = self._graph.nodes[node]
        inputs = NODES[known.class_name].inputs if known.class_name in NODES else {}
        for name, value in known.inputs.items():
            is_link = isinstance(value, list) and name in inputs and value
            if is_link and isinstance(value[0], str) and value[0] in self._graph.nodes:
                found.append((name, value[0]))
        return found

    def _link(self, value: list[Any]) -> Link:
        form = 'a link is written ["NODE", OUTPUT]'
        if len(value) != 2:
            raise LinkFault(f"{quoted(value)} is no link; {form}")
        node, output = value
        if not isinstance(node, str):
            raise LinkFault(f"{quoted(value)} is no link; ids of nodes are texts: {form}")
        if isinstance(output, bool) or not isinstance(output, int):
            raise LinkFault(f"{quoted(value)} is no link; an output is a whole number: {form}")
        if node not in self._graph.raw:
            raise LinkFault(f"is linked to node {quoted(node)}, which is not there")
        found = self._graph.nodes.get(node)
        if found is not None and found.class_name in NODES:
            count = len(NODES[found.class_name].outputs)
            if not 0 <= output < count:
                outputs = f"outputs 0 to {count - 1}" if count > 1 else f"{count} output"
                raise LinkFault(
                    f"is linked to output {output} of node {node} ({found.class_name}), "
                    f"which has {outputs}"
                )
        return Link(node, output)

    def _sources_of(self, type_: str) -> str:
        """The end of a sentence: which links would fit."""
        if type_ not in self._fitting:
            self._fitting[type_] = list(islice(self._outputs_of(type_), _SHOWN))
        fitting = self._fitting[type_]
        return f"; {type_} comes from {' or '.join(fitting)}" if fitting else ""

    def _outputs_of(self, type_: str) -> Iterator[str]:
        for node in self._graph.nodes.values():
            outputs = NODES[node.class_name].outputs if node.class_name in NODES else ()
            for number, output in enumerate(outputs):
                if output.type == type_:
                    yield f'["{node.id}", {number}]'

    def _type_of(self, link: Link) -> str:
        """What comes through; "" where that cannot be told, because something else is wrong."""
        way: list[Link] = []
        while link not in self._types:
            self._types[link] = ""  # what leads back here is told as a circle
            way.append(link)
            found = self._found_at(link)
            if isinstance(found, str):
                self._types[link] = found
            else:
                link = found
        type_ = self._types[link]
        self._types |= dict.fromkeys(way, type_)
        return type_

    def _found_at(self, link: Link) -> str | Link:
        """The type that is made there, or the link that is handed on."""
        node = self._graph.nodes.get(link.node)
        if node is None or node.class_name not in NODES:
            return ""
        output = NODES[node.class_name].outputs[link.output]
        if not output.passes:
            return output.type
        value = node.inputs.get(output.passes)
        if not isinstance(value, list):
            return "nothing"
        try:
            return self._link(value)
        except LinkFault:
            return ""


def _circle(path: Iterable[str], begin: str) -> list[str]:
    nodes = list(path)
    way = [*nodes[nodes.index(begin) :], begin]
    half = _SHOWN_NODES // 2
    return way if len(way) <= _SHOWN_NODES else [*way[:half], "…", *way[-half:]]
