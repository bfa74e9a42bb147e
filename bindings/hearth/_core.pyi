"""Made by `./dev stubs` from the built module; do not edit."""

"""
Native core of hearth: cache, config, executor and checkpoint checks.
"""
from __future__ import annotations
import collections.abc
import os
import typing
import typing_extensions
__all__: list[str] = ['ByteView', 'CacheLimits', 'Checkpoint', 'CudaHost', 'DeviceArena', 'FileIdentity', 'HostFile', 'HostFileIdentity', 'HostTier', 'Keeper', 'LoadTicket', 'ManualClock', 'ModelCache', 'ModelHandle', 'ModelKey', 'QueueExecutor', 'Runtime', 'TensorInfo', 'UploadControl', 'Uploader', 'check_checkpoint', 'check_config', 'check_sharded_set', 'compile_kernels', 'identify_file', 'native_api', 'runtime']
class ModelKey:
    """
    What a model is called; immutable and hashable.
    """
    def __eq__(self, arg0: ModelKey) -> bool:
        ...
    def __hash__(self) -> int:
        ...
    def __init__(self, kind: str, loader: str, name: str, options: str = '', identity: str = '') -> None:
        ...
    def __repr__(self) -> str:
        ...
    @property
    def identity(self) -> str:
        ...
    @property
    def kind(self) -> str:
        ...
    @property
    def loader(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def options(self) -> str:
        ...
class QueueExecutor:
    """
    Jobs that run where run_pending() is called.
    """
    def __init__(self, wake: typing.Any = None) -> None:
        ...
    def adopt_current_thread(self) -> None:
        ...
    def close(self) -> None:
        ...
    def is_current(self) -> bool:
        ...
    def post(self, job: collections.abc.Callable) -> bool:
        """
        Queues a callable; False when the executor is closed.
        """
    def run_pending(self, budget_seconds: typing.SupportsFloat | None = None) -> int:
        """
        Runs the queued jobs on this thread; returns how many.
        """
    def set_wake(self, wake: typing.Any) -> None:
        ...
    @property
    def has_pending(self) -> bool:
        ...
class CacheLimits:
    """
    What may stay; None is no limit of this sort.
    """
    enabled: bool
    def __init__(self, *, enabled: bool = True, max_models: typing.SupportsInt | None = None, max_host_bytes: typing.SupportsInt | None = None, max_device_bytes: typing.SupportsInt | None = None, min_free_host_bytes: typing.SupportsInt = 0, idle_seconds: typing.SupportsFloat | None = None, device_idle_seconds: typing.SupportsFloat | None = None) -> None:
        ...
    @property
    def device_idle_seconds(self) -> float | None:
        ...
    @device_idle_seconds.setter
    def device_idle_seconds(self, arg0: typing.SupportsFloat | None) -> None:
        ...
    @property
    def idle_seconds(self) -> float | None:
        ...
    @idle_seconds.setter
    def idle_seconds(self, arg0: typing.SupportsFloat | None) -> None:
        ...
    @property
    def max_device_bytes(self) -> int | None:
        ...
    @max_device_bytes.setter
    def max_device_bytes(self, arg0: typing.SupportsInt | None) -> None:
        ...
    @property
    def max_host_bytes(self) -> int | None:
        ...
    @max_host_bytes.setter
    def max_host_bytes(self, arg0: typing.SupportsInt | None) -> None:
        ...
    @property
    def max_models(self) -> int | None:
        ...
    @max_models.setter
    def max_models(self, arg0: typing.SupportsInt | None) -> None:
        ...
    @property
    def min_free_host_bytes(self) -> int:
        ...
    @min_free_host_bytes.setter
    def min_free_host_bytes(self, arg0: typing.SupportsInt) -> None:
        ...
class ModelHandle:
    """
    Keeps one model alive and out of eviction's reach; a context manager.
    """
    def __enter__(self) -> typing.Any:
        ...
    def __exit__(self, *args) -> None:
        ...
    def close(self) -> None:
        ...
    @property
    def cached(self) -> bool:
        ...
    @property
    def closed(self) -> bool:
        ...
    @property
    def key(self) -> ModelKey:
        ...
    @property
    def value(self) -> typing.Any:
        ...
    @property
    def was_hit(self) -> bool:
        ...
class LoadTicket:
    """
    A load under way, shared by all who asked for it.
    """
    def wait(self) -> ModelHandle:
        ...
    @property
    def ready(self) -> bool:
        ...
class ModelCache:
    """
    Keeps loaded models so that a second request pays no load.
    """
    def __init__(self, limits: CacheLimits, policy: str = 'lru', *, idle_seconds: typing.SupportsFloat | None = None, executor: QueueExecutor = None, clock: ManualClock = None, event_capacity: typing.SupportsInt = 1024) -> None:
        ...
    def acquire(self, key: ModelKey, loader: collections.abc.Callable, expected: dict = {}, **kwargs) -> ModelHandle:
        """
        The model, loaded first if absent. Keywords: node, prompt, raise_when_busy.
        """
    def enforce(self) -> None:
        ...
    def erase(self, key: ModelKey, reason: str) -> bool:
        ...
    def erase_by_name(self, name: str, reason: str) -> int:
        ...
    def events(self, after: typing.SupportsInt = 0, max: typing.SupportsInt = 1000) -> list:
        """
        Events with a sequence above `after`, oldest first.
        """
    def free_lingering(self, key: ModelKey | None = None) -> int:
        ...
    def keep_alive(self, key: ModelKey, seconds: typing.SupportsFloat | None) -> None:
        """
        Gives the slot an idle time of its own; None: as configured.
        """
    def lingering_gone(self, key: ModelKey) -> None:
        ...
    def lookup(self, key: ModelKey) -> ModelHandle | None:
        ...
    def note(self, kind: str, **kwargs) -> int:
        """
        Appends an event. Keywords: model, loader, reason, node, prompt, bytes, ms.
        """
    def pin(self, key: ModelKey) -> None:
        ...
    def prewarm(self, key: ModelKey, loader: collections.abc.Callable, expected: dict = {}, **kwargs) -> LoadTicket:
        """
        Starts the load that acquire() would do.
        """
    def record_use(self, key: ModelKey, strong: bool = True) -> bool:
        ...
    def residents(self) -> list:
        """
        One dict a model: resident first, then lingering.
        """
    def seconds_to_next_expiry(self) -> float | None:
        ...
    def set_limits(self, limits: CacheLimits) -> None:
        ...
    def set_policy(self, name: str, idle_seconds: typing.SupportsFloat | None = None) -> None:
        ...
    def shutdown(self, release: bool) -> None:
        ...
    def stats(self) -> dict:
        """
        Counters and byte sums.
        """
    def trim(self, host_bytes: typing.SupportsInt, device_bytes: typing.SupportsInt, reason: str) -> dict:
        ...
    def unpin(self, key: ModelKey) -> None:
        ...
    def update_bytes(self, key: ModelKey, bytes: dict) -> None:
        ...
    @property
    def limits(self) -> CacheLimits:
        ...
class ManualClock:
    """
    A clock that is moved by hand.
    """
    def __init__(self) -> None:
        ...
    def advance(self, seconds: typing.SupportsFloat) -> None:
        ...
    @property
    def now(self) -> float:
        ...
class FileIdentity:
    """
    Which file it is, without its path.
    """
    @property
    def inode(self) -> int:
        ...
    @property
    def mtime_ns(self) -> int:
        ...
    @property
    def size(self) -> int:
        ...
    @property
    def text(self) -> str:
        ...
class TensorInfo:
    """
    Where one tensor lies in its file.
    """
    @property
    def dtype(self) -> str:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def offset(self) -> int:
        """
        In the file, in bytes.
        """
    @property
    def shape(self) -> list[int]:
        ...
    @property
    def size(self) -> int:
        """
        In bytes.
        """
class Checkpoint:
    """
    A safetensors file whose header was checked.
    """
    def __init__(self, path: os.PathLike | str | bytes, roots: collections.abc.Sequence[str] = []) -> None:
        ...
    def scan(self, on_block: collections.abc.Callable, threads: typing.SupportsInt = 0) -> list:
        """
        Reads the whole file in threads; on_block gets a memoryview of each block in order, valid during the call. Returns (tensor, dtype, nan, infinite) where there are any.
        """
    @property
    def data_offset(self) -> int:
        ...
    @property
    def dtypes(self) -> dict:
        """
        dtype -> (tensors, bytes).
        """
    @property
    def identity(self) -> str:
        ...
    @property
    def metadata(self) -> dict[str, str]:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def size(self) -> int:
        ...
    @property
    def tensors(self) -> list[TensorInfo]:
        ...
    @property
    def warnings(self) -> list[str]:
        ...
class ByteView:
    """
    Read-only bytes in host or device memory; keeps them there.
    """
    def __dlpack__(self, **kwargs) -> typing_extensions.CapsuleType:
        """
        One dimension of uint8. What a copy of ours writes is there when it returns, so no stream waits.
        """
    def __dlpack_device__(self) -> tuple:
        ...
    def __len__(self) -> int:
        ...
    @property
    def address(self) -> int:
        ...
    @property
    def nbytes(self) -> int:
        ...
class HostFileIdentity:
    """
    Which file it is.
    """
    def __eq__(self, arg0: HostFileIdentity) -> bool:
        ...
    def __hash__(self) -> int:
        ...
    @property
    def device(self) -> int:
        ...
    @property
    def inode(self) -> int:
        ...
    @property
    def mtime_ns(self) -> int:
        ...
    @property
    def size(self) -> int:
        ...
class HostFile:
    """
    Keeps one file's bytes mapped; a context manager.
    """
    def __enter__(self) -> typing.Any:
        ...
    def __exit__(self, *args) -> None:
        ...
    def cancel_read_ahead(self) -> None:
        ...
    def close(self) -> None:
        ...
    def copyable_bytes(self, offset: typing.SupportsInt) -> int:
        """
        How many bytes from there on a device copies in one go.
        """
    def lock(self, max_bytes: typing.SupportsInt | None = None) -> int:
        """
        Keeps the next bytes in RAM; returns how many.
        """
    def read_ahead(self, threads: typing.SupportsInt = 0, max_bytes: typing.SupportsInt = 0, wait: bool = False, urgent: bool = False) -> None:
        """
        Brings the bytes into RAM with several threads: after what was asked for before, `urgent` before all of it.
        """
    def register(self, max_bytes: typing.SupportsInt | None = None, max_seconds: typing.SupportsFloat | None = None) -> int:
        """
        Registers what comes next for the devices; returns how many bytes.
        """
    def require_sound(self) -> None:
        """
        Raises CheckpointCorruptError when the bytes are no longer those that were held.
        """
    def unlock(self) -> int:
        ...
    def unregister(self) -> int:
        """
        Undoes it; REQUIRES that nobody copies from these bytes.
        """
    def view(self, offset: typing.SupportsInt = 0, nbytes: typing.SupportsInt | None = None) -> ByteView:
        """
        These bytes without copying them; the view keeps them mapped.
        """
    def wait_for_read_ahead(self, max_seconds: typing.SupportsFloat) -> bool:
        """
        Returns whether nothing is being read any more.
        """
    @property
    def address(self) -> int:
        """
        Where the first byte lies; 0 when the file could not be mapped.
        """
    @property
    def closed(self) -> bool:
        ...
    @property
    def file_system(self) -> str:
        ...
    @property
    def identity(self) -> HostFileIdentity:
        ...
    @property
    def locked_bytes(self) -> int:
        ...
    @property
    def name(self) -> str:
        ...
    @property
    def nbytes(self) -> int:
        ...
    @property
    def progress(self) -> dict:
        ...
    @property
    def refusal(self) -> str:
        """
        Why the last register() or lock() ended early; empty when it did not.
        """
    @property
    def registered_bytes(self) -> int:
        """
        From the file's beginning on.
        """
    @property
    def state(self) -> str:
        """
        unmapped, mapped, reading, read or poisoned.
        """
class HostTier:
    """
    The files whose bytes this process has in host memory, each once.
    """
    def find(self, device: typing.SupportsInt, inode: typing.SupportsInt) -> HostFile | None:
        """
        The file with these numbers, if it is here and sound.
        """
    def give_way(self, bytes: typing.SupportsInt = 18446744073709551615) -> int:
        """
        Releases unheld files, least recently used first; returns how many bytes.
        """
    def hold(self, path: os.PathLike | str | bytes) -> HostFile:
        """
        Maps a file, or joins those who have it mapped.
        """
    def stats(self) -> dict:
        ...
    def tidy(self) -> int:
        """
        Gives way as far as the limits ask for it; to be called between prompts.
        """
class Keeper:
    """
    Keeps files' pages locked and serves its socket; for one thread.
    """
    def __init__(self, folder: os.PathLike | str | bytes, *, max_bytes: typing.SupportsInt | None = None, keep_free_bytes: typing.SupportsInt = 0) -> None:
        ...
    def step(self, seconds: typing.SupportsFloat) -> bool:
        """
        Serves and locks a little, waiting at most so long; False once it was asked to stop.
        """
    @property
    def wake_descriptor(self) -> int:
        """
        A byte written here ends the wait of step().
        """
class CudaHost:
    """
    The GPUs that this process may use.
    """
    def copies_span_ranges(self) -> bool:
        """
        Whether one copy may reach over two ranges that were registered apart.
        """
    def memory(self, index: typing.SupportsInt = 0) -> dict:
        ...
    def open(self, index: typing.SupportsInt = 0) -> None:
        """
        Makes the context now rather than at the first use.
        """
    def probe(self) -> dict:
        ...
class DeviceArena:
    """
    Device memory in one piece, in nobody's pool.
    """
    def __init__(self, devices: CudaHost, index: typing.SupportsInt, nbytes: typing.SupportsInt) -> None:
        ...
    def read_back(self, offset: typing.SupportsInt, nbytes: typing.SupportsInt) -> bytes:
        """
        A copy of these bytes.
        """
    def view(self, offset: typing.SupportsInt = 0, nbytes: typing.SupportsInt | None = None) -> ByteView:
        """
        These bytes without copying them; the view keeps the memory.
        """
    @property
    def device_index(self) -> int:
        ...
    @property
    def nbytes(self) -> int:
        ...
class UploadControl:
    """
    Watches and ends an upload.
    """
    def __init__(self) -> None:
        ...
    def cancel(self) -> None:
        ...
    @property
    def done_bytes(self) -> int:
        ...
class Uploader:
    """
    Copies held files into arenas of one device.
    """
    def __init__(self, devices: CudaHost, index: typing.SupportsInt = 0, threads: typing.SupportsInt = 0, buffer_bytes: typing.SupportsInt = 4194304, reads: str = 'auto') -> None:
        ...
    def run(self, file: HostFile, arena: DeviceArena, ranges: collections.abc.Sequence[tuple[typing.SupportsInt, typing.SupportsInt, typing.SupportsInt]] | None = None, control: UploadControl = None) -> dict:
        """
        All of the file, or ranges of (file offset, arena offset, bytes); returns what it did.
        """
class Runtime:
    """
    Config, cache and executor of this process.
    """
    def configure(self, text: str, source: str) -> bool:
        """
        Reads a config and applies it at once; False when it has faults.
        """
    def drain_log(self) -> list[tuple[int, str]]:
        """
        Lines logged since the last call, as (Python logging level, text).
        """
    def host_memory(self) -> dict:
        ...
    def set_active_headroom(self, bytes: typing.SupportsInt) -> None:
        ...
    def shutdown(self, release: bool) -> None:
        ...
    @property
    def cache(self) -> ModelCache:
        ...
    @property
    def config(self) -> typing.Any:
        """
        The values in force.
        """
    @property
    def config_faults(self) -> list:
        """
        What was wrong with the last config offered; empty when it is in force.
        """
    @property
    def config_inert(self) -> list[str]:
        """
        JSON pointers of keys in force that this version does not act on.
        """
    @property
    def config_source(self) -> str:
        ...
    @property
    def devices(self) -> CudaHost:
        ...
    @property
    def executor(self) -> QueueExecutor:
        ...
    @property
    def host_tier(self) -> HostTier:
        ...
def check_checkpoint(path: os.PathLike | str | bytes, roots: collections.abc.Sequence[str] = []) -> None:
    """
    Refuses a safetensors file whose header is wrong; reads the header only.
    """
def check_config(text: str) -> list:
    """
    The faults of a config text; empty when it is good.
    """
def check_sharded_set(path: os.PathLike | str | bytes, roots: collections.abc.Sequence[str] = []) -> dict:
    """
    Checks a .safetensors.index.json and all its files.
    """
def compile_kernels(architecture: str) -> tuple[bytes, bytes, bytes]:
    """
    The engine's kernels, of the transformer, the VAE and 8-bit products (empty below 8.9), for "sm_90" and the like; no GPU is needed. Raises CudaError, also
    where no NVRTC is in the process: import torch first.
    """
def identify_file(path: os.PathLike | str | bytes) -> FileIdentity:
    """
    Looks a file up without reading it; refuses what is missing or no regular file.
    """
def native_api() -> str:
    """
    Hash of the stub file this module was built with.
    """
def runtime() -> Runtime:
    """
    The one runtime of this process.
    """
__version__: str = '0.1.0'
