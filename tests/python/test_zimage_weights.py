"""Z-Image from files: nothing copied, both refused and accepted by what is in them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch: ./dev setup")
zimage = pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)
for package in ("diffusers", "transformers"):
    pytest.importorskip(package, reason=f"NOT RUN, needs {package}: ./dev setup")

import zimage_toys as toys  # noqa: E402
from hearth import host_files  # noqa: E402
from hearth.errors import (  # noqa: E402
    CheckpointCorruptError,
    CheckpointMismatchError,
    CheckpointNotFoundError,
    HearthError,
)
from safetensors.torch import save_file  # noqa: E402

from benchmarks.harness import zimage_models  # noqa: E402

MAKERS = {
    "transformer": zimage.transformer,
    "text encoder": zimage.text_encoder,
    "vae": zimage.vae_decoder,
}


def made(part: str, weights: Any) -> Any:
    return MAKERS[part](weights, compute_type=torch.float32)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The three toys as files, of names without spaces."""
    folder = tmp_path_factory.mktemp("zimage")
    for part, weights in toy_weights().items():
        save_file(weights, folder / f"{part.replace(' ', '_')}.safetensors")
    return folder


def toy_weights() -> dict[str, toys.Weights]:
    return {
        "transformer": toys.fused(toys.transformer().state_dict()),
        "text encoder": {f"model.{k}": v for k, v in toys.text_encoder().state_dict().items()},
        "vae": toys.original_vae(toys.decoder_weights(toys.vae())),
    }


def file_of(folder: Path, part: str) -> Path:
    return folder / f"{part.replace(' ', '_')}.safetensors"


@pytest.mark.parametrize("part", MAKERS)
def test_weights_are_the_bytes_of_the_held_file(folder: Path, part: str) -> None:
    path = file_of(folder, part)
    weights = zimage.open_weights(path)
    with host_files.tier().hold(path) as file:
        for name in weights.names():
            offset = weights[name].data_ptr() - file.address
            assert offset > 0 and offset + weights[name].nbytes <= file.nbytes
    assert len(weights) == len(toy_weights()[part])


def test_a_model_of_a_file_computes_when_nothing_else_holds_the_file(folder: Path) -> None:
    encoder = made("text encoder", zimage.open_weights(file_of(folder, "text encoder")))
    host_files.tier().give_way()
    ids = torch.arange(6).unsqueeze(0)
    own = made("text encoder", zimage.weights_of("own", toy_weights()["text encoder"]))
    assert torch.equal(encoder.encode(ids), own.encode(ids))


def test_shards_are_one_model(tmp_path: Path) -> None:
    weights = toy_weights()["text encoder"]
    names = sorted(weights)
    halves = (names[::2], names[1::2])
    for number, half in enumerate(halves):
        save_file({name: weights[name] for name in half}, tmp_path / f"{number}.safetensors")
    encoder = made(
        "text encoder", zimage.open_weights(tmp_path / "0.safetensors", tmp_path / "1.safetensors")
    )
    ids = torch.arange(6).unsqueeze(0)
    own = made("text encoder", zimage.weights_of("own", weights))
    assert torch.equal(encoder.encode(ids), own.encode(ids))


@pytest.mark.parametrize("prompt", ["a cat", "", "雪の猫 🐱 2026", "ends <|im_end|> early"])
def test_a_prompt_becomes_the_references_image(folder: Path, prompt: str) -> None:
    """From three files to bytes, against the same path through diffusers and transformers."""
    tokens = toys.byte_tokenizer().encode(prompt)
    parts = {part: made(part, zimage.open_weights(file_of(folder, part))) for part in MAKERS}
    embedding = zimage.EmbeddingCache(1).encode(parts["text encoder"], tokens)
    noise, sigmas = zimage.noise((2, 16, 6, 10), 42), zimage.sigmas(4)
    request = zimage.Sampling("euler", sigmas, noise)
    latents = parts["transformer"].sample(zimage.Prompt(embedding), request)
    found = zimage.as_bytes(zimage.as_image(parts["vae"].decode(zimage.for_vae(latents))))

    expected = toys.embedding(toys.text_encoder(), torch.tensor([tokens]))
    x, transformer = noise, toys.transformer()
    for now, after in zip(sigmas, sigmas[1:], strict=False):
        x = x + (after - now) * toys.velocity(transformer, x, float(now), expected)
    with torch.no_grad():
        decoded = toys.vae().decode(x / 0.3611 + 0.1159).sample
    image = ((decoded + 1.0) / 2.0).clamp(0.0, 1.0).movedim(1, -1)
    assert found.shape == (2, 24, 40, 3) and found.dtype == torch.uint8
    # What lies on the border of two bytes may fall to either side.
    assert (found.int() - (255.0 * image).int()).abs().max() <= 1
    assert found.float().std() > 20


FIRST = {
    "transformer": "x_embedder.weight",
    "text encoder": "model.embed_tokens.weight",
    "vae": "decoder.conv_in.weight",
}
LOOKS = {
    "transformer": "a Z-Image or Lumina transformer",
    "text encoder": "a Qwen3 text encoder",
    "vae": "a VAE",
}


@pytest.mark.parametrize("part", MAKERS)
@pytest.mark.parametrize("given", MAKERS)
def test_another_models_file_is_named_for_what_it_is(folder: Path, part: str, given: str) -> None:
    if part == given:
        return
    with pytest.raises(CheckpointMismatchError) as caught:
        made(part, zimage.open_weights(file_of(folder, given)))
    assert caught.value.tensor == FIRST[part]
    assert caught.value.looks_like == LOOKS[given]
    for words in (FIRST[part], LOOKS[given], file_of(folder, given).name):
        assert words in str(caught.value)
    assert str(folder) not in str(caught.value)


@pytest.mark.parametrize("part", MAKERS)
def test_whichever_tensor_is_missing_is_named(part: str) -> None:
    weights = toy_weights()[part]
    unused = {name for name in weights if "layers.3." in name or name == "model.norm.weight"}
    for number, name in enumerate(sorted(weights.keys() - unused)):
        without = {key: tensor for key, tensor in weights.items() if key != name}
        with pytest.raises(CheckpointMismatchError) as caught:
            made(part, zimage.weights_of(f"{part} {number}", without))
        assert caught.value.tensor == name


def of_true_size(part: str) -> toys.Weights:
    """Weights of the released file's names and shapes that take no memory."""
    specs = {
        "transformer": zimage_models.transformer_tensors,
        "text encoder": zimage_models.text_encoder_tensors,
        "vae": zimage_models.vae_tensors,
    }[part]()
    number = torch.zeros(1, dtype=torch.bfloat16)
    return {spec.name: number.expand(spec.shape) for spec in specs}


@pytest.mark.parametrize("part", MAKERS)
def test_files_of_true_size_fit(part: str) -> None:
    assert made(part, zimage.weights_of(f"true {part}", of_true_size(part))) is not None


@pytest.mark.parametrize(
    ("part", "last"), [("transformer", "layers.29."), ("text encoder", "model.layers.34.")]
)
def test_a_file_that_lacks_its_last_layers_is_not_a_smaller_model(part: str, last: str) -> None:
    weights = of_true_size(part)
    cut = {name: tensor for name, tensor in weights.items() if not name.startswith(last)}
    with pytest.raises(CheckpointMismatchError) as caught:
        made(part, zimage.weights_of(f"cut {part}", cut))
    assert caught.value.tensor.startswith(last)


def test_variants_and_quantised_files_are_refused() -> None:
    weights = toy_weights()["transformer"]
    number = torch.zeros(1)
    for extra in ("siglip_embedder.0.weight", "layers.0.feed_forward.w1.weight_scale"):
        with pytest.raises(CheckpointMismatchError) as caught:
            made("transformer", zimage.weights_of(extra, {**weights, extra: number}))
        assert caught.value.tensor == extra
    vae = {**toy_weights()["vae"], "post_quant_conv.weight": number}
    with pytest.raises(CheckpointMismatchError, match="other models' VAEs"):
        made("vae", zimage.weights_of("sd", vae))


def test_bad_paths_and_types_are_errors_of_hearths(tmp_path: Path) -> None:
    with pytest.raises(CheckpointNotFoundError):
        zimage.open_weights(tmp_path / "none.safetensors")
    (tmp_path / "bad.safetensors").write_bytes(b"no header at all")
    with pytest.raises(CheckpointCorruptError):
        zimage.open_weights(tmp_path / "bad.safetensors")
    with pytest.raises(HearthError, match="none was given"):
        zimage.open_weights()
    weights = zimage.weights_of("half", toy_weights()["transformer"])
    with pytest.raises(HearthError, match="bfloat16 and float32"):
        zimage.transformer(weights, compute_type=torch.float16)
    with pytest.raises(KeyError):
        weights["nothing"]


def test_a_caption_of_another_encoder_is_refused() -> None:
    transformer = made("transformer", zimage.weights_of("toy", toy_weights()["transformer"]))
    sampling = zimage.Sampling("euler", zimage.sigmas(2), zimage.noise((1, 16, 4, 4), 1))
    with pytest.raises(HearthError, match="batch x tokens x 48"):
        transformer.sample(zimage.Prompt(torch.zeros(1, 4, 47)), sampling)
    unknown = zimage.Sampling("eulr", zimage.sigmas(2), zimage.noise((1, 16, 4, 4), 1))
    with pytest.raises(HearthError, match='did you mean "euler"'):
        transformer.sample(zimage.Prompt(torch.zeros(1, 4, 48)), unknown)
