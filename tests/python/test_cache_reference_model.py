"""A small cache in Python beside the C++ one, on random operations: both must always agree."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest

hearth = pytest.importorskip("hearth", reason="hearth's native module is not built: ./dev build")

from hypothesis import HealthCheck, settings  # noqa: E402
from hypothesis import strategies as st  # noqa: E402
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule  # noqa: E402

NAMES = [f"m{i}" for i in range(6)]
MAX_MODELS = 3
MAX_HOST = 100
IDLE = 50.0
names = st.sampled_from(NAMES)
sizes = st.sampled_from([10, 30, 45, 120])


@dataclass
class Entry:
    size: int
    last_used: int
    last_time: float
    held: int = 0


@dataclass
class Reference:
    """Least recently used goes first, nobody in vain, nobody who is held or pinned."""

    entries: dict[str, Entry] = field(default_factory=dict)
    pinned: set[str] = field(default_factory=set)
    tick: int = 0
    now: float = 0.0
    loads: int = 0
    evictions: int = 0
    uncached: int = 0

    def touch(self, name: str) -> None:
        self.tick += 1
        self.entries[name].last_used = self.tick
        self.entries[name].last_time = self.now

    def end_use(self, name: str) -> None:
        """Idle time begins when the last handle ends."""
        if name in self.entries and not self.entries[name].held:
            self.touch(name)

    def evict(self, name: str) -> None:
        del self.entries[name]
        self.evictions += 1

    def candidates(self) -> list[str]:
        free = [n for n, e in self.entries.items() if not e.held and n not in self.pinned]
        return sorted(free, key=lambda n: self.entries[n].last_used)

    def make_room(self, size: int) -> bool:
        need_models = max(0, len(self.entries) + 1 - MAX_MODELS)
        need_bytes = max(0, sum(e.size for e in self.entries.values()) + size - MAX_HOST)
        if size > MAX_HOST:
            return False
        victims = []
        for name in self.candidates():
            if need_models <= 0 and need_bytes <= 0:
                break
            victims.append(name)
            need_models -= 1
            need_bytes -= self.entries[name].size
        if need_models > 0 or need_bytes > 0:
            return False
        for name in reversed(victims.copy()):  # a later, larger one may have made it needless
            if need_models + 1 <= 0 and need_bytes + self.entries[name].size <= 0:
                victims.remove(name)
                need_models += 1
                need_bytes += self.entries[name].size
        for name in victims:
            self.evict(name)
        return True

    def acquire(self, name: str, size: int) -> bool:
        """True when the model is resident afterwards."""
        if name not in self.entries:
            self.loads += 1
            if not self.make_room(size):
                self.uncached += 1
                return False
            self.entries[name] = Entry(size, 0, self.now)
        self.touch(name)
        return True

    def expire(self) -> None:
        for name in self.candidates():
            if self.now - self.entries[name].last_time >= IDLE:
                self.evict(name)


class Model:
    def release(self) -> None:
        pass


def key(name: str) -> hearth.ModelKey:
    return hearth.ModelKey("checkpoint", "Loader", name)


class CacheAgainstReference(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.clock = hearth.ManualClock()
        limits = hearth.CacheLimits(
            max_models=MAX_MODELS, max_host_bytes=MAX_HOST, idle_seconds=IDLE
        )
        self.cache = hearth.ModelCache(limits, "lru", clock=self.clock)
        self.reference = Reference()
        self.held: list[tuple[str, hearth.ModelHandle]] = []
        self.size_of: dict[str, int] = {}

    def _acquire(self, name: str, size: int) -> hearth.ModelHandle:
        # Time moves a little at each use, so that "least recent" is never a tie.
        self.clock.advance(0.001)
        self.reference.now += 0.001
        bytes_ = {"anonymous": size}
        handle = self.cache.acquire(key(name), lambda: (Model(), bytes_), bytes_)
        assert handle.cached == self.reference.acquire(name, size)
        return handle

    @rule(name=names, size=sizes)
    def acquire_and_let_go(self, name: str, size: int) -> None:
        self._acquire(name, size).close()
        self.reference.end_use(name)

    @rule(name=names, size=sizes)
    def acquire_and_hold(self, name: str, size: int) -> None:
        handle = self._acquire(name, size)
        if not handle.cached:
            handle.close()
            return
        self.reference.entries[name].held += 1
        self.held.append((name, handle))

    @precondition(lambda self: self.held)
    @rule(data=st.data())
    def let_go(self, data: st.DataObject) -> None:
        name, handle = self.held.pop(data.draw(st.integers(0, len(self.held) - 1)))
        handle.close()
        if name in self.reference.entries:
            self.reference.entries[name].held -= 1
            self.reference.end_use(name)

    @rule(name=names)
    def pin(self, name: str) -> None:
        self.cache.pin(key(name))
        self.reference.pinned.add(name)

    @rule(name=names)
    def unpin(self, name: str) -> None:
        self.cache.unpin(key(name))
        if name in self.reference.pinned:
            self.reference.pinned.remove(name)
            self.reference.expire()  # what was idle for too long meanwhile goes at once

    @rule(name=names)
    def erase_what_nobody_holds(self, name: str) -> None:
        entry = self.reference.entries.get(name)
        if entry is not None and entry.held:
            return
        assert self.cache.erase(key(name), "test") == (entry is not None)
        self.reference.entries.pop(name, None)

    @rule(name=names)
    def record_use(self, name: str) -> None:
        self.clock.advance(0.001)
        self.reference.now += 0.001
        assert self.cache.record_use(key(name)) == (name in self.reference.entries)
        if name in self.reference.entries:
            self.reference.touch(name)

    @rule(seconds=st.sampled_from([1.0, 20.0, 60.0]))
    def time_passes(self, seconds: float) -> None:
        self.clock.advance(seconds)
        self.reference.now += seconds
        self.cache.enforce()
        self.reference.expire()

    @invariant()
    def both_agree(self) -> None:
        residents = {view["name"]: view for view in self.cache.residents()}
        assert set(residents) == set(self.reference.entries)
        for name, entry in self.reference.entries.items():
            assert residents[name]["bytes"]["anonymous"] == entry.size
            assert residents[name]["in_use"] == entry.held
            assert residents[name]["pinned"] == (name in self.reference.pinned)
        stats = self.cache.stats()
        assert stats["loads"] == self.reference.loads
        assert stats["evictions"] == self.reference.evictions
        assert stats["served_uncached"] == self.reference.uncached

    def teardown(self) -> None:
        for _, handle in self.held:
            handle.close()


TestCacheAgainstReference = CacheAgainstReference.TestCase
TestCacheAgainstReference.settings = settings(
    max_examples=150,
    stateful_step_count=40,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow],
)
