"""The cache as Python sees it: handles, errors, the GIL, growth and the end of the process."""

from __future__ import annotations

import ctypes
import gc
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest

hearth = pytest.importorskip("hearth", reason="hearth's native module is not built: ./dev build")

BINDINGS = Path(__file__).parents[2] / "bindings"


class Model:
    """A resident that counts what is done to it."""

    def __init__(self, size: int = 10) -> None:
        self.size = size
        self.released = 0

    def release(self) -> None:
        self.released += 1


def key(name: str, identity: str = "1") -> hearth.ModelKey:
    return hearth.ModelKey("checkpoint", "Loader", name, "", identity)


def cache(**limits: object) -> hearth.ModelCache:
    return hearth.ModelCache(hearth.CacheLimits(**limits))


def load(model: Model):
    return lambda: (model, {"anonymous": model.size})


def test_the_second_request_gets_the_same_object_without_a_load() -> None:
    models = cache()
    first = Model()
    with models.acquire(key("a"), load(first)) as handle:
        assert handle.value is first
        assert not handle.was_hit
    with models.acquire(key("a"), load(Model())) as handle:
        assert handle.value is first
        assert handle.was_hit
    assert models.stats()["loads"] == 1


def test_a_closed_handle_says_so() -> None:
    handle = cache().acquire(key("a"), load(Model()))
    handle.close()
    handle.close()
    assert handle.closed
    with pytest.raises(ValueError, match="closed"):
        _ = handle.value


def test_an_evicted_model_is_released_once() -> None:
    models = cache(max_models=1)
    first = Model()
    models.acquire(key("a"), load(first)).close()
    models.acquire(key("b"), load(Model())).close()
    assert first.released == 1
    assert models.lookup(key("a")) is None


def test_every_waiter_of_a_failed_load_sees_the_loaders_own_exception() -> None:
    class Interrupted(BaseException):
        pass

    error = Interrupted("stop")

    def fail() -> None:
        raise error

    models = cache()
    for _ in range(2):
        with pytest.raises(Interrupted) as seen:
            models.acquire(key("a"), fail)
        assert seen.value is error
    assert models.stats()["load_failures"] == 2


def test_a_misspelt_keyword_is_refused() -> None:
    with pytest.raises(TypeError, match="promt"):
        cache().acquire(key("a"), load(Model()), promt="1")


def test_a_loader_that_returns_nonsense_is_an_error_not_a_crash() -> None:
    models = cache()
    for bad in (
        lambda: None,
        lambda: (Model(),),
        lambda: (Model(), 3),
        lambda: (Model(), {"device": -1}),
    ):
        with pytest.raises((TypeError, ValueError, RuntimeError)):
            models.acquire(key("a"), bad)
    assert models.stats()["resident"] == 0


def test_a_model_whose_release_fails_is_gone_all_the_same() -> None:
    class Bad:
        def release(self) -> None:
            raise RuntimeError("cannot")

    models = cache()
    models.acquire(key("a"), lambda: (Bad(), {})).close()
    with _Unraisable() as seen:
        assert models.erase(key("a"), "test")
    assert "cannot" in str(seen[0])
    assert models.stats()["resident"] == 0


class _Unraisable:
    """Collects what Python reports of errors that have nobody to go to."""

    def __enter__(self) -> list[BaseException]:
        self.seen: list[BaseException] = []
        self.hook = sys.unraisablehook
        sys.unraisablehook = lambda info: self.seen.append(info.exc_value)
        return self.seen

    def __exit__(self, *_: object) -> None:
        sys.unraisablehook = self.hook


def test_other_threads_run_while_one_waits_for_a_load() -> None:
    """A waiter that kept the GIL would stop the loader it waits for."""
    executor = hearth.QueueExecutor()
    models = hearth.ModelCache(hearth.CacheLimits(), executor=executor)
    got: list[object] = []
    waiter = threading.Thread(
        target=lambda: got.append(models.acquire(key("a"), load(Model())).value)
    )
    waiter.start()
    while not executor.has_pending:
        pass  # spins with the GIL until the waiter has posted, which needs the GIL in turn
    assert executor.run_pending() >= 1
    waiter.join()
    assert len(got) == 1


def test_a_handle_dropped_elsewhere_is_released_on_the_executor() -> None:
    executor = hearth.QueueExecutor()
    models = hearth.ModelCache(hearth.CacheLimits(), executor=executor)
    executor.adopt_current_thread()
    threads: list[int] = []

    class Noting:
        def release(self) -> None:
            threads.append(threading.get_ident())

    holder = [models.acquire(key("a"), lambda: (Noting(), {}))]
    models.erase(key("a"), "test")
    dropper = threading.Thread(target=holder.clear)
    dropper.start()
    dropper.join()
    executor.run_pending()
    assert threads == [threading.get_ident()]


def _resident_bytes() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def _grows(cycles: int, kept_models: list[object] | None, kept_keys: list[object] | None) -> int:
    models = hearth.ModelCache(hearth.CacheLimits(max_models=1), event_capacity=16)

    def one(index: int) -> None:
        payload = bytearray(16384)
        model = Model()
        model.payload = payload  # type: ignore[attr-defined]
        if kept_models is not None:
            kept_models.append(model)
        asked = key(f"m{index % 2}")
        if kept_keys is not None:
            kept_keys.append(asked)
        models.acquire(asked, load(model)).close()

    for index in range(10_000):
        one(index)
    gc.collect()
    # What tests before this one have freed would be taken again, and no growth be seen.
    ctypes.CDLL(None).malloc_trim(0)
    before = _resident_bytes()
    for index in range(cycles):
        one(index)
    gc.collect()
    return _resident_bytes() - before


def test_ten_thousand_evictions_leave_nothing_behind() -> None:
    assert _grows(10_000, None, None) < 1 << 20


def test_the_growth_test_can_fail() -> None:
    """The control: a model that somebody keeps must show, or the test above proves nothing."""
    assert _grows(10_000, [], None) > 100 << 20


def test_the_growth_test_sees_a_key_that_is_kept() -> None:
    """The smallest control: of each cycle only its ModelKey stays."""
    assert _grows(10_000, None, []) > 1 << 20


@pytest.mark.parametrize(
    "ending", ["", "hearth.runtime().shutdown(True)", "hearth.runtime().shutdown(False)"]
)
def test_a_process_with_residents_ends_with_exit_code_zero(ending: str) -> None:
    program = f"""
        import sys
        sys.path.insert(0, {str(BINDINGS)!r})
        import hearth
        class Model:
            def release(self): pass
        runtime = hearth.runtime()
        runtime.executor.adopt_current_thread()
        kept = runtime.cache.acquire(hearth.ModelKey("vae", "L", "a"), lambda: (Model(), {{}}))
        other = hearth.ModelCache(hearth.CacheLimits())
        other.acquire(hearth.ModelKey("vae", "L", "b"), lambda: (Model(), {{}})).close()
        {ending}
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
