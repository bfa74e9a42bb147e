"""What is done before ComfyUI imports torch. Nothing here may import it, or a node of ComfyUI."""

from __future__ import annotations

import contextlib
import gc
import logging
import os
import sys
from pathlib import Path

_LOG = logging.getLogger("hearth")

# Imports make half a million objects that stay, and by Python's own measure the collector goes over
# them 1300 times while they come: a tenth of the start's time. Of what it would find this leaves
# under a hundred objects.
_SELDOM = (100_000, 50, 100)
_pace_before: list[tuple[int, int, int]] = []


def slow_collector() -> None:
    """Has Python collect garbage seldom, until `restore_collector`."""
    if not _pace_before and gc.isenabled():
        _pace_before.append(gc.get_threshold())
        gc.set_threshold(*_SELDOM)


def restore_collector() -> None:
    """As it was, unless somebody has set another pace meanwhile."""
    while _pace_before:
        pace = _pace_before.pop()
        if gc.get_threshold() == _SELDOM:
            gc.set_threshold(*pace)


def prepare(repository: Path) -> int:
    """Begins to read the files of the config's prewarm; returns how many. Never throws: whatever
    is wrong is said when hearth starts."""
    if os.environ.get("HEARTH_DISABLE") == "1" or not sys.platform.startswith("linux"):
        return 0
    try:
        return _prepare(repository)
    except Exception as error:
        _LOG.debug("nothing is read ahead: %s", error)
        return 0


def _prepare(repository: Path) -> int:
    from .startup import make_importable

    make_importable(repository)
    import hearth
    from hearth.text_files import read_config

    from .ahead import files_of_config, read_files
    from .config_file import find_sources, places_around

    runtime = hearth.runtime()
    sources = find_sources(repository)
    for source in sources:  # the first that is there counts, be it good or not
        with contextlib.suppress(FileNotFoundError):
            runtime.configure(read_config(source.path), source.label)
            break
    if runtime.config["gc_freeze"]:
        slow_collector()
    paths = files_of_config(
        runtime.config, [*places_around(sources), repository / "examples" / "api"]
    )
    begun = read_files(runtime.host_tier, paths)
    if begun:
        _LOG.info("hearth: reading %d files ahead", begun)
    return begun
