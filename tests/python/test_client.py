"""hearth.client against servers that die, forget, or are no ComfyUI at all."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest
from hearth.client import (
    AddressError,
    Client,
    ClientError,
    ClientTimeoutError,
    HearthMissingError,
    PrewarmFailedError,
    PromptLostError,
    RequestRefusedError,
    Result,
)

Answer = Callable[[str], tuple[int, str]]
Serve = Callable[..., Client]


@pytest.fixture
def serve() -> Iterator[Serve]:
    """Starts a server that answers every request with what a function of its path says. A list
    gets the header Authorization of each."""
    running: list[ThreadingHTTPServer] = []

    def start(answer: Answer, tokens: list[str] | None = None) -> Client:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                if tokens is not None:
                    tokens.append(self.headers.get("Authorization", ""))
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


def test_who_waited_for_a_server_that_is_not_there_is_told_so_and_where(serve: Serve) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
    with pytest.raises(ClientTimeoutError, match=f"no ComfyUI answers at {address}"):
        Client(address).wait_until_ready(timeout_s=0.1)


def test_a_page_of_something_else_is_no_comfyui(serve: Serve) -> None:
    client = serve(lambda path: (200, "<html>hello</html>"))
    for ask in (client.wait_until_ready, lambda: client.submit({}), lambda: client.wait("x")):
        with pytest.raises(RequestRefusedError, match="no ComfyUI"):
            ask()


def test_an_error_without_words_names_its_status(serve: Serve) -> None:
    client = serve(lambda path: (404, '{"detail": "Not Found"}'))
    with pytest.raises(RequestRefusedError, match="HTTP 404"):
        client.get("/hearth/models")


def test_a_prompt_that_the_server_forgot_is_not_waited_for(
    serve: Serve,
) -> None:
    empty: dict[str, list[str]] = {"queue_running": [], "queue_pending": []}
    client = serve(lambda path: (200, json.dumps(empty if path == "/queue" else {})))
    with pytest.raises(PromptLostError, match="submit it again"):
        client.wait("gone", timeout_s=30)


def test_a_prewarm_that_a_restart_swept_away_is_not_done(
    serve: Serve,
) -> None:
    def answer(path: str) -> tuple[int, str]:
        item = {"id": 1, "name": "a.safetensors", "state": "waiting", "error": ""}
        if path == "/hearth/prewarm":
            return 202, json.dumps({"queued": True, "items": [item]})
        other = item | {"name": "b.safetensors", "state": "done"}
        return 200, json.dumps({"ready": True, "prewarm": {"items": [other]}})

    with pytest.raises(PrewarmFailedError, match="restarted"):
        serve(answer).prewarm(models=["a.safetensors"])


def result_with(serve: Serve, *images: tuple[str, str, str]) -> Result:
    """Of a prompt that left these images (type, subfolder, filename); each holds its address."""
    told = [dict(zip(("type", "subfolder", "filename"), each, strict=True)) for each in images]
    entry = {"status": {"messages": []}, "outputs": {"9": {"images": told}}}
    queue: dict[str, list[str]] = {"queue_running": [], "queue_pending": []}

    def answer(path: str) -> tuple[int, str]:
        if path.startswith("/view?"):
            return 200, path
        return 200, json.dumps(queue if path == "/queue" else {"id": entry})

    return serve(answer).wait("id", timeout_s=30)


def test_images_of_one_name_in_several_subfolders_are_saved_apart(
    serve: Serve, tmp_path: Path
) -> None:
    places = [("output", "", "a.png"), ("output", "x", "a.png"), ("output", "x\\y", "a.png")]
    result = result_with(serve, *places)
    saved = [image.save(tmp_path / "out") for image in result.images]
    assert [path.relative_to(tmp_path).as_posix() for path in saved] == [
        "out/a.png",
        "out/x/a.png",
        "out/x/y/a.png",
    ]
    assert [path.read_bytes() for path in saved] == [image.read() for image in result.images]


def test_images_of_one_result_do_not_overwrite_each_other(serve: Serve, tmp_path: Path) -> None:
    result = result_with(serve, ("output", "", "a.png"), ("temp", "", "a.png"))
    for _ in range(2):  # saved again, each goes where it was
        saved = [image.save(tmp_path) for image in result.images]
        assert [path.name for path in saved] == ["a.png", "a-2.png"]
        assert [path.read_bytes() for path in saved] == [each.read() for each in result.images]


@pytest.mark.parametrize(
    ("subfolder", "filename"),
    [
        ("..", "a.png"),
        ("x/../../y", "a.png"),
        ("x\\..\\..", "a.png"),
        ("/elsewhere", "a.png"),
        ("C:\\x", "a.png"),
        ("x\0", "a.png"),
        ("", ".."),
        ("", ""),
        ("x", "."),
    ],
)
def test_an_image_that_leads_out_of_the_folder_is_not_saved(
    serve: Serve, tmp_path: Path, subfolder: str, filename: str
) -> None:
    (image,) = result_with(serve, ("output", subfolder, filename)).images
    with pytest.raises(ClientError):
        image.save(tmp_path / "out")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("url", ["127.0.0.1:8188", "localhost:8188", "localhost"])
def test_an_address_without_http_is_told_so(url: str) -> None:
    with pytest.raises(AddressError, match="http:// is missing"):
        Client(url)


@pytest.mark.parametrize(
    "url", ["", "http://", "http://[::1", "ftp://a", "http://a:b", "http://a:99999", "file:///etc"]
)
def test_what_is_no_address_is_a_clients_error(url: str) -> None:
    with pytest.raises(AddressError, match="no address"):
        Client(url)


@pytest.mark.parametrize("route", ["/ö", "/a b", "/a\nb"])
def test_a_route_that_is_none_is_a_clients_error(serve: Serve, route: str) -> None:
    with pytest.raises(AddressError, match="no address"):
        serve(lambda path: (200, "{}")).get(route)


@pytest.mark.parametrize("token", ["a\nb", "a\r\nX-Other: 1", "\0", "\ud800"])
def test_a_token_that_no_header_takes_is_a_clients_error(token: str) -> None:
    with pytest.raises(AddressError, match="token") as raised:
        Client(token=token)
    assert token not in str(raised.value)


def test_a_token_arrives_as_the_bytes_that_the_environment_has_of_it(
    serve: Serve,
) -> None:
    headers: list[str] = []
    url = serve(lambda path: (200, "{}"), headers).url
    Client(url, token="schlüssel ☂").get("/hearth/models")
    assert [each.encode("latin-1") for each in headers] == ["Bearer schlüssel ☂".encode()]


@pytest.mark.parametrize("status", [404, 405])
def test_a_wrong_route_of_an_active_hearth_is_not_a_missing_hearth(
    serve: Serve, status: int
) -> None:
    client = serve(lambda path: (503, "{}") if path == "/hearth/ready" else (status, "no route"))
    with pytest.raises(RequestRefusedError, match="/hearth/modles: hearth has no such route"):
        client.get("/hearth/modles")
    with pytest.raises(HearthMissingError, match="not active"):
        serve(lambda path: (status, "no route")).get("/hearth/models")
