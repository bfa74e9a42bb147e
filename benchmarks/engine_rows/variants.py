"""The six ways, and two that are asked for by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from benchmarks.engine_rows.comfy_maker import ComfyMaker, compiled
from benchmarks.engine_rows.headless_maker import HeadlessMaker
from benchmarks.engine_rows.makers import Deadline, Maker
from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.listener import Listener
from benchmarks.harness.workflows import on_engine
from benchmarks.rows.starting import Setting, running
from benchmarks.rows.variants import VARIANTS as OF_COMFYUI
from benchmarks.rows.variants import Variant

Opened = AbstractContextManager[Maker]
_CUDNN_PACK = REPOSITORY / "benchmarks" / "harness" / "cudnn_pack"


@dataclass(frozen=True)
class Wanted:
    """What a variant is started with."""

    setting: Setting
    workflow: Path
    tokenizer: Path | None


def _comfyui(variant: Variant, wanted: Wanted, deadline: Deadline) -> Opened:
    @contextmanager
    def open_() -> Iterator[Maker]:
        setting = wanted.setting
        with running(setting, variant) as session, Listener(session.server.url) as listener:
            yield ComfyMaker(session, setting.graphs["A"], listener, deadline)

    return open_()


def _stock(wanted: Wanted, deadline: Deadline) -> Opened:
    return _comfyui(OF_COMFYUI["stock"], wanted, deadline)


def _cudnn(wanted: Wanted, deadline: Deadline) -> Opened:
    """What changes in an image when nothing but the attention's kernel does."""
    packs = {**wanted.setting.packs, "cudnn": _CUDNN_PACK}
    setting = replace(wanted.setting, packs=packs)
    variant = replace(OF_COMFYUI["stock"], name="cudnn")
    return _comfyui(variant, replace(wanted, setting=setting), deadline)


def _hearth(wanted: Wanted, deadline: Deadline) -> Opened:
    return _comfyui(replace(OF_COMFYUI["hearth_prewarmed"], name="hearth"), wanted, deadline)


def _engine(wanted: Wanted, deadline: Deadline) -> Opened:
    """hearth's engine as nodes of ComfyUI."""
    setting = replace(wanted.setting, graphs={"A": on_engine(wanted.setting.graphs["A"])})
    variant = replace(OF_COMFYUI["hearth_prewarmed"], name="engine")
    return _comfyui(variant, replace(wanted, setting=setting), deadline)


def _compiled(wanted: Wanted, deadline: Deadline) -> Opened:
    """Its compiler begins with an empty cache, or its first image would tell nothing."""
    cache = wanted.setting.out / "compiled" / "inductor"
    variant = Variant("compiled", environment={"TORCHINDUCTOR_CACHE_DIR": str(cache.resolve())})
    setting = replace(wanted.setting, graphs={"A": compiled(wanted.setting.graphs["A"])})
    return _comfyui(variant, replace(wanted, setting=setting), deadline)


def _headless(numbers: str) -> Callable[[Wanted, Deadline], Opened]:
    @contextmanager
    def open_(wanted: Wanted, deadline: Deadline) -> Iterator[Maker]:
        with HeadlessMaker(wanted.setting, wanted.workflow, wanted.tokenizer, deadline) as maker:
            maker.numbers = numbers
            yield maker

    return open_


VARIANTS: dict[str, Callable[[Wanted, Deadline], Opened]] = {
    "stock": _stock,
    "cudnn": _cudnn,
    "hearth": _hearth,
    "engine": _engine,
    "headless": _headless("fast"),
    "compiled": _compiled,
    "headless_parity": _headless("parity"),
    "headless_fp8": _headless("fp8"),
}
DEFAULT = ("stock", "cudnn", "headless", "hearth", "engine", "compiled")
"""What may fail comes last."""
