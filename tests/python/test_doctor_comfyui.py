"""What `hearth doctor` says of a ComfyUI, its flags and hearth's config."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from hearth import doctor
from hearth.doctor import comfyui, config
from hearth.doctor.flags import flag_findings

from tests.python.fakes.machines import MadeUp, levels, made_up, only


@pytest.fixture
def machine(tmp_path: Path) -> MadeUp:
    return made_up(tmp_path)


@pytest.fixture
def checkout(tmp_path: Path) -> comfyui.Checkout:
    folder = tmp_path / "ComfyUI"
    for file in ("main.py", "comfy/sd.py", "custom_nodes/hearth/comfy_nodes/composition.py"):
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        (folder / file).touch()
    (folder / "comfyui_version.py").write_text('__version__ = "0.33.0"\n')
    return comfyui.Checkout(folder, asked_for=True)


class TestComfyUI:
    @pytest.mark.parametrize(
        ("number", "level"), [("0.33.0", "ok"), ("0.3.64", "note"), ("0.3.10", "warning")]
    )
    def test_versions(self, checkout: comfyui.Checkout, number: str, level: str) -> None:
        (checkout.path / "comfyui_version.py").write_text(f'__version__ = "{number}"\n')
        assert levels(comfyui.version(checkout)) == [level]

    @pytest.mark.parametrize(("asked_for", "level"), [(True, "problem"), (False, "warning")])
    def test_a_comfyui_without_hearth_gets_the_command(
        self, checkout: comfyui.Checkout, machine: MadeUp, asked_for: bool, level: str
    ) -> None:
        pack = checkout.path / "custom_nodes" / "hearth"
        pack.rename(pack.with_name("gone"))
        (checkout.path / "custom_nodes" / "gone" / "comfy_nodes" / "composition.py").unlink()
        found = only(comfyui.pack(comfyui.Checkout(checkout.path, asked_for), machine))
        assert found.level == level
        assert str(pack) in found.todo

    def test_a_disabled_pack_is_told(self, checkout: comfyui.Checkout, machine: MadeUp) -> None:
        pack = checkout.path / "custom_nodes" / "hearth"
        pack.rename(pack.with_name("hearth.disabled"))
        found = only(comfyui.pack(checkout, machine))
        assert found.todo == f"`mv {pack}.disabled {pack}`"

    def test_a_second_pack_is_a_problem(self, checkout: comfyui.Checkout, machine: MadeUp) -> None:
        pack = checkout.path / "custom_nodes" / "hearth"
        pack.with_name("hearth2").symlink_to(pack)
        assert levels(comfyui.pack(checkout, machine)) == ["problem"]

    def test_a_module_for_another_python_is_a_problem(
        self, checkout: comfyui.Checkout, machine: MadeUp, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HEARTH_PYTHON", "comfy-python")
        answer = {"python": "3.13", "torch": "2.11.0+cpu", "aimdo": "", "hearth": ""}
        machine.answer = (0, "noise\n" + json.dumps(answer | {"fault": "is not built."}))
        _, built, torch = comfyui.pack(checkout, machine)
        assert built.level == "problem" and "Python 3.13" in built.what
        assert "HEARTH_PYTHON=comfy-python ./dev build" in built.todo
        assert torch.level == "warning" and "no GPU" in torch.what

    def test_the_probe_says_whether_hearth_can_be_imported(
        self, checkout: comfyui.Checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("HEARTH_PYTHON", sys.executable)
        pack = checkout.path / "custom_nodes" / "hearth"
        _, built, *_ = comfyui.pack(checkout, doctor.Machine())
        assert built.level == "problem"  # its bindings are missing
        bindings = Path(doctor.__file__).resolve().parents[2]
        (pack / "bindings").symlink_to(bindings)
        _, built, *_ = comfyui.pack(checkout, doctor.Machine())
        assert built.level == "ok", built.what

    def test_the_flags_of_a_running_comfyui_are_read(
        self, checkout: comfyui.Checkout, machine: MadeUp
    ) -> None:
        assert only(comfyui.flags(checkout, machine)).level == "note"
        machine.servers = [
            (7, ["python", "main.py", "--port", "1"], checkout.path),
            (8, ["python", "-s", str(checkout.path / "main.py"), "--highvram"], Path("/")),
            (9, ["python", "main.py", "--cache-none"], Path("/")),
        ]
        fine, high = comfyui.flags(checkout, machine)
        assert (fine.level, fine.subject) == ("ok", "7")
        assert (high.level, high.subject) == ("warning", "--highvram")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ([], {}),
        (["--listen", "--port", "8188"], {}),
        (["--cache-lru=100"], {"--cache-lru": "note"}),
        (["--disable-dynamic-vram"], {"--disable-dynamic-vram": "warning"}),
        (["--disable-pinned-memory"], {"--disable-pinned-memory": "warning"}),
        (["--cache-none", "--gpu-only"], {"--gpu-only": "warning", "--cache-none": "warning"}),
        (["--disable-all-custom-nodes"], {"--disable-all-custom-nodes": "problem"}),
        (["--disable-all-custom-nodes", "--whitelist-custom-nodes", "a", "hearth"], {}),
        (
            ["--whitelist-custom-nodes", "a", "--disable-all-custom-nodes"],
            {"--disable-all-custom-nodes": "problem"},
        ),
    ],
)
def test_flags_that_defeat_hearth_are_told(words: list[str], expected: dict[str, str]) -> None:
    found = flag_findings(words, ["hearth"])
    assert {finding.subject: finding.level for finding in found} == expected
    assert all(finding.todo for finding in found)


class TestConfig:
    def test_every_fault_has_its_pointer(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file = tmp_path / "hearth.json"
        file.write_text('{"max_cached_model": 3, "budget": {"ram_gib": -1}}')
        monkeypatch.setenv("HEARTH_CONFIG", str(file))
        found = list(config.configuration(None))
        assert {finding.subject for finding in found} == {"/max_cached_model", "/budget/ram_gib"}
        assert {finding.level for finding in found} == {"problem"}

    def test_the_users_file_counts_before_the_shipped_one(
        self, checkout: comfyui.Checkout, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.delenv("HEARTH_CONFIG", raising=False)
        assert next(iter(config.configuration(checkout.path))).facts["source"] == "shipped default"
        file = checkout.path / "user" / "__hearth" / "hearth.json"
        file.parent.mkdir(parents=True)
        file.write_text('{"budget": {"ram_gib": 5}}')
        assert next(iter(config.configuration(checkout.path))).facts["path"] == str(file)
        assert config.values_in_force(checkout.path)["budget"]["ram_gib"] == 5

    @pytest.mark.parametrize("spoil", [Path.mkdir, lambda path: path.write_bytes(b"\xff\xfe")])
    def test_a_config_that_cannot_be_read_is_a_problem(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, spoil: Callable[[Path], object]
    ) -> None:
        spoil(tmp_path / "hearth.json")
        monkeypatch.setenv("HEARTH_CONFIG", str(tmp_path / "hearth.json"))
        found = next(iter(config.configuration(None)))
        assert (found.level, "the defaults are in force" in found.what) == ("problem", True)
