"""What a build asks for and installs: nothing that it does not need, and nothing of others."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from tools.dev import environment, native, third_parties, toolchain
from tools.dev.steps import Step
from tools.dev.toolchain import Toolchain


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[Step]:
    """The steps that would have been run; folders of the checkout lie in `tmp_path`."""
    found: list[Step] = []

    def note(step: Step) -> int:
        found.append(step)
        return 0

    for module in (native, environment, toolchain, third_parties):
        monkeypatch.setattr(module, "run_step", note)
    for module, name in (
        (native, "BUILD"),
        (third_parties, "BUILD"),
        (third_parties, "HEADER_WHEELS"),
        (toolchain, "TOOLS"),
    ):
        monkeypatch.setattr(module, name, tmp_path / name)
    return found


@pytest.fixture
def tools(steps: list[Step], tmp_path: Path) -> Toolchain:
    """Programs that are never run; a place of its own keeps what is remembered of others out."""
    return Toolchain(*(tmp_path / name for name in ("cmake", "ctest", "ninja")))


def test_a_build_for_a_named_python_installs_nothing_into_it_and_no_torch(
    steps: list[Step], tools: Toolchain, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HEARTH_PYTHON", sys.executable)
    monkeypatch.setattr(native, "find_toolchain", lambda: tools)
    # The Python of the tests is the checkout's own, which may have tools of its own.
    monkeypatch.setattr(toolchain, "venv_python", lambda: tmp_path / "python")
    monkeypatch.setattr(native, "_verify", lambda python: None)
    monkeypatch.setattr(third_parties, "may_install", lambda: False)
    monkeypatch.setattr(third_parties, "_missing", lambda *_: ["nlohmann_json", "spdlog"])
    native.build_module()
    commands = [[str(part) for part in step.command] for step in steps]
    assert [command for command in commands if "--build" in command]
    installs = [command for command in commands if "pip" in command]
    assert len(installs) == 2
    for command in installs:
        assert "--no-deps" in command
        assert Path(command[command.index("--target") + 1]).is_relative_to(tmp_path)
        assert not any(part.startswith("torch") for part in command)


class Asked:
    """Records what the system is asked for while GoogleTest is missing."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.apt: list[str] = []
        self.network: list[str] = []
        missing = "hearth-probe GTest missing"
        monkeypatch.setattr(third_parties, "output_of", lambda command: missing)
        monkeypatch.setattr(third_parties, "may_install", lambda: True)
        monkeypatch.setattr(third_parties, "apt_install", self.apt.extend)
        monkeypatch.setattr(third_parties, "_reachable", self._note_reached)

    def _note_reached(self, repository: str) -> bool:
        self.network.append(repository)
        return True


def test_googletest_is_asked_for_where_tests_are_built_only(
    tools: Toolchain, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = Asked(monkeypatch)
    third_parties.third_parties(tools, for_tests=False)
    assert (asked.apt, asked.network) == ([], [])
    assert third_parties.third_parties(tools).can_test
    assert asked.apt == ["libgtest-dev"]
    assert asked.network == [third_parties.GOOGLETEST]


@pytest.mark.parametrize(
    ("preset", "switches", "for_tests"),
    [("release", [], False), ("release", ["-DHEARTH_TESTS=ON"], True), ("core", [], True)],
)
def test_a_build_of_tests_is_told_from_one_without(
    preset: str,
    switches: list[str],
    for_tests: bool,
    tools: Toolchain,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    seen: list[bool] = []

    def find(_: Toolchain, for_tests: bool) -> Any:
        seen.append(for_tests)
        return third_parties.ThirdParties((), True)

    monkeypatch.setattr(native, "third_parties", find)
    native.configure(tools, preset, Path("folder"), switches)
    assert seen == [for_tests]
