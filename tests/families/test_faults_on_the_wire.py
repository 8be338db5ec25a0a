"""Each fault, in each of its ways, against each provider's protocol: what goes over the wire, beside what would have.

The same scene is played twice, without the fault and with it; ids, times and counts are the same, so bytes that differ
differ by the fault. A new fault fails here until it has a check, a new protocol until it has a dialect.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from harness.backend.runs import Backend
from harness.catalogue.seen import SEEN
from harness.clock import NS_PER_MS
from harness.facts import FaultFired, RunAccepted
from harness.injection import Call, Fault, build, known_faults
from harness.model import FaultUse
from harness.providers._protocol import Protocol
from harness.registry import subclasses
from harness.wire import Reply
from tests.families.dialects import dialect
from tests.families.dialects.base import Dialect
from tests.unit.backend.scene import Scene, play

PROTOCOLS = subclasses("harness.providers", Protocol)  # type: ignore[type-abstract]
FAULTS = {n: k for n, k in known_faults().items() if k.service == "backend" and k.layer != "process"}
OPERATIONS = ("submit", "status", "result", "cancel", "list", "device")
HOUR_MS = 3_600_000

#: (protocol, fault, setting) → why the protocol can't say it: with it, the bytes are those without it
SILENT: Mapping[tuple[str, str, str], str] = {
    ("ionq", "device_told", "way=firmware"): "no firmware is published",
    ("ionq", "device_told", "way=hardware"): "a simulator is known by its name alone",
    ("ionq", "device_told", "way=simulator"): "a simulator is known by its name alone",
    ("ionq", "device_told", "way=shots"): "no cap on shots is published",
    ("ionq", "wrong_result", "way=narrow"): "keys are numbers, which have no width",
    ("braket", "device_told", "way=region"): "the region is a part of the device's name",
    ("braket", "device_told", "way=firmware"): "no firmware is published",
    ("braket", "field_lost", "what=metadata"): "tags are kept beside the task, not with it",
    ("braket", "cost_told", ""): "no charge is told but the executed shots",
    ("braket", "cost_told", "factor=0.0"): "no charge is told but the executed shots",
    ("braket", "cost_told", "factor=2.0"): "no charge is told but the executed shots",
    ("braket", "cost_told", "factor=0.5"): "no charge is told but the executed shots",
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
#: (protocol, fault or operation) → why the protocol has no place for it at all
PLACELESS: Mapping[tuple[str, str], str] = {
    ("braket", "session_time"): "Braket has no sessions for tasks",
    ("oqtopus", "session_time"): "OQTOPUS has no sessions",
    ("oqtopus", "id_lost"): "the id is given at registration, before there is a run",
    **{(p, "token"): "keys are shown as they are, not exchanged for tokens" for p in ("braket", "ionq", "oqtopus")},
}


#: fault → where it shows best, if not at the first place that it knows
PLAYED_AT: Mapping[str, tuple[str, ...]] = {"wrong_tenant": ("status",)}
#: faults that are looked at in more than one request
LASTING = ("device_told",)


@dataclass(frozen=True)
class Case:
    """One fault with its settings."""

    fault: str
    params: Mapping[str, Any]

    @property
    def label(self) -> str:
        """As a test's id."""
        return "-".join([self.fault, *(f"{k}={v}" for k, v in self.params.items())]).replace(" ", "")

    @property
    def kind(self) -> type[Fault]:
        return FAULTS[self.fault]

    def get(self, name: str) -> Any:
        """A parameter's value, the default where it is not set."""
        return getattr(build(FaultUse(fault=self.fault, params=self.params)), name)

    @property
    def operation(self) -> str:
        """Where it is played."""
        usual = PLAYED_AT.get(self.fault, ())
        return str((*self.get("on"), *usual, *self.kind.drawn, *self.kind.operations)[0])


def cases() -> Iterator[Case]:
    """What was seen elsewhere, and each choice of each fault's own parameters."""
    for seen in SEEN:
        if seen.fault in FAULTS:
            yield Case(seen.fault, seen.params)
    for name, kind in FAULTS.items():
        yield Case(name, {})
        for field in kind.settings().values():
            own = field.name not in Fault.settings()
            more = MEANINGFUL.get((name, field.name), {})
            yield from (Case(name, {field.name: c, **more}) for c in field.metadata["choices"][1:] if own)


#: what a choice needs beside it so that anything is to be seen
MEANINGFUL: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("state_told", "during"): {"told": "canceled"},
    ("wrong_result", "way"): {"times": 0},
    ("wrong_result", "shots"): {"way": "shots"},
    ("wrong_result", "only_batches"): {"times": 0},
    ("device_told", "max_shots"): {"way": "shots"},
    ("noise", "over_ms"): {"way": "drift"},
    ("noise", "qubit"): {"way": "flip"},
    ("calibration_told", "age_h"): {"way": "stale"},
    ("session_time", "way"): {"ms": HOUR_MS},
}
CASES = {c.label: c for c in cases()}


@dataclass(frozen=True)
class Played:
    """What came back, and what the backend knows of it."""

    speaker: Dialect
    replies: tuple[Reply, ...]
    took_ms: int
    #: runs accepted, and strikes, since the stage was set
    accepted: int
    fired: int

    @property
    def last(self) -> Reply:
        """The last answer."""
        return self.replies[-1]


# ---------------------------------------------------------------- the play


def played(protocol: str, case: Case, struck: bool) -> Played:
    """One play of a case, with its fault or without."""

    async def act(scene: Scene) -> Played:
        speaker = dialect(protocol)(scene, PROTOCOLS[protocol].make(scene.south, {}))
        jobs = await stage(speaker, case)
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


async def stage(speaker: Dialect, case: Case) -> dict[str, str]:
    """A job in each state: state → id, and ``batch`` and ``low``, which have completed."""
    jobs = {}
    for name, circuits in (("completed", ("tall",)), ("low", ("low",)), ("batch", ("tall", "low"))):
        jobs[name] = await _submitted(speaker, circuits)
    speaker.scene.injector.add(FaultUse(fault="job_failed", params={"code": "InternalError"}))
    jobs["failed"] = await _submitted(speaker, ("low",))
    speaker.scene.injector.clear()
    if case.operation in ("status", "list", "cancel") and case.kind.layer != "device":
        _slow(speaker.double.backend)
        jobs["started"] = await _submitted(speaker, ("low",))
        # not the next in line
        for name in ("waiting", "submitted"):
            jobs[name] = await _submitted(speaker, ("low",))
    return jobs


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
        elif operation == "device":
            replies.append(await speaker.ask(operation, _noisy(speaker)))
        elif case.fault == "queue_told" or case.params.get("what") == "position":
            replies.append(await speaker.place(jobs["submitted"]))
        else:
            replies.append(await speaker.ask(operation, jobs[_state(case, operation)]))
    return replies


def _state(case: Case, operation: str) -> str:
    """The job that the case is about."""
    if operation not in ("status", "list"):
        return "started" if operation == "cancel" else "completed"
    if case.fault == "field_lost":
        return {"reason": "failed", "position": "submitted"}.get(case.get("what"), "completed")
    fault = build(FaultUse(fault=case.fault, params=case.params))
    states = [s for s in ("completed", "started", "submitted") if s != case.params.get("told", "started")]
    return next(s for s in states if fault.knows(Call(fault.layer, "backend", operation, state=s)) or "at" in s)


async def _ask_result(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """Results of the job on which the way shows; of two jobs, or twice, where one is not enough."""
    names = ["completed"]
    way = case.params.get("way")
    if case.fault == "partial_batch" or case.params.get("only_batches"):
        names = ["batch"]
    elif way == "narrow":
        names = ["low"]
    elif way == "foreign":
        names = ["low", "completed"]
    elif case.get("skip") or way == "resampled":
        names = ["completed", "completed"]
    return [await speaker.ask("result", jobs[n]) for n in names]


async def _run_anew(speaker: Dialect, case: Case, jobs: Mapping[str, str]) -> list[Reply]:
    """A new job on the noisy device, its status after half an hour, and its result where there is one."""
    job = speaker.id_of(await speaker.submit(("tall",), 1000, _noisy(speaker)))
    await speaker.scene.clock.sleep_ms(_LOOK_AFTER_MS.get(case.fault, HOUR_MS))
    replies = [await speaker.ask("status", job)]
    if speaker.state_of(replies[0]) == speaker.states["completed"]:
        replies.append(await speaker.ask("result", job))
    return replies


def _noisy(speaker: Dialect) -> str:
    return str(getattr(speaker, "noisy_arn", speaker.noisy))


#: soon enough for a run that is held to be held still
_LOOK_AFTER_MS = {"queue_stall": 4_500, "run_overrun": 4_500}


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


# ---------------------------------------------------------------- what must be seen


def _is_refusal(case: Case, plain: Played, struck: Played, status: int) -> None:
    assert struck.last.status == status
    assert struck.speaker.is_error(case.operation, struck.last), struck.last.body
    assert plain.last.status < 300


def check_error(case: Case, plain: Played, struck: Played) -> None:
    """An error of the provider's form; on which side of the effect shows at the backend."""
    status = 429 if case.fault == "rate_limited" else case.get("status")
    _is_refusal(case, plain, struck, status)
    done = case.operation == "submit" and case.params.get("when") == "after"
    asked = len(plain.replies) if case.operation == "submit" else 0
    assert struck.accepted == (asked if done else max(asked - 1, 0))
    form = case.get("retry_after") if case.fault in ("rate_limited", "http_error") else "absent"
    value = struck.last.headers.get("retry-after")
    seconds = str(case.get("retry_after_s")) if form == "seconds" else ""
    shapes = {"absent": None, "seconds": seconds, "garbage": "soon"}
    assert value == shapes[form] if form in shapes else value


def check_lost(case: Case, plain: Played, struck: Played) -> None:
    """No byte, at once or after a silence; the effect is there, or isn't."""
    if case.params.get("way") == "504":
        check_error(Case("http_error", {"status": 504, "when": "after", "on": ["submit"]}), plain, struck)
        return
    first = struck.replies[0]
    assert first.cut_at == 0
    hung = case.fault in ("poll_hang", "cancel_hang") or case.params.get("way") == "hang"
    assert struck.took_ms - plain.took_ms == ((case.get("ms") if "hang" in case.fault else 600_000) if hung else 0)
    done = case.fault == "response_lost" or case.params.get("when") != "before"
    assert struck.accepted == (1 if case.operation == "submit" and done else 0)
    if case.fault == "cancel_hang":
        told, states = struck.speaker.state_of(struck.last), struck.speaker.states
        assert told == states["canceled" if case.get("effect") == "done" else "started"]


def check_cut(case: Case, plain: Played, struck: Played) -> None:
    """Nothing, half, or all but one byte; with FIN or RST."""
    assert struck.last.pace.reset == case.get("reset")
    if case.get("at") == "start" or case.get("when") == "before":
        check_lost(case, plain, struck)
        return
    size = len(plain.last.body)
    assert struck.last.body == plain.last.body
    assert struck.last.cut_at == {"half": max(size // 2, 1), "end": max(size - 1, 1)}[case.get("at")]


def check_latency(case: Case, plain: Played, struck: Played) -> None:
    """The same bytes, later."""
    later_ms = struck.took_ms - plain.took_ms
    assert later_ms == case.get("ms") if case.get("distribution") == "fixed" else later_ms > 0
    if case.operation not in ("submit", "status"):
        assert struck.last == plain.last


def check_slow(case: Case, plain: Played, struck: Played) -> None:
    """The same bytes, at this pace."""
    pace = struck.last.pace
    assert replace(struck.last, pace=plain.last.pace) == plain.last
    assert (pace.first_byte_ms, pace.slice_bytes, pace.slice_ms) == (
        case.get("first_byte_ms"),
        case.get("slice_bytes"),
        case.get("slice_ms"),
    )


def check_malformed(case: Case, plain: Played, struck: Played) -> None:
    """Still a success; its body or its headers are not."""
    way, was, now = case.get("way"), plain.last, struck.last
    assert now.status == was.status
    if way in ("half", "empty"):
        assert now.body == was.body[: len(was.body) // 2 if way == "half" else 0]
    elif way in ("type", "short", "long"):
        header = "content-type" if way == "type" else "content-length"
        assert now.body == was.body
        assert now.headers[header] != was.headers.get(header, str(len(was.body)))
    else:
        assert now.body != was.body
        assert (now.body in (b"{}", b"null")) == (way in ("object", "null"))


def check_truncated(case: Case, plain: Played, struck: Played) -> None:
    """Half, cut, or empty under a 200."""
    got = struck.last.body[: struck.last.cut_at]
    assert struck.last.status == 200
    assert got == plain.last.body[: 0 if case.get("way") == "empty" else len(plain.last.body) // 2]


def check_duplicate(case: Case, plain: Played, struck: Played) -> None:
    """Two runs, unless the client made its request safe to repeat; the answer names one of them."""
    safe = case.operation == "submit" and struck.speaker.name in SAFE_TO_REPEAT
    assert struck.accepted == (1 if safe else 2)
    assert struck.took_ms - plain.took_ms == case.get("gap_ms")


#: protocols whose submissions carry a key (clientToken, a registered id): a second one makes no second run
SAFE_TO_REPEAT = ("braket", "oqtopus")


def check_stale(case: Case, plain: Played, struck: Played) -> None:
    """The second answer is the first one's bytes."""
    assert plain.replies[0].body != plain.replies[1].body
    assert struck.replies[1].body == plain.replies[0].body


def check_state(case: Case, plain: Played, struck: Played) -> None:
    """Another state, in the provider's words; a word of nobody's as it is."""
    told, speaker = case.get("told"), struck.speaker
    if case.operation == "status":
        assert speaker.state_of(struck.last) == speaker.states.get(told, told) or told == "failed"
    assert struck.last.status == 200
    assert struck.last.body != plain.last.body


def check_told_otherwise(case: Case, plain: Played, struck: Played) -> None:
    """A success of the same form that says something else."""
    assert struck.last.status == plain.last.status
    assert struck.last.body != plain.last.body
    assert type(_json(struck.last)) is type(_json(plain.last))


def check_published(case: Case, plain: Played, struck: Played) -> None:
    """Somewhere it shows; and what is retired may have no description any more."""
    assert [r.body for r in struck.replies] != [r.body for r in plain.replies]
    assert all(r.status == 200 for r in struck.replies) or case.params.get("way") == "retired"


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError:
        return None


def check_id(case: Case, plain: Played, struck: Played) -> None:
    """A run was accepted, and the answer does not name it."""
    assert struck.accepted == 1
    given, told = plain.speaker.id_of(plain.last), struck.speaker.id_of(struck.last)
    assert given != told
    assert len(told) < len(given) if case.get("way") == "empty" else len(told) == len(given)


def check_unlisted(case: Case, plain: Played, struck: Played) -> None:
    """The list is shorter."""
    assert struck.last.status == 200
    assert len(struck.last.body) < len(plain.last.body)


def check_run(case: Case, plain: Played, struck: Played) -> None:
    """What is told of a run that went another way."""
    speaker = struck.speaker
    told, states = speaker.state_of(struck.replies[0]), speaker.states
    if case.fault == "job_failed":
        assert told not in (*states.values(), speaker.state_of(plain.replies[0]))
    elif case.get("ms") > _LOOK_AFTER_MS[case.fault]:
        assert told == states["submitted" if case.fault == "queue_stall" else "started"]


def check_noise(case: Case, plain: Played, struck: Played) -> None:
    """Other counts, of the same shots."""
    assert len(struck.replies) == 4
    assert struck.last.status == 200
    assert struck.last.body != plain.last.body


def check_cancel(case: Case, plain: Played, struck: Played) -> None:
    """It is told as done or as refused, and the run goes on."""
    speaker = struck.speaker
    assert speaker.state_of(plain.replies[1]) == speaker.states["canceled"]
    assert speaker.state_of(struck.replies[1]) == speaker.states["started"]
    if case.get("told") == "accepted":
        assert struck.replies[0] == plain.replies[0]
    else:
        assert struck.replies[0].status >= 400
        assert speaker.is_error("cancel", struck.replies[0])


def check_access(case: Case, plain: Played, struck: Played) -> None:
    """The provider's own refusal of a credential."""
    assert struck.last.status in (400, 401, 403)
    _is_refusal(case, plain, struck, struck.last.status)
    assert struck.accepted == max(len(plain.replies) - 1, 0) * (case.operation == "submit")


def check_tenant(case: Case, plain: Played, struck: Played) -> None:
    """The caller's own job is somebody else's, or nobody's."""
    _is_refusal(case, plain, struck, struck.last.status)
    assert struck.last.status in (403, 404)


def check_offline(case: Case, plain: Played, struck: Played) -> None:
    """503, or nothing."""
    if case.get("way") == "break":
        assert struck.last.cut_at == 0
    else:
        _is_refusal(case, plain, struck, 503)


def check_invalid(case: Case, plain: Played, struck: Played) -> None:
    """A success that can't be true."""
    way = case.get("way")
    assert struck.last.status == 200
    assert struck.last.body != plain.last.body
    if way == "error":
        assert "error" in json.loads(struck.last.body)
        return
    (counts,), (right,) = struck.speaker.counts_of(struck.last), plain.speaker.counts_of(plain.last)
    values = list(map(float, counts.values()))
    signs = {
        "sum": lambda: sum(values) < 0.75 * sum(right.values()),
        "negative": lambda: min(values) < 0,
        "wide": lambda: set(counts).isdisjoint(right),
        "nan": lambda: any(map(math.isnan, values)),
        "empty": lambda: not sum(values),
    }
    assert signs[way]()


def check_wrong(case: Case, plain: Played, struck: Played) -> None:
    """A success of the same form with other values."""
    assert struck.last.status == 200
    assert plain.replies[-1].body != struck.last.body
    if case.params.get("way") == "resampled":
        assert struck.replies[0].body != struck.replies[1].body
    struck.speaker.counts_of(struck.last)


def check_nothing(case: Case, plain: Played, struck: Played) -> None:
    """The same bytes."""
    assert struck.replies == plain.replies


CHECKS: Mapping[str, Callable[[Case, Played, Played], None]] = {
    "access_denied": check_access,
    "backend_offline": check_offline,
    "calibration_told": check_told_otherwise,
    "cancel_hang": check_lost,
    "cancel_ignored": check_cancel,
    "cost_told": check_told_otherwise,
    "device_told": check_published,
    "duplicate_delivery": check_duplicate,
    "field_lost": check_told_otherwise,
    "http_error": check_error,
    "id_lost": check_id,
    "invalid_result": check_invalid,
    "job_failed": check_run,
    "job_unlisted": check_unlisted,
    "latency": check_latency,
    "malformed_reply": check_malformed,
    "noise": check_noise,
    "noop": check_nothing,
    "partial_batch": check_wrong,
    "poll_error": check_error,
    "poll_hang": check_lost,
    "queue_stall": check_run,
    "queue_told": check_told_otherwise,
    "rate_limited": check_error,
    "reply_cut": check_cut,
    "response_lost": check_lost,
    "run_overrun": check_run,
    "session_time": check_told_otherwise,
    "slow_reply": check_slow,
    "stale_reply": check_stale,
    "state_told": check_state,
    "submit_error": check_error,
    "truncated_result": check_truncated,
    "wrong_result": check_wrong,
    "wrong_tenant": check_tenant,
}


# ---------------------------------------------------------------- the table


def test_every_fault_has_its_check() -> None:
    assert set(CHECKS) == set(FAULTS)


@pytest.mark.parametrize("label", CASES)
@pytest.mark.parametrize("protocol", sorted(PROTOCOLS))
def test_what_goes_over_the_wire(protocol: str, label: str) -> None:
    case = CASES[label]
    for place in (case.fault, case.operation):
        if (protocol, place) in PLACELESS:
            pytest.skip(PLACELESS[protocol, place])
    plain, struck = played(protocol, case, False), played(protocol, case, True)
    assert struck.fired, "the fault never struck"
    settings = {"*", *(f"{k}={v}" for k, v in case.params.items())} if case.params else {"*", ""}
    silent, otherwise = (any((protocol, case.fault, s) in t for s in settings) for t in (SILENT, SAID_OTHERWISE))
    check = check_nothing if silent else check_told_otherwise if otherwise else CHECKS[case.fault]
    check(case, plain, struck)
