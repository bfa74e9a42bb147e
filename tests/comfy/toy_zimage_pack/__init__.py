"""A node pack that has ComfyUI take toy files for Z-Image, which it knows by true sizes only.

Nothing but sizes is changed: modules, sampling, tokenizer and nodes are ComfyUI's own. The sizes
are those of `benchmarks/harness/toy_zimage.py`.
"""

from __future__ import annotations

import functools
from typing import Any

import comfy.model_detection
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
