"""What flows along the links of one run: where it was made, and which models are still needed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from hearth.headless.checks import PlannedNode, origins_of
from hearth.headless.links import Link
from hearth.headless.run_models import ModelRef


class Flow:
    """REQUIRES: each node stands behind those that it needs, and they are run in this order."""

    def __init__(self, nodes: Sequence[PlannedNode]) -> None:
        self.nodes = nodes
        self._places = {node.id: place for place, node in enumerate(nodes)}
        self._last = {link: at for at, node in enumerate(nodes) for link in node.links.values()}
        self._origins = origins_of(nodes)
        self._models: dict[Link, ModelRef] = {}

    def origin(self, link: Link) -> Link:
        """Where what comes through a link was made: not by nodes that hand on what they are given.

        That such a node ran is thus no reason to compute anew behind it.
        """
        return self._origins.get(link, link)

    def needed_after(self, node: PlannedNode, outputs: Iterable[Any]) -> list[ModelRef]:
        """Models that were named up to this node, which gave `outputs`, and that nodes still to
        come are linked to. To be called for each node in turn."""
        for number, output in enumerate(outputs):
            link = Link(node.id, number)
            if isinstance(output, ModelRef) and link in self._last:
                self._models[link] = output
        place = self._places[node.id]
        self._models = {at: ref for at, ref in self._models.items() if self._last[at] > place}
        return list(self._models.values())
