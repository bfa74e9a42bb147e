"""hearth's noise schedules without ComfyUI: its numbers, denoise, and refusals in words."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch: ./dev setup")

from hearth import schedules  # noqa: E402
from hearth.errors import HearthError  # noqa: E402

# Made by tests/comfy/write_schedule_goldens.py with ComfyUI 0.33.0.
GOLDENS: dict[str, list[float]] = json.loads(
    (Path(__file__).with_name("goldens") / "comfyui_schedules.json").read_text(encoding="utf-8")
)


def stable_diffusion_levels() -> Any:
    """sqrt((1 - a) / a) of scaled-linear betas: Rombach et al., arXiv:2112.10752, appendix."""
    betas = torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2
    signal = (1.0 - betas).cumprod(0)
    return ((1.0 - signal) / signal) ** 0.5


MODELS = {
    "flow": schedules.FlowLevels(3.0),
    "eps": schedules.DiscreteLevels(stable_diffusion_levels()),
}


@pytest.mark.parametrize("case", GOLDENS)
def test_levels_are_comfyuis(case: str) -> None:
    kind, name, steps = case.split()
    if name == "beta":
        pytest.importorskip("scipy", reason="NOT RUN, needs scipy: ./dev setup")
    row = schedules.schedule(name, int(steps), MODELS[kind])
    assert (row.dtype, row.device.type) == (torch.float32, "cpu")
    assert row.tolist() == pytest.approx(GOLDENS[case], rel=1e-6, abs=1e-9)


def test_there_is_a_golden_of_every_schedule() -> None:
    assert {case.split()[1] for case in GOLDENS} == set(schedules.NAMES)


@pytest.mark.parametrize("name", sorted(set(schedules.NAMES) - {"beta", "ddim_uniform"}))
@pytest.mark.parametrize("steps", [1, 2, 8, 30])
@pytest.mark.parametrize("denoise", [1.0, 0.6, 0.33])
def test_a_flow_schedule_falls_to_zero_in_as_many_steps(
    name: str, steps: int, denoise: float
) -> None:
    row = schedules.sigmas(name, steps, denoise=denoise)
    assert len(row) == steps + 1
    assert row[-1] == 0
    assert bool((row[1:] < row[:-1]).all())
    assert (float(row[0]) == pytest.approx(1.0)) is (int(steps / denoise) == steps)


def test_denoise_takes_the_end_of_a_longer_run() -> None:
    assert torch.equal(
        schedules.sigmas("karras", 4, denoise=0.5), schedules.sigmas("karras", 8)[-5:]
    )
    assert torch.equal(
        schedules.sigmas("simple", 4, denoise=0.99995), schedules.sigmas("simple", 4)
    )
    for nothing in (
        schedules.sigmas("simple", 4, denoise=0.0),
        schedules.sigmas("simple", 0),
    ):
        assert (nothing.shape, nothing.dtype) == ((0,), torch.float32)


def test_shift_moves_the_levels_of_a_flow_model_towards_noise() -> None:
    assert schedules.sigmas("normal", 8, shift=6.0)[4] > schedules.sigmas("normal", 8)[4]


def test_a_row_of_levels_stands_for_its_model() -> None:
    levels = stable_diffusion_levels()
    for name in ("simple", "normal", "karras"):
        row = schedules.schedule(name, 5, levels)
        assert torch.equal(row, schedules.schedule(name, 5, MODELS["eps"]))


@pytest.mark.parametrize("sampler", sorted(schedules.SKIPS_LAST_LEVEL))
def test_some_samplers_end_without_the_last_level_above_zero(sampler: str) -> None:
    longer = schedules.sigmas("simple", 9)
    row = schedules.for_sampler(sampler, "simple", 8, MODELS["flow"])
    assert row.tolist() == [*longer[:8].tolist(), 0.0]
    half = schedules.for_sampler(sampler, "simple", 4, MODELS["flow"], denoise=0.5)
    assert half.tolist() == row[-5:].tolist()
    plain = schedules.for_sampler("euler", "simple", 8, MODELS["flow"])
    assert torch.equal(plain, schedules.sigmas("simple", 8))


@pytest.mark.parametrize(("percent", "level"), [(-1.0, 1.0), (0.0, 1.0), (0.5, 0.75), (2.0, 0.0)])
def test_a_flow_model_knows_the_level_of_a_share_of_the_way(percent: float, level: float) -> None:
    assert schedules.FlowLevels(3.0).percent_to_sigma(percent) == level


def test_an_unknown_schedule_is_answered_with_the_nearest() -> None:
    with pytest.raises(HearthError, match='no schedule "karas"; did you mean "karras"'):
        schedules.sigmas("karas", 4)


def test_negative_steps_are_refused() -> None:
    with pytest.raises(HearthError, match="cannot have -1 steps"):
        schedules.sigmas("simple", -1)


def test_without_scipy_beta_names_the_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "scipy.stats", None)
    with pytest.raises(HearthError, match="beta needs the package scipy"):
        schedules.sigmas("beta", 4)
