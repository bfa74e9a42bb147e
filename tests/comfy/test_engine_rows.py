"""The rows of the engine: one command that measures ComfyUI and hearth beside each other."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

from benchmarks.harness import toy_zimage  # noqa: E402
from benchmarks.harness.comfy_server import REPOSITORY  # noqa: E402
from benchmarks.harness.safetensors_file import write_safetensors  # noqa: E402
from benchmarks.harness.zimage_models import text_encoder_tensors  # noqa: E402

PACK = Path(__file__).with_name("toy_zimage_pack")
FLAGS = "--fp32-unet --fp32-text-enc --fp32-vae"


def _run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-B", "-m", *arguments],
        cwd=REPOSITORY,
        env=os.environ | {"OMP_NUM_THREADS": "1"} | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def _prepare(folder: Path) -> list[str]:
    models = toy_zimage.write_all(folder / "models")
    # With as many words as ComfyUI's tokenizer has.
    sizes = replace(toy_zimage.TOY, vocabulary=151936)
    specs = list(toy_zimage.scaled(text_encoder_tensors(sizes)))
    write_safetensors(models / "text_encoders" / toy_zimage.TEXT_ENCODER, specs, 4)
    workflow = folder / "workflow.json"
    workflow.write_text(json.dumps(toy_zimage.graph(steps=4)), encoding="utf-8")
    options = ["--models", str(models), "--workflow", str(workflow), "--out", str(folder / "out")]
    options += ["--cpu", "--pack", str(PACK), f"--comfy-flags={FLAGS}"]
    return [*options, "--size", "64", "--small", "32", "--count", "1", "--loop-seconds", "2"]


WAYS = ("stock", "cudnn", "hearth", "engine", "headless")


def test_one_command_measures_all_ways_and_what_is_missing_is_added(
    comfy: Path, tmp_path: Path
) -> None:
    command = ["benchmarks.engine_rows", *_prepare(tmp_path)]
    timed = ["first", "new_prompt", "parts", "paced"]
    rows = ["--rows", ",".join([*timed, "distance"]), "--seeds", "2"]
    done = _run(*command, *rows, "--variants", ",".join(WAYS), COMFYUI_PATH=str(comfy))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = tmp_path / "out" / "rows.jsonl"
    entries = [json.loads(text) for text in lines.read_text(encoding="utf-8").splitlines()]
    measured = {(each["variant"], each["row"]) for each in entries}
    assert measured >= {(name, row) for name in WAYS for row in timed}
    found = {each["variant"]: each for each in entries if each["row"] == "distance"}
    assert set(found) == {*WAYS[1:], "headless_parity"}
    assert found["hearth"]["equal_images"] == found["cudnn"]["equal_images"] == 2
    assert all(
        each["latents_rel_l2"] < 1e-4 and each["equal_values"] > 0.99 for each in found.values()
    )
    parts = {each["variant"]: set(each["samples"]) for each in entries if each["row"] == "parts"}
    assert all(parts[name] == {"text", "sampling", "step", "vae", "png"} for name in WAYS)
    table = (tmp_path / "out" / "table.md").read_text(encoding="utf-8")
    assert "less 3 dB: " in table and "not measured" not in table
    further = ["--variants", "stock,headless,headless_parity", "--append", "--rows", "new_prompt"]
    again = _run(*command, *further, COMFYUI_PATH=str(comfy))
    added = lines.read_text(encoding="utf-8").splitlines()[len(entries) :]
    assert [json.loads(text)["variant"] for text in added] == ["headless_parity"], again.stdout
    shown = _run("benchmarks.engine_rows.report", str(lines))
    assert "| a new prompt | " in shown.stdout
    assert "0.75: " in shown.stdout
