"""hearth's samplers give ComfyUI's latents, through ComfyUI's own sampling objects."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import Graph, node, sd3_graph

pytestmark = pytest.mark.older_too

CASES = Path(__file__).with_name("sampler_cases.py")
NAMES = (
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
SPECIAL = (
    "denoise_mask",
    "batch 2",
    "five dimensions",
    "1 step",
    "0 steps",
    "no sigmas",
    "last sigma above zero",
    "starts late",
)


def require_native() -> None:
    """Skips, loudly, where the native samplers are not built."""
    pytest.importorskip(
        "hearth.sampling", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
    )


@pytest.fixture(scope="module")
def cases(comfy: Path) -> dict[str, Any]:
    """What `sampler_cases.py` found in this ComfyUI."""
    require_native()
    done = subprocess.run(
        [sys.executable, str(CASES), str(comfy)],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        cwd=comfy,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return found


def test_latents_and_previews_are_comfyuis(cases: dict[str, Any]) -> None:
    compared = cases["comparisons"]
    for name in NAMES:
        for kind in ("EPS", "V_PREDICTION", "FLOW"):
            for special in ("simple", "karras", "beta", *SPECIAL):
                known = (name, special) == ("lcm", "0 steps")  # an IndexError in ComfyUI
                assert known is not (f"{name} {kind} {special}" in compared)
    wrong = {
        case: result
        for case, result in compared.items()
        if max(result["error"], result["preview_error"]) > 1e-6
    }
    assert wrong == {}


def test_deis_is_comfyuis_to_the_bit(cases: dict[str, Any]) -> None:
    if float(np.log(np.float32(0.002) ** 2 + np.float32(1))) != float.fromhex("0x1.0fffdap-18"):
        pytest.skip("NOT RUN, needs a NumPy with AVX2: ComfyUI's deis has a constant of it")
    errors = [
        result["error"] for case, result in cases["comparisons"].items() if case[:5] == "deis "
    ]
    assert len(errors) > 20
    assert set(errors) == {0.0}


def test_every_step_is_shown(cases: dict[str, Any]) -> None:
    steps = {case: result["steps"] for case, result in cases["comparisons"].items()}
    for name in NAMES:
        assert steps[f"{name} FLOW simple"] == 6
        assert steps[f"{name} FLOW 1 step"] == 1
        assert steps.get(f"{name} FLOW 0 steps", 0) == 0


def test_nested_latents_are_comfyuis_where_there_are_any(cases: dict[str, Any]) -> None:
    nested = [case for case in cases["comparisons"] if "nested" in case]
    if not nested:
        pytest.skip("NOT RUN, this ComfyUI has no nested latents")
    assert len(nested) == len(NAMES) * 3 * 2


def test_comfyuis_interrupt_ends_the_run_as_itself(cases: dict[str, Any]) -> None:
    assert set(cases["interrupts"]) == {
        f"{name} {place}" for name in NAMES for place in ("model", "callback")
    }
    for found in cases["interrupts"].values():
        assert found == {"raised": "InterruptProcessingException", "calls": 2}


def test_schedules_are_comfyuis(cases: dict[str, Any]) -> None:
    names = cases["schedulers"]
    assert set(cases["schedules"]) == {
        f"{kind} {name}" for kind in ("EPS", "V_PREDICTION", "FLOW") for name in names["comfyui"]
    }
    assert names["hearth"] == names["comfyui"]
    assert {case for case, equal in cases["schedules"].items() if not equal} == set()


def test_no_step_waits_where_comfyuis_do(cases: dict[str, Any]) -> None:
    assert cases["waits"] == dict.fromkeys(NAMES, [0, 0])
    few, many = cases["waits_of_comfyui"]["res_multistep"]
    assert few >= 4
    assert many >= 12


def test_other_samplers_and_a_missing_native_module_mean_comfyuis_own(
    cases: dict[str, Any],
) -> None:
    assert tuple(cases["names"]) == NAMES
    assert cases["fallbacks"]["is_comfyuis"] == {"dpm_2_ancestral": True, "euler": False}
    assert cases["fallbacks"]["without_native"] == {"names": [], "euler": True}


def with_node(graph: Graph, class_type: str, **inputs: Any) -> Graph:
    """The graph with another class for its sampler, or some inputs changed."""
    entry = graph["sampler"]
    return graph | {"sampler": node(class_type, **entry["inputs"] | inputs)}


def custom_sampling(select: str, sampler_name: str) -> Graph:
    """The graph with SamplerCustom, its SAMPLER chosen by the node `select`."""
    graph = sd3_graph(seed=700)
    given = graph["sampler"]["inputs"]
    prompt = {name: given[name] for name in ("model", "positive", "negative", "cfg")}
    graph["select"] = node(select, sampler_name=sampler_name)
    graph["sigmas"] = node(
        "BasicScheduler", model=given["model"], scheduler="simple", steps=4, denoise=1.0
    )
    graph["sampler"] = node(
        "SamplerCustom",
        **prompt,
        add_noise=True,
        noise_seed=700,
        sampler=["select", 0],
        sigmas=["sigmas", 0],
        latent_image=given["latent_image"],
    )
    return graph


@pytest.mark.parametrize("sampler_name", [*NAMES, "dpm_2_ancestral"])
def test_images_of_hearths_sampler_nodes_are_stocks(
    hearth_server: LiveComfy, stock: LiveComfy, sampler_name: str
) -> None:
    graph = with_node(sd3_graph(seed=700), "KSampler", sampler_name=sampler_name)
    expected = stock.run(graph).pixels
    assert hearth_server.run(with_node(graph, "HearthKSampler")).pixels == expected
    ours = hearth_server.run(custom_sampling("HearthSampler", sampler_name)).pixels
    assert ours == stock.run(custom_sampling("KSamplerSelect", sampler_name)).pixels


def test_a_server_with_the_native_module_does_not_fall_back(hearth_server: LiveComfy) -> None:
    require_native()
    hearth_server.run(with_node(sd3_graph(seed=701), "HearthKSampler", sampler_name="euler"))
    assert "samplers are ComfyUI's own" not in hearth_server.server.log_text()
