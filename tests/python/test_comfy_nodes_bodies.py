"""Requests whose client goes before all of their body is there."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

pytest.importorskip("hearth", reason="NOT RUN, hearth's native module is not built: ./dev build")
web = pytest.importorskip("aiohttp.web", reason="the routes are aiohttp's")

from comfy_nodes.routes import BadRequestError, _json_object  # noqa: E402

_HALF = (
    b"POST / HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 9\r\n\r\n{"
)


def test_a_client_that_goes_in_the_middle_of_a_body_is_no_error_of_the_server() -> None:
    refusal = asyncio.run(_refusal_of_half_a_body())
    assert refusal.status == 400
    assert str(refusal) == "the body ends before it is whole"


async def _refusal_of_half_a_body() -> BadRequestError:
    found: asyncio.Future[Any] = asyncio.get_running_loop().create_future()
    begun = asyncio.Event()

    async def handle(request: Any) -> Any:
        begun.set()
        try:
            found.set_result(await _json_object(request))
        except BaseException as error:
            found.set_exception(error)
        return web.Response()

    app = web.Application()
    app.router.add_post("/", handle)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        _, writer = await asyncio.open_connection(*runner.addresses[0][:2])
        writer.write(_HALF)
        await begun.wait()
        writer.close()
        with pytest.raises(BadRequestError) as refused:
            await asyncio.wait_for(found, 60)
        return refused.value
    finally:
        await runner.cleanup()
