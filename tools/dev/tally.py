"""Counts the tests of every runner, from the JUnit reports they write."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ElementTree
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

_NO_XML = re.compile("[^\\t\\n\\r -\\ud7ff\\ue000-\\ufffd\\U00010000-\\U0010ffff]")


@dataclass
class Outcome:
    """What one runner did; `skips` counts the reasons."""

    runner: str
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list[str] = field(default_factory=list)
    skips: Counter[str] = field(default_factory=Counter)


def broken(runner: str, why: str) -> Outcome:
    """A runner that could not run its tests: it counts as one failure, never as nothing."""
    return Outcome(runner, failed=1, failures=[why])


def not_run(runner: str, why: str) -> Outcome:
    """A runner that needs something this machine does not have: one loud skip."""
    return Outcome(runner, skipped=1, skips=Counter([why]))


def check(runner: str, name: str, problem: str | None) -> Outcome:
    """A check that is no test program: one passed, or one failed with its problem."""
    if problem is None:
        return Outcome(runner, passed=1)
    return Outcome(runner, failed=1, failures=[f"{name}: {problem}"])


def read_junit(runner: str, report: Path) -> Outcome:
    """Counts the cases of a report; a missing or broken one is a failure."""
    try:
        cases = list(ElementTree.parse(report).getroot().iter("testcase"))
    except (OSError, ElementTree.ParseError) as error:
        return broken(runner, f"{runner} wrote no readable report ({error})")
    outcome = Outcome(runner)
    for case in cases:
        _count(case, outcome)
    if not cases:
        outcome.failed = 1
        outcome.failures.append(f"{runner} ran no test at all")
    return outcome


def read_programs(runner: str, report: Path, cases: Path) -> Outcome:
    """Counts the cases of the GoogleTest programs that ctest ran; `report` is ctest's own.

    A program that ended before it wrote its own is a failure.
    """
    programs = read_junit(runner, report)
    if not cases.is_dir():
        return broken(runner, f"no program of {runner} wrote a report: {programs.failures}")
    outcome = Outcome(runner)
    for program in ElementTree.parse(report).getroot().iter("testcase"):
        own = cases / f"{program.get('name')}_test.xml"
        if own.is_file():
            for case in ElementTree.fromstring(_clean(own.read_bytes())).iter("testcase"):
                _count(case, outcome)
        else:
            outcome.failed += 1
            outcome.failures.append(f"{program.get('name')} ended before it wrote its report")
    return outcome


def _clean(report: bytes) -> str:
    """What XML cannot hold, shown: GoogleTest writes the values of parameters as they are."""
    return _NO_XML.sub("\N{REPLACEMENT CHARACTER}", report.decode("utf-8", "replace"))


def _count(case: ElementTree.Element, outcome: Outcome) -> None:
    name = ".".join(filter(None, (case.get("classname"), case.get("name"))))
    skip = case.find("skipped")
    if case.find("failure") is not None or case.find("error") is not None:
        outcome.failed += 1
        outcome.failures.append(name)
    elif skip is not None or case.get("status") in {"notrun", "disabled"}:
        outcome.skipped += 1
        outcome.skips[_reason(skip) or f"{name} was not run"] += 1
    else:
        outcome.passed += 1


def _reason(skip: ElementTree.Element | None) -> str:
    if skip is None:
        return ""
    # pytest puts the reason of a whole file's skip into the text, as a tuple's source.
    whole_file = re.search(r"Skipped: (.*?)['\"]\)?$", skip.text or "", re.DOTALL)
    if whole_file:
        return whole_file.group(1)
    # GoogleTest has the place in the first line.
    return re.sub(r"^\S+:\d+\n", "", skip.get("message") or "").strip()


def merged(runner: str, outcomes: list[Outcome]) -> Outcome:
    """Several outcomes under one name."""
    total = Outcome(runner)
    for outcome in outcomes:
        total.passed += outcome.passed
        total.failed += outcome.failed
        total.skipped += outcome.skipped
        total.failures += outcome.failures
        total.skips += outcome.skips
    return total


def summary(outcomes: list[Outcome]) -> str:
    """A table of the runners, what failed, why some were skipped, and the closing line."""
    width = max(len(outcome.runner) for outcome in outcomes)
    lines = [f"{'':{width}}  passed  failed  skipped"]
    for outcome in outcomes:
        counts = f"{outcome.passed:6}  {outcome.failed:6}  {outcome.skipped:7}"
        lines.append(f"{outcome.runner:{width}}  {counts}")
    for outcome in outcomes:
        lines += [f"SKIPPED {outcome.runner}: {n} x {why}" for why, n in outcome.skips.items()]
    for outcome in outcomes:
        lines += [f"FAILED {outcome.runner}: {name}" for name in outcome.failures]
    total = merged("all", outcomes)
    lines += ["", f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped"]
    return "\n".join(lines)
