"""Runs in a process of its own: what hearth's engine gives for the numbers that ComfyUI was given.

`python -m benchmarks.engine_parity.hearth_side FOLDER`, as `__main__` calls it, after the side of
ComfyUI. Models come from the cache, as in `hearth run`.
"""

from __future__ import annotations

import gc
import sys
from pathlib import Path
from typing import Any

import hearth
import torch
from hearth import engine, qwen_tokenizer, zimage
from safetensors.torch import load_file, save_file

from benchmarks.engine_parity import cases

_ALL = (1 << 64) - 1
_LOADERS = {"diffusion_model": "UNETLoader", "text_encoder": "CLIPLoader", "vae": "VAELoader"}
Found = dict[str, Any]


class HearthSide:
    """The engine in this process. `given`: what ComfyUI's side found."""

    def __init__(self, job: cases.Job, given: Found) -> None:
        self._job, self._given = job, given
        self.found: Found = {}

    def tokens(self) -> None:
        """Of hearth's own tokenizer."""
        tokenizer = qwen_tokenizer.load(qwen_tokenizer.find(comfyui=Path(self._job.comfy)))
        for number, prompt in enumerate(cases.PROMPTS):
            self.found[f"tokens/{number}"] = torch.tensor(tokenizer.encode(prompt))

    def text(self, name: str, numbers: engine.Numbers, kind: Any) -> None:
        """States of the prompts."""
        with self._model("text_encoder", self._job.text_encoder, numbers, kind) as model:
            assert model.text_encoder is not None
            for number in range(len(cases.PROMPTS)):
                states = model.text_encoder.encode(self._given[f"tokens/{number}"][None])
                self.found[f"text/{number}/{name}"] = states.float().cpu()
        _let_go()

    def transformer(self, name: str, numbers: engine.Numbers, kind: Any) -> None:
        """Velocities, for the captions of ComfyUI's text encoder."""
        with self._model("diffusion_model", self._job.transformer, numbers, kind) as model:
            for number, step in enumerate(cases.STEPS):
                latents = cases.step_latents(self._job, number).to(self._job.device)
                caption = self._given[f"text/{step.prompt}/ComfyUI"].to(self._job.device)
                level = torch.tensor([step.level], device=latents.device)
                prompt = zimage.Prompt(caption)
                assert model.transformer is not None
                denoiser = zimage.Denoiser(model.transformer, prompt, latents, level)
                velocity = (latents - denoiser(latents, level[0])) / step.level
                self.found[f"transformer/{number}/{name}"] = velocity.float().cpu()
        _let_go()

    def vae(self, name: str, numbers: engine.Numbers, kind: Any) -> None:
        """Images before they are brought to 0 .. 1."""
        with self._model("vae", self._job.vae, numbers, kind) as model:
            assert model.vae is not None
            for number in range(len(cases.IMAGES)):
                latents = cases.image_latents(self._job, number).to(self._job.device)
                image = model.vae.decode(latents)
                self.found[f"VAE/{number}/{name}"] = image.float().cpu().contiguous()
        _let_go()

    def _model(self, kind: Any, path: str, numbers: engine.Numbers, type_: Any) -> engine.Model:
        file = engine.ModelFile(kind, _LOADERS[kind], Path(path).name, (path,))
        device = self._job.device
        return engine.acquire(file, compute_type=type_, device=device, numbers=numbers)


def _let_go() -> None:
    gc.collect()
    hearth.runtime().cache.trim(_ALL, _ALL, "the next model")
    engine.tidy()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def main(folder: Path) -> None:
    """Leaves `hearth.safetensors` in the folder."""
    engine.start()
    side = HearthSide(cases.read_job(folder), load_file(folder / "comfy.safetensors"))
    side.tokens()
    side.text("fast", "fast", torch.bfloat16)
    side.text("parity", "parity", torch.float32)
    ways = (
        ("fast", "fast", torch.bfloat16),
        ("parity", "parity", torch.bfloat16),
        ("hearth float32", "parity", torch.float32),
    )
    for name, numbers, kind in ways:
        if kind == torch.float32:
            cases.exact_float32()
        side.transformer(name, numbers, kind)  # type: ignore[arg-type]
        side.vae(name, numbers, kind)  # type: ignore[arg-type]
    save_file(side.found, folder / "hearth.safetensors")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
