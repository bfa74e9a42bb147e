"""`hearth run` refuses what is wrong before it loads anything: one line each, exit code 2."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("hearth._core", reason="NOT RUN, not built: ./dev build")

import headless_graphs as graphs  # noqa: E402
from headless_graphs import changed, node, with_node  # noqa: E402
from hearth import cli, device, qwen_tokenizer, runtime  # noqa: E402

Run = Callable[..., tuple[int, list[str]]]
OVER = 2**64


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with models of no bytes, where no tokenizer is but a stand-in."""
    graphs.empty_models(tmp_path / "models")
    (tmp_path / "tokenizer.json").write_text("{}")
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.setattr(qwen_tokenizer, "load", lambda path: StandIn())
    return tmp_path


_LOAD = qwen_tokenizer.load


class StandIn:
    """Takes every prompt; what real ones refuse has tests of its own."""

    def encode(self, prompt: str) -> list[int]:
        return [0] * len(prompt)


@pytest.fixture
def refused(place: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Runs a workflow that must be refused: exit code and the lines of the answer."""

    def run(workflow: Any, *options: str) -> tuple[int, list[str]]:
        file = place / "workflow.json"
        if isinstance(workflow, bytes):
            file.write_bytes(workflow)
        elif workflow is not None:
            file.write_text(workflow if isinstance(workflow, str) else json.dumps(workflow))
        begin = events()
        code = cli.main(["run", str(file), "--tokenizer", "tokenizer.json", *options])
        written = capsys.readouterr()
        assert written.out == ""
        assert events() == begin, "something was asked of the cache"
        assert not (place / "output").exists()
        return code, written.err.splitlines()

    return run


def events() -> int:
    """The number of the last event of this process's cache."""
    return max((event["sequence"] for event in runtime().cache.events(0, 10_000)), default=0)


CIRCLE = changed("57:3/latent_image", ["57:3", 0])
NODES_OF_EDITOR = {"nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4}
TWICE = '{"9": {"class_type": "SaveImage"}, "9": {"class_type": "SaveImage"}}'
PREWARM = with_node("20", node("HearthPrewarm", model="nothing.safetensors"))

# What is wrong -> (workflow, words of the one line).
WORKFLOWS: dict[str, tuple[Any, list[str]]] = {
    "no such file": (None, ["workflow.json", "no such file"]),
    "empty file": ("", ["workflow.json", "is empty"]),
    "not JSON": ('{"9": ', ["is not JSON", "line 1, column 7"]),
    "not text": (b"\x89PNG\r\n\xff", ["not text in UTF-8"]),
    "nested too deeply": ("[" * 100_000, ["nested too deeply"]),
    "a list": ("[1, 2]", ["is a list", "object of nodes"]),
    "a number": ("3", ["is a number"]),
    "no node": ("{}", ["holds no node"]),
    "of the editor": (NODES_OF_EDITOR, ["Workflow > Export (API)"]),
    "an id twice": (TWICE, ['"9" twice']),
    "a node that is a text": (with_node("20", "KSampler"), ["node 20", "is a text"]),
    "a node without class": (with_node("20", {"inputs": {}}), ["node 20", "no class_type"]),
    "a class that is null": (with_node("20", {"class_type": None}), ["class_type is null"]),
    "inputs that are a list": (
        with_node("20", {"class_type": "SaveImage", "inputs": []}),
        ["node 20 (SaveImage)", "inputs is a list"],
    ),
    "no output node": (
        {key: value for key, value in graphs.z_image().items() if key != "9"},
        ["no node writes or shows anything", "SaveImage"],
    ),
    "unknown class": (
        with_node("20", node("KSamplr")),
        ["node 20 (KSamplr)", 'no node class "KSamplr"', 'did you mean "KSampler"?'],
    ),
    "class of another pack": (with_node("20", node("FaceRestoreCF")), ["FaceRestoreCF"]),
    "missing value": (changed("57:3/steps", None), ["57:3 (KSampler), steps", "is missing", "20"]),
    "missing link": (changed("57:3/model", None), ["model", "is missing", "gives MODEL"]),
    "missing name": (changed("57:28/unet_name", None), ["unet_name", "is missing"]),
    "mistyped input": (
        {**graphs.z_image(), "57:29": node("VAELoader", vae_nam="ae.safetensors")},
        ["vae_name", "is missing", 'is it "vae_nam"?'],
    ),
    "text as whole number": (changed("57:3/steps", "many"), ["steps", '"many"', "whole number"]),
    "fraction as whole number": (changed("57:3/steps", 8.7), ["steps", "8.7", "whole number"]),
    "flag as whole number": (changed("57:3/seed", True), ["seed", "True", "whole number"]),
    "object as whole number": (changed("57:3/seed", {}), ["seed", "whole number"]),
    "text as number": (changed("57:3/cfg", "high"), ["cfg", '"high"', "not a number"]),
    "infinite number": (changed("57:3/cfg", float("inf")), ["cfg", "inf", "not a number"]),
    "not a number": (changed("57:11/shift", float("nan")), ["shift", "nan", "not a number"]),
    "number as choice": (changed("57:3/scheduler", 3), ["scheduler", "3"]),
    "object as text": (changed("57:27/text", {"a": 1}), ["57:27 (CLIPTextEncode), text", "text"]),
    "text as link": (changed("57:3/model", "57:11"), ["model", "no link", "MODEL"]),
    "too small": (changed("57:3/steps", 0), ["steps", "0 is too small", "smallest is 1"]),
    "too large": (changed("57:3/denoise", 1.5), ["denoise", "1.5 is too large", "largest is 1"]),
    "seed too large": (changed("57:3/seed", OVER), ["seed", "too large", str(OVER - 1)]),
    "negative seed": (changed("57:3/seed", -1), ["seed", "-1 is too small"]),
    "image too small": (changed("57:13/width", 8), ["width", "8 is too small", "16"]),
    "image too large": (changed("57:13/height", 16392), ["height", "too large", "16384"]),
    "batch of none": (changed("57:13/batch_size", 0), ["batch_size", "0 is too small"]),
    "shift of none": (changed("57:11/shift", 0), ["shift", "no noise level"]),
    "dangling link": (
        changed("57:3/model", ["57:12", 0]),
        ["57:3 (KSampler), model", 'node "57:12"', "not there", '["57:11", 0]'],
    ),
    "link of one part": (changed("57:3/model", ["57:11"]), ["model", "no link"]),
    "link of three parts": (changed("57:3/model", ["57:11", 0, 1]), ["model", "no link"]),
    "id that is a number": (changed("9/images", [57, 0]), ["images", "ids of nodes are texts"]),
    "output that is a text": (changed("9/images", ["57:8", "0"]), ["images", "whole number"]),
    "output that is not there": (
        changed("57:8/vae", ["57:29", 1]),
        ["57:8 (VAEDecode), vae", "output 1 of node 57:29 (VAELoader)", "1 output"],
    ),
    "negative output": (changed("57:8/vae", ["57:29", -1]), ["vae", "output -1"]),
    "link of another type": (
        changed("57:8/vae", ["57:30", 0]),
        ["vae", "is linked to CLIP", "node 57:30 (CLIPLoader)", "takes VAE"],
    ),
    "another type through a node": (
        {**changed("57:8/vae", ["20", 0]), "20": node("HearthPin", model=["57:30", 0])},
        ["57:8 (VAEDecode), vae", "is linked to CLIP", "takes VAE"],
    ),
    "a node that hands on nothing": (
        {
            **changed("57:8/vae", ["20", 0]),
            "20": node("HearthEvict", model="(all that are idle)"),
        },
        ["vae", "is linked to nothing"],
    ),
    "a node linked to itself": (CIRCLE, ["57:3 (KSampler), latent_image", "57:3 -> 57:3"]),
    "unknown sampler": (
        changed("57:3/sampler_name", "res_multistp"),
        ["sampler_name", '"res_multistp"', 'did you mean "res_multistep"?'],
    ),
    "unknown scheduler": (
        changed("57:3/scheduler", "simpel"),
        ["scheduler", 'did you mean "simple"?'],
    ),
    "missing model": (
        changed("57:28/unet_name", "z_image_c.safetensors"),
        ["unet_name", "not in the list diffusion_models", "z_image_"],
    ),
    "missing encoder": (changed("57:30/clip_name", "quen.safetensors"), ['"qwen.safetensors"?']),
    "model of another list": (changed("57:29/vae_name", "qwen.safetensors"), ["the list vae"]),
    "absolute path": (
        changed("57:29/vae_name", "/models/vae/ae.safetensors"),
        ["vae_name", "is a path", 'did you mean "ae.safetensors"?'],
    ),
    "path upwards": (changed("57:28/unet_name", "../vae/ae.safetensors"), ["is a path"]),
    "name that is a number": (changed("57:29/vae_name", 3), ["vae_name", "not the name"]),
    "another kind of file": (changed("57:28/unet_name", "old.gguf"), ["safetensors files only"]),
    "weights in fp8": (
        changed("57:28/weight_dtype", "fp8_e4m3fn"),
        ["weight_dtype", "as they are in the file", '"default"'],
    ),
    "unknown type of weights": (changed("57:28/weight_dtype", "fp4"), ["weight_dtype", '"fp4"']),
    "type of another model": (changed("57:30/type", "flux2"), ["type", "flux2", "another model"]),
    "unknown type of encoder": (changed("57:30/type", "lumina"), ['did you mean "lumina2"?']),
    "prefix out of the folder": (
        changed("9/filename_prefix", "../../etc/toy"),
        ["9 (SaveImage), filename_prefix", "out of the output folder"],
    ),
    "absolute prefix": (changed("9/filename_prefix", "/toy"), ["out of the output folder"]),
    "unknown model to prewarm": (PREWARM, ["20 (HearthPrewarm), model", "lists of models"]),
    "model in two lists to prewarm": (
        with_node("20", node("HearthPrewarm", model="ae.safetensors")),
        ["several lists", "checkpoints/ae.safetensors, vae/ae.safetensors"],
    ),
    "encoder to prewarm without type": (
        with_node("20", node("HearthPrewarm", model="text_encoders/qwen.safetensors")),
        ["20 (HearthPrewarm)", "type=lumina2"],
    ),
    "unknown option to prewarm": (
        with_node("20", node("HearthPrewarm", model="vae/ae.safetensors", options="dtype=x")),
        ["20 (HearthPrewarm)", "no input", "dtype"],
    ),
    "flag that is a text": (
        with_node("20", node("HearthPin", model=["57:28", 0], pinned="perhaps")),
        ["20 (HearthPin), pinned", "neither true nor false"],
    ),
}

# What is wrong -> (options, words of the one line); the workflow itself is right.
OPTIONS: dict[str, tuple[list[str], list[str]]] = {
    "setting without value": (["--set", "57:3.steps"], ["NODE.INPUT=VALUE"]),
    "setting without input": (["--set", "steps=8"], ["NODE.INPUT=VALUE"]),
    "setting of unknown node": (["--set", "57:4.steps=8"], ['no node "57:4"', "did you mean"]),
    "setting of a class": (["--set", "KSampler.steps=8"], ["nodes of this class: 57:3"]),
    "setting of unknown input": (["--set", "57:3.step=8"], ['"step"', 'did you mean "steps"?']),
    "setting to a wrong value": (["--set", "57:3.steps=x"], ["57:3 (KSampler), steps", '"x"']),
    "setting out of range": (["--set", "57:3.cfg=101"], ["cfg", "101", "largest is 100"]),
    "setting a link to a text": (["--set", "57:3.model=x"], ["no link"]),
    "setting twice": (["--set", "57:3.cfg=1", "--set", "57:3.cfg=2"], ["57:3.cfg", "twice"]),
    "no repetition": (["--repeat", "0"], ["--repeat", "1 or more"]),
    "no models folder": (["--models", "nowhere"], ["--models", "no folder nowhere"]),
    "no prompts": (["--prompts", "nowhere.txt"], ["--prompts nowhere.txt"]),
    "latents under another name": (["--latent-out", "x.png"], ["--latent-out", ".safetensors"]),
    "report that is a folder": (["--json", "models"], ["--json", "is a folder"]),
    "output that is a file": (["--out", "tokenizer.json"], ["--out", "is a file"]),
}


@pytest.mark.parametrize("what", WORKFLOWS)
def test_a_wrong_workflow_ends_in_one_line(refused: Run, what: str) -> None:
    workflow, words = WORKFLOWS[what]
    code, lines = refused(workflow)
    assert code == 2
    assert len(lines) == 1, lines
    assert [word for word in words if word not in lines[0]] == [], lines[0]


@pytest.mark.parametrize("what", OPTIONS)
def test_a_wrong_option_ends_in_one_line(refused: Run, what: str) -> None:
    options, words = OPTIONS[what]
    code, lines = refused(graphs.z_image(), *options)
    mine = [line for line in lines if "not in the list" not in line]  # of --models nowhere
    assert code == 2
    assert len(mine) == 1, lines
    assert [word for word in words if word not in mine[0]] == [], mine[0]


def test_every_fault_is_told_at_once(refused: Run) -> None:
    graph = changed("57:3/steps", 0)
    graph["57:3"]["inputs"]["sampler_name"] = "eulr"
    graph["57:29"]["inputs"]["vae_name"] = "missing.safetensors"
    graph["20"] = node("Nowhere")
    code, lines = refused(graph, "--set", "57:99.seed=1", "--repeat", "0")
    assert code == 2
    assert len(lines) == 6
    for place in ("57:3 (KSampler), steps", "sampler_name", "57:29 (", "node 20", "57:99", "--rep"):
        assert sum(place in line for line in lines) == 1


def test_no_name_of_a_workflow_breaks_a_line(refused: Run) -> None:
    _, lines = refused(with_node("2\n0", node("A\x1b[2J\nB")))
    assert len(lines) == 1
    assert "\x1b" not in lines[0]


def test_a_missing_tokenizer_is_told_with_every_place(
    refused: Run, monkeypatch: pytest.MonkeyPatch, place: Path
) -> None:
    monkeypatch.setenv("HF_HOME", str(place / "hub_of_nobody"))
    monkeypatch.setenv("COMFYUI_PATH", str(place / "comfyui_of_nobody"))
    find = qwen_tokenizer.find
    monkeypatch.setattr(qwen_tokenizer, "find", lambda path: find())
    code, lines = refused(graphs.z_image(), "--models", "models")
    assert code == 2
    assert len(lines) == 1
    for word in ("57:27 (CLIPTextEncode), text", "hub_of_nobody", "comfyui_of_nobody"):
        assert word in lines[0]


def test_prompts_that_no_sampler_takes_are_refused(refused: Run, place: Path) -> None:
    (place / "prompts.txt").write_text("a cat\n")
    graph = {"57:30": graphs.z_image()["57:30"], "20": node("HearthPin", model=["57:30", 0])}
    code, lines = refused(graph, "--prompts", "prompts.txt")
    assert code == 2
    assert len(lines) == 1
    assert "--prompts: no CLIPTextEncode" in lines[0]


def test_prompts_for_two_encoders_are_refused(refused: Run, place: Path) -> None:
    (place / "prompts.txt").write_text("a cat\n")
    graph = graphs.z_image()
    graph["20"] = node("CLIPTextEncode", clip=["57:30", 0], text="a dog")
    graph["21"] = {**graph["57:3"], "inputs": {**graph["57:3"]["inputs"], "positive": ["20", 0]}}
    graph["22"] = node("VAEDecode", samples=["21", 0], vae=["57:29", 0])
    graph["23"] = node("PreviewImage", images=["22", 0])
    code, lines = refused(graph, "--prompts", "prompts.txt")
    assert code == 2
    assert len(lines) == 1
    assert "20, 57:27" in lines[0]


def test_what_no_output_needs_is_not_looked_at(refused: Run) -> None:
    """As in ComfyUI; the one fault is that of the node that is needed."""
    graph = changed("57:3/steps", 0)
    graph["20"] = node("VAELoader", vae_name="missing.safetensors")
    code, lines = refused(graph)
    assert code == 2
    assert len(lines) == 1
    assert "57:3" in lines[0]


def test_a_refusal_needs_no_torch(place: Path) -> None:
    (place / "workflow.json").write_text(json.dumps(changed("57:3/steps", 0)))
    program = (
        "import sys; sys.modules['torch'] = None; from hearth import cli; sys.exit(cli.main())"
    )
    bindings = Path(__file__).resolve().parents[2] / "bindings"
    done = subprocess.run(
        [sys.executable, "-c", program, "run", "workflow.json"],
        env={**os.environ, "PYTHONPATH": str(bindings)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 2
    assert "0 is too small" in lines[0]
    assert "the package torch is needed" in lines[1]


@pytest.mark.parametrize("option", ["--device cuda", "--fp8"])
def test_a_gpu_that_is_not_there_is_told(
    refused: Run, monkeypatch: pytest.MonkeyPatch, option: str
) -> None:
    nothing = SimpleNamespace(devices=[], reason="no driver is loaded")
    monkeypatch.setattr(device, "probe", lambda: nothing)
    code, lines = refused(graphs.z_image(), *option.split())
    assert (code, lines) == (2, [f"hearth: {option}: there is no GPU: no driver is loaded"])


def test_8_bit_floats_on_a_cpu_are_refused(refused: Run) -> None:
    code, lines = refused(graphs.z_image(), "--fp8", "--device", "cpu")
    assert (code, lines) == (2, ["hearth: --fp8: is for a GPU, and --device cpu was given"])


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (None, ["--config hearth.json", "cannot be read"]),
        ('{"max_cached_modles": 3}', ["/max_cached_modles", "max_cached_models"]),
    ],
)
def test_a_wrong_config_is_told(
    refused: Run, place: Path, text: str | None, words: list[str]
) -> None:
    if text is not None:
        (place / "hearth.json").write_text(text)
    code, lines = refused(graphs.z_image(), "--config", "hearth.json")
    assert code == 2
    assert len(lines) == 1
    assert [word for word in words if word not in lines[0]] == []


@pytest.mark.parametrize("text", ["", "{}", "no JSON", '{"model": 3}'])
def test_a_broken_tokenizer_is_told(
    refused: Run, place: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    pytest.importorskip("tokenizers", reason="NOT RUN, needs tokenizers: ./dev setup")
    monkeypatch.setattr(qwen_tokenizer, "load", _LOAD)
    (place / "tokenizer.json").write_text(text)
    code, lines = refused(graphs.z_image())
    assert code == 2
    assert len(lines) == 1
    assert "57:27 (CLIPTextEncode), text: The tokenizer tokenizer.json cannot be read" in lines[0]


def test_a_missing_package_is_told_with_who_needs_it(
    refused: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    find = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: None if name in ("PIL", "scipy") else find(name)
    )
    code, lines = refused(changed("57:3/scheduler", "beta"))
    assert code == 2
    assert len(lines) == 2
    assert "pip install Pillow" in lines[1] + lines[0]
    assert "scipy is needed by the schedule beta" in lines[0] + lines[1]


def test_a_folder_in_place_of_a_workflow_is_refused(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["run", ".", "--tokenizer", "tokenizer.json"]) == 2
    assert capsys.readouterr().err == "hearth: .: is a folder; give the workflow's file\n"
