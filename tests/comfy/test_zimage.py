"""hearth's Z-Image gives what ComfyUI's own modules give, from the same weights."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

CASES = Path(__file__).with_name("zimage_cases.py")


@pytest.fixture(scope="module")
def cases(comfy: Path) -> dict[str, Any]:
    """What `zimage_cases.py` found in this ComfyUI."""
    pytest.importorskip(
        "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
    )
    done = subprocess.run(
        [sys.executable, str(CASES), str(comfy)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=comfy,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("part", ["transformer", "text encoder", "vae"])
def test_each_part_gives_comfyuis_numbers(cases: dict[str, Any], part: str) -> None:
    errors = cases[part]
    assert len(errors) >= 2
    assert {case: error for case, error in errors.items() if error > 1e-5} == {}


def test_eight_steps_end_in_comfyuis_latents(cases: dict[str, Any]) -> None:
    assert set(cases["eight steps"]) == {"cfg 1.0", "cfg 2.5"}
    assert max(cases["eight steps"].values()) <= 1e-4


def test_bfloat16_errs_no_more_than_comfyuis(cases: dict[str, Any]) -> None:
    errors = cases["bfloat16"]
    assert 0 < errors["hearth"] <= 1.1 * errors["ComfyUI"]


@pytest.mark.parametrize("what", ["sigmas", "noise", "tokens"])
def test_what_decides_the_image_is_comfyuis_to_the_bit(cases: dict[str, Any], what: str) -> None:
    assert cases["unequal"][what] == []
