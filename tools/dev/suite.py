"""`./dev test`: everything that can be tested on this machine, and one closing line."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tools.dev import environment, fuzzing, lint, native
from tools.dev.places import ROOT, comfyui_version, find_comfyui, find_older_comfyui
from tools.dev.runners import build_and_test, can_test, run_pytest, start_preset_tests
from tools.dev.steps import StepFailed, say
from tools.dev.tally import Outcome, broken, not_run, summary

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
    # Installing is network and disk, builds are processor, and of most tests one runs at a time:
    # each beside the others.
    with ThreadPoolExecutor(max_workers=1) as installing, ThreadPoolExecutor(1) as testing:
        ensure = environment.ensure_tools if choice.fast else environment.ensure_full
        installed = installing.submit(ensure)
        tested: list[Future[Outcome]] = []
        for preset in () if choice.fast else SANITIZERS:
            tested.append(start_preset_tests(preset, testing, choice.only))
        not_installed = _settle(installed)
        if not_installed is None:
            build = _release_build(choice)
            tested.append(build_and_test("C++ release", build, testing, choice.only))
            rest = _with_environment(choice)
        else:  # the fuzzers need no Python
            fuzzed = [fuzzing.run_fuzzers(choice.fuzz_seconds)] if choice.fuzz_seconds else []
            rest = [not_installed, *fuzzed]
        outcomes = [*(future.result() for future in tested), *rest]
    say("\n" + summary(outcomes))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def _settle(installed: Future[None]) -> Outcome | None:
    try:
        installed.result()
    except StepFailed as error:
        say(str(error))
        return broken("environment", str(error).splitlines()[0])
    return None


def _release_build(choice: Choice) -> Callable[[], Path]:
    # The rooms without torch have been tested under both sanitizers; to compile their tests a
    # third time takes as long as all other tests of this step. Python's need the modules anyway.
    return lambda: native.build_module(tests=can_test(), torch_free_tests=choice.fast)


def _with_environment(choice: Choice) -> list[Outcome]:
    """The tests that need the built modules: those in ComfyUI, in two processes that wait for
    servers for a third of their time, and all others beside them."""
    with ThreadPoolExecutor() as lanes:
        inside = None if choice.fast else lanes.submit(_comfy, choice.only)
        python = lanes.submit(run_pytest, "python", PYTHON_TESTS, choice.only)
        if find_comfyui() is not None:
            python.exception()  # only waits: as much as there is to do is under way
        outcomes: list[Outcome] = []
        if choice.only is None:
            outcomes.append(lint.run_checks())
        if choice.fuzz_seconds:
            outcomes.append(fuzzing.run_fuzzers(choice.fuzz_seconds))
        return [python.result(), *outcomes, *([inside.result()] if inside is not None else [])]


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
