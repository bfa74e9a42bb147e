"""Steps of a transformer as CUDA graphs: sent to the GPU in one call instead of some six hundred.

    model.programs.record_by(step_graphs.recorder)
    denoiser = zimage.Denoiser(model.transformer, prompt, latents, sigmas, model.programs)

Recording is torch's, because the memory of a graph is its allocator's. Importing this imports
torch.
"""

from __future__ import annotations

import functools
import logging
from collections.abc import Callable

import torch

Play = Callable[[], None]

_LOG = logging.getLogger("hearth")


def recorder(compute: Play) -> Play:
    """What plays the work that `compute` sends to the current device."""
    return _Recording(compute)


class _Recorder:
    """Records, with one pool of memory for all recordings on a device: they are played one after
    the other, and what one leaves behind is taken over before the next begins. So they need no
    more memory than the largest."""

    def __init__(self) -> None:
        self._pool = torch.cuda.MemPool()
        # Always the same: memory that was freed is found again only by the stream that had it.
        self._stream = torch.cuda.Stream()
        # torch (2.11, CachingHostAllocator.h) ends a pool's share of pinned memory with the last
        # graph, and asserts when the pool is recorded into again: so one graph stays.
        number = torch.zeros(1, device="cuda")
        self._first = self.record(lambda: number.add_(1.0))

    def record(self, compute: Callable[[], object]) -> torch.cuda.CUDAGraph:
        """What `compute` sends to the current device. Throws RuntimeError where that cannot be."""
        graph = torch.cuda.CUDAGraph()
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):
            # Other threads copy images and weights meanwhile, which is none of ours.
            graph.capture_begin(self._pool.id, capture_error_mode="thread_local")
            try:
                compute()
            finally:
                graph.capture_end()
        torch.cuda.current_stream().wait_stream(self._stream)
        return graph


@functools.cache
def _recorder_of(device: int) -> _Recorder:
    with torch.cuda.device(device):
        return _Recorder()


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
        try:
            self._graph = _recorder_of(torch.cuda.current_device()).record(self._compute)
        except RuntimeError as error:
            # As a text: an error knows the frames it came through, and those the model.
            _LOG.warning("a step could not be recorded and is sent anew each time: %s", str(error))
