"""The node table is what ComfyUI said of its nodes when the golden was written."""

from __future__ import annotations

import argparse
import json
import re
import shlex
from pathlib import Path

import pytest

pytest.importorskip("hearth._core", reason="NOT RUN, not built: ./dev build")

from hearth import cli_run  # noqa: E402
from hearth.headless.checks import check  # noqa: E402
from hearth.headless.graph import read  # noqa: E402
from hearth.headless.model_lists import ModelLists  # noqa: E402
from hearth.headless.node_table import NODES, SAMPLERS, SCHEDULERS  # noqa: E402

from tests.python import object_info  # noqa: E402

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs" / "headless.md").read_text(encoding="utf-8")
GOLDEN = Path(__file__).with_name("goldens") / "object_info.json"


def test_inputs_and_outputs_are_comfyuis() -> None:
    assert object_info.differences(json.loads(GOLDEN.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize(("name", "default"), [("sampler_name", "euler"), ("steps", None)])
def test_a_default_that_one_side_alone_has_is_a_difference(name: str, default: str | None) -> None:
    info = json.loads(GOLDEN.read_text(encoding="utf-8"))
    options = info["KSampler"]["input"]["required"][name][1]
    options.pop("default", None)
    if default is not None:
        options["default"] = default
    (line,) = [each for each in object_info.differences(info) if each.startswith("KSampler: ")]
    assert line.startswith(f"KSampler: {name}: default ")


def test_samplers_and_schedules_are_those_that_hearth_computes() -> None:
    sampling = pytest.importorskip(
        "hearth.sampling", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
    )
    from hearth import schedules

    assert set(SAMPLERS) == set(sampling.functions())
    assert schedules.NAMES == SCHEDULERS


def test_the_pages_commands_are_understood() -> None:
    parser = argparse.ArgumentParser(exit_on_error=False)
    cli_run.add_arguments(parser)
    commands = re.findall(r"^hearth run (.+)$", PAGE, re.MULTILINE)
    assert len(commands) >= 3
    for command in commands:
        assert parser.parse_args(shlex.split(command)).workflows


def test_the_page_names_every_option_and_class() -> None:
    parser = argparse.ArgumentParser()
    cli_run.add_arguments(parser)
    options = re.findall(r"^  (--[a-z0-9-]+)", parser.format_help(), re.MULTILINE)
    assert len(options) > 8
    assert [option for option in options if f"`{option}" not in PAGE] == []
    stock = [name for name in NODES if not name.startswith("Hearth")]
    assert [name for name in stock if f"`{name}`" not in PAGE] == []


@pytest.mark.parametrize("name", ["z_image_turbo", "z_image_second"])
def test_the_examples_can_run(tmp_path: Path, name: str) -> None:
    graph = read(ROOT / "examples" / "api" / f"{name}.json")
    fields = {"unet_name": "diffusion_models", "clip_name": "text_encoders", "vae_name": "vae"}
    for node in graph.nodes.values():
        for field in set(fields) & set(node.inputs):
            file = tmp_path / fields[field] / node.inputs[field]
            file.parent.mkdir(exist_ok=True)
            file.touch()
    plan = check(graph, ModelLists(tmp_path))
    assert plan.faults == []
    assert len(plan.nodes) == len(graph.nodes)
