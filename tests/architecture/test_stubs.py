"""The committed type stubs are those of the built module."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.dev import stubs


def test_stubs_are_those_of_the_built_module() -> None:
    pytest.importorskip("hearth", reason="not built: ./dev build", exc_type=ImportError)
    difference = stubs.difference(Path(sys.executable))
    assert not difference, f"run ./dev stubs\n{difference}"
