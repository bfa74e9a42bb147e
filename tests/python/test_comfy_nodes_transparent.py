"""The stock loaders through the cache: one key per model, stock whenever in doubt."""

from __future__ import annotations

import os
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Device, FolderPaths, Patcher  # noqa: E402
from fakes.comfy_host import make_host  # noqa: E402
from fakes.comfy_loaders import Loads  # noqa: E402

from comfy_nodes import stock_loaders, transparent  # noqa: E402
from comfy_nodes.host import Host  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.transparent import TransparentLoaders  # noqa: E402


@pytest.fixture
def folders(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Path]:
    names = ("checkpoints", "diffusion_models", "text_encoders", "vae", "vae_approx")
    made = {name: tmp_path / name for name in names}
    for folder in made.values():
        folder.mkdir()
        for name in ("a.safetensors", "b.safetensors"):
            (folder / name).write_bytes(b"12345678")
    monkeypatch.setitem(sys.modules, "folder_paths", FolderPaths(made))  # type: ignore[arg-type]
    monkeypatch.setattr(transparent, "refuse_if_corrupt", lambda path: None)
    return made


def install(host: Host) -> tuple[Loads, Any]:
    loads = Loads()
    hook = TransparentLoaders(host)
    hook.install(loads.classes, Seams())
    return loads, hook


def test_a_second_call_reads_nothing_and_gets_other_clones(folders: dict[str, Path]) -> None:
    host = make_host()
    loads, _ = install(host)
    loader = loads.classes["CheckpointLoaderSimple"]()
    first = loader.load_checkpoint("a.safetensors")
    second = loader.load_checkpoint(ckpt_name="a.safetensors")
    assert loads.read == ["a.safetensors"]
    assert first[0] is not second[0]
    assert first[0].model is second[0].model


def test_defaults_spelt_out_or_not_are_one_model_and_other_options_another(
    folders: dict[str, Path],
) -> None:
    loads, _ = install(make_host())
    loader = loads.classes["UNETLoader"]()
    loader.load_unet("a.safetensors")
    loader.load_unet("a.safetensors", "default")
    loader.load_unet(weight_dtype="default", unet_name="a.safetensors")
    assert len(loads.read) == 1
    loader.load_unet("a.safetensors", "fp8")
    assert len(loads.read) == 2


def test_a_subclass_shares_with_its_stock_class(folders: dict[str, Path]) -> None:
    loads, _ = install(make_host())
    stock = loads.classes["UNETLoader"]
    inherited = type("Other", (stock,), {})
    stock().load_unet("a.safetensors")
    inherited().load_unet("a.safetensors")
    assert len(loads.read) == 1


def test_a_loader_that_another_pack_has_wrapped_is_served_all_the_same(
    folders: dict[str, Path],
) -> None:
    host, loads = make_host(), Loads()
    loader: Any = loads.classes["UNETLoader"]
    stock = loader.load_unet

    def load_anything(*args: Any, **kwargs: Any) -> Any:  # without functools.wraps
        return stock(*args, **kwargs)

    loader.load_unet = load_anything
    TransparentLoaders(host).install(loads.classes, Seams())
    for _ in range(2):
        loader().load_unet(unet_name="a.safetensors", weight_dtype="default")
    assert loads.read == ["a.safetensors"]
    loader().load_unet("a.safetensors", weight_dtype="default")
    assert loads.read == ["a.safetensors"] * 2
    assert "which input is which" in host.runtime.last("fell_back")["reason"]


def test_another_device_is_another_model(folders: dict[str, Path]) -> None:
    host = make_host()
    loads, _ = install(host)
    loader = loads.classes["UNETLoader"]()
    loader.load_unet("a.safetensors")
    host.adapter.management.text_encoder = Device("cpu")
    loader.load_unet("a.safetensors")
    assert len(loads.read) == 2


def test_a_replaced_file_is_read_again_and_the_check_shows_it(folders: dict[str, Path]) -> None:
    loads, _ = install(make_host())
    owner: Any = loads.classes["UNETLoader"]
    path = folders["diffusion_models"] / "a.safetensors"
    owner().load_unet("a.safetensors")
    before = owner.IS_CHANGED(unet_name="a.safetensors", weight_dtype="default")
    assert before == owner.IS_CHANGED(unet_name="a.safetensors", weight_dtype="default")
    assert str(path.stat().st_ino) not in before and len(before) == 16  # it goes into images
    fresh = path.with_suffix(".new")
    fresh.write_bytes(b"87654321")
    os.replace(fresh, path)
    assert before != owner.IS_CHANGED(unet_name="a.safetensors", weight_dtype="default")
    owner().load_unet("a.safetensors")
    assert len(loads.read) == 2


@pytest.mark.parametrize("changed", ["vae/a.safetensors", "vae_approx/b.safetensors"])
def test_the_check_of_a_linked_name_shows_a_change_of_any_file_that_is_listed(
    folders: dict[str, Path], changed: str
) -> None:
    loads, hook = install(make_host())
    owner: Any = loads.classes["VAELoader"]
    before = owner.IS_CHANGED(vae_name=None)
    assert before
    assert before == owner.IS_CHANGED(vae_name=None) == hook.stamp("VAELoader", {"vae_name": None})
    (folders["vae"].parent / changed).write_bytes(b"longer than it was")
    assert before != owner.IS_CHANGED(vae_name=None)


def test_of_two_names_the_one_that_is_known_is_the_only_file_looked_at(
    folders: dict[str, Path],
) -> None:
    loads, _ = install(make_host())
    owner: Any = loads.classes["DualCLIPLoader"]
    known = stock_loaders.StockLoader("x", "x", {"one": "vae", "other": "text_encoders"})
    state = stock_loaders.state_of_lists(known, {"one": "a.safetensors", "other": None}, owner)
    assert len(state) == 3


def test_either_file_of_two_counts(folders: dict[str, Path]) -> None:
    loads, _ = install(make_host())
    loader = loads.classes["DualCLIPLoader"]()
    loader.load_clip("a.safetensors", "b.safetensors", "sd3")
    (folders["text_encoders"] / "b.safetensors").write_bytes(b"longer than before")
    loader.load_clip("a.safetensors", "b.safetensors", "sd3")
    assert len(loads.read) == 2


@pytest.mark.parametrize("inputs", [{"unet_name": 3}, {}, {"unet_name": "gone.safetensors"}])
def test_a_check_that_cannot_tell_says_what_stock_says(
    folders: dict[str, Path], inputs: dict[str, Any]
) -> None:
    loads, _ = install(make_host())
    owner: Any = loads.classes["UNETLoader"]
    assert owner.IS_CHANGED(**inputs) is False


def test_errors_of_the_stock_loader_pass_unchanged(folders: dict[str, Path]) -> None:
    class Interrupted(BaseException):
        pass

    host = make_host()
    loads, _ = install(host)
    for error in (Interrupted("stop"), ValueError("bad file")):
        loads.error = error
        with pytest.raises(type(error)) as seen:
            loads.classes["UNETLoader"]().load_unet("a.safetensors")
        assert seen.value is error
    assert len(loads.read) == 2
    assert "fell_back" not in host.runtime.kinds()


def test_a_name_without_a_file_is_comfyuis_to_complain_about(folders: dict[str, Path]) -> None:
    loads, _ = install(make_host())
    loads.classes["UNETLoader"]().load_unet("gone.safetensors")
    assert loads.read == ["gone.safetensors"]


def test_trouble_of_ours_means_stock_and_one_event(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host()
    loads, _ = install(host)
    monkeypatch.setattr(host.adapter, "devices", lambda: 1 / 0)
    assert isinstance(loads.classes["UNETLoader"]().load_unet("a.safetensors")[0], Patcher)
    assert host.runtime.kinds() == ["fell_back"]
    assert "division" in host.runtime.last("fell_back")["reason"]


def test_an_output_we_cannot_hold_is_handed_on_without_a_second_read(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host()
    loads, _ = install(host)
    monkeypatch.setattr(host.models, "add", lambda resident: 1 / 0)
    outputs = loads.classes["UNETLoader"]().load_unet("a.safetensors")
    assert isinstance(outputs[0], Patcher)
    assert loads.read == ["a.safetensors"]
    assert host.runtime.cache.stats()["resident"] == 0


def test_a_refused_file_is_an_error_and_leaves_the_resident_alone(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import hearth

    host = make_host()
    loads, _ = install(host)
    loader = loads.classes["UNETLoader"]()
    loader.load_unet("a.safetensors")
    (folders["diffusion_models"] / "a.safetensors").write_bytes(b"cut short")

    def refuse(path: str) -> None:
        raise hearth.errors.CheckpointCorruptError("a.safetensors ends early")

    monkeypatch.setattr(transparent, "refuse_if_corrupt", refuse)
    with pytest.raises(hearth.errors.CheckpointCorruptError, match="ends early"):
        loader.load_unet("a.safetensors")
    assert loads.read == ["a.safetensors"]
    assert host.runtime.cache.stats()["resident"] == 1


def test_a_refused_file_evicts_nobody_and_is_not_mapped(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    import hearth

    host = make_host(max_models=1)
    loads, _ = install(host)
    loader = loads.classes["UNETLoader"]()
    loader.load_unet("a.safetensors")
    host.scope.end()

    def refuse(path: str) -> None:
        if path.endswith("b.safetensors"):
            raise hearth.errors.CheckpointCorruptError("b.safetensors ends early")

    mapped: list[Any] = []
    monkeypatch.setattr(transparent, "refuse_if_corrupt", refuse)
    monkeypatch.setattr(host.supply, "feed", mapped.append)
    with pytest.raises(hearth.errors.CheckpointCorruptError):
        loader.load_unet("b.safetensors")
    assert mapped == []
    assert [each["name"] for each in host.runtime.cache.residents()] == ["a.safetensors"]
    assert "evicted" not in host.runtime.kinds()
    failed = host.runtime.last("load_failed")
    assert (failed["model"], failed["node"]) == ("b.safetensors", "7")
    assert "ends early" in failed["reason"]


def test_what_is_resident_is_not_checked_again(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    checked: list[str] = []
    monkeypatch.setattr(transparent, "refuse_if_corrupt", checked.append)
    loads, _ = install(make_host())
    for _ in range(3):
        loads.classes["UNETLoader"]().load_unet("a.safetensors")
    assert checked == [str(folders["diffusion_models"] / "a.safetensors")]


def test_a_check_that_fails_itself_refuses_nothing(
    folders: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    host = make_host()
    loads, _ = install(host)
    monkeypatch.setattr(transparent, "refuse_if_corrupt", lambda path: 1 / 0)
    assert isinstance(loads.classes["UNETLoader"]().load_unet("a.safetensors")[0], Patcher)
    assert host.runtime.kinds()[-1] == "fell_back"


def test_another_thread_gets_the_stock_loader(folders: dict[str, Path]) -> None:
    host = make_host()
    loads, _ = install(host)
    loader = loads.classes["UNETLoader"]()
    threads = [threading.Thread(target=loader.load_unet, args=("a.safetensors",)) for _ in "12"]
    for thread in threads:
        thread.start()
        thread.join()
    assert len(loads.read) == 2
    assert host.runtime.kinds() == ["fell_back", "fell_back"]


def test_switched_off_it_is_stock_and_on_again_it_is_not(folders: dict[str, Path]) -> None:
    host = make_host()
    loads, _ = install(host)
    owner: Any = loads.classes["UNETLoader"]
    host.settings.transparent = False
    owner().load_unet("a.safetensors")
    owner().load_unet("a.safetensors")
    assert len(loads.read) == 2
    assert owner.IS_CHANGED(unet_name="a.safetensors") is False
    host.settings.transparent = True
    owner().load_unet("a.safetensors")
    owner().load_unet("a.safetensors")
    assert len(loads.read) == 3


def test_with_the_cache_off_the_caller_gets_the_loaders_own_objects(
    folders: dict[str, Path],
) -> None:
    host = make_host(enabled=False)
    loads, _ = install(host)
    outputs = loads.classes["UNETLoader"]().load_unet("a.safetensors")
    assert outputs[0].parent is None
    assert host.runtime.last("served_uncached")["reason"] == "keep_model_in_memory is off"


def test_pixel_space_has_no_file_and_a_taesd_has_two(folders: dict[str, Path]) -> None:
    host = make_host()
    loads, _ = install(host)
    owner: Any = loads.classes["VAELoader"]
    owner().load_vae("pixel_space")
    assert host.runtime.kinds() == []
    for half in ("encoder", "decoder"):
        (folders["vae_approx"] / f"taesd_{half}.safetensors").write_bytes(b"1")
    seen = {owner.IS_CHANGED(vae_name="taesd")}
    for half in ("encoder", "decoder"):
        (folders["vae_approx"] / f"taesd_{half}.safetensors").write_bytes(b"12")
        seen.add(owner.IS_CHANGED(vae_name="taesd"))
    assert len(seen) == 3  # each half counts
    owner().load_vae("taesd")
    owner().load_vae("taesd")
    assert loads.read == ["pixel_space", "taesd"]


def test_unwrapped_classes_are_what_they_were(folders: dict[str, Path]) -> None:
    plain = {name: dict(vars(each)) for name, each in Loads().classes.items()}
    loads, hook = install(make_host())
    hook.uninstall()
    for name, owner in loads.classes.items():
        assert vars(owner).keys() == plain[name].keys()
        assert not hasattr(getattr(owner, owner.FUNCTION), "hearth_stock")  # type: ignore[attr-defined]


def test_an_unfamiliar_loader_is_left_alone() -> None:
    class UNETLoader:
        FUNCTION = "execute"
        execute = classmethod(lambda cls, unet_name: None)

    seams = Seams()
    TransparentLoaders(make_host()).install({"UNETLoader": UNETLoader}, seams)
    assert not hasattr(UNETLoader, "IS_CHANGED")
    assert seams.found["loader:UNETLoader"] is False
    assert seams.found["loader:VAELoader"] is False


def test_a_question_keeps_an_idle_model_from_expiring(folders: dict[str, Path]) -> None:
    import hearth

    clock = hearth.ManualClock()
    host = make_host()
    limits = hearth.CacheLimits(idle_seconds=60)
    host.runtime.cache = hearth.ModelCache(limits, executor=host.runtime.executor, clock=clock)
    host.scope._cache = host.runtime.cache
    loads, _ = install(host)
    owner: Any = loads.classes["UNETLoader"]
    owner().load_unet("a.safetensors")
    host.scope.end()
    clock.advance(50)
    owner.IS_CHANGED(unet_name="a.safetensors", weight_dtype="default")
    clock.advance(50)
    host.runtime.cache.enforce()
    assert host.runtime.cache.stats()["resident"] == 1
    clock.advance(50)
    host.runtime.cache.enforce()
    assert host.runtime.cache.stats()["resident"] == 0
