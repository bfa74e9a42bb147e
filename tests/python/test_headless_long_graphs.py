"""Workflows of thousands of nodes are checked and run in a time that grows as they do."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

pytest_plugins = ["headless_refused"]
pytest.importorskip("headless_refused")
pytest.importorskip("torch", reason="models are torch's")

import headless_graphs as graphs  # noqa: E402
from headless_graphs import node  # noqa: E402
from headless_refused import Run  # noqa: E402
from hearth.engine import ModelFile  # noqa: E402
from hearth.headless.checks import PlannedNode, check  # noqa: E402
from hearth.headless.flow import Flow  # noqa: E402
from hearth.headless.graph import parse  # noqa: E402
from hearth.headless.links import Link, Links  # noqa: E402
from hearth.headless.model_lists import ModelLists  # noqa: E402
from hearth.headless.run_models import ModelRef  # noqa: E402


def test_each_link_of_a_long_chain_is_followed_a_few_times_only(
    place: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = 2000
    graph = graphs.z_image()
    for number in range(count):
        before = f"pin{number - 1}" if number else "57:28"
        graph[f"pin{number}"] = node("HearthPin", model=[before, 0])
    graph["57:11"]["inputs"]["model"] = [f"pin{count - 1}", 0]
    followed = 0
    link = Links._link

    def counted(self: Links, value: list[object]) -> Link:
        nonlocal followed
        followed += 1
        return link(self, value)

    monkeypatch.setattr(Links, "_link", counted)
    # The far end first: what is asked there goes all the way.
    backwards = json.dumps(dict(reversed(graph.items())))
    for text in (json.dumps(graph), backwards):
        followed = 0
        assert check(parse(text, Path("w.json")), ModelLists(place / "models")).faults == []
        assert followed < 3 * len(graph)


def test_circles_without_number_are_told_in_a_screen_of_lines(refused: Run, place: Path) -> None:
    graph = graphs.z_image()
    for number in range(1500):
        graph[f"n{number}"] = node("HearthPin", model=[f"n{(number + 1) % 1500}", 0])
        graph[f"m{number}"] = node("HearthPin", model=[f"m{number}", 0])
    code, lines = refused(graph, "--models", str(place / "models"))
    assert code == 2
    assert len(lines) == 101
    assert lines[-1] == "hearth: 1401 more such lines"
    assert max(map(len, lines)) < 200
    assert any(" -> … -> " in line for line in lines)


class CountedLinks(dict[str, Link]):
    """Counts how often a node's links are looked through."""

    looked = 0

    def values(self) -> Any:
        CountedLinks.looked += 1
        return super().values()


def test_what_is_still_needed_is_known_without_a_look_at_all_that_is_to_come() -> None:
    count = 500
    nodes = [PlannedNode("load", "UNETLoader")]
    for number in range(count):
        link = CountedLinks(model=Link(nodes[-1].id, 0))
        nodes.append(PlannedNode(f"pin{number}", "HearthPin", links=link))
    flow, model = Flow(nodes), ModelRef(ModelFile("diffusion_model", "UNETLoader", "a", ()), "cpu")
    needed = [flow.needed_after(node, (model,)) for node in nodes]
    assert needed == [[model]] * count + [[]]
    assert flow.origin(Link(nodes[-1].id, 0)) == Link("load", 0)
    assert CountedLinks.looked < 3 * count
