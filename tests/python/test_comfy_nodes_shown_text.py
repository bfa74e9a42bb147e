"""No text that is shown over HTTP has a folder of this machine in it, and all else stays."""

from __future__ import annotations

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")

from comfy_nodes.shown_text import shown, without_folders  # noqa: E402


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (
            "Could not detect model type of: /a/b/x.safetensors",
            "Could not detect model type of: x.safetensors",
        ),
        (
            "[Errno 13] Permission denied: '/srv/my models/x.sft'",
            "[Errno 13] Permission denied: 'x.sft'",
        ),
        ("a: /home/My Name/models/x y.safetensors failed", "a: x y.safetensors failed"),
        ("/home/O'Brien/m/x.sft: no", "x.sft: no"),
        ('"/home/O\'Brien/m/x.sft" no', '"x.sft" no'),
        ("/a/b.safetensors read 3 MB/s", "b.safetensors read 3 MB/s"),
        ("/a/b or /c/d", "b or d"),
        ("PATH=/a/b:/c/d/e", "PATH=b:e"),
        ("'/a' is not '/b/c'", "'/a' is not 'c'"),
        ("file:///srv/u/x.json", "file://x.json"),
    ],
)
def test_of_an_absolute_path_the_last_part_is_left(said: str, told: str) -> None:
    assert without_folders(said) == told


@pytest.mark.parametrize(
    "text",
    [
        "limit of 1 model",
        "sub/a.safetensors",
        "x is not resident; /hearth/models lists what is",
        "POST /free",
        "SDXL (old)/sub/x.safetensors",
        "[flux]/dev/x.safetensors",
        "C++/a/b and 50%/v/x.gguf",
        "input/output error and/or http://127.0.0.1:8188/x/y",
    ],
)
def test_what_is_no_absolute_path_stays(text: str) -> None:
    assert without_folders(text) == text


def test_texts_are_found_at_every_depth_and_json_pointers_are_none() -> None:
    answer = {"faults": [{"pointer": "/unload/policy", "value": '"/a/b"'}], "count": 3, "no": None}
    assert shown(answer) == {
        "faults": [{"pointer": "/unload/policy", "value": '"b"'}],
        "count": 3,
        "no": None,
    }


def test_a_text_of_megabytes_is_shown_in_brief_and_no_folder_at_its_cut() -> None:
    folder = "/home/" + "x" * 5_000_000
    (text,) = shown([f"not in the list: {folder}/a.safetensors"])
    assert len(text) < 100
    assert text.startswith("not in the list: ") and "x" not in text
    assert shown("y" * 4000) == "y" * 4000
    assert shown("y" * 5_000_000) == "y" * 4000 + "/…"
