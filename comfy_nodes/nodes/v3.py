"""hearth's nodes for ComfyUI's node API of schemas, where this ComfyUI has it."""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from typing import Any

from .node import CATEGORY, RUNS_AGAIN, WRITES, Node
from .service import NodeService
from .v1 import fingerprint_method, validation_method

_OF_IO = ("ComfyNode", "Custom", "Hidden", "NodeOutput", "Schema")


def find_api() -> Any:
    """The module `comfy_api.latest`; None where it lacks what is needed."""
    try:
        api = importlib.import_module("comfy_api.latest")
    except ImportError:
        return None
    io = getattr(api, "io", None)
    found = hasattr(api, "ComfyExtension") and all(hasattr(io, name) for name in _OF_IO)
    return api if found else None


def registration(nodes: Sequence[Node], service: NodeService, api: Any) -> dict[str, Any]:
    """The entry point that the pack's module is to have."""
    classes = [node_class(node, service, api.io) for node in nodes]

    class Extension(api.ComfyExtension):  # type: ignore[misc]
        """All nodes of hearth."""

        async def get_node_list(self) -> list[Any]:
            """The node classes."""
            return classes

    def comfy_entrypoint() -> Any:
        return Extension()

    return {"comfy_entrypoint": comfy_entrypoint}


def node_class(node: Node, service: NodeService, io: Any) -> Any:
    """One node as ComfyUI wants it."""

    def define_schema(cls: type) -> Any:
        return _schema(node, io)

    def answer(result: Any) -> Any:
        return io.NodeOutput(*result.outputs, ui=result.ui)

    def execute(cls: Any, /, **inputs: Any) -> Any:
        return answer(node.run(service, **inputs, **_hidden(cls, node)))

    async def execute_async(cls: Any, /, **inputs: Any) -> Any:
        return answer(await node.run(service, **inputs, **_hidden(cls, node)))  # type: ignore[misc]

    members: dict[str, Any] = {
        "__doc__": node.description,
        "define_schema": classmethod(define_schema),
        WRITES: node.writes,
        RUNS_AGAIN: node.runs_again,
        "execute": classmethod(execute_async if node.is_async else execute),
    }
    if node.fingerprint is not None:
        members["fingerprint_inputs"] = fingerprint_method(node.fingerprint, service)
    if node.fault is not None:
        members["validate_inputs"] = validation_method(node, service)
    return type(node.id, (io.ComfyNode,), members)


def _hidden(cls: Any, node: Node) -> dict[str, Any]:
    return {name: getattr(cls.hidden, name) for name in node.hidden}


def _schema(node: Node, io: Any) -> Any:
    inputs = [
        _input(io, name, spec, section == "optional")
        for section, specs in node.inputs().items()
        for name, spec in specs.items()
    ]
    outputs = [
        # Older versions refuse an output with the id of an input.
        io.Custom(output.type).Output(
            f"{output.name}_out", display_name=output.name, tooltip=output.tooltip
        )
        for output in node.outputs
    ]
    return io.Schema(
        node_id=node.id,
        display_name=node.title,
        category=CATEGORY,
        description=node.description,
        inputs=inputs,
        outputs=outputs,
        hidden=[io.Hidden(name.upper()) for name in node.hidden],
        is_output_node=node.is_output,
    )


def _input(io: Any, name: str, spec: tuple[Any, dict[str, Any]], optional: bool) -> Any:
    """All settings go by `extra_dict`, which every type and every version takes."""
    type_, settings = spec
    if isinstance(type_, (list, tuple)):
        type_, settings = "COMBO", {"options": list(type_), **settings}
    return io.Custom(type_).Input(name, optional=optional, extra_dict=settings)
