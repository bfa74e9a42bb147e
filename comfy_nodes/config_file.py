"""Which config file counts, and noticing that it changed.

HEARTH_CONFIG names one; else hearth.json in ComfyUI's user directory; else the shipped default.
"""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hearth.text_files import read_config

from .settings import Settings

_LOG = logging.getLogger("hearth")
_NAME = "hearth.json"

Stamp = tuple[tuple[int, int, int] | None, ...]


@dataclass(frozen=True)
class Source:
    """A place where a config may lie; the label is for people and says no path."""

    label: str
    path: Path
    required: bool = False


def find_sources(repository: Path) -> list[Source]:
    """The places in the order in which they count."""
    sources: list[Source] = []
    named = os.environ.get("HEARTH_CONFIG")
    if named:
        sources.append(Source("HEARTH_CONFIG", Path(named), required=True))
    user = _user_directory()
    if user is not None:
        sources.append(Source("user directory", user / _NAME))
    return [*sources, Source("shipped default", repository / "config" / _NAME)]


def has_system_directories(folder_paths: Any) -> bool:
    """Whether this ComfyUI has folders for packs that it shows to no client: `user/__hearth`."""
    return hasattr(folder_paths, "get_system_user_directory")


def _user_directory() -> Path | None:
    try:
        folder_paths = importlib.import_module("folder_paths")
        if has_system_directories(folder_paths):
            return Path(folder_paths.get_system_user_directory("hearth"))
        return Path(folder_paths.get_user_directory()) / "hearth"
    except (ImportError, AttributeError, ValueError):
        return None


def places_around(sources: list[Source]) -> list[Path]:
    """The folders of the configs, then ComfyUI's user directory."""
    beside = [source.path.parent for source in sources]
    user = _user_directory()
    return beside if user is None else [*beside, user.parent]


class ConfigFile:
    """Reads the config that counts into the runtime, again whenever it changed."""

    def __init__(self, runtime: Any, settings: Settings, sources: list[Source]) -> None:
        self._runtime = runtime
        self._settings = settings
        self._sources = sources
        self._stamp: Stamp | None = None
        self._followers: list[Callable[[dict[str, Any]], None]] = []
        self._faults: list[dict[str, Any]] = []

    @property
    def folders(self) -> list[Path]:
        """Where a file that a config names is looked for: beside the configs, then around them."""
        return places_around(self._sources)

    def follow(self, take_up: Callable[[dict[str, Any]], None]) -> None:
        """Has `take_up` called with the values in force, now and after every change."""
        self._followers.append(take_up)
        take_up(self._runtime.config)

    @property
    def changed(self) -> bool:
        """Whether a file appeared, went or was written since the last load()."""
        return self._stamp != self._stamp_now()

    @property
    def faults(self) -> list[dict[str, Any]]:
        """What is wrong with the files, also while a config from elsewhere is in force; the values
        in force are then not theirs."""
        return list(self._faults)

    def load(self) -> bool:
        """Puts the config in force; False when it has faults. Never throws for a bad file."""
        self._stamp = self._stamp_now()
        source, self._faults = self._configure()
        self._tell()
        if source is not None:
            self._report(source)
        return not self._faults

    def _configure(self) -> tuple[Source | None, list[dict[str, Any]]]:
        """Gives the runtime the first config that there is. That one, if it could be read, and the
        faults of it and of the places before it."""
        faults: list[dict[str, Any]] = []
        for source in self._sources:
            try:
                text = read_config(source.path)
            except FileNotFoundError:
                if source.required:
                    faults.append(
                        _complain(source, "the file does not exist; the next place counts")
                    )
                continue
            except (OSError, ValueError) as error:
                problem = error.strerror if isinstance(error, OSError) else str(error)
                faults.append(_complain(source, f"{problem}; the values in force stay as they are"))
                break
            self._runtime.configure(text, source.label)
            return source, [*faults, *self._runtime.config_faults]
        return None, faults

    def put_in_force(self, text: str, label: str) -> bool:
        """Takes a config from elsewhere, until a file changes; False when it has faults."""
        good = bool(self._runtime.configure(text, label))
        self._tell()
        if good:
            _LOG.info("config from %s in force", label)
        return good

    def _tell(self) -> None:
        config = self._runtime.config
        self._settings.refresh(config)
        for take_up in self._followers:
            take_up(config)

    def _report(self, source: Source) -> None:
        lines = [_fault_line(fault) for fault in self._runtime.config_faults]
        if not lines:
            _LOG.info("config from %s (%s) in force", source.label, source.path)
            return
        message = "config from %s (%s) has faults; the values in force stay as they are:\n%s"
        _LOG.warning(message, source.label, source.path, "\n".join(lines))

    def _stamp_now(self) -> Stamp:
        return tuple(_stamp(source.path) for source in self._sources)


def _stamp(path: Path) -> tuple[int, int, int] | None:
    try:
        state = path.stat()
    except FileNotFoundError:
        return None
    except OSError as error:  # a link to itself, or nothing that one may look at
        return (-(error.errno or 0), 0, 0)
    return (state.st_size, state.st_mtime_ns, state.st_ino)


def _complain(source: Source, problem: str) -> dict[str, Any]:
    """The fault of a config of which nothing could be read, which the log has then, too."""
    _LOG.warning("config from %s (%s): %s", source.label, source.path, problem)
    message = f"{source.label}: {problem}"
    return {"pointer": "", "value": "", "message": message, "nearest": None}


def _fault_line(fault: dict[str, Any]) -> str:
    return f"  {fault['pointer'] or '/'}: {fault['message']}"


def when_changed(config: ConfigFile, post: Callable[[str, Callable[[], Any]], None]) -> None:
    """Has the config loaded on the executor's thread if its files changed."""
    if config.changed:
        post("config", config.load)
