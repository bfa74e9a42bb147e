"""The rows of docs/performance.md: one command measures ComfyUI and hearth beside each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.workflows import separate_graph


def _run(comfy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-m", *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1", "COMFYUI_PATH": str(comfy)},
        capture_output=True,
        text=True,
        check=False,
    )


def test_one_command_measures_both_and_the_report_compares_them(
    comfy: Path, models: Path, tmp_path: Path
) -> None:
    workflow = tmp_path / "workflow.json"
    workflow.write_text(json.dumps(separate_graph()), encoding="utf-8")
    command = ["benchmarks.rows", "--models", str(models), "--workflow", str(workflow), "--cpu"]
    command += ["--out", str(tmp_path / "out"), "--variants", "stock,hearth_prewarmed"]
    command += ["--rows", "first_image,same_model,memory_one", "--count", "1"]
    done = _run(comfy, *command)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = tmp_path / "out" / "rows.jsonl"
    entries = [json.loads(text) for text in lines.read_text(encoding="utf-8").splitlines()]
    names = [(each["variant"], each["row"]) for each in entries]
    measured = ["first_image", "same_model", "memory_one"]
    assert names == [(name, row) for name in ("stock", "hearth_prewarmed") for row in measured]
    assert all(each["command"] and each["page_cache"] == "warm" for each in entries)
    shown = _run(comfy, "benchmarks.rows.report", str(lines))
    assert shown.returncode == 0, shown.stdout + shown.stderr
    assert "7 images made by more than one variant; 0 differ." in shown.stdout
