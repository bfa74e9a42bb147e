"""Pins of ours on modules that look as ComfyUI prepares them with dynamic VRAM."""

from __future__ import annotations

import gc
import os
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="pins are torch tensors")

from fakes.sliced_file import SlicedFile  # noqa: E402

from comfy_nodes.pin_supply import PinSupply  # noqa: E402

_ALIGNMENT = 1024


class _Weights(SlicedFile):
    """The file of a model, registered in ranges."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.range_bytes = 1 << 30
        state = os.fstat(self.descriptor)
        self.identity = (state.st_dev, state.st_ino)

    def find(self, device: int, inode: int) -> Any:
        return self if (device, inode) == self.identity else None

    def pieces(self, offset: int, size: int) -> list[Any]:
        """Cut where a registered range ends."""
        end, pieces = offset + size, []
        while offset < end:
            taken = min(end, (offset // self.range_bytes + 1) * self.range_bytes) - offset
            pieces.append(self.bytes[offset : offset + taken])
            offset += taken
        return pieces


@pytest.fixture
def weights(tmp_path: Path) -> Any:
    made = _Weights(tmp_path / "weights.bin")
    yield made
    made.close()


def _linear(weights: _Weights, offset: int, *, bias: bool, dynamic: bool = True) -> Any:
    layer = torch.nn.Linear(16, 8, bias=bias, dtype=torch.bfloat16)
    layer.weight = torch.nn.Parameter(weights.tensor(offset, (8, 16), torch.bfloat16), False)
    if bias:
        tensor = weights.tensor(offset + 4096, (8,), torch.bfloat16)
        layer.bias = torch.nn.Parameter(tensor, False)
    if dynamic:
        layer._v = (1, 2, 3)
    return layer


def _bytes(tensor: Any) -> Any:
    """Compared instead of values: random bytes hold NaNs, which equal nothing."""
    return tensor.detach().reshape(-1).view(torch.uint8)


def _pin(layer: Any) -> Any:
    return layer.__dict__.get("_pins", {}).get("weights", {}).get("pin")


def test_a_module_without_bias_is_copied_straight_from_the_file(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 512, bias=False))
    found = PinSupply(_ALIGNMENT).give(root, weights.find)
    assert (found.modules, found.left_to_comfyui) == (1, 0)
    pin = _pin(root[0])
    assert pin.data_ptr() == weights.bytes.data_ptr() + 512
    assert pin.numel() == 8 * 16 * 2
    assert root[0].__dict__["_pins"]["weights"]["registered"] is True


def test_a_copy_from_a_pin_with_bias_has_both_where_comfyui_packs_them(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 512, bias=True))
    PinSupply(_ALIGNMENT).give(root, weights.find)
    pin = _pin(root[0])
    assert pin.numel() == 2 * _ALIGNMENT
    packed = torch.zeros(2 * _ALIGNMENT, dtype=torch.uint8)
    packed[:].view(dtype=pin.dtype).view(pin.shape).copy_(pin, non_blocking=True)
    assert torch.equal(packed[:256], _bytes(root[0].weight))
    assert torch.equal(packed[1024 : 1024 + 16], _bytes(root[0].bias))


def test_a_pin_with_bias_takes_no_memory_of_its_own(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 512, bias=True))
    PinSupply(_ALIGNMENT).give(root, weights.find)
    assert _pin(root[0]).untyped_storage().nbytes() == 1


def test_a_weight_that_lies_over_two_registered_ranges_is_copied_in_two(weights: _Weights) -> None:
    weights.range_bytes = 600
    root = torch.nn.Sequential(_linear(weights, 512, bias=False))
    PinSupply(_ALIGNMENT).give(root, weights.find)
    packed = torch.zeros(_ALIGNMENT, dtype=torch.uint8)
    packed.copy_(_pin(root[0]))
    assert torch.equal(packed[:256], _bytes(root[0].weight))


def test_a_second_giving_changes_nothing(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 0, bias=False))
    supply = PinSupply(_ALIGNMENT)
    supply.give(root, weights.find)
    first = _pin(root[0])
    again = supply.give(root, weights.find)
    assert (again.modules, _pin(root[0]) is first) == (1, True)


def test_a_replaced_weight_loses_its_pin(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 0, bias=False))
    supply = PinSupply(_ALIGNMENT)
    supply.give(root, weights.find)
    root[0].weight = torch.nn.Parameter(torch.zeros(200, 200), False)
    assert supply.give(root, weights.find).left_to_comfyui == 1
    assert _pin(root[0]) is None


def test_a_pin_of_comfyuis_own_is_left_alone(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 0, bias=False))
    theirs = {"pin": torch.zeros(256, dtype=torch.uint8), "registered": True, "stack_index": 0}
    root[0]._pins = {"weights": theirs}
    supply = PinSupply(_ALIGNMENT)
    assert supply.give(root, weights.find).left_to_comfyui == 1
    assert supply.take_back(root) == 0
    assert root[0]._pins["weights"] is theirs


def test_modules_that_comfyui_does_not_move_get_none(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 0, bias=False, dynamic=False))
    found = PinSupply(_ALIGNMENT).give(root, weights.find)
    assert (found.modules, found.left_to_comfyui) == (0, 0)


def test_weights_that_are_not_what_the_file_says_are_left_to_comfyui(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 0, bias=False))
    root[0].weight.data.zero_()
    assert PinSupply(_ALIGNMENT).give(root, weights.find).left_to_comfyui == 1
    assert _pin(root[0]) is None


def test_weights_of_another_file_are_left_to_comfyui(weights: _Weights, tmp_path: Path) -> None:
    other = _Weights(tmp_path / "other.bin")
    root = torch.nn.Sequential(_linear(other, 0, bias=False))
    assert PinSupply(_ALIGNMENT).give(root, weights.find).left_to_comfyui == 1
    os.close(other.descriptor)


def test_converted_weights_are_left_to_comfyui(weights: _Weights) -> None:
    root = torch.nn.Sequential(torch.nn.Linear(256, 256))
    root[0]._v = (1, 2, 3)
    assert PinSupply(_ALIGNMENT).give(root, weights.find).left_to_comfyui == 1


def test_pins_taken_back_are_gone_and_hold_nothing(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 0, bias=False), _linear(weights, 512, bias=True))
    supply = PinSupply(_ALIGNMENT)
    supply.give(root, weights.find)
    assert supply.take_back(root) == 2
    assert _pin(root[0]) is None
    assert _pin(root[1]) is None
    assert supply.take_back(root) == 0


def test_a_model_that_dies_takes_its_pins_along(weights: _Weights) -> None:
    root = torch.nn.Sequential(_linear(weights, 0, bias=False))
    supply = PinSupply(_ALIGNMENT)
    supply.give(root, weights.find)
    del root
    gc.collect()
    assert len(supply._models) == 0


class _Quantised(torch.Tensor):
    """Two plain tensors in one, as ComfyUI keeps quantised weights."""

    hearth_inner: dict[str, Any]

    @staticmethod
    def make(values: Any, scale: Any) -> Any:
        made = torch.Tensor._make_subclass(_Quantised, values)
        made._qdata, made._scale = values, scale
        return made

    def __tensor_flatten__(self) -> tuple[list[str], Any]:
        return ["_qdata", "_scale"], None


def test_a_quantised_weight_is_packed_with_its_scale(weights: _Weights) -> None:
    values = weights.tensor(2048, (64,), torch.uint8)
    scale = torch.tensor(0.5)
    layer = torch.nn.Module()
    layer.weight, layer.bias, layer._v = _Quantised.make(values, scale), None, (1, 2, 3)
    root = torch.nn.Sequential(layer)
    assert PinSupply(_ALIGNMENT).give(root, weights.find).modules == 1
    packed = torch.zeros(2 * _ALIGNMENT, dtype=torch.uint8)
    packed.copy_(_pin(layer))
    assert torch.equal(packed[:64], values)
    assert packed[1024:1028].view(torch.float32).item() == 0.5
