"""hearth's reader against the reference reader, the package `safetensors`, on the same files.

Each kind of disagreement has a name, and docs/decisions/0006-checkpoint-differences.md justifies it
under that name. Anything else is a failure: most of all a file that only hearth accepts.
"""

from __future__ import annotations

import os
import random
from pathlib import Path

import pytest

from tests.python.checkpoint_files import entry, file_bytes, good_file

pytest.importorskip("hearth._core", reason="needs the native module: ./dev build")
pytest.importorskip("safetensors", reason="needs the package safetensors")

import safetensors
from hearth.check import refuse_if_corrupt
from hearth.errors import CheckpointCorruptError

DECISION = Path(__file__).parents[2] / "docs" / "decisions" / "0006-checkpoint-differences.md"
CASES = int(os.environ.get("HEARTH_DIFFERENTIAL_CASES", "4000"))

# Name in the decision -> how hearth's message shows that this is why it refused.
KNOWN = {
    "A key twice": "occurs a second time",
    "A tensor written as a list": "the entry is a list",
    "A dtype written as an object": "dtype is a list or object",
    "More than 64 dimensions": "at most 64 dimensions",
    "Nested deeper than 64": "nested too deeply",
    "A name over 64 KB": "expected at most 65536",
}


def one(text: bytes) -> bytes:
    """A file of one tensor with this entry and four bytes of data."""
    return file_bytes(b'{"x":' + text + b"}", b"abcd")


F32 = b'"dtype":"F32","shape":[1],"data_offsets":[0,4]'
DISAGREEMENTS = {
    "A key twice": [
        file_bytes(b'{"x":{' + F32 + b'},"x":{' + F32 + b"}}", b"abcd"),
        file_bytes(b'{"x":{' + F32.replace(b"0,4", b"4,8") + b'},"x":{' + F32 + b"}}", b"abcd"),
        file_bytes(b'{"__metadata__":{"a":"1","a":"2"}}'),
        one(b'{"a":1,"a":1,' + F32 + b"}"),
        one(b'{"a":{"b":1,"b":2},' + F32 + b"}"),
    ],
    "A tensor written as a list": [one(b'["F32",[1],[0,4]]')],
    "A dtype written as an object": [one(b"{" + F32.replace(b'"F32"', b'{"F32":null}') + b"}")],
    "More than 64 dimensions": [one(b"{" + F32.replace(b"[1]", b"[" + b"1," * 64 + b"1]") + b"}")],
    "Nested deeper than 64": [one(b'{"a":' + b"[" * 100 + b"]" * 100 + b"," + F32 + b"}")],
    "A name over 64 KB": [file_bytes({"n" * 65537: entry()}, b"abcd")],
}


def why_hearth_refuses(path: Path) -> str | None:
    """hearth's message, or None where it accepts."""
    try:
        refuse_if_corrupt(path)
    except CheckpointCorruptError as error:
        return str(error)
    return None


def why_reference_refuses(content: bytes) -> str | None:
    """The reference reader's message, or None where it accepts."""
    try:
        safetensors.deserialize(content)  # type: ignore[no-untyped-call]
    except safetensors.SafetensorError as error:
        return str(error)
    return None


def name_of_disagreement(message: str) -> str | None:
    """Which known kind this is."""
    return next((name for name, part in KNOWN.items() if part in message), None)


@pytest.mark.parametrize("name", KNOWN)
def test_known_disagreement_is_one_and_is_justified(name: str, tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    for content in DISAGREEMENTS[name]:
        path.write_bytes(content)
        message = why_hearth_refuses(path)
        assert message is not None
        assert name_of_disagreement(message) == name
        assert why_reference_refuses(content) is None, "no disagreement any more: take it out"
    assert f"**{name}.**" in DECISION.read_text(encoding="utf-8")


SEEDS = [
    good_file(),
    file_bytes({"__metadata__": {"format": "pt"}, "a": entry(), "b": entry("F32", [2], [4, 12])}),
    file_bytes({"a": entry("U8", [3], [0, 3]), "z": entry("F32", [0, 4], [3, 3])}, b"abc"),
    file_bytes({"a": entry("F4", [2, 3], [0, 3]), "s": entry("C64", [], [3, 11])}, b"a" * 11),
    one(b'{"note":[{"k":[null,true,-1.5e3,"\\u00e4"]}],' + F32 + b"}"),
    file_bytes(b"{}"),
]
TOKENS = [
    *(b'{ } [ ] , : " \\ 0 1 4 -0 -1 00 1.0 1e0 1e400 null true NaN 18446744073709551615'.split()),
    *(b'"F32" "f32" "BF16" "F6_E2M3" "BOOL" "x" "a" "__metadata__" "dtype" "shape"'.split()),
    *(b'"data_offsets" \\ud800 \\u0000 /**/ [0,4] [4,8] [] {} "":""'.split()),
    b" ",
    b"\n",
    b"\0",
    b"\xff",
    b"\xef\xbb\xbf",
    "ä".encode(),
]


def mutate(dice: random.Random, content: bytes) -> bytes:
    """One to four small changes to the header; the length field mostly follows."""
    header = content[8 : 8 + int.from_bytes(content[:8], "little")]
    data = content[8 + len(header) :]
    for _ in range(dice.randint(1, 4)):
        start = dice.randint(0, len(header))
        end = min(len(header), start + dice.choice([0, 0, 1, 1, 2, 5, 20]))
        piece = dice.choice([b"", dice.choice(TOKENS), dice.choice(TOKENS), header[start:end] * 2])
        header = header[:start] + piece + header[end:]
    length = len(header) + (dice.choice([-8, -1, 1, 8]) if dice.random() < 0.05 else 0)
    data = data + b"x" * dice.choice([0, 0, 0, 1, 4]) if dice.random() < 0.7 else data[:-1]
    return max(length, 0).to_bytes(8, "little") + header + data


def test_every_other_file_is_judged_alike(tmp_path: Path) -> None:
    dice = random.Random(20)
    path = tmp_path / "x.safetensors"
    accepted = 0
    for _ in range(CASES):
        content = mutate(dice, dice.choice(SEEDS))
        path.write_bytes(content)
        ours, theirs = why_hearth_refuses(path), why_reference_refuses(content)
        accepted += ours is None
        if ours is None:
            assert theirs is None, f"only hearth accepts {content!r}: {theirs}"
        elif theirs is None:
            assert name_of_disagreement(ours) is not None, (
                f"only hearth refuses {content!r}: {ours}"
            )
    # A mutation that always breaks the file, or never does, would prove nothing.
    assert CASES // 50 < accepted < CASES
