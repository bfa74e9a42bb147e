"""Builds and runs test programs: ctest and pytest, each with an Outcome."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from pathlib import Path

from tools.dev import native
from tools.dev.places import REPORTS, ROOT, venv_python
from tools.dev.steps import Step, StepFailed, run_step, say, tail
from tools.dev.tally import Outcome, broken, not_run, read_junit, read_programs
from tools.dev.third_parties import NO_GOOGLETEST, third_parties
from tools.dev.toolchain import find_toolchain

SANITIZER_OPTIONS = {
    "ASAN_OPTIONS": "detect_leaks=1:strict_string_checks=1:check_initialization_order=1",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
    "TSAN_OPTIONS": "halt_on_error=1:second_deadlock_stack=1",
}
NO_TESTS_COLLECTED = 5


def run_ctest(runner: str, folder: Path, only: str | None = None) -> Outcome:
    """Runs the C++ tests of a build folder."""
    report = REPORTS / f"{runner.replace(' ', '-')}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    command: list[str | Path] = [find_toolchain().ctest, "--test-dir", folder, "-j", native.jobs()]
    command += ["--output-on-failure", "--timeout", "900", "--output-junit", report]
    cases = report.with_suffix("")
    shutil.rmtree(cases, ignore_errors=True)
    env = {**SANITIZER_OPTIONS, "GTEST_OUTPUT": f"xml:{cases}/"}
    env |= {"GTEST_FILTER": f"*{only}*"} if only else {}
    step = Step(runner, command, "", env=env, ok_codes=tuple(range(256)))
    code = run_step(step)
    outcome = read_programs(runner, report, cases)
    if only is None and not outcome.passed + outcome.failed:
        return broken(runner, f"{runner} ran no test at all")
    return _told(step, code, outcome)


def can_test() -> bool:
    """Whether the C++ tests can be built here; installs GoogleTest where that is allowed."""
    return third_parties(find_toolchain()).can_test


def guarded(runner: str, work: Callable[[], Outcome]) -> Outcome:
    """A step that fails is a failed runner; the others still run."""
    try:
        return work()
    except StepFailed as error:
        say(str(error))
        return broken(runner, str(error).splitlines()[0])


def build_and_test(
    runner: str, build: Callable[[], Path], testing: Executor, only: str | None = None
) -> Future[Outcome]:
    """Builds now, and leaves the C++ tests of the folder to `testing`."""
    folders: list[Path] = []

    def run_build() -> Outcome:
        folders.append(build())
        return Outcome(runner)

    outcome = guarded(runner, run_build)
    if folders and can_test():
        return testing.submit(guarded, runner, lambda: run_ctest(runner, folders[0], only))
    known: Future[Outcome] = Future()
    known.set_result(not_run(runner, NO_GOOGLETEST) if folders else outcome)
    return known


def start_preset_tests(preset: str, testing: Executor, only: str | None = None) -> Future[Outcome]:
    """Builds a preset of the rooms, and leaves its tests to `testing`."""
    runner = f"C++ {preset}"
    if can_test():
        return build_and_test(runner, lambda: native.build_preset(preset), testing, only)
    known: Future[Outcome] = Future()
    known.set_result(not_run(runner, NO_GOOGLETEST))
    return known


def run_preset_tests(preset: str, only: str | None = None) -> Outcome:
    """Builds a preset of the rooms and runs their tests."""
    with ThreadPoolExecutor(max_workers=1) as testing:
        return start_preset_tests(preset, testing, only).result()


def run_pytest(
    runner: str,
    folders: list[str],
    only: str | None = None,
    env: Mapping[str, str] | None = None,
    lanes: int = 1,
) -> Outcome:
    """Runs the tests of folders below tests/ in the checkout's environment; `lanes`: in how many
    processes."""
    report = REPORTS / f"{runner.replace(' ', '-')}.xml"
    report.parent.mkdir(parents=True, exist_ok=True)
    report.unlink(missing_ok=True)
    command: list[str | Path] = [venv_python(), "-m", "pytest", *folders]
    command += ["-ra", "--tb=short", f"--junitxml={report}"]
    command += ["-k", only] if only else []
    command += ["-n", str(lanes), "--dist", "loadgroup"] if lanes > 1 else []
    step = Step(runner, command, "", env=env or {}, ok_codes=tuple(range(256)))
    return _tested(step, report, only)


def _tested(step: Step, report: Path, only: str | None) -> Outcome:
    code = run_step(step)
    outcome = read_junit(step.title, report)
    nothing_chosen = only is not None and (code == NO_TESTS_COLLECTED or not outcome.passed)
    if nothing_chosen and outcome.failed == 1 and "no test at all" in outcome.failures[0]:
        return Outcome(step.title)
    return _told(step, code, outcome)


def _told(step: Step, code: int, outcome: Outcome) -> Outcome:
    if code != 0 and not outcome.failed:
        outcome.failed += 1
        outcome.failures.append(f"{step.title} ended with exit code {code}")
    if outcome.failed:
        say(f"The last lines of {step.log.relative_to(ROOT)}:")
        for line in tail(step.log, 40):
            say("    " + line)
    return outcome
