"""Builds the C++ side: hearth's modules in place for an interpreter, and rooms under a preset."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from tools.dev import environment
from tools.dev.places import BUILD, PACKAGE, ROOT, venv_python
from tools.dev.steps import Step, StepFailed, run_step, say
from tools.dev.third_parties import third_parties
from tools.dev.toolchain import Toolchain, find_toolchain, output_of, pybind11_dir

COMPILE_HINT = "the first `error:` in the log; after a change of compiler: ./dev clean"
_ABOUT_PYTHON = (
    "import sysconfig, os, sys; p = sysconfig.get_paths()['include'];"
    "print(sys.implementation.cache_tag, os.path.exists(os.path.join(p, 'Python.h')), p, sep='|')"
)
_IMPORT_CORE = f"import sys; sys.path.insert(0, {str(PACKAGE.parent)!r})\n" + (
    "import hearth; print(hearth.__version__)"
)
# hearth._torch is there when this Python has a torch to build against; its import takes seconds.
_IMPORT_ALL = """
import hearth, importlib.util
has_torch = all(importlib.util.find_spec(name) for name in ("torch", "hearth._torch"))
if has_torch:
    import hearth.sampling
print(hearth.__version__, hearth.sampling.torch_version() if has_torch else "-")
"""


def jobs() -> str:
    """Compilers at once: one a core, but no more than memory allows at 1.5 GB each."""
    gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return str(max(1, min(os.cpu_count() or 1, int(gib / 1.5))))


def build_module(
    tests: bool = False, benchmarks: bool = False, torch_free_tests: bool = True
) -> Path:
    """Builds hearth's modules beside their Python sources and imports them; returns the folder."""
    named = os.environ.get("HEARTH_PYTHON")
    if named is None:
        environment.ensure_tools()
    python = _named_python(named) if named else venv_python()
    tag = _check_interpreter(python)
    tools = find_toolchain()
    folder = BUILD / f"release-{tag}"
    _forget_other_python(folder, python)
    switches = [f"-DPython_EXECUTABLE={python}", f"-Dpybind11_DIR={pybind11_dir(python)}"]
    switches += ["-DHEARTH_TESTS=ON"] if tests else []
    switches += [f"-DHEARTH_TORCH_FREE_TESTS={'ON' if torch_free_tests else 'OFF'}"]
    switches += ["-DHEARTH_BENCHMARKS=ON"] if benchmarks else []
    configure(tools, "release", folder, switches)
    target = [] if tests or benchmarks else ["--target", "hearth_modules"]
    run_step(
        Step(
            f"build hearth for {tag}",
            [tools.cmake, "--build", folder, "-j", jobs(), *target],
            COMPILE_HINT,
        )
    )
    _verify(python)
    return folder


def built_python() -> Path | None:
    """The Python that hearth was last built for, if the module still loads there."""
    if venv_python().exists():
        return None  # the checkout's own is kept up to date with the sources
    caches = sorted(BUILD.glob("release-*/CMakeCache.txt"), key=lambda path: path.stat().st_mtime)
    for cache in reversed(caches):
        found = re.search(r"^Python_EXECUTABLE:\w+=(.+)$", cache.read_text(), re.MULTILINE)
        if found and "0." in output_of([found.group(1), "-c", _IMPORT_CORE]):
            return Path(found.group(1))
    return None


def build_preset(preset: str) -> Path:
    """Builds the rooms and their tests under one of the presets core, asan, tsan."""
    tools = find_toolchain()
    folder = BUILD / preset
    configure(tools, preset, folder, [])
    command: list[str | Path] = [tools.cmake, "--build", folder, "-j", jobs()]
    run_step(Step(f"build {preset}", command, COMPILE_HINT))
    return folder


def configure(tools: Toolchain, preset: str, folder: Path, switches: list[str]) -> None:
    """Runs CMake for a preset; again when nothing changed costs half a second."""
    # Of the presets that come here only this one has no tests of its own.
    for_tests = preset != "release" or "-DHEARTH_TESTS=ON" in switches
    found = third_parties(tools, for_tests)
    arguments = [f"-DCMAKE_MAKE_PROGRAM={tools.ninja}", *found.arguments, *switches]
    ccache = shutil.which("ccache")
    if ccache:
        arguments.append(f"-DCMAKE_CXX_COMPILER_LAUNCHER={ccache}")
    run_step(
        Step(
            f"configure {folder.name}",
            [tools.cmake, "--preset", preset, "-B", folder, *arguments],
            "the first `CMake Error` in the log; then ./dev clean and again",
        )
    )


def _named_python(name: str) -> Path:
    # Not resolved: the link of a virtual environment is what makes it that environment's Python.
    return Path(shutil.which(name) or name).expanduser().absolute()


def _check_interpreter(python: Path) -> str:
    about = output_of([str(python), "-c", _ABOUT_PYTHON]).strip().split("|")
    if len(about) != 3:
        raise StepFailed(
            f"Step failed: look at HEARTH_PYTHON: {python} is no Python that runs.\n"
            "What to try: HEARTH_PYTHON=/path/to/ComfyUI/venv/bin/python ./dev build"
        )
    tag, has_headers, include = about
    if has_headers != "True":
        raise StepFailed(
            f"Step failed: look for the headers of {python}: no Python.h in {include}.\n"
            "What to try: install them (Debian, Ubuntu: apt-get install python3-dev)."
        )
    return tag


def _forget_other_python(folder: Path, python: Path) -> None:
    # FindPython keeps what it found first: another interpreter of one version needs a new cache.
    cache = folder / "CMakeCache.txt"
    if cache.is_file():
        match = re.search(r"^Python_EXECUTABLE:\w+=(.*)$", cache.read_text(), re.MULTILINE)
        if match is None or Path(match.group(1)) != python:
            cache.unlink()


def _verify(python: Path) -> None:
    environment_of_check = {"PYTHONPATH": str(PACKAGE.parent), "PYTHONDONTWRITEBYTECODE": "1"}
    step = Step(
        "import hearth",
        [python, "-c", _IMPORT_ALL],
        "the module was built but does not load: the last line says why",
        env=environment_of_check,
        cwd=BUILD,
    )
    run_step(step)
    version, torch = step.log.read_text().splitlines()[-1].split()
    beside = (
        f"and its torch {torch}" if torch != "-" else "without native samplers: no torch for them"
    )
    say(f"hearth {version} is built for {python}, {beside}")


def clean() -> None:
    """Removes what was built; the environment and the downloads stay."""
    for folder in BUILD.glob("*"):
        if folder.is_dir() and folder.name not in {"tools", "deps"}:
            shutil.rmtree(folder)
    for pattern in ("_core*.so", "_torch*.so", "libhearth_core.so*"):
        for built in PACKAGE.glob(pattern):
            built.unlink()
    say(f"Removed what was built in {BUILD.relative_to(ROOT)}/ and {PACKAGE.relative_to(ROOT)}/.")
