"""The main job without ComfyUI, as `./dev run` starts it where none is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

for package in ("torch", "tokenizers", "PIL", "rich"):
    pytest.importorskip(package, reason=f"NOT RUN, needs {package}: ./dev setup")
pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

ROOT = Path(__file__).resolve().parents[2]
REPEAT = 20


def test_three_checkpoints_in_turn_are_loaded_once_each_where_they_may_stay(
    tmp_path: Path,
) -> None:
    command = [sys.executable, "-m", "benchmarks.headless_job", "--repeat", str(REPEAT)]
    paths = os.pathsep.join((str(ROOT), str(ROOT / "bindings")))
    done = subprocess.run(
        [*command, "--out", str(tmp_path)],
        env={**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1", "COLUMNS": "100"},
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "OK same pixels, and no resident model was loaded twice" in done.stdout
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    loads = {
        name: sum(run["loads"] for run in phase["runs"]) for name, phase in report["phases"].items()
    }
    assert loads["resident"] == 5
    assert loads["cold"] > 3 * REPEAT
    for name in ("cold", "resident"):
        assert len(list((tmp_path / name).glob("*.png"))) == 3 * REPEAT
