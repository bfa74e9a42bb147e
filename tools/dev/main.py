"""The command line of `./dev`."""

from __future__ import annotations

import argparse
import importlib
import os
import signal
import subprocess
import sys
from collections.abc import Callable

from tools.dev import environment, fuzzing, lint, native, stubs
from tools.dev.places import ROOT, find_comfyui, no_comfyui, venv_python
from tools.dev.runners import run_preset_tests, run_pytest
from tools.dev.steps import PROGRESS, StepFailed, say
from tools.dev.suite import Choice, run_suite
from tools.dev.tally import summary

NO_COMFYUI_CODE = 2
INTERRUPTED_CODE = 130


def main(arguments: list[str]) -> int:
    """Runs one command; returns the exit code."""
    options, rest = _parser().parse_known_args(arguments)
    if rest and options.command not in ("run", "check", "doctor"):
        _parser().error(f"{options.command} does not know {' '.join(rest)}")
    options.rest = rest
    commands: dict[str, Callable[[argparse.Namespace], int]] = {
        "setup": _setup,
        "build": _build,
        "test": _test,
        "run": _run,
        "check": _hearth,
        "doctor": _hearth,
        "lint": _lint,
        "stubs": _stubs,
        "bench": _bench,
        "asan": _preset,
        "tsan": _preset,
        "core": _preset,
        "fuzz": _fuzz,
        "clean": _clean,
    }
    if options.command not in ("build", "check", "doctor"):
        os.environ.pop("HEARTH_PYTHON", None)  # a test is for .venv, whatever the shell still has
    try:
        return commands.get(options.command, _help)(options)
    except StepFailed as error:
        say(f"\n{error}")
        return 1
    except KeyboardInterrupt:
        say("Interrupted; the same command goes on where this one was.")
        return INTERRUPTED_CODE


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="./dev", description="Builds, tests and runs hearth.")
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("help", help="show this")
    commands.add_parser("setup", help="make .venv: tools, torch, what ComfyUI needs")
    commands.add_parser("build", help="build hearth in place, for .venv or for HEARTH_PYTHON")
    test = commands.add_parser("test", help="test everything that can be tested here")
    test.add_argument("--fast", action="store_true", help="no sanitizers, no ComfyUI, no torch")
    test.add_argument("-k", metavar="WORDS", help="only the tests whose name matches")
    test.add_argument("--fuzz", type=int, default=0, metavar="S", help="and S s of each fuzzer")
    run = commands.add_parser("run", help="the main job, with ComfyUI or not", add_help=False)
    run.set_defaults(rest=[])
    commands.add_parser("check", help="hearth check: are files sound?", add_help=False)
    commands.add_parser("doctor", help="hearth doctor: is the machine fit?", add_help=False)
    commands.add_parser("lint", help="ruff, mypy, clang-format, sizes")
    stub = commands.add_parser("stubs", help="make the stubs of the native modules anew")
    stub.add_argument("--check", action="store_true", help="only compare")
    commands.add_parser("bench", help="measure the C++ rooms")
    commands.add_parser("core", help="the C++ rooms and their tests, without Python")
    commands.add_parser("asan", help="the C++ tests under AddressSanitizer and UBSan")
    commands.add_parser("tsan", help="the C++ tests under ThreadSanitizer")
    fuzz = commands.add_parser("fuzz", help="run the fuzzers")
    fuzz.add_argument("seconds", type=int, nargs="?", default=600, help="per target, default 600")
    commands.add_parser("clean", help="remove what was built")
    return parser


def _help(_: argparse.Namespace) -> int:
    _parser().print_help()
    return 0


def _setup(_: argparse.Namespace) -> int:
    environment.ensure_full()
    say(f"Ready: {venv_python().relative_to(ROOT)}")
    return 0


def _build(_: argparse.Namespace) -> int:
    native.build_module()
    return 0


def _test(options: argparse.Namespace) -> int:
    return run_suite(Choice(fast=options.fast, only=options.k, fuzz_seconds=options.fuzz))


def _run(options: argparse.Namespace) -> int:
    comfyui = find_comfyui()
    # One that was named is wanted, and is not to be done without.
    wants_comfyui = comfyui is not None or bool(os.environ.get("COMFYUI_PATH"))
    if wants_comfyui and comfyui is None and not {"-h", "--help"} & set(options.rest):
        for line in no_comfyui(os.environ["COMFYUI_PATH"]):
            print(line, file=sys.stderr)
        return NO_COMFYUI_CODE
    os.chdir(ROOT)  # the job's own folder: names that are not whole mean the same to both
    job = "benchmarks.main_job" if wants_comfyui else "benchmarks.headless_job"
    importlib.import_module(f"{job}.arguments").parse(options.rest)  # ends on a mistake
    environment.ensure_full()
    native.build_module()
    env = dict(os.environ) | ({} if comfyui is None else {"COMFYUI_PATH": str(comfyui)})
    command = [str(venv_python()), "-m", job, *options.rest]
    paths = [str(ROOT / "bindings"), str(ROOT)]
    env["PYTHONPATH"] = os.pathsep.join([*paths, *filter(None, [env.get("PYTHONPATH")])])
    return _in_front(command, env)


def _hearth(options: argparse.Namespace) -> int:
    """With what was built for ComfyUI's Python, unless there is an environment of the checkout."""
    PROGRESS.stand_aside()
    python = native.built_python()
    if os.environ.get("HEARTH_PYTHON") or python is None:
        native.build_module()
        python = native.built_python() or venv_python()
    env = dict(os.environ) | {"PYTHONPATH": str(ROOT / "bindings")}
    return _in_front([str(python), "-m", "hearth", options.command, *options.rest], env)


def _in_front(command: list[str], env: dict[str, str]) -> int:
    """Runs a program that Ctrl-C reaches as well: what that means, and what is said, is its own."""
    cwd = ROOT if command[2].startswith("benchmarks.") else None
    with subprocess.Popen(command, cwd=cwd, env=env) as program:
        before = signal.signal(signal.SIGINT, lambda *_: None)
        try:
            code = program.wait()
        finally:
            signal.signal(signal.SIGINT, before)
    return code if code >= 0 else 128 - code


def _lint(_: argparse.Namespace) -> int:
    environment.ensure_tools()
    outcomes = [lint.run_checks(), run_pytest("sizes", ["tests/architecture/test_sizes.py"])]
    say("\n" + summary(outcomes))
    return 1 if any(outcome.failed for outcome in outcomes) else 0


def _stubs(options: argparse.Namespace) -> int:
    environment.ensure_full()  # hearth._torch is built where torch is
    native.build_module()
    if not options.check:
        for name in stubs.built():
            stubs.write(name)
        native.build_module()  # a module knows the stubs it was built with
        say(f"Written: {', '.join(str(stubs.shown(name)) for name in stubs.built())}")
        return 0
    differences = {name: stubs.difference(name) for name in stubs.built()}
    for name, difference in differences.items():
        if difference:
            say(difference + f"\n{stubs.shown(name)} is not what the module has: ./dev stubs")
    return 1 if any(differences.values()) else 0


def _bench(_: argparse.Namespace) -> int:
    folder = native.build_module(benchmarks=True) / "benchmarks" / "cpp"
    programs = sorted(path for path in folder.glob("*_bench*") if os.access(path, os.X_OK))
    for program in (path for path in programs if path.is_file()):
        subprocess.run([str(program)], check=True)
    if not programs:
        say("There is no program in benchmarks/cpp.")
    return 0 if programs else 1


def _preset(options: argparse.Namespace) -> int:
    outcome = run_preset_tests(options.command)
    say("\n" + summary([outcome]))
    return 1 if outcome.failed else 0


def _fuzz(options: argparse.Namespace) -> int:
    outcome = fuzzing.run_fuzzers(options.seconds)
    say("\n" + summary([outcome]))
    return 1 if outcome.failed else 0


def _clean(_: argparse.Namespace) -> int:
    native.clean()
    return 0
