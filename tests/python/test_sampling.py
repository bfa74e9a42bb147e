"""hearth's samplers without ComfyUI: golden numbers, the caller's contract, no waits in a loop."""

from __future__ import annotations

import inspect
import json
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch: ./dev setup")
sampling = pytest.importorskip(
    "hearth.sampling", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

import sampler_formulas as formulas  # noqa: E402
import sampler_toy as toy  # noqa: E402
from hearth import schedules  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from benchmarks.harness.host_waits import HostWaits  # noqa: E402

NAMES = list(toy.NAMES)
BROWNIAN = {"dpmpp_sde", "dpmpp_2m_sde", "dpmpp_3m_sde"}
GOLDENS = json.loads(formulas.GOLDENS.read_text(encoding="utf-8"))


class Interrupt(BaseException):
    """Like ComfyUI's: no Exception, so that no `except Exception` swallows it."""


@pytest.fixture
def samplers() -> dict[str, Callable[..., Any]]:
    functions: dict[str, Callable[..., Any]] = sampling.functions()
    return functions


toy_model = toy.toy_model


def flow_model() -> Any:
    return toy.ToyModel(schedules.FlowLevels(toy.SHIFT))


def options_of(name: str) -> dict[str, Any]:
    """Brownian noise by torchsde reads numbers on the host; steps are looked at without it."""
    return {"noise_sampler": lambda *_: torch.zeros(())} if name in BROWNIAN else {}


def levels(count: int) -> Any:
    return torch.cat([torch.logspace(1, -1, count), torch.zeros(1)])


def cases() -> list[tuple[str, str]]:
    return [(name, schedule) for name in formulas.FORMULAS for schedule in formulas.SCHEDULES]


def test_every_sampler_has_numbers_to_be_compared_with(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    assert sorted(samplers) == sorted(NAMES)


def test_goldens_are_those_of_the_formulas() -> None:
    computed = formulas.computed()
    for name, schedule in cases():
        assert GOLDENS[name][schedule] == pytest.approx(computed[name][schedule], rel=1e-12)


@pytest.mark.parametrize(("name", "schedule"), cases())
@pytest.mark.parametrize(("dtype", "tolerance"), [("float64", 1e-12), ("float32", 1e-6)])
def test_latents_are_the_golden_ones_in_any_shape(
    samplers: dict[str, Callable[..., Any]], name: str, schedule: str, dtype: str, tolerance: float
) -> None:
    kind = getattr(torch, dtype)
    sigmas = torch.tensor(formulas.SCHEDULES[schedule], dtype=kind)
    golden = torch.tensor(GOLDENS[name][schedule], dtype=torch.float64)
    for shape in [(1, 6), (2, 3), (6, 1, 1, 1), (1, 1, 2, 3)]:
        x = torch.tensor(formulas.START, dtype=kind).reshape(shape) * sigmas[0]
        latents = samplers[name](toy_model, x, sigmas, disable=True)
        assert latents.shape == shape
        assert (latents.double().flatten() - golden).norm() <= tolerance * golden.norm()


COMFYUIS: dict[str, list[float]] = json.loads(toy.GOLDENS.read_text(encoding="utf-8"))
# Where the logarithm of another processor, off in its last bit, is seen larger: a Brownian path is
# steep everywhere, and 1 - alpha near the end is a small difference.
LOOSE = {"dpmpp_sde": 1e-3, "uni_pc": 1e-4, "uni_pc_bh2": 1e-4, "deis": 1e-5}


def require_torchsde() -> None:
    pytest.importorskip("torchsde", reason="NOT RUN, needs torchsde: ./dev setup")


@pytest.mark.parametrize("run", toy.runs(), ids=lambda run: run.key)
def test_latents_are_comfyuis(samplers: dict[str, Callable[..., Any]], run: toy.Run) -> None:
    if run.name in BROWNIAN:
        require_torchsde()
    model = flow_model() if run.flow else toy_model
    latents = samplers[run.name](model, **run.arguments()).double().flatten()
    golden = torch.tensor(COMFYUIS[run.key], dtype=torch.float64)
    assert (latents - golden).norm() <= LOOSE.get(run.name, 1e-6) * golden.norm()


def test_there_is_a_golden_of_every_run() -> None:
    assert list(COMFYUIS) == [run.key for run in toy.runs()]


def deterministic() -> list[str]:
    return [name for name in toy.NAMES if "noise_sampler" not in sampling._OPTIONS[name]]


@pytest.mark.parametrize("name", deterministic())
def test_latents_of_any_shape_are_sampled_number_by_number(
    samplers: dict[str, Callable[..., Any]], name: str
) -> None:
    run = toy.Run(name, "eps to zero")
    row = samplers[name](toy_model, **run.arguments()).flatten()
    for shape in [(2, 3), (6, 1, 1, 1), (1, 1, 2, 3)]:
        arguments = run.arguments()
        latents = samplers[name](toy_model, arguments.pop("x").reshape(shape), **arguments)
        assert latents.shape == shape
        torch.testing.assert_close(latents.flatten(), row, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("flow", [False, True])
def test_no_step_waits_for_the_device(
    samplers: dict[str, Callable[..., Any]], name: str, flow: bool
) -> None:
    model = flow_model() if flow else toy_model
    top = 0.99 if flow else 10.0
    copies = []
    for steps in (6, 40):
        sigmas = torch.cat([torch.linspace(top, 0.1, steps), torch.zeros(1)])
        options = options_of(name)
        with HostWaits() as operations:
            samplers[name](model, torch.ones(1, 4), sigmas, disable=True, **options)
        assert operations.waits == 0
        copies.append(operations.seen["aten._to_copy.default"])
        assert operations.seen["aten.sin.default"] >= steps
    # deis and uni_pc take the numbers of each step's weights from tensors in host memory.
    if name not in {"deis", "uni_pc", "uni_pc_bh2"}:
        assert copies[0] == copies[1] <= 3, "what steps need is read to the host before the first"


@pytest.mark.parametrize("mode", [torch.no_grad, torch.inference_mode])
def test_the_count_of_waits_sees_one(mode: Callable[[], Any]) -> None:
    with mode(), HostWaits() as operations:
        assert bool(torch.zeros(1) == 0)
    assert operations.waits == 1


@pytest.mark.parametrize("name", NAMES)
def test_each_step_is_reported_with_what_the_model_got_and_said(
    samplers: dict[str, Callable[..., Any]], name: str
) -> None:
    asked: list[Any] = []
    reports: list[dict[str, Any]] = []

    def model(x: Any, sigma: Any, *, seed: int) -> Any:
        assert (sigma.shape, seed) == ((2,), 11)
        asked.append(toy_model(x, sigma))
        return asked[-1]

    def observe(report: dict[str, Any]) -> None:
        reports.append(report | {"newest": asked[-1]})

    sigmas = levels(3)
    options = options_of(name)
    samplers[name](model, torch.ones(2, 4), sigmas.clone(), {"seed": 11}, observe, True, **options)
    assert [report["i"] for report in reports] == [0, 1, 2]
    for report, level in zip(reports, sigmas, strict=False):
        assert set(report) == {"x", "i", "sigma", "sigma_hat", "denoised", "newest"}
        assert report["sigma"].shape == report["sigma_hat"].shape == ()
        assert report["sigma"] == report["sigma_hat"] == level
        if not name.startswith("uni_pc"):  # whose answer goes through the noise and back
            assert torch.equal(report["denoised"], report["newest"])
        torch.testing.assert_close(report["denoised"], report["newest"], rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("count", [0, 1])
def test_without_a_second_sigma_the_latents_come_back_untouched(
    samplers: dict[str, Callable[..., Any]], name: str, count: int
) -> None:
    x = torch.ones(1, 4)
    assert samplers[name](pytest.fail, x, torch.ones(count), callback=pytest.fail) is x


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("place", ["model", "callback"])
def test_an_interrupt_comes_back_as_it_was_raised(
    samplers: dict[str, Callable[..., Any]], name: str, place: str
) -> None:
    interrupt = Interrupt("stop")
    calls: list[str] = []

    def at(here: str) -> None:
        calls.append(here)
        if here == place and calls.count(here) == 2:
            raise interrupt

    def model(x: Any, sigma: Any) -> Any:
        at("model")
        return toy_model(x, sigma)

    options = options_of(name)
    with pytest.raises(Interrupt) as raised:
        samplers[name](
            model, torch.ones(1, 4), levels(9), None, lambda _: at("callback"), True, **options
        )
    assert raised.value is interrupt
    assert calls[-1] == place, "nothing is asked after it"
    assert raised.traceback[-1].name == "at"


def test_an_error_inside_a_tensor_operation_keeps_its_class(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    class OutOfMemory(TorchDispatchMode):
        def __torch_dispatch__(
            self, function: Any, types: Any, args: Any = (), kwargs: Any = None
        ) -> Any:
            if str(function).startswith("aten.sub"):
                raise torch.OutOfMemoryError("no memory")
            return function(*args, **(kwargs or {}))

    with OutOfMemory(), pytest.raises(torch.OutOfMemoryError, match="no memory"):
        samplers["euler"](lambda x, sigma: x, torch.ones(1, 4), levels(3), disable=True)


def test_what_is_no_tensor_is_named(samplers: dict[str, Callable[..., Any]]) -> None:
    with pytest.raises(TypeError, match="answers with a tensor, not with str"):
        samplers["euler"](lambda x, sigma: "latents", torch.ones(1, 4), levels(3), disable=True)


def test_latents_that_do_not_fit_raise_torchs_own_error(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    with pytest.raises(RuntimeError, match="must match the size"):
        samplers["euler"](lambda x, sigma: x[:, :3], torch.ones(1, 4), levels(3), disable=True)


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_kept_for_gradients(samplers: dict[str, Callable[..., Any]], name: str) -> None:
    x = torch.ones(1, 4, requires_grad=True)
    options = options_of(name)
    assert not samplers[name](toy_model, x, levels(3), disable=True, **options).requires_grad


def test_churn_draws_from_the_same_generator_as_torch(
    samplers: dict[str, Callable[..., Any]],
) -> None:
    sigmas = torch.tensor([2.0, 1.0])
    torch.manual_seed(3)
    noise = torch.randn(1, 4)
    gamma = 2**0.5 - 1
    expected = torch.zeros(1, 4) + noise * 0.5 * (2.0**2 * (1 + gamma) ** 2 - 2.0**2) ** 0.5
    got: list[Any] = []
    torch.manual_seed(3)
    samplers["euler"](
        lambda x, sigma: got.append((x, sigma)) or x,
        torch.zeros(1, 4),
        sigmas,
        disable=True,
        s_churn=7.0,
        s_noise=0.5,
    )
    ((x, sigma),) = got
    torch.testing.assert_close(x, expected)
    assert sigma.item() == pytest.approx(2.0 * (1 + gamma))


def test_options_are_those_of_comfyuis_functions(samplers: dict[str, Callable[..., Any]]) -> None:
    common = ["model", "x", "sigmas", "extra_args", "callback", "disable"]
    options = {
        name: list(inspect.signature(function).parameters)[6:]
        for name, function in samplers.items()
    }
    churn = ["s_churn", "s_tmin", "s_tmax", "s_noise"]
    ancestral = ["eta", "s_noise", "noise_sampler"]
    assert options == {
        **dict.fromkeys(("euler", "heun", "heunpp2", "dpm_2", "ddim"), churn),
        **dict.fromkeys(("euler_ancestral", "dpmpp_2s_ancestral", "dpmpp_3m_sde"), ancestral),
        "dpmpp_sde": [*ancestral, "r"],
        "dpmpp_2m_sde": [*ancestral, "solver_type"],
        "lcm": ["noise_sampler", "s_noise", "s_noise_end", "noise_clip_std"],
        "ipndm": ["max_order"],
        "deis": ["max_order", "deis_mode"],
        "res_multistep": ["s_noise", "noise_sampler"],
        **dict.fromkeys(("dpmpp_2m", "uni_pc", "uni_pc_bh2"), []),
    }
    assert list(inspect.signature(samplers["euler"]).parameters)[:6] == common
    with pytest.raises(TypeError, match="eta"):
        samplers["dpmpp_2m"](toy_model, torch.ones(1, 4), levels(2), eta=1.0)


@pytest.mark.parametrize("disable", [True, False])
def test_the_progress_bar_counts_steps_unless_it_is_disabled(
    samplers: dict[str, Callable[..., Any]], disable: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    samplers["euler"](toy_model, torch.ones(1, 4), levels(3), disable=disable)
    shown = capfd.readouterr().err
    assert ("3/3" in shown) is not disable


def test_a_progress_bar_of_the_callers_is_closed_when_a_run_breaks_off() -> None:
    events: list[str] = []

    class Bar:
        def __init__(self, total: int, disable: bool | None) -> None:
            events.append(f"of {total}")

        def __enter__(self) -> Bar:
            return self

        def __exit__(self, *_: object) -> None:
            events.append("closed")

        def update(self) -> None:
            events.append("step")

    def stop_at_the_second(report: dict[str, Any]) -> None:
        if report["i"] == 1:
            raise Interrupt

    euler = sampling.functions(Bar)["euler"]
    with pytest.raises(Interrupt):
        euler(toy_model, torch.ones(1, 4), levels(3), callback=stop_at_the_second)
    assert events == ["of 3", "step", "closed"]


def import_error(packages: list[str], program: str = "") -> str:
    """What `import hearth.sampling` says in a Python of its own."""
    program += "\ntry:\n    import hearth.sampling\nexcept ImportError as error:\n    print(error)"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(packages)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    (line,) = done.stdout.splitlines()
    return line


def test_another_torch_than_the_one_built_against_is_named_in_one_sentence() -> None:
    said = import_error(sys.path, "import torch; torch.__version__ = '1.13.1'")
    assert f"built against torch {torch.__version__}, and this is torch 1.13.1" in said
    assert "./dev build" in said


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            "void missing_in_torch(void); void PyInit__torch(void) { missing_in_torch(); }",
            "another",
        ),
        (None, "it is not built for this Python"),
    ],
)
def test_a_module_that_does_not_load_beside_this_torch_is_named_in_one_sentence(
    tmp_path: Path, source: str | None, reason: str
) -> None:
    package = Path(sampling.__file__).parent
    copy = shutil.copytree(
        package, tmp_path / "hearth", ignore=shutil.ignore_patterns("_torch.*so")
    )
    if source is not None:
        library = copy / f"_torch{sysconfig.get_config_var('EXT_SUFFIX')}"
        command = ["cc", "-shared", "-fPIC", "-x", "c", "-", "-o", str(library)]
        subprocess.run(command, input=source, text=True, check=True)
    said = import_error([str(tmp_path), *sys.path])
    assert reason in said
    assert "./dev build" in said
