"""Has the models' files read while torch is still being imported."""

from __future__ import annotations

from collections.abc import Iterable

import hearth
from hearth.errors import HearthError
from hearth.headless.checks import Plan
from hearth.headless.loaders import path_of
from hearth.headless.model_lists import ModelLists


def read_ahead(plans: Iterable[Plan], models: ModelLists) -> int:
    """Native threads begin to read the files of all loaders; returns at once with their number.

    None where the config says so (`prewarm_on_startup`, `host_tier.enabled`). What is wrong with a
    file is said when it is loaded.
    """
    runtime = hearth.runtime()
    if not (runtime.config["prewarm_on_startup"] and runtime.config["host_tier"]["enabled"]):
        return 0
    nodes = [node for plan in plans for node in plan.nodes.values()]
    found = [path_of(node.class_name, node.values, models) for node in nodes]
    begun = 0
    for path in dict.fromkeys(path for path in found if path is not None):
        try:
            with runtime.host_tier.hold(path) as file:
                file.read_ahead(wait=False)
                begun += 1
        except (HearthError, OSError):
            continue
    return begun
