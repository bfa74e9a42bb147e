"""Steps of a transformer as CUDA graphs: sent to the GPU in one call instead of some six hundred.

    model.programs.record_by(step_graphs.recorder)
    denoiser = zimage.Denoiser(model.transformer, prompt, latents, sigmas, model.programs)

Recording is torch's, because the memory of a graph is its allocator's. Importing this imports
torch.
"""

from __future__ import annotations

import functools
import logging
import weakref
from collections.abc import Callable

import torch

Play = Callable[[], None]

_LOG = logging.getLogger("hearth")


def recorder(compute: Play) -> Play:
    """What plays the work that `compute` sends to the current device."""
    return _Recording(compute)


class _Pool:
    """Of all recordings of this process: they are played one after the other, and what one leaves
    behind is taken over before the next begins. So they need no more memory than the largest."""

    def __init__(self) -> None:
        self._recorded: weakref.WeakSet[_Recording] = weakref.WeakSet()
        self._id: tuple[int, int] | None = None

    def id(self) -> tuple[int, int]:
        """What the next recording takes memory from. A new pool when nothing recorded is left of
        the last one: torch ends a pool with its last graph, and asserts when it is used again."""
        if self._id is None or not self._recorded:
            self._id = torch.cuda.graph_pool_handle()
        return self._id

    def add(self, recording: _Recording) -> None:
        """Takes note of one that succeeded; the pool is kept for as long as that is."""
        self._recorded.add(recording)


@functools.cache
def _pool() -> _Pool:
    return _Pool()


class _Recording:
    """The first call computes, which also makes what libraries make at their first use; the second
    records; all later ones play. What cannot be recorded is computed each time."""

    def __init__(self, compute: Play) -> None:
        self._compute = compute
        self._calls = 0
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self) -> None:
        self._calls += 1
        if self._calls == 2:
            self._record()
        if self._graph is None:
            self._compute()
        else:
            self._graph.replay()

    def _record(self) -> None:
        graph, stream = torch.cuda.CUDAGraph(), torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        try:
            with torch.cuda.stream(stream):
                # Other threads copy images and weights meanwhile, which is none of ours.
                graph.capture_begin(_pool().id(), capture_error_mode="thread_local")
                try:
                    self._compute()
                finally:
                    graph.capture_end()
        except RuntimeError as error:
            # As a text: an error knows the frames it came through, and those the model.
            _LOG.warning("a step could not be recorded and is sent anew each time: %s", str(error))
            return
        torch.cuda.current_stream().wait_stream(stream)
        self._graph = graph
        _pool().add(self)
