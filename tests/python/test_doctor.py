"""`hearth doctor` on made-up machines: each look both ways, and a machine that has nothing."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from jsonschema import validate

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from hearth import doctor, host_files
from hearth.cli import main
from hearth.device import DeviceProbe
from hearth.doctor import hardware, models
from hearth.doctor.finding import look

from tests.python.fakes.machines import GIB, Bare, MadeUp, levels, made_up, only

SCHEMA = {
    "type": "object",
    "required": ["schema", "hearth", "counts", "findings"],
    "additionalProperties": False,
    "properties": {
        "schema": {"const": 1},
        "hearth": {"type": "string"},
        "counts": {"required": ["ok", "note", "warning", "problem"]},
        "findings": {
            "type": "array",
            "items": {
                "required": ["check", "level", "what", "todo", "subject", "facts"],
                "additionalProperties": False,
                "properties": {
                    "check": {"type": "string"},
                    "level": {"enum": ["ok", "note", "warning", "problem"]},
                    "what": {"type": "string", "minLength": 1},
                    "todo": {"type": "string"},
                    "subject": {"type": "string"},
                    "facts": {"type": "object"},
                },
            },
        },
    },
}


@pytest.fixture
def machine(tmp_path: Path) -> MadeUp:
    return made_up(tmp_path)


@pytest.fixture
def model_folder(tmp_path: Path) -> Iterator[Path]:
    folder = tmp_path / "models"
    folder.mkdir()
    (folder / "big.safetensors").write_bytes(os.urandom(3 << 20))
    (folder / "small.safetensors").write_bytes(b"small")
    yield folder
    host_files.tier().give_way()


class TestHardware:
    def test_a_gpu_and_its_cuda_are_named(self, machine: MadeUp) -> None:
        found = only(hardware.driver(machine))
        assert (found.level, found.todo) == ("ok", "")
        assert "CUDA 13.0" in found.what and "NVIDIA H200 (139.0 GiB)" in found.what

    def test_without_a_gpu_the_reason_and_the_remedy_are_said(self, machine: MadeUp) -> None:
        machine.probe = DeviceProbe(0, "libcuda.so.1 not found")
        found = only(hardware.driver(machine))
        assert found.level == "warning" and "libcuda.so.1" in found.what
        assert "nvidia-smi" in found.todo

    def test_a_driver_too_old_for_dynamic_vram_is_a_warning(self, machine: MadeUp) -> None:
        machine.probe = DeviceProbe(12040, "", machine.probe.devices)
        assert "12.8" in only(hardware.driver(machine)).what

    def test_persistence_mode(self, machine: MadeUp) -> None:
        assert levels(hardware.persistence(machine)) == ["ok"]
        machine.answer = (0, "580.1, Enabled\n580.1, Disabled\n")
        assert only(hardware.persistence(machine)).todo == "`sudo nvidia-smi -pm 1`"
        machine.answer = (9, "NVIDIA-SMI has failed\n")
        (found,) = look("persistence", lambda: hardware.persistence(machine))
        assert found.what.startswith("could not be looked at, because nvidia-smi ended with 9")

    @pytest.mark.parametrize(
        ("most", "level"), [(None, "ok"), (64 * GIB, "ok"), (8 << 20, "note"), (0, "note")]
    )
    def test_little_lockable_memory_is_noted(
        self, machine: MadeUp, most: int | None, level: str
    ) -> None:
        machine.memlock = most
        found = only(hardware.memlock(machine))
        assert found.level == level
        assert bool(found.todo) == (level != "ok")

    def test_a_control_groups_limit_is_told(self, machine: MadeUp) -> None:
        assert levels(hardware.control_group(machine)) == ["ok"]
        machine.memory = (16 * GIB, 8 * GIB)
        assert "16.0 GiB of the machine's 64.0 GiB" in only(hardware.control_group(machine)).what

    def test_budgets_that_the_machine_cannot_keep_are_warnings(self, machine: MadeUp) -> None:
        def level(**budget: float | None) -> str:
            return only(hardware.free_memory(machine, {"budget": budget})).level

        assert level(ram_gib=None, keep_free_ram_gib=None) == "ok"
        assert level(ram_gib=32.0, keep_free_ram_gib=8.0) == "ok"
        assert level(ram_gib=65.0) == "warning"
        assert level(keep_free_ram_gib=61.0) == "warning"

    def test_the_page_cache_is_counted_without_shared_memory(self, machine: MadeUp) -> None:
        assert only(hardware.page_cache(machine)).facts == {"cached_bytes": 8 * GIB}


class TestModels:
    def test_a_folder_is_looked_at_by_its_largest_file(self, model_folder: Path) -> None:
        found = only(models.folder_is_there(model_folder))
        assert "big.safetensors" in found.what
        assert found.todo.endswith(f"`hearth check {model_folder}`")

    def test_a_folder_that_is_none_is_a_problem(self, tmp_path: Path) -> None:
        assert levels(models.folder_is_there(tmp_path / "none")) == ["problem"]

    @pytest.mark.parametrize(
        ("kind", "level"),
        [("ext4", "ok"), ("tmpfs", "note"), ("overlay", "note"), ("nfs", "warning")]
        + [("vfat", "warning")],
    )
    def test_file_systems_that_cost_something_are_told(
        self, model_folder: Path, monkeypatch: pytest.MonkeyPatch, kind: str, level: str
    ) -> None:
        class Held:
            file_system = kind

            def __enter__(self) -> Held:
                return self

            def __exit__(self, *_: object) -> None: ...

        class Tier:
            def hold(self, path: Path) -> Held:
                return Held()

        monkeypatch.setattr(models.host_files, "tier", Tier)
        found = only(models.file_system(model_folder))
        assert (found.level, found.facts) == (level, {"file_system": kind})

    def test_the_disks_rate_is_measured(
        self, model_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(models, "read_seconds", lambda *_, **__: 0.001)
        assert only(models.disk(model_folder)).facts["gb_per_s"] == pytest.approx(3.146, abs=0.01)

    def test_a_refused_direct_read_is_a_note(
        self, model_folder: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refuse(*_: object, **__: object) -> float:
            raise OSError(22, "Invalid argument")

        monkeypatch.setattr(models, "read_seconds", refuse)
        found = only(models.disk(model_folder))
        assert found.level == "note" and "Invalid argument" in found.what

    def test_without_a_gpu_the_file_is_mapped_and_not_registered(
        self, model_folder: Path, machine: MadeUp
    ) -> None:
        machine.probe = DeviceProbe(0, "no driver")
        mapped, registering = models.mapping(model_folder, machine)
        assert mapped.level == "ok"
        assert registering.what == "not tried: no driver"
        assert host_files.tier().stats()["mapped_bytes"] == 0

    @pytest.mark.parametrize(("registered", "level"), [(3 << 20, "ok"), (0, "warning")])
    def test_registering_is_tried_where_there_is_a_gpu(
        self, machine: MadeUp, registered: int, level: str
    ) -> None:
        class Held:
            refusal = "cuMemHostRegister: not supported."

            def read_ahead(self, **_: object) -> None: ...

            def register(self, max_bytes: int) -> int:
                return registered

        found = models._registering(Held(), machine, "folder")  # type: ignore[arg-type]
        assert found.level == level
        assert ("not supported" in found.what) == (level == "warning")


class TestCommand:
    @pytest.fixture(autouse=True)
    def _nothing_of_this_machine(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("HOME", str(tmp_path))
        for name in ("COMFYUI_PATH", "HEARTH_CONFIG", "HEARTH_PYTHON"):
            monkeypatch.delenv(name, raising=False)

    def test_a_machine_without_anything_is_looked_at_to_the_end(self, model_folder: Path) -> None:
        found = doctor.examine([str(model_folder)], machine=Bare())
        failed = {f.check for f in found if f.what.startswith("could not be looked at, because")}
        assert {"driver", "persistence", "memlock", "cgroup", "memory", "page_cache"} <= failed
        assert found[-1].check == "mapping"
        assert "problem" not in {finding.level for finding in found}

    def test_json_is_one_object_of_a_stable_form(
        self, model_folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["doctor", "--json", "--models", str(model_folder)]) == 0
        answer = json.loads(capsys.readouterr().out)
        validate(answer, SCHEMA)
        checks = [finding["check"] for finding in answer["findings"]]
        assert checks[:3] == ["driver", "persistence", "memlock"]
        assert {"file_system", "disk", "mapping", "registering"} <= set(checks)
        assert sum(answer["counts"].values()) == len(checks)

    def test_a_problem_makes_the_exit_code_one(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["doctor", "--comfyui", str(tmp_path)]) == 1
        shown = capsys.readouterr().out
        assert f"✗ comfyui      {tmp_path} is no ComfyUI" in shown
        assert "1 problem," in shown

    def test_a_comfyui_that_the_environment_names_must_be_one(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "nope"))
        assert main(["doctor"]) == 1
        assert f"{tmp_path / 'nope'} is no ComfyUI" in capsys.readouterr().out

    def test_a_fault_of_the_config_is_told_once(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        config = tmp_path / "hearth.json"
        config.write_text('{"max_cached_models": "4", "max_cached_model": 3}', encoding="utf-8")
        monkeypatch.setenv("HEARTH_CONFIG", str(config))
        assert main(["doctor"]) == 1
        shown = " ".join(capsys.readouterr().out.split())
        assert shown.count('found "4"') == 1
        assert shown.count("did you mean") == 1
