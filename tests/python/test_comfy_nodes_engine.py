"""Which passes hearth's engine computes inside ComfyUI, and what happens to the others."""

from __future__ import annotations

import logging
from types import SimpleNamespace
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch")
pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

from comfy_nodes import engine_forward  # noqa: E402
from comfy_nodes.engine_call import ForwardCall, why_not  # noqa: E402
from comfy_nodes.engine_forward import EngineForward, ForwardMeans  # noqa: E402
from comfy_nodes.engine_paths import EnginePaths, Refusal  # noqa: E402
from comfy_nodes.engine_weights import weights_fault  # noqa: E402

X, SIGMA, CONTEXT = torch.ones(2, 16, 4, 4), torch.full((2,), 0.5), torch.ones(2, 7, 8)
SCHEDULE = torch.tensor([1.0, 0.5, 0.0])


def plain_options(**more: Any) -> dict[str, Any]:
    """What both ComfyUIs pass on for text to image."""
    return {
        "wrappers": {"diffusion_model": {"hearth": [print]}, "apply_model": {}},
        "callbacks": {"on_cleanup": {"hearth": [print]}},
        "patches": {},
        "cond_or_uncond": [0, 1],
        "uuids": [1],
        "sigmas": SIGMA,
        "sample_sigmas": SCHEDULE,
        "prefetch_dynamic_vbars": False,
        **more,
    }


def patcher(**more: Any) -> Any:
    """A ModelPatcher as far as it is looked at."""
    plain: dict[str, Any] = {
        "patches": {},
        "object_patches": {"model_sampling": object()},
        "model_options": {"transformer_options": {}, "sampler_cfg_function": print},
        "hook_patches": {},
        "current_hooks": None,
        "is_dynamic": lambda: False,
    }
    return SimpleNamespace(**{**plain, **more})


def call(options: dict[str, Any] | None = None, **more: Any) -> ForwardCall:
    """A pass of text to image, and what else there is."""
    kwargs = {"control": None, "transformer_options": options or plain_options(), **more}
    return ForwardCall.of((X, SIGMA, CONTEXT, 7, None), kwargs)


def test_text_to_image_over_a_plain_model_is_the_engines() -> None:
    assert why_not(call(), patcher()) is None
    assert why_not(call(ref_latents=[], clip_text_pooled=X), patcher()) is None


@pytest.mark.parametrize(
    ("cause", "more"),
    [
        ("LoRA or other weight patch", {"patches": {"w": [1]}}),
        ("hook", {"hook_patches": {"h": 1}}),
        ("hook", {"forced_hooks": ["h"]}),
        ("injection", {"injections": {"i": 1}}),
        ("object patch", {"object_patches": {"diffusion_model.layers.0": 1}}),
        ("unknown option", {"model_options": {"model_function_wrapper": print}}),
        ("unknown option", {"model_options": {"tomorrows": True}}),
    ],
)
def test_what_is_on_the_model_leaves_the_pass_to_comfyui(cause: str, more: dict[str, Any]) -> None:
    refusal = why_not(call(), patcher(**more))
    assert refusal is not None and refusal.cause == cause


@pytest.mark.parametrize(
    ("cause", "more"),
    [
        ("patch", {"patches": {"double_block": [print]}}),
        ("patch", {"patches_replace": {"dit": {("layer", 1): print}}}),
        ("wrapper of another pack", {"wrappers": {"apply_model": {"torch.compile": [print]}}}),
        ("wrapper of another pack", {"callbacks": {"on_load": {None: [print]}}}),
        ("unknown option", {"optimized_attention_override": print}),
        ("unknown option", {"rope_options": {"shift_t": 1.0}}),
    ],
)
def test_options_that_are_not_known_leave_the_pass_to_comfyui(
    cause: str, more: dict[str, Any]
) -> None:
    refusal = why_not(call(plain_options(**more)), patcher())
    assert refusal is not None and refusal.cause == cause


@pytest.mark.parametrize(
    ("cause", "more"),
    [
        ("ControlNet", {"control": {"input": [X]}}),
        ("reference latents", {"ref_latents": [X]}),
        ("reference latents", {"siglip_feats": [X]}),
        ("attention mask", {"attention_mask": CONTEXT}),
        ("unknown input", {"tomorrows": 1}),
    ],
)
def test_further_inputs_leave_the_pass_to_comfyui(cause: str, more: dict[str, Any]) -> None:
    options = {"transformer_options": plain_options(), **more}
    refusal = why_not(ForwardCall.of((X, SIGMA, CONTEXT, 7), options), patcher())
    assert refusal is not None and refusal.cause == cause


@pytest.mark.parametrize(
    ("cause", "args"),
    [
        ("unfamiliar call", (X, SIGMA)),
        ("unfamiliar call", (X, SIGMA, None)),
        ("unfamiliar call", (X, SIGMA, CONTEXT, 7, None, 1)),
        ("unfamiliar shapes", (X[0], SIGMA, CONTEXT)),
        ("unfamiliar shapes", (X, SIGMA, torch.ones(3, 7, 8))),
        ("several noise levels at once", (X, torch.tensor([0.5, 0.4]), CONTEXT)),
    ],
)
def test_a_pass_of_another_form_is_comfyuis(cause: str, args: tuple[Any, ...]) -> None:
    refusal = why_not(ForwardCall.of(args, {"transformer_options": plain_options()}), patcher())
    assert refusal is not None and refusal.cause == cause


@pytest.mark.parametrize(
    ("cause", "change"),
    [
        ("type", lambda module: module.half()),
        ("weights elsewhere", lambda module: module.to("meta")),
        ("hook", lambda module: module[0].register_forward_hook(print)),
        ("object patch", lambda module: setattr(module[0], "forward", print)),
        ("LoRA or other weight patch", lambda module: setattr(module[0], "weight_function", [1])),
    ],
)
def test_weights_that_are_not_the_whole_model_are_comfyuis(cause: str, change: Any) -> None:
    module = torch.nn.Sequential(torch.nn.Linear(2, 2))
    assert weights_fault(module, X) is None
    assert weights_fault(module, X.half()) is not None
    change(module)
    fault = weights_fault(module, X)
    assert fault is not None and fault.cause == cause


class Stage:
    """A model with the engine around its forward, and how often each computed."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.module = torch.nn.Linear(2, 2)
        self.model = SimpleNamespace(
            model=_Base(diffusion_model=self.module, current_patcher=patcher())
        )
        self.paths = EnginePaths()
        self.copy: Any = SimpleNamespace(model="the engine's own")
        self.weights: list[Any] = []
        copies: Any = SimpleNamespace(get=lambda base, wish, make: self.copy)
        adapter: Any = SimpleNamespace(is_device_oom=lambda error: isinstance(error, OverflowError))
        means = ForwardMeans(self.paths, adapter, copies, fused=False)
        self.forward = EngineForward(self.model, means)
        self.engines = 0
        self.answer: Any = lambda: X
        monkeypatch.setattr(engine_forward, "_transformer", lambda *args: "over views")
        monkeypatch.setattr(engine_forward.zimage, "StepwiseVelocity", self._velocity)

    def _velocity(self, transformer: Any, schedule: Any) -> Any:
        self.engines += 1
        self.weights.append(transformer)
        return lambda *args: self.answer()

    def run(self, module: Any = None) -> Any:
        """One pass."""
        executor = _Executor(module or self.module)
        return self.forward(executor, X, SIGMA, CONTEXT, 7, transformer_options=plain_options())

    @property
    def counts(self) -> tuple[int, dict[str, int]]:
        """Passes of the engine, and ComfyUI's by cause."""
        found = self.paths.report()["transformer"]
        return found["engine"], found["causes"]


class _Base(SimpleNamespace):
    __hash__ = object.__hash__


class _Executor:
    def __init__(self, module: Any) -> None:
        self.class_obj = module

    def __call__(self, *args: Any, **kwargs: Any) -> str:
        return "ComfyUI's"


@pytest.fixture
def stage(monkeypatch: pytest.MonkeyPatch) -> Stage:
    return Stage(monkeypatch)


def test_weights_are_looked_at_once_a_sampling_and_again_when_they_have_moved(
    stage: Stage,
) -> None:
    for _ in range(3):
        assert stage.run() is X
    assert stage.engines == 1
    stage.module.weight.data = stage.module.weight.data.clone()
    stage.run()
    assert stage.engines == 2
    stage.forward.ended(None)
    stage.run()
    assert stage.engines == 3
    assert stage.counts == (5, {})


def test_of_a_streamed_model_the_engine_computes_with_weights_of_its_own(stage: Stage) -> None:
    stage.model.model.current_patcher.is_dynamic = lambda: True
    for _ in range(2):
        stage.module.weight.data = stage.module.weight.data.clone()  # as streaming does
        assert stage.run() is X
    stage.forward.ended(None)
    stage.model.model.current_patcher.is_dynamic = lambda: False
    stage.run()
    assert stage.weights == ["the engine's own", "over views"]
    assert stage.counts == (3, {})


def test_of_a_streamed_model_without_a_copy_comfyui_computes(stage: Stage) -> None:
    stage.model.model.current_patcher.is_dynamic = lambda: True
    stage.copy = Refusal("dynamic VRAM", "no file")
    assert stage.run() == "ComfyUI's"
    stage.copy = SimpleNamespace(model="the engine's own")
    assert stage.run() == "ComfyUI's"  # a sampling asks once
    stage.forward.ended(None)
    stage.module.register_forward_hook(print)
    assert stage.run() is X  # a hook on the whole module is outside of its forward
    stage.forward.ended(None)
    stage.module.weight_function = [1]
    assert stage.run() == "ComfyUI's"
    assert stage.counts == (1, {"dynamic VRAM": 2, "LoRA or other weight patch": 1})


def test_an_error_of_the_engine_is_told_once_and_comfyui_answers(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    def fail() -> None:
        raise RuntimeError("planted")

    stage.answer = fail
    with caplog.at_level(logging.INFO, "hearth"):
        assert [stage.run() for _ in range(3)] == ["ComfyUI's"] * 3
    assert stage.counts == (0, {"error of the engine": 3})
    assert sum("the engine failed" in record.message for record in caplog.records) == 1
    stage.answer = lambda: X
    stage.forward.ended(None)
    assert stage.run() is X


def test_want_of_device_memory_in_the_engine_gets_through_for_others_to_give_way(
    stage: Stage,
) -> None:
    def overflow() -> None:
        raise OverflowError("no room")

    stage.answer = overflow
    with pytest.raises(OverflowError):
        stage.run()
    assert stage.paths.report() == {}
    stage.answer = lambda: X
    assert stage.run() is X
    assert stage.engines == 2, "the weights were let go of meanwhile"


def test_where_that_does_not_help_comfyui_computes(stage: Stage) -> None:
    def overflow() -> None:
        raise OverflowError("no room")

    stage.answer = overflow
    with pytest.raises(OverflowError):
        stage.run()
    assert stage.run() == "ComfyUI's"


def test_an_interrupt_in_the_engine_gets_through(stage: Stage) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    stage.answer = interrupt
    with pytest.raises(KeyboardInterrupt):
        stage.run()


def test_another_copy_of_the_model_is_comfyuis_and_none_is_held_alive(stage: Stage) -> None:
    assert stage.run(torch.nn.Linear(2, 2)) == "ComfyUI's"
    stage.run()
    stage.forward.ended(None)
    del stage.model
    assert stage.run() == "ComfyUI's"
    assert stage.counts == (1, {"another copy of the model": 2})


def test_each_cause_is_in_the_log_once_and_in_the_status_counted(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    stage.run()
    stage.model.model.current_patcher.patches = {"w": [1]}
    with caplog.at_level(logging.INFO, "hearth"):
        stage.run()
        stage.run()
    assert len(caplog.records) == 1
    assert stage.paths.lines() == [
        "engine: transformer: 1 passes by hearth, 2 by ComfyUI (LoRA or other weight patch 2x)"
    ]
