"""Composes hearth inside a ComfyUI process."""

from __future__ import annotations

import atexit
import contextlib
import importlib
import logging
import os
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import hearth

from .adapter import ComfyAdapter
from .ahead import files_of_config, register_files
from .arrivals import Arrivals
from .between_prompts import BetweenPrompts
from .clock import Clock
from .config_file import ConfigFile, find_sources, has_system_directories
from .engine_service import Engine
from .file_check import native_check
from .host import Host
from .host_supply import HostSupply
from .keeper_link import KeeperLink
from .log_bridge import LogBridge
from .node_cache import ComfyNodeCache
from .node_service import LiveService
from .node_text import NodeTexts
from .nodes.service import NodeService
from .nodes.v3 import find_api
from .oom import OutOfMemory
from .prefetch import Prefetch
from .prewarm import Prewarm
from .prewarm_run import PrewarmRunner
from .prompt_scope import AskerProbe, PromptScope
from .reports import Reports
from .residents import ResidentModels
from .routes import Routes
from .seams import Seams
from .settings import Settings
from .startup_objects import StartupObjects
from .transparent import TransparentLoaders
from .use_recording import UseRecorder

_LOG = logging.getLogger("hearth")
# What the end of ComfyUI may be held up by; the process gives all memory back in any case.
_SECONDS_TO_END = 10.0


def compose(repository: Path) -> NodeService:
    """Makes everything in the order in which it depends on the rest. The loaders are wrapped last:
    a failure before leaves them ComfyUI's own. Returns what hearth's nodes ask."""
    seams = Seams()
    node_cache = ComfyNodeCache()
    host = _make_host(seams, node_cache)
    config = ConfigFile(host.runtime, host.settings, find_sources(repository))
    config.load()
    node_cache.install(importlib.import_module("execution"), seams)
    config.follow(host.supply.follow)
    seams.note("weights", host.supply.path)
    log = LogBridge(host.runtime, host.settings)
    config.follow(log.follow)
    server = sys.modules["server"].PromptServer.instance
    texts = NodeTexts(host, server)
    OutOfMemory(host, texts).install(importlib.import_module("execution"), seams)
    engine = Engine(host)
    between = _watch_worker(host, node_cache, seams, log, engine)
    workflows = [*config.folders, repository / "examples" / "api"]
    prewarm = _make_prewarm(host, node_cache, seams, workflows)
    if between.install(server.prompt_queue, seams):
        between.when_idle(prewarm)
    else:
        prewarm.give_up("this ComfyUI's queue is unfamiliar, nothing can run between prompts")
    keeper = KeeperLink(host.runtime.host_tier, host.models, workflows)
    reports = Reports(host.runtime, seams, config, prewarm, host.adapter.version())
    reports.show_weights(host.supply.report)
    reports.show_too(keeper=keeper.report, engine=engine.paths.report)
    Routes(host, reports, prewarm, config).install(server.routes, seams)
    seams.record("native_file_check", native_check() is not None)
    seams.record("node_api_v3", find_api() is not None)
    _register_ahead(host, workflows)
    prefetch = Prefetch(host.runtime, host.settings, server.prompt_queue)
    clock = Clock(host.runtime, host.models, config, log, prefetch)
    clock.start()
    _at_exit(host, clock, log, keeper)
    loaders = TransparentLoaders(host)
    service = LiveService(host, loaders, _node_classes(), engine, texts)
    _begin(loaders, seams, config, (prewarm, keeper))
    return service


def _begin(
    loaders: TransparentLoaders, seams: Seams, config: ConfigFile, followers: Iterable[Any]
) -> None:
    with _unwrapped_after_a_failure(loaders):
        loaders.install(_node_classes(), seams)
        for each in followers:
            config.follow(each.follow)
        _say(seams)


@contextlib.contextmanager
def _unwrapped_after_a_failure(loaders: TransparentLoaders) -> Iterator[None]:
    """Who starts us says of a failure that the loaders are ComfyUI's own; this makes it so."""
    try:
        yield
    except BaseException:
        loaders.uninstall()
        raise


def _make_host(seams: Seams, node_cache: ComfyNodeCache) -> Host:
    runtime = hearth.runtime()
    adapter = ComfyAdapter.from_comfy()
    runtime.set_active_headroom(adapter.active_headroom())
    _record_what_is_used_later(seams, adapter)
    return Host(
        runtime=runtime,
        adapter=adapter,
        settings=Settings(),
        models=ResidentModels(adapter, node_cache),
        scope=PromptScope(runtime.cache),
        asker=AskerProbe(seams),
        supply=HostSupply(adapter, runtime.host_tier),
    )


def _record_what_is_used_later(seams: Seams, adapter: ComfyAdapter) -> None:
    """Seams that are looked for again whenever they are used, for the report."""
    adapter.record_seams(seams)
    server = sys.modules["server"].PromptServer.instance
    seams.record("node_texts", callable(getattr(server, "send_progress_text", None)))
    seams.prefer("renamed_nodes", hasattr(server, "node_replace_manager"))
    folder_paths = importlib.import_module("folder_paths")
    seams.prefer("system_directories", has_system_directories(folder_paths))


def _watch_worker(
    host: Host, node_cache: ComfyNodeCache, seams: Seams, log: LogBridge, engine: Engine
) -> BetweenPrompts:
    arrivals = Arrivals(host)
    uses = UseRecorder(host, arrivals, engine.give_way)
    uses.install(host.adapter.management, seams)
    between = BetweenPrompts(host, arrivals, node_cache)
    between.at_each_gap(uses.end_prompt)
    between.at_each_gap(log.drain)
    between.at_each_gap(host.runtime.host_tier.tidy)
    between.before_each_wait(StartupObjects(host.settings, node_cache.renew_unused).set_aside)
    return between


def _make_prewarm(
    host: Host, node_cache: ComfyNodeCache, seams: Seams, folders: list[Path]
) -> Prewarm:
    server = sys.modules["server"].PromptServer.instance
    validate = getattr(importlib.import_module("execution"), "validate_inputs", None)
    seams.record("prewarm", callable(validate) and seams.found["node_cache"])
    return Prewarm(host, PrewarmRunner(validate, server, node_cache), _node_classes(), folders)


def _register_ahead(host: Host, folders: list[Path]) -> None:
    """What was read since ComfyUI's start is registered while the rest of ComfyUI starts."""
    if not host.supply.uses_pins:
        return
    tier, paths = host.runtime.host_tier, files_of_config(host.runtime.config, folders)
    wanted = (tier, paths, host.supply.work.register)
    work = threading.Thread(
        target=register_files, args=wanted, name="hearth registering", daemon=True
    )
    work.start()


def _node_classes() -> dict[str, Any]:
    classes: dict[str, Any] = sys.modules["nodes"].NODE_CLASS_MAPPINGS
    return classes


def _at_exit(host: Host, clock: Clock, log: LogBridge, keeper: KeeperLink) -> None:
    """In this process alone: a child that some node forks has none of the threads to wait for."""
    atexit.register(_shut_down, host, clock, log, keeper)
    if hasattr(os, "register_at_fork"):
        os.register_at_fork(after_in_child=lambda: atexit.unregister(_shut_down))


def _shut_down(host: Host, clock: Clock, log: LogBridge, keeper: KeeperLink) -> None:
    clock.stop()
    keeper.end(let_go=host.settings.unload_on_exit)
    if host.settings.unload_on_exit:
        _release_on_worker(host)
    if not host.gate.close(_SECONDS_TO_END):
        log.drain()
        _end_at_once()
    host.runtime.shutdown(False)
    log.drain()


def _end_at_once() -> None:
    """Ends the process while the worker is in native code: Python's own end would unwind it there
    and abort, and the end of the cache would wait for its load, however long that takes."""
    _LOG.warning("a model is still being loaded; ComfyUI ends without waiting for it")
    logging.shutdown()
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError):
            stream.flush()
    os._exit(0)


def _release_on_worker(host: Host) -> None:
    """Has the worker give everything back and waits for it; ComfyUI's memory code is his alone."""
    done = threading.Event()

    def release() -> None:
        host.runtime.cache.shutdown(True)
        done.set()

    if host.runtime.executor.post(release) and not done.wait(_SECONDS_TO_END):
        _LOG.info("a prompt still runs; its models go with the process")


def _say(seams: Seams) -> None:
    _LOG.info("weights go by %s", seams.notes["weights"])
    if seams.missing:
        _LOG.warning("%s runs without: %s", hearth.__version__, ", ".join(seams.missing))
    else:
        _LOG.info("%s keeps the models of the stock loaders warm", hearth.__version__)
