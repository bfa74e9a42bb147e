"""A node that runs out of memory: one retry at most, and whatever else happens passes unchanged."""

from __future__ import annotations

import asyncio
import contextlib
from types import SimpleNamespace
from typing import Any

import pytest

hearth = pytest.importorskip("hearth", reason="hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Clip, Patcher, Vae  # noqa: E402
from fakes.comfy_host import admit, make_host  # noqa: E402

from comfy_nodes.cpu_inputs import has_models, on_cpu  # noqa: E402
from comfy_nodes.host import Host  # noqa: E402
from comfy_nodes.node_text import NodeTexts  # noqa: E402
from comfy_nodes.nodes.keeping import keeping_nodes  # noqa: E402
from comfy_nodes.nodes.service import StockService  # noqa: E402
from comfy_nodes.nodes.v1 import node_class  # noqa: E402
from comfy_nodes.oom import OutOfMemory  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402


class DeviceError(RuntimeError):
    """torch.cuda.OutOfMemoryError."""


class Interrupt(BaseException):
    """ComfyUI's interrupt."""


class Sampler:
    """A node's class."""


class Saver:
    """A node that may have written half of its files."""

    OUTPUT_NODE = True


class Server:
    """PromptServer, with a client that sent the prompt."""

    client_id = "browser"

    def __init__(self) -> None:
        self.shown: list[tuple[Any, ...]] = []

    def send_progress_text(self, text: str, node_id: str, sid: str) -> None:
        self.shown.append((text, node_id, sid))


class Run:
    """Runs one node whose work raises these errors, one a try."""

    def __init__(self, *errors: BaseException, host: Host | None = None) -> None:
        self.host = host or make_host()
        management: Any = self.host.adapter.management
        management.OOM_EXCEPTION = DeviceError
        self.server = Server()
        self.tries = 0
        self._errors = list(errors)

    def __call__(self, owner: Any = Sampler, **inputs: Any) -> Any:
        async def get_output_data(
            prompt_id: str, unique_id: str, obj: Any, input_data_all: Any, v3_data: Any = None
        ) -> Any:
            self.tries += 1
            if self._errors:
                raise self._errors.pop(0)
            return input_data_all

        execution = SimpleNamespace(get_output_data=get_output_data)
        seams = Seams()
        OutOfMemory(self.host, NodeTexts(self.host, self.server)).install(execution, seams)
        assert seams.found == {"out_of_memory": True}
        listed = {name: [value] for name, value in inputs.items()}
        return asyncio.run(execution.get_output_data("prompt", "7", owner(), listed, v3_data=None))


def with_idle_model(loaded: int = 100) -> Host:
    """A model of 100 bytes that nobody uses, so many of them on the device."""
    host = make_host()
    patcher = Patcher()
    patcher.model.loaded = loaded
    admit(host, "idle", patcher)
    return host


def test_room_is_made_and_the_node_runs_once_more() -> None:
    run = Run(DeviceError("no room"), host=with_idle_model())
    assert run(steps=4) == {"steps": [4]}
    assert run.tries == 2
    assert run.host.runtime.cache.stats()["resident"] == 0
    runtime: Any = run.host.runtime
    event = runtime.last("out_of_memory")
    assert (event["node"], event["prompt"]) == ("7", "prompt")
    assert "GPU memory did not suffice for node 7 (Sampler): 1 model gave way" in event["reason"]
    assert run.server.shown == [(event["reason"], "7", "browser")]


def test_an_error_in_the_second_run_is_both_comfyuis_and_hearths() -> None:
    run = Run(DeviceError("no room"), DeviceError("again"), host=with_idle_model())
    with pytest.raises(DeviceError, match="oom_fallback") as failure:
        run()
    assert isinstance(failure.value, hearth.errors.DeviceOutOfMemoryError)
    assert run.tries == 2


@pytest.mark.parametrize("error", [MemoryError(), OSError(12, "Cannot allocate memory")])
def test_want_of_ram_is_met_likewise(error: Exception) -> None:
    run = Run(error, host=with_idle_model(loaded=0))
    run()
    assert run.tries == 2


def test_a_model_that_has_none_of_the_memory_that_is_missing_stays() -> None:
    run = Run(DeviceError("no room"), host=with_idle_model(loaded=0))
    with pytest.raises(DeviceError, match="no room"):
        run()
    assert (run.tries, run.host.runtime.cache.stats()["resident"]) == (1, 1)


@pytest.mark.parametrize("error", [Interrupt(), ValueError("else"), OSError(2, "no file")])
def test_whatever_else_happens_passes(error: BaseException) -> None:
    run = Run(error, host=with_idle_model())
    with pytest.raises(type(error)):
        run()
    assert (run.tries, run.host.runtime.cache.stats()["resident"]) == (1, 1)


@pytest.mark.parametrize("error", [Interrupt(), ValueError("else")])
def test_whatever_else_happens_in_the_second_run_passes_too(error: BaseException) -> None:
    run = Run(DeviceError("no room"), error, host=with_idle_model())
    with pytest.raises(type(error)):
        run()
    assert run.tries == 2


def test_nothing_is_retried_that_saves_or_shows_or_while_hearth_is_off() -> None:
    run = Run(DeviceError("no room"), host=with_idle_model())
    with pytest.raises(DeviceError):
        run(Saver)
    run.host.settings.transparent = False
    run._errors = [DeviceError("no room")]
    with pytest.raises(DeviceError):
        run()
    assert (run.tries, run.host.runtime.cache.stats()["resident"]) == (2, 1)


def test_hearths_own_nodes_run_once_more_also_while_stock_loaders_are_stock() -> None:
    run = Run(DeviceError("no room"), host=with_idle_model())
    run.host.settings.transparent = False
    prewarm = next(node for node in keeping_nodes() if node.runs_again)
    run(node_class(prewarm, StockService("off")))
    assert (run.tries, run.host.runtime.cache.stats()["resident"]) == (2, 0)


def test_of_hearths_output_nodes_only_prewarm_runs_once_more() -> None:
    tries = {}
    for node in keeping_nodes():
        run = Run(DeviceError("no room"), host=with_idle_model())
        with contextlib.suppress(DeviceError):
            run(node_class(node, StockService("off")))
        tries[node.id] = run.tries
    assert tries.pop("HearthPrewarm") == 2
    assert set(tries.values()) == {1}


def test_want_of_the_hosts_own_memory_is_not_answered_by_the_cpu() -> None:
    run = Run(MemoryError(), MemoryError(), host=with_idle_model(loaded=0))
    run.host.settings.oom_fallback = "cpu"
    with pytest.raises(MemoryError) as failure:
        run(model=Patcher())
    assert run.tries == 2
    assert "oom_fallback" not in str(failure.value)


def test_a_comfyui_whose_function_looks_unfamiliar_is_left_alone() -> None:
    async def get_output_data(node: Any) -> None: ...

    execution, seams = SimpleNamespace(get_output_data=get_output_data), Seams()
    host = make_host()
    OutOfMemory(host, NodeTexts(host, Server())).install(execution, seams)
    assert seams.missing == ["out_of_memory"]
    assert execution.get_output_data is get_output_data


def test_models_of_a_node_are_twins_on_the_cpu_and_the_originals_stay() -> None:
    host = make_host()
    model, clip, vae = Patcher(), Clip(), Vae()
    inputs = {"model": [model], "clip": [clip], "vae": [vae], "steps": [4]}
    assert has_models(inputs)
    with on_cpu(host.adapter, inputs) as twins:
        (twin,) = twins["model"]
        assert twin.load_device.type == "cpu"
        assert twins["clip"][0].patcher.load_device.type == "cpu"
        assert twins["vae"][0].patcher.load_device.type == "cpu"
        assert twins["steps"] == [4]
    assert {model.load_device.type, clip.patcher.load_device.type} == {"cuda"}
    assert not has_models({"steps": [4]})
