"""A script that lies beside the clone gets hearth's package, not the clone's folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_REPOSITORY = Path(__file__).resolve().parents[2]


def test_a_script_beside_the_clone_imports_the_package(tmp_path: Path) -> None:
    (tmp_path / "hearth").symlink_to(_REPOSITORY)
    script = tmp_path / "script.py"
    script.write_text(
        "from hearth.client import Client\nimport hearth, hearth.check\nprint(hearth.__version__)\n"
    )
    env = os.environ | {"PYTHONPATH": str(_REPOSITORY / "bindings")}
    done = subprocess.run([sys.executable, script], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("0.")
