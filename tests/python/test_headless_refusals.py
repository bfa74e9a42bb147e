"""`hearth run` refuses what is wrong before it loads anything: one line each, exit code 2."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

pytest_plugins = ["headless_refused"]
pytest.importorskip("headless_refused")

import headless_graphs as graphs  # noqa: E402
from headless_graphs import changed, node, with_node  # noqa: E402
from headless_refused import LOAD, Run  # noqa: E402
from hearth import cli, device, qwen_tokenizer  # noqa: E402
from hearth.headless import device_faults  # noqa: E402
from hearth.headless.checks import check  # noqa: E402
from hearth.headless.graph import parse  # noqa: E402
from hearth.headless.model_files import faults_of_files  # noqa: E402
from hearth.headless.model_lists import ModelLists  # noqa: E402
from hearth.headless.settings import prompt_node  # noqa: E402
from wrong_requests import FILES, OPTIONS, WORKFLOWS, with_whole_checkpoint  # noqa: E402


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
    assert code == 2
    assert len(lines) == 1, lines
    assert [word for word in words if word not in lines[0]] == [], lines[0]


def test_an_option_that_is_none_is_told_with_the_usage_of_its_command(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["check", "a.safetensors", "--frob", "x"])
    assert ended.value.code == 2
    told = capsys.readouterr().err
    assert told.startswith("usage: hearth check [-h]")
    assert told.endswith("hearth check: error: unrecognized arguments: --frob x\n")


def test_an_error_of_the_system_names_the_file_and_a_job_needs_no_terminal(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    command = SimpleNamespace(HELP="", add_arguments=lambda parser: None, run=lambda chosen: 0)
    monkeypatch.setattr(cli, "COMMANDS", {"job": "hearth.job"})
    monkeypatch.setattr(cli.importlib, "import_module", lambda name: command)
    with monkeypatch.context() as started_without:
        started_without.setattr(sys, "stdout", None)
        assert cli.main(["job"]) == 0

    def fail(_: object) -> int:
        raise PermissionError(13, "Permission denied", "a/b.json")

    monkeypatch.setattr(command, "run", fail)
    monkeypatch.setattr(cli.os, "dup2", lambda *_: None)
    assert cli.main(["job"]) == 1
    assert capsys.readouterr().err == "hearth: a/b.json: Permission denied\n"


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


def test_what_cannot_be_imported_is_told_in_a_line(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "workflow.json").write_text(json.dumps(graphs.z_image()))
    monkeypatch.setitem(sys.modules, "hearth.headless.job", None)
    options = ["--tokenizer", "tokenizer.json", "--models", "models"]
    assert cli.main(["run", "workflow.json", *options]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("hearth: what computes cannot be imported: ")


def test_a_models_folder_that_is_not_there_says_what_to_name(refused: Run) -> None:
    code, lines = refused(graphs.z_image(), "--models", "nowhere")
    assert code == 2
    assert "there is no folder nowhere; name that of a ComfyUI, or set COMFYUI_PATH" in lines[0]


def test_an_empty_list_names_the_whole_folder_in_which_nothing_lies(
    refused: Run, place: Path
) -> None:
    (place / "models" / "vae" / "ae.safetensors").unlink()
    code, lines = refused(graphs.z_image(), "--models", str(place / "models"))
    assert code == 2
    assert any(f"no model lies in {place / 'models' / 'vae'}" in line for line in lines)


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


def test_prompts_reach_their_encoder_through_a_chain_longer_than_pythons_stack(
    place: Path,
) -> None:
    graph = graphs.z_image()
    for number in range(1500):
        source = f"c{number - 1}" if number else "57:27"
        graph[f"c{number}"] = node("ConditioningZeroOut", conditioning=[source, 0])
    graph["57:3"]["inputs"]["positive"] = ["c1499", 0]
    parsed = parse(json.dumps(graph), Path("workflow.json"))
    assert prompt_node(check(parsed, ModelLists(place / "models"))) == "57:27"


@pytest.mark.parametrize(
    ("what", "by"), [("workflow", "57:27 (CLIPTextEncode), text"), ("prompts", "--prompts")]
)
def test_a_prompt_that_stands_for_a_file_of_vectors_is_refused(
    refused: Run, place: Path, monkeypatch: pytest.MonkeyPatch, what: str, by: str
) -> None:
    toy_zimage = pytest.importorskip("benchmarks.harness.toy_zimage")
    pytest.importorskip("tokenizers", reason="NOT RUN, needs tokenizers: ./dev setup")
    monkeypatch.setattr(qwen_tokenizer, "load", LOAD)
    toy_zimage.write_tokenizer(place / "tokenizer.json")
    prompt = "a cat, embedding:whiskers"
    (place / "prompts.txt").write_text(f"a dog\n{prompt}\n")
    if what == "workflow":
        code, lines = refused(changed("57:27/text", prompt))
    else:
        code, lines = refused(graphs.z_image(), "--prompts", "prompts.txt")
    assert code == 2
    assert len(lines) == 1
    assert f"hearth: {'node ' if what == 'workflow' else ''}{by}: " in lines[0]
    assert 'take "embedding:..." out of the prompt' in lines[0]


@pytest.mark.parametrize("what", FILES)
def test_a_wrong_file_is_told_before_anything_is_computed(
    refused: Run, place: Path, what: str
) -> None:
    (name, content), words = FILES[what]
    (place / "models" / name).write_bytes(content)
    code, lines = refused(with_whole_checkpoint() if "checkpoints" in name else graphs.z_image())
    assert code == 2
    assert len(lines) == 1, lines
    assert [word for word in words if word not in lines[0]] == [], lines[0]


def test_a_file_in_two_workflows_is_told_once(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (place / "models/vae/ae.safetensors").write_bytes(b"")
    for name in ("a.json", "b.json"):
        (place / name).write_text(json.dumps(graphs.z_image()))
    assert cli.main(["run", "a.json", "b.json", "--tokenizer", "tokenizer.json"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_a_wrong_file_to_prewarm_is_told(refused: Run, place: Path) -> None:
    (place / "models/diffusion_models/z_image_b.safetensors").write_bytes(b"no header")
    warm = node("HearthPrewarm", model="diffusion_models/z_image_b.safetensors")
    code, lines = refused(with_node("20", warm))
    assert code == 2
    assert len(lines) == 1
    assert "node 20 (HearthPrewarm), model: z_image_b.safetensors" in lines[0]


def test_a_checkpoint_needs_no_part_that_nothing_takes(place: Path) -> None:
    graph = graphs.z_image()
    graph["57:28"] = node("CheckpointLoaderSimple", ckpt_name="ae.safetensors")
    plan = check(parse(json.dumps(graph), Path("w.json")), ModelLists(place / "models"))
    assert plan.faults == []
    assert faults_of_files([plan], ModelLists(place / "models")) == []


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


ONE_GPU = SimpleNamespace(devices=[SimpleNamespace(name="A100")], reason="")
OF_A_CPU = "from typing import Optional\n__version__ = '2.11.0+cpu'\ncuda: Optional[str] = None\n"


@pytest.mark.parametrize("option", ["--device cuda", "--fp8"])
@pytest.mark.parametrize("more", ["hip: Optional[str] = None\n", ""])
def test_a_torch_for_cpus_is_told_before_it_is_imported(
    refused: Run, place: Path, monkeypatch: pytest.MonkeyPatch, option: str, more: str
) -> None:
    torch_of(place, monkeypatch, OF_A_CPU + more)
    code, lines = refused(graphs.z_image(), *option.split())
    assert code == 2
    assert len(lines) == 1
    assert lines[0].startswith(f"hearth: {option}: this torch was built for CPUs only")


@pytest.mark.parametrize(
    "version", ["cuda: Optional[str] = '13.0'\nhip: Optional[str] = None\n", "cuda = '12.8'\n", ""]
)
def test_any_other_torch_may_be_asked_for_a_gpu(
    place: Path, monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    torch_of(place, monkeypatch, version)
    assert device_faults.faults_of_device("cuda", "fast") == []


def torch_of(place: Path, monkeypatch: pytest.MonkeyPatch, version: str) -> None:
    """A GPU, and a torch that says this of its build."""
    (place / "torch").mkdir()
    (place / "torch" / "__init__.py").touch()
    (place / "torch" / "version.py").write_text(version)
    find = importlib.util.find_spec
    spec = SimpleNamespace(origin=str(place / "torch" / "__init__.py"))
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name: spec if name == "torch" else find(name)
    )
    monkeypatch.setattr(device, "probe", lambda: ONE_GPU)


@pytest.mark.parametrize(
    ("found", "told"),
    [((8, 6), True), ((8, 9), False), ((9, 0), False), ((10, 0), False), (None, False)],
)
def test_8_bit_floats_are_refused_where_the_gpu_has_none(
    monkeypatch: pytest.MonkeyPatch, found: tuple[int, int] | None, told: bool
) -> None:
    monkeypatch.setattr(device, "probe", lambda: ONE_GPU)
    monkeypatch.setattr(device_faults, "_is_torch_for_cpus", lambda: False)
    monkeypatch.setattr(device_faults, "compute_capability", lambda: found)
    faults = [fault.line() for fault in device_faults.faults_of_device(None, "fp8")]
    of_gpu = "--fp8: A100 has compute capability 8.6, and 8-bit floats need 8.9 (Ada, Hopper)"
    assert faults == ([f"{of_gpu}; leave --fp8 out"] if told else [])


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


def test_a_broken_config_is_told_by_the_name_that_named_it(
    refused: Run, place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (place / "hearth.json").write_text('{"max_cached_models": ')
    for name, further in (("HEARTH_CONFIG", ()), ("--config", ("--config", "hearth.json"))):
        monkeypatch.setenv("HEARTH_CONFIG", "hearth.json")
        code, [line] = refused(graphs.z_image(), *further)
        assert code == 2
        assert line.startswith(f"hearth: {name} hearth.json: ")
        assert ": :" not in line


@pytest.mark.parametrize("text", ["", "{}", "no JSON", '{"model": 3}'])
def test_a_broken_tokenizer_is_told(
    refused: Run, place: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    pytest.importorskip("tokenizers", reason="NOT RUN, needs tokenizers: ./dev setup")
    monkeypatch.setattr(qwen_tokenizer, "load", LOAD)
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
