"""Real ComfyUI servers, started once a session each; without ComfyUI one loud line."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Generator, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

_REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(_REPOSITORY))

from benchmarks.harness import toy_models  # noqa: E402
from benchmarks.harness.comfy_server import (  # noqa: E402
    SPY_PACK,
    ComfyNotFoundError,
    ComfyServer,
    ServerSpec,
    find_comfy,
    find_older_comfy,
)
from benchmarks.harness.hearth_face import HearthConfig  # noqa: E402
from benchmarks.harness.live_comfy import DEFAULTS, FaultyStart, LiveComfy, StartComfy  # noqa: E402

_NOT_IN_A_CHECKOUT = shutil.ignore_patterns(
    ".git", ".venv", ".gpu", ".cache", ".*_cache", "build", "dist", "runs", "*.so", "__pycache__"
)


_FINDERS = {"newest": find_comfy, "older": find_older_comfy}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Tests marked `older_too` run in the ComfyUI of COMFYUI_PATH_OLD as well.

    Every test says which it wants, or the servers of one would end whenever another begins.
    """
    if "comfy" in metafunc.fixturenames:
        marked = metafunc.definition.get_closest_marker("older_too") is not None
        wanted = ["newest", "older"] if marked else ["newest"]
        metafunc.parametrize("comfy", wanted, indirect=True, scope="session")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Where pytest-xdist runs several processes, what shares servers stays in one of them: all
    tests of one ComfyUI that do, and otherwise those of a module."""
    sharing = {_home(item) for item in items if "start_shared" in getattr(item, "fixturenames", ())}
    for item in items:
        module, version = _home(item)
        lane = version if (module, version) in sharing else f"{module} {version}"
        item.add_marker(pytest.mark.xdist_group(lane))


def _home(item: pytest.Item) -> tuple[str, str]:
    """Its module, and in which ComfyUI it runs."""
    callspec = getattr(item, "callspec", None)
    version = "newest" if callspec is None else callspec.params.get("comfy", "newest")
    return item.path.stem, str(version)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Ends a run that does not keep lanes together: every server would start twice, unnoticed."""
    if getattr(session.config.option, "loadgroup", False):
        strays = [item.nodeid for item in session.items if "@" not in item.nodeid]
        if strays:
            raise pytest.UsageError(
                f"pytest {pytest.__version__} does not keep the tests of a lane together, so each "
                f"server would start twice ({strays[0]}): install tools/requirements-dev.txt"
            )


@pytest.fixture(scope="session")
def comfy(request: pytest.FixtureRequest) -> Path:
    """The ComfyUI checkout; a test that needs one is skipped where there is none."""
    try:
        return _FINDERS[request.param]()
    except ComfyNotFoundError as missing:
        pytest.skip(f"NOT RUN, needs ComfyUI. {missing}".replace("\n", " "))


@pytest.fixture(scope="session")
def models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A models folder with all toy models."""
    return toy_models.write_all(tmp_path_factory.mktemp("toy") / "models")


@contextmanager
def _servers(
    comfy: Path, models: Path, tmp_path_factory: pytest.TempPathFactory, forked: bool = True
) -> Iterator[StartComfy]:
    """Starts servers, and stops at the end those that still run."""
    running: list[ComfyServer] = []

    def start(
        name: str,
        hearth: Path | None = None,
        flags: tuple[str, ...] = (),
        config: str | None = None,
        files: Mapping[str, str] | None = None,
    ) -> LiveComfy:
        base = tmp_path_factory.mktemp(name)
        for file_name, text in (files or {}).items():
            (base / file_name).write_text(text, encoding="utf-8")
        file = HearthConfig(base / "hearth.json")
        file.write(DEFAULTS) if config is None else file.write_text(config)
        spec = ServerSpec(
            comfy=comfy,
            base=base,
            models=models,
            packs={"spy": SPY_PACK} | ({} if hearth is None else {"hearth": hearth}),
            flags=("--cpu", *flags),
            # Toy models gain nothing from a second thread, and lose much on a busy machine.
            env={"HEARTH_CONFIG": str(file.path), "OMP_NUM_THREADS": "1"},
            forked=forked,
        )
        server = ComfyServer(spec)
        server.start()
        running.append(server)
        return LiveComfy(server, models, file)

    try:
        yield start
    finally:
        for server in running:
            server.stop()


@pytest.fixture(scope="session")
def start_shared(
    comfy: Path, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartComfy]:
    """Starts servers that many modules use; `files` lie beside the text of hearth's config."""
    with _servers(comfy, models, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def start_comfy(
    comfy: Path, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartComfy]:
    """Starts servers of one module. Each takes a gigabyte: were they to run on to the end, the
    machine would have so little RAM left that hearth, rightly, gave up models of other tests."""
    with _servers(comfy, models, tmp_path_factory) as start:
        yield start


@pytest.fixture(scope="module")
def start_from_scratch(
    comfy: Path, models: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[StartComfy]:
    """The same for tests about the start itself: nothing is imported when ComfyUI begins."""
    with _servers(comfy, models, tmp_path_factory, forked=False) as start:
        yield start


@pytest.fixture(scope="session")
def stock(start_shared: StartComfy) -> LiveComfy:
    """ComfyUI without hearth."""
    return start_shared("stock")


@pytest.fixture(scope="session")
def hearth_server(start_shared: StartComfy) -> LiveComfy:
    """ComfyUI with hearth, default flags."""
    live = start_shared("hearth", hearth=_REPOSITORY)
    assert live.hearth.active, "hearth is not active:\n" + live.server.log_text()
    return live


@pytest.fixture
def hearth(hearth_server: LiveComfy) -> LiveComfy:
    """ComfyUI with hearth, both caches empty and the test defaults in force."""
    hearth_server.start_afresh()
    return hearth_server


@pytest.fixture(scope="session")
def switched_off(start_shared: StartComfy) -> LiveComfy:
    """ComfyUI with hearth installed and turned off by its one setting."""
    return start_shared("off", hearth=_REPOSITORY, config='{"transparent": false}')


@pytest.fixture(scope="session")
def without_native(
    start_shared: StartComfy, comfy: Path, tmp_path_factory: pytest.TempPathFactory
) -> LiveComfy:
    """ComfyUI with a fresh checkout of hearth in which nothing has been built."""
    checkout = tmp_path_factory.mktemp("checkout") / "hearth"
    shutil.copytree(_REPOSITORY, checkout, ignore=_NOT_IN_A_CHECKOUT)
    return start_shared("absent", hearth=checkout)


@pytest.fixture(scope="session")
def faulty_start(start_shared: StartComfy) -> FaultyStart:
    """ComfyUI with hearth, a faulty config at start, and `--cache-lru 100`."""
    live = start_shared(
        "lru",
        hearth=_REPOSITORY,
        flags=("--cache-lru", "100"),
        config='{"max_cached_modles": 3, "unload": {"idle_seconds": "soon"}}',
    )
    return FaultyStart(live, live.hearth.health())


@pytest.fixture
def hearth_with_lru(faulty_start: FaultyStart) -> LiveComfy:
    """ComfyUI with hearth and a node cache that keeps what earlier workflows made."""
    faulty_start.live.start_afresh()
    return faulty_start.live


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failure shows what each server it used said and did: it may not come again here."""
    report = yield
    if report.when == "call" and report.failed:
        for name, used in getattr(item, "funcargs", {}).items():
            if isinstance(used, LiveComfy):
                report.sections.append((f"the server behind `{name}`", used.last_words()))
    return report


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """One loud line when ComfyUI was missing, whatever reporting options are given."""
    skipped = [
        report
        for report in terminalreporter.stats.get("skipped", [])
        if "needs ComfyUI" in str(report.longrepr)
    ]
    if skipped:
        terminalreporter.write_line(
            f"NOT RUN: {len(skipped)} tests need ComfyUI; set COMFYUI_PATH to a checkout",
            red=True,
            bold=True,
        )
