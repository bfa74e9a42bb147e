"""What runs of the suite when a part of it cannot, and what counts as a failure."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tools.dev import runners, suite
from tools.dev.steps import Step, StepFailed
from tools.dev.tally import Outcome


def test_without_an_environment_the_sanitizers_and_the_fuzzers_still_run(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> None:
        raise StepFailed("Step failed: install torch into .venv (exit code 1).")

    monkeypatch.setattr(suite.environment, "ensure_full", fail)
    monkeypatch.setattr(runners, "can_test", lambda: True)
    monkeypatch.setattr(runners.native, "build_preset", Path)
    monkeypatch.setattr(runners, "run_ctest", lambda runner, *_: Outcome(runner, passed=1))
    monkeypatch.setattr(
        suite.fuzzing, "run_fuzzers", lambda seconds: Outcome("fuzz", passed=seconds)
    )
    assert suite.run_suite(suite.Choice(fuzz_seconds=60)) == 1
    said = capsys.readouterr().out
    assert "install torch into .venv" in said
    assert "62 passed, 1 failed" in said


def test_the_tests_of_one_build_run_while_the_next_is_built(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    next_build_began = threading.Event()

    def build(preset: str) -> Path:
        if preset == "tsan":
            next_build_began.set()
        return Path(preset)

    def test(runner: str, folder: Path, _: str | None) -> Outcome:
        met = folder != Path("asan") or next_build_began.wait(60)
        return Outcome(runner, passed=int(met))

    monkeypatch.setattr(runners, "can_test", lambda: True)
    monkeypatch.setattr(runners.native, "build_preset", build)
    monkeypatch.setattr(runners, "run_ctest", test)
    with ThreadPoolExecutor(max_workers=1) as testing:
        futures = [runners.start_preset_tests(name, testing) for name in suite.SANITIZERS]
        assert [future.result().passed for future in futures] == [1, 1]


def test_a_build_that_fails_is_a_failure_and_nothing_of_it_is_tested(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def fail(preset: str) -> Path:
        raise StepFailed(f"Step failed: build {preset} (exit code 1).")

    monkeypatch.setattr(runners, "can_test", lambda: True)
    monkeypatch.setattr(runners.native, "build_preset", fail)
    monkeypatch.setattr(runners, "run_ctest", lambda *_: pytest.fail("nothing was built"))
    outcome = runners.run_preset_tests("asan")
    assert (outcome.failed, outcome.failures) == (1, ["Step failed: build asan (exit code 1)."])


@pytest.mark.parametrize(("only", "failed"), [(None, 1), ("NoneOfThese", 0)])
def test_programs_that_ran_no_test_have_failed_unless_few_were_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, only: str | None, failed: int
) -> None:
    def run(step: Step) -> int:
        report = Path(str(step.command[-1]))
        report.write_text('<testsuite tests="0"></testsuite>', encoding="utf-8")
        return 0

    monkeypatch.setattr(runners, "REPORTS", tmp_path)
    monkeypatch.setattr(runners, "run_step", run)
    monkeypatch.setattr(runners, "read_programs", lambda runner, *_: Outcome(runner))
    assert runners.run_ctest("C++ release", tmp_path, only).failed == failed
