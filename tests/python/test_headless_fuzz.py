"""Whatever a workflow holds, `hearth run` answers with faults in lines and never with a crash."""

from __future__ import annotations

import copy
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("hearth._core", reason="NOT RUN, not built: ./dev build")

import headless_graphs as graphs  # noqa: E402
from hearth.headless.checks import check  # noqa: E402
from hearth.headless.faults import RefusedError  # noqa: E402
from hearth.headless.graph import parse  # noqa: E402
from hearth.headless.model_lists import ModelLists  # noqa: E402
from hearth.headless.node_table import NODES  # noqa: E402
from hearth.headless.settings import apply  # noqa: E402
from hypothesis import given, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402

MODELS = ModelLists(graphs.hollow_models(Path(tempfile.mkdtemp())))
IDS = list(graphs.z_image())
NAMES = sorted({name for node in NODES.values() for name in node.inputs})
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text()
LINKS = st.lists(st.sampled_from(IDS) | st.integers(-2, 3) | st.text(), max_size=3)
VALUES = SCALARS | LINKS | st.dictionaries(st.text(), SCALARS, max_size=2)
INPUTS = st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=8)
CLASSES = st.sampled_from(sorted(NODES)) | VALUES
NODE = st.fixed_dictionaries({"class_type": CLASSES, "inputs": INPUTS}) | VALUES


def faults_of(workflow: Any, *given_settings: str) -> list[str]:
    """The lines; all that `hearth run` does with a workflow before it needs anything else."""
    try:
        graph = parse(json.dumps(workflow), Path("workflow.json"))
    except RefusedError as refused:
        return [fault.line() for fault in refused.faults]
    faults = apply(graph, given_settings)
    return [fault.line() for fault in [*check(graph, MODELS).faults, *faults]]


def assert_lines(lines: list[str]) -> None:
    assert all(len(line.splitlines()) == 1 and line.isprintable() for line in lines)


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(IDS) | st.text(), NODE, max_size=4))
def test_nodes_of_any_form(nodes: dict[str, Any]) -> None:
    assert_lines(faults_of({**graphs.z_image(), **nodes}))


@settings(max_examples=100, deadline=None)
@given(st.sampled_from(IDS), st.sampled_from(NAMES), VALUES)
def test_any_value_at_any_input(node: str, name: str, value: Any) -> None:
    workflow = copy.deepcopy(graphs.z_image())
    workflow[node]["inputs"][name] = value
    assert_lines(faults_of(workflow))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.text() | st.sampled_from([f"57:3.{name}=" for name in NAMES]), max_size=3))
def test_any_setting(given_settings: list[str]) -> None:
    assert_lines(faults_of(graphs.z_image(), *given_settings))


@settings(max_examples=100, deadline=None)
@given(VALUES | st.lists(VALUES) | st.dictionaries(st.text(), VALUES))
def test_any_json(workflow: Any) -> None:
    assert_lines(faults_of(workflow))


def test_a_chain_longer_than_pythons_stack_is_checked() -> None:
    workflow = graphs.z_image()
    for number in range(1500):
        source = ["57:28", 0] if number == 0 else [f"c{number - 1}", 0]
        workflow[f"c{number}"] = graphs.node("ModelSamplingAuraFlow", model=source, shift=3.0)
    workflow["57:3"]["inputs"]["model"] = ["c1499", 0]
    assert faults_of(workflow) == []
    for number in range(1500):
        workflow[f"p{number}"] = graphs.node("HearthPin", model=[f"p{number - 1}", 0])
    workflow["p0"]["inputs"]["model"] = ["57:28", 0]
    workflow["57:3"]["inputs"]["model"] = ["p1499", 0]
    assert faults_of(workflow) == []
