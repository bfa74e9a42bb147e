"""What docs/compatibility.md says of each version is what hearth finds in it."""

from __future__ import annotations

import pytest

from benchmarks.harness import compatibility
from benchmarks.harness.live_comfy import LiveComfy


@pytest.mark.older_too
def test_the_page_says_what_is_found_in_this_version(hearth: LiveComfy) -> None:
    page = compatibility.PAGE.read_text(encoding="utf-8")
    version, seams = compatibility.seams_of(hearth.hearth.health())
    told = compatibility.columns(page)
    if version not in told:
        pytest.skip(f"NOT RUN, the page has no column for {version}, only for {', '.join(told)}")
    assert told[version] == seams, "python -m benchmarks.harness.compatibility"


def test_the_page_is_what_its_tool_would_write() -> None:
    page = compatibility.PAGE.read_text(encoding="utf-8")
    assert compatibility.page_of(compatibility.columns(page)) == page


@pytest.mark.older_too
def test_nothing_is_missing_in_either_version(hearth: LiveComfy) -> None:
    assert hearth.hearth.health()["missing_seams"] == []
