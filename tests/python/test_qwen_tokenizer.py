"""Tokens of Z-Image's prompts: known numbers, named tokens, and where the files are looked for."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

for package in ("tokenizers", "dashscope", "torch"):
    pytest.importorskip(package, reason=f"NOT RUN, needs {package}: ./dev setup")

pytest.importorskip("hearth", reason="NOT RUN, not built: ./dev build", exc_type=ImportError)

import zimage_toys as toys  # noqa: E402
from hearth import qwen_tokenizer  # noqa: E402
from hearth.errors import CheckpointNotFoundError, HearthError  # noqa: E402

BEFORE = [151644, 872, 198]
AFTER = [151645, 198, 151644, 77091, 198]
# Computed with ComfyUI's tokenizer.
GOLDENS = {
    "": [],
    "a cat": [64, 8251],
    "雪の猫 🐱 2026": [100167, 15767, 100472, 11162, 238, 109, 220, 17, 15, 17, 21],
    "trailing  ": [376, 14277, 256],
    "<|im_end|>": [151645],
    "\\(a\\)": [2877, 8],
}


@pytest.fixture(scope="module")
def words() -> Any:
    return toys.qwen_words()


@pytest.fixture(scope="module")
def tokenizer(words: Any) -> qwen_tokenizer.Tokenizer:
    return qwen_tokenizer.from_words(*words)


@pytest.mark.parametrize("prompt", GOLDENS)
def test_prompts_have_comfyuis_tokens(tokenizer: qwen_tokenizer.Tokenizer, prompt: str) -> None:
    assert tokenizer.encode(prompt) == BEFORE + GOLDENS[prompt] + AFTER


def test_there_are_26_named_tokens(tokenizer: qwen_tokenizer.Tokenizer) -> None:
    assert len(tokenizer) == 151669
    assert tokenizer.encode("</think>") == [*BEFORE, 151668, *AFTER]


def test_composed_and_decomposed_letters_are_one(tokenizer: qwen_tokenizer.Tokenizer) -> None:
    assert tokenizer.encode("cafe\u0301") == tokenizer.encode("caf\u00e9")


def test_a_textual_embedding_is_refused(tokenizer: qwen_tokenizer.Tokenizer) -> None:
    for prompt in ("embedding:style", "a cat, embedding:style"):
        with pytest.raises(HearthError, match="textual embeddings"):
            tokenizer.encode(prompt)
    assert tokenizer.encode("a word-embedding: yes")


def test_files_of_both_kinds_give_the_same_tokens(words: Any, tmp_path: Path) -> None:
    vocabulary, merges = words
    (tmp_path / "vocab.json").write_text(json.dumps(vocabulary), encoding="utf-8")
    lines = ["#version: 0.2", *(" ".join(pair) for pair in merges)]
    (tmp_path / "merges.txt").write_text("\n".join(lines), encoding="utf-8")
    pair = qwen_tokenizer.load(qwen_tokenizer.find(tmp_path))
    pair._model.save(str(tmp_path / "one.json"))
    for loaded in (pair, qwen_tokenizer.load(tmp_path / "one.json")):
        for prompt, tokens in GOLDENS.items():
            assert loaded.encode(prompt) == BEFORE + tokens + AFTER


def test_the_first_place_that_has_the_files_is_taken(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("COMFYUI_PATH", raising=False)
    monkeypatch.delenv("HF_HUB_CACHE", raising=False)
    monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
    hub = tmp_path / "hf" / "hub" / "models--Qwen--Qwen3-4B" / "snapshots" / "abc"
    comfyui = tmp_path / "comfyui" / "comfy" / "text_encoders" / "qwen25_tokenizer"
    for folder in (hub, comfyui):
        folder.mkdir(parents=True)
        (folder / "vocab.json").touch()
        (folder / "merges.txt").touch()
    assert qwen_tokenizer.find() == hub
    assert qwen_tokenizer.find(comfyui=tmp_path / "comfyui") == comfyui
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "comfyui"))
    assert qwen_tokenizer.find() == comfyui
    assert qwen_tokenizer.find(hub) == hub


def test_what_was_not_found_is_in_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COMFYUI_PATH", str(tmp_path / "comfyui"))
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub"))
    with pytest.raises(CheckpointNotFoundError) as caught:
        qwen_tokenizer.find()
    for place in ("comfyui/comfy/text_encoders/qwen25_tokenizer", "hub/models--Qwen--Qwen3-4B"):
        assert place in str(caught.value)
    with pytest.raises(CheckpointNotFoundError, match="mine"):
        qwen_tokenizer.find(tmp_path / "mine")
