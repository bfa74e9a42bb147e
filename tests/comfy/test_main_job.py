"""`./dev run` as a user meets it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.workflows import sd3_graph


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
    files = [f"checkpoints/toy_sd3_{letter}.safetensors" for letter in "ab"]
    assert [stock["reads"][file] for file in files] == [2, 2]
    assert [hearth["reads"][file] for file in files] == [1, 1]
    assert len(list(tmp_path.glob("*/output/*.png"))) == 12
    names = [file.removeprefix("checkpoints/") for file in files]
    for row in (*names, "hits", "switch to a workflow", "same workflow again", "host RAM"):
        assert row in done.stdout
    assert "all: P50 / P95 / worst" in done.stdout
    begun = [done.stdout.index(f"{part}: ") for part in ("not counted", "ComfyUI alone")]
    assert begun == sorted(begun)
    assert f"with hearth: ComfyUI {hearth['comfyui']} started" in done.stdout
    for spread in report["all_requests"].values():
        assert 0 < spread["p50"] <= spread["p95"] <= spread["max"]


def test_main_job_without_comfyui_says_how_to_get_one(tmp_path: Path) -> None:
    done = _main_job("--out", str(tmp_path), COMFYUI_PATH=str(tmp_path))
    assert done.returncode == 2
    assert len(done.stdout.strip().splitlines()) == 2
    assert "git clone" in done.stdout


def test_a_workflow_that_names_a_missing_model_is_refused_in_lines(
    comfy: Path, tmp_path: Path
) -> None:
    file = tmp_path / "missing.json"
    file.write_text(json.dumps(sd3_graph("nobody.safetensors")), encoding="utf-8")
    out = ("--out", str(tmp_path / "out"))
    done = _main_job("--cpu", "--workflow", str(file), *out, COMFYUI_PATH=str(comfy))
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stdout + done.stderr
    assert "ComfyUI refuses a workflow:\nmissing:\n" in done.stdout
    assert "node loader (CheckpointLoaderSimple)" in done.stdout
    assert "nobody.safetensors" in done.stdout
    assert "--models DIR names your own" in done.stdout
