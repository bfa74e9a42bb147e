"""A browser's websocket to ComfyUI, as far as tests need one: it notes what it is told."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from types import TracebackType
from typing import Any

from websockets.sync.client import ClientConnection, connect

_SECONDS_TO_OPEN = 10.0


class Listener:
    """Collects the data of all JSON events, and preview images, while it is open; a context
    manager."""

    def __init__(self, url: str, client_id: str = "listener") -> None:
        self.client_id = client_id
        self.told: Callable[[dict[str, Any]], None] | None = None
        """Gets each whole event, on the listener's thread, as it comes."""
        self._url = f"{url.replace('http', 'ws', 1)}/ws?clientId={client_id}"
        self.events: list[dict[str, Any]] = []
        self.previews: list[bytes] = []
        """Each as it came: what kind of image in ComfyUI's numbers, then the image."""
        self._socket: ClientConnection | None = None
        self._open = threading.Event()
        self._thread = threading.Thread(target=self._listen, daemon=True)

    def __enter__(self) -> Listener:
        self._thread.start()
        if not self._open.wait(_SECONDS_TO_OPEN):
            raise TimeoutError(f"no websocket at {self._url}")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._socket is not None:
            self._socket.close()
        self._thread.join()

    @property
    def is_open(self) -> bool:
        """Whether more may come."""
        return self._thread.is_alive()

    def _listen(self) -> None:
        with connect(self._url) as self._socket:
            self._open.set()
            for message in self._socket:
                if isinstance(message, bytes):
                    self.previews.append(message)
                else:
                    event = json.loads(message)
                    self.events.append(event["data"])
                    if self.told is not None:
                        self.told(event)
