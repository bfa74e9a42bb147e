"""The example workflows in the real editor: dropped on the canvas, run, seen.

Needs the package playwright, a Chromium, and ComfyUI's front end (comfyui_frontend_package, or the
folder that HEARTH_FRONT_END names); about a minute, so not a part of what CI must have.
"""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from benchmarks.harness import ui_workflows
from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy, StartComfy
from benchmarks.harness.workflows import examples

pytestmark = pytest.mark.older_too

TOY = [name for name in ui_workflows.SHOWN if not name.startswith("z_image")]
_DROP = """
([text, name]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([text], name, { type: "application/json" }));
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  document.querySelector("#graph-canvas").dispatchEvent(new DragEvent("drop", options));
}
"""
_LOADED = "count => window.app.graph.nodes.length === count"


@pytest.fixture(scope="module")
def front_end() -> Path:
    """The folder with ComfyUI's front end."""
    named = os.environ.get("HEARTH_FRONT_END")
    if named:
        return Path(named)
    package: Any = pytest.importorskip(
        "comfyui_frontend_package",
        reason="NOT RUN, needs ComfyUI's front end: pip install comfyui_frontend_package",
    )
    return Path(package.__file__).parent / "static"


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """A Chromium without a window."""
    api = pytest.importorskip(
        "playwright.sync_api", reason="NOT RUN, needs a browser: pip install playwright"
    )
    chromium = shutil.which("chromium") or shutil.which("google-chrome")
    with api.sync_playwright() as playwright:
        if chromium is None and not Path(playwright.chromium.executable_path).exists():
            pytest.skip("NOT RUN, needs a browser: apt-get install chromium")
        opened = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def editor(start_comfy: StartComfy, front_end: Path) -> LiveComfy:
    """ComfyUI with hearth and its front end."""
    flags = ("--front-end-root", str(front_end))
    return start_comfy("editor", hearth=REPOSITORY, flags=flags)


@pytest.fixture
def page(browser: Any, editor: LiveComfy) -> Iterator[Any]:
    """The editor, loaded and empty."""
    opened = browser.new_page(viewport={"width": 1600, "height": 900})
    opened.goto(editor.server.url)
    opened.wait_for_function("() => window.app?.graph && window.app.vueAppReady !== false")
    opened.wait_for_selector("#graph-canvas")
    yield opened
    opened.close()


def _drop(page: Any, name: str) -> None:
    text = (ui_workflows.FOLDER / f"{name}.json").read_text(encoding="utf-8")
    page.evaluate("() => window.app.graph.clear()")
    page.evaluate(_DROP, [text, f"{name}.json"])
    page.wait_for_function(_LOADED, arg=len(json.loads(text)["nodes"]))


@pytest.mark.parametrize("name", TOY)
def test_a_workflow_dropped_on_the_canvas_runs_and_shows_its_image(
    page: Any, editor: LiveComfy, name: str
) -> None:
    _drop(page, name)
    sent = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    nodes = editor.client.get("/object_info")
    assert ui_workflows.same_graph(sent, examples()[f"{name}.json"], nodes)
    done = len(editor.client.get("/history"))
    # What the Run button does; a key press is lost while the page still greets a new user.
    page.evaluate("async () => { await window.app.queuePrompt(0) }")
    wait_until(lambda: len(editor.client.get("/history")) > done, f"{name} to be run")
    page.wait_for_function(
        "() => window.app.graph.nodes.some(node => node.type === 'SaveImage' && node.imgs?.length)"
    )
    newest = list(editor.client.get("/history").values())[-1]
    assert newest["status"]["status_str"] == "success"


_OF_HEARTH = """
() => window.app.graph.nodes
  .filter(node => node.constructor.nodeData?.category === "hearth")
  .map(node => ({
    type: node.type,
    marked: node.title.startsWith("\\u{1F525}") ||
      node.badges.some(each => (typeof each === "function" ? each() : each).text === "\\u{1F525}"),
    text: node.widgets?.find(each => each.name === "hearth_text")?.value ?? "",
  }))
"""


def test_what_hearths_nodes_say_stands_on_them_and_each_is_marked(
    page: Any, editor: LiveComfy
) -> None:
    _drop(page, "hearth_nodes")
    sent = page.evaluate("async () => (await window.app.graphToPrompt()).output")
    page.evaluate("async () => { await window.app.queuePrompt(0) }")
    shown = f"({_OF_HEARTH})().filter(node => node.text).length >= 2"
    page.wait_for_function(shown)
    nodes = page.evaluate(_OF_HEARTH)
    assert len(nodes) > 2 and all(node["marked"] for node in nodes), nodes
    texts = {node["type"]: node["text"] for node in nodes}
    assert "toy_sd3" in texts["HearthCacheStatus"]
    assert "is loaded" in texts["HearthPrewarm"]
    # A text of one run is no part of what is sent.
    assert page.evaluate("async () => (await window.app.graphToPrompt()).output").keys() == (
        sent.keys()
    )
    assert "hearth_text" not in page.evaluate(
        "async () => JSON.stringify((await window.app.graphToPrompt()).output)"
    )


def test_the_template_browser_lists_every_workflow_with_its_picture(editor: LiveComfy) -> None:
    listed = editor.client.get("/api/workflow_templates")["hearth"]
    assert sorted(listed) == sorted(ui_workflows.SHOWN)
    for name in listed:
        picture = editor.client.get_bytes(f"/api/workflow_templates/hearth/{name}.jpg")
        assert picture.startswith(b"\xff\xd8"), name
