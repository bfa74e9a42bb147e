"""The checks that read the sources: ruff, mypy, clang-format."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from pathlib import Path

from tools.dev.places import ROOT, VENV
from tools.dev.runners import guarded
from tools.dev.steps import Step, run_step
from tools.dev.tally import Outcome
from tools.sizes import CPP_SUFFIXES

TYPED = ("bindings/hearth", "comfy_nodes", "benchmarks", "tools")
CPP_FOLDERS = ("cpp", "bindings/native", "tests/cpp", "tests/fuzz", "benchmarks/cpp")


def checks() -> list[Step]:
    """Every check as a step, with what to try when it finds something."""
    ruff, mypy, clang_format = (VENV / "bin" / name for name in ("ruff", "mypy", "clang-format"))
    typed = [folder for folder in TYPED if any((ROOT / folder).rglob("*.py"))]
    return [
        Step("ruff check", [ruff, "check", "."], ".venv/bin/ruff check --fix ."),
        Step("ruff format", [ruff, "format", "--check", "."], ".venv/bin/ruff format ."),
        Step("mypy strict", [mypy, *typed], "the annotations that the log names"),
        Step(
            "clang-format",
            [clang_format, "--dry-run", "-Werror", *cpp_sources()],
            ".venv/bin/clang-format -i FILE",
        ),
    ]


def run_checks() -> Outcome:
    """Runs them all, also after one has failed."""
    total = Outcome("lint")
    for step in checks():
        outcome = guarded("lint", lambda step=step: _passed(step))  # type: ignore[misc]
        total.passed += outcome.passed
        total.failed += outcome.failed
        total.failures += outcome.failures
    return total


def _passed(step: Step) -> Outcome:
    run_step(step)
    return Outcome("lint", passed=1)


def cpp_sources() -> list[Path]:
    """The C++ and CUDA files of the repository, without what a build makes."""
    return [path for path in source_files() if path.suffix in CPP_SUFFIXES]


def source_files() -> list[Path]:
    """What git tracks or would track; without git, the folders that hold sources."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode == 0:
        return _existing(ROOT / name for name in listed.stdout.splitlines())
    folders = (*CPP_FOLDERS, *TYPED, "tests", "config", "docs", "cmake", "examples")
    return _existing(path for folder in folders for path in (ROOT / folder).rglob("*"))


def _existing(paths: Iterable[Path]) -> list[Path]:
    return sorted({path for path in paths if path.is_file() and not path.is_symlink()})
