"""What a name or a workflow becomes before it is run, and the list of what was asked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Patcher  # noqa: E402
from fakes.comfy_host import admit, make_host, model_key  # noqa: E402

from comfy_nodes.host import Host  # noqa: E402
from comfy_nodes.nodes.node import WRITES  # noqa: E402
from comfy_nodes.prewarm import Prewarm  # noqa: E402
from comfy_nodes.prewarm_names import PrewarmError, model_graph  # noqa: E402
from comfy_nodes.prewarm_workflows import (  # noqa: E402
    Work,
    check_graph,
    plan_workflow,
    read_workflow,
)

TYPES = ["stable_diffusion", "sd3"]


def loader(**inputs: Any) -> Any:
    """A loader class with these required inputs."""
    returns = ("MODEL", "CLIP", "VAE")
    types = classmethod(lambda cls: {"required": inputs})
    return type("Loader", (), {"INPUT_TYPES": types, "RETURN_TYPES": returns})


CLASSES: dict[str, Any] = {
    "CheckpointLoaderSimple": loader(ckpt_name=(["sd3.safetensors", "both.safetensors"],)),
    "UNETLoader": loader(
        unet_name=(["both.safetensors", "deep/z.safetensors"],),
        weight_dtype=(["default", "fp8"], {"advanced": True}),
    ),
    "CLIPLoader": loader(
        clip_name=("COMBO", {"options": ["clip_l.safetensors"]}),
        type=("COMBO", {"options": TYPES, "default": "sd3"}),
    ),
    "DualCLIPLoader": loader(
        clip_name1=(["clip_l.safetensors", "clip_g.safetensors"],),
        clip_name2=(["clip_l.safetensors", "clip_g.safetensors"],),
        type=(TYPES,),
    ),
    "Sample": type("Sample", (), {"RETURN_TYPES": ("LATENT",)}),
    "Patch": type("Patch", (), {"RETURN_TYPES": ("MODEL",)}),
    "Text": type("Text", (), {"RETURN_TYPES": ("STRING",)}),
    "Pin": type("Pin", (), {"RETURN_TYPES": ("*",), "OUTPUT_NODE": True, WRITES: False}),
    "Write": type("Write", (), {"RETURN_TYPES": ("LATENT",), "OUTPUT_NODE": True, WRITES: True}),
    "Save": type("Save", (), {"RETURN_TYPES": ("LATENT",), "OUTPUT_NODE": True}),
}


def node(class_type: str, **inputs: Any) -> dict[str, Any]:
    return {"class_type": class_type, "inputs": inputs}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("sd3.safetensors", node("CheckpointLoaderSimple", ckpt_name="sd3.safetensors")),
        (
            "checkpoints/sd3.safetensors",
            node("CheckpointLoaderSimple", ckpt_name="sd3.safetensors"),
        ),
        (
            "deep/z.safetensors?weight_dtype=fp8",
            node("UNETLoader", unet_name="deep/z.safetensors", weight_dtype="fp8"),
        ),
        (
            "diffusion_models/both.safetensors",
            node("UNETLoader", unet_name="both.safetensors", weight_dtype="default"),
        ),
        (
            "clip_l.safetensors?type=sd3",
            node("CLIPLoader", clip_name="clip_l.safetensors", type="sd3"),
        ),
        (
            "text_encoders/clip_l.safetensors + text_encoders/clip_g.safetensors?type=sd3",
            node(
                "DualCLIPLoader",
                clip_name1="clip_l.safetensors",
                clip_name2="clip_g.safetensors",
                type="sd3",
            ),
        ),
    ],
)
def test_a_name_becomes_the_node_a_workflow_would_have(name: str, expected: Any) -> None:
    assert model_graph(name, CLASSES) == {"loader": expected}


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sd33.safetensors", "did you mean sd3.safetensors?"),
        ("both.safetensors", "checkpoints/both.safetensors, diffusion_models/both.safetensors"),
        ("clip_l.safetensors", "types are stable_diffusion, sd3"),
        ("sd3.safetensors?dtype=fp8", "has no input dtype"),
        ("clip_l.safetensors?type=SD3", "type cannot be SD3; did you mean sd3?"),
    ],
)
def test_a_name_that_will_not_do_is_answered_with_what_would(name: str, words: str) -> None:
    with pytest.raises(PrewarmError) as refusal:
        model_graph(name, CLASSES)
    assert words in str(refusal.value)


GRAPH = {
    "text": node("Text"),
    "load": node("CheckpointLoaderSimple", ckpt_name=["text", 0]),
    "patch": node("Patch", model=["load", 0]),
    "sample": node("Sample", model=["patch", 0]),
    "save": node("Save", latent=["sample", 0]),
    "behind": node("Sample", latent=["save", 0]),
    "idle": node("Sample", model=["load", 0]),
}


def test_a_workflow_runs_up_to_its_outputs_and_nothing_that_nobody_asks_for() -> None:
    work = plan_workflow(GRAPH, CLASSES, infer=True)
    assert work.targets == ("sample",)
    assert set(work.graph) == {"text", "load", "patch", "sample"}


def test_a_pin_of_hearths_on_the_way_is_run() -> None:
    graph = {
        **GRAPH,
        "pin": node("Pin", model=["load", 0]),
        "sample": node("Sample", model=["pin", 0]),
    }
    work = plan_workflow(graph, CLASSES, infer=True)
    assert set(work.graph) == {"text", "load", "pin", "sample"}


def test_a_node_of_hearths_that_writes_files_is_not_run() -> None:
    written = {**GRAPH, "save": node("Write", latent=["sample", 0])}
    shown = {**written, "show": node("Save", latent=["save", 0])}
    for graph in (written, shown):
        assert plan_workflow(graph, CLASSES, infer=True).targets == ("sample",)


def test_of_a_long_chain_behind_an_output_each_node_is_looked_at_once() -> None:
    looked_at = 0

    class Counted(dict[str, Any]):
        def values(self) -> Any:
            nonlocal looked_at
            looked_at += 1
            return super().values()

    count = 500
    graph = dict(GRAPH)
    for number in reversed(range(count)):  # the last one first: what looks once more finds one more
        inputs = Counted(latent=[f"after{number - 1}" if number else "sample", 0])
        graph[f"after{number}"] = {"class_type": "Save", "inputs": inputs}
    assert plan_workflow(graph, CLASSES, infer=True).targets == ("sample",)
    assert looked_at < 5 * count


def test_without_inference_only_its_loaders_run_and_what_feeds_them() -> None:
    work = plan_workflow(GRAPH, CLASSES, infer=False)
    assert work.targets == ("load",)
    assert set(work.graph) == {"text", "load"}


@pytest.mark.parametrize(
    ("graph", "words"),
    [
        ({"1": node("Nobody")}, "node 1: Nobody is not installed"),
        ({"1": node("Text")}, "nothing to run"),
    ],
)
def test_a_workflow_that_cannot_run_says_why(graph: Any, words: str) -> None:
    with pytest.raises(PrewarmError, match=words):
        plan_workflow(graph, CLASSES, infer=True)


def test_a_workflow_is_found_by_name_and_may_be_a_request_that_was_saved(tmp_path: Path) -> None:
    (tmp_path / "mine.json").write_text(json.dumps({"prompt": GRAPH}), encoding="utf-8")
    for name in ("mine", "mine.json", str(tmp_path / "mine.json")):
        assert check_graph(read_workflow(name, [tmp_path]), name) == GRAPH


class FakeRunner:
    """Notes what it runs; with a host, loads it into its cache."""

    def __init__(self, host: Host | None = None) -> None:
        self.ran: list[str] = []
        self.error: BaseException | None = None
        self._host = host

    def run(self, work: Work) -> None:
        self.ran += [each["inputs"]["ckpt_name"] for each in work.graph.values()]
        if self.error is not None:
            raise self.error
        for name in self.ran if self._host is not None else ():
            host: Any = self._host
            admit(host, name, Patcher())
            host.scope.use(model_key(name))


def named(*models: str) -> dict[str, Any]:
    prewarm = {"models": list(models), "workflows": [], "dummy_inference": True}
    return {"prewarm_on_startup": True, "prewarm": prewarm}


def test_a_config_is_not_prewarmed_twice_and_what_comes_later_does_not_end_ready() -> None:
    host = make_host()
    runner = FakeRunner(host)
    prewarm = Prewarm(host, runner, CLASSES, [])
    assert not prewarm.ready
    prewarm.follow(named("sd3.safetensors"))
    assert not prewarm.ready
    prewarm.step()
    prewarm.follow(named("sd3.safetensors", "checkpoints/both.safetensors"))
    assert prewarm.ready
    assert prewarm.has_work
    prewarm.step()
    assert not prewarm.has_work
    assert runner.ran == ["sd3.safetensors", "both.safetensors"]


def test_whatever_a_run_throws_is_told_and_the_next_one_goes_on() -> None:
    host = make_host()
    runner = FakeRunner(host)
    prewarm = Prewarm(host, runner, CLASSES, [])
    prewarm.follow(named("sd3.safetensors", "checkpoints/both.safetensors"))
    runner.error = KeyboardInterrupt("stop")
    prewarm.step()
    runner.error = None
    prewarm.step()
    told = [(item["state"], item["error"]) for item in prewarm.report()["items"]]
    assert told == [("failed", "KeyboardInterrupt: stop"), ("done", "")]


def test_a_name_that_no_log_can_write_is_told_in_one_that_it_can(
    caplog: pytest.LogCaptureFixture,
) -> None:
    prewarm = Prewarm(make_host(), FakeRunner(), CLASSES, [])
    prewarm.follow(named("\ud800\n.safetensors"))
    prewarm.step()
    [line] = [each for each in caplog.messages if "was not prewarmed" in each]
    assert "\\ud800\\n.safetensors" in line
    assert line.isprintable()


def test_a_model_that_is_not_kept_has_failed_and_a_workflow_without_one_says_so() -> None:
    graph = {
        "1": node("CheckpointLoaderSimple", ckpt_name="x"),
        "2": node("Save", latent=["1", 0]),
    }
    prewarm = Prewarm(make_host(), FakeRunner(), CLASSES, [])
    prewarm.request(["sd3.safetensors"], graph)
    prewarm.step()
    prewarm.step()
    model, workflow = prewarm.report()["items"]
    assert (model["state"], workflow["state"]) == ("failed", "done")
    assert "did not keep it" in model["error"]
    assert "none of its models is kept" in workflow["note"]


def test_more_than_a_thousand_waiting_items_are_refused_and_none_of_them_is_added() -> None:
    prewarm = Prewarm(make_host(), FakeRunner(), CLASSES, [])
    prewarm.request(["x"] * 999)
    with pytest.raises(PrewarmError, match="no more than 1000 items wait at a time; 999 do"):
        prewarm.request(["y", "z"])
    assert prewarm.report()["total"] == 999
    prewarm.step()
    assert [item.name for item in prewarm.request(["y", "z"])] == ["y", "z"]


def test_a_name_that_would_fill_every_answer_is_refused() -> None:
    prewarm = Prewarm(make_host(), FakeRunner(), CLASSES, [])
    for asked in ((["x", "y" * 501], None), ([], "w" * 501)):
        with pytest.raises(PrewarmError, match="at most 500 letters"):
            prewarm.request(*asked)
    assert prewarm.report()["total"] == 0
    assert len(prewarm.request(["y" * 500])) == 1


def test_what_is_remembered_of_an_error_is_its_beginning() -> None:
    prewarm = Prewarm(make_host(), FakeRunner(), CLASSES, [])
    graph = {"1": {"class_type": "x" * 1_000_000, "inputs": {}}}
    prewarm.request([], graph)
    prewarm.step()
    (item,) = prewarm.report()["items"]
    assert item["state"] == "failed"
    assert 1000 < len(item["error"]) < 5000


def test_of_what_is_kept_no_note_is_made() -> None:
    host = make_host()
    prewarm = Prewarm(host, FakeRunner(host), CLASSES, [])
    prewarm.follow(named("sd3.safetensors"))
    prewarm.step()
    (item,) = prewarm.report()["items"]
    assert (item["state"], item["error"], item["note"]) == ("done", "", "")


def test_nothing_is_run_while_models_are_not_kept() -> None:
    runner, host = FakeRunner(), make_host()
    host.settings.transparent = False
    prewarm = Prewarm(host, runner, CLASSES, [])
    prewarm.follow(named("sd3.safetensors"))
    prewarm.step()
    assert runner.ran == []
    assert "transparent is false" in prewarm.report()["items"][0]["error"]


def test_where_nothing_can_run_everything_fails_at_once_and_ready_does_not_wait() -> None:
    prewarm = Prewarm(make_host(), FakeRunner(), CLASSES, [])
    prewarm.give_up("unfamiliar")
    prewarm.follow(named("sd3.safetensors"))
    assert prewarm.ready
    assert prewarm.report()["items"][0]["error"] == "unfamiliar"
