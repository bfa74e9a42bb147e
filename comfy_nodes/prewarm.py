"""What is loaded ahead of need: at start, when the config names something new, or on request.

One item at a time, on the prompt worker between two prompts; a prompt that waits goes first, until
several have (between_prompts.py).
"""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from hearth.event_text import one_line

from .host import Host
from .prewarm_names import Graph, PrewarmError, model_graph
from .prewarm_workflows import Work, check_graph, plan_workflow, read_workflow
from .shown_text import brief

_LOG = logging.getLogger("hearth")
_MOST_REMEMBERED = 200
_MOST_WAITING = 1000  # each answer of /hearth/ready and health counts them
_LONGEST_NAME = 500  # letters; each of those answers has them all, and the log
_ENDED = ("done", "failed")

Classes = Mapping[str, Any]


class Runner(Protocol):
    """Whoever can compute a graph."""

    def run(self, work: Work) -> None:
        """Returns when all is computed; throws PrewarmError."""


@dataclass
class Item:
    """One model or workflow; `plan` says what to run, on the worker."""

    name: str
    kind: str
    plan: Callable[[Classes], Work] = field(repr=False)
    id: int = 0
    at_start: bool = False
    state: str = "waiting"
    error: str = ""
    note: str = ""
    seconds: float = 0.0

    @property
    def ended(self) -> bool:
        """Whether it was tried, with whatever outcome."""
        return self.state in _ENDED

    def report(self) -> dict[str, Any]:
        """As it is shown over HTTP."""
        return {
            "id": self.id,
            "name": self.name,
            "kind": self.kind,
            "state": self.state,
            "error": self.error,
            "note": self.note,
            "seconds": round(self.seconds, 3),
        }


class Prewarm:
    """The list of what was and is to be prewarmed. Thread-safe, but for step()."""

    def __init__(self, host: Host, runner: Runner, classes: Classes, folders: list[Path]) -> None:
        self._host = host
        self._runner = runner
        self._classes = classes
        self._folders = folders
        self._lock = threading.Lock()
        self._items: list[Item] = []
        self._configured: set[tuple[str, str]] = set()
        self._added = 0
        self._started = False
        self._impossible = ""
        # Prewarmed models do not go for one another: held until nothing is left to do.
        self._held: list[Any] = []
        self._kept: set[Any] = set()  # of what the last item loaded

    def follow(self, config: Mapping[str, Any]) -> None:
        """Takes up what the config names and has not named before."""
        if not config["prewarm_on_startup"]:
            named: list[Item] = []
        else:
            wanted = config["prewarm"]
            named = [self._model(name) for name in wanted["models"]]
            infer = bool(wanted["dummy_inference"])
            named += [self._workflow_file(name, infer) for name in wanted["workflows"]]
        with self._lock:
            for item in named:
                if (item.kind, item.name) not in self._configured:
                    self._configured.add((item.kind, item.name))
                    item.at_start = not self._started
                    self._add(item)
            self._started = True

    def request(
        self, models: Sequence[str], workflow: Any = None, infer: bool = True
    ) -> list[Item]:
        """Adds models by name, and a workflow as a name or a graph; the items to wait for.
        Throws PrewarmError, and adds none then."""
        names = [*models, workflow] if isinstance(workflow, str) else models
        if any(len(name) > _LONGEST_NAME for name in names):
            raise PrewarmError(f"a name has at most {_LONGEST_NAME} letters")
        items = [self._model(name) for name in models]
        if isinstance(workflow, str):
            items.append(self._workflow_file(workflow, infer))
        elif workflow is not None:
            graph = check_graph(workflow, "in the request")
            items.append(_workflow_item("from a request", lambda: graph, infer))
        with self._lock:
            waiting = sum(not each.ended for each in self._items)
            if waiting + len(items) > _MOST_WAITING:
                raise PrewarmError(
                    f"no more than {_MOST_WAITING} items wait at a time; {waiting} do, and "
                    f"{len(items)} are asked for"
                )
            ended = [each for each in self._items if each.ended and not each.at_start]
            for old in ended[:-_MOST_REMEMBERED]:
                self._items.remove(old)
            for item in items:
                self._add(item)
        return items

    @property
    def ready(self) -> bool:
        """Whether all that was named at start has been tried."""
        with self._lock:
            return self._started and not any(
                item.at_start and not item.ended for item in self._items
            )

    @property
    def has_work(self) -> bool:
        """Whether step() would do something."""
        with self._lock:
            return any(item.state == "waiting" for item in self._items)

    def report(self) -> dict[str, Any]:
        """What was asked for, in order, and what became of it."""
        with self._lock:
            items = [item.report() for item in self._items]
        done = sum(1 for item in items if item["state"] in _ENDED)
        return {"total": len(items), "done": done, "items": items}

    def step(self) -> None:
        """Does the next item, on the prompt worker; never throws."""
        with self._lock:
            item = next((each for each in self._items if each.state == "waiting"), None)
            if item is None:
                return
            item.state = "running"
        began = time.monotonic()
        error = brief(self._try(item) or self._kept_nothing(item))
        self._host.adapter.collect()  # what was computed for nobody goes now
        with self._lock:
            item.seconds = time.monotonic() - began
            item.error = error
            item.state = "failed" if error else "done"
        # The name is a request's, and may hold what a log cannot write.
        what = one_line(f"{item.kind} {item.name}")
        if error:
            _LOG.warning("%s was not prewarmed: %s", what, one_line(error))
        else:
            end = f"; {item.note}" if item.note else ""
            _LOG.info("%s prewarmed in %.2f s%s", what, item.seconds, end)
        if not self.has_work:
            self._let_go()

    def give_up(self, reason: str) -> None:
        """Everything fails from now on; for a ComfyUI in which step() is never called."""
        self._impossible = reason

    def _add(self, item: Item) -> None:
        self._added += 1
        item.id = self._added
        if self._impossible:
            item.state, item.error = "failed", self._impossible
        self._items.append(item)

    def _try(self, item: Item) -> str:
        try:
            self._refuse_if_off()
            work = item.plan(self._classes)
            with self._host.loading_only_where_there_is_room():
                self._runner.run(work)
            self._host.scope.make_ready()
        except PrewarmError as error:
            return str(error)
        except BaseException as error:  # nothing stands between this and the end of the worker
            _LOG.debug("prewarm of %s", item.name, exc_info=True)
            return f"{type(error).__name__}: {error}"
        finally:
            taken = self._host.scope.take()
            self._held += taken
            self._kept = {handle.key for handle in taken} & self._residents()
        return ""

    def _residents(self) -> set[Any]:
        views = self._host.runtime.cache.residents()
        return {view["key"] for view in views if not view["lingering"]}

    def _kept_nothing(self, item: Item) -> str:
        """The fault of a model that was loaded and is not kept; a workflow may have none that
        hearth keeps, and warms up all the same, so it gets a note."""
        if self._kept:
            return ""
        if item.kind == "model":
            return "it was loaded, but the cache did not keep it; the log says why"
        item.note = "none of its models is kept: no loader that hearth knows was run, or all went"
        return ""

    def _refuse_if_off(self) -> None:
        if not self._host.settings.transparent:
            raise PrewarmError("transparent is false: models are not kept")
        if not self._host.settings.keep_model_in_memory:
            raise PrewarmError("keep_model_in_memory is false: models are not kept")

    def _let_go(self) -> None:
        held, self._held = self._held, []
        with self._host.gate.enter() as is_open:
            for handle in held if is_open else ():
                handle.close()

    def _model(self, name: str) -> Item:
        return Item(name, "model", lambda classes: _load_only(model_graph(name, classes)))

    def _workflow_file(self, name: str, infer: bool) -> Item:
        read = lambda: check_graph(read_workflow(name, self._folders), name)  # noqa: E731
        return _workflow_item(name, read, infer)


def _workflow_item(name: str, read: Callable[[], Graph], infer: bool) -> Item:
    return Item(name, "workflow", lambda classes: plan_workflow(read(), classes, infer))


def _load_only(graph: Graph) -> Work:
    return Work(graph, tuple(graph))
