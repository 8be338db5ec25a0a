"""The courier on its own: real time made short, a fake machine behind httpx, no harness."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from tests.targets.courier import carrier, maths, reference
from tests.targets.courier.app import factory

PEOPLE = {"acme": {"ann": ["a1", "a2"], "bob": ["b1"], "cyd": ["c1"]}, "bolt": {"dee": ["d1"]}}
SECRETS = {u: (o, s[0]) for o, of in PEOPLE.items() for u, s in of.items()}
ANGLES = [0.7, 1.1]
SETTINGS = {"QPU_API": "http://qpu.test/v0.4", "QPU_KEY": "k", "PEOPLE": json.dumps(PEOPLE)}


@dataclass
class FakeMachine:
    """As much of IonQ v0.4 as is asked for. ``ends``: runs complete once looked at."""

    ends: bool = True
    up: bool = True
    lose_submits: int = 0
    refuse: int = 0
    runs: list[dict[str, Any]] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    result: Any = field(default_factory=lambda: {"0": 0.5, "3": 0.5})

    def answer(self, request: httpx.Request) -> httpx.Response:
        """One request."""
        assert request.headers["authorization"] == "apiKey k"
        parts = request.url.path.removeprefix("/v0.4/").split("/")
        if parts[0] == "backends":
            return httpx.Response(200, json={"status": "available" if self.up else "unavailable"})
        if parts == ["jobs"] and request.method == "POST":
            return self.submit(json.loads(request.content))
        if parts == ["jobs"]:
            return httpx.Response(200, json={"jobs": self.runs, "next": None})
        run = next(r for r in self.runs if r["id"] == parts[1])
        if parts[2:] == ["status", "cancel"]:
            run["status"] = "canceled"
        if parts[2:] == ["results", "probabilities"]:
            return httpx.Response(200, json=self.result)
        if self.ends and run["status"] == "submitted":
            run.update(status="completed", started_at="2026-01-01T00:00:00Z")
        return httpx.Response(200, json=run)

    def submit(self, body: dict[str, Any]) -> httpx.Response:
        """A new run, unless it is refused; its answer may get lost."""
        if self.refuse:
            return httpx.Response(self.refuse)
        run = {"id": f"r{len(self.runs)}", "status": "submitted", "started_at": None}
        self.runs.append({**run, "metadata": body["metadata"], "shots": body["shots"]})
        self.reached.set()
        if self.lose_submits:
            self.lose_submits -= 1
            return httpx.Response(504)
        return httpx.Response(201, json=run)


@dataclass
class Town:
    """A running courier, its machine, and callers by name."""

    machine: FakeMachine
    client: httpx.AsyncClient

    async def call(self, user: str, method: str, path: str, body: Any = None) -> httpx.Response:
        """One request by a person."""
        org, secret = SECRETS[user]
        headers = {"X-Org": org, "X-User": user, "X-Secret": secret}
        return await self.client.request(method, f"/api{path}", json=body, headers=headers)

    async def work(self, user: str = "ann", credits: int = 200, **more: Any) -> httpx.Response:
        """A submission."""
        body = {"credits": credits, "angles": ANGLES, **more}
        return await self.call(user, "POST", "/work", body)

    async def end(self, ref: str) -> dict[str, Any]:
        """The work once it is over."""
        while True:
            told: dict[str, Any] = (await self.call("ann", "GET", f"/work/{ref}?wait=1")).json()
            if told["now"] in ("DONE", "BROKEN", "STOPPED"):
                return told

    async def signed(self, credits: int, *users: str) -> int:
        """A sign-off by ann with the word of others."""
        body = {"credits": credits, "angles": ANGLES}
        number = (await self.call("ann", "POST", "/signoffs", body)).json()["number"]
        for user in users:
            await self.call(user, "POST", f"/signoffs/{number}/ok", {})
        return int(number)

    async def budget(self) -> dict[str, int]:
        """Ann's org's credits."""
        told: dict[str, int] = (await self.call("ann", "GET", "/budget")).json()
        return told


Play = Callable[[Town], Awaitable[None]]


@asynccontextmanager
async def town(bugs: str = "", machine: FakeMachine | None = None, **more: str) -> AsyncIterator[Town]:
    machine = machine or FakeMachine()
    app = factory({**SETTINGS, "BUGS": bugs, **more})
    north = httpx.ASGITransport(app)
    async with (
        app.router.lifespan_context(app),
        httpx.AsyncClient(transport=north, base_url="http://courier.test") as client,
    ):
        yield Town(machine, client)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(carrier, "PAUSES_S", (0.01, 0.02, 0.03))


@pytest.fixture
def play(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Run a story in a fresh town whose outgoing requests reach its machine."""

    def run(story: Play, bugs: str = "", machine: FakeMachine | None = None, **more: str) -> None:
        machine = machine or FakeMachine()

        async def south(_: Any, request: httpx.Request) -> httpx.Response:
            await request.aread()
            await asyncio.sleep(0)
            response = machine.answer(request)
            response.request = request
            return response

        monkeypatch.setattr(httpx.AsyncHTTPTransport, "handle_async_request", south)

        async def whole() -> None:
            async with asyncio.timeout(20), town(bugs, machine, **more) as place:
                await story(place)

        asyncio.run(whole())

    return run


def test_small_work_is_answered_at_once(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        told = await t.work(credits=50)
        assert told.status_code == 200
        assert (told.json()["now"], told.json()["via"]) == ("DONE", "quantum")
        assert told.json()["answer"] == 0.5
        assert await t.budget() == {"credits": 2000, "promised": 0, "spent": 50, "left": 1950}

    play(story)


def test_other_work_is_polled_for(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        told = await t.work()
        assert (told.status_code, told.json()["now"]) == (201, "NEW")
        assert (await t.end(told.json()["ref"]))["now"] == "DONE"
        assert [w["ref"] for w in (await t.call("bob", "GET", "/work")).json()] == [told.json()["ref"]]

    play(story)


def test_three_kinds_of_no_differ_by_text_alone(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        ref = (await t.work()).json()["ref"]
        answers = [
            await t.work(credits=501),
            await t.work(credits=1801),
            await t.call("dee", "GET", f"/work/{ref}"),
        ]
        assert [a.status_code for a in answers] == [403] * 3
        words = ("needs a sign-off", "over budget", "not yours")
        assert [w in a.text for w, a in zip(words, answers, strict=True)] == [True] * 3
        assert all(a.headers["content-type"].startswith("text/plain") for a in answers)

    play(story)


def test_who_are_you(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        headers = {"X-Org": "acme", "X-User": "ann", "X-Secret": "b1"}
        assert (await t.client.get("/api/budget", headers=headers)).status_code == 401

    play(story)


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"credits": 0, "angles": [1]},
        {"credits": True, "angles": [1]},
        {"credits": 5, "angles": []},
        {"credits": 5, "angles": ["x"]},
        {"credits": 5, "angles": [1], "signoff": "1"},
        {"credits": 5, "angles": [1], "dedupe": ""},
        {"credits": 5, "angles": [1], "colour": 1},
        [],
    ],
)
def test_nonsense_is_refused(play: Callable[..., None], body: Any) -> None:
    async def story(t: Town) -> None:
        assert (await t.call("ann", "POST", "/work", body)).status_code == 422
        assert (await t.budget())["left"] == 2000

    play(story)


def test_dedupe_belongs_to_the_org(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        first, *others = await asyncio.gather(t.work(dedupe="x"), t.work("bob", dedupe="x"), t.work("dee", dedupe="x"))
        same, foreign = others
        assert same.json()["ref"] == first.json()["ref"] != foreign.json()["ref"]
        assert [a.json().get("again", False) for a in (first, same, foreign)] == [
            False,
            True,
            False,
        ]
        assert (await t.work(credits=201, dedupe="x")).status_code == 409

    play(story)


def test_heavy_work_goes_under_its_signoff_once(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        number = await t.signed(900, "bob")
        assert (await t.call("ann", "POST", "/work", {"signoff": number})).status_code == 403
        assert (await t.call("ann", "POST", f"/signoffs/{number}/ok", {})).status_code == 409
        assert (await t.call("bob", "POST", f"/signoffs/{number}/ok", {})).status_code == 409
        await t.call("cyd", "POST", f"/signoffs/{number}/ok", {"ok": True})
        assert (await t.work(credits=901, signoff=number)).status_code == 403
        told = await t.call("ann", "POST", "/work", {"signoff": number})
        assert (told.status_code, told.json()["credits"]) == (201, 900)
        assert (await t.call("ann", "POST", "/work", {"signoff": number})).status_code == 409
        seen = (await t.call("bob", "GET", f"/signoffs/{number}")).json()
        assert (seen["is"], seen["work"]) == ("USED", told.json()["ref"])
        assert (await t.call("dee", "GET", f"/signoffs/{number}")).text == "not yours"

    play(story)


def test_one_no_is_enough(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        number = await t.signed(900)
        await t.call("bob", "POST", f"/signoffs/{number}/ok", {"ok": False})
        assert (await t.call("cyd", "POST", f"/signoffs/{number}/ok", {})).status_code == 409
        assert (await t.call("ann", "POST", "/work", {"signoff": number})).status_code == 403

    play(story)


def test_stop_reaches_the_machine(play: Callable[..., None]) -> None:
    machine = FakeMachine(ends=False)

    async def story(t: Town) -> None:
        ref = (await t.work()).json()["ref"]
        await machine.reached.wait()
        assert (await t.call("ann", "POST", f"/work/{ref}/stop")).json()["now"] == "BUSY"
        assert (await t.end(ref))["now"] == "STOPPED"
        assert machine.runs[0]["status"] == "canceled"
        assert (await t.budget())["left"] == 2000
        assert (await t.call("ann", "POST", f"/work/{ref}/stop")).status_code == 409

    play(story, machine=machine)


def test_held_work_is_stopped_at_once(play: Callable[..., None]) -> None:
    machine = FakeMachine(ends=False)

    async def story(t: Town) -> None:
        await t.work()
        ref = (await t.work()).json()["ref"]
        await machine.reached.wait()
        assert (await t.call("ann", "GET", f"/work/{ref}")).json()["now"] == "HELD"
        assert (await t.call("ann", "POST", f"/work/{ref}/stop")).json()["now"] == "STOPPED"

    play(story, machine=machine, LANES="1")


@pytest.mark.parametrize(
    ("machine", "spent"),
    [
        (FakeMachine(up=False), 0),
        (FakeMachine(refuse=503), 0),
        (FakeMachine(refuse=429), 0),
        (FakeMachine(result={"7": 1.0}), 200),
        (FakeMachine(result=[1]), 200),
        (FakeMachine(result={"0": 0.2}), 200),
    ],
)
def test_what_the_machine_cannot_do_is_computed(play: Callable[..., None], machine: FakeMachine, spent: int) -> None:
    async def story(t: Town) -> None:
        told = await t.end((await t.work()).json()["ref"])
        assert (told["now"], told["via"]) == ("DONE", "computed")
        assert told["answer"] == pytest.approx(maths.on_paper(ANGLES))
        assert await t.budget() == {
            "credits": 2000,
            "promised": 0,
            "spent": spent,
            "left": 2000 - spent,
        }

    play(story, machine=machine)


def test_work_that_the_machine_refuses_is_broken(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        told = await t.end((await t.work()).json()["ref"])
        assert (told["now"], told["why"]) == ("BROKEN", "the machine refused it")
        assert (await t.budget())["left"] == 2000

    play(story, machine=FakeMachine(refuse=400))


def test_impatience_ends_in_a_computed_answer(play: Callable[..., None]) -> None:
    machine = FakeMachine(ends=False)

    async def story(t: Town) -> None:
        assert (await t.end((await t.work()).json()["ref"]))["via"] == "computed"
        assert machine.runs[0]["status"] == "canceled"

    play(story, machine=machine, PATIENCE_S="0.4")


def test_a_lost_answer_is_looked_up(play: Callable[..., None]) -> None:
    machine = FakeMachine(lose_submits=1)

    async def story(t: Town) -> None:
        told = await t.end((await t.work()).json()["ref"])
        assert (told["via"], len(machine.runs)) == ("quantum", 1)

    play(story, machine=machine)


# ---------------------------------------------------------------- each bug shows


@pytest.mark.parametrize(("bug", "accepted"), [("", 2), ("budget-race", 3)])
def test_bug_budget_race(play: Callable[..., None], bug: str, accepted: int) -> None:
    async def story(t: Town) -> None:
        answers = await asyncio.gather(*(t.work(credits=400) for _ in range(3)))
        assert sum(a.status_code == 201 for a in answers) == accepted

    play(story, bug, CREDITS="1000")


@pytest.mark.parametrize(("bug", "status"), [("", 403), ("double-ok", 201)])
def test_bug_double_ok(play: Callable[..., None], bug: str, status: int) -> None:
    async def story(t: Town) -> None:
        number = await t.signed(900, "bob", "bob")
        assert (await t.call("ann", "POST", "/work", {"signoff": number})).status_code == status

    play(story, bug)


def test_bug_deaf_stop(play: Callable[..., None]) -> None:
    machine = FakeMachine(ends=False)

    async def story(t: Town) -> None:
        ref = (await t.work()).json()["ref"]
        await machine.reached.wait()
        assert (await t.call("ann", "POST", f"/work/{ref}/stop")).json()["now"] == "STOPPED"
        await asyncio.sleep(0.05)
        assert machine.runs[0]["status"] == "submitted"

    play(story, "deaf-stop", machine)


def test_bug_false_via(play: Callable[..., None]) -> None:
    async def story(t: Town) -> None:
        assert (await t.end((await t.work()).json()["ref"]))["via"] == "quantum"

    play(story, "false-via", FakeMachine(up=False))


def test_bug_twice(play: Callable[..., None]) -> None:
    machine = FakeMachine(lose_submits=1)

    async def story(t: Town) -> None:
        await t.end((await t.work()).json()["ref"])
        assert len({r["metadata"]["work"] for r in machine.runs}) == 1 < len(machine.runs)

    play(story, "twice", machine)


def test_unknown_bugs_are_refused() -> None:
    with pytest.raises(ValueError, match="unknown moth"):
        factory({**SETTINGS, "BUGS": "moth"})


@pytest.mark.parametrize("angles", [[0.5], [0.7, 1.1], [1.2, 0.4, 2.0], [3.0, 0.0, -1.0, 6.0]])
def test_both_ways_of_reckoning_agree(angles: list[float]) -> None:
    assert maths.on_paper(angles) == pytest.approx(reference.classical(angles, None))
    even = {str(k): 1 / 2 ** len(angles) for k in range(2 ** len(angles))}
    assert maths.by_machine(angles, even) == pytest.approx(reference.primary(angles, [even]))
