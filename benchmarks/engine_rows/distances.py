"""How far images and latents of the same prompt and seed are from ComfyUI's."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

_REFERENCE = "stock"


def compare(kept: Path) -> dict[str, dict[str, Any]]:
    """For each folder of a variant beside ComfyUI's; nothing where that is missing."""
    reference = kept / _REFERENCE
    if not (reference / "image.png").exists():
        return {}
    folders = sorted(path for path in kept.iterdir() if (path / "image.png").exists())
    return {path.name: distance(path, reference) for path in folders if path != reference}


def distance(folder: Path, reference: Path) -> dict[str, Any]:
    """`latents_rel_l2`: norm of the difference by that of the reference, in float32. `psnr_db` of
    the images, 8 bits a value; None where they are equal."""
    import numpy as np
    import torch
    from PIL import Image
    from safetensors.torch import load_file

    latents = [
        load_file(each / "latents.safetensors")["latent_tensor"].float()
        for each in (folder, reference)
    ]
    pixels = [
        np.asarray(Image.open(each / "image.png").convert("RGB")).astype(float)
        for each in (folder, reference)
    ]
    norms = torch.linalg.vector_norm(latents[0] - latents[1]), torch.linalg.vector_norm(latents[1])
    square = float(np.mean((pixels[0] - pixels[1]) ** 2))
    return {
        "latents_rel_l2": float(norms[0] / norms[1]),
        "psnr_db": 10.0 * math.log10(255.0**2 / square) if square else None,
        "equal_values": float(np.mean(pixels[0] == pixels[1])),
    }
