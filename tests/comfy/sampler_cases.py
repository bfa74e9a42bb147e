"""Runs inside ComfyUI's Python: hearth's samplers and ComfyUI's on the same real sampling objects.

    python sampler_cases.py COMFYUI

Prints one JSON object. The network is a toy; model sampling, guider, masks, packing of nested
latents, `KSAMPLER` and the sampler functions are ComfyUI's own.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

COMFYUI = Path(sys.argv[1])
REPOSITORY = Path(__file__).resolve().parents[2]
# Last, because ComfyUI has folders named like some of hearth's.
sys.path[:0] = [str(COMFYUI), str(REPOSITORY / "bindings")]
sys.path.append(str(REPOSITORY))
sys.argv = ["sampler_cases", "--cpu"]

import comfy.options  # noqa: E402

comfy.options.enable_args_parsing()

import comfy.k_diffusion.sampling  # noqa: E402
import comfy.latent_formats  # noqa: E402
import comfy.model_base  # noqa: E402
import comfy.model_management  # noqa: E402
import comfy.model_patcher  # noqa: E402
import comfy.model_sampling  # noqa: E402
import comfy.sample  # noqa: E402
import comfy.samplers  # noqa: E402
import comfy.supported_models_base  # noqa: E402
import torch  # noqa: E402
from hearth import schedules  # noqa: E402

from benchmarks.harness.host_waits import HostWaits  # noqa: E402
from comfy_nodes import samplers  # noqa: E402

SEED = 7
KINDS = ("EPS", "V_PREDICTION", "FLOW")
SCHEDULERS = list(comfy.samplers.SCHEDULER_NAMES)


class ToyNetwork(torch.nn.Module):
    """Smooth, not linear, depends on time and prompt; takes latents of any shape."""

    dtype = torch.float32

    def __init__(self, **_: Any) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.tensor(0.8))
        self.before_answer: Callable[[], None] = lambda: None

    def forward(self, x: Any, t: Any, context: Any = None, **_: Any) -> Any:
        self.before_answer()
        t = t.reshape(-1, *[1] * (x.ndim - 1)) / (1.0 + t.max())
        prompt = context.mean(dim=(1, 2)).reshape(-1, *[1] * (x.ndim - 1))
        return torch.tanh(self.weight * x) + 0.2 * torch.sin(3.0 * x + prompt) - 0.1 * t


class ToyConfig(comfy.supported_models_base.BASE):
    """What ComfyUI's model classes read of a configuration."""

    unet_config: dict[str, Any] = {}
    latent_format = comfy.latent_formats.SD15
    sampling_settings = {"shift": 3.0}


def toy_patcher(kind: str) -> Any:
    """A ModelPatcher over one of ComfyUI's models with the toy network in it."""
    model_type = getattr(comfy.model_base.ModelType, kind)
    model = comfy.model_base.BaseModel(ToyConfig({}), model_type, unet_model=ToyNetwork)
    cpu = torch.device("cpu")
    return comfy.model_patcher.ModelPatcher(model, load_device=cpu, offload_device=cpu)


PATCHERS = {kind: toy_patcher(kind) for kind in KINDS}


def schedule(kind: str, scheduler: str = "simple", steps: int = 6) -> Any:
    sampling = PATCHERS[kind].get_model_object("model_sampling")
    return comfy.samplers.calculate_sigmas(sampling, scheduler, steps)


def sampled(function: Any, kind: str, sigmas: Any, **changes: Any) -> tuple[Any, list[Any]]:
    """Latents at the end, and what the previews got at each step."""
    previews: list[Any] = []
    generator = torch.Generator().manual_seed(5)
    latent = changes.get("latent", torch.zeros(1, 4, 8, 8))
    prompts = [[[torch.randn(1, 4, 8, generator=generator), {}]] for _ in range(2)]
    noise = comfy.sample.prepare_noise(latent, SEED)
    torch.manual_seed(SEED)
    result = comfy.sample.sample_custom(
        PATCHERS[kind],
        noise,
        3.5,
        comfy.samplers.KSAMPLER(function, changes.get("options", {})),
        sigmas,
        *prompts,
        latent,
        noise_mask=changes.get("mask"),
        # Copies: uni_pc changes what it has shown.
        callback=lambda i, x0, x, total: previews.append(
            (i, flat(x0).clone(), flat(x).clone(), total)
        ),
        disable_pbar=True,
        seed=SEED,
    )
    return result, previews


def flat(latents: Any) -> Any:
    parts = latents.unbind() if getattr(latents, "is_nested", False) else [latents]
    return torch.cat([part.flatten().double() for part in parts])


def distance(ours: Any, theirs: Any) -> float:
    """Relative; infinite for another shape, or for no numbers where the other has some."""
    ours, theirs = flat(ours), flat(theirs)
    if ours.shape != theirs.shape or not torch.equal(ours.isfinite(), theirs.isfinite()):
        return float("inf")
    ours, theirs = (latents[theirs.isfinite()] for latents in (ours, theirs))
    return float((ours - theirs).norm() / theirs.norm().clamp_min(1e-30))


def stock(name: str) -> Any:
    """ComfyUI's own function for the name of a sampler."""
    return comfy.samplers.sampler_object(name).sampler_function


def compared(name: str, kind: str, sigmas: Any, **changes: Any) -> dict[str, Any]:
    """One sampler run twice; REQUIRES: it is native here."""
    # Each its own schedule: uni_pc writes to it.
    theirs, their_previews = sampled(stock(name), kind, sigmas.clone(), **changes)
    ours, our_previews = sampled(samplers.sampler_function(name), kind, sigmas.clone(), **changes)
    steps = [(i, total) for i, _, _, total in our_previews]
    assert steps == [(i, total) for i, _, _, total in their_previews]
    shown = zip(our_previews, their_previews, strict=True)
    return {
        "error": distance(ours, theirs),
        "preview_error": max(
            (distance(a[at], b[at]) for a, b in shown for at in (1, 2)), default=0.0
        ),
        "steps": len(steps),
    }


def random(*shape: int) -> Any:
    return torch.randn(shape, generator=torch.Generator().manual_seed(9))


def special_cases(kind: str) -> dict[str, dict[str, Any]]:
    """By name: what differs from a plain run of six steps."""
    sigmas = schedule(kind)
    cases: dict[str, dict[str, Any]] = {
        "denoise_mask": {"mask": random(1, 1, 8, 8).sigmoid(), "latent": random(1, 4, 8, 8)},
        "batch 2": {"latent": torch.zeros(2, 4, 8, 8)},
        "batch 2 with mask": {"mask": random(2, 1, 8, 8).sigmoid(), "latent": random(2, 4, 8, 8)},
        "five dimensions": {"latent": torch.zeros(1, 4, 3, 8, 8)},
        "1 step": {"sigmas": schedule(kind, steps=1)},
        "0 steps": {"sigmas": sigmas[:1]},
        "no sigmas": {"sigmas": sigmas[:0]},
        "last sigma above zero": {"sigmas": sigmas[:5]},
        "starts late": {"sigmas": sigmas[3:], "latent": random(1, 4, 8, 8)},
        "40 steps": {"sigmas": schedule(kind, "karras", 40)},
        "a sigma twice": {"sigmas": sigmas[[0, 1, 1, 2, 3, 6]]},
    }
    if hasattr(comfy, "nested_tensor"):
        nested = comfy.nested_tensor.NestedTensor
        streams = nested([random(1, 4, 8, 8), random(1, 8, 5)])
        mask = nested([random(1, 1, 8, 8).sigmoid(), torch.ones(1, 1, 5)])
        cases["nested"] = {"latent": streams}
        cases["nested with mask"] = {"latent": streams, "mask": mask}
    return cases


def comparisons() -> dict[str, dict[str, Any]]:
    """Every case by its name, but for those that ComfyUI's own function cannot do."""
    results = {}
    for name in samplers.native_names():
        for kind in KINDS:
            runs = {scheduler: {"sigmas": schedule(kind, scheduler)} for scheduler in SCHEDULERS}
            runs |= special_cases(kind)
            runs |= {f"{option}": {"options": option} for option in OPTIONS.get(name, [])}
            if name == "lcm":
                del runs["0 steps"]  # an IndexError
            for case, changes in runs.items():
                sigmas = changes.pop("sigmas", schedule(kind))
                results[f"{name} {kind} {case}"] = compared(name, kind, sigmas, **changes)
    return results


CHURN = [
    {"s_churn": 2.0},
    {"s_churn": 40.0, "s_noise": 0.9, "s_tmin": 0.3, "s_tmax": 3.0},
]
ANCESTRAL = [{"eta": 0.0}, {"eta": 0.4, "s_noise": 0.9}, {"s_noise": 0.0}]
OPTIONS: dict[str, list[dict[str, Any]]] = {
    **dict.fromkeys(("euler", "ddim", "heun", "heunpp2", "dpm_2"), CHURN),
    **dict.fromkeys(("euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_3m_sde"), ANCESTRAL),
    "dpmpp_sde": [*ANCESTRAL, {"r": 0.3}],
    "dpmpp_2m_sde": [*ANCESTRAL, {"solver_type": "heun"}],
    "ipndm": [{"max_order": order} for order in (2, 3)],
    "deis": [{"max_order": order} for order in (2, 4)],
    "res_multistep": [{"s_noise": 0.5}],
}
if "noise_clip_std" in inspect.signature(comfy.k_diffusion.sampling.sample_lcm).parameters:
    OPTIONS["lcm"] = [{"s_noise": 0.8, "s_noise_end": 0.4, "noise_clip_std": 1.0}]


def schedules_equal() -> dict[str, bool]:
    """Whether hearth's rows for each kind and schedule are ComfyUI's to the bit, at all lengths."""
    equal = {}
    for kind in KINDS:
        sampling = PATCHERS[kind].get_model_object("model_sampling")
        for name in SCHEDULERS:
            lengths = [n for n in (1, 2, 5, 8, 20, 100) if (name, n) != ("kl_optimal", 1)]
            equal[f"{kind} {name}"] = all(
                torch.equal(schedules.schedule(name, n, sampling), schedule(kind, name, n))
                for n in lengths
            )
    return equal


def interrupted(name: str, place: str) -> dict[str, Any]:
    """Cancels at the second step as ComfyUI does: a flag, looked at in the model or the preview."""
    management = comfy.model_management
    asked = []
    network = PATCHERS["FLOW"].model.diffusion_model

    def look() -> None:
        asked.append(place)
        if len(asked) == 2:
            management.interrupt_current_processing(True)
        management.throw_exception_if_processing_interrupted()

    function = samplers.sampler_function(name)
    ones = torch.ones(1, 4, 8, 8)
    network.before_answer = look if place == "model" else lambda: None
    callback = (lambda _: look()) if place == "callback" else None
    raised = "nothing"
    try:
        function(
            lambda x, sigma: network(x, sigma, context=torch.ones(1, 1, 1)),
            ones,
            schedule("FLOW"),
            callback=callback,
            disable=True,
        )
    except management.InterruptProcessingException as interrupt:
        raised = type(interrupt).__qualname__
    finally:
        network.before_answer = lambda: None
    return {"raised": raised, "calls": len(asked)}


class OnlyAnswers:
    """What ComfyUI's functions ask of a model beside calling it."""

    def __init__(self) -> None:
        self.inner_model = self.model_patcher = self
        self.model_sampling = comfy.model_sampling.EPS()

    def get_model_object(self, _: str) -> object:
        return self.model_sampling

    def __call__(self, x: Any, sigma: Any) -> Any:
        return x * 0.5


def waits(function: Any, steps: int) -> int:
    # Brownian noise is torchsde's, which reads numbers on the host.
    takes_noise = "noise_sampler" in inspect.signature(function).parameters
    options = {"noise_sampler": lambda *_: torch.zeros(1, 4)} if takes_noise else {}
    sigmas = torch.linspace(1.0, 0.0, steps + 1)
    with HostWaits() as counted:
        function(OnlyAnswers(), torch.ones(1, 4), sigmas, {}, disable=True, **options)
    return counted.waits


def fallbacks() -> dict[str, Any]:
    """Which functions are ComfyUI's own, with the native module and without."""
    own = comfy.k_diffusion.sampling
    foreign = {
        "dpm_2_ancestral": samplers.sampler_function("dpm_2_ancestral") is stock("dpm_2_ancestral"),
        "euler": samplers.sampler_function("euler") is own.sample_euler,
    }
    sys.modules["hearth.sampling"] = None  # type: ignore[assignment]
    samplers._native_functions.cache_clear()
    names = samplers.native_names()
    without = samplers.sampler_function("euler") is own.sample_euler
    return {"is_comfyuis": foreign, "without_native": {"names": names, "euler": without}}


def main() -> None:
    names = samplers.native_names()
    places = [(name, place) for name in names for place in ("model", "callback")]
    with torch.inference_mode():
        result = {
            "names": names,
            "comparisons": comparisons(),
            "schedulers": {"comfyui": SCHEDULERS, "hearth": schedules.NAMES},
            "schedules": schedules_equal(),
            "interrupts": {f"{name} {place}": interrupted(name, place) for name, place in places},
            "waits": {
                name: [waits(samplers.sampler_function(name), steps) for steps in (4, 12)]
                for name in names
            },
            "waits_of_comfyui": {
                name: [waits(stock(name), steps) for steps in (4, 12)] for name in names
            },
            "fallbacks": fallbacks(),
        }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
