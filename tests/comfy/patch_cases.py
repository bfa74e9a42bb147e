"""Runs inside ComfyUI's Python: a LoRA as ComfyUI loads it, and hearth's pins of its patches.

    python patch_cases.py COMFYUI LORA

Prints one JSON object. Adapters, patches and transfer are ComfyUI's own. Its reader of files needs
a GPU; here the tensors are given what that notes of each: the open file, and where in it they lie.
"""

from __future__ import annotations

import json
import os
import sys
import threading
from pathlib import Path
from typing import Any

COMFYUI, LORA = Path(sys.argv[1]), Path(sys.argv[2])
REPOSITORY = Path(__file__).resolve().parents[2]
# Last, because ComfyUI has folders named like some of hearth's.
sys.path[:0] = [str(COMFYUI), str(REPOSITORY / "bindings")]
sys.path.append(str(REPOSITORY))
sys.argv = ["patch_cases", "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.lora  # noqa: E402
import comfy.memory_management  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.pinned_memory  # noqa: E402
import safetensors.torch  # noqa: E402
import torch  # noqa: E402

from comfy_nodes.patch_pins import PatchPins  # noqa: E402


class File:
    """The LoRA's bytes, by the descriptor that ComfyUI has it open under."""

    def __init__(self) -> None:
        self.bytes = torch.frombuffer(bytearray(LORA.read_bytes()), dtype=torch.uint8)

    def find(self, descriptor: int) -> File | None:
        return self if os.path.samestat(os.fstat(descriptor), LORA.stat()) else None

    def pieces(self, offset: int, size: int) -> list[torch.Tensor]:
        return [self.bytes[offset : offset + size]]


def load() -> dict[str, Any]:
    """The LoRA's tensors, each with the note of ComfyUI's reader."""
    raw, descriptor = LORA.read_bytes(), os.open(LORA, os.O_RDONLY)
    header_size = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + header_size])
    header.pop("__metadata__", None)
    state = safetensors.torch.load_file(LORA)
    for name, entry in header.items():
        start, end = entry["data_offsets"]
        note = comfy.memory_management.TensorFileSlice(
            descriptor, threading.Lock(), 8 + header_size + start, end - start
        )
        state[name] = state[name].clone()
        state[name].untyped_storage()._comfy_tensor_file_slice = note
    return state


def model_of(state: dict[str, Any]) -> tuple[Any, list[Any]]:
    """Modules as ComfyUI has them with dynamic VRAM before their weights are moved."""
    stems = sorted({name.split(".")[0] for name in state})
    patches = comfy.lora.load_lora(state, {stem: f"{stem}.weight" for stem in stems})
    by_key = {key: [(1.0, adapter, 1.0, None, None)] for key, adapter in patches.items()}
    by_key["two.weight"] = by_key["loraF32.weight"] + by_key["lokrBF16.weight"]
    root, sources = torch.nn.Sequential(), []
    for key in by_key:
        source = comfy.model_patcher.LowVramPatch(key, by_key)
        layer: Any = torch.nn.Linear(2, 2)
        layer._v, layer._v_signature, layer.weight_lowvram_function = (0, 0, 0), None, source
        root.append(layer)
        sources.append(source)
    return root, sources


def is_what_comfyui_reads(source: Any) -> bool:
    """The pin, copied by ComfyUI's own transfer, beside ComfyUI's own reading of the patch."""
    pin = comfy.pinned_memory.get_pin(source, subset="patches")
    arrived, read = (torch.zeros(source.memory_required(), dtype=torch.uint8) for _ in range(2))
    comfy.model_management.cast_to_gathered([pin], arrived)
    source.prepare(read, None, copy=True, commit=False)
    return bool(torch.equal(arrived, read)) and bool(read.any())


def main() -> None:
    root, sources = model_of(load())
    size = comfy.memory_management.vram_aligned_size(torch.empty(1, dtype=torch.uint8))
    found = PatchPins(size, File().find).give(root)
    equal = sum(is_what_comfyui_reads(source) for source in sources)
    print(json.dumps({"sources": len(sources), "pins": found.patches, "equal": equal}))


main()
