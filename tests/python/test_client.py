"""hearth.client against servers that die, forget, or are no ComfyUI at all."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from hearth.client import Client, PrewarmFailedError, PromptLostError, RequestRefusedError

Answer = Callable[[str], tuple[int, str]]


@pytest.fixture
def serve() -> Iterator[Callable[[Answer], Client]]:
    """Starts a server that answers every request with what a function of its path says."""
    running: list[ThreadingHTTPServer] = []

    def start(answer: Answer) -> Client:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                status, text = answer(self.path)
                self.send_response(status)
                self.end_headers()
                self.wfile.write(text.encode())

            do_POST = do_GET

            def log_message(self, *_: object) -> None:
                pass

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return Client(f"http://127.0.0.1:{server.server_address[1]}")

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


def test_a_page_of_something_else_is_no_comfyui(serve: Callable[[Answer], Client]) -> None:
    client = serve(lambda path: (200, "<html>hello</html>"))
    for ask in (client.wait_until_ready, lambda: client.submit({}), lambda: client.wait("x")):
        with pytest.raises(RequestRefusedError, match="no ComfyUI"):
            ask()


def test_an_error_without_words_names_its_status(serve: Callable[[Answer], Client]) -> None:
    client = serve(lambda path: (404, '{"detail": "Not Found"}'))
    with pytest.raises(RequestRefusedError, match="HTTP 404"):
        client.get("/hearth/models")


def test_a_prompt_that_the_server_forgot_is_not_waited_for(
    serve: Callable[[Answer], Client],
) -> None:
    empty = {"queue_running": [], "queue_pending": []}
    client = serve(lambda path: (200, json.dumps(empty if path == "/queue" else {})))
    with pytest.raises(PromptLostError, match="submit it again"):
        client.wait("gone", timeout_s=30)


def test_a_prewarm_that_a_restart_swept_away_is_not_done(
    serve: Callable[[Answer], Client],
) -> None:
    def answer(path: str) -> tuple[int, str]:
        item = {"id": 1, "name": "a.safetensors", "state": "waiting", "error": ""}
        if path == "/hearth/prewarm":
            return 202, json.dumps({"queued": True, "items": [item]})
        other = item | {"name": "b.safetensors", "state": "done"}
        return 200, json.dumps({"ready": True, "prewarm": {"items": [other]}})

    with pytest.raises(PrewarmFailedError, match="restarted"):
        serve(answer).prewarm(models=["a.safetensors"])
