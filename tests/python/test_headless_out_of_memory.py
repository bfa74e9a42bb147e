"""A node for which memory does not suffice: others give way, it runs once more, and says so."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from headless_runs import Run, models, options, place, resident_config, run
from hearth import cli, runtime
from hearth.headless import executor

from benchmarks.harness import toy_zimage

__all__ = ["models", "place", "run"]
Planted = Callable[[str, int], list[int]]
_WORDS = "[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"


@pytest.fixture
def planted(monkeypatch: pytest.MonkeyPatch) -> Planted:
    """Has a class of nodes run out of memory so often; how many models each try found resident."""

    def plant(class_name: str, times: int) -> list[int]:
        original = executor._FUNCTIONS[class_name]
        tries: list[int] = []

        def function(work: Any) -> Any:
            tries.append(runtime().cache.stats()["resident"])
            if len(tries) <= times:
                raise RuntimeError(f"{_WORDS}\na trace")
            return original(work)

        functions = {**executor._FUNCTIONS, class_name: function}
        monkeypatch.setattr(executor, "_FUNCTIONS", functions)
        return tries

    return plant


def noted(report: dict[str, Any]) -> list[str]:
    events = report["runs"][0]["events"]
    return [event["reason"] for event in events if event["kind"] == "out_of_memory"]


def test_what_the_node_does_not_need_gives_way_and_it_runs_again(
    run: Run, planted: Planted
) -> None:
    tries = planted("KSampler", 1)
    report = run(toy_zimage.graph(), further=["--config", resident_config()])
    assert tries == [2, 1]
    [told] = noted(report)
    assert told == "RAM did not suffice for node sampler (KSampler): 1 model gave way, and it " \
        "runs once more"  # fmt: skip
    assert report["runs"][0]["texts"]["sampler"] == told
    evicted = {e["model"] for e in report["runs"][0]["events"] if e["kind"] == "evicted"}
    assert evicted == {toy_zimage.TEXT_ENCODER}


def test_the_image_is_the_one_that_it_would_have_been(run: Run, planted: Planted) -> None:
    def pixels(report: dict[str, Any]) -> bytes:
        from PIL import Image

        return bytes(Image.open(report["runs"][0]["files"][0]).tobytes())

    expected = pixels(run(toy_zimage.graph(), further=["--config", resident_config()]))
    planted("VAEDecode", 1)
    assert pixels(run(toy_zimage.graph(), further=["--config", resident_config()])) == expected


def test_a_second_time_ends_the_run_with_one_line(
    place: Path, models: Path, planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = planted("KSampler", 2)
    arguments = options(models, [toy_zimage.graph()], "--config", resident_config())
    assert cli.main(arguments) == 1
    assert len(tries) == 2
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert line.startswith("hearth: node sampler (KSampler): RAM did not suffice, not even after")
    assert "(1 model)" in line and "smaller size or batch" in line and _WORDS in line


def test_with_nothing_to_give_way_it_is_not_tried_again(
    place: Path, models: Path, planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    tries = planted("UNETLoader", 1)
    # The first node of all.
    assert cli.main(options(models, [toy_zimage.graph()], "--config", resident_config())) == 1
    assert tries == [0]
    line = capsys.readouterr().err.strip().splitlines()[-1]
    assert "(0 models)" in line and "a smaller model" in line


def test_a_latent_that_is_too_large_is_not_blamed_on_a_model(
    place: Path, models: Path, planted: Planted, capsys: pytest.CaptureFixture[str]
) -> None:
    planted("EmptySD3LatentImage", 2)
    assert cli.main(options(models, [toy_zimage.graph()], "--config", resident_config())) == 1
    assert "Use a smaller size or batch" in capsys.readouterr().err


def test_other_errors_are_not_tried_again(
    place: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tries: list[int] = []

    def function(work: Any) -> Any:
        tries.append(1)
        raise RuntimeError("mat1 and mat2 shapes cannot be multiplied")

    functions = {**executor._FUNCTIONS, "VAEDecode": function}
    monkeypatch.setattr(executor, "_FUNCTIONS", functions)
    assert cli.main(options(models, [toy_zimage.graph()], "--config", resident_config())) == 1
    assert tries == [1]


@pytest.mark.gpu
def test_on_a_gpu_other_models_leave_vram_and_stay_in_ram(
    place: Path, models: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = executor._FUNCTIONS["VAEDecode"]
    in_vram: list[int] = []

    def function(work: Any) -> Any:
        work.run.models.get(work.inputs["vae"], work.node)
        in_vram.append(sum(v["bytes"]["device"] > 0 for v in runtime().cache.residents()))
        if len(in_vram) == 1:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 GiB.")
        return original(work)

    functions = {**executor._FUNCTIONS, "VAEDecode": function}
    monkeypatch.setattr(executor, "_FUNCTIONS", functions)
    arguments = options(models, [toy_zimage.graph()], "--config", resident_config())
    arguments[arguments.index("cpu")] = "cuda"
    assert cli.main(arguments) == 0
    assert in_vram == [3, 1]
    report = json.loads(Path("report.json").read_text())
    [told] = noted(report)
    assert told.startswith("GPU memory did not suffice for node decode (VAEDecode): 2 models")
    assert runtime().cache.stats()["resident"] == 3
