"""On a GPU: its own driver and kernels. Models are small, and as wide as the kernels ask for."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch")

import hearth  # noqa: E402
from hearth import device, engine, host_files, step_graphs, zimage  # noqa: E402

sys.path.append(str(Path(__file__).resolve().parents[2]))

from benchmarks.harness import zimage_models  # noqa: E402
from benchmarks.harness.safetensors_file import write_safetensors  # noqa: E402
from benchmarks.harness.toy_zimage import scaled  # noqa: E402

pytestmark = pytest.mark.gpu
Tensor = Any

_SIZES = zimage_models.Sizes(
    width=512,
    hidden=1536,
    layers=4,
    caption=256,
    text_layers=5,
    text_hidden=512,
    text_queries=4,
    text_keys=2,
    vocabulary=300,
)
_ALL = (1 << 64) - 1
_MIB = 1 << 20
# What the driver and torch may still set up while a test runs.
_SLACK = 64 * _MIB


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("models")
    files = {f"dit_{letter}": zimage_models.transformer_tensors(_SIZES) for letter in "abc"}
    files["text"] = zimage_models.text_encoder_tensors(_SIZES)
    files["vae"] = zimage_models.vae_decoder_tensors()
    for seed, (name, specs) in enumerate(files.items(), start=1):
        write_safetensors(folder / name, list(scaled(specs)), seed)
    return folder


@pytest.fixture(autouse=True)
def cache() -> Iterator[Any]:
    engine.start()
    yield hearth.runtime().cache
    gc.collect()
    hearth.runtime().cache.trim(_ALL, _ALL, "end of a test")
    engine.tidy()


def acquire(
    models: Path, name: str, numbers: engine.Numbers = "fast", kind: Any = torch.bfloat16
) -> engine.Model:
    kinds = {"text": "text_encoder", "vae": "vae"}
    file = engine.ModelFile(kinds.get(name, "diffusion_model"), "Loader", name, (models / name,))  # type: ignore[arg-type]
    return engine.acquire(file, compute_type=kind, device="cuda", numbers=numbers)


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).cuda()


def error(found: Tensor, right: Tensor) -> float:
    return float((found.double() - right.double()).norm() / right.double().norm())


def steps(model: engine.Model, latents: Tensor, prompt: zimage.Prompt, programs: Any) -> Tensor:
    """What the model takes for noise at three levels, one behind the other."""
    levels = zimage.sigmas(4).cuda()
    assert model.transformer is not None
    denoiser = zimage.Denoiser(model.transformer, prompt, latents, levels, programs)
    found = [denoiser.at_level(latents, float(each), each) - latents for each in levels[:3]]
    return torch.stack(found)


def counts() -> dict[str, int]:
    """Of this process; memory in bytes."""
    status = Path("/proc/self/status").read_text(encoding="ascii")
    anonymous = next(line for line in status.splitlines() if line.startswith("RssAnon"))
    torch.cuda.synchronize()
    return {
        "threads": len(os.listdir("/proc/self/task")),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "anonymous": int(anonymous.split()[1]) * 1024,
        "vram": torch.cuda.mem_get_info()[1] - torch.cuda.mem_get_info()[0],
        "held in splits": torch.cuda.memory_stats()["inactive_split_bytes.all.current"],
    }


def stays_flat(turns: int, turn: Callable[[int], None]) -> None:
    """Runs it so often; fails when what the process holds at the end is more than early on."""
    for number in range(10):
        turn(number)
    early = counts()
    for number in range(10, turns):
        turn(number)
    late = counts()
    assert (late["threads"], late["descriptors"]) == (early["threads"], early["descriptors"])
    for what in ("anonymous", "vram", "held in splits"):
        assert late[what] <= early[what] + _SLACK, f"{what}: {early[what]} to {late[what]} bytes"


def test_fifty_times_to_the_gpu_and_back_leave_bytes_equal_and_nothing_behind(
    tmp_path: Path,
) -> None:
    path = tmp_path / "file"
    path.write_bytes(os.urandom(300 * _MIB + 13))
    expected = path.read_bytes()
    with host_files.tier().hold(path) as file:

        def turn(number: int) -> None:
            if number % 2:
                assert file.register() == len(expected)
            arena = device.upload(file)
            if number % 10 == 9 or number == 0:
                assert arena.read_back(0, len(expected)) == expected
            file.unregister()

        stays_flat(50, turn)


def test_fifty_demotions_and_promotions_compute_the_same_and_load_once(
    models: Path, cache: Any
) -> None:
    latents, prompt = normal(1, 16, 16, 16, seed=1), zimage.Prompt(normal(1, 9, 256, seed=2))
    before = cache.stats()["loads"]
    found: list[Tensor] = []

    def turn(_: int) -> None:
        with acquire(models, "dit_a") as model:
            found.append(steps(model, latents, prompt, None).cpu())
        cache.trim(0, _ALL, "a test")
        assert cache.stats()["resident"] == 1

    stays_flat(50, turn)
    assert all(torch.equal(each, found[0]) for each in found)
    assert cache.stats()["loads"] == before + 1


def test_five_hundred_switches_leave_no_holes(models: Path, cache: Any) -> None:
    latents, prompt = normal(1, 16, 16, 16, seed=1), zimage.Prompt(normal(1, 9, 256, seed=2))

    def turn(number: int) -> None:
        with acquire(models, f"dit_{'abc'[number % 3]}") as model:
            steps(model, latents, prompt, None)
        if number % 2:
            cache.trim(0, _ALL, "a test")

    stays_flat(500, turn)


def test_the_fused_transformer_errs_no_more_than_the_plain_one(models: Path) -> None:
    exact, plain, fused = (
        acquire(models, "dit_a", numbers, kind)
        for numbers, kind in (
            ("parity", torch.float32),
            ("parity", torch.bfloat16),
            ("fast", torch.bfloat16),
        )
    )
    for batch, height, width, words in ((1, 16, 16, 9), (2, 9, 15, 33), (1, 40, 24, 64)):
        latents = normal(batch, 16, height, width, seed=height)
        prompt = zimage.Prompt(normal(1, words, 256, seed=words))
        right, rounded, short = (steps(m, latents, prompt, None) for m in (exact, plain, fused))
        assert error(short, right) <= 1.1 * error(rounded, right)
        assert not torch.equal(short, rounded)  # the kernels ran


def test_the_fused_text_encoder_errs_no_more_than_the_plain_one(models: Path) -> None:
    exact, plain, fused = (
        acquire(models, "text", numbers, kind).text_encoder
        for numbers, kind in (
            ("parity", torch.float32),
            ("parity", torch.bfloat16),
            ("fast", torch.bfloat16),
        )
    )
    assert exact is not None and plain is not None and fused is not None
    for words in (1, 45, 64, 100):
        tokens = torch.randint(0, 300, (1, words), generator=torch.Generator().manual_seed(words))
        right, rounded, short = (each.encode(tokens) for each in (exact, plain, fused))
        assert short.shape == right.shape
        assert error(short, right) <= 1.1 * error(rounded, right)


def test_the_fused_vae_errs_no_more_than_the_plain_one(models: Path) -> None:
    exact, plain, fused = (
        acquire(models, "vae", numbers, kind).vae
        for numbers, kind in (
            ("parity", torch.float32),
            ("parity", torch.bfloat16),
            ("fast", torch.bfloat16),
        )
    )
    assert exact is not None and plain is not None and fused is not None
    for batch, height, width in ((1, 32, 32), (2, 24, 40), (1, 33, 47)):
        latents = normal(batch, 16, height, width, seed=height)
        right, rounded, short = (each.decode(latents) for each in (exact, plain, fused))
        assert error(short, right) <= 1.1 * error(rounded, right)
        assert not torch.equal(short, rounded)


def test_8_bit_products_stay_near(models: Path) -> None:
    exact = acquire(models, "dit_a", "parity", torch.float32)
    short = acquire(models, "dit_a", "fp8")
    assert short.key != exact.key
    latents, prompt = normal(1, 16, 16, 16, seed=1), zimage.Prompt(normal(1, 9, 256, seed=2))
    off = error(*(steps(model, latents, prompt, None) for model in (short, exact)))
    assert 1e-3 < off < 0.15


def test_recorded_steps_are_the_computed_ones_to_the_bit(models: Path) -> None:
    model = acquire(models, "dit_a")
    assert model.programs is not None
    model.programs.record_by(step_graphs.recorder)
    for seed in range(4):
        latents = normal(1, 16, 16, 16, seed=seed)
        positive, negative = normal(1, 9, 256, seed=seed), normal(1, 40, 256, seed=seed)
        prompt = zimage.Prompt(positive, negative, 2.0)
        computed = steps(model, latents, prompt, None)
        assert torch.equal(steps(model, latents, prompt, model.programs), computed)
    assert len(model.programs) == 2


def test_recorded_steps_do_not_keep_an_evicted_model(models: Path, cache: Any) -> None:
    latents, prompt = normal(1, 16, 64, 64, seed=1), zimage.Prompt(normal(1, 9, 256, seed=2))

    def turn(number: int) -> None:
        with acquire(models, f"dit_{'abc'[number % 3]}") as model:
            assert model.programs is not None
            model.programs.record_by(step_graphs.recorder)
            steps(model, latents, prompt, model.programs)
        assert cache.trim(_ALL, _ALL, "a test")
        assert cache.stats()["resident"] == 0

    stays_flat(50, turn)
