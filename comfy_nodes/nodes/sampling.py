"""ComfyUI's samplers, holding the model while they sample."""

from __future__ import annotations

from typing import Any

from .node import Node, Output, Result
from .service import NodeService
from .stock import call_stock, stock_class, stock_inputs

_LATENT = Output("LATENT", "LATENT", "The latent after the last step.")
_SAMPLER = Output("SAMPLER", "SAMPLER", "A sampler, for SamplerCustom and SamplerCustomAdvanced.")


def sampling_nodes() -> list[Node]:
    """One node for each stock sampler that this ComfyUI has."""
    nodes = [
        _k_sampler("HearthKSampler", "KSampler", "KSampler"),
        _k_sampler("HearthKSamplerAdvanced", "KSampler Advanced", "KSamplerAdvanced"),
        _sampler_select(),
    ]
    return [node for node in nodes if node is not None]


def _k_sampler(id_: str, title: str, class_name: str) -> Node | None:
    if stock_class(class_name) is None:
        return None
    return Node(
        id=id_,
        title=f"{title} (hearth)",
        description=f"{class_name}, with the same result. Nothing evicts the model while it "
        "samples, and samplers that hearth knows take its native steps.",
        inputs=lambda: stock_inputs(class_name),
        outputs=(_LATENT,),
        run=lambda service, **inputs: _sample(service, class_name, inputs),
    )


def _sample(service: NodeService, class_name: str, inputs: dict[str, Any]) -> Result:
    with service.holding(inputs["model"]):
        model = service.with_own_steps(inputs["model"], inputs["sampler_name"])
        return Result(call_stock(class_name, inputs | {"model": model}))


def _sampler_select() -> Node | None:
    def run(service: NodeService, sampler_name: str) -> Result:
        return Result((service.sampler(sampler_name),))

    if stock_class("KSamplerSelect") is None:
        return None
    return Node(
        id="HearthSampler",
        title="hearth sampler",
        description="KSamplerSelect, with hearth's native steps for the samplers that it knows.",
        inputs=lambda: stock_inputs("KSamplerSelect"),
        outputs=(_SAMPLER,),
        run=run,
    )
