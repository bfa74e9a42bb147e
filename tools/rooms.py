"""Who may include and import whom: cpp/rooms.toml, and the few rules of the Python side."""

from __future__ import annotations

import ast
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

from tools.sizes import CPP_SUFFIXES

INCLUDE = re.compile(r'^\s*#\s*include\s*(?:"([^"]+)"|<([^>]+)>)', re.MULTILINE)
PYTHON_IN_CPP = ("Python.h", "pybind11/")
NATIVE = ("hearth._core", "hearth._torch", "hearth._native")
COMFY_ADAPTER = Path("comfy_nodes") / "adapter.py"


def include_violations(cpp: Path) -> list[str]:
    """Every include below `cpp` that cpp/rooms.toml does not allow, as `file: what`."""
    rooms = tomllib.loads((cpp / "rooms.toml").read_text(encoding="utf-8"))
    folders = {path.name for path in cpp.iterdir() if path.is_dir()}
    found = [f"{name}/: not in rooms.toml" for name in sorted(folders - rooms.keys())]
    found += [f"rooms.toml: {name} has no folder" for name in sorted(rooms.keys() - folders)]
    for name in sorted(folders & rooms.keys()):
        for path in sorted((cpp / name).rglob("*")):
            if path.suffix in CPP_SUFFIXES:
                found += _violations_of(path, name, rooms[name])
    return found


def _violations_of(path: Path, room: str, rules: dict[str, Any]) -> Iterator[str]:
    rooms = {room, *rules["rooms"]}
    headers = [*rules["headers"], *rules.get("files", {}).get(path.name, [])]
    for match in INCLUDE.finditer(path.read_text(encoding="utf-8")):
        own, foreign = match.groups()
        if own is not None and own.split("/")[0] not in rooms:
            yield f"{room}/{path.name}: includes {own}, which {room} may not know"
        elif foreign is not None and not _allowed(foreign, headers):
            yield f"{room}/{path.name}: includes <{foreign}>, which {room} may not use"


def _allowed(header: str, prefixes: list[str]) -> bool:
    if header.startswith(PYTHON_IN_CPP):
        return False
    is_standard = "." not in header and "/" not in header
    return is_standard or any(header.startswith(prefix) for prefix in prefixes)


def unnamed_rooms(cpp: Path) -> list[str]:
    """Rooms whose CMakeLists.txt does not open with the sentence that says what they are."""
    return [
        path.parent.name
        for path in sorted(cpp.glob("*/CMakeLists.txt"))
        if not path.read_text(encoding="utf-8").startswith(f"# {path.parent.name}: ")
    ]


def import_violations(root: Path) -> list[str]:
    """Imports of ComfyUI outside the adapter, and of the native module by the nodes."""
    found = []
    for folder in ("bindings/hearth", "comfy_nodes"):
        for path in sorted((root / folder).rglob("*.py")):
            relative = path.relative_to(root)
            for name in imported_names(path):
                package = name.split(".")[0]
                if package in {"comfy", "comfy_execution"} and relative != COMFY_ADAPTER:
                    found.append(f"{relative}: imports {name}; only {COMFY_ADAPTER} touches it")
                if folder == "comfy_nodes" and name.startswith(NATIVE):
                    found.append(f"{relative}: imports {name}; the nodes use hearth's face")
    return found


def imported_names(path: Path) -> Iterator[str]:
    """Every module a Python file imports, wherever in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
