"""What a real ComfyUI leaves in RAM when it ends, and what the keeper does about it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hearth import keeper
from hearth.errors import KeeperError

from benchmarks.harness.comfy_server import REPOSITORY
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy, StartComfy
from benchmarks.harness.workflows import sd3_graph
from tests.page_cache import all_in_ram, drop, require_droppable, require_lockable

A = "toy_sd3_a.safetensors"


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A session's runtime folder, at last without a keeper; short, because a socket's path is."""
    require_lockable(16 << 20)
    with tempfile.TemporaryDirectory(prefix="hk-") as base:
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)  # the servers of the test inherit it
        yield Path(base)
        with contextlib.suppress(KeeperError):
            keeper.stop(Path(base) / "hearth")


def start(start_comfy: StartComfy, name: str, **config: Any) -> LiveComfy:
    """A server of this session, with the keeper enabled."""
    text = json.dumps({"keeper": {"enabled": True}} | config)
    return start_comfy(name, hearth=REPOSITORY, config=text)


def kept(live: LiveComfy) -> dict[str, Any]:
    """What /hearth/health says of the keeper."""
    report: dict[str, Any] = live.hearth.health()["keeper"]
    return report


def locked(live: LiveComfy, name: str) -> int:
    """Bytes of that file that the keeper has locked, as the server knows."""
    files = kept(live).get("files", [])
    return next((int(file["locked_bytes"]) for file in files if file["name"] == name), 0)


def kill(live: LiveComfy) -> None:
    """As a crash ends it."""
    process = live.server.pid
    os.kill(process, signal.SIGKILL)
    live.server.stop()


def test_a_restarted_server_finds_the_pages_locked_and_what_one_registers_is_unlocked(
    start_comfy: StartComfy, session: Path, models: Path
) -> None:
    path = models / "checkpoints" / A
    first = start(start_comfy, "kept-1")
    first.run(sd3_graph(A))
    wait_until(lambda: locked(first, A) == path.stat().st_size, "the keeper to lock the model")
    assert kept(first)["state"] == "connected"
    require_droppable(models / "checkpoints" / "toy_sd3_c.safetensors")
    kill(first)
    drop(path)
    assert all_in_ram(path)

    second = start(start_comfy, "kept-2")
    wait_until(lambda: locked(second, A) == path.stat().st_size, "the next server to hear of it")
    second.run(sd3_graph(A))
    with keeper.connect(session / "hearth") as link:
        link.declare([keeper.claim(path, registered=True)])
        wait_until(lambda: locked(second, A) == 0, "the keeper to unlock it")
        assert kept(second)["pid"] == link.status()["pid"]
    wait_until(lambda: locked(second, A) > 0, "the keeper to lock it again")

    keeper.stop(session / "hearth")
    wait_until(lambda: kept(second)["state"] == "missing", "the server to miss the keeper")
    assert second.run(sd3_graph(A, seed=2)).files
    assert second.server.log_text().count("no keeper:") == 1


def test_with_unload_on_exit_a_server_takes_its_files_with_it(
    start_comfy: StartComfy, session: Path, models: Path
) -> None:
    live = start(start_comfy, "kept-3", unload_on_exit=True)
    live.run(sd3_graph(A))
    wait_until(lambda: locked(live, A) > 0, "the keeper to lock the model")
    live.server.stop()
    with keeper.connect(session / "hearth") as link:
        assert link.status()["files"] == []


def test_without_unload_on_exit_the_pages_outlive_the_process_without_a_keeper(
    start_comfy: StartComfy, models: Path
) -> None:
    live = start_comfy("leaves", hearth=REPOSITORY, config='{"unload_on_exit": false}')
    path = models / "checkpoints" / A
    nobodys = models / "nobodys.bin"
    nobodys.write_bytes(path.read_bytes())
    path.read_bytes()  # another test may have dropped some, and not all of it is loaded
    live.run(sd3_graph(A))
    assert live.server.stop() == 0
    if not all_in_ram(path) and not all_in_ram(nobodys):
        pytest.skip("NOT RUN, needs RAM: the kernel took back pages that nobody had dropped")
    assert all_in_ram(path)


def test_sigterm_ends_a_server_and_leaves_nothing_behind(
    start_comfy: StartComfy, session: Path, models: Path
) -> None:
    """Its threads go with it; no child, no lock and no shared memory of its own stays, and the
    keeper sees that it has gone."""
    shared = set(os.listdir("/dev/shm"))
    live = start(start_comfy, "ended", prewarm={"models": [A]})
    wait_until(lambda: locked(live, A) > 0, "the keeper to lock the model")
    process = live.server.pid
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    os.kill(process, signal.SIGTERM)
    wait_until(lambda: not Path(f"/proc/{process}/fd/0").exists(), "the server to end")
    assert live.server.stop() == -signal.SIGTERM
    assert [child for child in children if Path(f"/proc/{child}").exists()] == []
    assert set(os.listdir("/dev/shm")) - shared == set()
    assert f" {process} " not in Path("/proc/locks").read_text()
    with keeper.connect(session / "hearth") as link:
        wait_until(lambda: link.status()["files"][0]["clients"] == 0, "the keeper to notice")
        assert link.status()["locked_bytes"] > 0
