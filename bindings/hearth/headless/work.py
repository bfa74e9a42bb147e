"""What a node is given to work with, and the run that it is part of."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hearth import engine, qwen_tokenizer, zimage
from hearth.errors import HearthError
from hearth.headless.checks import PlannedNode
from hearth.headless.image_writer import ImageWriter, WrittenFile
from hearth.headless.model_lists import ModelLists
from hearth.headless.run_models import RunModels

Tensor = Any
OnStep = Callable[[int, int], None]
"""Gets how many steps are done, and of how many."""
_EMBEDDINGS = 64
Writing = tuple[PlannedNode, Future[WrittenFile]]
"""A node, and a file that it has begun."""


_TELLING = (HearthError, OSError, RuntimeError, ValueError, MemoryError)
"""Errors whose text says enough; that of a KeyError is a name and nothing else."""


class NodeFailedError(HearthError):
    """A node that could not do its work; the message names it."""

    def __init__(self, node: PlannedNode, error: Exception) -> None:
        # torch's errors have a trace of C++ behind their first line.
        text = next(iter(str(error).splitlines()), "")
        kind = type(error).__name__
        if not text:
            text = kind
        elif not isinstance(error, _TELLING):
            text = f"{kind}: {text}"
        super().__init__(f"node {node.id} ({node.class_name}): {text}")


@dataclass
class Place:
    """What all runs of a process share."""

    models: ModelLists
    out: Path
    device: str
    numbers: engine.Numbers
    tokenizer: qwen_tokenizer.Tokenizer | None
    writer: ImageWriter
    embeddings: Any = field(default_factory=lambda: zimage.EmbeddingCache(_EMBEDDINGS))
    pinned_by_loaders: set[tuple[str, ...]] = field(default_factory=set)


@dataclass
class RunState:
    """What the nodes of one run leave behind."""

    place: Place
    prompt: dict[str, Any]
    """The workflow as it runs, for the images' metadata."""
    models: RunModels = field(default_factory=RunModels)
    writing: list[Writing] = field(default_factory=list)
    texts: dict[str, str] = field(default_factory=dict)
    """What nodes say, by their ids."""
    latents: Tensor = None
    """Of the last sampler."""


@dataclass
class Work:
    """One node at work."""

    node: PlannedNode
    inputs: dict[str, Any]
    run: RunState
    on_step: OnStep
