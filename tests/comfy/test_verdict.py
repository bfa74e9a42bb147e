"""What the main job accepts as proof, decided on made-up phases: no ComfyUI needed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from benchmarks.main_job.phase import PhaseResult, Request, Workflow, requests_of
from benchmarks.main_job.report import by_turn, commit, write_json
from benchmarks.main_job.verdict import distinct_images, faults

FILE = "a.safetensors"
ONE = [Workflow("A", {})]


def _phase(reads: int, pixels: str = "same", kinds: tuple[str, ...] = ("opened",)) -> PhaseResult:
    events: list[dict[str, Any]] = [{"kind": kind, "model": f"sub/{FILE}"} for kind in kinds]
    return PhaseResult(
        "phase",
        requests=[Request("A", 1, 0.5, (pixels,), ("a.png",))],
        reads={FILE: reads},
        health={},
        events=events,
        exit_code=0,
    )


def test_same_pixels_and_single_reads_are_accepted() -> None:
    assert faults(_phase(3), _phase(1)) == []


def test_different_pixels_are_a_fault() -> None:
    assert faults(_phase(1), _phase(1, pixels="other")) == ["pixels differ: A, seed 1"]


def test_second_read_of_a_resident_model_is_a_fault() -> None:
    assert len(faults(_phase(1), _phase(2))) == 1


def test_second_read_after_an_eviction_is_accepted() -> None:
    assert faults(_phase(2), _phase(2, kinds=("opened", "evicted", "opened"))) == []


def test_silent_hearth_is_a_fault() -> None:
    hearth = _phase(1)
    hearth.health = None
    assert len(faults(_phase(1), hearth)) == 1


def test_unclean_end_is_a_fault() -> None:
    hearth = _phase(1)
    hearth.exit_code = -9
    assert len(faults(_phase(1), hearth)) == 1


def test_equal_images_of_all_requests_are_counted_as_one() -> None:
    phase = _phase(1)
    phase.requests *= 3
    assert distinct_images(phase) == 1


def test_requests_are_told_apart_by_what_came_before() -> None:
    workflows = [Workflow(name, {}) for name in "AB"]
    order = [workflow.name for workflow, _ in requests_of(workflows, 2)]
    assert order == ["A", "B", "A", "B", "B", "B"]
    requests = [Request(name, 1, float(n), (), ()) for n, name in enumerate(order)]
    assert by_turn(requests) == {
        "first": [0.0],
        "first_use": [1.0],
        "switch": [2.0, 3.0],
        "same": [4.0, 5.0],
    }


def test_one_workflow_has_no_switch() -> None:
    requests = [Request("A", 1, float(n), (), ()) for n, _ in enumerate(requests_of(ONE, 3))]
    assert by_turn(requests) == {"first": [0.0], "first_use": [], "switch": [], "same": [1.0, 2.0]}


def test_the_report_says_commit_and_machine(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", [_phase(1)], [])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["commit"] == commit()
    assert report["machine"]["cores"] and report["machine"]["ram_bytes"] > 1 << 20
    assert report["seconds"]["phase"]["first"] == [0.5]
