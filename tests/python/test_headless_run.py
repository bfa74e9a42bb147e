"""`hearth run` from a workflow to images, on toy files of Z-Image's true architecture."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["headless_runs"]
pytest.importorskip("headless_runs")

import torch  # noqa: E402
from headless_runs import SECOND, Run, computed, opened, options, resident_config  # noqa: E402
from hearth import cli, qwen_tokenizer, runtime, zimage  # noqa: E402
from hearth.headless import allocator, executor  # noqa: E402
from hearth.headless.ahead import read_ahead  # noqa: E402
from hearth.headless.checks import check  # noqa: E402
from hearth.headless.graph import read  # noqa: E402
from hearth.headless.model_lists import ModelLists  # noqa: E402
from hearth.headless.node_table import ALL_IDLE  # noqa: E402
from open_spy import OpenSpy  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from benchmarks.harness import toy_zimage  # noqa: E402
from benchmarks.harness.workflows import node  # noqa: E402


def test_a_workflow_becomes_an_image_with_the_workflow_in_it(run: Run) -> None:
    workflow = toy_zimage.graph(size=48)
    report = run(workflow)
    image = Image.open("output/toy_z_image_a_00001_.png")
    assert image.size == (48, 48)
    assert len(set(image.tobytes())) > 100
    assert json.loads(image.text["prompt"]) == workflow
    assert report["runs"][0]["files"] == ["output/toy_z_image_a_00001_.png"]
    assert report["peak_rss_bytes"] > 1 << 20
    assert all(each["seconds"] > 0 for each in report["runs"][0]["nodes"])


def test_what_was_set_stands_in_the_image_as_in_a_file(run: Run) -> None:
    workflow = toy_zimage.graph()
    values = {"seed": 2**64 - 1, "steps": 2, "cfg": 1.5, "denoise": 1, "scheduler": "simple"}
    settings = [f"--set=sampler.{name}={value}" for name, value in values.items()]
    run(workflow, further=[*settings, "--set=save.filename_prefix=7"])
    workflow["sampler"]["inputs"] |= values
    workflow["save"]["inputs"]["filename_prefix"] = "7"
    told = Image.open("output/7_00001_.png").text["prompt"]
    assert told == json.dumps(workflow)  # 2 is not 2.0 and not "2"


def test_how_torch_takes_memory_is_the_users_to_say() -> None:
    assert allocator.settings({"PATH": "/bin"}) == {
        "PYTORCH_CUDA_ALLOC_CONF": "expandable_segments:True"
    }
    for name in ("PYTORCH_CUDA_ALLOC_CONF", "PYTORCH_ALLOC_CONF"):
        assert allocator.settings({name: "backend:cudaMallocAsync"}) == {}


def test_every_model_is_loaded_once_by_the_cache_and_from_its_file(run: Run, models: Path) -> None:
    graphs = [toy_zimage.graph(name) for name in toy_zimage.TRANSFORMERS]
    names = [*toy_zimage.TRANSFORMERS, toy_zimage.TEXT_ENCODER, toy_zimage.VAE]
    spy = OpenSpy(file for file in models.glob("*/toy_*") if file.name in names)
    config = resident_config(prewarm_on_startup=False)  # reading ahead opens them once more
    report = run(*graphs, further=["--repeat", "3", "--config", config])
    assert sorted(opened(report)) == sorted(names)
    assert sum(run["hits"] for run in report["runs"]) > 0
    assert set(spy.opened()) == set(names)
    again = run(*graphs, further=["--config", config, "--set", "sampler.seed=2"])
    assert opened(again) == []
    assert spy.opened() == {}
    spy.close()


@pytest.mark.parametrize(("on", "files"), [(True, 3), (False, 0)])
def test_files_are_read_ahead_where_the_config_does_not_say_otherwise(
    place: Path, models: Path, on: bool, files: int
) -> None:
    runtime().configure(json.dumps({"prewarm_on_startup": on}), "the test's")
    Path("workflow.json").write_text(json.dumps(toy_zimage.graph()))
    plan = check(read(Path("workflow.json")), ModelLists(models))
    assert read_ahead([plan, plan], ModelLists(models)) == files


def test_without_the_cache_every_run_loads_again(run: Run) -> None:
    graphs = [toy_zimage.graph(name) for name in toy_zimage.TRANSFORMERS[:2]]
    config = resident_config(keep_model_in_memory=False)
    report = run(*graphs, further=["--repeat", "2", "--config", config])
    assert opened(report).count(toy_zimage.TRANSFORMERS[0]) == 2


def test_the_same_again_computes_nothing(run: Run) -> None:
    first, second = run(toy_zimage.graph(), further=["--repeat", "2"])["runs"]
    assert len(computed(first)) == 10
    assert computed(second) == []
    assert second["files"] == []


def test_another_prompt_computes_only_what_it_leads_to(run: Run) -> None:
    Path("prompts.txt").write_text("a cat\n\n  a dog \n")
    first, second = run(toy_zimage.graph(), further=["--prompts", "prompts.txt"])["runs"]
    assert set(computed(second)) == {"positive", "negative", "sampler", "decode", "save"}
    assert [first["prompt"], second["prompt"]] == ["a cat", "a dog"]
    assert [first["loads"], second["loads"]] == [3, 0]
    images = [Image.open(run["files"][0]) for run in (first, second)]
    assert images[0].tobytes() != images[1].tobytes()
    assert json.loads(images[1].text["prompt"])["positive"]["inputs"]["text"] == "a dog"


def test_a_replaced_file_is_loaded_anew(run: Run, models: Path, tmp_path: Path) -> None:
    own = tmp_path / "own"
    toy_zimage.write_all(own)
    first = run(toy_zimage.graph(), further=["--models", str(own)])
    file = own / "diffusion_models" / toy_zimage.TRANSFORMERS[0]
    file.write_bytes((own / "diffusion_models" / SECOND).read_bytes())
    second = run(toy_zimage.graph(), further=["--models", str(own)])
    other = run(toy_zimage.graph(SECOND), further=["--models", str(own)])
    assert opened(second) == [toy_zimage.TRANSFORMERS[0]]
    images = [Image.open(each["runs"][0]["files"][0]).tobytes() for each in (first, second, other)]
    assert images[0] != images[1]
    assert images[1] == images[2]


def latents(run: Run, workflow: dict[str, Any], *further: str) -> Any:
    run(workflow, further=["--latent-out", "latents.safetensors", *further])
    found = load_file("latents.safetensors")
    assert set(found) == {"latent_tensor", "latent_format_version_0"}
    return found["latent_tensor"]


def test_latents_are_those_that_the_engine_samples_by_itself(run: Run, models: Path) -> None:
    found = latents(run, toy_zimage.graph(steps=4, seed=5))
    float32 = {"compute_type": torch.float32}
    names = ("diffusion_models/toy_z_image_a", "text_encoders/toy_qwen")
    files = [zimage.open_weights(models / f"{name}.safetensors") for name in names]
    tokens = qwen_tokenizer.load(models / toy_zimage.TOKENIZER).encode("a lighthouse in the snow")
    encoder = zimage.text_encoder(files[1], **float32)
    prompt = zimage.Prompt(zimage.EmbeddingCache(1).encode(encoder, tokens))
    noise = zimage.noise((1, 16, 8, 8), seed=5)
    sampling = zimage.Sampling("res_multistep", zimage.sigmas(4), noise)
    own = zimage.for_vae(zimage.transformer(files[0], **float32).sample(prompt, sampling))
    assert torch.equal(found, own)


def test_two_halves_of_a_schedule_are_the_whole(run: Run) -> None:
    whole = latents(run, toy_zimage.graph(steps=6, sampler_name="euler"))
    graph = toy_zimage.graph(steps=6, sampler_name="euler")
    common = {k: v for k, v in graph["sampler"]["inputs"].items() if k not in ("seed", "denoise")}
    parts = {"noise_seed": 1, "start_at_step": 0, "end_at_step": 3}
    graph["first"] = node(
        "KSamplerAdvanced",
        **{**common, **parts, "add_noise": "enable", "return_with_leftover_noise": "enable"},
    )
    parts |= {"start_at_step": 3, "end_at_step": 10000, "latent_image": ["first", 0]}
    graph["sampler"] = node(
        "KSamplerAdvanced",
        **{**common, **parts, "add_noise": "disable", "return_with_leftover_noise": "disable"},
    )
    halves = latents(run, graph)
    assert (halves - whole).norm() / whole.norm() < 1e-5


def test_no_denoising_leaves_latents_as_they_are(run: Run) -> None:
    assert latents(run, toy_zimage.graph(denoise=0.0)).count_nonzero() == 0


def test_less_denoising_stays_nearer_to_the_start(run: Run) -> None:
    graph = toy_zimage.graph()
    again = {**graph["sampler"]["inputs"], "seed": 8, "latent_image": ["sampler", 0]}
    start = latents(run, graph)
    distances = []
    for denoise in (0.3, 0.9):
        graph["again"] = node("KSampler", **{**again, "denoise": denoise})
        graph["decode"]["inputs"]["samples"] = ["again", 0]
        distances.append(float((latents(run, graph) - start).norm()))
    assert 0 < distances[0] < distances[1]


def test_guidance_looks_at_the_negative_prompt(run: Run) -> None:
    graph = toy_zimage.graph(cfg=3.0)
    graph["negative"] = node("CLIPTextEncode", clip=["clip", 0], text="blurred")
    first = latents(run, graph)
    graph["negative"]["inputs"]["text"] = "dark and wet"
    assert not torch.equal(first, latents(run, graph))
    graph["sampler"]["inputs"]["cfg"] = 1.0
    unguided = latents(run, graph)
    graph["negative"]["inputs"]["text"] = "blurred"
    assert torch.equal(unguided, latents(run, graph))


def test_a_batch_becomes_as_many_files(run: Run) -> None:
    report = run(toy_zimage.graph(), further=["--set", "latent.batch_size=3"])
    assert [Path(file).name for file in report["runs"][0]["files"]] == [
        f"toy_z_image_a_{number:05}_.png" for number in (1, 2, 3)
    ]
    assert len({Image.open(file).tobytes() for file in report["runs"][0]["files"]}) == 3


def test_numbers_go_on_where_the_folder_ends(run: Run) -> None:
    Path("output/sub").mkdir(parents=True)
    Path("output/sub/a_00041_.png").touch()
    further = ["--set", "save.filename_prefix=sub/a", "--repeat", "1"]
    assert run(toy_zimage.graph(), further=further)["runs"][0]["files"] == [
        "output/sub/a_00042_.png"
    ]


@pytest.mark.parametrize(
    ("prefix", "file"),
    [
        ("", "output/._00001_.png"),
        ("a/../b", "output/b_00001_.png"),
        ("a/", "output/a_00001_.png"),
        ("%width%x%height%/%batch_num%", "output/64x64/0_00001_.png"),
    ],
)
def test_a_prefix_is_read_as_comfyui_reads_it(run: Run, prefix: str, file: str) -> None:
    report = run(toy_zimage.graph(), further=["--set", f"save.filename_prefix={prefix}"])
    assert report["runs"][0]["files"] == [file]
    assert Path(file).is_file()


def test_a_preview_lies_in_a_folder_of_its_own(run: Run) -> None:
    graph = toy_zimage.graph()
    graph["save"] = node("PreviewImage", images=["decode", 0])
    (file,) = run(graph)["runs"][0]["files"]
    assert Path(file).parent == Path("output/temp")


def test_a_latent_of_another_models_kind_is_empty_for_this_one(run: Run) -> None:
    graph = toy_zimage.graph()
    expected = latents(run, graph)
    graph["latent"] = node("EmptyLatentImage", width=64, height=64, batch_size=1)
    assert torch.equal(latents(run, graph), expected)


def of_checkpoint(name: str) -> dict[str, Any]:
    """The workflow with all three models from one file."""
    graph = toy_zimage.graph()
    for id_ in ("unet", "clip", "vae"):
        del graph[id_]
    graph["whole"] = node("CheckpointLoaderSimple", ckpt_name=name)
    graph["shift"]["inputs"]["model"] = ["whole", 0]
    graph["positive"]["inputs"]["clip"] = ["whole", 1]
    graph["decode"]["inputs"]["vae"] = ["whole", 2]
    return graph


def test_a_checkpoint_gives_all_three_models_and_is_loaded_once(run: Run) -> None:
    report = run(of_checkpoint("toy_whole.safetensors"))
    assert opened(report) == ["toy_whole.safetensors"]
    assert Path(report["runs"][0]["files"][0]).is_file()


def test_a_checkpoint_gives_the_pixels_of_its_parts_in_files_of_their_own(
    run: Run, models: Path
) -> None:
    parts = {
        f"diffusion_models/{toy_zimage.TRANSFORMERS[0]}": "model.diffusion_model.",
        f"text_encoders/{toy_zimage.TEXT_ENCODER}": "text_encoders.qwen3_4b.transformer.",
        f"vae/{toy_zimage.VAE}": "vae.",
    }
    packed = {
        prefix + name: tensor
        for file, prefix in parts.items()
        for name, tensor in load_file(models / file).items()
    }
    save_file(packed, models / "checkpoints" / "toy_packed.safetensors")
    for graph in (toy_zimage.graph(), of_checkpoint("toy_packed.safetensors")):
        run(graph)
    images = [Image.open(f"output/toy_z_image_a_0000{number}_.png") for number in (1, 2)]
    assert images[0].tobytes() == images[1].tobytes()


def test_latents_of_several_runs_are_numbered_in_their_order(run: Run) -> None:
    Path("prompts.txt").write_text("a cat\na dog\n")
    further = ["--prompts", "prompts.txt", "--latent-out", "sub/latents.safetensors"]
    report = run(toy_zimage.graph(), further=further)
    files = [f"sub/latents_0000{number}_.safetensors" for number in (1, 2)]
    assert sorted(str(file) for file in Path("sub").iterdir()) == files
    assert [file in entry["files"] for file, entry in zip(files, report["runs"], strict=True)] == [
        True,
        True,
    ]
    cat = latents(run, toy_zimage.graph(), "--set", "positive.text=a cat")
    found = [load_file(file)["latent_tensor"] for file in files]
    assert [torch.equal(each, cat) for each in found] == [True, False]


def test_hearths_own_nodes_keep_and_drop_models(run: Run) -> None:
    graph = toy_zimage.graph()
    graph["unet"]["class_type"] = "HearthDiffusionModelLoader"
    graph["unet"]["inputs"]["pin"] = True
    graph["sampler"]["class_type"] = "HearthKSampler"
    graph["pin"] = node("HearthPin", model=["clip", 0])
    graph["warm"] = node("HearthPrewarm", model=f"diffusion_models/{SECOND}", after=["decode", 0])
    graph["evict"] = node("HearthEvict", model=toy_zimage.VAE, after=["warm", 0])
    graph["status"] = node("HearthCacheStatus", after=["evict", 0])
    report = run(graph)
    texts = report["runs"][0]["texts"]
    assert texts["warm"] == f"diffusion_models/{SECOND} is loaded"
    assert texts["evict"] == "evicted: 1"
    assert texts["pin"] == f"{toy_zimage.TEXT_ENCODER} is pinned"
    listed = {line.split(" ")[0]: line for line in texts["status"].split("\n")}
    assert set(listed) == {*toy_zimage.TRANSFORMERS[:2], toy_zimage.TEXT_ENCODER}
    assert "pinned" in listed[toy_zimage.TRANSFORMERS[0]]
    assert "pinned" not in listed[SECOND]


def test_a_model_is_in_use_until_the_last_node_that_it_is_linked_to(run: Run) -> None:
    graph = toy_zimage.graph()
    graph["evict"] = node("HearthEvict", model=ALL_IDLE, after=["positive", 0])
    graph["sampler"]["inputs"]["positive"] = ["evict", 0]
    report = run(graph)
    evicted = [event for event in report["runs"][0]["events"] if event["kind"] == "evicted"]
    assert [event["model"] for event in evicted] == [toy_zimage.TEXT_ENCODER]


def test_a_pin_is_set_in_every_run_and_nothing_behind_it_is_computed_again(run: Run) -> None:
    graph = toy_zimage.graph()
    graph["pin"] = node("HearthPin", model=["unet", 0])
    graph["shift"]["inputs"]["model"] = ["pin", 0]
    evicting = {**graph, "evict": node("HearthEvict", model=toy_zimage.TRANSFORMERS[0])}
    first, second, third = run(graph, evicting, graph)["runs"]
    assert {"pin", "sampler"} <= set(computed(first))
    assert set(computed(second)) == {"pin", "evict"}
    assert computed(third) == ["pin"]
    assert third["texts"]["pin"] == f"{toy_zimage.TRANSFORMERS[0]} is pinned"


def test_the_engines_nodes_of_comfyui_run_here_too(run: Run) -> None:
    graph = toy_zimage.graph()
    run(graph)
    ours = {"unet": "HearthZImageLoader", "decode": "HearthVAEDecode", "save": "HearthSaveImage"}
    for name, class_type in ours.items():
        graph[name]["class_type"] = class_type
    run(graph)
    images = [Image.open(f"output/toy_z_image_a_0000{number}_.png") for number in (1, 2)]
    assert images[0].tobytes() == images[1].tobytes()


def test_a_file_that_lacks_a_tensor_ends_in_one_line_with_its_node(
    place: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What its header does not show until the model is made."""
    graph = toy_zimage.graph()
    graph["vae"] = node("VAELoader", vae_name="lacking.safetensors")
    weights = load_file(models / "vae" / toy_zimage.VAE)
    del weights["decoder.conv_out.weight"]
    save_file(weights, models / "vae" / "lacking.safetensors")
    assert cli.main(options(models, [graph])) == 1
    assert "node vae (VAELoader): " in last_line(capsys)
    assert not Path("output").exists()


def test_a_file_of_another_model_is_told_before_anything_is_loaded(
    place: Path, models: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    graph = toy_zimage.graph()
    graph["vae"] = node("VAELoader", vae_name="wrong.safetensors")
    encoder = models / "text_encoders" / toy_zimage.TEXT_ENCODER
    (models / "vae" / "wrong.safetensors").write_bytes(encoder.read_bytes())
    assert cli.main(options(models, [graph])) == 2
    line = last_line(capsys)
    assert "node vae (VAELoader), vae_name: " in line
    assert "It holds a text encoder" in line
    assert not runtime().cache.residents()


def test_any_error_of_a_node_is_one_line_with_its_name(
    place: Path, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(work: Any) -> Any:
        raise KeyError("conditioning")

    monkeypatch.setitem(executor._FUNCTIONS, "ConditioningZeroOut", fails)
    assert cli.main(options(models, [toy_zimage.graph()])) == 1
    told = "hearth: node negative (ConditioningZeroOut): KeyError: 'conditioning'"
    assert last_line(capsys) == told


def test_ctrl_c_in_a_node_is_no_error_of_it(
    place: Path, models: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(work: Any) -> Any:
        raise KeyboardInterrupt

    monkeypatch.setitem(executor._FUNCTIONS, "ConditioningZeroOut", interrupted)
    assert cli.main(options(models, [toy_zimage.graph()])) == 130
    assert last_line(capsys) == "hearth: interrupted"


def last_line(capsys: pytest.CaptureFixture[str]) -> str:
    """What ends the command; before it stands the trace."""
    return capsys.readouterr().err.splitlines()[-1]
