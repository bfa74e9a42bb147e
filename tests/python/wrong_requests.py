"""What `hearth run` has to refuse, and words of the one line that it answers with."""

from __future__ import annotations

import json
from typing import Any

import headless_graphs as graphs
from headless_graphs import changed, model_of, node, with_node

OVER = 2**64
MANY_DIGITS = json.dumps(changed("57:3/seed", "SEED")).replace('"SEED"', "9" * 5000)
CIRCLE_OF_TWO = {
    **changed("57:11/model", ["20", 0]),
    "20": node("ModelSamplingAuraFlow", model=["57:11", 0], shift=3.0),
}
NAMELESS = {
    **changed("57:8/vae", ["", 0]),
    "": node("VAELoader", vae_name="nothing.safetensors"),
}


def with_whole_checkpoint() -> dict[str, Any]:
    """All three models from one checkpoint, its VAE through a node that hands it on."""
    graph = changed("57:11/model", ["20", 0])
    graph["20"] = node("CheckpointLoaderSimple", ckpt_name="whole.safetensors")
    graph["21"] = node("HearthPin", model=["20", 2])
    graph["57:27"]["inputs"]["clip"] = ["20", 1]
    graph["57:8"]["inputs"]["vae"] = ["21", 0]
    return graph


CIRCLE = changed("57:3/latent_image", ["57:3", 0])
NODES_OF_EDITOR = {"nodes": [{"id": 1, "type": "KSampler"}], "links": [], "version": 0.4}
TWICE = '{"9": {"class_type": "SaveImage"}, "9": {"class_type": "SaveImage"}}'
PREWARM = with_node("20", node("HearthPrewarm", model="nothing.safetensors"))

# What is wrong -> (workflow, words of the one line).
WORKFLOWS: dict[str, tuple[Any, list[str]]] = {
    "no such file": (None, ["workflow.json", "no such file"]),
    "empty file": ("", ["workflow.json", "is empty"]),
    "not JSON": ('{"9": ', ["is not JSON", "line 1, column 7"]),
    "not text": (b"\x89PNG\r\n\xff", ["not UTF-8 text at byte 0, so no workflow"]),
    "nested too deeply": ("[" * 100_000, ["nested too deeply"]),
    "nested deeper than what reads it": ("[" * 101 + "]" * 101, ["nested too deeply"]),
    "a number of thousands of digits": (MANY_DIGITS, ["workflow.json", "thousands of digits"]),
    "half a character in a prompt": (
        changed("57:27/text", "a cat \ud83d"),
        ["57:27 (CLIPTextEncode), text", "half of a character, \\ud83d"],
    ),
    "half a character in an id": (
        with_node("\ud800", node("VAELoader", vae_name="ae.safetensors")),
        ["half of a character, \\ud800"],
    ),
    "half a character in a prefix": (
        changed("9/filename_prefix", "\udcff"),
        ["9 (SaveImage), filename_prefix", "half of a character"],
    ),
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
    "missing choice": (
        changed("57:30/type", None),
        ["57:30 (CLIPLoader), type", 'is missing; take one of its choices, as "lumina2"'],
    ),
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
    "number of hundreds of digits": (
        changed("57:3/cfg", 10**400),
        ["57:3 (KSampler), cfg", "is too large"],
    ),
    "not a number": (changed("57:11/shift", float("nan")), ["shift", "nan", "not a number"]),
    "number as choice": (changed("57:3/scheduler", 3), ["scheduler", "3"]),
    "object as text": (changed("57:27/text", {"a": 1}), ["57:27 (CLIPTextEncode), text", "text"]),
    "text as link": (changed("57:3/model", "57:11"), ["model", "no link", "MODEL"]),
    "too small": (changed("57:3/steps", 0), ["steps", "0 is too small", "smallest is 1"]),
    "too large": (changed("57:3/denoise", 1.5), ["denoise", "1.5 is too large", "largest is 1"]),
    "next to no denoising": (
        changed("57:3/denoise", 5e-324),
        ["57:3 (KSampler), denoise", "schedule too long", "take 0, or 2e-08 or more"],
    ),
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
    "a node without a name": (NAMELESS, ['node "" (VAELoader), vae_name', "nothing.safetensors"]),
    "a node linked to itself": (CIRCLE, ["57:3 (KSampler), latent_image", "57:3 -> 57:3"]),
    "two nodes in a circle": (
        CIRCLE_OF_TWO,
        ["20 (ModelSamplingAuraFlow), model", "57:11 -> 20 -> 57:11"],
    ),
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
    "prefix too long": (
        changed("9/filename_prefix", "sub/" + "ä" * 123),
        ["9 (SaveImage), filename_prefix", "too long for a file's name; take 2 bytes out"],
    ),
    "prefix with a folder too long": (
        changed("9/filename_prefix", "a" * 256 + "/toy"),
        ["filename_prefix", "take 1 bytes out"],
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
    "setting a link to brackets": (["--set", "57:3.model=" + "[" * 9999], ["no link"]),
    "setting a text to no text": (["--set", "57:27.text=\udcff"], ["57:27", "half of a char"]),
    "setting twice": (["--set", "57:3.cfg=1", "--set", "57:3.cfg=2"], ["57:3.cfg", "twice"]),
    "no repetition": (["--repeat", "0"], ["--repeat", "1 or more"]),
    "no models folder": (["--models", "nowhere"], ["--models", "no folder nowhere"]),
    "a folder without models": (["--models", "."], ["--models", "is no models folder"]),
    "a name longer than any": (["--models", "x" * 300], ["--models", "no folder xxx"]),
    "a tokenizer's as well": (["--tokenizer", "x" * 300], ["No tokenizer"]),
    "output under such a name": (["--out", "tokenizer.json/" + "x" * 300], ["--out", "is a file"]),
    "config that is a device": (
        ["--config", "/dev/zero"],
        ["--config /dev/zero", "no regular file"],
    ),
    "no prompts": (["--prompts", "nowhere.txt"], ["--prompts nowhere.txt"]),
    "latents under another name": (["--latent-out", "x.png"], ["--latent-out", ".safetensors"]),
    "output in a folder of too long a name": (["--out", "x" * 300], ["--out", "is too long"]),
    "report of too long a name": (["--json", "x" * 300], ["--json", "is too long"]),
    "latents of several runs of too long a name": (
        ["--repeat", "2", "--latent-out", "x" * 240 + ".safetensors"],
        ["--latent-out", "is too long"],
    ),
    "report in place of a workflow": (
        ["--json", "workflow.json"],
        ["--json: workflow.json is read by this run"],
    ),
    "latents in place of a model": (
        ["--latent-out", "models/vae/ae.safetensors"],
        ["--latent-out", "is read by this run"],
    ),
    "report in place of latents": (
        ["--json", "./z.safetensors", "--latent-out", "z.safetensors"],
        ["--latent-out and --json name one file"],
    ),
    "report where no file can be made": (
        ["--json", "/proc/r.json"],
        ["--json", "nothing can be written to /proc"],
    ),
    "report that is a folder": (["--json", "models"], ["--json", "is a folder"]),
    "output that is a file": (["--out", "tokenizer.json"], ["--out", "is a file"]),
}

# What is wrong -> (a file below the models folder and its bytes, words of the one line).
FILES: dict[str, tuple[tuple[str, bytes], list[str]]] = {
    "a transformer of no bytes": (
        ("diffusion_models/z_image_a.safetensors", b""),
        ["57:28 (UNETLoader), unet_name: z_image_a.safetensors"],
    ),
    "a VAE that is cut off": (
        ("vae/ae.safetensors", model_of("decoder.conv_in.weight")[:-1]),
        ["57:29 (VAELoader), vae_name: ae.safetensors"],
    ),
    "an encoder that is no safetensors file": (
        ("text_encoders/qwen.safetensors", b"GGUF" + bytes(100)),
        ["57:30 (CLIPLoader), clip_name: qwen.safetensors"],
    ),
    "an encoder as VAE": (
        ("vae/ae.safetensors", model_of("model.embed_tokens.weight")),
        ["57:29 (VAELoader), vae_name", "no VAE", "It holds a text encoder", "VAELoader"],
    ),
    "a VAE as transformer": (
        ("diffusion_models/z_image_a.safetensors", model_of("decoder.conv_in.weight")),
        ["57:28 (UNETLoader), unet_name", "no transformer", "cap_embedder.0.weight", "a VAE"],
    ),
    "an encoder of another family": (
        ("text_encoders/qwen.safetensors", model_of("encoder.block.0.weight")),
        ["57:30 (CLIPLoader), clip_name", "no text encoder", "take another file"],
    ),
    "a checkpoint without the VAE that is used": (
        ("checkpoints/whole.safetensors", model_of("cap_embedder.0.weight", "embed_tokens.weight")),
        ["20 (CheckpointLoaderSimple), ckpt_name", "no VAE", "load a VAE with VAELoader"],
    ),
}
