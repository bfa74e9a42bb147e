"""Models of hearth's engine through the cache of a process, each test in a process of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="NOT RUN, needs torch")
pytest.importorskip("safetensors", reason="NOT RUN, needs safetensors")

_SETUP = """
import torch
from safetensors.torch import save_file

import hearth
from hearth import engine
from hearth.errors import CheckpointMismatchError, CheckpointNotFoundError

def write(name, fill=0.5):
    tensors = {"embed_tokens": (16, 8)}
    attention = {f"self_attn.{x}_proj": (8, 8) for x in "qkvo"}
    feed = {f"mlp.{x}_proj": (8, 8) for x in ("gate", "up", "down")}
    norms = {"self_attn.q_norm": (4,), "self_attn.k_norm": (4,)}
    around = {"input_layernorm": (8,), "post_attention_layernorm": (8,)}
    for part, shape in (attention | feed | norms | around).items():
        tensors[f"layers.0.{part}"] = shape
    save_file({f"model.{k}.weight": torch.full(v, fill) for k, v in tensors.items()}, name)

def file(name, kind="text_encoder"):
    return engine.ModelFile(kind, "CLIPLoader", name, (name,))

def acquire(name, kind="text_encoder"):
    return engine.acquire(file(name, kind), compute_type=torch.float32, requested_by="node 3")

def resident():
    return {each["key"].name for each in hearth.runtime().cache.residents()}

engine.start()
for name in "ab":
    write(name)
"""


def _run(script: str, folder: Path) -> None:
    """Runs it behind the set-up; throws what it printed when it failed."""
    done = subprocess.run(
        [sys.executable, "-c", _SETUP + script],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_a_model_is_loaded_once_and_says_who_asked(tmp_path: Path) -> None:
    _run(
        """
with acquire("a") as model:
    assert not model.was_hit and model.transformer is None
    first = model.text_encoder.encode(torch.tensor([[1, 2]]))
with acquire("a") as model:
    assert model.was_hit
    assert torch.equal(first, model.text_encoder.encode(torch.tensor([[1, 2]])))
opened = [e for e in hearth.runtime().cache.events(0, 100) if e["kind"] == "opened"]
assert [(e["model"], e["node"]) for e in opened] == [("a", "node 3")], opened
""",
        tmp_path,
    )


def test_a_model_whose_part_is_held_is_not_evicted(tmp_path: Path) -> None:
    _run(
        """
part = acquire("a").text_encoder
hearth.runtime().cache.trim(1 << 30, 0, "a test")
assert resident() == {"a"}
del part
hearth.runtime().cache.trim(1 << 30, 0, "a test")
assert resident() == set()
""",
        tmp_path,
    )


def test_a_pinned_model_stays_and_an_erased_one_goes(tmp_path: Path) -> None:
    _run(
        """
acquire("a").close(), acquire("b").close()
hearth.runtime().cache.pin(engine.key_of(file("a"), compute_type=torch.float32))
hearth.runtime().cache.trim(1 << 30, 0, "a test")
assert resident() == {"a"}
hearth.runtime().cache.erase_by_name("a", "a test")
assert resident() == set()
""",
        tmp_path,
    )


def test_what_cannot_be_loaded_is_an_error_and_nothing_stays(tmp_path: Path) -> None:
    _run(
        """
for name, kind, error in (
    ("nothing", "text_encoder", CheckpointNotFoundError),
    ("a", "vae", CheckpointMismatchError),
):
    try:
        acquire(name, kind)
    except error as raised:
        assert name in str(raised)
    else:
        raise AssertionError(name)
assert resident() == set()
""",
        tmp_path,
    )


def test_a_closed_model_says_so(tmp_path: Path) -> None:
    _run(
        """
model = acquire("a")
model.close()
try:
    model.text_encoder
except ValueError as error:
    assert "closed" in str(error)
else:
    raise AssertionError
""",
        tmp_path,
    )


def test_another_module_that_asks_for_the_handle_gets_an_error(tmp_path: Path) -> None:
    _run(
        """
key = engine.key_of(file("a"), compute_type=torch.float32)
acquire("a").close()
try:
    hearth.runtime().cache.lookup(key).value
except TypeError as error:
    assert "engine" in str(error)
else:
    raise AssertionError
""",
        tmp_path,
    )
