"""hearth put together: what a prompt held up goes on; a start that fails leaves stock loaders."""

from __future__ import annotations

import sys
import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Patcher, PromptQueue  # noqa: E402
from fakes.comfy_host import make_host  # noqa: E402

from comfy_nodes import composition, startup  # noqa: E402
from comfy_nodes.node_cache import ComfyNodeCache  # noqa: E402
from comfy_nodes.nodes.service import StockService  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402

_TAKES_ANYTHING = (
    *("ConfigFile", "Engine", "NodeTexts", "OutOfMemory", "KeeperLink", "Reports", "Routes"),
    *("LogBridge", "Prefetch", "Clock", "LiveService"),
)


class Anything:
    """Takes the place of a part that has no say here."""

    def __init__(self, *_: Any) -> None:
        self.folders: list[Path] = []
        self.paths = self

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


class CheckpointLoaderSimple:
    """A stock loader."""

    FUNCTION = "load_checkpoint"

    def load_checkpoint(self, ckpt_name: str) -> str:
        return ckpt_name


def test_registering_that_waited_for_a_prompt_goes_on_after_it() -> None:
    host, registered = make_host(), threading.Event()
    seams, queue = Seams(), PromptQueue()
    node_cache = ComfyNodeCache()
    between = composition._watch_worker(host, node_cache, seams, Anything(), Anything())
    between.install(queue, seams)
    sampling = Patcher()
    sampling.model.diffusion_model = object()  # type: ignore[attr-defined]
    queue.put((1, "prompt"))
    assert queue.get(timeout=0) is not None
    host.adapter.management.load_models_gpu([sampling])  # type: ignore[attr-defined]
    file = SimpleNamespace(register=lambda max_seconds: registered.set() or 0)
    threading.Thread(target=host.supply.work.register, args=(file,), daemon=True).start()
    assert not registered.is_set()
    queue.get_flags()
    assert registered.wait(60)


@pytest.mark.parametrize("broken", ["Routes", "Prefetch", "_at_exit", "_say"])
def test_the_loaders_are_comfyuis_own_whatever_fails_at_the_start(
    monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("planted")

    for name in _TAKES_ANYTHING:
        monkeypatch.setattr(composition, name, Anything)
    for name in ("_watch_worker", "_make_prewarm"):
        monkeypatch.setattr(composition, name, lambda *_: Anything())
    for name in ("_register_ahead", "_at_exit", "_say"):
        monkeypatch.setattr(composition, name, lambda *_: None)
    monkeypatch.setattr(composition, "_make_host", lambda *_: make_host())
    monkeypatch.setattr(composition, broken, fail)
    nodes = SimpleNamespace(NODE_CLASS_MAPPINGS={"CheckpointLoaderSimple": CheckpointLoaderSimple})
    server = SimpleNamespace(PromptServer=SimpleNamespace(instance=Anything()))
    for module, stand_in in {"nodes": nodes, "server": server, "execution": Anything()}.items():
        monkeypatch.setitem(sys.modules, module, stand_in)  # type: ignore[arg-type]
    before = dict(vars(CheckpointLoaderSimple))
    service = startup.start(Path(composition.__file__).parents[1])
    assert isinstance(service, StockService)
    assert dict(vars(CheckpointLoaderSimple)) == before
