"""Starts the ComfyUI of a variant, with all that is to be there before its first request."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from benchmarks.harness.client import ComfyClient, Graph
from benchmarks.harness.comfy_server import (
    REPOSITORY,
    SPY_PACK,
    ComfyServer,
    ServerSpec,
    find_comfy,
)
from benchmarks.harness.hearth_face import HearthConfig, HearthFace
from benchmarks.rows import page_cache
from benchmarks.rows.kept_pages import kept
from benchmarks.rows.session import Session
from benchmarks.rows.variants import Variant

PageCache = Literal["cold", "warm", "as_is", "kept"]
# A cold disk has its say in it.
_SECONDS_TO_READY = 300.0
_POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Setting:
    """Where and on what all variants run; `graphs` by letter."""

    graphs: Mapping[str, Graph]
    models: Path
    out: Path
    page_cache: PageCache = "warm"
    """Before each start: models are dropped from it, read into it, or neither; or hearth's keeper
    has them locked, and ComfyUI's hearth uses it."""
    cpu: bool = False
    flags: tuple[str, ...] = ()
    """For ComfyUI, in every variant."""
    packs: Mapping[str, Path] = field(default_factory=dict)
    """Node packs by the folder that they are linked to, in every variant."""


def start_once(setting: Setting, variant: Variant) -> None:
    """A start that does not count: from then on Python's byte code and libraries are at hand,
    whoever comes first."""
    with ComfyServer(_spec(replace(setting, page_cache="as_is"), variant)):
        pass


@contextmanager
def running(setting: Setting, variant: Variant) -> Iterator[Session]:
    """A ComfyUI that is ready; it ends with the block."""
    if setting.page_cache in ("cold", "warm"):
        (page_cache.drop if setting.page_cache == "cold" else page_cache.fill)(setting.models)
    with kept(setting.models) if setting.page_cache == "kept" else nullcontext():
        started = time.monotonic()
        with ComfyServer(_spec(setting, variant)) as server:
            answered = time.monotonic() - started
            ready = _seconds_until_ready(server, started) if variant.has_hearth else answered
            yield Session(variant, server, dict(setting.graphs), answered, ready)


def _spec(setting: Setting, variant: Variant) -> ServerSpec:
    base = (setting.out / variant.name).resolve()
    base.mkdir(parents=True, exist_ok=True)
    packs = {"spy": SPY_PACK, **setting.packs}
    environment = dict(variant.environment)
    if variant.config is not None:
        config = HearthConfig(base / "hearth.json")
        config.write(_config(setting, variant))
        packs["hearth"] = REPOSITORY
        environment["HEARTH_CONFIG"] = str(config.path)
    flags = (*(("--cpu",) if setting.cpu else ()), *setting.flags, *variant.flags)
    models = setting.models.resolve()
    return ServerSpec(find_comfy(), base, models, packs=packs, flags=flags, env=environment)


def _config(setting: Setting, variant: Variant) -> dict[str, Any]:
    prewarm = _prewarm(setting) if variant.prewarm else {}
    keeper = {"keeper": {"enabled": True}} if setting.page_cache == "kept" else {}
    return {**(variant.config or {}), **prewarm, **keeper}


def _prewarm(setting: Setting) -> dict[str, Any]:
    """Workflow A as a whole, of B, where there is one, the diffusion model."""
    workflow = setting.out / "prewarm.json"
    workflow.write_text(json.dumps(setting.graphs["A"]), encoding="utf-8")
    models = [
        str(node["inputs"]["unet_name"])
        for node in setting.graphs.get("B", {}).values()
        if node["class_type"] == "UNETLoader"
    ]
    return {"prewarm": {"workflows": [str(workflow.resolve())], "models": models}}


def _seconds_until_ready(server: ComfyServer, started: float) -> float:
    face = HearthFace(ComfyClient(server.url))
    while not face.is_ready():
        if time.monotonic() - started > _SECONDS_TO_READY:
            raise TimeoutError(f"hearth was not ready within {_SECONDS_TO_READY:.0f} s")
        time.sleep(_POLL_SECONDS)
    return time.monotonic() - started
