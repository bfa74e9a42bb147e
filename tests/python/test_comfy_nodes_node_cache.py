"""Taking one model out of ComfyUI's node cache leaves everybody else's results there."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from fakes.comfy_fakes import Clip, Patcher  # noqa: E402

from comfy_nodes.node_cache import ComfyNodeCache  # noqa: E402
from comfy_nodes.seams import Seams  # noqa: E402


class Cache:
    """ComfyUI's LRU cache of outputs: a side table per key."""

    def __init__(self, entries: dict[str, Any], current: tuple[str, ...] = ()) -> None:
        self.cache = dict(entries)
        self.used_generation = dict.fromkeys(entries, 1)
        self.children: dict[str, Any] = {}
        self.subcaches: dict[str, Any] = {}
        self.cache_key_set = SimpleNamespace(keys={name: name for name in current})


def install(cache: Any) -> tuple[ComfyNodeCache, Any]:
    class PromptExecutor:
        def __init__(self, cache: Any) -> None:
            self.caches = SimpleNamespace(outputs=cache)

    node_cache, seams = ComfyNodeCache(), Seams()
    node_cache.install(SimpleNamespace(PromptExecutor=PromptExecutor), seams)
    assert seams.found["node_cache"]
    return node_cache, PromptExecutor(cache)


def test_only_entries_with_the_model_go_in_whatever_form_they_are() -> None:
    mine, other = Patcher(), Patcher()
    cache = Cache(
        {
            "loader": SimpleNamespace(outputs=[[mine.clone()], [Clip(mine.clone())]]),
            "lora": [[mine.clone().clone()]],
            "other": SimpleNamespace(outputs=[[other]]),
            "image": SimpleNamespace(outputs=[["pixels"]]),
            "empty": SimpleNamespace(outputs=None),
        }
    )
    node_cache, executor = install(cache)
    assert node_cache.remove([mine.model]) == 2
    assert cache.cache.keys() == {"other", "image", "empty"}
    assert cache.used_generation.keys() == cache.cache.keys()
    assert executor.caches.outputs is cache


def test_a_running_prompt_keeps_what_its_nodes_wait_for() -> None:
    mine = Patcher()
    cache = Cache({"now": [[mine]], "before": [[mine]]}, current=("now",))
    node_cache, _executor = install(cache)
    node_cache.prompt_running = True
    assert node_cache.remove([mine.model]) == 1
    assert cache.cache.keys() == {"now"}
    node_cache.prompt_running = False
    assert node_cache.remove([mine.model]) == 1


def test_what_an_expanded_node_has_run_goes_as_well_unless_the_prompt_that_runs_has() -> None:
    mine, other = Patcher(), Patcher()
    inner = Cache({"now": [[mine]], "before": [[mine]], "other": [[other]]}, current=("now",))
    outer, cache = Cache({"x": [[other]]}), Cache({"expanding": [[mine]]})
    outer.subcaches, cache.subcaches = {"deeper": inner}, {"expanding": outer}
    node_cache, _executor = install(cache)
    node_cache.prompt_running = True
    assert node_cache.remove([mine.model]) == 2
    assert inner.cache.keys() == {"now", "other"}
    node_cache.prompt_running = False
    assert node_cache.remove([mine.model]) == 1
    assert (list(inner.cache), list(outer.cache)) == (["other"], ["x"])


@pytest.mark.parametrize(("used", "times"), [((False, False), 1), ((True, False), 0)])
def test_only_caches_that_no_prompt_has_used_are_made_anew(
    used: tuple[bool, ...], times: int
) -> None:
    resets: list[bool] = []
    node_cache, executor = install(None)
    executor.caches.all = [SimpleNamespace(initialized=each) for each in used]
    executor.reset = lambda: resets.append(True)
    node_cache.renew_unused()
    assert len(resets) == times


def test_an_executor_of_another_make_is_not_made_anew() -> None:
    for caches in (None, SimpleNamespace(), SimpleNamespace(all=[object()])):
        node_cache, executor = install(None)
        executor.caches = caches
        node_cache.renew_unused()  # reset() is not there
        assert executor.caches is caches


def test_a_cache_of_another_make_is_left_alone() -> None:
    for cache in (object(), SimpleNamespace(cache=None)):
        node_cache, _executor = install(cache)
        assert node_cache.remove([Patcher().model]) == 0


def test_a_comfyui_without_the_class_is_noted() -> None:
    seams = Seams()
    ComfyNodeCache().install(object(), seams)
    assert seams.missing == ["node_cache"]
