"""One value of an answer, changed or gone."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from harness.clock import RealClock
from harness.faults.mutated_reply import MutatedReply
from harness.injection import Act, Call
from harness.wire import Reply

BODY = {"id": "7", "a/b": {"~": [1, {"x": None}]}, "none": {}}


def changed(reply: Reply | None = None, seed: int = 1, **params: Any) -> Any:
    """What a fault makes of an answer."""

    async def proceed(_: Call) -> Reply:
        return reply or Reply(200, json.dumps(BODY).encode(), {"content-length": "1", "x": "y"})

    act = Act(RealClock(), random.Random(seed))
    return asyncio.run(MutatedReply(**params).around(Call("http", "s", "o"), proceed, act))


@pytest.mark.parametrize(
    ("pointer", "value", "expected"),
    [
        ("/id", '"8"', {**BODY, "id": "8"}),
        ("/a~1b/~0/0", "[2]", {**BODY, "a/b": {"~": [[2], {"x": None}]}}),
        ("/a~1b/~0/1/x", "words", {**BODY, "a/b": {"~": [1, {"x": "words"}]}}),
        ("/nowhere/at/all", "1", BODY),
        ("/a~1b/~0/2", "1", BODY),
        ("/id/x", "1", BODY),
    ],
)
def test_a_pointer_names_the_value(pointer: str, value: str, expected: Any) -> None:
    """Escapes, indexes; a place that isn't there is no harm."""
    reply = changed(pointer=pointer, value=value)
    assert json.loads(reply.body) == expected
    assert reply.headers == {"x": "y"}


def test_a_value_is_taken_away() -> None:
    """From an object, from a list."""
    assert json.loads(changed(pointer="/id", way="remove").body) == {k: v for k, v in BODY.items() if k != "id"}
    assert json.loads(changed(pointer="/a~1b/~0/0", way="remove").body)["a/b"] == {"~": [{"x": None}]}


def test_one_is_drawn() -> None:
    """Any of those that would be another; the same for the same seed."""
    found = {changed(seed=n, value="null").body for n in range(30)}
    assert len(found) == 3
    assert changed(seed=5).body == changed(seed=5).body


@pytest.mark.parametrize("reply", [Reply(200, b"no json"), Reply(200), Reply(500, b"{}"), Reply(200, b"\xff\xfe")])
def test_others_pass(reply: Reply) -> None:
    """Errors, and what is no JSON."""
    assert changed(reply) is reply
