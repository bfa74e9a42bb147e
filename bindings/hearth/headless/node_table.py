"""The node classes that `hearth run` knows: inputs, defaults, limits and outputs, as ComfyUI's.

A test compares them with what a ComfyUI answers to /object_info.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any

ANY = "*"
ALL_IDLE = "(all that are idle)"
_MAX_RESOLUTION = 16384
_MAX_SEED = 2**64 - 1
_SECONDS_A_YEAR = 31_536_000
_NONE: Mapping[str, str] = MappingProxyType({})

SAMPLERS = (
    "euler",
    "euler_ancestral",
    "heun",
    "heunpp2",
    "dpm_2",
    "dpmpp_2s_ancestral",
    "dpmpp_sde",
    "dpmpp_2m",
    "dpmpp_2m_sde",
    "dpmpp_3m_sde",
    "lcm",
    "ipndm",
    "deis",
    "res_multistep",
    "ddim",
    "uni_pc",
    "uni_pc_bh2",
)
"""Of ComfyUI's samplers those that hearth computes."""
SCHEDULERS = (
    "simple",
    "sgm_uniform",
    "karras",
    "exponential",
    "ddim_uniform",
    "beta",
    "normal",
    "linear_quadratic",
    "kl_optimal",
)
"""Of ComfyUI's schedules those that hearth computes."""

_CLIP_TYPES = """
lumina2 stable_diffusion stable_cascade sd3 stable_audio mochi ltxv pixart cosmos wan
hidream chroma ace omnigen2 qwen_image hunyuan_image flux2 ovis longcat_image cogvideox
lens pixeldit ideogram4 boogu krea2 joyimage mage minimax
""".split()  # noqa: SIM905 - a line each would be half of this page
_AS_IN_FILE = "hearth computes with the weights as they are in the file"


@dataclass(frozen=True)
class Input:
    """One input. `type` is ComfyUI's: INT, FLOAT, STRING, BOOLEAN, COMBO, or that of a link."""

    type: str
    default: Any = None
    min: float | None = None
    max: float | None = None
    choices: tuple[str, ...] = ()
    refused: Mapping[str, str] = field(default_factory=lambda: _NONE)
    """Choices of ComfyUI's that hearth does not take, and why."""
    model_list: str = ""
    """A COMBO of the entries of this list; ANY: of all lists."""
    optional: bool = False

    @property
    def is_link(self) -> bool:
        """Whether only another node can give it."""
        return self.type not in ("INT", "FLOAT", "STRING", "BOOLEAN", "COMBO")


@dataclass(frozen=True)
class Output:
    """One output; where `passes` is set it is what that input was given."""

    type: str
    passes: str = ""


@dataclass(frozen=True)
class NodeClass:
    """One node class."""

    inputs: Mapping[str, Input]
    outputs: tuple[Output, ...] = ()
    is_output: bool = False
    runs_anew: bool = False
    """In every run, whether or not its inputs have changed."""


def _whole(default: int, min_: int, max_: int) -> Input:
    return Input("INT", default, min_, max_)


def _real(default: float, min_: float, max_: float) -> Input:
    return Input("FLOAT", default, min_, max_)


def _one_of(*choices: str, **refused: str) -> Input:
    return Input("COMBO", choices[0], choices=choices, refused=MappingProxyType(refused))


def _file(model_list: str) -> Input:
    return Input("COMBO", model_list=model_list)


def _may(input_: Input) -> Input:
    return replace(input_, optional=True)


_MODEL, _CLIP, _VAE = Output("MODEL"), Output("CLIP"), Output("VAE")
_LATENT, _IMAGE = Output("LATENT"), Output("IMAGE")
_SEED = _whole(0, 0, _MAX_SEED)
_FLAG = Input("BOOLEAN", False)
_SAMPLING = {
    "steps": _whole(20, 1, 10000),
    "cfg": _real(8.0, 0.0, 100.0),
    "sampler_name": Input("COMBO", choices=SAMPLERS),
    "scheduler": Input("COMBO", choices=SCHEDULERS),
    "positive": Input("CONDITIONING"),
    "negative": Input("CONDITIONING"),
    "latent_image": Input("LATENT"),
}

_CHECKPOINT = NodeClass({"ckpt_name": _file("checkpoints")}, (_MODEL, _CLIP, _VAE))
_UNET = NodeClass(
    {
        "unet_name": _file("diffusion_models"),
        "weight_dtype": _one_of(
            "default",
            fp8_e4m3fn=_AS_IN_FILE,
            fp8_e4m3fn_fast=_AS_IN_FILE,
            fp8_e5m2=_AS_IN_FILE,
        ),
    },
    (_MODEL,),
)
_CLIP_LOADER = NodeClass(
    {
        "clip_name": _file("text_encoders"),
        "type": Input(
            "COMBO",
            choices=tuple(name for name in _CLIP_TYPES if name != "flux2"),
            refused=MappingProxyType({"flux2": "it makes another model of Qwen3 than Z-Image's"}),
        ),
        "device": _may(_one_of("default", "cpu")),
    },
    (_CLIP,),
)
_VAE_LOADER = NodeClass({"vae_name": _file("vae")}, (_VAE,))
_KSAMPLER = NodeClass(
    {"model": Input("MODEL"), "seed": _SEED, **_SAMPLING, "denoise": _real(1.0, 0.0, 1.0)},
    (_LATENT,),
)
_KSAMPLER_ADVANCED = NodeClass(
    {
        "model": Input("MODEL"),
        "add_noise": _one_of("enable", "disable"),
        "noise_seed": _SEED,
        **_SAMPLING,
        "start_at_step": _whole(0, 0, 10000),
        "end_at_step": _whole(10000, 0, 10000),
        "return_with_leftover_noise": _one_of("disable", "enable"),
    },
    (_LATENT,),
)


def _empty_latent(default: int) -> NodeClass:
    size = _whole(default, 16, _MAX_RESOLUTION)
    return NodeClass({"width": size, "height": size, "batch_size": _whole(1, 1, 4096)}, (_LATENT,))


def _kept(loader: NodeClass) -> NodeClass:
    """A loader of hearth's own: as ComfyUI's, with a say in how long the model stays."""
    further = {"pin": _may(_FLAG), "keep_alive_s": _may(_whole(0, 0, _SECONDS_A_YEAR))}
    return replace(loader, inputs={**loader.inputs, **further})


_AFTER = _may(Input(ANY))

_DECODE = NodeClass({"samples": Input("LATENT"), "vae": Input("VAE")}, (_IMAGE,))
_SAVE = NodeClass(
    {"images": Input("IMAGE"), "filename_prefix": Input("STRING", "ComfyUI")}, (_IMAGE,), True
)

NODES: Mapping[str, NodeClass] = {
    "CheckpointLoaderSimple": _CHECKPOINT,
    "UNETLoader": _UNET,
    "CLIPLoader": _CLIP_LOADER,
    "VAELoader": _VAE_LOADER,
    "CLIPTextEncode": NodeClass(
        {"text": Input("STRING"), "clip": Input("CLIP")}, (Output("CONDITIONING"),)
    ),
    "ConditioningZeroOut": NodeClass(
        {"conditioning": Input("CONDITIONING")}, (Output("CONDITIONING"),)
    ),
    "EmptySD3LatentImage": _empty_latent(1024),
    "EmptyLatentImage": _empty_latent(512),
    "ModelSamplingAuraFlow": NodeClass(
        {"model": Input("MODEL"), "shift": _real(1.73, 0.0, 100.0)}, (_MODEL,)
    ),
    "KSampler": _KSAMPLER,
    "KSamplerAdvanced": _KSAMPLER_ADVANCED,
    "VAEDecode": _DECODE,
    "SaveImage": _SAVE,
    "PreviewImage": NodeClass({"images": Input("IMAGE")}, (_IMAGE,), True),
    "HearthCheckpointLoader": _kept(_CHECKPOINT),
    "HearthDiffusionModelLoader": _kept(_UNET),
    "HearthCLIPLoader": _kept(_CLIP_LOADER),
    "HearthVAELoader": _kept(_VAE_LOADER),
    "HearthZImageLoader": _kept(_UNET),
    "HearthVAEDecode": _DECODE,
    "HearthSaveImage": _SAVE,
    "HearthKSampler": _KSAMPLER,
    "HearthKSamplerAdvanced": _KSAMPLER_ADVANCED,
    "HearthPrewarm": NodeClass(
        {"model": _file(ANY), "options": _may(Input("STRING", "")), "after": _AFTER},
        (Output(ANY, passes="after"),),
        is_output=True,
    ),
    "HearthEvict": NodeClass(
        {
            "model": Input("COMBO", ALL_IDLE, choices=(ALL_IDLE,), model_list=ANY),
            "free": _may(_FLAG),
            "after": _AFTER,
        },
        (Output(ANY, passes="after"),),
        is_output=True,
        runs_anew=True,
    ),
    "HearthPin": NodeClass(
        {"model": Input(ANY), "pinned": _may(Input("BOOLEAN", True))},
        (Output(ANY, passes="model"),),
        is_output=True,
        runs_anew=True,
    ),
    "HearthCacheStatus": NodeClass(
        {"after": _AFTER}, (Output("STRING"),), is_output=True, runs_anew=True
    ),
}
"""Every class by ComfyUI's name."""
