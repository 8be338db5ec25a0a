"""Each fault, in each of its ways, against each provider's protocol: what goes over the wire, beside what would have.

The same scene is played twice, without the fault and with it; ids, times and counts are the same, so bytes that differ
differ by the fault. A new fault fails here until it has a check in wire_checks.py, a new protocol until it has a
dialect in dialects/.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest

from harness.backend.runs import Backend
from harness.clock import NS_PER_MS
from harness.facts import FaultFired, RunAccepted
from harness.injection import Call, build
from harness.model import FaultUse
from harness.providers._protocol import Protocol
from harness.registry import subclasses
from harness.wire import Reply
from tests.families.dialects import dialect
from tests.families.dialects.base import Dialect
from tests.families.wire_cases import CASES, FAULTS, HOUR_MS, LASTING, LOOK_AFTER_MS, Case, Played
from tests.families.wire_checks import CHECKS, check_nothing, check_told_otherwise
from tests.unit.backend.scene import Scene, play

PROTOCOLS = subclasses("harness.providers", Protocol)  # type: ignore[type-abstract]

#: (protocol, fault, setting) → why the protocol can't say it: with it, the bytes are those without it
SILENT: Mapping[tuple[str, str, str], str] = {
    ("ionq", "device_told", "way=firmware"): "no firmware is published",
    ("ionq", "device_told", "way=hardware"): "a simulator is known by its name alone",
    ("ionq", "device_told", "way=simulator"): "a simulator is known by its name alone",
    ("ionq", "device_told", "way=shots"): "no cap on shots is published",
    ("ionq", "wrong_result", "way=narrow"): "keys are numbers, which have no width",
    ("braket", "device_told", "way=firmware"): "no firmware is published",
    ("braket", "field_lost", "what=metadata"): "tags are kept beside the task, not with it",
    ("braket", "cost_told", ""): "no charge is told but the executed shots",
    ("braket", "cost_told", "factor=0.0"): "no charge is told but the executed shots",
    ("braket", "cost_told", "factor=2.0"): "no charge is told but the executed shots",
    ("braket", "cost_told", "factor=0.5"): "no charge is told but the executed shots",
    ("ibm", "device_told", "way=region"): "no region is published",
    ("ibm", "device_told", "way=hardware"): "no simulators are listed",
    ("ibm", "field_lost", "what=results"): "a status does not tell whether there are results",
    ("braket", "field_lost", "what=results"): "a status does not tell whether there are results",
    ("ibm", "wrong_result", "way=narrow"): "a bit array is as wide as the circuit's register",
    ("oqtopus", "device_told", "way=shots"): "no cap on shots is published",
    ("oqtopus", "queue_told", "*"): "no place in the queue is told",
    ("oqtopus", "field_lost", "what=position"): "no place in the queue is told",
}
#: (protocol, fault, setting) → why the protocol can't say it as it is: the bytes differ in another way
SAID_OTHERWISE: Mapping[tuple[str, str, str], str] = {
    (p, "invalid_result", w): "results are told shot by shot: there are too many of them, or too few"
    for p in ("ibm", "braket")
    for w in ("way=negative", "way=nan")
}
#: (protocol, fault or operation, or both) → why the protocol has no place for it at all
PLACELESS: Mapping[tuple[str, str], str] = {
    ("braket", "session_time"): "Braket has no sessions for tasks",
    ("oqtopus", "session_time"): "OQTOPUS has no sessions",
    ("ionq", "access_denied on device"): "devices are told to anybody",
    ("oqtopus", "access_denied on result"): "a presigned link needs no credential",
    ("oqtopus", "id_lost"): "the id is given at registration, before there is a run",
    **{(p, "token"): "keys are shown as they are, not exchanged for tokens" for p in ("braket", "ionq", "oqtopus")},
}


# ---------------------------------------------------------------- the play


def played(protocol: str, case: Case, struck: bool) -> Played:
    """One play of a case, with its fault or without."""

    async def act(scene: Scene) -> Played:
        speaker = dialect(protocol)(scene, PROTOCOLS[protocol].make(scene.south, {}))
        jobs = await stage(speaker, needed(case))
        # so that "now" is another time than the beginning
        await scene.clock.sleep_ms(HOUR_MS)
        before = (len(scene.facts(RunAccepted)), len(scene.facts(FaultFired)), scene.clock.now_ns())
        if struck:
            at = {"on": [case.operation]} if case.kind.layer in ("http", "identity") else {}
            narrow = {**at, **case.params} | ({"times": 0} if case.fault in LASTING else {})
            scene.injector.add(FaultUse(fault=case.fault, params=narrow))
        replies = await PLAYS.get(case.fault, _ask)(speaker, case, jobs)
        found = Played(
            speaker=speaker,
            replies=tuple(replies),
            took_ms=(scene.clock.now_ns() - before[2]) // NS_PER_MS,
            accepted=len(scene.facts(RunAccepted)) - before[0],
            fired=len(scene.facts(FaultFired)) - before[1],
        )
        await speaker.double.aclose()
        return found

    return play(act)


async def stage(speaker: Dialect, names: Sequence[str]) -> dict[str, str]:
    """The jobs of these names, always in the same order, so that ids are the same."""
    jobs = {}
    for name in sorted(names, key=JOBS.index):
        if name == "failed":
            speaker.scene.injector.add(FaultUse(fault="job_failed", params={"code": "InternalError"}))
        if name in ("started", "waiting", "submitted"):
            _slow(speaker.double.backend)
        jobs[name] = await _submitted(speaker, {"batch": ("tall", "low"), "completed": ("tall",)}.get(name, ("low",)))
        speaker.scene.injector.clear()
    return jobs


#: ``submitted`` is not the next in line, which is ``waiting``
JOBS = ("completed", "low", "batch", "failed", "started", "waiting", "submitted")


def needed(case: Case) -> tuple[str, ...]:
    """The jobs that a case asks about, and those before them in the queue."""
    play = PLAYS.get(case.fault, _ask)
    if play in (_cancel, _cached):
        return ("started", "completed")
    if play is _ask_result:
        return tuple(dict.fromkeys(_results_of(case)))
    if play is not _ask or case.operation not in ("status", "list", "cancel", "result"):
        return ()
    state = _state(case, case.operation)
    return ("started", "waiting", "submitted") if state == "submitted" else (state,)


async def _submitted(speaker: Dialect, circuits: tuple[str, ...]) -> str:
    job = speaker.id_of(await speaker.submit(circuits))
    await speaker.scene.clock.sleep_ms(HOUR_MS)
    return job


def _slow(backend: Backend) -> None:
    """Devices that end nothing any more in a test's time."""
    for device in backend.devices:
        backend.exchange(replace(device, setup_ms=10**9))


async def _ask(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """The one question that is struck, behind those that are let pass."""
    replies = []
    for _ in range(case.get("skip") + 1):
        operation = case.operation
        if operation == "submit":
            replies.append(await speaker.submit())
        elif case.fault == "calibration_told":
            replies.append(await speaker.calibration())
        elif case.fault == "backend_offline" and operation == "device":
            replies += await speaker.published(_noisy(speaker))
        elif operation == "device":
            replies.append(await speaker.ask(operation, _noisy(speaker)))
        elif case.fault == "queue_told" or case.params.get("what") == "position":
            replies.append(await speaker.place(jobs["submitted"]))
        else:
            replies.append(await speaker.ask(operation, jobs.get(_state(case, operation), "")))
    return replies


def _state(case: Case, operation: str) -> str:
    """The job that the case is about."""
    if operation not in ("status", "list"):
        return "started" if operation == "cancel" else "completed"
    if case.fault == "field_lost":
        return {"reason": "failed", "position": "submitted"}.get(case.get("what"), "completed")
    if case.params.get("only_alive"):
        return "started"
    fault = build(FaultUse(fault=case.fault, params=case.params))
    states = [s for s in ("completed", "started", "submitted") if s != case.params.get("told", "started")]
    return next(s for s in states if fault.knows(Call(fault.layer, "backend", operation, state=s)) or "at" in s)


async def _ask_result(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """Results of the jobs on which the way shows."""
    return [await speaker.ask("result", jobs[n]) for n in _results_of(case)]


def _results_of(case: Case) -> list[str]:
    """The jobs on which a way shows; two of them, or one twice, where one is not enough."""
    way = case.params.get("way")
    if case.fault == "partial_batch" or case.params.get("only_batches"):
        return ["batch"]
    if way == "narrow":
        return ["low"]
    if way == "foreign":
        return ["low", "completed"]
    return ["completed"] * (2 if case.get("skip") or way == "resampled" else 1)


async def _run_anew(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """A new job on the noisy device, its status after half an hour, and its result where there is one."""
    job = speaker.id_of(await speaker.submit(("tall",), 1000, _noisy(speaker)))
    await speaker.scene.clock.sleep_ms(LOOK_AFTER_MS.get(case.fault, HOUR_MS))
    replies = [await speaker.ask("status", job)]
    if speaker.state_of(replies[0]) == speaker.states["completed"]:
        replies.append(await speaker.ask("result", job))
    return replies


def _noisy(speaker: Dialect) -> str:
    return str(getattr(speaker, "noisy_arn", speaker.noisy))


async def _drift(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """Two runs, as a drift begins with the first."""
    return [*await _run_anew(speaker, case, jobs), *await _run_anew(speaker, case, jobs)]


async def _cancel(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    return [await speaker.ask("cancel", jobs["started"]), await speaker.ask("status", jobs["started"])]


async def _cached(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """The same question before and after something happened; or two questions of a kind."""
    first = await speaker.ask("status", jobs["started"])
    if case.get("of") == "operation":
        return [first, await speaker.ask("status", jobs["completed"])]
    await speaker.ask("cancel", jobs["started"])
    return [first, await speaker.ask("status", jobs["started"])]


async def _published(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """Wherever a device is told of."""
    return await speaker.published(speaker.ideal if case.params.get("way") == "hardware" else _noisy(speaker))


async def _session(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """A session, in the midst of its time or long after it."""
    session = await speaker.session()
    assert session is not None
    early = case.get("way") == "evicted" and case.get("ms") < HOUR_MS
    await speaker.scene.clock.sleep_ms(HOUR_MS // 2 if early else 30 * HOUR_MS)
    return [await speaker.session_state(session)]


PLAYS: Mapping[str, Callable[..., Any]] = {
    "job_failed": _run_anew,
    "queue_stall": _run_anew,
    "run_overrun": _run_anew,
    "noise": _drift,
    "cancel_ignored": _cancel,
    "cancel_hang": _cancel,
    "stale_reply": _cached,
    "session_time": _session,
    "device_told": _published,
    "wrong_result": _ask_result,
    "partial_batch": _ask_result,
}


# ---------------------------------------------------------------- the table


def test_exceptions_are_about_something() -> None:
    """Each of them is met by a case of a protocol that there is; else it is to go."""
    met = {(p, c.fault, s) for p in PROTOCOLS for c in CASES.values() for s in _settings(c)}
    assert set(SILENT) | set(SAID_OTHERWISE) <= met
    assert {p for p, _ in PLACELESS} <= set(PROTOCOLS)
    assert {w for _, w in PLACELESS} <= {w for c in CASES.values() for w in _places(c)}


def _places(case: Case) -> tuple[str, ...]:
    return case.fault, case.operation, f"{case.fault} on {case.operation}"


def _settings(case: Case) -> set[str]:
    """A case's parameters as exceptions name them; ``*`` is any case of its fault."""
    return {"*", *(f"{k}={v}" for k, v in case.params.items())} if case.params else {"*", ""}


@pytest.mark.parametrize("fault", sorted({*FAULTS, *CHECKS}))
def test_every_fault_has_its_check(fault: str) -> None:
    """Without one its cases are not played."""
    assert fault in CHECKS, f"say what {fault} must do to the bytes: a line in CHECKS of tests/families/wire_checks.py"
    assert fault in FAULTS, f"no fault is called {fault}: take it out of CHECKS in tests/families/wire_checks.py"


@pytest.mark.parametrize("label", [label for label, case in CASES.items() if case.fault in CHECKS])
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_what_goes_over_the_wire(protocol: str, label: str) -> None:
    case = CASES[label]
    for place in _places(case):
        if (protocol, place) in PLACELESS:
            pytest.skip(PLACELESS[protocol, place])
    plain, struck = played(protocol, case, False), played(protocol, case, True)
    assert struck.fired, (
        f"{case.fault} never struck: {protocol} was asked for a {case.operation}. If that is no play for it, name "
        "another in PLAYS (here) or PLAYED_AT (wire_cases.py); if the protocol has no place for it, why: PLACELESS"
    )
    named = {(protocol, case.fault, s) for s in _settings(case)}
    silent, otherwise = (not named.isdisjoint(table) for table in (SILENT, SAID_OTHERWISE))
    check = check_nothing if silent else check_told_otherwise if otherwise else CHECKS[case.fault]
    check(case, plain, struck)
