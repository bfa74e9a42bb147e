"""How far images and latents of the same prompts and seeds are from ComfyUI's.

Below the folder that they are kept in each seed has one, and in it each variant.
"""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

_REFERENCE = "stock"


def complete(kept: Path, seeds: int) -> set[str]:
    """Variants that have an image of every seed from 1 on."""
    found = [
        {path.parent.name for path in (kept / str(seed)).glob("*/image.png")}
        for seed in range(1, seeds + 1)
    ]
    return set.intersection(*found) if found else set()


def compare(kept: Path, seeds: int) -> dict[str, dict[str, Any]]:
    """For each variant that is complete; nothing where ComfyUI is not. `psnr_db` and
    `latents_rel_l2` are means and the rest is the worst of all seeds."""
    variants = complete(kept, seeds)
    if _REFERENCE not in variants:
        return {}
    return {
        variant: _of_seeds(
            [
                distance(kept / str(seed) / variant, kept / str(seed) / _REFERENCE)
                for seed in range(1, seeds + 1)
            ]
        )
        for variant in sorted(variants - {_REFERENCE})
    }


def _of_seeds(found: list[dict[str, Any]]) -> dict[str, Any]:
    """`psnr_db` is None where all images are equal: those that are leave it out."""
    noises = [each["psnr_db"] for each in found if each["psnr_db"] is not None]
    latents = [each["latents_rel_l2"] for each in found]
    return {
        "latents_rel_l2": sum(latents) / len(latents),
        "psnr_db": sum(noises) / len(noises) if noises else None,
        "worst_psnr_db": min(noises, default=None),
        "equal_values": min(each["equal_values"] for each in found),
        "equal_images": len(found) - len(noises),
        "by_seed": [[each["latents_rel_l2"], each["psnr_db"]] for each in found],
    }


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
