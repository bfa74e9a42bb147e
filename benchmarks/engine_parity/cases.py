"""What both sides compute: the same prompts, noise and sizes, and where each leaves its numbers."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

PROMPTS = (
    "a lighthouse in the snow",
    "a glass harbour above the clouds, seen from far away at dusk, with long shadows on wet "
    "ground, a few small lanterns, thin fog between the hills, and soft grain",
    "雪の猫 🐱 2026, 山の上の古い灯台",
    "",
)
# Of latents: a CPU is slow in bfloat16, and slowest in convolutions.
_TOY_STEP, _TOY_IMAGE = 8, 32


def shape_text(batch: int, height: int, width: int) -> str:
    """Of latents, in pixels of the image, at true size."""
    return f"{8 * width}x{8 * height}" + (f", batch {batch}" if batch > 1 else "")


@dataclass(frozen=True)
class Step:
    """One evaluation of the transformer; sizes are those of the latents."""

    prompt: int
    height: int
    width: int
    batch: int
    level: float

    def __str__(self) -> str:
        tokens = ("short prompt", "long prompt", "CJK", "empty prompt")[self.prompt]
        shape = shape_text(self.batch, self.height, self.width)
        return f"{shape}, {tokens}, level {self.level}"


STEPS = (
    Step(0, 128, 128, 1, 1.0),
    Step(1, 128, 128, 1, 0.6429),
    Step(2, 96, 144, 1, 0.3),
    Step(3, 65, 47, 1, 0.9),
    Step(0, 64, 64, 2, 0.5),
)
IMAGES = ((1, 128, 128), (1, 65, 47), (2, 64, 64))
"""Batch, height and width of the latents that are decoded."""


@dataclass(frozen=True)
class Job:
    """What a side is told; a file in the folder that it works in."""

    comfy: str
    transformer: str
    text_encoder: str
    vae: str
    toy: bool
    """Toy sizes, on a CPU, in bfloat16 all the same."""
    pack: str = ""
    """Makes ComfyUI take toys for Z-Image."""

    def write(self, folder: Path) -> None:
        """For the other process."""
        (folder / "job.json").write_text(json.dumps(asdict(self)), encoding="utf-8")

    @property
    def device(self) -> str:
        """That of torch."""
        return "cpu" if self.toy else "cuda"


def read_job(folder: Path) -> Job:
    """What `write` wrote."""
    return Job(**json.loads((folder / "job.json").read_text(encoding="utf-8")))


def step_latents(job: Job, number: int) -> Any:
    """Of STEPS[number]: the same in both processes."""
    step = STEPS[number]
    shape = step.batch, step.height, step.width
    return _normal(100 + number, shape, _TOY_STEP if job.toy else 1)


def image_latents(job: Job, number: int) -> Any:
    """Of IMAGES[number], as the VAE takes them."""
    return _normal(200 + number, IMAGES[number], _TOY_IMAGE if job.toy else 1)


def _normal(seed: int, shape: tuple[int, int, int], divisor: int) -> Any:
    """Float32 in host memory; of odd sizes where the undivided ones are odd."""
    batch, *sides = shape
    height, width = ((side // divisor) | (side % 2) for side in sides)
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(batch, 16, height, width, generator=generator)


def exact_float32() -> None:
    """No short mantissas in products and convolutions: what the reference is computed with."""
    torch.backends.cuda.matmul.allow_tf32 = False
    torch.backends.cudnn.allow_tf32 = False
