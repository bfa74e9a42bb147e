"""Where hearth cannot run, ComfyUI stays as it is and one sentence says why."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]
_PACKAGE = _REPOSITORY / "bindings" / "hearth"

# ComfyUI as far as hearth looks at it before it starts, on another system.
_PACK_IN_ANOTHER_SYSTEM = """
import asyncio, dataclasses, hashlib, importlib.util, inspect, json, logging, subprocess, sys, types

class UNETLoader:
    FUNCTION = "load_unet"
    def load_unet(self, unet_name):
        return (unet_name,)

server, nodes = types.ModuleType("server"), types.ModuleType("nodes")
server.PromptServer = types.SimpleNamespace(instance=types.SimpleNamespace())
nodes.NODE_CLASS_MAPPINGS = {"UNETLoader": UNETLoader}
sys.modules.update(server=server, nodes=nodes)
before = dict(vars(UNETLoader))
logging.basicConfig(level=logging.INFO, stream=sys.stderr, format="%(levelname)s %(message)s")
sys.platform = sys.argv[2]
folder = sys.argv[1]
spec = importlib.util.spec_from_file_location(
    "custom_nodes_hearth", folder + "/__init__.py", submodule_search_locations=[folder]
)
pack = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
print(dict(vars(UNETLoader)) == before)
"""


@pytest.mark.parametrize("system", ["win32", "darwin"])
def test_on_another_system_one_line_says_so_and_the_loaders_are_untouched(system: str) -> None:
    done = subprocess.run(
        [sys.executable, "-B", "-c", _PACK_IN_ANOTHER_SYSTEM, str(_REPOSITORY), system],
        env={name: value for name, value in os.environ.items() if name != "PYTHONPATH"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (line,) = done.stderr.splitlines()
    assert line.startswith("WARNING")
    assert f"runs on Linux only, not on {system}" in line
    assert done.stdout == "True\n"


def test_a_module_of_another_build_is_refused_with_what_to_do(tmp_path: Path) -> None:
    if not list(_PACKAGE.glob("_core*.so")):
        pytest.skip("NOT RUN, hearth's native module is not built: ./dev build")
    package = tmp_path / "hearth"
    package.mkdir()
    for file in (*_PACKAGE.glob("*.py"), *_PACKAGE.glob("*.so*")):
        (package / file.name).symlink_to(file)
    # A link would be followed to the stub that fits.
    for name in ("_native.py", "__init__.py"):
        (package / name).unlink()
        (package / name).write_bytes((_PACKAGE / name).read_bytes())
    stub = (_PACKAGE / "_core.pyi").read_bytes()
    command = [sys.executable, "-B", "-c", "import hearth; print(hearth.__version__)"]
    answers = []
    for text in (stub, stub + b"# one more name"):
        (package / "_core.pyi").write_bytes(text)
        env = os.environ | {"PYTHONPATH": str(tmp_path)}
        done = subprocess.run(command, env=env, capture_output=True, text=True, cwd=tmp_path)
        answers.append(done)
    same, other = answers
    assert same.returncode == 0, same.stderr
    assert other.returncode == 1
    last = other.stderr.splitlines()[-1]
    assert "hearth's native module is of another version" in last
    assert f"HEARTH_PYTHON={sys.executable} ./dev build" in last


def test_the_command_without_its_module_ends_in_a_line_that_says_what_to_do(tmp_path: Path) -> None:
    package = tmp_path / "hearth"
    package.mkdir()
    for file in _PACKAGE.glob("*.py"):
        (package / file.name).write_bytes(file.read_bytes())
    done = subprocess.run(
        [sys.executable, "-B", "-m", "hearth", "doctor"],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "hearth's native module is not built for this Python: build it with" in line
