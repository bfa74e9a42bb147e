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
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

from benchmarks.harness.host_waits import HostWaits  # noqa: E402

NAMES = list(formulas.FORMULAS)
GOLDENS = json.loads(formulas.GOLDENS.read_text(encoding="utf-8"))


class Interrupt(BaseException):
    """Like ComfyUI's: no Exception, so that no `except Exception` swallows it."""


@pytest.fixture
def samplers() -> dict[str, Callable[..., Any]]:
    functions: dict[str, Callable[..., Any]] = sampling.functions()
    return functions


def toy_model(x: Any, sigma: Any, **_: Any) -> Any:
    """`formulas.answer` on tensors of any shape."""
    sigma = sigma.reshape(-1, *[1] * (x.ndim - 1))
    return x / (1.0 + sigma * sigma) + 0.3 * torch.sin(x + sigma) * sigma / (1.0 + sigma)


def levels(count: int) -> Any:
    return torch.cat([torch.logspace(1, -1, count), torch.zeros(1)])


def cases() -> list[tuple[str, str]]:
    return [(name, schedule) for name in NAMES for schedule in formulas.SCHEDULES]


def test_every_sampler_has_a_formula_to_be_compared_with(
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


@pytest.mark.parametrize("name", NAMES)
def test_no_step_waits_for_the_device(samplers: dict[str, Callable[..., Any]], name: str) -> None:
    copies = []
    for steps in (4, 40):
        with HostWaits() as operations:
            samplers[name](toy_model, torch.ones(1, 4), levels(steps), disable=True)
        assert operations.waits == 0
        copies.append(operations.seen["aten._to_copy.default"])
        assert operations.seen["aten.sin.default"] == steps
    assert copies == [1, 1], "the schedule is read to the host once a run"


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
        asked.append((x, sigma))
        return toy_model(x, sigma)

    sigmas = levels(3)
    samplers[name](model, torch.ones(2, 4), sigmas, {"seed": 11}, reports.append, True)
    assert [report["i"] for report in reports] == [0, 1, 2]
    for report, (x, sigma), level in zip(reports, asked, sigmas, strict=False):
        assert set(report) == {"x", "i", "sigma", "sigma_hat", "denoised"}
        assert report["x"] is x
        assert torch.equal(report["denoised"], toy_model(x, sigma))
        assert report["sigma"].shape == report["sigma_hat"].shape == ()
        assert report["sigma"] == report["sigma_hat"] == level


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

    with pytest.raises(Interrupt) as raised:
        samplers[name](model, torch.ones(1, 4), levels(9), None, lambda _: at("callback"), True)
    assert raised.value is interrupt
    assert calls.count("model") == 2
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
    assert not samplers[name](toy_model, x, levels(3), disable=True).requires_grad


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
    assert options == {
        "euler": ["s_churn", "s_tmin", "s_tmax", "s_noise"],
        "res_multistep": ["s_noise", "noise_sampler"],
        "dpmpp_2m": [],
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
