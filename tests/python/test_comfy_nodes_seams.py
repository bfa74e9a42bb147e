"""What is found in a ComfyUI, and what is said to be missing."""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_host import make_host  # noqa: E402

from comfy_nodes import samplers  # noqa: E402
from comfy_nodes.adapter import ComfyAdapter  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402


def test_what_something_stands_in_for_is_not_found_and_not_missing() -> None:
    seams = Seams()
    assert not seams.record("gone", False)
    assert not seams.prefer("better", False)
    assert seams.prefer("there", True)
    assert seams.found == {"gone": False, "better": False, "there": True}
    assert seams.missing == ["gone"]


def test_a_place_is_found_by_its_module_and_all_that_hearth_takes_of_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    adapter = make_host().adapter
    assert not adapter.has("sampler_function")
    wrappers: Any = SimpleNamespace(WrappersMP=SimpleNamespace(SAMPLER_SAMPLE="sampler_sample"))
    monkeypatch.setitem(sys.modules, "comfy.patcher_extension", wrappers)
    assert not adapter.has("sampler_function")
    patcher: Any = SimpleNamespace(ModelPatcher=SimpleNamespace(add_wrapper_with_key=print))
    monkeypatch.setitem(sys.modules, "comfy.model_patcher", patcher)
    assert adapter.has("sampler_function")
    assert not adapter.has("diffusion_forward")
    seams = Seams()
    adapter.record_seams(seams)
    assert seams.found["sampler_function"]
    assert "diffusion_forward" in seams.missing
    assert "sampler_progress" not in seams.missing


def test_a_comfyui_without_wrappers_of_samplers_has_no_native_steps(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    host = make_host()
    monkeypatch.setattr(ComfyAdapter, "from_comfy", classmethod(lambda cls: host.adapter))
    monkeypatch.setitem(sys.modules, "hearth.sampling", SimpleNamespace())  # type: ignore[arg-type]
    samplers._native_functions.cache_clear()
    try:
        assert samplers.native_names() == ()
    finally:
        samplers._native_functions.cache_clear()
