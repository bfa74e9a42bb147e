"""The node table is what ComfyUI said of its nodes when the golden was written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("hearth._core", reason="NOT RUN, not built: ./dev build")

from hearth.headless.node_table import SAMPLERS, SCHEDULERS  # noqa: E402

from tests.python import object_info  # noqa: E402

GOLDEN = Path(__file__).with_name("goldens") / "object_info.json"


def test_inputs_and_outputs_are_comfyuis() -> None:
    assert object_info.differences(json.loads(GOLDEN.read_text(encoding="utf-8"))) == []


def test_samplers_and_schedules_are_those_that_hearth_computes() -> None:
    sampling = pytest.importorskip(
        "hearth.sampling", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
    )
    from hearth import schedules

    assert set(SAMPLERS) <= set(sampling.functions())
    assert schedules.NAMES == SCHEDULERS
