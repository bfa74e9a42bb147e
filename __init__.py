"""hearth as a ComfyUI custom node pack: clone this folder into `custom_nodes`.

It adds no nodes. Inside ComfyUI it puts hearth's cache behind the stock loaders; anywhere else
importing it does nothing.
"""

from __future__ import annotations

import sys
from pathlib import Path

NODE_CLASS_MAPPINGS: dict[str, type] = {}
NODE_DISPLAY_NAME_MAPPINGS: dict[str, str] = {}

__all__ = ["NODE_CLASS_MAPPINGS", "NODE_DISPLAY_NAME_MAPPINGS"]


def _inside_comfyui() -> bool:
    server = getattr(sys.modules.get("server"), "PromptServer", None)
    return getattr(server, "instance", None) is not None and "nodes" in sys.modules


if _inside_comfyui():
    from .comfy_nodes.startup import start

    start(Path(__file__).resolve().parent)
