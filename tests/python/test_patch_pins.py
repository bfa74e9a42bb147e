"""Pins of LoRAs, on objects that look as ComfyUI makes them with dynamic VRAM."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pins are torch tensors")

from fakes.sliced_file import SlicedFile  # noqa: E402

from comfy_nodes.patch_pins import Patched, PatchPins  # noqa: E402

_ALIGNMENT = 1024


class _File(SlicedFile):
    """The file of a LoRA."""

    asked = 0

    def find(self, descriptor: int) -> Any:
        self.asked += 1
        return self if descriptor == self.descriptor else None


class _Adapter:
    """As ComfyUI's weight adapters."""

    def __init__(self, loaded_keys: set[str], weights: tuple[Any, ...]) -> None:
        self.loaded_keys, self.weights = loaded_keys, weights


class _Patch:
    """As ComfyUI's LowVramPatch; `swaps`: of a ComfyUI that packs the other way round."""

    is_lowvram_patch = True

    def __init__(self, *values: Any, swaps: bool = False) -> None:
        self.key = "layer.weight"
        self.patches = {self.key: [(1.0, value, 1.0, None, None) for value in values]}
        self._swaps = swaps
        self.prepared = 0

    def _all(self) -> list[Any]:
        found: list[Any] = []
        for _, value, *_ in self.patches[self.key]:
            weights = value.weights if isinstance(value, _Adapter) else value
            found += [each for each in weights if isinstance(each, torch.Tensor)]
        return found[::-1] if self._swaps else found

    def memory_required(self) -> int:
        return sum(-(-each.nbytes // _ALIGNMENT) * _ALIGNMENT for each in self._all())

    def prepare(self, destination: Any, stream: Any, copy: bool, commit: bool) -> None:
        self.prepared += 1
        offset = 0
        for each in self._all():
            destination[offset : offset + each.nbytes] = each.reshape(-1)
            offset += -(-each.nbytes // _ALIGNMENT) * _ALIGNMENT


@pytest.fixture
def file(tmp_path: Path) -> Iterator[_File]:
    made = _File(tmp_path / "lora.bin")
    yield made
    made.close()


def _model(*patches: Any, signature: object = None) -> Any:
    root = torch.nn.Sequential()
    for patch in patches:
        layer = torch.nn.Linear(2, 2)
        layer._v, layer._v_signature, layer.weight_lowvram_function = (1, 2, 3), signature, patch
        root.append(layer)
    return root


def _lora(file: _File, offset: int) -> _Adapter:
    up, down = file.tensor(offset + 600, (30, 10)), file.tensor(offset, (10, 60))
    return _Adapter({"a"}, (up, down, 8.0, None, None, None))


def _pin(patch: Any) -> Any:
    return patch.__dict__.get("_pins", {}).get("patches", {}).get("pin")


def _packed(pin: Any) -> Any:
    return torch.zeros(pin.numel(), dtype=torch.uint8).copy_(pin)


def _as_comfyui_packs(patch: _Patch) -> Any:
    buffer = torch.zeros(patch.memory_required(), dtype=torch.uint8)
    patch.prepare(buffer, None, copy=True, commit=False)
    return buffer


def test_a_copy_from_a_patchs_pin_is_what_comfyui_packs(file: _File) -> None:
    one = _Patch(_lora(file, 0))
    several = _Patch(_lora(file, 3000), ("diff", (file.tensor(8000, (100,)),)), _lora(file, 9000))
    several.patches[several.key][1] = (1.0, (file.tensor(8000, (100,)),), 1.0, None, None)
    found = PatchPins(_ALIGNMENT, file.find).give(_model(one, several))
    assert found == Patched(2, one.memory_required() + several.memory_required(), 0)
    for patch in (one, several):
        assert patch.__dict__["_pins"]["patches"]["registered"] is True
        assert torch.equal(_packed(_pin(patch)), _as_comfyui_packs(patch))


def test_a_file_is_looked_for_once_for_all_patches(file: _File) -> None:
    PatchPins(_ALIGNMENT, file.find).give(_model(*(_Patch(_lora(file, n)) for n in range(5))))
    assert file.asked == 1


def test_how_comfyui_packs_is_tried_once_for_each_kind_of_patch(file: _File) -> None:
    pins = PatchPins(_ALIGNMENT, file.find)
    first, second = _Patch(_lora(file, 0)), _Patch(_lora(file, 3000))
    pins.give(_model(first, second))
    assert (first.prepared, second.prepared) == (1, 0)


def test_where_comfyui_packs_in_another_way_it_reads_by_itself(
    file: _File, caplog: pytest.LogCaptureFixture
) -> None:
    pins = PatchPins(_ALIGNMENT, file.find)
    caplog.set_level("INFO", "hearth")
    patches = [_Patch(_lora(file, 3000 * n), swaps=True) for n in range(3)]
    assert pins.give(_model(*patches)) == Patched(0, 0, 3)
    assert [_pin(patch) for patch in patches] == [None] * 3
    assert caplog.text.count("another way") == 1


def test_weights_that_are_on_the_device_need_no_patch(file: _File) -> None:
    patch = _Patch(_lora(file, 0))
    found = PatchPins(_ALIGNMENT, file.find).give(_model(patch, signature=object()))
    assert (found, _pin(patch)) == (Patched(), None)


def test_patches_of_no_file_are_left_to_comfyui(file: _File) -> None:
    large = _Patch(_Adapter({"a"}, (torch.zeros(1 << 17, dtype=torch.uint8), None)))
    found = PatchPins(_ALIGNMENT, file.find).give(_model(large))
    assert (found, _pin(large)) == (Patched(0, 0, 1), None)


def test_a_patch_of_one_tensor_of_any_size_gets_one(file: _File) -> None:
    patch = _Patch((file.tensor(100, (33, 3)),))
    assert PatchPins(_ALIGNMENT, file.find).give(_model(patch)).patches == 1
    assert torch.equal(_packed(_pin(patch)), file.bytes[100 : 100 + 99])


def test_a_second_giving_counts_the_same_and_changes_nothing(file: _File) -> None:
    pins, patch = PatchPins(_ALIGNMENT, file.find), _Patch(_lora(file, 0))
    root = _model(patch)
    first, pin = pins.give(root), _pin(patch)
    assert (pins.give(root), _pin(patch) is pin) == (first, True)


def test_pins_taken_back_are_gone_and_comfyuis_own_stay(file: _File) -> None:
    pins = PatchPins(_ALIGNMENT, file.find)
    ours, replaced = _Patch(_lora(file, 0)), _Patch(_lora(file, 3000))
    pins.give(_model(ours, replaced))
    theirs = {"patches": {"pin": torch.zeros(1), "registered": True}}
    replaced.__dict__["_pins"] = theirs
    pins.take_back()
    assert _pin(ours) is None
    assert replaced.__dict__["_pins"] is theirs


def test_what_was_patched_wrongly_is_moved_again_and_nothing_else(file: _File) -> None:
    pins, patch = PatchPins(_ALIGNMENT, file.find), _Patch(_lora(file, 0))
    root, other = _model(patch), _model(None, signature=5)
    pins.give(root)
    root[0]._v_signature = other[0]._v_signature = 5  # ComfyUI has moved them
    pins.move_again()
    assert (root[0]._v_signature, other[0]._v_signature) == (None, 5)
    root[0]._v_signature = 5
    pins.take_back()
    pins.move_again()
    assert root[0]._v_signature == 5


def test_a_pin_of_comfyuis_own_is_left_alone(file: _File) -> None:
    patch = _Patch(_lora(file, 0))
    theirs = {"patches-loaded": {"pin": torch.zeros(1), "registered": True}}
    patch.__dict__["_pins"] = theirs
    assert PatchPins(_ALIGNMENT, file.find).give(_model(patch)) == Patched(0, 0, 1)
    assert patch.__dict__["_pins"] is theirs


def test_what_is_no_patch_of_the_known_kind_is_not_touched(file: _File) -> None:
    older = _Patch(_lora(file, 0))
    older.is_lowvram_patch = False  # type: ignore[misc]
    root = _model(older, None)
    assert PatchPins(_ALIGNMENT, file.find).give(root) == Patched()
