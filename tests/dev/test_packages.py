"""Packages are installed with uv where it can do what pip was told to, and with pip otherwise."""

from __future__ import annotations

import stat
from collections.abc import Callable
from pathlib import Path

import pytest

from tools.dev import packages
from tools.dev.steps import StepFailed

Machine = Callable[..., None]
_SCRIPT = """#!/bin/sh
if [ "$3" = config ]; then
cat <<'END'
{settings}
END
exit 0
fi
echo "{name} $*" >> {log}
exit {code}
"""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "log"


@pytest.fixture
def machine(tmp_path: Path, log: Path, monkeypatch: pytest.MonkeyPatch) -> Machine:
    """An environment whose Python and uv only write down what they are asked for."""

    def make(settings: str = "", uv_code: int = 0, pip_code: int = 0) -> None:
        folder = tmp_path / "venv" / "bin"
        folder.mkdir(parents=True)
        for name, code in (("python", pip_code), ("uv", uv_code)):
            text = _SCRIPT.format(name=name, log=log, code=code, settings=settings)
            (folder / name).write_text(text, encoding="utf-8")
            (folder / name).chmod(stat.S_IRWXU)
        monkeypatch.setattr(packages, "VENV", tmp_path / "venv")
        monkeypatch.setattr(packages, "venv_python", lambda: folder / "python")

    return make


def asked(log: Path) -> list[str]:
    return [line.split()[0] for line in log.read_text(encoding="utf-8").splitlines()]


def test_uv_installs(machine: Machine, log: Path) -> None:
    machine()
    packages.install("install x", ["-r", "x.txt"])
    [line] = log.read_text(encoding="utf-8").splitlines()
    assert line.startswith("uv pip install --python ") and line.endswith(" -r x.txt")


def test_what_pip_was_told_is_told_to_uv(machine: Machine, log: Path) -> None:
    settings = ("global.index-url='https://one/simple'", ":env:.extra-index-url='a\\nb'")
    machine("\n".join([*settings, ":env:.find-links='/wheels'", "global.timeout='60'"]))
    packages.install("install x", ["x"])
    said = log.read_text(encoding="utf-8")
    for words in ("--index-url https://one/simple", "--extra-index-url a", "--find-links /wheels"):
        assert words in said
    assert "timeout" not in said and "--no-" not in said


def test_what_pip_was_forbidden_is_forbidden_uv(machine: Machine, log: Path) -> None:
    machine("global.no-cache-dir='true'\n:env:.no-index='1'")
    packages.install("install x", ["x"])
    said = log.read_text(encoding="utf-8")
    assert "--no-cache" in said and "--no-index" in said


@pytest.mark.parametrize("setting", ["proxy='http://proxy'", "cache-dir='/large/disk'"])
def test_a_setting_that_uv_would_not_follow_leaves_it_to_pip(
    machine: Machine, log: Path, setting: str
) -> None:
    machine(f"global.{setting}")
    packages.install("install x", ["x"])
    assert asked(log) == ["python"]


def test_where_uv_cannot_pip_tries(machine: Machine, log: Path) -> None:
    machine(uv_code=2)
    packages.install("install x", ["x"])
    assert asked(log) == ["uv", "python"]


def test_what_neither_can_is_pips_to_say(machine: Machine, log: Path) -> None:
    machine(uv_code=2, pip_code=1)
    with pytest.raises(StepFailed, match="install x"):
        packages.install("install x", ["x"])
    assert asked(log) == ["uv", "python"]
