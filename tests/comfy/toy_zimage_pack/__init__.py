"""A node pack that has ComfyUI take toy files for Z-Image, which it knows by true sizes only.

Nothing but sizes is changed: modules, sampling, tokenizer and nodes are ComfyUI's own. The sizes
are those of `benchmarks/harness/toy_zimage.py`.

On a CPU ComfyUI never streams weights. Where the file `streamed` lies among the barriers of the
spy, models say while they compute that theirs are.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import comfy.ldm.models.autoencoder as autoencoder
import comfy.model_base
import comfy.model_detection
import comfy.model_patcher
import comfy.sd
import comfy.supported_models
import comfy.text_encoders.llama as llama

_WIDTH, _CAPTION = 256, 64
_TRANSFORMER = {
    "n_heads": 2,
    "n_kv_heads": 2,
    "axes_dims": [32, 48, 48],
    "axes_lens": [1536, 512, 512],
    "rope_theta": 256.0,
    "ffn_dim_multiplier": 8.0 / 3.0,
    "z_image_modulation": True,
    "time_scale": 1000.0,
    "pad_tokens_multiple": 32,
}
_detect_transformer = comfy.model_detection.detect_unet_config
_detect_text_encoder = comfy.sd.detect_te_model


def _transformer(*arguments: Any, **named: Any) -> Any:
    found = _detect_transformer(*arguments, **named)
    is_toy = found is not None and found.get("dim") == _WIDTH
    return found | _TRANSFORMER if is_toy else found


def _text_encoder(weights: Any) -> Any:
    norm = weights.get("model.layers.0.post_attention_layernorm.weight")
    is_toy = norm is not None and norm.shape[0] == _CAPTION
    return comfy.sd.TEModel.QWEN3_4B if is_toy else _detect_text_encoder(weights)


_computing = [False]  # ComfyUI computes on one thread


def _while_computing(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def compute(*arguments: Any, **named: Any) -> Any:
        _computing[0] = Path(os.environ.get("HEARTH_SPY_BARRIERS", ""), "streamed").is_file()
        try:
            return original(*arguments, **named)
        finally:
            _computing[0] = False

    return compute


comfy.model_patcher.ModelPatcher.is_dynamic = lambda patcher: _computing[0]
comfy.model_base.BaseModel._apply_model = _while_computing(comfy.model_base.BaseModel._apply_model)
for _owner in (autoencoder.AutoencodingEngine, autoencoder.AutoencodingEngineLegacy):
    _owner.decode = _while_computing(_owner.decode)
comfy.model_detection.detect_unet_config = _transformer
comfy.supported_models.ZImage.unet_config = {"image_model": "lumina2", "dim": _WIDTH}
comfy.sd.detect_te_model = _text_encoder
llama.Qwen3_4BConfig.head_dim = 16
llama.Qwen3_4BConfig = functools.partial(
    llama.Qwen3_4BConfig,
    hidden_size=_CAPTION,
    intermediate_size=96,
    num_hidden_layers=4,
    num_attention_heads=4,
    num_key_value_heads=2,
)

NODE_CLASS_MAPPINGS: dict[str, Any] = {}
