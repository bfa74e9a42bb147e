"""The noise and the options of hearth's samplers, and what they read of a model; no ComfyUI."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch: ./dev setup")
sampling = pytest.importorskip(
    "hearth.sampling", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

import sampler_toy as toy  # noqa: E402
from hearth import noise, schedules  # noqa: E402
from hearth.errors import HearthError  # noqa: E402

toy_model = toy.toy_model


@pytest.fixture
def samplers() -> dict[str, Callable[..., Any]]:
    functions: dict[str, Callable[..., Any]] = sampling.functions()
    return functions


def flow_model() -> Any:
    return toy.ToyModel(schedules.FlowLevels(toy.SHIFT))


def levels(count: int) -> Any:
    return torch.cat([torch.logspace(1, -1, count), torch.zeros(1)])


def require_torchsde() -> None:
    pytest.importorskip("torchsde", reason="NOT RUN, needs torchsde: ./dev setup")


def test_the_seed_of_the_run_decides_the_noise(samplers: dict[str, Callable[..., Any]]) -> None:
    require_torchsde()
    for name in ("euler_ancestral", "dpmpp_2m_sde", "lcm"):
        end = [
            samplers[name](toy_model, torch.ones(1, 4), levels(4), {"seed": seed}, disable=True)
            for seed in (1, 1, 2)
        ]
        assert torch.equal(end[0], end[1])
        assert not torch.equal(end[0], end[2])


def test_a_noise_sampler_of_the_callers_is_asked_for_each_way(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    ways: list[tuple[float, float]] = []

    def draw(sigma: Any, sigma_next: Any) -> Any:
        ways.append((float(sigma), float(sigma_next)))
        return torch.zeros(1, 4)

    sigmas = torch.tensor([4.0, 2.0, 1.0, 0.0])
    for name in ("euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_2m_sde", "dpmpp_3m_sde", "lcm"):
        ways.clear()
        samplers[name](toy_model, torch.ones(1, 4), sigmas, disable=True, noise_sampler=draw)
        assert ways == [(4.0, 2.0), (2.0, 1.0)]


def test_noise_of_a_models_own_scale_is_drawn_at_that_scale(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    model = flow_model()
    sigmas = torch.tensor([0.9, 0.6, 0.3])
    options = {"disable": True, "noise_sampler": lambda *_: torch.ones(1, 4)}
    halved = samplers["euler_ancestral"](model, torch.ones(1, 4), sigmas, s_noise=0.5, **options)
    model.model_sampling.noise_scale = 0.5
    scaled = samplers["euler_ancestral"](model, torch.ones(1, 4), sigmas, **options)
    assert torch.equal(scaled, halved)


def test_lcm_makes_latents_noisy_as_the_models_sampling_does(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    model = flow_model()
    model.model_sampling.noise_scaling = lambda sigma, noise, clean: clean * 0.0 + sigma
    sigmas = torch.tensor([0.9, 0.5])
    latents = samplers["lcm"](model, torch.ones(1, 4), sigmas, disable=True)
    assert latents.tolist() == [[0.5] * 4]


def test_a_model_in_comfyuis_wrapping_is_known_as_a_flow_model(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    class CONST:
        """By its name ComfyUI's class of flow models."""

    class Patcher:
        def get_model_object(self, name: str) -> Any:
            assert name == "model_sampling"
            return CONST()

    class Wrapped:
        def __init__(self) -> None:
            self.inner_model = self
            self.model_patcher = Patcher()

        __call__ = staticmethod(toy_model)

    sigmas = torch.tensor([0.9, 0.6, 0.3])
    ends = [
        samplers["euler_ancestral"](model, torch.ones(1, 4), sigmas, {"seed": 1}, disable=True)
        for model in (Wrapped(), flow_model(), toy_model)
    ]
    assert torch.equal(ends[0], ends[1])
    assert not torch.equal(ends[0], ends[2])


def test_uni_pc_leaves_the_level_that_it_ended_at_in_the_schedule(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    for sigmas, end in ((levels(4), 0.001), (levels(4)[:4], 0.1)):
        samplers["uni_pc"](toy_model, torch.ones(1, 4), sigmas, disable=True)
        assert float(sigmas[-1]) == pytest.approx(end)


def test_brownian_noise_of_two_halves_makes_that_of_the_whole() -> None:
    require_torchsde()
    path = noise.BrownianNoise(torch.zeros(1, 4), 0.1, 10.0, seed=3)
    high, middle, low = (torch.tensor(level) for level in (9.0, 4.0, 1.0))
    whole = path(high, low) * 8.0**0.5
    halves = path(high, middle) * 5.0**0.5 + path(middle, low) * 3.0**0.5
    torch.testing.assert_close(halves, whole, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(path(low, high), -path(high, low))


def test_without_torchsde_the_samplers_that_need_it_name_it(
    samplers: dict[str, Callable[..., Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torchsde", None)
    with pytest.raises(HearthError, match="need the package torchsde"):
        samplers["dpmpp_2m_sde"](toy_model, torch.ones(1, 4), levels(3), disable=True)
    samplers["euler_ancestral"](toy_model, torch.ones(1, 4), levels(3), disable=True)


@pytest.mark.parametrize(
    ("name", "option", "reason"),
    [
        ("dpmpp_2m_sde", {"solver_type": "euler"}, 'solver_type is "midpoint" or "heun"'),
        ("deis", {"deis_mode": "rhoab"}, 'has the mode "tab"'),
        ("ipndm", {"max_order": 5}, "max_order is 1 to 4"),
    ],
)
def test_an_option_of_no_such_value_is_refused_before_the_first_answer(
    samplers: dict[str, Callable[..., Any]], name: str, option: dict[str, Any], reason: str
) -> None:
    with pytest.raises(HearthError, match=reason):
        samplers[name](pytest.fail, torch.ones(1, 4), levels(3), disable=True, **option)
