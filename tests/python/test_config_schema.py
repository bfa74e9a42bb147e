"""The schema is the truth: the shipped file, the page and the native reader are held against it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from tools import config_docs

try:
    from hearth._core import check_config
except ImportError:
    check_config = None

ROOT = Path(__file__).resolve().parents[2]
SCHEMA: dict[str, Any] = json.loads(config_docs.SCHEMA.read_text(encoding="utf-8"))
SHIPPED: dict[str, Any] = json.loads((ROOT / "config" / "hearth.json").read_text(encoding="utf-8"))
VALIDATOR = Draft202012Validator(SCHEMA)

needs_native = pytest.mark.skipif(
    check_config is None, reason="NOT RUN, needs hearth's native module: ./dev build"
)


def keys(schema: dict[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for name, key in schema["properties"].items():
        yield f"{prefix}/{name}", key
        if "properties" in key:
            yield from keys(key, f"{prefix}/{name}")


def types_of(key: dict[str, Any]) -> list[str]:
    return [key["type"]] if isinstance(key["type"], str) else key["type"]


KEYS = dict(keys(SCHEMA))
LEAVES = {pointer: key for pointer, key in KEYS.items() if "properties" not in key}


def test_the_schema_is_a_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)


def test_the_four_keys_of_the_description_stand_on_top() -> None:
    first = list(SCHEMA["properties"])[:4]
    assert first == [
        "keep_model_in_memory",
        "prewarm_on_startup",
        "max_cached_models",
        "unload_on_exit",
    ]


@pytest.mark.parametrize("pointer", KEYS)
def test_every_key_says_what_it_is(pointer: str) -> None:
    assert KEYS[pointer]["description"].endswith(".")


@pytest.mark.parametrize("pointer", LEAVES)
def test_every_value_has_a_default_that_fits_and_numbers_have_unit_and_bounds(pointer: str) -> None:
    key = LEAVES[pointer]
    assert Draft202012Validator(key).is_valid(key["default"])
    if {"number", "integer"} & set(types_of(key)):
        assert key["x-unit"]
        assert "maximum" in key
        assert "minimum" in key or "exclusiveMinimum" in key


@pytest.mark.parametrize("pointer", KEYS)
def test_objects_take_nothing_unknown(pointer: str) -> None:
    if KEYS[pointer]["type"] == "object":
        assert KEYS[pointer]["additionalProperties"] is False
    assert SCHEMA["additionalProperties"] is False


@pytest.mark.parametrize("pointer", KEYS)
def test_a_section_acts_when_one_of_its_keys_does(pointer: str) -> None:
    if "properties" in KEYS[pointer]:
        members = [key.get("x-acts", True) for key in KEYS[pointer]["properties"].values()]
        assert KEYS[pointer].get("x-acts", True) == any(members)


def test_the_shipped_file_is_valid_and_is_exactly_the_defaults() -> None:
    VALIDATOR.validate(SHIPPED)
    for pointer, key in LEAVES.items():
        value: Any = SHIPPED
        for name in pointer[1:].split("/"):
            value = value[name]
        assert (pointer, value) == (pointer, key["default"])


def test_the_page_is_up_to_date() -> None:
    assert config_docs.difference() == ""
    assert config_docs.main(["--check"]) == 0


def test_a_page_that_is_behind_is_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    old = tmp_path / "config.md"
    old.write_text(config_docs.PAGE.read_text(encoding="utf-8").replace("`3`", "`4`"))
    monkeypatch.setattr(config_docs, "PAGE", old)
    assert config_docs.main(["--check"]) == 1
    assert "max_cached_models" in capsys.readouterr().out
    assert config_docs.main([]) == 0
    assert config_docs.main(["--check"]) == 0


def test_the_page_names_every_key_and_what_does_not_act_yet() -> None:
    page = config_docs.page(SCHEMA)
    for pointer, key in LEAVES.items():
        (row,) = (
            r for r in page.splitlines() if r.startswith(f"| `{pointer[1:].replace('/', '.')}`")
        )
        assert row.endswith("*not yet* |") == (not key.get("x-acts", True))


# Values a person might write: right ones, near misses, other types, and other people's texts.
WORDS = st.sampled_from(
    ["lru", "idle", "LRU", "lur", "info", "warn", "as_stock", "fp16", "true", ""]
)
NUMBERS = st.one_of(
    st.integers(-3, 5),
    st.sampled_from([0, -0.0, 0.5, 3.0, -1.9, 1e2, 1e300, 2**63, 2**64, 10001, 1048576, 1048577]),
    st.integers(),
    st.floats(allow_nan=False, allow_infinity=False),
)
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, WORDS, st.text(max_size=8))
VALUES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3)
    ),
    max_leaves=5,
)


def fitting(key: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Mostly what the key wants, so that a text with many keys is sometimes good."""
    if "enum" in key:
        return st.sampled_from(key["enum"])
    if "properties" in key:
        return objects(key)
    if key["type"] == "array":
        return st.lists(st.text(min_size=1, max_size=5), max_size=2)
    return st.sampled_from([key["default"], 1, True, "A", None])


def objects(schema: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    members = {name: fitting(key) for name, key in schema["properties"].items()}
    known = st.fixed_dictionaries({}, optional=members)
    wrong = st.dictionaries(
        st.sampled_from(list(members)) | st.text(max_size=6), VALUES, max_size=1
    )
    return st.builds(lambda good, bad: {**good, **bad}, known, st.just({}) | wrong)


@needs_native
@settings(max_examples=300, deadline=None)
@given(objects(SCHEMA) | VALUES)
def test_the_native_reader_refuses_exactly_what_the_schema_refuses(config: Any) -> None:
    faults = check_config(json.dumps(config))
    errors = list(VALIDATOR.iter_errors(config))
    assert bool(faults) == bool(errors), (faults, [error.message for error in errors])


@needs_native
@pytest.mark.parametrize("pointer", LEAVES)
@settings(max_examples=15, deadline=None)
@given(value=VALUES)
def test_each_key_takes_exactly_what_the_schema_lets_it(pointer: str, value: Any) -> None:
    config: Any = value
    for name in reversed(pointer[1:].split("/")):
        config = {name: config}
    faults = check_config(json.dumps(config))
    assert bool(faults) == (not VALIDATOR.is_valid(config)), faults
    needed_by_policy = "/unload/idle_seconds"
    assert all(f["pointer"].startswith((pointer, needed_by_policy)) for f in faults)


@needs_native
@settings(max_examples=200, deadline=None)
@given(st.text(max_size=60) | st.text(alphabet='{}[]",:0-1eE.+tfn/ \n\\ué', max_size=40))
def test_any_text_is_read_or_named(text: str) -> None:
    faults = check_config(text)
    assert all(fault["message"] for fault in faults)
    if not faults:
        assert VALIDATOR.is_valid(json.loads(text))
