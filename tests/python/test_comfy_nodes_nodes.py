"""hearth's nodes over the stand-ins: what they ask of the cache, and what when hearth is off."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

hearth = pytest.importorskip(
    "hearth", reason="NOT RUN, hearth's native module is not built: ./dev build"
)

from fakes.comfy_fakes import Clip, FolderPaths, Patcher, Vae  # noqa: E402
from fakes.comfy_host import admit, make_host  # noqa: E402

from comfy_nodes import node_service, transparent  # noqa: E402
from comfy_nodes.engine_service import Engine  # noqa: E402
from comfy_nodes.host import Host  # noqa: E402
from comfy_nodes.node_service import LiveService  # noqa: E402
from comfy_nodes.node_text import NodeTexts  # noqa: E402
from comfy_nodes.nodes import registration, v3  # noqa: E402
from comfy_nodes.nodes.keeping import keeping_nodes  # noqa: E402
from comfy_nodes.nodes.loaders import loader_nodes  # noqa: E402
from comfy_nodes.nodes.sampling import sampling_nodes  # noqa: E402
from comfy_nodes.nodes.service import StockService  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402
from comfy_nodes.transparent import TransparentLoaders  # noqa: E402


class CheckpointLoaderSimple:
    """ComfyUI's loader as far as a node needs it."""

    FUNCTION = "load_checkpoint"

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"ckpt_name": (["a.safetensors", "b.safetensors"],)}}

    def load_checkpoint(self, ckpt_name: str) -> tuple[Any, ...]:
        return Patcher(), Clip(), Vae()


class KSampler:
    """ComfyUI's sampler: calls what the test wants to happen in the middle of sampling."""

    FUNCTION = "sample"
    during: Callable[[Any], None] = staticmethod(lambda model: None)

    @classmethod
    def INPUT_TYPES(cls) -> dict[str, Any]:
        return {"required": {"model": ("MODEL",), "sampler_name": (["euler", "heun"],)}}

    def sample(self, model: Any, sampler_name: str) -> tuple[Any, ...]:
        type(self).during(model)
        return (f"latent of {sampler_name}",)


@pytest.fixture
def classes(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> dict[str, Any]:
    """ComfyUI's node classes; no newer node API, so that registration() gives plain classes."""
    for name in ("a.safetensors", "b.safetensors"):
        (tmp_path / name).write_bytes(b"12345678")
    found = {
        kind.__name__: type(kind.__name__, (), dict(vars(kind)))
        for kind in (CheckpointLoaderSimple, KSampler)
    }
    monkeypatch.setitem(sys.modules, "nodes", SimpleNamespace(NODE_CLASS_MAPPINGS=found))  # type: ignore[arg-type]
    monkeypatch.setitem(sys.modules, "folder_paths", FolderPaths({"checkpoints": tmp_path}))  # type: ignore[arg-type]
    monkeypatch.setattr(transparent, "refuse_if_corrupt", lambda path: None)
    monkeypatch.setattr(node_service, "native_names", lambda: ())
    monkeypatch.setitem(sys.modules, "comfy_api.latest", None)  # type: ignore[arg-type]
    return found


class Server:
    """PromptServer, with a client that sent the prompt."""

    client_id = "browser"

    def __init__(self) -> None:
        self.shown: list[tuple[Any, ...]] = []

    def send_progress_text(self, text: str, node_id: str, sid: str) -> None:
        self.shown.append((text, node_id, sid))


class Graph:
    """A host with hearth's nodes, to be called by their ids."""

    def __init__(self, host: Host, classes: dict[str, Any]) -> None:
        self.host = host
        loaders = TransparentLoaders(host)
        loaders.install(classes, Seams())
        self.server = Server()
        texts = NodeTexts(host, self.server)
        self.service = LiveService(host, loaders, classes, Engine(host), texts)
        self.nodes = registration(self.service)["NODE_CLASS_MAPPINGS"]

    def run(self, name: str, **inputs: Any) -> Any:
        """What a node returns."""
        return self.nodes[name]().run(**inputs)

    def load(self, **inputs: Any) -> Any:
        """What hearth's checkpoint loader returns."""
        return self.run("HearthCheckpointLoader", ckpt_name="a.safetensors", **inputs)

    def view(self) -> dict[str, Any]:
        """The only resident."""
        (view,) = self.host.runtime.cache.residents()
        return dict(view)


@pytest.fixture
def graph(classes: dict[str, Any]) -> Graph:
    return Graph(make_host(), classes)


def test_a_loader_pins_and_takes_back_its_own_pin_only(graph: Graph) -> None:
    model, *_ = graph.load(pin=True)
    assert graph.view()["pinned"]
    graph.load()
    assert not graph.view()["pinned"]
    graph.service.pin(model, True)
    graph.load()
    assert graph.view()["pinned"]


def _loader(graph: Graph, pin: bool) -> None:
    graph.load(pin=pin)


def _pin_node(graph: Graph, pinned: bool) -> None:
    model, *_ = graph.host.scope._handles[graph.view()["key"]].value.hand_out()
    graph.run("HearthPin", model=model, pinned=pinned)


@pytest.mark.parametrize(
    "before",
    [
        [(_pin_node, True), (_loader, True)],
        [(_loader, True), (_pin_node, False), (_pin_node, True)],
        [(_loader, True), (_pin_node, True)],
    ],
)
def test_a_loader_leaves_the_pin_of_whoever_pinned_before_or_after_it(
    graph: Graph, before: list[tuple[Callable[[Graph, bool], None], bool]]
) -> None:
    graph.load()
    for act, pinned in before:
        act(graph, pinned)
    graph.load(pin=False)
    assert graph.view()["pinned"]


def _without_room(graph: Graph, why: str) -> None:
    cache, settings = graph.host.runtime.cache, graph.host.settings
    if why == "keep_model_in_memory is false":
        settings.keep_model_in_memory = False
        cache.set_limits(hearth.CacheLimits(enabled=False))
    elif why == "noeviction":
        admit(graph.host, "other.safetensors", Patcher())
        cache.set_policy("noeviction")
        cache.set_limits(hearth.CacheLimits(max_models=1))
    else:
        cache.set_limits(hearth.CacheLimits(max_models=0))


REASONS = ["limit of 0 models", "keep_model_in_memory is false", "noeviction"]


@pytest.mark.parametrize("why", REASONS)
def test_a_pin_of_a_model_that_is_not_kept_is_told_to_do_nothing(graph: Graph, why: str) -> None:
    _without_room(graph, why)
    graph.load(pin=False)
    assert graph.server.shown == []
    graph.load(pin=True)
    ((text, node, client),) = graph.server.shown
    assert text.startswith("a.safetensors is not pinned, because it is not kept: ")
    assert why in text
    assert (node, client) == ("7", "browser")
    runtime: Any = graph.host.runtime
    assert runtime.last("noted")["reason"] == text
    assert graph.host.pins.keys_of("a.safetensors") == []


@pytest.mark.parametrize("why", REASONS)
def test_prewarm_reads_nothing_that_would_not_be_kept_and_says_why(graph: Graph, why: str) -> None:
    _without_room(graph, why)
    opened = graph.host.runtime.cache.stats()["loads"]
    said = graph.service.prewarm("checkpoints/a.safetensors", "")
    assert said.startswith("checkpoints/a.safetensors is not loaded: ")
    assert why in said
    assert graph.host.runtime.cache.stats()["loads"] == opened


def test_prewarm_says_that_a_model_is_loaded_when_it_is(graph: Graph) -> None:
    said = graph.service.prewarm("checkpoints/a.safetensors", "")
    assert said == "checkpoints/a.safetensors is loaded"
    assert graph.view()["name"] == "a.safetensors"


def test_prewarm_says_that_a_model_is_not_kept_which_comfyui_loaded_by_itself(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any) -> Any:
        raise RuntimeError("planted")

    monkeypatch.setattr(transparent.TransparentLoaders, "_serve", refuse)
    said = graph.service.prewarm("checkpoints/a.safetensors", "")
    assert said.endswith("was read, but is not kept: RuntimeError: planted")


def test_the_last_loader_says_how_long_the_model_is_kept_alive(graph: Graph) -> None:
    graph.load(keep_alive_s=30)
    assert graph.view()["keep_alive_seconds"] == 30
    graph.load(keep_alive_s=0)
    assert graph.view()["keep_alive_seconds"] is None


def test_eviction_in_the_middle_of_sampling_spares_the_model(
    graph: Graph, classes: dict[str, Any]
) -> None:
    model, *_ = graph.load()
    graph.host.scope.end()
    cache = graph.host.runtime.cache
    left: list[bool] = []

    def during(model: Any) -> None:
        cache.trim(1 << 60, 1 << 60, "test")
        left.append(bool(cache.stats()["resident"]))

    classes["KSampler"].during = staticmethod(during)
    graph.run("HearthKSampler", model=model, sampler_name="heun")
    assert left == [True]
    cache.trim(1 << 60, 1 << 60, "test")
    assert cache.stats()["resident"] == 0


def test_the_model_is_let_go_when_sampling_fails_or_is_interrupted(
    graph: Graph, classes: dict[str, Any]
) -> None:
    def interrupt(model: Any) -> None:
        raise KeyboardInterrupt

    model, *_ = graph.load()
    graph.host.scope.end()
    classes["KSampler"].during = staticmethod(interrupt)
    with pytest.raises(KeyboardInterrupt):
        graph.run("HearthKSampler", model=model, sampler_name="heun")
    assert graph.view()["in_use"] == 0


def test_a_model_of_another_loader_is_sampled_all_the_same(graph: Graph) -> None:
    assert graph.run("HearthKSampler", model=Patcher(), sampler_name="heun") == ("latent of heun",)
    said = graph.run("HearthPin", model=Patcher())["ui"]["text"][0]
    assert said.startswith("not pinned")


def test_a_native_sampler_gets_its_function_and_others_stay_comfyuis(
    graph: Graph, classes: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[Any] = []
    classes["KSampler"].during = staticmethod(asked.append)
    monkeypatch.setattr(node_service, "native_names", lambda: ("euler",))
    monkeypatch.setattr(node_service, "sampler_function", lambda name: f"steps of {name}")
    monkeypatch.setattr(
        type(graph.host.adapter),
        "with_sampler_function",
        lambda self, model, function: (model, function),
    )
    model = Patcher()
    for name in ("euler", "heun"):
        graph.run("HearthKSampler", model=model, sampler_name=name)
    assert asked == [(model, "steps of euler"), model]


def test_the_adapter_changes_the_sampler_of_a_clone_only(
    graph: Graph, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Wrappable(Patcher):
        wrappers: dict[str, Any] = {}

        def add_wrapper_with_key(self, kind: str, key: str, wrapper: Any) -> None:
            self.wrappers = {**self.wrappers, kind: wrapper}

    extension = SimpleNamespace(WrappersMP=SimpleNamespace(SAMPLER_SAMPLE="sampler_sample"))
    monkeypatch.setitem(sys.modules, "comfy.patcher_extension", extension)  # type: ignore[arg-type]
    model = Wrappable()
    clone = graph.host.adapter.with_sampler_function(model, "own")
    assert not model.wrappers
    sampler = SimpleNamespace(sampler_function="stock")

    class Executor:
        class_obj = sampler

        def __call__(self, *args: Any) -> Any:
            return sampler.sampler_function, args

    assert clone.wrappers["sampler_sample"](Executor(), 1, 2) == ("own", (1, 2))


def test_evict_lets_go_of_the_prompts_own_handle_and_spares_other_models(graph: Graph) -> None:
    admit(graph.host, "other.safetensors", Patcher())
    graph.load()
    graph.run("HearthEvict", model="a.safetensors", free=True)
    names = [view["name"] for view in graph.host.runtime.cache.residents()]
    assert names == ["other.safetensors"]


def test_evict_finds_a_file_among_the_two_of_a_dual_loader(graph: Graph) -> None:
    admit(graph.host, "l.safetensors + g.safetensors", Clip())
    assert graph.service.evict("g.safetensors", False) == "evicted: 1"


def test_status_says_of_each_model_what_keeps_it(graph: Graph) -> None:
    graph.load(pin=True, keep_alive_s=30)
    graph.host.runtime.cache.update_bytes(
        graph.view()["key"], {"anonymous": 3 << 20, "device": 1 << 20}
    )
    text = graph.run("HearthCacheStatus")["ui"]["text"][0]
    for words in ("a.safetensors", "RAM 3.0 MiB", "VRAM 1.0 MiB", "pinned", "alive for 30 s"):
        assert words in text
    assert graph.run("HearthCacheStatus")["result"] == (text,)


def test_after_the_end_of_the_process_has_begun_nothing_is_asked_of_the_cache(
    graph: Graph,
) -> None:
    model, *_ = graph.load()
    graph.host.gate.close(1)
    assert graph.service.status() == "hearth is shutting down"
    assert graph.run("HearthKSampler", model=model, sampler_name="heun") == ("latent of heun",)


def test_a_name_is_checked_against_comfyuis_list(graph: Graph) -> None:
    loader = graph.nodes["HearthCheckpointLoader"]
    assert loader.VALIDATE_INPUTS(ckpt_name="a.safetensors") is True
    assert "did you mean b.safetensors?" in loader.VALIDATE_INPUTS(ckpt_name="bb.safetensors")
    assert loader.VALIDATE_INPUTS() is True, "a link: not there yet"


def test_the_state_of_the_file_is_the_fingerprint_whatever_is_pinned(
    graph: Graph, tmp_path: Path
) -> None:
    loader = graph.nodes["HearthCheckpointLoader"]
    first = loader.IS_CHANGED(ckpt_name="a.safetensors", pin=True, keep_alive_s=1)
    assert first == loader.IS_CHANGED(ckpt_name="a.safetensors", pin=False, keep_alive_s=0)
    (tmp_path / "a.safetensors").write_bytes(b"other")
    assert loader.IS_CHANGED(ckpt_name="a.safetensors") not in (first, False)
    assert loader.IS_CHANGED(ckpt_name=None, pin=True)  # by a link: the state of every file


def test_transparent_off_leaves_the_stock_loader_alone_and_hearths_cached(graph: Graph) -> None:
    graph.host.settings.transparent = False
    CheckpointLoaderSimple().load_checkpoint("a.safetensors")
    assert graph.host.runtime.cache.stats()["resident"] == 0
    first, second = graph.load(), graph.load()
    assert first[0].model is second[0].model


def test_where_hearth_is_off_every_node_does_as_stock_and_says_so(
    classes: dict[str, Any],
) -> None:
    service = StockService("not built")
    nodes = registration(service)["NODE_CLASS_MAPPINGS"]
    loader = nodes["HearthCheckpointLoader"]()
    outputs = loader.run(ckpt_name="a.safetensors", pin=True, keep_alive_s=3)
    assert [type(output) for output in outputs] == [Patcher, Clip, Vae]
    with pytest.raises(FileNotFoundError, match="did you mean a.safetensors"):
        loader.run(ckpt_name="aa.safetensors")
    assert nodes["HearthKSampler"]().run(model=1, sampler_name="heun") == ("latent of heun",)
    assert nodes["HearthPin"]().run(model=7)["result"] == (7,)
    for name in ("HearthCacheStatus", "HearthPin"):
        inputs = {"model": 7} if name == "HearthPin" else {}
        assert "hearth is off: not built" in nodes[name]().run(**inputs)["ui"]["text"][0]


def test_nodes_of_which_comfyui_has_no_stock_node_are_not_offered(graph: Graph) -> None:
    assert "HearthVAELoader" not in graph.nodes
    assert "HearthSampler" not in graph.nodes


def test_no_output_has_the_id_of_an_input_which_comfyui_of_a_year_ago_refuses(
    classes: dict[str, Any],
) -> None:
    api = SimpleNamespace(
        ComfyNode=object,
        Custom=lambda type_: SimpleNamespace(
            Input=lambda id_, **_: id_, Output=lambda id_, **_: id_
        ),
        Schema=SimpleNamespace,
    )
    assert len(nodes := [*loader_nodes(), *sampling_nodes(), *keeping_nodes()]) > 4
    for node in nodes:
        schema = v3.node_class(node, StockService("off"), api).define_schema()
        assert set(schema.inputs).isdisjoint(schema.outputs), schema.node_id
