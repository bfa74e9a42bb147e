"""Pinned copies that ComfyUI has made of models that are kept: idle ones give them back."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Device, Patcher  # noqa: E402
from fakes.comfy_host import admit, make_host  # noqa: E402

from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.use_recording import UseRecorder  # noqa: E402


class Dynamic(Patcher):
    """A patcher of dynamic VRAM, of which ComfyUI has pinned all that was used."""

    def __init__(self, module: Any = None, device: Any = None) -> None:
        super().__init__(module, device or Device("other"))
        self.model.diffusion_model = object()  # type: ignore[attr-defined]

    def is_dynamic(self) -> bool:
        return True

    def loaded_ram_size(self) -> int:
        return self.model.pinned  # type: ignore[attr-defined, no-any-return]

    def partially_unload_ram(self, wanted: float) -> int:
        freed, self.model.pinned = self.model.pinned, 0  # type: ignore[attr-defined]
        return int(freed)


def pinned(host: Any, name: str, pinned: int = 100) -> Dynamic:
    base = Dynamic()
    base.model.pinned = pinned  # type: ignore[attr-defined]
    admit(host, name, base)
    return base


def test_a_model_that_is_kept_idle_keeps_no_pinned_copy_of_comfyuis() -> None:
    host = make_host()
    idle, used = pinned(host, "a"), pinned(host, "b")
    management: Any = host.adapter.management
    recorder = UseRecorder(host, Arrivals(host))
    recorder.install(management, Seams())
    management.load_models_gpu([used.clone()])
    recorder.end_prompt()
    left = {view["name"]: view["bytes"]["pinned"] for view in host.runtime.cache.residents()}
    assert left == {"a": 0, "b": 100}
    assert idle.model.loaded == 0 and used.model.loaded == used.model.size


def test_a_gap_in_which_no_prompt_ended_takes_nothing() -> None:
    host = make_host()
    idle = pinned(host, "a")
    recorder = UseRecorder(host, Arrivals(host))
    recorder.end_prompt()
    assert idle.loaded_ram_size() == 100
