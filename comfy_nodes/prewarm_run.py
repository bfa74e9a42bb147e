"""Runs a graph on the prompt worker as ComfyUI would, but for nobody.

An executor of its own, made as the worker's was: the user's cached results stay, no history entry
and no place in the queue comes of it, and what it computed goes when it goes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from .node_cache import ComfyNodeCache
from .prewarm_names import PrewarmError
from .prewarm_workflows import Work

# Events of a prompt go to the client that sent it, those of nobody to every browser. This client
# does not exist.
_NOBODY = "hearth-prewarm"


class PrewarmRunner:
    """Runs work between two prompts, on the worker's thread only."""

    def __init__(
        self, validate: Callable[..., Any] | None, server: Any, node_cache: ComfyNodeCache
    ) -> None:
        self._validate = validate
        self._server = server
        self._node_cache = node_cache
        self._runs = 0

    def run(self, work: Work) -> None:
        """Returns when all is computed. Throws PrewarmError with ComfyUI's own words."""
        self._runs += 1
        prompt_id = f"{_NOBODY}-{self._runs}"
        _replace_nodes(self._server, work.graph)
        asyncio.run(self._refuse_invalid(prompt_id, work))
        before = self._server.client_id
        executor = self._node_cache.new_executor()
        try:
            with self._node_cache.prompt_runs():
                executor.execute(work.graph, prompt_id, {"client_id": _NOBODY}, list(work.targets))
        finally:
            self._server.client_id = before
        if not executor.success:
            raise PrewarmError(_what_failed(executor.status_messages))

    async def _refuse_invalid(self, prompt_id: str, work: Work) -> None:
        if self._validate is None:
            raise PrewarmError("this ComfyUI's way to check a graph is unfamiliar")
        validated: dict[str, Any] = {}
        for target in work.targets:
            valid, *_ = await self._validate(prompt_id, work.graph, target, validated)
            if not valid:
                raise PrewarmError(_what_is_invalid(work, validated))


def _replace_nodes(server: Any, graph: dict[str, dict[str, Any]]) -> None:
    # As POST /prompt does: old names of nodes that ComfyUI has renamed.
    replacements = getattr(server, "node_replace_manager", None)
    if replacements is not None:
        replacements.apply_replacements(graph)


def _what_is_invalid(work: Work, validated: Mapping[str, Any]) -> str:
    for node_id, (valid, errors, *_) in validated.items():
        if not valid and errors:
            said = "; ".join(f"{each['message']}: {each['details']}" for each in errors)
            return f"node {node_id} ({work.graph[node_id]['class_type']}): {said}"
    return "ComfyUI refuses the graph"


def _what_failed(messages: list[Any]) -> str:
    for kind, data in messages:
        if kind == "execution_error":
            said = str(data["exception_message"]).strip()
            return f"node {data['node_id']} ({data['node_type']}): {said}"
        if kind == "execution_interrupted":
            return "interrupted"
    return "ComfyUI did not finish it"
