"""Holds the full-size tensor lists against ComfyUI's own detection and modules, without weights.

`python -m benchmarks.harness.zimage_check COMFYUI` needs ComfyUI's requirements, but no GPU, no
disk and no memory: all tensors are on the meta device. It ends with 1 and names what differs.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from benchmarks.harness import zimage_models
from benchmarks.harness.safetensors_file import TensorSpec

_DTYPES = {"BF16": torch.bfloat16, "F32": torch.float32}
_SHOWN = 5


def differences(comfy: str) -> list[str]:
    """One line per disagreement with the ComfyUI in the folder `comfy`."""
    sys.path.insert(0, comfy)
    sys.argv = [sys.argv[0], "--cpu"]
    importlib.import_module("comfy.options").enable_args_parsing()
    return [*_transformer(), *_text_encoder(), *_vae()]


def _transformer() -> list[str]:
    detection = importlib.import_module("comfy.model_detection")
    lumina = importlib.import_module("comfy.ldm.lumina.model")
    weights = _on_meta(zimage_models.transformer_tensors())
    found = detection.model_config_from_unet(weights, "")
    if type(found).__name__ != "ZImage":
        return [f"the transformer is taken for {type(found).__name__}, not for ZImage"]
    config = {name: value for name, value in found.unet_config.items() if name != "image_model"}
    module = lumina.NextDiT(**config, device="meta", dtype=torch.bfloat16, operations=_operations())
    return _compare("transformer", weights, module)


def _text_encoder() -> list[str]:
    sd = importlib.import_module("comfy.sd")
    llama = importlib.import_module("comfy.text_encoders.llama")
    weights = _on_meta(zimage_models.text_encoder_tensors())
    found = sd.detect_te_model(weights)
    if not hasattr(sd.TEModel, "QWEN3_4B"):
        return [f"the text encoder is taken for {found}; this ComfyUI knows no Qwen3-4B"]
    if found != sd.TEModel.QWEN3_4B:
        return [f"the text encoder is taken for {found}, not for Qwen3-4B"]
    module = llama.Qwen3_4B({}, torch.bfloat16, "meta", _operations())
    return _compare("text encoder", weights, module)


def _vae() -> list[str]:
    sd = importlib.import_module("comfy.sd")
    weights = _on_meta(zimage_models.vae_tensors())
    with torch.device("meta"):
        module = sd.VAE(sd=dict(weights)).first_stage_model
    return _compare("VAE", weights, module)


def _operations() -> Any:
    return importlib.import_module("comfy.ops").disable_weight_init


def _on_meta(specs: Iterable[TensorSpec]) -> dict[str, torch.Tensor]:
    return {
        spec.name: torch.empty(spec.shape, dtype=_DTYPES[spec.dtype], device="meta")
        for spec in specs
    }


def _compare(what: str, ours: Mapping[str, torch.Tensor], module: Any) -> list[str]:
    theirs = {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
    shapes = {name: tuple(tensor.shape) for name, tensor in ours.items()}
    wrong = sorted(name for name in shapes.keys() | theirs if shapes.get(name) != theirs.get(name))
    return [
        f"{what}: {name} is {shapes.get(name)} in the file and {theirs.get(name)} in ComfyUI"
        for name in wrong[:_SHOWN]
    ]


if __name__ == "__main__":
    lines = differences(sys.argv[1])
    print("\n".join(lines))
    sys.exit(1 if lines else 0)
