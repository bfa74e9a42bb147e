"""What the main job accepts as proof, decided on made-up phases: no ComfyUI needed."""

from __future__ import annotations

from typing import Any

from benchmarks.main_job.phase import PhaseResult, Request
from benchmarks.main_job.report import quantile
from benchmarks.main_job.verdict import distinct_images, faults

FILE = "a.safetensors"


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


def test_quantiles_are_measured_values() -> None:
    values = [float(value) for value in range(1, 101)]
    assert (quantile(values, 0.5), quantile(values, 0.95), quantile([7.0], 0.95)) == (50, 95, 7)
