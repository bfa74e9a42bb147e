"""hearth in an interpreter beside Python's main one."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import hearth
import pytest

MODULES = [
    name for name in ("_interpreters", "_xxsubinterpreters") if importlib.util.find_spec(name)
]
BINDINGS = str(Path(hearth.__file__).resolve().parents[1])
SECONDS = 120  # nothing is measured: a hang is to fail, not to hang

PROGRAM = """
import {module} as interpreters
run = getattr(interpreters, "exec", None) or interpreters.run_string
failed = run(interpreters.create(), '''
try:
    import hearth
except ImportError as error:
    print(type(error).__name__, error, flush=True)
''')
assert failed is None, failed
import hearth
print(hearth.__version__)
"""


@pytest.mark.skipif(not MODULES, reason="NOT RUN, needs a Python with subinterpreters")
def test_a_subinterpreter_is_told_to_leave_hearth_to_the_main_one() -> None:
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", PROGRAM.format(module=MODULES[0])],
        env={**os.environ, "PYTHONPATH": BINDINGS},
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told, version = done.stdout.splitlines()
    assert told.startswith("NativeUnavailable hearth's native module works in Python's main")
    assert version == hearth.__version__
