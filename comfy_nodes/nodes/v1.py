"""hearth's nodes for ComfyUI's first node API: a class per node and a mapping of them."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from .node import CATEGORY, RUNS_AGAIN, WRITES, Inputs, Node
from .service import NodeService


def registration(nodes: Sequence[Node], service: NodeService) -> dict[str, Any]:
    """The two mappings that the pack's module is to have."""
    return {
        "NODE_CLASS_MAPPINGS": {node.id: node_class(node, service) for node in nodes},
        "NODE_DISPLAY_NAME_MAPPINGS": {node.id: node.title for node in nodes},
    }


def node_class(node: Node, service: NodeService) -> type:
    """One node as ComfyUI wants it."""

    def input_types(cls: type) -> Inputs:
        inputs = node.inputs()
        if node.hidden:
            inputs["hidden"] = {name: name.upper() for name in node.hidden}  # type: ignore[misc]
        return inputs

    def run(self: Any, **inputs: Any) -> Any:
        return _answer(node.run(service, **inputs))

    async def run_async(self: Any, **inputs: Any) -> Any:
        return _answer(await node.run(service, **inputs))  # type: ignore[misc]

    members: dict[str, Any] = {
        "__doc__": node.description,
        "INPUT_TYPES": classmethod(input_types),
        "RETURN_TYPES": tuple(output.type for output in node.outputs),
        "RETURN_NAMES": tuple(output.name for output in node.outputs),
        "OUTPUT_TOOLTIPS": tuple(output.tooltip for output in node.outputs),
        "OUTPUT_NODE": node.is_output,
        WRITES: node.writes,
        RUNS_AGAIN: node.runs_again,
        "FUNCTION": "run",
        "CATEGORY": CATEGORY,
        "DESCRIPTION": node.description,
        "run": run_async if node.is_async else run,
    }
    if node.fingerprint is not None:
        members["IS_CHANGED"] = fingerprint_method(node.fingerprint, service)
    if node.fault is not None:
        members["VALIDATE_INPUTS"] = validation_method(node, service)
    return type(node.id, (), members)


def fingerprint_method(fingerprint: Callable[..., Any], service: NodeService) -> Any:
    """The class method that ComfyUI asks for the state behind the inputs."""

    def method(cls: type, /, **inputs: Any) -> Any:
        return fingerprint(service, **inputs)

    return classmethod(method)


def validation_method(node: Node, service: NodeService) -> Any:
    """The class method that says whether inputs are right: True or a sentence.

    ComfyUI reads from its signature which inputs it leaves to the method.
    """

    def method(cls: type, /, **inputs: Any) -> bool | str:
        assert node.fault is not None
        return node.fault(service, **inputs) or True

    either = inspect.Parameter.POSITIONAL_OR_KEYWORD
    parameters = [inspect.Parameter("cls", either)]
    parameters += [inspect.Parameter(name, either, default=None) for name in node.checked]
    method.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    return classmethod(method)


def _answer(result: Any) -> Any:
    if result.ui is None:
        return result.outputs
    return {"ui": result.ui, "result": result.outputs}
