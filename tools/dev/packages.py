"""Installs Python packages into .venv: with uv, which takes a sixth of pip's time, or with pip."""

from __future__ import annotations

import ast
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from tools.dev.places import VENV, venv_python
from tools.dev.steps import Step, StepFailed, run_step, say
from tools.dev.toolchain import output_of

_UV = "uv>=0.5"
_PIP = ["-m", "pip", "install", "--disable-pip-version-check", "--progress-bar", "off"]
_HINT = "is a package index reachable (pip config list)? Then run the same command again."
# uv reads none of pip's settings.
_FLAGS = {
    "index-url": "--index-url",
    "extra-index-url": "--extra-index-url",
    "find-links": "--find-links",
    "trusted-host": "--allow-insecure-host",
}
_SWITCHES = {"no-index": "--no-index", "no-cache-dir": "--no-cache"}
_WITHOUT_MEANING = frozenset(
    ("cert", "default-timeout", "timeout", "retries", "disable-pip-version-check", "no-input")
    + ("progress-bar", "root-user-action", "break-system-packages")
)
Arguments = Sequence[str | Path]


def install(title: str, arguments: Arguments) -> None:
    """Installs as `pip install` with these arguments would; throws StepFailed."""
    settings = _settings_of_pip()
    uv = None if settings is None else _uv()
    if uv is not None and settings is not None:
        flags = _as_flags(settings)
        command: list[str | Path] = [
            uv,
            "pip",
            "install",
            "--python",
            venv_python(),
            *flags,
            *arguments,
        ]
        certificates = {"SSL_CERT_FILE": settings["cert"]} if "cert" in settings else {}
        try:
            run_step(Step(title, command, _HINT, env=certificates))
            return
        except StepFailed:
            say(f"{title}: uv could not, pip tries")
    run_step(Step(title, [venv_python(), *_PIP, *arguments], _HINT))


def _uv() -> Path | None:
    uv = VENV / "bin" / "uv"
    if not uv.exists():
        try:
            command: list[str | Path] = [venv_python(), *_PIP, "--only-binary", ":all:", _UV]
            run_step(Step("install uv into .venv", command, _HINT))
        except StepFailed:
            return None  # pip will say what is wrong
    return uv


def _settings_of_pip() -> dict[str, str] | None:
    """What the user has set, by its name; None where something is that uv would not follow."""
    settings: dict[str, str] = {}
    command = [os.fspath(venv_python()), "-m", "pip", "config", "list"]
    for line in filter(None, output_of(command).splitlines()):
        place, _, value = line.partition("=")
        name = place.rpartition(".")[2]
        if name not in {**_FLAGS, **_SWITCHES} and name not in _WITHOUT_MEANING:
            return None
        settings[name] = str(ast.literal_eval(value))
    return settings


def _as_flags(settings: dict[str, str]) -> Iterator[str]:
    # pip takes the best version of all indices, uv by itself that of the first.
    yield from ("--index-strategy", "unsafe-best-match")
    for name, flag in _FLAGS.items():
        for value in settings.get(name, "").split():
            yield from (flag, value)
    for name, switch in _SWITCHES.items():
        if settings.get(name, "").lower() in ("1", "true", "yes", "on"):
            yield switch
