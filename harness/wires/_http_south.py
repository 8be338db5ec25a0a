"""What the answers of a backend that isn't ours show: facts of the south side, as a double would write them.

A backend tells when it is asked, so a run's start and end stand where they were first seen. What is true of a run is
read from the backend's own answers, what was delivered from those that reached the target.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from harness.facts import CancelReceived, ResultDelivered, RunAccepted, RunEnded, RunStarted
from harness.inputs.binding import decoded
from harness.inputs.hearing import Context, Reader
from harness.inputs.http_wire import HttpOptions
from harness.inputs.target import Actor
from harness.recording import Recorder
from harness.wire import Reply, Request

_NOBODY = Actor(name="", person="", tenant="", abilities=(), credentials=())
_UNKNOWN = {"region": "", "qubits": 0, "digest": ""}


class South:
    """Writes the facts of one wire; it remembers the runs of a play."""

    def __init__(self, options: HttpOptions) -> None:
        self._readers = {name: tuple(Reader(None, r) for r in reads) for name, reads in options.read.items()}
        self._recorder: Recorder | None = None
        self._runs: dict[str, RunAccepted] = {}
        self._started: set[str] = set()
        self._ended: set[str] = set()

    def reads(self, operation: str) -> bool:
        """Whether answers to it show anything."""
        return operation in self._readers

    def answered(
        self, recorder: Recorder, operation: str, request: Request, values: Mapping[str, str], reply: Reply
    ) -> None:
        """The backend gave this answer, whoever gets it."""
        if recorder is not self._recorder:
            self._recorder, self._runs, self._started, self._ended = recorder, {}, set(), set()
        for kind, told in self._told(operation, request, values, reply):
            if kind is RunAccepted:
                self._accepted(recorder, told)
            elif kind is RunStarted:
                self._starts(recorder, told)
            elif kind is RunEnded:
                self._ends(recorder, told)
            elif kind is CancelReceived:
                recorder.record(CancelReceived(run=told["run"], effective=bool(told["effective"])))

    def delivered(
        self,
        recorder: Recorder,
        operation: str,
        request: Request,
        values: Mapping[str, str],
        reply: Reply,
        *,
        intact: bool,
    ) -> None:
        """This answer reached the target."""
        for kind, told in self._told(operation, request, values, reply):
            if kind is ResultDelivered:
                told["probabilities"] = _per_circuit(told["probabilities"])
                recorder.record(ResultDelivered(**{**told, "intact": intact}))

    def _told(
        self, operation: str, request: Request, values: Mapping[str, str], reply: Reply
    ) -> list[tuple[type[Any], dict[str, Any]]]:
        if operation not in self._readers or not 200 <= reply.status < 300:
            return []
        params = {**request.query, **values}
        context = Context(reply.status, reply.headers, decoded(reply.body), params, _NOBODY, decoded(request.body))
        found = [(r.kind, told) for r in self._readers[operation] for told in r.values(context)]
        return [(kind, told) for kind, told in found if _says_something(kind, told)]

    def _accepted(self, recorder: Recorder, told: dict[str, Any]) -> None:
        if told["run"] not in self._runs:
            self._runs[told["run"]] = fact = RunAccepted(**{**_UNKNOWN, **told})
            recorder.record(fact)

    def _starts(self, recorder: Recorder, told: dict[str, Any]) -> None:
        accepted = self._runs.get(told["run"])
        if accepted is not None and accepted.run not in self._started:
            self._started.add(accepted.run)
            known = {"backend": accepted.backend, "region": accepted.region, "shots": accepted.shots}
            recorder.record(RunStarted(**{**known, **told}))

    def _ends(self, recorder: Recorder, told: dict[str, Any]) -> None:
        accepted = self._runs.get(told["run"])
        if accepted is None or accepted.run in self._ended:
            return
        shots = told.get("shots", accepted.shots if told["state"] == "completed" else 0)
        if told["state"] == "completed" or shots:
            # what ran has begun, seen or not
            self._starts(recorder, {"run": accepted.run})
        self._ended.add(accepted.run)
        recorder.record(RunEnded(**{**told, "shots": shots}))


_NEEDED = {
    RunAccepted: {"run", "backend", "circuits", "shots"},
    RunStarted: {"run"},
    RunEnded: {"run", "state"},
    CancelReceived: {"run", "effective"},
    ResultDelivered: {"run", "probabilities"},
}


def _says_something(kind: type[Any], told: Mapping[str, Any]) -> bool:
    known = all(told.get(field) is not None for field in _NEEDED[kind])
    return known and (kind is not RunEnded or told["state"] in ("completed", "failed", "canceled"))


def _per_circuit(told: Any) -> tuple[Mapping[str, float], ...]:
    """Probabilities of each circuit; a backend of single circuits tells them without a list around."""
    return (told,) if isinstance(told, Mapping) else tuple(t for t in told if isinstance(t, Mapping))
