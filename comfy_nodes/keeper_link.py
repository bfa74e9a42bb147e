"""Tells the keeper what this ComfyUI holds, from a thread of its own; nothing here waits for it."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hearth import keeper
from hearth.errors import KeeperError

from .ahead import SAFETENSORS, files_of_config
from .residents import ResidentModels

_LOG = logging.getLogger("hearth")
_LOOK_SECONDS = 1.0
# Of ComfyUI's end; what is not said by then the end of the connection says.
_SECONDS_TO_END = 2.0

Json = dict[str, Any]


class KeeperLink:
    """The connection to the keeper while `keeper.enabled`. It starts a keeper once where none runs;
    one that ends later is not started again, because somebody may have wanted that."""

    def __init__(self, tier: Any, models: ResidentModels, folders: list[Path]) -> None:
        self._tier = tier
        self._models = models
        self._folders = folders
        self._enabled = False
        self._configured: list[str] = []
        self._wake = threading.Event()
        self._ending = threading.Event()
        self._thread: threading.Thread | None = None
        # Of the thread alone, but for being read:
        self._connection: keeper.Connection | None = None
        self._declared: Json | None = None
        self._has_started_one = False
        self._why_not_started = ""
        self._told: set[str] = set()
        self._state: Json = {"state": "off"}

    def follow(self, config: Mapping[str, Any]) -> None:
        """Takes up `keeper.enabled` and the files that the config names."""
        self._enabled = bool(config["keeper"]["enabled"])
        self._configured = files_of_config(config, self._folders) if self._enabled else []
        if self._enabled and self._thread is None:
            self._thread = threading.Thread(target=self._run, name="hearth keeper", daemon=True)
            self._thread.start()
        self._wake.set()

    def report(self) -> Json:
        """For people: whether there is a keeper, and what it keeps."""
        return {"enabled": self._enabled, **self._state}

    def end(self, *, let_go: bool) -> None:
        """Ends the connection; `let_go`: the keeper is not to keep what this ComfyUI held."""
        if self._thread is None:
            return
        if let_go:
            self._enabled = False
        self._ending.set()
        self._wake.set()
        self._thread.join(timeout=_SECONDS_TO_END)

    def _run(self) -> None:
        while True:
            try:
                self._look()
            except Exception:
                _LOG.exception("the keeper's thread failed once")
            if self._ending.is_set():
                self._hang_up()
                return
            self._wake.wait(_LOOK_SECONDS)
            self._wake.clear()

    def _look(self) -> None:
        try:
            if not self._enabled:
                self._leave()
            elif not self._ending.is_set():
                self._connect()
                self._tell()
        except KeeperError as error:
            self._hang_up()
            reason = self._why_not_started or str(error)
            if self._state["state"] != "missing":  # told; why it cannot be reached may change
                self._say_once(f"no keeper: {reason}")
            self._state = {"state": "missing", "reason": reason}

    def _connect(self) -> None:
        if self._connection is not None:
            return
        if not self._has_started_one:
            self._has_started_one = True
            self._state = {"state": "starting"}
            try:
                process = keeper.start()
            except KeeperError as error:
                self._why_not_started = str(error)
                raise
            _LOG.info("the keeper (process %d) keeps files for the next start", process)
        self._connection = keeper.connect()
        self._why_not_started = ""

    def _tell(self) -> None:
        assert self._connection is not None
        wanted = self._holdings()
        if wanted == self._declared:
            status = self._connection.status()
        else:
            answer = self._connection.declare(**wanted)
            self._declared, status = wanted, answer["status"]
            for refused in answer["refused"]:
                self._say_once(f"a file is not kept: {refused['reason']}")
        if status["advice"]:
            self._say_once(f"the keeper cannot lock everything: {status['advice']}")
        self._state = {"state": "connected", **status}

    def _leave(self) -> None:
        if self._connection is not None:
            self._connection.declare([])
            self._hang_up()
        self._has_started_one = False
        self._state = {"state": "off"}

    def _hang_up(self) -> None:
        if self._connection is not None:
            self._connection.close()
        self._connection = self._declared = None

    def _holdings(self) -> Json:
        """All files that are held, which of them are registered, and the limits in force."""
        stats = self._tier.stats()
        registered = {
            (file["identity"].device, file["identity"].inode)
            for file in stats["files"]
            if file["registered_bytes"] > 0
        }
        claims: dict[str, Json] = {}
        for path in (*self._configured, *self._models.paths()):
            claim = _claim(path)
            if claim is not None:
                claim["registered"] = (claim["device"], claim["inode"]) in registered
                claims[claim["path"]] = claim
        return {
            "claims": list(claims.values()),
            "max_bytes": stats["max_bytes"],
            "keep_free_bytes": stats["keep_free_bytes"],
        }

    def _say_once(self, line: str) -> None:
        if line not in self._told:
            self._told.add(line)
            _LOG.warning("%s", line)


def _claim(path: str) -> Json | None:
    """What is said of a file; None for one that is no model file, is gone, or has no textual
    name."""
    if not path.endswith(SAFETENSORS):
        return None
    try:
        path.encode("utf-8")
        return keeper.claim(os.path.realpath(path))
    except (OSError, ValueError):
        return None
