"""Runs in a process of its own: what ComfyUI's modules give, as ComfyUI has them and in float32.

`python -m benchmarks.engine_parity.comfy_side FOLDER`, as `__main__` calls it. ComfyUI's loaders
read the files, and its memory management brings the models to the device.
"""

from __future__ import annotations

import gc
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file

from benchmarks.engine_parity import cases

Found = dict[str, Any]


class ComfySide:
    """ComfyUI in this process."""

    def __init__(self, job: cases.Job) -> None:
        sys.path.insert(0, job.comfy)
        sys.argv = [sys.argv[0], *(["--cpu"] if job.toy else [])]
        importlib.import_module("comfy.options").enable_args_parsing()
        self._job = job
        self._sd: Any = importlib.import_module("comfy.sd")
        self._utils: Any = importlib.import_module("comfy.utils")
        self._memory: Any = importlib.import_module("comfy.model_management")
        self.found: Found = {}
        self.types: dict[str, str] = {}
        if job.pack:
            _load_pack(Path(job.pack))

    def text(self) -> None:
        """Tokens and states of all prompts, as ComfyUI computes them."""
        kind = self._sd.CLIPType.LUMINA2
        clip = self._sd.load_clip([self._job.text_encoder], clip_type=kind)
        for number, prompt in enumerate(cases.PROMPTS):
            tokens = clip.tokenize(prompt)
            [pairs] = tokens["qwen3_4b"]
            states = clip.encode_from_tokens(tokens)
            self.found[f"tokens/{number}"] = torch.tensor([token for token, _ in pairs])
            self.found[f"text/{number}/ComfyUI"] = states.float().cpu()
            self.types["text encoder"] = str(states.dtype)
        self._let_go()

    def transformer(self, name: str, kind: Any) -> None:
        """Velocities; `kind`: None for the type that ComfyUI takes by itself."""
        options = {} if kind is None else {"dtype": kind}
        patcher = self._sd.load_diffusion_model(self._job.transformer, model_options=options)
        if kind is not None:
            patcher.model.manual_cast_dtype = None  # a CPU would get float32
        self._memory.load_models_gpu([patcher], force_full_load=True)
        self.types[f"transformer, {name}"] = str(patcher.model.get_dtype_inference())
        for number, step in enumerate(cases.STEPS):
            latents = cases.step_latents(self._job, number).to(patcher.load_device)
            caption = self.found[f"text/{step.prompt}/ComfyUI"].to(patcher.load_device)
            levels = torch.full((step.batch,), step.level, device=latents.device)
            clean = patcher.model.apply_model(
                latents,
                levels,
                c_crossattn=caption.expand(step.batch, -1, -1),
                num_tokens=caption.shape[1],
            )
            velocity = (latents - clean) / step.level
            self.found[f"transformer/{number}/{name}"] = velocity.float().cpu()
        self._let_go()

    def vae(self, name: str, kind: Any) -> None:
        """Images before they are brought to 0 .. 1; `kind`: as above."""
        vae = self._sd.VAE(sd=self._utils.load_torch_file(self._job.vae), dtype=kind)
        self._memory.load_models_gpu([vae.patcher], force_full_load=True)
        self.types[f"VAE, {name}"] = str(vae.vae_dtype)
        for number in range(len(cases.IMAGES)):
            latents = cases.image_latents(self._job, number).to(vae.device, vae.vae_dtype)
            image = vae.first_stage_model.decode(latents)
            self.found[f"VAE/{number}/{name}"] = image.float().cpu().contiguous()
        self._let_go()

    def _let_go(self) -> None:
        self._memory.unload_all_models()
        gc.collect()
        self._memory.soft_empty_cache()


def _load_pack(folder: Path) -> None:
    spec = importlib.util.spec_from_file_location("toy_pack", folder / "__init__.py")
    assert spec is not None and spec.loader is not None
    spec.loader.exec_module(importlib.util.module_from_spec(spec))


def main(folder: Path) -> None:
    """Leaves `comfy.safetensors` and `comfy.json` in the folder."""
    job = cases.read_job(folder)
    side = ComfySide(job)
    own = torch.bfloat16 if job.toy else None
    with torch.inference_mode():
        side.text()
        side.transformer("ComfyUI", own)
        side.vae("ComfyUI", own)
        cases.exact_float32()
        side.transformer("float32", torch.float32)
        side.vae("float32", torch.float32)
    save_file(side.found, folder / "comfy.safetensors")
    (folder / "comfy.json").write_text(json.dumps(side.types), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
