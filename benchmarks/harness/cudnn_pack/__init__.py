"""A ComfyUI node pack that has attention computed by cuDNN where ComfyUI takes FlashAttention.

ComfyUI's order of kernels is changed and nothing else. Without a GPU there is no order, and
nothing is changed.
"""

from __future__ import annotations

import logging
from typing import Any

import comfy.ops

_ORDER: list[Any] | None = getattr(comfy.ops, "SDPA_BACKEND_PRIORITY", None)

if _ORDER is None:
    logging.warning("cudnn_pack: this ComfyUI has no order of attention kernels to change")
else:
    from torch.nn.attention import SDPBackend

    first = SDPBackend.CUDNN_ATTENTION
    _ORDER[:] = [first, *(each for each in _ORDER if each != first)]

NODE_CLASS_MAPPINGS: dict[str, Any] = {}
