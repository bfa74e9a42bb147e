"""What the main job accepts as proof and what ends it, on made-up phases: no ComfyUI needed."""

from __future__ import annotations

import io
import json
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from benchmarks.harness.client import PromptRefusedError
from benchmarks.harness.hearth_face import HearthFace
from benchmarks.main_job import __main__ as main_job
from benchmarks.main_job.arguments import Workflow
from benchmarks.main_job.phase import PhaseResult, Request, requests_of
from benchmarks.main_job.report import by_turn, commit, print_table, spread, write_json
from benchmarks.main_job.stock_files import files_of_graph, is_about
from benchmarks.main_job.verdict import distinct_images, faults

FILE = "checkpoints/sub/a.safetensors"
ONE = [Workflow("A", {})]


def _event(kind: str, model: str = "sub/a.safetensors") -> dict[str, Any]:
    return {"kind": kind, "model": model, "loader": "CheckpointLoaderSimple"}


def _phase(reads: int, pixels: str = "same", kinds: tuple[str, ...] = ("opened",)) -> PhaseResult:
    return PhaseResult(
        "phase",
        requests=[Request("A", 1, 0.5, (pixels,), ("a.png",))],
        reads={FILE: reads},
        stock_files=[FILE],
        health={"counters": {"hits": 7}},
        events=[_event(kind) for kind in kinds],
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


def test_a_hearth_that_caches_nothing_is_a_fault() -> None:
    (fault,) = faults(_phase(3), _phase(3, kinds=()))
    assert FILE in fault and "no event" in fault
    (fault,) = faults(_phase(1), _phase(1, kinds=("hit",)))
    assert FILE in fault


@pytest.mark.parametrize("kind", ["served_uncached", "fell_back"])
def test_a_read_that_hearth_has_said_it_leaves_to_comfyui_is_accepted(kind: str) -> None:
    assert faults(_phase(1), _phase(1, kinds=(kind,))) == []
    nameless = _phase(1, kinds=())
    nameless.events = [_event(kind, model="")]
    assert faults(_phase(1), nameless) == []


def test_reads_of_other_loaders_are_not_hearths_matter() -> None:
    hearth = _phase(1)
    hearth.reads["loras/x.safetensors"] = 3
    assert faults(_phase(1), hearth) == []


def test_files_of_one_name_in_two_folders_are_two() -> None:
    hearth = _phase(1)
    hearth.reads["text_encoders/sub/a.safetensors"] = 1
    hearth.stock_files.append("text_encoders/sub/a.safetensors")
    (fault,) = faults(_phase(1), hearth)
    assert fault.startswith("text_encoders/sub/a.safetensors")
    hearth.events.append({**_event("opened", "l + sub/a.safetensors"), "loader": "DualCLIPLoader"})
    assert faults(_phase(1), hearth) == []


def test_the_halves_of_a_tiny_autoencoder_are_of_its_name() -> None:
    event = {"kind": "opened", "model": "taesd", "loader": "VAELoader"}
    assert is_about(event, "vae_approx/taesd_encoder.safetensors")
    assert not is_about(event, "vae_approx/taesdxl_encoder.safetensors")
    assert not is_about(event, "vae/other.safetensors")


def test_only_names_that_stock_loaders_are_given_are_files_of_a_graph() -> None:
    graph = {
        "1": {"class_type": "CheckpointLoaderSimple", "inputs": {"ckpt_name": "a"}},
        "2": {"class_type": "DualCLIPLoader", "inputs": {"clip_name1": "l", "clip_name2": "g"}},
        "3": {"class_type": "VAELoader", "inputs": {"vae_name": ["9", 0]}},
        "4": {"class_type": "LoraLoader", "inputs": {"lora_name": "x"}},
    }
    assert list(files_of_graph(graph)) == ["checkpoints/a", "text_encoders/l", "text_encoders/g"]


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


def test_p50_p95_and_the_worst_are_over_all_requests_of_a_phase() -> None:
    requests = [Request("A", n, float(n), (), ()) for n in range(101)]
    assert spread(requests) == {"p50": 50.0, "p95": pytest.approx(95.0), "max": 100.0}
    assert spread(requests[3:4]) == {"p50": 3.0, "p95": 3.0, "max": 3.0}
    assert spread([]) == {}


def test_the_table_has_the_spread_of_all_requests_and_the_hits_that_hearth_counted() -> None:
    text = io.StringIO()
    stock = _phase(3)
    stock.health = None
    print_table(Console(file=text, width=200), [stock, _phase(1)], {})
    rows = {
        line.split("│")[1].strip(): line for line in text.getvalue().splitlines() if "│" in line
    }
    assert "0.50 / 0.50 / 0.50 s" in rows["all: P50 / P95 / worst"]
    assert [cell.strip() for cell in rows["hits"].split("│")[2:4]] == ["-", "7"]


@pytest.mark.parametrize(("pixels", "code"), [("same", 0), ("other", 1)])
def test_a_run_in_which_a_pixel_differs_ends_with_1(
    pixels: str, code: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phases = iter([_phase(3), _phase(1, pixels)])
    ran: list[str] = []

    def run_phase(name: str, *_: object) -> PhaseResult:
        ran.append(name)
        return next(phases)

    monkeypatch.setattr(main_job, "warm_up", lambda *_: ran.append("not counted"))
    monkeypatch.setattr(main_job, "run_phase", run_phase)
    job = main_job.Job(tmp_path, tmp_path, tmp_path, ONE, 1, ())
    monkeypatch.setattr(main_job, "_job", lambda given: job)
    assert main_job.main([]) == code
    assert ran == ["not counted", "ComfyUI alone", "with hearth"]
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["faults"] == ["pixels differ: A, seed 1"][:code]
    assert report["all_requests"]["phase"] == {"p50": 0.5, "p95": 0.5, "max": 0.5}


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError("prompt 1 did not end"), 1),
        (PromptRefusedError("node 3 (X): [no]"), 2),
        (KeyboardInterrupt("interrupted"), 130),
    ],
)
def test_what_ends_the_main_job_is_a_line(
    error: BaseException,
    code: int,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    def fail(*_: object) -> int:
        raise error

    monkeypatch.setattr(main_job, "_job", lambda given: None)
    monkeypatch.setattr(main_job, "_run", fail)
    assert main_job.main([]) == code
    assert str(error) in capsys.readouterr().out


class _FewAtATime:
    """Routes that answer with three events at most."""

    def get(self, route: str) -> dict[str, Any]:
        after = int(route.rpartition("=")[2])
        events = [{"sequence": n} for n in range(max(after, 4) + 1, 13)][:3]
        return {"events": events, "last": events[-1]["sequence"] if events else after}


def test_events_are_asked_for_until_none_come() -> None:
    face = HearthFace(_FewAtATime())  # type: ignore[arg-type]
    assert [event["sequence"] for event in face.events()] == list(range(5, 13))
    assert face.last_event() == 12
    assert face.events(after=12) == []


def test_the_report_says_commit_and_machine(tmp_path: Path) -> None:
    write_json(tmp_path / "report.json", [_phase(1)], [])
    report = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))
    assert report["commit"] == commit()
    assert report["machine"]["cores"] and report["machine"]["ram_bytes"] > 1 << 20
    assert report["seconds"]["phase"]["first"] == [0.5]
