"""One life of an ASGI target: lifespan, requests, sudden end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest

from harness.errors import TargetUnreachable
from harness.inputs.binding import Answer, Outgoing
from harness.loop import LIFE, Life, VirtualLoop
from harness.model import Schedule
from harness.worlds.process import ASGIApp, Process

T = TypeVar("T")
ASKED = Outgoing("POST", "/a%20b?x=1&y", {"X-Key": "k"}, b"body")
OK = {"type": "http.response.start", "status": 201, "headers": [(b"X-Made", b"yes")]}


def living(handler: Callable[..., Coroutine[Any, Any, None]]) -> ASGIApp:
    """An app of which only the requests are of interest."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "http":
            await handler(scope, receive, send)
            return
        for turn in ("startup", "shutdown"):
            assert (await receive())["type"] == f"lifespan.{turn}"
            await send({"type": f"lifespan.{turn}.complete"})

    return app


async def respond(send: Any, *chunks: bytes) -> None:
    await send(OK)
    for n, chunk in enumerate(chunks):
        await send({"type": "http.response.body", "body": chunk, "more_body": n < len(chunks) - 1})


def run(app: ASGIApp, act: Callable[[Process], Coroutine[Any, Any, T]]) -> T:
    loop = VirtualLoop(Schedule())

    async def whole() -> T:
        process = Process(Life(0))
        process.make(lambda: app)
        try:
            await process.start()
            return await act(process)
        finally:
            await process.bury(loop)

    try:
        return loop.run_until_complete(whole())
    finally:
        loop.close()


def now_s() -> float:
    return asyncio.get_running_loop().time()


# ---------------------------------------------------------------- requests


def test_a_request_is_what_a_server_would_make_of_it() -> None:
    seen: list[Any] = []

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        seen.extend([scope, await receive()])
        await respond(send, b"ab", b"", b"c")

    async def act(process: Process) -> Any:
        return await process.send(ASKED, 1_000)

    assert run(living(handler), act) == Answer(201, {"x-made": "yes"}, b"abc")
    scope, message = seen
    assert (scope["method"], scope["path"], scope["raw_path"]) == ("POST", "/a b", b"/a%20b")
    assert scope["query_string"] == b"x=1&y"
    assert set(scope["headers"]) == {(b"x-key", b"k"), (b"content-length", b"4"), (b"host", b"target.test")}
    assert message == {"type": "http.request", "body": b"body", "more_body": False}


def test_requests_share_the_state_of_the_lifespan_and_nothing_else() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        if scope["type"] == "lifespan":
            scope["state"]["made"] = "at start"
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            return
        answer = scope["state"]["made"].encode()
        scope["state"]["made"] = "by a request"
        await respond(send, answer)

    async def act(process: Process) -> list[Any]:
        return [await process.send(ASKED, 1_000) for _ in range(2)]

    assert [answer.body for answer in run(app, act)] == [b"at start"] * 2


def test_an_app_that_raises_is_a_500_but_not_after_its_answer() -> None:
    async def handler(scope: Any, receive: Any, send: Any) -> None:
        if (await receive())["body"]:
            await respond(send, b"fine")
        raise RuntimeError("mine")

    async def act(process: Process) -> list[Any]:
        return [await process.send(o, 1_000) for o in (ASKED, Outgoing("GET", "/", {}, b""))]

    first, second = run(living(handler), act)
    assert (first.status, first.body, second.status) == (201, b"fine", 500)


def test_a_caller_that_gives_up_is_seen_and_the_work_goes_on() -> None:
    told: list[tuple[str, float]] = []

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        told.append(((await receive())["type"], now_s()))
        await asyncio.sleep(10)
        told.append(("done", now_s()))
        await respond(send, b"too late")

    async def act(process: Process) -> Any:
        answer = await process.send(ASKED, 2_500)
        assert now_s() == 2.5
        await asyncio.sleep(20)
        return answer

    assert run(living(handler), act) == "timeout"
    assert told == [("http.disconnect", 2.5), ("done", 12.5)]


def test_requests_run_in_the_context_of_their_life() -> None:
    lives: list[Any] = []

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        lives.append(LIFE.get())
        await respond(send, b"")

    async def act(process: Process) -> Life:
        await process.send(ASKED, 1_000)
        assert LIFE.get() is None
        return process.life

    assert run(living(handler), act) is lives[0]


# ---------------------------------------------------------------- the end


def test_a_crash_breaks_connections_and_nothing_is_cleaned_up_until_it_is_buried() -> None:
    log: list[str] = []

    async def handler(scope: Any, receive: Any, send: Any) -> None:
        try:
            await asyncio.sleep(5)
            log.append("went on")
        finally:
            log.append("cleaned up")

    async def act(process: Process) -> list[Any]:
        calls = [asyncio.create_task(process.send(ASKED, 60_000)) for _ in range(2)]
        await asyncio.sleep(1)
        process.crash()
        answers = await asyncio.gather(*calls)
        assert now_s() == 1.0
        await asyncio.sleep(100)
        assert log == []
        return answers

    assert run(living(handler), act) == ["broken", "broken"]
    assert log == ["cleaned up"] * 2


def test_a_stop_runs_the_shut_down() -> None:
    log: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        for turn in ("startup", "shutdown"):
            log.append((await receive())["type"])
            await asyncio.sleep(1)
            await send({"type": f"lifespan.{turn}.complete"})
        log.append("over")

    async def act(process: Process) -> None:
        assert log == ["lifespan.startup"]
        await process.stop()

    run(app, act)
    assert log == ["lifespan.startup", "lifespan.shutdown", "over"]


async def raises(scope: Any, receive: Any, send: Any) -> None:
    raise RuntimeError("no licence")


async def fails(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "no disk"})


async def hangs(scope: Any, receive: Any, send: Any) -> None:
    await asyncio.sleep(3_600)


async def fails_to_stop(scope: Any, receive: Any, send: Any) -> None:
    await receive()
    await send({"type": "lifespan.startup.complete"})
    await receive()
    await send({"type": "lifespan.shutdown.failed", "message": "still busy"})


@pytest.mark.parametrize(
    ("app", "words"),
    [
        (raises, "failed to start: RuntimeError: no licence"),
        (fails, "failed to start: no disk"),
        (hangs, "did not answer lifespan.startup within 60 s"),
        (fails_to_stop, "failed to stop: still busy"),
    ],
)
def test_a_target_that_does_not_start_or_stop_says_why(app: ASGIApp, words: str) -> None:
    with pytest.raises(TargetUnreachable, match=words):
        run(app, Process.stop)


def test_a_factory_runs_within_the_life_and_its_failure_is_said() -> None:
    process, lives = Process(Life(0)), list[Life | None]()

    def factory() -> ASGIApp:
        lives.append(LIFE.get())
        raise KeyError("DATABASE_URL")

    with pytest.raises(TargetUnreachable, match="the target's factory failed: KeyError: 'DATABASE_URL'"):
        process.make(factory)
    assert lives == [process.life]
