"""What a plan needs beside its models: packages, the tokenizer, prompts that it can read."""

from __future__ import annotations

import importlib
import importlib.util
from collections.abc import Iterable
from pathlib import Path

from hearth import qwen_tokenizer
from hearth.errors import HearthError
from hearth.headless.checks import Plan, PlannedNode
from hearth.headless.faults import Fault

_COMPUTING = ("torch",)
_WRITING = dict.fromkeys(("SaveImage", "PreviewImage", "HearthSaveImage"), ("PIL", "numpy"))
_BROWNIAN = ("dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde")
_ENCODER = "CLIPTextEncode"
_INSTALL = {"PIL": "Pillow"}


def missing_packages(plans: Iterable[Plan], *, writes_latents: bool) -> list[Fault]:
    """A fault for each package that is not installed."""
    wanted = dict.fromkeys(_COMPUTING, "")
    for plan in plans:
        for node in plan.nodes.values():
            wanted |= dict.fromkeys(_WRITING.get(node.class_name, ()), node.class_name)
            wanted |= _of_values(node)
    if writes_latents:
        wanted["safetensors"] = "--latent-out"
    faults = []
    for name, asker in wanted.items():
        if importlib.util.find_spec(name) is None:
            by = f" by {asker}" if asker else ""
            package = _INSTALL.get(name, name)
            faults.append(Fault(f"the package {package} is needed{by}: pip install {package}"))
    return faults


def _of_values(node: PlannedNode) -> dict[str, str]:
    """Packages that one schedule and some samplers need."""
    wanted = {}
    if node.values.get("scheduler") == "beta":
        wanted["scipy"] = "the schedule beta"
    sampler = node.values.get("sampler_name")
    if sampler in _BROWNIAN:
        wanted["torchsde"] = f"the sampler {sampler}"
    return wanted


def tokenizer_for(
    plans: Iterable[Plan], prompts: Iterable[str], path: Path | None
) -> tuple[qwen_tokenizer.Tokenizer | None, list[Fault]]:
    """The tokenizer where a plan encodes text, and what is wrong with it or with a text."""
    texts = [
        (node, node.values["text"])
        for plan in plans
        for node in plan.nodes.values()
        if node.class_name == _ENCODER and "text" in node.values
    ]
    encoding = [node for p in plans for node in p.nodes.values() if node.class_name == _ENCODER]
    if not encoding:
        return None, []
    try:
        tokenizer = _load(path)
    except HearthError as error:
        first = encoding[0]
        return None, [Fault(str(error), first.id, first.class_name, "text")]
    faults = []
    for node, text in texts:
        try:
            tokenizer.encode(text)
        except HearthError as error:
            faults.append(Fault(str(error), node.id, node.class_name, "text"))
    for prompt in prompts:
        try:
            tokenizer.encode(prompt)
        except HearthError as error:
            faults.append(Fault(f"--prompts: {error}"))
    return tokenizer, faults


def _load(path: Path | None) -> qwen_tokenizer.Tokenizer:
    found = qwen_tokenizer.find(path)
    try:
        return qwen_tokenizer.load(found)
    except HearthError:
        raise
    except Exception as error:  # tokenizers raises nothing more special for a file that is none
        raise HearthError(f"The tokenizer {found.name} cannot be read: {error}") from error
