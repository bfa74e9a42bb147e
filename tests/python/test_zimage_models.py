"""hearth's Z-Image against diffusers' and transformers' models with the same random weights."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch: ./dev setup")
zimage = pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)
for package in ("diffusers", "transformers"):
    pytest.importorskip(package, reason=f"NOT RUN, needs {package}: ./dev setup")

import zimage_toys as toys  # noqa: E402
from hearth import sampling  # noqa: E402
from hearth.errors import HearthError  # noqa: E402
from torch.utils._python_dispatch import TorchDispatchMode  # noqa: E402

SIGMA = 0.7
# Tokens of the caption, height, width and batch of the latents.
SHAPES = [(7, 8, 8, 1), (1, 2, 2, 1), (45, 12, 22, 1), (32, 16, 8, 2), (33, 10, 6, 3)]
Model = Any
Tensor = Any


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def engine(weights: toys.Weights, name: str = "toy", **options: Any) -> Any:
    """In float32, with diffusers' epsilon, unless told otherwise."""
    defaults = {"compute_type": torch.float32, "qk_norm_eps": zimage.QK_NORM_EPS_DIFFUSERS}
    return zimage.transformer(zimage.weights_of(name, weights), **{**defaults, **options})


def velocity(transformer: Any, latents: Tensor, embedding: Tensor, sigma: float = SIGMA) -> Tensor:
    levels = torch.tensor([1.0, sigma, 0.0])
    denoiser = zimage.Denoiser(transformer, zimage.Prompt(embedding), latents, levels)
    return (latents - denoiser(latents, levels[1])) / levels[1]


@pytest.fixture(scope="module")
def reference() -> Model:
    return toys.transformer()


@pytest.fixture(scope="module")
def qwen() -> Model:
    return toys.text_encoder()


@pytest.fixture(scope="module")
def autoencoder() -> Model:
    return toys.vae()


@pytest.fixture(scope="module")
def transformer(reference: Model) -> Any:
    return engine(reference.state_dict())


@pytest.mark.parametrize("shape", SHAPES)
def test_the_transformer_gives_diffusers_velocity(
    reference: Model, transformer: Any, shape: tuple[int, int, int, int]
) -> None:
    tokens, height, width, batch = shape
    latents = normal(batch, 16, height, width)
    embedding = normal(1, tokens, toys.CAPTION_WIDTH, seed=1)
    expected = toys.velocity(reference, latents, SIGMA, embedding)
    assert toys.relative_error(velocity(transformer, latents, embedding), expected) <= 1e-5


def test_step_by_step_each_call_gets_the_velocity_of_its_own_inputs(transformer: Any) -> None:
    stepwise = zimage.StepwiseVelocity(transformer, torch.tensor([1.0, SIGMA, 0.0]))
    captions = [normal(1, tokens, toys.CAPTION_WIDTH, seed=tokens) for tokens in (7, 7 + 32, 7)]
    captions[2][0, 3] += 1.0
    for size in (8, 6):
        latents = normal(2, 16, size, 8)
        for sigma in (1.0, SIGMA, 0.41):  # the last is between two levels of the schedule
            for caption in (*captions, *captions):
                found = stepwise(latents, torch.tensor([sigma]), caption)
                expected = velocity(transformer, latents, caption, sigma)
                assert toys.relative_error(found, expected) <= 1e-5


def test_each_image_of_a_batch_has_its_own_caption(reference: Model, transformer: Any) -> None:
    latents, embedding = normal(2, 16, 8, 8), normal(2, 5, toys.CAPTION_WIDTH, seed=1)
    expected = toys.velocity(reference, latents, SIGMA, embedding)
    assert toys.relative_error(velocity(transformer, latents, embedding), expected) <= 1e-5


def test_an_odd_size_is_filled_up_from_the_other_side(reference: Model, transformer: Any) -> None:
    latents, embedding = normal(1, 16, 7, 9), normal(1, 5, toys.CAPTION_WIDTH, seed=1)
    even = torch.nn.functional.pad(latents, (0, 1, 0, 1), mode="circular")
    expected = toys.velocity(reference, even, SIGMA, embedding)[:, :, :7, :9]
    assert toys.relative_error(velocity(transformer, latents, embedding), expected) <= 1e-5


def test_heads_of_another_width_divide_their_positions_alike() -> None:
    narrow = toys.transformer(heads=3, head_width=32)
    latents, embedding = normal(1, 16, 6, 10), normal(1, 40, toys.CAPTION_WIDTH, seed=1)
    expected = toys.velocity(narrow, latents, SIGMA, embedding)
    found = velocity(engine(narrow.state_dict()), latents, embedding)
    assert toys.relative_error(found, expected) <= 1e-5


@pytest.mark.parametrize("prefix", ["", "model.diffusion_model."])
def test_both_layouts_give_the_same(reference: Model, transformer: Any, prefix: str) -> None:
    fused = {prefix + key: tensor for key, tensor in toys.fused(reference.state_dict()).items()}
    latents, embedding = normal(1, 16, 8, 8), normal(1, 5, toys.CAPTION_WIDTH, seed=1)
    expected = velocity(transformer, latents, embedding)
    assert torch.equal(velocity(engine(fused), latents, embedding), expected)


def test_the_epsilon_of_queries_and_keys_is_a_parameter(reference: Model) -> None:
    latents, embedding = normal(1, 16, 8, 8), normal(1, 5, toys.CAPTION_WIDTH, seed=1)
    expected = toys.velocity(reference, latents, SIGMA, embedding)
    comfyuis = engine(reference.state_dict(), qk_norm_eps=zimage.QK_NORM_EPS_COMFYUI)
    error = toys.relative_error(velocity(comfyuis, latents, embedding), expected)
    # Measured: 5.3e-6, where the same epsilon gives 7e-7.
    assert 1e-6 < error < 1e-4


def test_bfloat16_errs_no_more_than_diffusers_does() -> None:
    reference = toys.transformer()
    halved = {name: tensor.bfloat16() for name, tensor in reference.state_dict().items()}
    # Both compute with the same rounded weights.
    reference.load_state_dict(halved)
    latents, embedding = normal(1, 16, 16, 16), normal(1, 45, toys.CAPTION_WIDTH, seed=1)
    exact = toys.velocity(reference, latents, SIGMA, embedding)
    found = velocity(engine(halved, compute_type=torch.bfloat16), latents, embedding)
    theirs = toys.velocity(
        reference.bfloat16(), latents.bfloat16(), SIGMA, embedding.bfloat16()
    ).float()
    assert toys.relative_error(found, exact) <= 1.1 * toys.relative_error(theirs, exact)


def test_bfloat16_weights_are_computed_with_in_float32(reference: Model) -> None:
    halved = {name: tensor.bfloat16() for name, tensor in reference.state_dict().items()}
    widened = {name: tensor.float() for name, tensor in halved.items()}
    latents, embedding = normal(1, 16, 8, 8), normal(1, 5, toys.CAPTION_WIDTH, seed=1)
    expected = velocity(engine(widened), latents, embedding)
    assert torch.equal(velocity(engine(halved), latents, embedding), expected)


def test_sigmas_are_the_golden_ones_to_the_bit() -> None:
    t = torch.tensor([1.0, 0.875, 0.75, 0.625, 0.5, 0.375, 0.25, 0.125, 0.0])
    assert torch.equal(zimage.sigmas(8), 3.0 * t / (1 + 2.0 * t))
    # Of ComfyUI's schedule `simple` with seven steps, which meet no round number.
    bits = ["3f800000", "3f729d97", "3f61f9af", "3f4ce541", "3f31537e", "3f0bb9a6", "3eaacca4", "0"]
    assert [int(word, 16) for word in bits] == zimage.sigmas(7).view(torch.int32).tolist()


@pytest.mark.parametrize("seed", [0, 42, 2**63, 2**64 - 1])
def test_noise_is_that_of_torchs_generator_to_the_bit(seed: int) -> None:
    for shape in [(1, 16, 9, 7), (2, 16, 32, 32)]:
        expected = torch.randn(shape, generator=torch.Generator().manual_seed(seed))
        assert torch.equal(zimage.noise(shape, seed), expected)


def test_a_noise_level_between_two_steps_is_computed_when_it_comes(transformer: Any) -> None:
    latents, between = normal(1, 16, 8, 8), torch.tensor([0.4321])
    prompt = zimage.Prompt(normal(1, 5, toys.CAPTION_WIDTH, seed=1))
    planned = zimage.Denoiser(transformer, prompt, latents, between)
    surprised = zimage.Denoiser(transformer, prompt, latents, zimage.sigmas(4))
    assert torch.equal(surprised(latents, between[0]), planned(latents, between[0]))


def test_all_is_computed_on_the_models_device(
    reference: Model, qwen: Model, autoencoder: Model
) -> None:
    # A device without numbers: it refuses whatever of another device reaches it.
    meta = {"compute_type": torch.bfloat16, "device": "meta"}
    encoder = zimage.text_encoder(zimage.weights_of("qwen", qwen.state_dict()), **meta)
    embedding = encoder.encode(torch.arange(9).unsqueeze(0))
    transformer = zimage.transformer(zimage.weights_of("dit", reference.state_dict()), **meta)
    latents = normal(1, 16, 7, 10).to("meta")
    prompt = zimage.Prompt(embedding, normal(1, 5, toys.CAPTION_WIDTH), 2.0)
    denoiser = zimage.Denoiser(transformer, prompt, latents, zimage.sigmas(4))
    clean = denoiser(latents, torch.tensor(0.9))
    assert (clean.device.type, clean.dtype, clean.shape) == ("meta", torch.float32, latents.shape)
    weights = zimage.weights_of("vae", toys.decoder_weights(autoencoder))
    image = zimage.as_bytes(zimage.as_image(zimage.vae_decoder(weights, **meta).decode(clean)))
    assert (image.device.type, image.shape) == ("meta", (1, 28, 40, 3))


def eight_steps(transformer: Any, sampler: str, embedding: Tensor, observe: Any = None) -> Tensor:
    request = zimage.Sampling(sampler, zimage.sigmas(8), zimage.noise((2, 16, 8, 12), 42))
    return transformer.sample(zimage.Prompt(embedding), request, observe)


@pytest.mark.parametrize("sampler", ["euler", "res_multistep", "dpmpp_2m"])
def test_eight_steps_end_in_the_references_latents(
    reference: Model, transformer: Any, sampler: str
) -> None:
    embedding = normal(1, 21, toys.CAPTION_WIDTH, seed=1)

    def model(x: Tensor, sigma: Tensor) -> Tensor:
        return x - sigma[0] * toys.velocity(reference, x, float(sigma[0]), embedding)

    start = zimage.noise((2, 16, 8, 12), 42)
    expected = sampling.functions()[sampler](model, start, zimage.sigmas(8), disable=True)
    found = eight_steps(transformer, sampler, embedding)
    assert toys.relative_error(found, expected) <= 1e-4


def test_guidance_moves_away_from_the_negative_prompt(transformer: Any) -> None:
    latents, levels = normal(1, 16, 8, 8), torch.tensor([SIGMA])
    positive, negative = normal(2, 1, 5, toys.CAPTION_WIDTH, seed=1)

    def clean(prompt: Any) -> Tensor:
        return zimage.Denoiser(transformer, prompt, latents, levels)(latents, levels[0])

    with_, without = clean(zimage.Prompt(positive)), clean(zimage.Prompt(negative))
    found = clean(zimage.Prompt(positive, negative, 2.5))
    assert toys.relative_error(found, without + 2.5 * (with_ - without)) <= 1e-6


def test_a_run_can_begin_from_an_image(transformer: Any) -> None:
    start, noise = normal(1, 16, 8, 8), zimage.noise((1, 16, 8, 8), 3)
    prompt = zimage.Prompt(normal(1, 5, toys.CAPTION_WIDTH, seed=1))
    sigmas = zimage.sigmas(4, denoise=0.5)
    seen = []
    request = zimage.Sampling("euler", sigmas, noise, start)
    transformer.sample(prompt, request, lambda index, x, denoised: seen.append(x))
    assert torch.allclose(seen[0], sigmas[0] * noise + (1 - sigmas[0]) * start)
    assert len(seen) == 4


class Products(TorchDispatchMode):
    """Counts what is multiplied with a matrix of weights."""

    def __init__(self) -> None:
        super().__init__()
        self.count = 0

    def __torch_dispatch__(
        self, function: Any, types: Any, args: Any = (), kwargs: Any = None
    ) -> Any:
        names = Counter(("aten::mm", "aten::addmm", "aten::linear", "aten::bmm"))
        self.count += names[function.name().split(".")[0]]
        return function(*args, **(kwargs or {}))


def test_what_steps_do_not_change_is_computed_once(reference: Model) -> None:
    fused = engine(toys.fused(reference.state_dict()))
    embedding = normal(1, 21, toys.CAPTION_WIDTH, seed=1)
    counts = []
    with Products() as products:
        eight_steps(fused, "euler", embedding, lambda *_: counts.append(products.count))
    blocks, in_a_block, patches_in_and_out = 4, 5, 2
    a_step = blocks * in_a_block + patches_in_and_out
    assert [after - before for before, after in zip(counts, counts[1:], strict=False)] == [
        a_step
    ] * 7
    # Caption, its two refining blocks, time, and the modulation of four blocks and of the end.
    assert counts[0] - a_step == 1 + 2 * in_a_block + 2 + 4 + 1


@pytest.mark.parametrize("tokens", [1, 8, 33])
def test_the_text_encoder_gives_transformers_hidden_state(qwen: Model, tokens: int) -> None:
    weights = zimage.weights_of("qwen", qwen.state_dict())
    ids = torch.randint(0, toys.WORDS, (2, tokens), generator=torch.Generator().manual_seed(tokens))
    found = zimage.text_encoder(weights, compute_type=torch.float32).encode(ids)
    assert found.dtype == torch.float32
    assert toys.relative_error(found, toys.embedding(qwen, ids)) <= 1e-5


def test_the_text_encoders_last_layer_is_not_needed(qwen: Model) -> None:
    whole = {f"model.{name}": tensor for name, tensor in qwen.state_dict().items()}
    without = {name: tensor for name, tensor in whole.items() if "layers.3.mlp" not in name}
    ids = torch.arange(5).unsqueeze(0)
    encoder = zimage.text_encoder(zimage.weights_of("cut", without), compute_type=torch.float32)
    assert toys.relative_error(encoder.encode(ids), toys.embedding(qwen, ids)) <= 1e-5


def test_the_text_encoder_in_bfloat16_stays_near(qwen: Model) -> None:
    weights = zimage.weights_of("qwen", qwen.state_dict())
    ids = torch.arange(20).unsqueeze(0)
    found = zimage.text_encoder(weights, compute_type=torch.bfloat16).encode(ids)
    assert 0 < toys.relative_error(found, toys.embedding(qwen, ids)) <= 3e-2


def test_a_token_that_the_text_encoder_lacks_is_refused(qwen: Model) -> None:
    weights = zimage.weights_of("qwen", qwen.state_dict())
    encoder = zimage.text_encoder(weights, compute_type=torch.float32)
    for ids in (torch.tensor([[toys.WORDS]]), torch.tensor([[-1]]), torch.empty(1, 0).long()):
        with pytest.raises(HearthError, match="token"):
            encoder.encode(ids)


@pytest.mark.parametrize("layout", ["diffusers", "original"])
@pytest.mark.parametrize("shape", [(1, 16, 4, 4), (2, 16, 5, 9), (1, 16, 1, 1)])
def test_the_vae_gives_diffusers_pixels(
    autoencoder: Model, layout: str, shape: tuple[int, ...]
) -> None:
    weights = toys.decoder_weights(autoencoder)
    if layout == "original":
        weights = toys.original_vae(weights)
    decoder = zimage.vae_decoder(zimage.weights_of("vae", weights), compute_type=torch.float32)
    latents = normal(*shape)
    with torch.no_grad():
        expected = autoencoder.decode(latents).sample
    assert toys.relative_error(decoder.decode(latents), expected) <= 1e-5
    assert decoder.scale == 4


def test_the_vae_in_bfloat16_errs_no_more_than_diffusers_does() -> None:
    autoencoder = toys.vae()
    halved = {name: tensor.bfloat16() for name, tensor in autoencoder.state_dict().items()}
    autoencoder.load_state_dict(halved)
    weights = zimage.weights_of("halved", toys.decoder_weights(autoencoder))
    latents = normal(1, 16, 6, 6)
    with torch.no_grad():
        exact = autoencoder.decode(latents).sample
        theirs = autoencoder.bfloat16().decode(latents.bfloat16()).sample.float()
    found = zimage.vae_decoder(weights, compute_type=torch.bfloat16).decode(latents)
    assert toys.relative_error(found, exact) <= 1.1 * toys.relative_error(theirs, exact)


def test_latents_come_and_go_between_the_two_formats() -> None:
    latents = normal(1, 16, 2, 2)
    assert torch.allclose(zimage.for_vae(latents), latents / 0.3611 + 0.1159)
    assert torch.allclose(zimage.for_transformer(zimage.for_vae(latents)), latents, atol=1e-6)


def test_an_image_is_cut_off_to_bytes_as_comfyui_does() -> None:
    numpy = pytest.importorskip("numpy")
    decoded = 1.5 * normal(2, 3, 5, 7)
    image = zimage.as_image(decoded)
    assert image.shape == (2, 5, 7, 3)
    expected = numpy.clip(255.0 * image.numpy(), 0, 255).astype(numpy.uint8)
    assert (zimage.as_bytes(image).numpy() == expected).all()
