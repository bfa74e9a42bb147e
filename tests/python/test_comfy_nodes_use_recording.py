"""Use is what works, not what is asked for; arrivals are told once."""

from __future__ import annotations

from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Clip, Device, Patcher  # noqa: E402
from fakes.comfy_host import admit, make_host, model_key  # noqa: E402

from comfy_nodes.arrivals import Arrivals  # noqa: E402
from comfy_nodes.host import Host  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.use_recording import UseRecorder  # noqa: E402


def install(host: Host) -> tuple[Any, Arrivals]:
    arrivals = Arrivals(host)
    UseRecorder(host, arrivals).install(host.adapter.management, Seams())
    return host.adapter.management, arrivals


def test_twenty_uses_of_one_model_make_the_other_the_victim() -> None:
    host = make_host(max_models=2)
    first, second = Patcher(), Patcher()
    admit(host, "a", first)
    admit(host, "b", second)
    management, _ = install(host)
    for _ in range(20):
        management.load_models_gpu([first.clone()])
        host.scope.end()
    admit(host, "c", Patcher())
    assert host.runtime.last("evicted")["model"] == "b"


def test_a_lingering_model_that_works_is_resident_again() -> None:
    host = make_host()
    clone = admit(host, "a", Patcher()).hand_out()[0]
    management, _ = install(host)
    host.runtime.cache.erase(model_key("a"), "test")
    management.load_models_gpu([clone])
    stats = host.runtime.cache.stats()
    assert (stats["resident"], stats["lingering"], stats["in_use"]) == (1, 0, 1)


def test_models_of_others_pass_unrecorded() -> None:
    host = make_host()
    management, _ = install(host)
    management.load_models_gpu(models=[Patcher()], memory_required=5)
    assert host.runtime.cache.events() == []


def test_a_failing_load_stays_comfyuis_own_error() -> None:
    host = make_host()
    base = Patcher()
    admit(host, "a", base)

    def fail(models: Any) -> None:
        raise MemoryError("no room")

    wrapped = UseRecorder(host, Arrivals(host)).wrap(fail)
    with pytest.raises(MemoryError, match="no room"):
        wrapped([base])


def test_trouble_with_recording_does_not_reach_the_prompt() -> None:
    host = make_host()
    management, _ = install(host)
    base = Patcher()
    admit(host, "a", base)
    base.loaded_size = None  # type: ignore[assignment, method-assign]
    management.load_models_gpu([base])
    assert base.model.loaded == 100


def test_weights_that_arrive_are_told_once_with_bytes_and_asker() -> None:
    host = make_host()
    base = Patcher()
    admit(host, "a", base)
    management, _ = install(host)
    for _ in range(3):
        management.load_models_gpu([base.clone()])
    assert host.runtime.kinds().count("weights_arrived") == 1
    event = host.runtime.last("weights_arrived")
    assert (event["node"], event["prompt"], event["bytes"]["device"]) == ("7", "prompt", 100)
    assert host.runtime.cache.residents()[0]["bytes"]["device"] == 100


def test_a_model_on_the_host_is_not_said_to_have_moved() -> None:
    host = make_host()
    clip = Clip(Patcher(device=Device("cpu")))
    admit(host, "a", clip)
    management, _ = install(host)
    management.load_models_gpu([clip.patcher])
    event = host.runtime.last("weights_arrived")
    assert "nothing to move" in event["reason"]
    assert event["bytes"] == {"mapped": 0, "anonymous": 100, "pinned": 0, "device": 0}


class LazyModule:
    """A text encoder whose weights move while it works."""

    def __init__(self) -> None:
        self.size, self.loaded = 100, 0

    def encode_token_weights(self, tokens: str) -> str:
        self.loaded = self.size
        return f"encoded {tokens}"


class LazyPatcher(Patcher):
    """Dynamic VRAM: load_models_gpu() prepares, the first pass moves."""

    def is_dynamic(self) -> bool:
        return True

    def loaded_ram_size(self) -> int:
        return 0


def test_with_dynamic_vram_the_first_pass_is_what_is_timed() -> None:
    host = make_host()
    module = LazyModule()
    base = LazyPatcher(module, Device("other"))  # type: ignore[arg-type]
    clip = Clip(base)
    admit(host, "a", clip)
    management, arrivals = install(host)
    management.load_models_gpu = UseRecorder(host, arrivals).wrap(lambda models: None)
    management.load_models_gpu([base])
    assert "weights_arrived" not in host.runtime.kinds()
    assert module.encode_token_weights("x") == "encoded x"
    assert vars(module).keys() == {"size", "loaded"}
    module.loaded = 3  # what happens after the pass is no part of it
    arrivals.settle()
    event = host.runtime.last("weights_arrived")
    assert event["bytes"]["device"] == 100
    assert "first pass" in event["reason"]
