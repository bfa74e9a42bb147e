"""What runs of the suite when a part of it cannot, and what counts as a failure."""

from __future__ import annotations

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
    monkeypatch.setattr(
        suite, "run_preset_tests", lambda preset, only: Outcome(f"C++ {preset}", passed=1)
    )
    monkeypatch.setattr(
        suite.fuzzing, "run_fuzzers", lambda seconds: Outcome("fuzz", passed=seconds)
    )
    assert suite.run_suite(suite.Choice(fuzz_seconds=60)) == 1
    said = capsys.readouterr().out
    assert "install torch into .venv" in said
    assert "62 passed, 1 failed" in said


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
