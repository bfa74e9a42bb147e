"""`./dev run` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.comfy_server import REPOSITORY


def _main_job(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-m", "benchmarks.main_job", *arguments],
        cwd=REPOSITORY,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_main_job_proves_equal_pixels_and_single_reads(comfy: Path, tmp_path: Path) -> None:
    done = _main_job("--cpu", "--repeat", "2", "--out", str(tmp_path), COMFYUI_PATH=str(comfy))
    assert done.returncode == 0, done.stdout + done.stderr
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    stock, hearth = report["phases"]
    files = ["toy_sd3_a.safetensors", "toy_sd3_b.safetensors"]
    assert [stock["reads"][file] for file in files] == [2, 2]
    assert [hearth["reads"][file] for file in files] == [1, 1]
    assert len(list(tmp_path.glob("*/output/*.png"))) == 12
    for row in (*files, "hits", "switch to a workflow", "same workflow again", "host RAM"):
        assert row in done.stdout


def test_main_job_without_comfyui_says_how_to_get_one(tmp_path: Path) -> None:
    done = _main_job("--out", str(tmp_path), COMFYUI_PATH=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stdout.strip().splitlines()) == 2
    assert "git clone" in done.stdout


def test_main_job_refuses_a_workflow_that_is_not_in_api_format(comfy: Path, tmp_path: Path) -> None:
    file = tmp_path / "ui.json"
    file.write_text('{"nodes": [], "links": []}', encoding="utf-8")
    done = _main_job("--workflow", str(file), "--out", str(tmp_path), COMFYUI_PATH=str(comfy))
    assert done.returncode == 2
    assert "Export (API)" in done.stdout
