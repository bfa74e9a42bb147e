"""Builds the libFuzzer targets with clang and runs each for a while."""

from __future__ import annotations

import os
import re
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from tools.dev import native
from tools.dev.places import BUILD, ROOT
from tools.dev.steps import Step, StepFailed, run_step, say
from tools.dev.tally import Outcome, not_run
from tools.dev.third_parties import apt_install, may_install, third_parties
from tools.dev.toolchain import find_toolchain, output_of

SOURCES = ROOT / "tests" / "fuzz"
FOLDER = BUILD / "fuzz"
NO_CLANG = "clang++ with libFuzzer is not installed (Debian, Ubuntu: clang and libclang-rt-dev)"


def run_fuzzers(seconds: int) -> Outcome:
    """Each target for that many seconds; a crash is a failure, its input stays in build/fuzz."""
    if not (SOURCES / "CMakeLists.txt").is_file():
        return not_run("fuzz", "there are no targets in tests/fuzz")
    clang = find_clang()
    if clang is None:
        return not_run("fuzz", NO_CLANG)
    outcome = Outcome("fuzz")
    try:
        targets = _build(clang)
    except StepFailed as error:
        say(str(error))
        return Outcome("fuzz", failed=1, failures=[str(error).splitlines()[0]])
    with ThreadPoolExecutor(os.cpu_count() or 1) as cores:
        crashes = list(cores.map(lambda target: _crash(target, seconds), targets))
    outcome.passed = crashes.count(None)
    outcome.failures = [crash for crash in crashes if crash is not None]
    outcome.failed = len(outcome.failures)
    if not targets:
        outcome.failed, outcome.failures = 1, ["the build made no fuzz target"]
    return outcome


def find_clang() -> str | None:
    """A clang++ that links libFuzzer; installed where that is allowed."""
    found = _working_clang()
    if found is None and may_install() and apt_install(["clang"]):
        # The runtime is a package named after clang's version.
        version = re.search(r"version (\d+)", output_of(["clang++", "--version"]))
        if version:
            apt_install([f"libclang-rt-{version.group(1)}-dev"])
        found = _working_clang()
    return found


def _working_clang() -> str | None:
    names = ["clang++", *(f"clang++-{version}" for version in range(22, 13, -1))]
    probe = BUILD / "clang-probe.cc"
    program = probe.with_suffix("")
    probe.parent.mkdir(parents=True, exist_ok=True)
    probe.write_text(
        "#include <concepts>\n#include <cstddef>\n#include <cstdint>\n"
        'extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t*, std::size_t) { return 0; }\n'
    )
    for name in filter(shutil.which, names):
        program.unlink(missing_ok=True)
        output_of([name, "-std=c++20", "-fsanitize=fuzzer,address", str(probe), "-o", str(program)])
        if program.exists():
            return name
    return None


def _build(clang: str) -> list[Path]:
    tools = find_toolchain()
    switches = ["-DHEARTH_FUZZERS=ON", "-DHEARTH_BINDINGS=OFF", "-DHEARTH_TESTS=OFF"]
    switches += [f"-DCMAKE_CXX_COMPILER={clang}", f"-DCMAKE_MAKE_PROGRAM={tools.ninja}"]
    switches += [
        "-DCMAKE_BUILD_TYPE=RelWithDebInfo",
        *third_parties(tools, for_tests=False).arguments,
    ]
    configure: list[str | Path] = [tools.cmake, "-S", ROOT, "-B", FOLDER, "-G", "Ninja", *switches]
    run_step(Step("configure fuzz", configure, "the first `CMake Error` in the log"))
    build: list[str | Path] = [tools.cmake, "--build", FOLDER, "-j", native.jobs()]
    build += ["--target", "tests/fuzz/all"]
    run_step(Step("build fuzz", build, native.COMPILE_HINT))
    made = (FOLDER / "tests" / "fuzz").glob("*_fuzz*")
    return sorted(path for path in made if path.is_file() and os.access(path, os.X_OK))


def _crash(target: Path, seconds: int) -> str | None:
    """Runs one target; the name of it when it crashed."""
    corpus = FOLDER / "corpus" / target.name
    corpus.mkdir(parents=True, exist_ok=True)
    seeds = [
        path for path in (SOURCES / "corpus" / target.name, SOURCES / "corpus") if path.is_dir()
    ]
    command: list[str | Path] = [target, f"-max_total_time={seconds}", "-timeout=10"]
    command += ["-rss_limit_mb=2048", f"-artifact_prefix={FOLDER}/", corpus, *seeds[:1]]
    try:
        run_step(
            Step(f"fuzz {target.name}", command, f"{target} INPUT repeats a crash", cwd=FOLDER)
        )
    except StepFailed as error:
        say(str(error))
        return target.name
    return None
