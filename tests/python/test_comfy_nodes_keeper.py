"""What ComfyUI's side tells a real keeper, with a host tier that stands for one with a GPU."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from hearth import keeper
from hearth.errors import KeeperError

from benchmarks.harness.hearth_face import wait_until
from comfy_nodes.keeper_link import KeeperLink
from tests.page_cache import require_lockable
from tests.python.checkpoint_files import good_file

_ON = {"keeper": {"enabled": True}, "prewarm_on_startup": False}
_OFF = {"keeper": {"enabled": False}, "prewarm_on_startup": False}


class Tier:
    """What the link asks of the host tier; a test says which files are registered."""

    def __init__(self) -> None:
        self.registered: list[Path] = []

    def stats(self) -> dict[str, Any]:
        """As HostTier.stats()."""
        files = []
        for path in self.registered:
            status = os.stat(path)
            identity = SimpleNamespace(device=status.st_dev, inode=status.st_ino)
            files.append({"identity": identity, "registered_bytes": status.st_size})
        return {"files": files, "max_bytes": None, "keep_free_bytes": 0}


class Models:
    """Residents and the paths of their files."""

    def __init__(self, *paths: Path) -> None:
        self.held = [str(path) for path in paths]

    def paths(self) -> list[str]:
        """As ResidentModels.paths()."""
        return self.held


@pytest.fixture
def session(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of this session's keeper, which is ended at last."""
    require_lockable(1 << 20)
    with tempfile.TemporaryDirectory(prefix="hk-") as base:
        monkeypatch.setenv("XDG_RUNTIME_DIR", base)
        yield Path(base) / "hearth"
        with contextlib.suppress(KeeperError):  # the test may have
            keeper.stop()


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.safetensors"
    path.write_bytes(good_file(dtype="U8", data=bytes(100_000)))
    return path


def _started(tier: Tier, models: Models) -> KeeperLink:
    link = KeeperLink(tier, models, [])  # type: ignore[arg-type]
    link.follow(_ON)
    wait_until(lambda: link.report()["state"] == "connected", "the keeper to be reached")
    return link


def _locked(link: KeeperLink) -> int:
    return int(link.report().get("locked_bytes", 0))


def test_what_is_resident_is_locked_and_what_is_registered_is_not(
    session: Path, model: Path
) -> None:
    tier, size = Tier(), model.stat().st_size
    link = _started(tier, Models(model))
    wait_until(lambda: _locked(link) == size, "the model to be locked")
    tier.registered = [model]
    wait_until(lambda: _locked(link) == 0, "the model to be unlocked")
    assert link.report()["files"][0]["registered"] is True
    tier.registered = []
    wait_until(lambda: _locked(link) == size, "the model to be locked again")
    link.end(let_go=False)
    with keeper.connect() as other:
        assert [file["clients"] for file in other.status()["files"]] == [0]


def test_other_formats_and_missing_files_are_passed_over(session: Path, model: Path) -> None:
    pickled = model.with_suffix(".ckpt")
    pickled.write_bytes(b"no matter")
    link = _started(Tier(), Models(pickled, model.with_name("gone.safetensors"), model))
    wait_until(lambda: len(link.report()["files"]) == 1, "the one model to be told")
    link.end(let_go=False)


def test_turned_off_it_lets_go_and_turned_on_it_is_back(session: Path, model: Path) -> None:
    link = _started(Tier(), Models(model))
    wait_until(lambda: _locked(link) > 0, "the model to be locked")
    link.follow(_OFF)
    wait_until(lambda: link.report()["state"] == "off", "the link to end")
    with keeper.connect() as other:
        assert other.status()["files"] == []
    keeper.stop()
    link.follow(_ON)
    wait_until(lambda: link.report()["state"] == "connected", "another keeper")
    link.end(let_go=True)


def test_a_keeper_that_somebody_stopped_is_not_started_again_but_joined_when_it_is(
    session: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    link = _started(Tier(), Models(model))
    keeper.stop()
    wait_until(lambda: link.report()["state"] == "missing", "the keeper to be missed")
    for _ in range(2):  # the next seconds': first it does not answer, then there is none
        link._look()
    assert "no keeper is running" in link.report()["reason"]
    assert caplog.text.count("no keeper:") == 1
    keeper.start()
    wait_until(lambda: link.report()["state"] == "connected", "the new keeper to be found")
    wait_until(lambda: _locked(link) > 0, "the model to be told again")
    link.end(let_go=False)


def test_a_keeper_that_cannot_start_is_one_line_in_the_log(
    session: Path, model: Path, caplog: pytest.LogCaptureFixture
) -> None:
    session.mkdir(mode=0o755)
    os.chmod(session, 0o755)
    link = KeeperLink(Tier(), Models(model), [])  # type: ignore[arg-type]
    link.follow(_ON)
    wait_until(lambda: link.report()["state"] == "missing", "the failure")
    assert "chmod 700" in link.report()["reason"]
    link._look()  # the next second's
    link.end(let_go=False)
    assert "chmod 700" in link.report()["reason"]
    assert len([line for line in caplog.messages if "keeper" in line]) == 1


def test_turned_off_from_the_start_there_is_neither_thread_nor_keeper(session: Path) -> None:
    link = KeeperLink(Tier(), Models(), [])  # type: ignore[arg-type]
    link.follow(_OFF)
    link.end(let_go=True)
    assert link.report() == {"enabled": False, "state": "off"}
    assert not session.exists()
