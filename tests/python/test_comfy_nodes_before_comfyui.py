"""What hearth does before ComfyUI imports anything large, and when that ends."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
_START = """
import gc, json, runpy, sys
from pathlib import Path
root = Path(sys.argv[1])
paces = [gc.get_threshold()]
runpy.run_path(str(root / "prestartup_script.py"))
paces.append(gc.get_threshold())
exec(sys.argv[2])
sys.path.insert(0, str(root))
from comfy_nodes import startup
startup.start(root)
print(json.dumps([*paces, gc.get_threshold()]))
"""


def paces(folder: Path, config: str = "{}", meanwhile: str = "", **env: str) -> list[list[int]]:
    """The collector's: before all, while ComfyUI imports, and once hearth has been imported."""
    file = folder / "hearth.json"
    file.write_text(config, encoding="utf-8")
    done = subprocess.run(
        [sys.executable, "-c", _START, str(ROOT), meanwhile],
        env={"HEARTH_CONFIG": str(file), "PATH": "/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[list[int]] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_the_collector_works_seldom_until_hearth_is_imported(tmp_path: Path) -> None:
    before, meanwhile, after = paces(tmp_path)
    assert before == after
    assert meanwhile[0] > 100 * before[0]


@pytest.mark.parametrize(
    ("config", "env"), [('{"gc_freeze": false}', {}), ("{}", {"HEARTH_DISABLE": "1"})]
)
def test_where_that_is_not_wanted_it_works_as_ever(
    tmp_path: Path, config: str, env: dict[str, str]
) -> None:
    before, meanwhile, after = paces(tmp_path, config, **env)
    assert before == meanwhile == after


def test_a_config_that_is_no_file_leaves_the_defaults_in_force_from_the_first(
    tmp_path: Path,
) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    say = "import hearth; print(hearth.runtime().config_source, file=sys.stderr)"
    done = subprocess.run(
        [sys.executable, "-c", _START, str(ROOT), say],
        env={"HEARTH_CONFIG": str(pipe), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=True,
    )
    assert "built-in defaults" in done.stderr
    assert "shipped default" not in done.stderr


def test_a_pace_that_another_pack_has_set_meanwhile_stays(tmp_path: Path) -> None:
    _, _, after = paces(tmp_path, meanwhile="gc.set_threshold(900, 9, 9)")
    assert after == [900, 9, 9]
