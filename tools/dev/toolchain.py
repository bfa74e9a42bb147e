"""Finds the compiler, CMake, ninja and pybind11; fetches from PyPI what is missing or too old."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from tools.dev.places import TOOLS, VENV, venv_python
from tools.dev.steps import Step, StepFailed, run_step

MIN_GCC = 12
MIN_CMAKE = (3, 22)
CMAKE_WHEEL = "cmake==3.31.6"
NINJA_WHEEL = "ninja==1.11.1.4"
PYBIND11_WHEEL = "pybind11==3.0.1"


@dataclass(frozen=True)
class Toolchain:
    """Programs that exist and are new enough."""

    cmake: Path
    ctest: Path
    ninja: Path


def check_compiler() -> None:
    """Throws StepFailed when there is no C++20 compiler; $CXX is taken as it is."""
    compiler = os.environ.get("CXX", "g++")
    text = output_of([compiler, "-dumpfullversion", "-dumpversion"])
    if not text:
        raise StepFailed(
            f"Step failed: look for a C++ compiler: {compiler} does not run.\n"
            "What to try: install g++ 12 or newer (Debian, Ubuntu: apt-get install g++)."
        )
    major = int(re.split(r"\D", text.strip())[0] or 0)
    is_gcc = "clang" not in output_of([compiler, "--version"]).lower()
    if is_gcc and major < MIN_GCC:
        raise StepFailed(
            f"Step failed: look for a C++ compiler: {compiler} is version {text.strip()}, hearth "
            f"needs {MIN_GCC} or newer.\n"
            "What to try: install a newer one and name it: CXX=g++-12 ./dev build"
        )


def find_toolchain() -> Toolchain:
    """Checks the compiler; finds CMake and ninja here, else puts their wheels into build/tools."""
    check_compiler()
    cmake = _system_cmake() or _wheel_program("cmake", CMAKE_WHEEL)
    ninja = shutil.which("ninja")
    ninja_path = Path(ninja) if ninja else _wheel_program("ninja", NINJA_WHEEL)
    return Toolchain(cmake=cmake, ctest=cmake.with_name("ctest"), ninja=ninja_path)


def pybind11_dir(python: Path) -> Path:
    """The CMake folder of pybind11: of `python`'s environment if it has one, else of a wheel."""
    text = output_of([str(python), "-m", "pybind11", "--cmakedir"])
    if text and Path(text.strip()).is_dir() and python == venv_python():
        return Path(text.strip())
    wheel = TOOLS / "pybind11"
    folder = wheel / "pybind11" / "share" / "cmake" / "pybind11"
    if not folder.is_dir():
        pip_install_target(PYBIND11_WHEEL, target=wheel)
    return folder


def pip_install_target(*wheels: str, target: Path) -> None:
    """Puts wheels into a folder of the checkout; no environment is touched."""
    run_step(
        Step(
            title="get " + " ".join(wheels),
            command=[
                _python_with_pip(),
                *("-m", "pip", "install", "--disable-pip-version-check", "--no-deps", "--upgrade"),
                *("--target", target),
                *wheels,
            ],
            hint="is a package index reachable (pip config list, pip download pybind11)?",
        )
    )


def output_of(command: list[str]) -> str:
    """What a program prints, or "" when it fails or is not there."""
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout if done.returncode == 0 else ""


def _system_cmake() -> Path | None:
    found = shutil.which("cmake")
    if not found:
        return None
    match = re.search(r"version (\d+)\.(\d+)", output_of([found, "--version"]))
    if match is None or tuple(map(int, match.groups())) < MIN_CMAKE:
        return None
    return Path(found) if Path(found).with_name("ctest").exists() else None


def _wheel_program(name: str, wheel: str) -> Path:
    # The real program, not the wheel's script in bin/: that one needs the wheel on sys.path.
    for attempt in range(2):
        for place in (f"{name}/data/bin/{name}", f"bin/{name}"):
            if (TOOLS / name / place).is_file():
                return TOOLS / name / place
        if attempt == 0:
            pip_install_target(wheel, target=TOOLS / name)
    raise StepFailed(f"Step failed: get {wheel}: the wheel has no program {name}.")


def _python_with_pip() -> str:
    candidates = [os.environ.get("HEARTH_PYTHON", ""), sys.executable, str(VENV / "bin" / "python")]
    for candidate in candidates:
        if candidate and output_of([candidate, "-m", "pip", "--version"]):
            return candidate
    raise StepFailed(
        "Step failed: look for pip: no Python here has it.\n"
        "What to try: install it (Debian, Ubuntu: apt-get install python3-pip)."
    )
