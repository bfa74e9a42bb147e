"""Runs `hearth run` in this process on toy files: fixtures that several test modules share."""

from __future__ import annotations

import gc
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

for package in ("torch", "tokenizers", "PIL", "safetensors"):
    pytest.importorskip(package, reason=f"NOT RUN, needs {package}: ./dev setup")
pytest.importorskip(
    "hearth.zimage", reason="NOT RUN, needs hearth._torch: ./dev build", exc_type=ImportError
)

from hearth import cli, runtime, zimage  # noqa: E402

from benchmarks.harness import toy_zimage  # noqa: E402
from benchmarks.harness.safetensors_file import write_safetensors  # noqa: E402

BINDINGS = Path(zimage.__file__).resolve().parents[1]
SECOND = toy_zimage.TRANSFORMERS[1]
Report = dict[str, Any]
Run = Callable[..., Report]


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with the toy files, and a checkpoint with all three models in it."""
    root = toy_zimage.write_all(tmp_path_factory.mktemp("toy") / "models")
    specs = toy_zimage.checkpoint_tensors()
    write_safetensors(root / "checkpoints" / "toy_whole.safetensors", specs, 9)
    return root


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty working folder, and nothing in the process's cache, before the test and after."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEARTH_CONFIG", raising=False)
    empty_the_cache()
    yield tmp_path
    empty_the_cache()


def empty_the_cache() -> None:
    """The schema's config in force, no model and no file in memory: others test with these, too."""
    assert runtime().configure("{}", "built-in defaults")
    for view in runtime().cache.residents():
        runtime().cache.unpin(view["key"])
    runtime().cache.trim(2**63, 2**63, "a test begins or ends")
    gc.collect()
    runtime().host_tier.give_way()


def options(models: Path, workflows: Sequence[dict[str, Any]], *further: str) -> list[str]:
    files = []
    for number, workflow in enumerate(workflows):
        file = Path(f"workflow_{number}.json").absolute()
        file.write_text(json.dumps(workflow))
        files.append(str(file))
    tokenizer = str(models / toy_zimage.TOKENIZER)
    common = ["--models", str(models), "--tokenizer", tokenizer, "--device", "cpu"]
    return ["run", *files, *common, "--json", "report.json", *further]


@pytest.fixture
def run(place: Path, models: Path) -> Run:
    """Runs workflows that are right; the report."""

    def run(*workflows: dict[str, Any], further: Sequence[str] = ()) -> Report:
        assert cli.main(options(models, workflows, *further)) == 0
        report: Report = json.loads(Path("report.json").read_text())
        return report

    return run


def computed(run: Report) -> list[str]:
    """Ids of the nodes that did something."""
    return [each["id"] for each in run["nodes"] if not each["unchanged"]]


def opened(report: Report) -> list[str]:
    """Models that were loaded, in the order of the loads."""
    events = [event for run in report["runs"] for event in run["events"]]
    return [event["model"] for event in events if event["kind"] == "opened"]


def resident_config(**values: Any) -> str:
    """A config file that keeps three transformers."""
    path = Path("hearth.json").absolute()
    path.write_text(json.dumps({"max_cached_models": 3, **values}))
    return str(path)
