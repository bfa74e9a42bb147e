"""Qwen's tokens for Z-Image prompts, as ComfyUI gives them.

Byte-level BPE over 151,643 words and 26 named tokens, read from files that are not part of hearth:
`find()` says where it looks. Needs the package `tokenizers`; importing this does not.
"""

from __future__ import annotations

import importlib
import json
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from hearth.errors import CheckpointNotFoundError, HearthError

TEMPLATE = "<|im_start|>user\n{}<|im_end|>\n<|im_start|>assistant\n"
"""What stands around a prompt; Qwen's chat form without its thinking part."""

# How text is cut before words are made of it: contractions, letters with one leading other
# character, single digits, other characters, line ends, spaces. Of Qwen2's published tokenizer.
_CUT = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}"
    r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
)
# In the order of their numbers, which follow those of the words. The names that end a turn or mark
# an image are "special", the others plain words that are never cut; a prompt may hold any of them.
_SPECIAL = (
    "<|endoftext|>",
    "<|im_start|>",
    "<|im_end|>",
    "<|object_ref_start|>",
    "<|object_ref_end|>",
    "<|box_start|>",
    "<|box_end|>",
    "<|quad_start|>",
    "<|quad_end|>",
    "<|vision_start|>",
    "<|vision_end|>",
    "<|vision_pad|>",
    "<|image_pad|>",
    "<|video_pad|>",
)
_NAMED = (
    "<tool_call>",
    "</tool_call>",
    "<|fim_prefix|>",
    "<|fim_middle|>",
    "<|fim_suffix|>",
    "<|fim_pad|>",
    "<|repo_name|>",
    "<|file_sep|>",
    "<tool_response>",
    "</tool_response>",
    "<think>",
    "</think>",
)
_COMFYUI_FOLDER = Path("comfy", "text_encoders", "qwen25_tokenizer")
_HUB_FOLDERS = (
    "models--Tongyi-MAI--Z-Image-Turbo/snapshots/*/tokenizer",
    "models--Tongyi-MAI--Z-Image/snapshots/*/tokenizer",
    "models--Qwen--Qwen3-4B/snapshots/*",
)


class Tokenizer:
    """Prompts to token numbers. May be used by any thread."""

    def __init__(self, model: Any) -> None:
        """`model`: a `tokenizers.Tokenizer`."""
        self._model = model

    def encode(self, prompt: str) -> list[int]:
        """The tokens of a prompt within the template; no padding and no limit.

        A backslash before a parenthesis is dropped, as ComfyUI drops it; there are no weights.
        Raises HearthError for `embedding:name`, which stands for a file of vectors there.
        """
        text = TEMPLATE.format(prompt.replace("\\)", ")").replace("\\(", "("))
        if re.search(r"(?<=\s)embedding:", text):
            raise HearthError(
                'hearth cannot read textual embeddings: take "embedding:..." out of the prompt.'
            )
        ids: list[int] = self._model.encode(text, add_special_tokens=False).ids
        return ids

    def __len__(self) -> int:
        """How many tokens there are, the named ones included."""
        return int(self._model.get_vocab_size(with_added_tokens=True))


def from_words(words: dict[str, int], merges: Sequence[tuple[str, str]]) -> Tokenizer:
    """A tokenizer of Qwen's kind over these words; the named tokens are numbered after them."""
    library = _library()
    model = library.Tokenizer(library.models.BPE(vocab=words, merges=list(merges)))
    cut = library.pre_tokenizers.Split(library.Regex(_CUT), behavior="isolated")
    as_bytes = library.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    model.normalizer = library.normalizers.NFC()
    model.pre_tokenizer = library.pre_tokenizers.Sequence([cut, as_bytes])
    model.decoder = library.decoders.ByteLevel()
    named = [library.AddedToken(name, normalized=False, special=True) for name in _SPECIAL]
    named += [library.AddedToken(name, normalized=False, special=False) for name in _NAMED]
    model.add_tokens(named)
    return Tokenizer(model)


def load(path: Path) -> Tokenizer:
    """Reads a `tokenizer.json`, or a folder with that or with `vocab.json` and `merges.txt`."""
    file = path / "tokenizer.json" if path.is_dir() else path
    if file.is_file():
        return Tokenizer(_library().Tokenizer.from_file(str(file)))
    words = json.loads((path / "vocab.json").read_text(encoding="utf-8"))
    lines = (path / "merges.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.split(" ") for line in lines if line and not line.startswith("#version")]
    return from_words(words, [(first, second) for first, second in pairs])


def find(path: Path | None = None, comfyui: Path | None = None) -> Path:
    """Where the tokenizer's files are: the first of these that has them.

    `path` alone when it is given; a ComfyUI (`comfyui`, else the variable COMFYUI_PATH); the cache
    of the Hugging Face hub, with Z-Image's or Qwen3-4B's repository in it.
    Raises CheckpointNotFoundError, naming every place that was looked at.
    """
    looked = []
    for place in [path] if path is not None else _places(comfyui):
        if _is_tokenizer(place):
            return place
        looked.append(str(place))
    raise CheckpointNotFoundError(
        "No tokenizer for Z-Image's prompts was found. It is a file tokenizer.json, or vocab.json "
        "and merges.txt, of Qwen3-4B or Z-Image; every ComfyUI has it, so set COMFYUI_PATH, or "
        "give its folder (`--tokenizer`). Looked at: "
        + (", ".join(looked) or "nothing, there is no such folder")
    )


def _is_tokenizer(path: Path) -> bool:
    # Path.is_file() throws where one may not look.
    if os.path.isfile(path):
        return True
    words = os.path.isfile(path / "vocab.json") and os.path.isfile(path / "merges.txt")
    return words or os.path.isfile(path / "tokenizer.json")


def _places(comfyui: Path | None) -> Iterator[Path]:
    from_environment = os.environ.get("COMFYUI_PATH")
    if comfyui is None and from_environment:
        comfyui = Path(from_environment)
    if comfyui is not None:
        yield comfyui / _COMFYUI_FOLDER
    home = os.environ.get("HF_HOME") or Path.home() / ".cache" / "huggingface"
    hub = Path(os.environ.get("HF_HUB_CACHE") or Path(home) / "hub")
    for pattern in _HUB_FOLDERS:
        found = sorted(hub.glob(pattern))
        yield from found or [hub / pattern]


def _library() -> Any:
    try:
        return importlib.import_module("tokenizers")
    except ImportError as error:
        raise HearthError(
            "Z-Image's prompts need the Python package tokenizers: pip install tokenizers."
        ) from error


__all__ = ["TEMPLATE", "Tokenizer", "find", "from_words", "load"]
