"""spdlog, nlohmann-json, GoogleTest: as CMake finds them, else by apt, else PyPI's headers."""

from __future__ import annotations

import os
import re
import shutil
import threading
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tools.dev.places import BUILD, HEADER_WHEELS, ROOT
from tools.dev.steps import Step, StepFailed, run_step, say
from tools.dev.toolchain import Toolchain, output_of, pip_install_target

WHEELS = {"nlohmann_json": "nlohmann-json==3.12.0", "spdlog": "tokenspeed-spdlog==1.17.0"}
DEBIAN = {
    "nlohmann_json": "nlohmann-json3-dev",
    "spdlog": "libspdlog-dev",
    "GTest": "libgtest-dev",
}
GOOGLETEST = "https://github.com/google/googletest.git"
NO_GOOGLETEST = "NOT RUN, needs GoogleTest (Debian, Ubuntu: apt-get install libgtest-dev)"
_APT = threading.Lock()  # dpkg refuses a second one at a time


@dataclass(frozen=True)
class ThirdParties:
    """How CMake finds the libraries, and whether GoogleTest is to be had for the C++ tests."""

    arguments: tuple[str, ...]
    can_test: bool


@lru_cache(maxsize=2)
def third_parties(tools: Toolchain, for_tests: bool = True) -> ThirdParties:
    """Looks what CMake finds; what is missing is installed first, where that is allowed.

    GoogleTest is asked for `for_tests` only: whoever builds for his ComfyUI needs none, and without
    a network would wait for it in vain.
    """
    missing = _missing(tools, for_tests)
    if missing and may_install():
        apt_install([DEBIAN[name] for name in missing])
        missing = _missing(tools, for_tests)
    wheels = [WHEELS[name] for name in missing if name in WHEELS]
    if wheels and not _have_header_wheels(missing):
        pip_install_target(*wheels, target=HEADER_WHEELS)
    arguments = (f"-DHEARTH_DEPS_DIR={HEADER_WHEELS}",) if wheels else ()
    can_test = for_tests and ("GTest" not in missing or _reachable(GOOGLETEST))
    return ThirdParties(arguments, can_test)


def may_install() -> bool:
    """Whether packages of the system may be installed: as root on a machine with apt-get."""
    return os.geteuid() == 0 and shutil.which("apt-get") is not None


def apt_install(packages: list[str]) -> bool:
    """Installs Debian packages; False when that does not work, and the log says why."""
    environment = {"DEBIAN_FRONTEND": "noninteractive"}
    update = ["apt-get", "update", "-q"]
    install = ["apt-get", "install", "-q", "-y", "--no-install-recommends"]
    title = "apt-get install " + " ".join(packages)
    try:
        with _APT:
            run_step(Step("apt-get update", update, "", env=environment, ok_codes=(0, 100)))
            run_step(Step(title, [*install, *packages], "see the log", env=environment))
    except StepFailed as error:
        say(str(error))
        return False
    return True


def _missing(tools: Toolchain, for_tests: bool) -> list[str]:
    # CMake itself is asked, so that conda, vcpkg and CMAKE_PREFIX_PATH count as well.
    folder = BUILD / "probe"
    shutil.rmtree(folder, ignore_errors=True)
    text = output_of(
        [
            str(tools.cmake),
            *("-S", str(ROOT / "cmake" / "probe"), "-B", str(folder), "-G", "Ninja"),
            f"-DCMAKE_MAKE_PROGRAM={tools.ninja}",
        ]
    )
    if not text:
        raise StepFailed(
            "Step failed: look for libraries: CMake cannot build a program here.\n"
            f"What to try: {tools.cmake} -S cmake/probe -B build/probe   shows why."
        )
    missing: list[str] = re.findall(r"hearth-probe (\w+) missing", text)
    return [name for name in missing if for_tests or name != "GTest"]


def _reachable(repository: str) -> bool:
    say("GoogleTest is not installed: looking whether CMake can fetch it.")
    os.environ.setdefault("GIT_TERMINAL_PROMPT", "0")
    return bool(output_of(["git", "ls-remote", repository, "HEAD"]))


def _have_header_wheels(missing: list[str]) -> bool:
    headers = {"nlohmann_json": "json.hpp", "spdlog": "spdlog.h"}
    wanted = [headers[name] for name in missing if name in headers]
    return all(any(Path(HEADER_WHEELS).rglob(header)) for header in wanted)
