"""Makes the committed type stubs of hearth._core anew from the built module, or compares them."""

from __future__ import annotations

import difflib
import re
import tempfile
from pathlib import Path

from tools.dev.places import PACKAGE, ROOT, venv_python
from tools.dev.steps import Step, run_step

STUB = PACKAGE / "_core.pyi"
HEADER = '"""Made by `./dev stubs` from the built module; do not edit."""\n\n'


def generate(python: Path | None = None) -> str:
    """The stubs as they should be; REQUIRES: hearth._core is built for `python`."""
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [python or venv_python(), "-m", "pybind11_stubgen"]
        command += ["hearth._core", "--output-dir", folder, "--exit-code"]
        run_step(
            Step(
                "generate stubs",
                command,
                "./dev build first; a type the stubs cannot name needs a pybind11 docstring",
                env={"PYTHONPATH": str(PACKAGE.parent), "PYTHONHASHSEED": "0"},
            )
        )
        text = (Path(folder) / "hearth" / "_core.pyi").read_text(encoding="utf-8")
    return HEADER + _stable(text)


def difference(python: Path | None = None) -> str:
    """A diff of the committed stubs against those of the built module; "" when they agree."""
    committed = STUB.read_text(encoding="utf-8") if STUB.is_file() else ""
    lines = difflib.unified_diff(
        committed.splitlines(True), generate(python).splitlines(True), "committed", "built"
    )
    return "".join(lines)


def write() -> None:
    """Replaces the committed stubs."""
    STUB.write_text(generate(), encoding="utf-8")


def shown() -> Path:
    """The stub file as a person would name it."""
    return STUB.relative_to(ROOT)


def _stable(text: str) -> str:
    # Addresses of default values differ from run to run.
    return re.sub(r" at 0x[0-9a-f]+", "", text)
