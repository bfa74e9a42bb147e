"""The rooms keep to their doors: proven on a small tree with planted faults, then on this one."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools.rooms import import_violations, include_violations, unnamed_rooms

ROOT = Path(__file__).resolve().parents[2]
RULES = """
[base]
rooms = []
headers = []
files = { "log.cc" = ["spdlog/"] }

[cache]
rooms = ["base"]
headers = ["sys/"]
"""


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    for room in ("base", "cache"):
        (tmp_path / room).mkdir()
    (tmp_path / "rooms.toml").write_text(RULES)
    (tmp_path / "base" / "log.cc").write_text("#include <spdlog/spdlog.h>\n#include <mutex>\n")
    (tmp_path / "cache" / "cache.h").write_text('#include "base/log.h"\n#include <sys/stat.h>\n')
    return tmp_path


def test_allowed_includes_pass(tree: Path) -> None:
    assert include_violations(tree) == []


@pytest.mark.parametrize(
    ("file", "line", "named"),
    [
        ("base/bytes.h", '#include "cache/cache.h"', "cache/cache.h"),
        ("base/clock.cc", "#include <spdlog/spdlog.h>", "spdlog/spdlog.h"),
        ("cache/key.h", '# include "torch/torch.h"', "torch/torch.h"),
        ("cache/key.h", "#include <ATen/core/Tensor.h>", "ATen/core/Tensor.h"),
        ("cache/key.h", "#include <nlohmann/json.hpp>", "nlohmann/json.hpp"),
        ("cache/key.h", "#include <Python.h>", "Python.h"),
        ("cache/key.h", "#include <pybind11/pybind11.h>", "pybind11/pybind11.h"),
        ("cache/deep/key.cc", '#include "runtime/runtime.h"', "runtime/runtime.h"),
        ("cache/key.cc", '#include "sibling.h"', "sibling.h"),
    ],
)
def test_a_planted_include_is_found(tree: Path, file: str, line: str, named: str) -> None:
    (tree / file).parent.mkdir(exist_ok=True)
    (tree / file).write_text(f"#include <string>\n{line}\n")
    (found,) = include_violations(tree)
    assert named in found
    assert Path(file).name in found


def test_a_room_without_rules_is_found(tree: Path) -> None:
    (tree / "attic").mkdir()
    assert include_violations(tree) == ["attic/: not in rooms.toml"]


def test_planted_imports_are_found(tmp_path: Path) -> None:
    nodes = tmp_path / "comfy_nodes"
    nodes.mkdir()
    (nodes / "adapter.py").write_text("def f():\n    import comfy.sd\n")
    assert import_violations(tmp_path) == []
    (nodes / "hook.py").write_text("def f():\n    from comfy import sd\n")
    (nodes / "cache.py").write_text("from hearth import _core\n")
    found = "\n".join(import_violations(tmp_path))
    assert "hook.py: imports comfy" in found
    assert "cache.py: imports hearth._core" in found


def test_every_include_is_allowed() -> None:
    assert include_violations(ROOT / "cpp") == []


def test_every_room_opens_with_its_sentence() -> None:
    assert unnamed_rooms(ROOT / "cpp") == []


def test_only_the_adapter_touches_comfyui_and_the_nodes_use_hearths_face() -> None:
    assert import_violations(ROOT) == []
