"""What the cache holds for ComfyUI: clones out, bytes back, lingering noticed and taken back."""

from __future__ import annotations

import gc
import weakref

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Clip, Device, Loaded, Patcher, Vae  # noqa: E402
from fakes.comfy_host import admit, make_host, model_key  # noqa: E402

from comfy_nodes.parts import UnknownOutputError, make_part  # noqa: E402


def test_what_a_workflow_does_to_its_clones_does_not_reach_the_base() -> None:
    host = make_host()
    base, clip, vae = Patcher(), Clip(), Vae()
    resident = admit(host, "a", base, clip, vae)
    model, text_encoder, decoder = resident.hand_out()
    model.patches["lora"] = 1
    model.model_options["hook"] = 1
    text_encoder.layer_idx = -2
    decoder.patcher.patches["lora"] = 1
    decoder.scale = 4
    assert (base.patches, base.model_options, clip.layer_idx) == ({}, {}, None)
    assert (vae.patcher.patches, vae.scale) == ({}, 8)
    assert model.model is base.model
    assert decoder.first_stage_model is vae.first_stage_model


def test_a_checkpoint_without_clip_or_vae_hands_out_none_in_their_place() -> None:
    host = make_host()
    resident = admit(host, "a", Patcher(), None, None)
    assert resident.hand_out()[1:] == (None, None)


def test_an_output_of_an_unknown_kind_is_refused() -> None:
    with pytest.raises(UnknownOutputError, match="list"):
        make_part([])


def test_an_evicted_model_nobody_holds_is_gone_and_off_its_device() -> None:
    host = make_host()
    base = Patcher()
    management = host.adapter.management
    management.load_models_gpu([base])
    dead = weakref.ref(base.model)
    admit(host, "a", base)
    del base
    host.runtime.cache.erase(model_key("a"), "test")
    assert dead() is None
    assert management.current_loaded_models == []
    assert host.runtime.cache.stats()["lingering"] == 0


def test_eviction_leaves_other_models_on_their_device() -> None:
    host = make_host()
    other = Patcher()
    host.adapter.management.load_models_gpu([other])
    admit(host, "a", Patcher())
    host.runtime.cache.erase(model_key("a"), "test")
    assert other.model.loaded == 100


def test_a_model_that_a_workflow_still_holds_lingers_and_is_taken_back_whole() -> None:
    host = make_host()
    resident = admit(host, "a", Patcher(), Clip(), Vae())
    clones = resident.hand_out()
    before = [clone.patcher.model for clone in clones[1:]]
    host.runtime.cache.erase(model_key("a"), "test")
    assert host.runtime.cache.stats()["lingering"] == 1
    assert host.runtime.cache.record_use(model_key("a"))
    assert host.runtime.cache.stats()["lingering"] == 0
    again = resident.hand_out()
    assert [clone.patcher.model for clone in again[1:]] == before
    assert again[1].tokenizer is clones[1].tokenizer
    assert again[2].first_stage_model is clones[2].first_stage_model


def test_a_model_of_which_a_part_is_gone_is_not_taken_back() -> None:
    host = make_host()
    resident = admit(host, "a", Patcher(), Clip())
    model, text_encoder = resident.hand_out()
    host.runtime.cache.erase(model_key("a"), "test")
    del text_encoder
    gc.collect()
    assert not resident.reclaim()
    assert model.model in resident.modules()


def test_the_cache_learns_when_the_last_workflow_lets_go() -> None:
    host = make_host()
    clones = admit(host, "a", Patcher(), Vae()).hand_out()
    host.runtime.cache.erase(model_key("a"), "test")
    assert not host.models.has_changes
    del clones
    gc.collect()
    assert host.models.has_changes
    host.models.report_changes(host.runtime.cache)
    assert host.runtime.cache.stats()["lingering"] == 0
    assert host.runtime.kinds()[-1] == "lingering_gone"


def test_a_vae_whose_functions_hold_it_is_freed_rather_than_kept_for_taking_back() -> None:
    host = make_host()
    vae = Vae(closes_over_itself=True)
    dead = weakref.ref(vae.first_stage_model)
    admit(host, "a", vae)
    del vae
    host.runtime.cache.erase(model_key("a"), "test")
    gc.collect()
    assert dead() is None


def test_a_model_served_uncached_is_comfyuis_own() -> None:
    host = make_host(enabled=False)
    base = Patcher()
    host.adapter.management.load_models_gpu([base])
    resident = make_uncached(host, base)
    assert resident == (base,)
    assert base.model.loaded == 100
    assert host.adapter.management.current_loaded_models[0].model is base


def make_uncached(host: object, base: Patcher) -> tuple[object, ...]:
    from comfy_nodes.residents import ResidentModel

    key = model_key("a")
    resident = ResidentModel(key, [base], 100, host.models)  # type: ignore[attr-defined]
    handle = host.runtime.cache.acquire(key, lambda: (resident, {}))  # type: ignore[attr-defined]
    assert not handle.cached
    outputs: tuple[object, ...] = handle.value.surrender()
    handle.close()
    return outputs


def test_bytes_name_their_tier() -> None:
    host = make_host()
    base = Patcher()
    resident = admit(host, "a", base, Clip(Patcher(device=Device("cpu"))))
    assert resident.bytes() == {"mapped": 0, "anonymous": 200, "pinned": 0, "device": 0}
    base.model.loaded = 60
    assert resident.bytes() == {"mapped": 0, "anonymous": 140, "pinned": 0, "device": 60}


class DynamicPatcher(Patcher):
    """A patcher whose weights stay in the mapped file until they are used."""

    pins = 0

    def is_dynamic(self) -> bool:
        return True

    def loaded_ram_size(self) -> int:
        return self.pins


def test_what_comfyui_pinned_is_not_counted_as_mapped_as_well() -> None:
    host = make_host()
    base = DynamicPatcher()
    resident = admit(host, "a", base)
    assert resident.bytes()["mapped"] == 100
    base.pins = 30
    assert resident.bytes() == {"mapped": 70, "anonymous": 0, "pinned": 30, "device": 0}


def test_dead_entries_of_the_loaded_list_do_not_disturb_an_eviction() -> None:
    host = make_host()
    base = Patcher()
    management = host.adapter.management
    management.load_models_gpu([base])
    management.current_loaded_models.append(Loaded(Patcher()))
    admit(host, "a", base)
    host.runtime.cache.erase(model_key("a"), "test")
    assert base.model.loaded == 0


def test_a_loaded_model_whose_clones_died_together_is_the_bases_again() -> None:
    host = make_host()
    base = Patcher()
    management = host.adapter.management
    admit(host, "a", base)
    management.load_models_gpu([base.clone()])
    gc.collect()
    [entry] = management.current_loaded_models
    assert entry.model is None
    host.models.adopt_loaded()
    assert entry.model is base


def test_a_loaded_model_of_somebody_elses_is_left_alone() -> None:
    host = make_host()
    theirs = Patcher()
    management = host.adapter.management
    management.load_models_gpu([theirs.clone()])
    gc.collect()
    host.models.adopt_loaded()
    [entry] = management.current_loaded_models
    assert entry.model is None


def test_a_model_whose_clones_died_leaves_its_device_all_the_same() -> None:
    host = make_host()
    base = Patcher()
    management = host.adapter.management
    admit(host, "a", base)
    management.load_models_gpu([base.clone()])
    gc.collect()
    host.runtime.cache.erase(model_key("a"), "test")
    assert base.model.loaded == 0
    assert management.current_loaded_models == []
