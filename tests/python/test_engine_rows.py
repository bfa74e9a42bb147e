"""The rows of the engine, without a ComfyUI: the process that stays, the table, the distances."""

from __future__ import annotations

import json
import os
import threading
import time
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import pytest

for package in ("torch", "tokenizers", "PIL", "safetensors", "comfy_api_simplified", "websockets"):
    pytest.importorskip(package, reason=f"NOT RUN, needs {package}: ./dev setup")
pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

import numpy as np  # noqa: E402
import torch  # noqa: E402
from PIL import Image  # noqa: E402
from safetensors.torch import load_file, save_file  # noqa: E402

from benchmarks.engine_rows import __main__ as engine_rows  # noqa: E402
from benchmarks.engine_rows import catalogue, distances, makers, report  # noqa: E402
from benchmarks.engine_rows.catalogue import Amounts, Session  # noqa: E402
from benchmarks.engine_rows.comfy_maker import compiled  # noqa: E402
from benchmarks.engine_rows.headless_maker import HeadlessMaker  # noqa: E402
from benchmarks.engine_rows.makers import PARTS, Deadline, Made, Wish  # noqa: E402
from benchmarks.engine_rows.prompts import prompt  # noqa: E402
from benchmarks.engine_rows.vram import VramWatch  # noqa: E402
from benchmarks.harness import toy_zimage  # noqa: E402
from benchmarks.harness.workflows import on_engine  # noqa: E402
from benchmarks.rows.starting import Setting  # noqa: E402

GRAPH = toy_zimage.graph(steps=4)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("engine_rows")
    toy_zimage.write_all(folder / "models")
    (folder / "workflow.json").write_text(json.dumps(GRAPH), encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def headless(place: Path) -> Iterator[HeadlessMaker]:
    setting = Setting({"A": GRAPH}, place / "models", place, cpu=True)
    tokenizer = place / "models" / toy_zimage.TOKENIZER
    with HeadlessMaker(setting, place / "workflow.json", tokenizer, Deadline(120)) as maker:
        yield maker


def test_headless_images_are_there_when_it_says_so(headless: HeadlessMaker, place: Path) -> None:
    wishes = [Wish(prompt(number), number, 64) for number in range(3)]
    tickets = [headless.send(wish) for wish in wishes]
    made = [headless.wait(ticket) for ticket in tickets]
    ends = [each.finished for each in made]
    assert ends == sorted(ends)
    files = sorted((place / "headless" / "output").glob("*.png"))
    assert len({file.read_bytes() for file in files}) == len(wishes)
    assert ends[-1] >= files[-1].stat().st_mtime - 0.05
    assert all(each.seconds > 0 and each.parts == {} for each in made)


def test_headless_parts_are_told_where_they_are_asked_for(headless: HeadlessMaker) -> None:
    made = headless.wait(headless.send(Wish("parts", 5, 64, with_parts=True)))
    assert set(made.parts) == {"text", "sampling", "step", "vae", "png"}
    assert 0 < made.parts["step"] < made.parts["sampling"] < made.seconds


def test_a_refused_wish_is_told_and_the_next_one_is_made(headless: HeadlessMaker) -> None:
    with pytest.raises(RuntimeError, match="width"):
        headless.wait(headless.send(Wish("too small", 6, 1)))
    assert headless.wait(headless.send(Wish("a good one", 6, 64))).seconds > 0


def test_headless_leaves_its_latents_and_those_with_parity(
    headless: HeadlessMaker, tmp_path: Path
) -> None:
    headless.keep(Wish("kept", 7, 64), tmp_path)
    for name in ("headless", "headless_parity"):
        assert load_file(tmp_path / name / "latents.safetensors")["latent_tensor"].shape[1] == 16
        assert Image.open(tmp_path / name / "image.png").size == (64, 64)


class Slow:
    """A maker whose images take a second and a half of a clock of its own."""

    start_seconds = 3.0

    def __init__(self) -> None:
        self.wishes: list[Wish] = []
        self.free_at = 0.0

    def send(self, wish: Wish) -> str:
        self.wishes.append(wish)
        return str(len(self.wishes))

    def wait(self, ticket: str) -> Made:
        self.free_at += 1.5
        return Made(self.free_at - 1.5, self.free_at, {"vae": 0.25})

    def keep(self, wish: Wish, folder: Path) -> None:
        raise AssertionError


def test_every_wish_is_another_one(tmp_path: Path) -> None:
    maker = Slow()
    session = Session(maker, Amounts(count=4), tmp_path)
    for row in catalogue.ROWS[:5]:
        row.measure(session)
    assert len({wish.seed for wish in maker.wishes}) == len(maker.wishes)
    assert len({wish.prompt for wish in maker.wishes}) == len(maker.wishes)


def test_who_is_slower_than_requests_come_gets_no_open_loop(tmp_path: Path) -> None:
    maker = Slow()
    session = Session(maker, Amounts(count=2), tmp_path)
    rows = {row.name: row for row in catalogue.ROWS}
    assert rows["sustained"].measure(session)["an_image"] == [1.5]
    sent = len(maker.wishes)
    assert rows["paced"].measure(session) == {"falls_behind": [1.5]}
    assert len(maker.wishes) == sent


def test_an_open_loop_counts_from_the_moment_a_request_was_due(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [100.0]

    def sleep(seconds: float) -> None:
        now[0] += seconds

    monkeypatch.setattr(time, "time", lambda: now[0])
    monkeypatch.setattr(time, "sleep", sleep)

    class Busy(Slow):
        def send(self, wish: Wish) -> str:
            self.free_at = max(self.free_at, now[0]) + 0.75
            return str(self.free_at)

        def wait(self, ticket: str) -> Made:
            return Made(float(ticket) - 0.75, float(ticket))

    rows = {row.name: row for row in catalogue.ROWS}
    for name, seconds in (("paced", [0.75] * 4), ("paired", [0.75, 1.5] * 2)):
        session = Session(Busy(), Amounts(loop_seconds=4), tmp_path)
        assert rows[name].measure(session)["seconds"] == pytest.approx(seconds)


def test_a_step_is_the_mean_of_those_that_were_told() -> None:
    assert makers.mean_step([(0, 9.0), (1, 10.0), (3, 11.0), (8, 13.5)])["step"] == 0.5
    assert makers.mean_step([(0, 9.0), (1, 10.0)]) == {}


def test_the_engine_graph_has_its_nodes_and_their_parts_are_the_stock_ones() -> None:
    changed = on_engine(GRAPH)
    for name in ("decode", "save"):
        assert changed[name]["class_type"] != GRAPH[name]["class_type"]
        assert PARTS[changed[name]["class_type"]] == PARTS[GRAPH[name]["class_type"]]
    assert changed["unet"]["class_type"] == "HearthZImageLoader"
    assert changed["sampler"] == GRAPH["sampler"]


def test_the_compiled_graph_has_the_node_before_the_sampler() -> None:
    changed = compiled(GRAPH)
    assert changed["compiled"]["inputs"] == {"model": ["shift", 0], "backend": "inductor"}
    assert changed["sampler"]["inputs"]["model"] == ["compiled", 0]
    assert changed["shift"] == GRAPH["shift"] and "compiled" not in GRAPH


def test_a_passed_deadline_ends_the_waiting() -> None:
    deadline = Deadline(1e-9)
    threading.Event().wait(0.001)
    with pytest.raises(TimeoutError, match="limit"):
        deadline.left()


def test_the_peak_is_the_most_since_it_was_last_asked(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smi, fifo = tmp_path / "nvidia-smi", tmp_path / "figures"
    os.mkfifo(fifo)
    smi.write_text(f"#!/bin/sh\nexec cat {fifo}\n", encoding="ascii")
    smi.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    with VramWatch() as watch, fifo.open("w", encoding="ascii") as figures:

        def peak_of(lines: str) -> float:
            figures.write(lines)
            figures.flush()
            while (peak := watch.take_peak_gib()) is None:
                pass
            return peak

        assert peak_of("3072\n") == 3.0
        assert peak_of("[N/A]\n1024\n") == 1.0
        assert watch.take_peak_gib() is None


def test_distances_are_those_of_the_kept_files(tmp_path: Path) -> None:
    for name, value in (("stock", 2.0), ("headless", 2.5), ("hearth", 2.0)):
        keep(tmp_path / "1" / name, value)
    found = distances.compare(tmp_path, seeds=1)
    assert set(found) == {"headless", "hearth"}
    assert found["headless"]["latents_rel_l2"] == pytest.approx(0.25)
    assert found["headless"]["psnr_db"] == pytest.approx(34.15, abs=0.01)
    equal = {"latents_rel_l2": 0.0, "psnr_db": None, "equal_values": 1.0}
    assert found["hearth"].items() >= equal.items()
    assert found["hearth"]["equal_images"] == 1


def test_distances_are_means_over_seeds_and_their_worst(tmp_path: Path) -> None:
    for seed, value in ((1, 2.5), (2, 3.0)):
        keep(tmp_path / str(seed) / "stock", 2.0)
        keep(tmp_path / str(seed) / "headless", value)
    keep(tmp_path / "1" / "hearth", 2.0)  # not made with every seed
    found = distances.compare(tmp_path, seeds=2)
    assert set(found) == {"headless"}
    assert found["headless"]["latents_rel_l2"] == pytest.approx(0.375)
    assert found["headless"]["psnr_db"] == pytest.approx((34.15 + 28.13) / 2, abs=0.01)
    assert found["headless"]["worst_psnr_db"] == pytest.approx(28.13, abs=0.01)
    assert len(found["headless"]["by_seed"]) == 2


def keep(folder: Path, value: float) -> None:
    """A variant's latents and image, all of one value."""
    folder.mkdir(parents=True)
    save_file({"latent_tensor": torch.full((1, 4), value)}, folder / "latents.safetensors")
    Image.fromarray(np.full((2, 2, 3), int(value * 10), np.uint8)).save(folder / "image.png")


def entry(variant: str, row: str, vram: float | None = None, **samples: list[float]) -> Any:
    about = {"gpu": "G", "torch": "2", "python": "3", "commit": "c", "command": "x"}
    return {"variant": variant, "row": row, "samples": samples, "vram_gib": vram, **about}


def shown(tmp_path: Path, entries: list[Any]) -> dict[str, list[str]]:
    file = tmp_path / "rows.jsonl"
    file.write_text("".join(json.dumps(each) + "\n" for each in entries), encoding="utf-8")
    return {cells[0]: cells[1:] for cells in report.table(report.read([file]))}


def test_the_table_says_what_is_reached(tmp_path: Path) -> None:
    found = shown(
        tmp_path,
        [
            entry("stock", "new_prompt", 20.0, seconds=[1.3, 1.4, 1.2]),
            entry("headless", "new_prompt", 19.0, seconds=[0.7, 0.9, 0.6]),
            entry("stock", "small", seconds=[0.5]),
            entry("headless", "small", 21.0, seconds=[0.21]),
            entry("stock", "paced", falls_behind=[1.3]),
            entry("headless", "paced", seconds=[0.7] * 99 + [1.8]),
        ],
    )
    assert found["a new prompt"] == ["1.300 (1.400)", "0.700 (0.900)", "0.75: yes"]
    assert found["the small size, a new prompt"][-1] == "ComfyUI's / 2.5: no"
    assert found["VRAM, peak, GiB"] == ["20.0", "21.0", "ComfyUI's: no"]
    paced = found["one request a second: P50, P95, worst"]
    assert paced == ["falls behind: 1.30 an image", "0.70, 0.70, 1.80", "P95 0.9: yes"]


def distance(variant: str, psnr: float | None) -> Any:
    found = {"latents_rel_l2": 1e-3, "psnr_db": psnr, "worst_psnr_db": psnr}
    return entry(variant, "distance") | found | {"by_seed": [[1e-3, psnr]] * 10}


def test_images_may_be_3_db_farther_off_than_another_attention_makes_them(tmp_path: Path) -> None:
    what = "latents from ComfyUI's, rel. L2; images, PSNR"
    found: dict[str, list[str]] = {}
    for swapped, own, verdict in (
        (48.0, 45.1, "yes"),
        (48.0, 44.9, "no"),
        (None, 45.0, "no"),  # equal images: nothing was swapped
        (48.0, None, "yes"),
        (None, None, "yes"),
    ):
        found = shown(tmp_path, [distance("cudnn", swapped), distance("headless", own)])
        assert found[what][-1].endswith(f"less 3 dB: {verdict}")
    assert "1.0e-03, images equal, 10 seeds" in found[what]
    alone = shown(tmp_path, [distance("headless", 45.0)])
    assert alone[what] == ["1.0e-03, 45.0 dB (worst 45.0), 10 seeds", _UNJUDGED]


_UNJUDGED = "ComfyUI with cuDNN's attention less 3 dB"


def test_a_failure_is_shown_until_it_was_measured(tmp_path: Path) -> None:
    failed = entry("compiled", "new_prompt") | {"error": "no compiler"}
    measured = entry("compiled", "new_prompt", seconds=[1.0])
    assert shown(tmp_path, [failed])["a new prompt"][0] == "failed"
    for entries in ([failed, measured], [measured, failed]):
        assert shown(tmp_path, entries)["a new prompt"][0] == "1.000"


def test_figures_are_not_mixed_with_others_unasked(
    place: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "rows.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(SystemExit) as ended:
        engine_rows.main(["--models", str(place / "models"), "--out", str(tmp_path)])
    assert ended.value.code == 2
    assert "--append" in capsys.readouterr().err


def test_a_variant_that_fails_leaves_the_others_their_rows(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Failing(Slow):
        def wait(self, ticket: str) -> Made:
            if len(self.wishes) > 4:
                raise RuntimeError("no compiler\nand a trace")
            return super().wait(ticket)

    opened = {"compiled": Failing, "stock": Slow}
    variants = {name: lambda *_, made=made: nullcontext(made()) for name, made in opened.items()}
    monkeypatch.setattr(engine_rows, "VARIANTS", variants)
    common = ["--models", str(place / "models"), "--out", str(tmp_path), "--count", "1"]
    common += ["--variants", "compiled,stock", "--rows", "first,new_prompt,sustained"]
    assert engine_rows.main(common) == 1
    texts = (tmp_path / "rows.jsonl").read_text(encoding="utf-8").splitlines()
    entries = [json.loads(text) for text in texts]
    assert [(each["variant"], each["row"], each.get("error")) for each in entries] == [
        ("compiled", "first", None),
        ("compiled", "new_prompt", "no compiler"),
        *(("stock", row, None) for row in ("first", "new_prompt", "sustained")),
    ]
