"""Steps through fixed places, to be recorded: the same numbers, and few of them at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

torch = pytest.importorskip("torch", reason="NOT RUN, needs torch")
pytest.importorskip("diffusers", reason="NOT RUN, needs diffusers")

import zimage_toys as toys  # noqa: E402
from hearth import zimage  # noqa: E402

Tensor = Any


class Recorder:
    """Counts what is recorded and played; playing computes."""

    def __init__(self) -> None:
        self.made = 0
        self.played = 0

    def __call__(self, compute: Callable[[], None]) -> Callable[[], None]:
        self.made += 1

        def play() -> None:
            self.played += 1
            compute()

        return play


@pytest.fixture(scope="module")
def transformer() -> Any:
    weights = toys.transformer().state_dict()
    return zimage.transformer(zimage.weights_of("toy", weights), compute_type=torch.float32)


@pytest.fixture
def recorder() -> Recorder:
    return Recorder()


@pytest.fixture
def programs(transformer: Any, recorder: Recorder) -> Any:
    made = zimage.programs(transformer)
    made.record_by(recorder)
    return made


def normal(*shape: int, seed: int) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def steps(
    transformer: Any, prompt: zimage.Prompt, latents: Tensor, programs: Any = None
) -> list[Tensor]:
    """The clean latents at every level of a schedule, and between two of them."""
    levels = zimage.sigmas(4)
    denoiser = zimage.Denoiser(transformer, prompt, latents, levels, programs)
    wanted = [*levels[:-1], torch.tensor(0.61)]
    return [denoiser.at_level(latents, float(level), level) for level in wanted]


def equal(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(torch.equal(a, b) for a, b in zip(found, expected, strict=True))


def test_steps_through_a_program_are_the_same_to_the_bit(
    transformer: Any, programs: Any, recorder: Recorder
) -> None:
    latents, prompt = normal(2, 16, 9, 12, seed=1), zimage.Prompt(normal(1, 7, 48, seed=2))
    plain = steps(transformer, prompt, latents)
    assert equal(steps(transformer, prompt, latents, programs), plain)
    assert (recorder.made, recorder.played) == (1, len(plain))


def test_images_and_prompts_of_one_shape_share_what_was_recorded(
    transformer: Any, programs: Any, recorder: Recorder
) -> None:
    for seed, words in ((1, 7), (2, 31), (3, 32)):
        latents = normal(1, 16, 8, 8, seed=seed)
        prompt = zimage.Prompt(normal(1, words, 48, seed=seed))
        expected = steps(transformer, prompt, latents)
        assert equal(steps(transformer, prompt, latents, programs), expected)
    assert recorder.made == 1
    steps(transformer, zimage.Prompt(normal(1, 33, 48, seed=4)), latents, programs)
    assert recorder.made == 2


def test_a_negative_prompt_of_the_same_length_goes_through_the_same_program(
    transformer: Any, programs: Any, recorder: Recorder
) -> None:
    latents = normal(1, 16, 8, 8, seed=1)
    prompt = zimage.Prompt(normal(1, 7, 48, seed=2), normal(1, 9, 48, seed=3), 2.5)
    plain = steps(transformer, prompt, latents)
    assert equal(steps(transformer, prompt, latents, programs), plain)
    assert (recorder.made, recorder.played) == (1, 2 * len(plain))


def test_the_least_recently_used_shapes_go(
    transformer: Any, programs: Any, recorder: Recorder
) -> None:
    prompt = zimage.Prompt(normal(1, 7, 48, seed=2))
    for side in (2, 4, 6, 8, 2, 10, 2):
        steps(transformer, prompt, normal(1, 16, side, side, seed=1), programs)
    assert len(programs) == 4
    assert recorder.made == 5
    steps(transformer, prompt, normal(1, 16, 4, 4, seed=1), programs)
    assert recorder.made == 6


def test_large_images_are_not_recorded(transformer: Any, programs: Any, recorder: Recorder) -> None:
    latents, prompt = normal(1, 16, 182, 182, seed=1), zimage.Prompt(normal(1, 7, 48, seed=2))
    levels = zimage.sigmas(1)
    zimage.Denoiser(transformer, prompt, latents, levels, programs)
    assert (recorder.made, len(programs)) == (0, 0)


def test_what_recording_throws_reaches_the_caller(transformer: Any, programs: Any) -> None:
    def refuse(_: Callable[[], None]) -> Callable[[], None]:
        raise KeyError("no recorder today")

    programs.record_by(refuse)
    prompt = zimage.Prompt(normal(1, 7, 48, seed=2))
    with pytest.raises(KeyError, match="today"):
        steps(transformer, prompt, normal(1, 16, 8, 8, seed=1), programs)
