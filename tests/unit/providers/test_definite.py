"""DEFINITE: the statuses from which a caller may conclude that its request had no effect."""

from __future__ import annotations

import ast
import importlib
from collections.abc import Mapping
from pathlib import Path

import pytest

from harness.facts import CancelReceived, RunAccepted, RunDisowned
from harness.model import FaultUse
from harness.providers._protocol import Protocol
from harness.registry import subclasses
from harness.wire import Reply
from tests.end_to_end.test_determinism import conversation
from tests.families.dialects import dialect
from tests.families.dialects.base import Dialect
from tests.unit.backend.scene import Scene, play

PROTOCOLS = dict(sorted(subclasses("harness.providers", Protocol).items()))  # type: ignore[type-abstract]
FOLDER = Path(importlib.import_module("harness.providers").__file__ or "").parent
#: what answers with a status that is written in the code
ANSWERS = {"Refusal", "refusal", "storage_refusal", "storage_error", "error", "of_json", "Reply", "refused"}


def table(name: str) -> Mapping[int, bool]:
    found: Mapping[int, bool] = importlib.import_module(f"harness.providers.{name}").DEFINITE
    assert PROTOCOLS[name].definite is found
    return found


ERRORS = [(name, status) for name in PROTOCOLS for status in table(name) if status >= 400]


def submitted(name: str, faults: list[FaultUse]) -> tuple[Reply, list[RunAccepted], list[RunDisowned]]:
    """A submission under faults: its answer, what was accepted, what is told not to be there."""

    async def act(scene: Scene) -> tuple[Reply, list[RunAccepted], list[RunDisowned]]:
        speaker = dialect(name)(scene, PROTOCOLS[name].make(scene.south, {}))
        reply = await speaker.submit()
        found = reply, scene.facts(RunAccepted), scene.facts(RunDisowned)
        await speaker.double.aclose()
        return found

    return play(act, faults)


def failing(status: int, when: str) -> list[FaultUse]:
    return [FaultUse(fault="http_error", params={"on": ["submit"], "status": status, "when": when})]


@pytest.mark.parametrize(("name", "status"), ERRORS)
def test_a_request_that_is_answered_before_its_effect_leaves_no_run(name: str, status: int) -> None:
    reply, accepted, disowned = submitted(name, failing(status, "before"))
    assert (reply.status, accepted, disowned) == (status, [], [])


@pytest.mark.parametrize(("name", "status"), ERRORS)
def test_a_run_is_disowned_by_a_definite_answer_only(name: str, status: int) -> None:
    """One that was accepted all the same: the answer lies if it is definite, and else leaves it open."""
    reply, accepted, disowned = submitted(name, failing(status, "after"))
    assert (reply.status, len(accepted)) == (status, 1)
    assert [d.run for d in disowned] == ([accepted[0].run] if table(name)[status] else [])


@pytest.mark.parametrize("name", PROTOCOLS)
def test_nothing_is_concluded_from_success_or_from_failures_of_the_service(name: str) -> None:
    """2xx had an effect, and what failed inside, or on the way, may have had one."""
    assert {s: table(name)[s] for s in table(name) if not 400 <= s < 500 and table(name)[s]} == {}
    assert {408, 425} & {s for s, definite in table(name).items() if definite} == set()


@pytest.mark.parametrize("name", PROTOCOLS)
def test_what_had_an_effect_is_not_answered_definitely(name: str) -> None:
    """Over jobs, a batch, a cancellation and a session: each answer after which something had changed."""

    async def act(scene: Scene) -> dict[int, int]:
        speaker = _Watched.of(name, scene)
        await conversation(speaker.speaker, scene)
        await speaker.speaker.double.aclose()
        return speaker.effects

    effects = play(act)
    assert sum(effects.values()) >= 5
    assert [s for s in effects if table(name).get(s, False)] == []


class _Watched:
    """A dialect whose every answer is looked at: had it an effect?"""

    def __init__(self, speaker: Dialect) -> None:
        self.speaker = speaker
        #: status → answers that came with an effect
        self.effects: dict[int, int] = {}
        self._send = speaker.send
        speaker.send = self._watched  # type: ignore[method-assign]

    @classmethod
    def of(cls, name: str, scene: Scene) -> _Watched:
        return cls(dialect(name)(scene, PROTOCOLS[name].make(scene.south, {})))

    async def _watched(
        self, method: str, target: str, body: object = None, headers: Mapping[str, str] | None = None
    ) -> Reply:
        before = self._changes()
        reply = await self._send(method, target, body, headers)
        if self._changes() != before:
            self.effects[reply.status] = self.effects.get(reply.status, 0) + 1
        return reply

    def _changes(self) -> int:
        scene = self.speaker.scene
        return len(scene.facts(RunAccepted)) + sum(c.effective for c in scene.facts(CancelReceived))


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_status_in_the_code_is_in_the_table(name: str) -> None:
    """Of the protocol's files and of what all share."""
    files = [FOLDER / f"{name}.py", *FOLDER.glob(f"_{name}_*.py"), FOLDER / "_protocol.py"]
    used = {status: file.name for file in files for status in _statuses(file)}
    assert len(used) >= 4
    assert {s: file for s, file in used.items() if s not in table(name)} == {}


def _statuses(file: Path) -> set[int]:
    calls = (n for n in ast.walk(ast.parse(file.read_text())) if isinstance(n, ast.Call) and n.args)
    return {
        first.value
        for call in calls
        if _name(call.func) in ANSWERS
        and isinstance(first := call.args[0], ast.Constant)
        and isinstance(first.value, int)
    }


def _name(called: ast.expr) -> str:
    return called.attr if isinstance(called, ast.Attribute) else called.id if isinstance(called, ast.Name) else ""
