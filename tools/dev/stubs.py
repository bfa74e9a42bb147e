"""Makes the committed type stubs of the native modules anew, or compares them with these."""

from __future__ import annotations

import difflib
import re
import tempfile
from pathlib import Path

from tools.dev.places import PACKAGE, ROOT, venv_python
from tools.dev.steps import Step, run_step

HEADER = '"""Made by `./dev stubs` from the built module; do not edit."""\n\n'
# The module over tensors loads only into a process that has torch.
MODULES = {"_core": "", "_torch": "import torch; "}


def built() -> list[str]:
    """The native modules that are there; `_torch` is left out where there is no torch."""
    return [name for name in MODULES if any(PACKAGE.glob(f"{name}.*.so"))]


def generate(name: str, python: Path | None = None) -> str:
    """The stubs of hearth.`name` as they should be; REQUIRES: it is built for `python`."""
    program = f"{MODULES[name]}import pybind11_stubgen; pybind11_stubgen.main()"
    with tempfile.TemporaryDirectory() as folder:
        command: list[str | Path] = [python or venv_python(), "-c", program]
        command += [f"hearth.{name}", "--output-dir", folder, "--exit-code"]
        run_step(
            Step(
                f"generate stubs of {name}",
                command,
                "./dev build first; a type the stubs cannot name needs a pybind11 docstring",
                env={"PYTHONPATH": str(PACKAGE.parent), "PYTHONHASHSEED": "0"},
            )
        )
        text = (Path(folder) / "hearth" / f"{name}.pyi").read_text(encoding="utf-8")
    return HEADER + _stable(text)


def difference(name: str, python: Path | None = None) -> str:
    """A diff of the committed stubs against those of the built module; "" when they agree."""
    stub = stub_of(name)
    committed = stub.read_text(encoding="utf-8") if stub.is_file() else ""
    lines = difflib.unified_diff(
        committed.splitlines(True), generate(name, python).splitlines(True), "committed", "built"
    )
    return "".join(lines)


def write(name: str) -> None:
    """Replaces the committed stubs."""
    stub_of(name).write_text(generate(name), encoding="utf-8")


def stub_of(name: str) -> Path:
    """The committed stub file of a native module."""
    return PACKAGE / f"{name}.pyi"


def shown(name: str) -> Path:
    """The stub file as a person would name it."""
    return stub_of(name).relative_to(ROOT)


def _stable(text: str) -> str:
    # Addresses of default values differ from run to run.
    return re.sub(r" at 0x[0-9a-f]+", "", text)
