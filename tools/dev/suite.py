"""`./dev test`: everything that can be tested on this machine, and one closing line."""

from __future__ import annotations

import os
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.dev import environment, fuzzing, lint, native
from tools.dev.places import ROOT, comfyui_version, find_comfyui, find_older_comfyui
from tools.dev.runners import can_test, guarded, run_ctest, run_preset_tests, run_pytest
from tools.dev.steps import StepFailed, say
from tools.dev.tally import Outcome, broken, not_run, summary
from tools.dev.third_parties import NO_GOOGLETEST

SANITIZERS = ("asan", "tsan")
PYTHON_TESTS = ["tests/dev", "tests/architecture", "tests/python"]


@dataclass(frozen=True)
class Choice:
    """What of the suite runs."""

    fast: bool = False
    only: str | None = None
    fuzz_seconds: int = 0


def run_suite(choice: Choice) -> int:
    """Runs the suite, prints the summary; returns the exit code."""
    outcomes: list[Outcome] = []
    # Installing is network and disk, the sanitizer builds are processor: side by side.
    with ThreadPoolExecutor(max_workers=1) as lane:
        ensure = environment.ensure_tools if choice.fast else environment.ensure_full
        installed = lane.submit(ensure)
        if not choice.fast:
            outcomes += [run_preset_tests(preset, choice.only) for preset in SANITIZERS]
        ready = _settle(installed, outcomes)
    if ready:
        outcomes += _with_environment(choice)
    elif choice.fuzz_seconds:  # which needs no Python
        outcomes.append(fuzzing.run_fuzzers(choice.fuzz_seconds))
    say("\n" + summary(outcomes))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def _settle(installed: Future[None], outcomes: list[Outcome]) -> bool:
    try:
        installed.result()
    except StepFailed as error:
        say(str(error))
        outcomes.append(broken("environment", str(error).splitlines()[0]))
        return False
    return True


def _with_environment(choice: Choice) -> list[Outcome]:
    outcomes: list[Outcome] = []

    def build_and_ctest() -> Outcome:
        with_tests = can_test()
        # The rooms without torch have been tested under both sanitizers; to compile their tests a
        # third time takes as long as all other tests of this step.
        folder = native.build_module(tests=with_tests, torch_free_tests=choice.fast)
        if not with_tests:
            return not_run("C++ release", NO_GOOGLETEST)
        return run_ctest("C++ release", folder, choice.only)

    outcomes.append(guarded("C++ release", build_and_ctest))
    # ComfyUI's tests wait for servers for a third of their time, and these run in one process each.
    with ThreadPoolExecutor(max_workers=1) as lane:
        inside = None if choice.fast else lane.submit(_comfy, choice.only)
        outcomes.append(run_pytest("python", PYTHON_TESTS, choice.only))
        if choice.only is None:
            outcomes.append(lint.run_checks())
        if choice.fuzz_seconds:
            outcomes.append(fuzzing.run_fuzzers(choice.fuzz_seconds))
        if inside is not None:
            outcomes.append(inside.result())
    return outcomes


def _comfy(only: str | None) -> Outcome:
    comfyui = find_comfyui()
    if comfyui is None:
        return not_run("ComfyUI", "no ComfyUI found: set COMFYUI_PATH to test hearth inside it")
    folder = Path("tests") / "comfy"
    if not any((ROOT / folder).glob("**/test_*.py")):
        return not_run("ComfyUI", "there are no tests in tests/comfy")
    older = find_older_comfyui()
    say(f"ComfyUI: {_shown(comfyui)}")
    say(f"ComfyUI of a year ago: {_shown(older) if older else 'none, set COMFYUI_PATH_OLD'}")
    env = {"COMFYUI_PATH": os.fspath(comfyui)}
    if older is not None:
        env["COMFYUI_PATH_OLD"] = os.fspath(older)
    # A server at work is busy on one core, and most of a test is waiting for one to start.
    lanes = min(2, os.cpu_count() or 1)
    return run_pytest("ComfyUI", [os.fspath(folder)], only, env, lanes)


def _shown(comfyui: Path) -> str:
    return f"{'.'.join(map(str, comfyui_version(comfyui)))} in {comfyui}"
