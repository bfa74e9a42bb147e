"""What people should know of a node that runs: in the log, as an event, and at the node itself."""

from __future__ import annotations

import logging
from typing import Any

from .host import Host
from .prompt_scope import Asker

_LOG = logging.getLogger("hearth")


class NodeTexts:
    """Tells in all three places; in the last where this ComfyUI can show a text."""

    def __init__(self, host: Host, server: Any) -> None:
        self._host = host
        self._server = server

    def tell(self, kind: str, text: str, asker: Asker, model: str = "") -> None:
        """Says `text` of the asker's node; `kind` is that of the event. Never throws for a text
        that could not be shown."""
        _LOG.warning("%s", text)
        with self._host.gate.enter() as is_open:
            if is_open:
                note = self._host.runtime.cache.note
                note(kind, model=model, reason=text, node=asker.node, prompt=asker.prompt)
        show = getattr(self._server, "send_progress_text", None)
        client = getattr(self._server, "client_id", None)
        if callable(show) and client is not None:
            try:
                show(text, asker.node, client)
            except Exception:
                _LOG.debug("a text could not be shown at its node", exc_info=True)
