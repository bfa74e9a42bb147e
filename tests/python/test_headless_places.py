"""`hearth run` says where nothing can be written before it loads anything."""

from __future__ import annotations

import socket
import tempfile
from pathlib import Path

import pytest

pytest_plugins = ["headless_refused"]
pytest.importorskip("headless_refused")

from headless_graphs import changed, node, with_node  # noqa: E402
from headless_refused import Run  # noqa: E402
from hearth import cli  # noqa: E402


@pytest.mark.parametrize("option", ["--out", "--json", "--models", "--config"])
def test_a_variable_that_was_not_set_is_no_folder_and_no_file(
    place: Path, capsys: pytest.CaptureFixture[str], option: str
) -> None:
    with pytest.raises(SystemExit) as ended:
        cli.main(["run", "workflow.json", option, ""])
    assert ended.value.code == 2
    assert f"argument {option}: an empty name" in capsys.readouterr().err
    for command in (["check"], ["bench", "load"]):
        with pytest.raises(SystemExit):
            cli.main([*command, ""])
        assert "an empty name" in capsys.readouterr().err


def test_a_report_goes_to_a_stream_though_nothing_may_be_made_beside_it(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    make = tempfile.TemporaryDirectory

    def refuse(prefix: str, dir: Path) -> tempfile.TemporaryDirectory[str]:
        if dir == Path("/dev"):
            raise PermissionError(13, "Permission denied")
        return make(prefix=prefix, dir=dir)

    monkeypatch.setattr(tempfile, "TemporaryDirectory", refuse)
    for report, faults in (("/dev/stdout", []), ("/dev/r.json", ["--json"])):
        options = ["--models", "models", "--out", "output", "--json", report, "--repeat", "0"]
        assert cli.main(["run", "nowhere.json", *options]) == 2
        told = [line.split(":")[1].strip() for line in capsys.readouterr().err.splitlines()]
        assert told == ["--repeat", *faults, "nowhere.json"]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--out", "link"], "--out: {place}/link is a link to nothing"),
        (["--json", "link/r.json"], "--json: {place}/link is a link to nothing"),
        (["--json", "socket"], "--json: socket is a socket"),
        (["--out", "taken"], "node 9 (SaveImage), filename_prefix: {place}/taken/sub is a file"),
    ],
)
def test_what_has_the_name_of_an_output_already_is_told_before_anything_is_loaded(
    refused: Run, place: Path, options: list[str], words: str
) -> None:
    Path("link").symlink_to("nowhere")
    (place / "taken").mkdir()
    (place / "taken" / "sub").touch()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind("socket")
        code, lines = refused(changed("9/filename_prefix", "sub/toy"), *models_of(place), *options)
    assert code == 2
    assert len(lines) == 1, lines
    assert words.format(place=place) in lines[0]


def test_a_preview_needs_its_own_folder(refused: Run, place: Path) -> None:
    (place / "taken").mkdir()
    (place / "taken" / "temp").touch()
    graph = with_node("20", node("PreviewImage", images=["57:8", 0]))
    code, lines = refused(graph, *models_of(place), "--out", "taken")
    assert code == 2
    why = f"{place}/taken/temp is a file, so nothing can be written below it"
    assert lines == [f"hearth: node 20 (PreviewImage): {why}"]


def test_what_a_prewarm_node_names_is_not_written_over(refused: Run, place: Path) -> None:
    prewarm = node("HearthPrewarm", model="diffusion_models/z_image_b.safetensors")
    latents = ("--latent-out", "models/diffusion_models/z_image_b.safetensors")
    code, lines = refused(with_node("20", prewarm), *models_of(place), *latents)
    assert code == 2
    assert len(lines) == 1, lines
    assert "--latent-out: " in lines[0] and "is read by this run" in lines[0]


def models_of(place: Path) -> tuple[str, str]:
    return "--models", str(place / "models")
