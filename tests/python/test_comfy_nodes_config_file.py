"""Which config counts, and that a bad one costs nothing."""

from __future__ import annotations

import json
import logging
import os
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from comfy_nodes.config_file import ConfigFile, Source, find_sources  # noqa: E402
from comfy_nodes.settings import Settings  # noqa: E402


class Runtime:
    """configure() as the native runtime does it: a text with faults changes nothing else."""

    def __init__(self) -> None:
        self.config: dict[str, Any] = {
            "keep_model_in_memory": True,
            "host_tier": {"enabled": True},
            "prefetch": {"queue_depth": 2},
            "transparent": True,
            "unload_on_exit": False,
            "oom_fallback": "off",
            "engine": {"numbers": "fast"},
            "gc_freeze": True,
            "log": {"trace_loads": True},
            "api": {"token_env": None, "allowed_origins": []},
        }
        self.config_source = "built-in defaults"
        self.config_faults: list[dict[str, Any]] = []

    def configure(self, text: str, source: str) -> bool:
        try:
            given = json.loads(text)
        except ValueError:
            fault = {
                "pointer": "/x",
                "value": "",
                "message": 'not JSON; did you mean "y"?',
                "nearest": "y",
            }
            self.config_faults = [fault]
            return False
        self.config = {**self.config, **given}
        self.config_faults, self.config_source = [], source
        return True


def make(*sources: Source) -> tuple[ConfigFile, Runtime, Settings]:
    runtime, settings = Runtime(), Settings()
    return ConfigFile(runtime, settings, list(sources)), runtime, settings


def test_the_first_place_with_a_file_counts(tmp_path: Path) -> None:
    (tmp_path / "b.json").write_text('{"transparent": false}')
    (tmp_path / "c.json").write_text("{}")
    config, runtime, settings = make(*(Source(n, tmp_path / f"{n}.json") for n in "abc"))
    assert config.load()
    assert (runtime.config_source, settings.transparent) == ("b", False)


def test_a_file_named_by_the_user_that_is_missing_is_a_fault_and_the_next_counts(
    tmp_path: Path,
) -> None:
    (tmp_path / "b.json").write_text("{}")
    named = Source("HEARTH_CONFIG", tmp_path / "a.json", required=True)
    config, runtime, _ = make(named, Source("b", tmp_path / "b.json"))
    assert not config.load()
    assert runtime.config_source == "b"
    assert "does not exist" in config.faults[0]["message"]
    assert str(tmp_path) not in json.dumps(config.faults)


def test_a_bad_reload_keeps_the_values_in_force_and_says_every_fault(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"transparent": false}')
    config, _, settings = make(Source("a", path))
    config.load()
    assert not config.changed
    path.write_text("{nonsense")
    assert config.changed
    with caplog.at_level(logging.WARNING, logger="hearth"):
        assert not config.load()
    assert settings.transparent is False
    assert caplog.text.count('did you mean "y"') == 1
    assert not config.changed


def test_bytes_that_are_no_text_are_a_fault(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_bytes(b'{"a": "\xff"}')
    config, _, _ = make(Source("a", path))
    assert not config.load()
    assert "not UTF-8 text at byte 7" in config.faults[0]["message"]


def test_a_file_that_cannot_be_read_changes_nothing_and_says_why(tmp_path: Path) -> None:
    path = tmp_path / "a.json"
    path.write_text('{"transparent": false}')
    (tmp_path / "b.json").write_text('{"transparent": true}')
    config, runtime, settings = make(Source("a", path), Source("b", tmp_path / "b.json"))
    config.load()
    path.write_bytes('{"transparent": true}'.encode("utf-16"))
    assert not config.load()
    assert (runtime.config_source, settings.transparent) == ("a", False)
    path.write_bytes(b" " * (2 << 20))
    assert not config.load()
    assert "more than 1 MiB" in config.faults[0]["message"]
    path.write_text("{}")
    assert config.load()
    assert config.faults == []


# Opening a pipe waits for who writes to it: this test would never end, nor would ComfyUI start.
def test_what_is_no_file_is_a_fault(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.json")
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "device.json").symlink_to("/dev/zero")
    (tmp_path / "circle.json").symlink_to("circle.json")
    for name in ("pipe", "folder", "device", "circle"):
        config, runtime, _ = make(Source("a", tmp_path / f"{name}.json"))
        assert not config.load()
        assert len(config.faults) == 1
        assert str(tmp_path) not in json.dumps(config.faults)
        assert runtime.config_source == "built-in defaults"


def test_a_folder_in_the_place_of_a_faulty_file_is_the_only_fault(tmp_path: Path) -> None:
    place = tmp_path / "hearth.json"
    place.write_text("")
    config, _, _ = make(Source("a", place))
    assert not config.load()
    assert "not JSON" in json.dumps(config.faults)
    place.unlink()
    place.mkdir()
    assert not config.load()
    assert len(config.faults) == 1
    assert "this is no regular file" in config.faults[0]["message"]


def test_a_file_that_appears_is_noticed(tmp_path: Path) -> None:
    config, runtime, _ = make(Source("a", tmp_path / "a.json"))
    config.load()
    (tmp_path / "a.json").write_text("{}")
    assert config.changed
    config.load()
    assert runtime.config_source == "a"


@pytest.mark.parametrize("required", [True, False])
def test_a_config_from_elsewhere_does_not_hide_what_is_wrong_with_the_file(
    required: bool, tmp_path: Path
) -> None:
    place, default = tmp_path / "a.json", tmp_path / "default.json"
    default.write_text("{}")
    if not required:
        place.write_text("{")
    config, runtime, _ = make(Source("a", place, required), Source("default", default))
    assert not config.load()
    faults = config.faults
    assert len(faults) == 1
    assert config.put_in_force("{}", "POST")
    assert (runtime.config_source, config.faults) == ("POST", faults)
    assert not config.put_in_force("{", "POST")
    assert config.faults == faults
    place.write_text("{}")
    assert config.load()
    assert config.faults == []


def test_a_link_to_itself_is_noticed_when_it_comes_and_when_it_goes(tmp_path: Path) -> None:
    place, default = tmp_path / "a.json", tmp_path / "default.json"
    default.write_text("{}")
    config, runtime, _ = make(Source("a", place), Source("default", default))
    config.load()
    place.symlink_to(place)
    assert config.changed
    assert not config.load()
    place.unlink()
    assert config.changed
    assert config.load()
    assert (config.faults, runtime.config_source) == ([], "default")


def test_the_environment_comes_first_and_the_shipped_file_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HEARTH_CONFIG", str(tmp_path / "mine.json"))
    sources = find_sources(tmp_path)
    assert [sources[0].label, sources[-1].label] == ["HEARTH_CONFIG", "shipped default"]
    assert sources[-1].path == tmp_path / "config" / "hearth.json"


@pytest.mark.parametrize("is_new", [True, False])
def test_comfyuis_user_directory_comes_between_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, is_new: bool
) -> None:
    folder_paths = SimpleNamespace(get_user_directory=lambda: str(tmp_path / "user"))
    if is_new:
        folder_paths.get_system_user_directory = lambda name: str(tmp_path / "user" / f"__{name}")
    monkeypatch.setitem(sys.modules, "folder_paths", folder_paths)
    monkeypatch.setenv("HEARTH_CONFIG", str(tmp_path / "mine.json"))
    folder = tmp_path / "user" / ("__hearth" if is_new else "hearth")
    assert [source.path for source in find_sources(tmp_path)] == [
        tmp_path / "mine.json",
        folder / "hearth.json",
        tmp_path / "config" / "hearth.json",
    ]
