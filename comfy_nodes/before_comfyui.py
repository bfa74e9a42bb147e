"""What is done before ComfyUI imports torch. Nothing here may import it, or a node of ComfyUI."""

from __future__ import annotations

import logging
import os
import sys
from pathlib import Path

_LOG = logging.getLogger("hearth")


def read_ahead(repository: Path) -> int:
    """Begins to read the files of the config's prewarm; returns how many. Never throws: whatever
    is wrong is said when hearth starts."""
    if os.environ.get("HEARTH_DISABLE") == "1" or not sys.platform.startswith("linux"):
        return 0
    try:
        return _read_ahead(repository)
    except Exception as error:
        _LOG.debug("nothing is read ahead: %s", error)
        return 0


def _read_ahead(repository: Path) -> int:
    from .startup import make_importable

    make_importable(repository)
    import hearth

    from .ahead import files_of_config, read_files
    from .config_file import find_sources, places_around, read_text

    runtime = hearth.runtime()
    sources = find_sources(repository)
    source = next(each for each in sources if each.path.is_file())
    runtime.configure(read_text(source.path), source.label)
    paths = files_of_config(
        runtime.config, [*places_around(sources), repository / "examples" / "api"]
    )
    begun = read_files(runtime.host_tier, paths)
    if begun:
        _LOG.info("hearth: reading %d files ahead", begun)
    return begun
