"""Pages kept over the end of ComfyUI, as hearth's keeper does it, and nothing else in RAM."""

from __future__ import annotations

import contextlib
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.rows import page_cache

if TYPE_CHECKING:
    from hearth.keeper import Connection

_SECONDS = 180.0
_LOOK_SECONDS = 0.2


@contextlib.contextmanager
def kept(folder: Path) -> Iterator[None]:
    """A keeper that has all safetensors files below the folder locked; it ends with the block.

    Throws RuntimeError where the limit of locked memory is too small for them.
    """
    sys.path.insert(0, str(REPOSITORY / "bindings"))
    from hearth import keeper

    files = sorted(path for path in folder.rglob("*.safetensors") if path.is_file())
    page_cache.fill(folder)  # it locks what is there; what it must read it takes its time for
    keeper.start()
    try:
        with keeper.connect() as link:
            link.declare([keeper.claim(path) for path in files])
            wanted = sum(path.stat().st_size for path in files)
            _wait_until_locked(link, wanted)
        page_cache.drop(folder)
        yield
    finally:
        keeper.stop()


def _wait_until_locked(link: Connection, wanted: int) -> None:
    deadline = time.monotonic() + _SECONDS
    while True:
        status = link.status()
        if status["locked_bytes"] >= wanted:
            return
        if status["advice"] or time.monotonic() > deadline:
            said = status["advice"] or f"{status['locked_bytes']} of {wanted} bytes are locked"
            raise RuntimeError(f"the keeper cannot keep the files: {said}")
        time.sleep(_LOOK_SECONDS)
