"""The committed type stubs are those of the built modules."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tools.dev import stubs


@pytest.mark.parametrize("name", stubs.MODULES)
def test_stubs_are_those_of_the_built_module(name: str) -> None:
    pytest.importorskip("hearth", reason="not built: ./dev build", exc_type=ImportError)
    if name not in stubs.built():
        pytest.skip(f"NOT RUN, needs hearth.{name}: ./dev setup, then ./dev build")
    difference = stubs.difference(name, Path(sys.executable))
    assert not difference, f"run ./dev stubs\n{difference}"
