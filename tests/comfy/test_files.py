"""Model files that change, vanish or break while ComfyUI runs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest
from comfy_api_simplified.exceptions import ComfyApiError

from benchmarks.harness import toy_models
from benchmarks.harness.client import PromptFailedError
from benchmarks.harness.hearth_face import wait_until
from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import node, sd3_graph

pytestmark = pytest.mark.older_too


@pytest.fixture
def changing(models: Path) -> Path:
    """A checkpoint that a test may do anything to."""
    return toy_models.write_checkpoint(models / "checkpoints" / "changing.safetensors", 21)


@contextmanager
def refused_unread(live: LiveComfy) -> Iterator[pytest.ExceptionInfo[PromptFailedError]]:
    """The block's prompt fails, and ComfyUI's reader has seen no file by then."""
    before = len(live.server.reads())
    with pytest.raises(PromptFailedError) as refusal:
        yield refusal
    assert live.server.reads()[before:] == []


def test_replaced_file_is_read_once_and_gives_its_own_pixels(
    hearth: LiveComfy, stock: LiveComfy, changing: Path
) -> None:
    graph = sd3_graph(changing.name)
    old = hearth.run(graph).pixels
    toy_models.write_checkpoint(changing, 22)
    twin = toy_models.write_checkpoint(changing.with_name("twin.safetensors"), 22)
    new: list[tuple[str, ...]] = []
    reads = hearth.reads_during(lambda: new.extend(hearth.run(graph).pixels for _ in range(2)))
    assert new == [stock.run(sd3_graph(twin.name)).pixels] * 2
    assert new[0] != old
    assert reads == [changing.name]


@pytest.mark.parametrize("loader", ["CheckpointLoaderSimple", "HearthCheckpointLoader"])
def test_replaced_file_is_noticed_where_another_node_gives_its_name(
    hearth: LiveComfy, changing: Path, loader: str
) -> None:
    graph = sd3_graph(changing.name, seed=130)
    graph["name"] = node("SpyName", text=changing.name)
    graph["loader"] = node(loader, ckpt_name=["name", 0])
    old = hearth.run(graph).pixels
    toy_models.write_checkpoint(changing, 22)
    new: list[tuple[str, ...]] = []
    reads = hearth.reads_during(lambda: new.extend(hearth.run(graph).pixels for _ in range(2)))
    assert reads == [changing.name]
    assert new[0] == new[1] != old


def test_a_change_of_another_file_reads_nothing_where_another_node_gives_the_name(
    hearth: LiveComfy, changing: Path
) -> None:
    graph = sd3_graph("toy_sd3_a.safetensors", seed=131)
    graph["name"] = node("SpyName", text="toy_sd3_a.safetensors")
    graph["loader"] = node("CheckpointLoaderSimple", ckpt_name=["name", 0])
    old = hearth.run(graph).pixels
    toy_models.write_checkpoint(changing, 22)
    new: list[tuple[str, ...]] = []
    assert hearth.reads_during(lambda: new.append(hearth.run(graph).pixels)) == []
    assert new == [old]


def test_deleted_file_gives_comfyuis_own_answer(
    hearth: LiveComfy, stock: LiveComfy, changing: Path
) -> None:
    graph = sd3_graph(changing.name)
    hearth.run(graph)
    changing.unlink()
    with pytest.raises(ComfyApiError):
        hearth.run(graph)
    answer = hearth.client.post("/prompt", {"prompt": graph})
    assert answer == stock.client.post("/prompt", {"prompt": graph})
    assert answer[0] == 400


def test_a_deleted_file_takes_its_model_along(hearth: LiveComfy, changing: Path) -> None:
    hearth.run(sd3_graph(changing.name))
    assert changing.name in hearth.hearth.resident()
    changing.unlink()
    wait_until(lambda: changing.name not in hearth.hearth.resident(), "the model to be dropped")
    erased = [each for each in hearth.hearth.events() if each["kind"] == "erased"]
    assert (erased[-1]["model"], erased[-1]["reason"]) == (changing.name, "its file was deleted")


def test_broken_replacement_is_an_error_and_the_old_model_stays(
    hearth: LiveComfy, changing: Path
) -> None:
    hearth.run(sd3_graph(changing.name, seed=1))
    broken = changing.with_suffix(".partial")
    broken.write_bytes(changing.read_bytes()[:100_000])
    broken.replace(changing)
    with refused_unread(hearth) as refusal:
        hearth.run(sd3_graph(changing.name, seed=2))
    assert changing.name in str(refusal.value)
    assert "bytes are missing" in str(refusal.value)
    assert changing.name in hearth.hearth.resident()


def test_trailing_bytes_that_stock_takes_are_refused_before_anything_is_read(
    hearth: LiveComfy, stock: LiveComfy, changing: Path
) -> None:
    expected = stock.run(sd3_graph(changing.name, seed=3)).pixels
    with changing.open("ab") as file:
        file.write(b"more")
    with suppress(PromptFailedError):  # of a version of safetensors that refuses it as well
        assert stock.run(sd3_graph(changing.name, seed=3)).pixels in ((), expected)
    with refused_unread(hearth) as refusal:
        hearth.run(sd3_graph(changing.name, seed=3))
    assert changing.name in str(refusal.value)


def test_a_broken_file_costs_no_other_model_its_place(hearth: LiveComfy, changing: Path) -> None:
    hearth.configure(max_cached_models=1)
    resident = sd3_graph("toy_sd3_a.safetensors", seed=4)
    expected = hearth.run(resident).pixels
    changing.write_bytes(changing.read_bytes()[:100_000])
    with refused_unread(hearth):
        hearth.run(sd3_graph(changing.name, seed=4))
    assert hearth.hearth.resident() == {"toy_sd3_a.safetensors"}
    again: list[tuple[str, ...]] = []
    assert hearth.reads_during(lambda: again.append(hearth.run(resident).pixels)) == []
    assert again[0] in ((), expected)
    other = sd3_graph("toy_sd3_a.safetensors", seed=5)
    assert hearth.reads_during(lambda: hearth.run(other)) == []


def test_broken_replacement_that_is_mended_is_used_again(hearth: LiveComfy, changing: Path) -> None:
    graph = sd3_graph(changing.name)
    expected = hearth.run(graph).pixels
    good = changing.read_bytes()
    changing.write_bytes(good[:100_000])
    with pytest.raises(PromptFailedError):
        hearth.run(graph)
    changing.write_bytes(good)
    assert hearth.run(graph).pixels == expected
