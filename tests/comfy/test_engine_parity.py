"""The command that holds the engine to ComfyUI's modules: toys on a CPU, true sizes on a GPU."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

import torch  # noqa: E402

from benchmarks.engine_parity import cases, verdict  # noqa: E402
from benchmarks.harness.comfy_server import REPOSITORY  # noqa: E402

_WAYS = {"ComfyUI", "fast", "parity", "hearth float32"}


def _run(comfy: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "benchmarks.engine_parity", *arguments],
        cwd=REPOSITORY,
        env={"OMP_NUM_THREADS": "1", **os.environ, "COMFYUI_PATH": str(comfy)},
        capture_output=True,
        text=True,
        check=False,
    )


def _rows(done: subprocess.CompletedProcess[str], out: Path) -> list[dict[str, Any]]:
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return [json.loads(line) for line in out.read_text(encoding="utf-8").splitlines()]


def test_toys_err_no_more_than_comfyuis_own_bfloat16(comfy: Path, tmp_path: Path) -> None:
    out = tmp_path / "parity.jsonl"
    rows = _rows(_run(comfy, "--toy", "--out", str(out)), out)
    parts = [row["part"] for row in rows]
    assert parts.count("transformer") == len(cases.STEPS)
    assert parts.count("VAE") == len(cases.IMAGES)
    assert parts.count("text encoder") == parts.count("tokens") == len(cases.PROMPTS)
    for row in rows:
        if row["part"] in ("transformer", "VAE"):
            assert set(row["errors"]) == _WAYS
            assert row["errors"]["ComfyUI"] > 1e-3  # it did compute in bfloat16
        assert row["broken"] == [] and row["commit"] and row["types"]


@pytest.mark.gpu
def test_true_sizes_err_no_more_than_comfyuis_own_bfloat16(comfy: Path, tmp_path: Path) -> None:
    models = os.environ.get("HEARTH_FULL_MODELS")
    if not models:
        pytest.skip(
            "NOT RUN, needs HEARTH_FULL_MODELS: python -m benchmarks.harness.zimage_models DIR"
        )
    out = tmp_path / "parity.jsonl"
    rows = _rows(_run(comfy, "--models", models, "--out", str(out)), out)
    assert [row["broken"] for row in rows if row["broken"]] == []


def _found(**changes: float) -> tuple[dict[str, Any], dict[str, Any]]:
    """Both sides' numbers: of ComfyUI off by 0.02, of hearth's by `changes` in every part."""
    torch.manual_seed(0)
    comfy: dict[str, Any] = {}
    hearth: dict[str, Any] = {}
    off = {"fast": 0.01, "parity": 0.02, "hearth float32": 1e-6} | changes
    for number in range(len(cases.PROMPTS)):
        comfy[f"tokens/{number}"] = hearth[f"tokens/{number}"] = torch.arange(9)
        comfy[f"text/{number}/ComfyUI"] = torch.ones(1, 9, 4)
        hearth[f"text/{number}/fast"] = torch.full((1, 9, 4), 1 + off["fast"])
        hearth[f"text/{number}/parity"] = torch.ones(1, 9, 4)
    for part, count in (("transformer", len(cases.STEPS)), ("VAE", len(cases.IMAGES))):
        for number in range(count):
            comfy[f"{part}/{number}/float32"] = torch.ones(8, 8)
            comfy[f"{part}/{number}/ComfyUI"] = torch.full((8, 8), 1.02)
            for way, by in off.items():
                hearth[f"{part}/{number}/{way}"] = torch.full((8, 8), 1 + by)
    return comfy, hearth


def _broken(*sides: dict[str, Any], toy: bool = False) -> list[tuple[str, list[str]]]:
    return [(row.part, row.broken) for row in verdict.judge(*sides, toy=toy) if row.broken]


def test_what_keeps_every_rule_breaks_none() -> None:
    assert _broken(*_found()) == []


def test_more_than_a_tenth_more_error_is_named() -> None:
    assert _broken(*_found(fast=0.0219)) == []
    broken = _broken(*_found(fast=0.0221))
    assert {part for part, _ in broken} == {"transformer", "VAE"}
    assert all("fast errs 2.210e-02, more than 2.200e-02" in lines for _, lines in broken)


def test_numbers_that_are_none_are_no_success() -> None:
    assert {part for part, _ in _broken(*_found(parity=float("nan")))} == {"transformer", "VAE"}


def test_other_tokens_are_named() -> None:
    comfy, hearth = _found()
    hearth["tokens/2"] = torch.arange(10)
    assert _broken(comfy, hearth) == [("tokens", ["tokens are not ComfyUI's"])]


def test_kernels_that_did_not_run_are_named_where_there_are_any() -> None:
    sides = _found(fast=0.02)
    assert all("no kernels ran" in lines[0] for _, lines in _broken(*sides))
    assert len(_broken(*sides)) == len(cases.STEPS) + len(cases.IMAGES)
    assert _broken(*sides, toy=True) == []


def test_a_table_has_errors_ratios_and_the_broken_rules() -> None:
    rows = verdict.judge(*_found(fast=0.04), toy=False)
    line = verdict.table(rows).splitlines()[2 + 2 * len(cases.PROMPTS)]
    assert "| 2.000e-02 | 4.000e-02 | 2.000 | 2.000e-02 | 1.000 |" in line
    assert "fast errs" in line
