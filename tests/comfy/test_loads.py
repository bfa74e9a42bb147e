"""How often model files are read, counted by the spy and never by hearth itself."""

from __future__ import annotations

from collections import Counter

import pytest

from benchmarks.harness.live_comfy import LiveComfy
from benchmarks.harness.workflows import dual_clip_graph, sd3_graph, separate_graph

pytestmark = pytest.mark.older_too

A, B, C = (f"toy_sd3_{letter}.safetensors" for letter in "abc")


def _reads_in_turn(live: LiveComfy, checkpoints: list[str], first_seed: int) -> Counter[str]:
    """Reads while the checkpoints are used one after the other, each time with a new seed."""

    def work() -> None:
        for turn, checkpoint in enumerate(checkpoints):
            live.run(sd3_graph(checkpoint, seed=first_seed + turn))

    return Counter(live.reads_during(work))


def test_stock_reads_again_at_every_switch(stock: LiveComfy) -> None:
    stock.run(sd3_graph(C, seed=99))
    assert _reads_in_turn(stock, [A, B, A, B, A], 100) == {A: 3, B: 2}


def test_switching_back_and_forth_reads_each_file_once(hearth: LiveComfy) -> None:
    assert _reads_in_turn(hearth, [A, B, A, B, A], 100) == {A: 1, B: 1}


def test_round_robin_of_three_reads_each_file_once(hearth: LiveComfy) -> None:
    assert _reads_in_turn(hearth, [A, B, C] * 3, 110) == {A: 1, B: 1, C: 1}


def test_limit_of_one_model_reads_at_every_switch(hearth: LiveComfy) -> None:
    hearth.configure(max_cached_models=1)
    assert _reads_in_turn(hearth, [A, B, A, B, A], 120) == {A: 3, B: 2}
    assert hearth.hearth.resident() == {A}


def test_least_recently_used_model_goes_first(hearth: LiveComfy) -> None:
    hearth.configure(max_cached_models=2)
    _reads_in_turn(hearth, [B, *[A] * 20, C], 130)
    assert hearth.hearth.resident() == {A, C}
    assert _reads_in_turn(hearth, [A], 160) == {}


def test_use_counts_where_comfyui_works_and_not_in_its_loaders(hearth_with_lru: LiveComfy) -> None:
    # With `--cache-lru` A's loader node stays cached: its 20 seeds never call a loader.
    live = hearth_with_lru
    live.configure(max_cached_models=2)
    _reads_in_turn(live, [A, B, *[A] * 20, C], 170)
    assert live.hearth.resident() == {A, C}


def test_separate_files_are_read_once_each(hearth: LiveComfy) -> None:
    def work() -> None:
        for seed in (200, 201):
            hearth.run(separate_graph(seed=seed))
            hearth.run(sd3_graph(A, seed=seed))

    assert Counter(hearth.reads_during(work)) == {
        "toy_mmdit.safetensors": 1,
        "toy_clip_l_1.safetensors": 1,
        "toy_vae.safetensors": 1,
        A: 1,
    }


def test_two_text_encoders_of_one_loader_are_read_once_each(hearth: LiveComfy) -> None:
    def work() -> None:
        for seed in (210, 211):
            hearth.run(dual_clip_graph(seed=seed))
            hearth.run(sd3_graph(A, seed=seed))

    reads = Counter(hearth.reads_during(work))
    assert reads["toy_clip_l_1.safetensors"] == reads["toy_clip_l_2.safetensors"] == 1


def test_switching_hearth_off_while_running_leaves_loading_to_stock(hearth: LiveComfy) -> None:
    _reads_in_turn(hearth, [A, B], 220)
    hearth.configure(transparent=False)
    assert _reads_in_turn(hearth, [A, B, A], 230) == {A: 2, B: 1}
    hearth.configure()
    assert _reads_in_turn(hearth, [C, A, B, A, B], 240)[A] <= 1


def test_free_returns_the_memory(hearth: LiveComfy) -> None:
    _reads_in_turn(hearth, [A, B], 250)
    assert hearth.hearth.resident() == {A, B}
    hearth.client.free()
    hearth.wait_until_empty()
    assert _reads_in_turn(hearth, [A, B], 260) == {A: 1, B: 1}
