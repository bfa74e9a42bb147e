"""hearth's own nodes: loaders with a say in how long a model stays, and what stays and goes.

Each is written once, as a `Node`; `v3` and `v1` translate it to the node API that is there.
"""

from __future__ import annotations

from typing import Any

from . import v1, v3
from .engine import engine_nodes
from .images import image_nodes
from .keeping import keeping_nodes
from .loaders import loader_nodes
from .sampling import sampling_nodes
from .service import NodeService


def registration(service: NodeService) -> dict[str, Any]:
    """What the pack's module must define for ComfyUI to find the nodes, in one API and not in two:
    ComfyUI ignores the entry point of a module that has the mappings."""
    nodes = [*loader_nodes(), *engine_nodes(), *sampling_nodes(), *image_nodes()]
    nodes += keeping_nodes()
    api = v3.find_api()
    return v1.registration(nodes, service) if api is None else v3.registration(nodes, service, api)
