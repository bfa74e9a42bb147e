"""hearth as a ComfyUI custom node pack: clone this folder into `custom_nodes`.

Inside ComfyUI it puts hearth's cache behind the stock loaders and adds hearth's nodes; anywhere
else importing it does nothing.
"""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path

WEB_DIRECTORY = "web"


def _inside_comfyui() -> bool:
    server = getattr(sys.modules.get("server"), "PromptServer", None)
    return getattr(server, "instance", None) is not None and "nodes" in sys.modules


if _inside_comfyui():
    from .comfy_nodes.nodes import registration
    from .comfy_nodes.startup import start

    # `comfy_entrypoint`, or NODE_CLASS_MAPPINGS and NODE_DISPLAY_NAME_MAPPINGS where ComfyUI has
    # only the older of its two node APIs.
    globals().update(registration(start(Path(__file__).resolve().parent)))
elif __name__ == "hearth":
    # A script that lies beside the clone: `import hearth` finds this folder before the package.
    _package = Path(__file__).resolve().parent / "bindings" / "hearth"
    _spec = importlib.util.spec_from_file_location(
        __name__, _package / "__init__.py", submodule_search_locations=[str(_package)]
    )
    assert _spec is not None and _spec.loader is not None  # the file is there
    sys.modules[__name__] = importlib.util.module_from_spec(_spec)
    _spec.loader.exec_module(sys.modules[__name__])
