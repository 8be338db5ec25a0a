"""Composing requests and reading answers, by example."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import Any

import pytest

from harness.errors import UsageProblem
from harness.expressions import Expression
from harness.facts import (
    AuditSeen,
    ChangeSeen,
    DecisionSeen,
    JobSeen,
    ListSeen,
    QuotaSeen,
    ResultSeen,
)
from harness.inputs.binding import Answer, Heard, compose, joined, next_page, observes, read
from harness.inputs.load import load_target
from harness.inputs.target import Actor, Binding, Credential, Outcome, Paging, Reading, Target
from tests.unit.inputs.tables import FILES

ANN = Actor(
    name="ann",
    person="ann",
    tenant="acme & co",
    abilities=(),
    credentials=(Credential(headers={"X-Key": "1"}), Credential(headers={"X-Key": "2"})),
)
TARGET = Target(
    name="t",
    path="t.yaml",
    factory="a:b",
    openapi="",
    actors={"ann": ANN},
    bindings={},
    states={"QUEUED": "queued"},
    change_states={"waiting": "open"},
    request_id=("header:X-Request-Id", "$.request_id"),
)


def binding(**fields: Any) -> Binding:
    return Binding(**{"role": "submit_job", "method": "POST", "path": "/jobs", **fields})


def body(bound: Binding, **params: Any) -> Any:
    return json.loads(compose(TARGET, bound, ANN, 0, params).body)


def answer(value: Any = None, status: int = 200, **headers: str) -> Answer:
    names = {k.replace("_", "-"): v for k, v in headers.items()}
    return Answer(status, names, b"" if value is None else json.dumps(value).encode())


def heard(bound: Binding, reply: Answer, **params: Any) -> Heard:
    return read(TARGET, bound, ANN, params, reply)


# ---------------------------------------------------------------- composing


def test_each_part_of_a_request() -> None:
    """Path, query, header and body, each escaped in its own way."""
    bound = binding(
        path="/t/{tenant}/jobs/{id}:cancel",
        request={"job": ("path:id",), "shots": ("body:/run/shots", "query:n"), "key": ("header:Key",)},
        fixed={"path:tenant": "actor:tenant", "body:/who": "actor:person", "query:q": [1, "a b"]},
    )
    out = compose(TARGET, bound, ANN, 0, {"job": "j/1", "shots": 5, "key": "k"})
    assert out.target == "/t/acme%20%26%20co/jobs/j%2F1:cancel?q=1&q=a+b&n=5"
    assert out.headers == {"Key": "k", "content-type": "application/json", "X-Key": "1"}
    assert json.loads(out.body) == {"who": "ann", "run": {"shots": 5}}


def test_without_a_body_there_is_none() -> None:
    """No body, no content type."""
    out = compose(TARGET, binding(method="GET"), ANN, 0, {})
    assert (out.body, out.headers) == (b"", {"X-Key": "1"})


@pytest.mark.parametrize(("credential", "key"), [(0, "1"), (1, "2"), (2, "1")])
def test_credentials_wrap_around(credential: int, key: str) -> None:
    """Every plan is playable."""
    assert compose(TARGET, binding(), ANN, credential, {}).headers["X-Key"] == key


def test_pointers() -> None:
    """RFC 6901: escapes, lists, the whole body, which merges with what is fixed."""
    bound = binding(
        request={"payload": ("body:",), "shots": ("body:/runs/0/a~1b",), "key": ("body:/runs/0/k",)},
        fixed={"body:/fixed": {"x": [1]}},
    )
    assert body(bound, payload={"p": 1}, shots=3, key="k") == {
        "fixed": {"x": [1]},
        "p": 1,
        "runs": [{"a/b": 3, "k": "k"}],
    }


def test_words_and_types() -> None:
    """Our words become theirs, each of a list; a text of digits a number where that is said."""
    bound = binding(
        request={"payload": ("body:/list",), "key": ("body:/id",), "shots": ("body:/n",)},
        values={"payload": {"approve": True}, "shots": {"1": "one"}},
        types={"key": "integer"},
    )
    assert body(bound, payload=["approve", "x"], key="17", shots=1) == {"list": [True, "x"], "id": 17, "n": "one"}
    assert body(bound, key="k17") == {"id": "k17"}


def test_none_leaves_a_parameter_out() -> None:
    """So does a parameter that is not there; the path is the exception."""
    bound = binding(path="/j/{id}", request={"job": ("path:id",), "key": ("header:K",)})
    assert "K" not in compose(TARGET, bound, ANN, 0, {"job": "1", "key": None}).headers
    with pytest.raises(UsageProblem, match=r"submit_job: its path needs a value for {id}"):
        compose(TARGET, bound, ANN, 0, {})


def test_calls_share_nothing() -> None:
    """A request can't change the binding, nor the next request."""
    bound = binding(request={"shots": ("body:/a/b/0",)}, fixed={"body:/a": {"b": [1, 2]}})
    assert body(bound, shots=9) == {"a": {"b": [9, 2]}}
    assert body(bound) == {"a": {"b": [1, 2]}}


def test_paging() -> None:
    """The cursor goes into the query; the last page has none."""
    bound = binding(method="GET", path="/jobs?all=1", paging=Paging(next="$.next", parameter="cursor"))
    assert compose(TARGET, bound, ANN, 0, {}, "c=1").target == "/jobs?all=1&cursor=c%3D1"
    assert next_page(bound, answer({"next": 5})) == "5"
    for last in (None, "", False):
        assert next_page(bound, answer({"next": last})) is None
    assert next_page(bound, answer({})) is None
    assert next_page(binding(), answer({"next": 5})) is None


# ---------------------------------------------------------------- outcomes


@pytest.mark.parametrize(
    ("status", "outcome", "reason"),
    [
        (200, "accepted", None),
        (204, "accepted", None),
        (302, "unknown", None),
        (401, "refused", "unauthenticated"),
        (404, "refused", "not_found"),
        (408, "unknown", None),
        (418, "refused", None),
        (422, "refused", "invalid"),
        (429, "refused", "rate"),
        (500, "unknown", None),
        (503, "unknown", None),
    ],
)
def test_what_http_says(status: int, outcome: str, reason: str | None) -> None:
    """Where no line of the binding matches."""
    got = heard(binding(), answer(status=status))
    assert (got.outcome, got.reason) == (outcome, reason)


def test_the_first_line_that_matches_decides() -> None:
    """By status, by expression, by both."""
    bound = binding(
        outcomes=(
            Outcome(status=(403,), when=Expression("body.error == 'sign'"), outcome="refused", reason="approval"),
            Outcome(status=(403,), when=Expression("body.contains('yours')"), outcome="refused", reason="four_eyes"),
            Outcome(when=Expression("headers['x-again'] == 'yes'"), outcome="replayed"),
            Outcome(status=(503,), outcome="refused", reason="unavailable"),
        )
    )
    assert heard(bound, answer({"error": "sign"}, 403)).reason == "approval"
    assert heard(bound, Answer(403, {}, b"not yours")).reason == "four_eyes"
    assert heard(bound, answer({"error": "other"}, 403)).reason == "forbidden"
    assert heard(bound, answer({}, 200, x_again="yes")).outcome == "replayed"
    assert heard(bound, answer({}, 503)).reason == "unavailable"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": "soon"}, None),
        (
            {"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT", "date": "Fri, 31 Dec 1999 23:59:50 GMT"},
            9.0,
        ),
        ({"retry-after": "Fri, 31 Dec 1999 23:59:59 GMT"}, None),
    ],
)
def test_retry_after(headers: dict[str, str], seconds: float | None) -> None:
    """Seconds, or a date that counts from the answer's own."""
    assert heard(binding(), Answer(429, headers)).retry_after_s == seconds


def test_request_id() -> None:
    """The first source that finds something."""
    assert heard(binding(), answer({"request_id": 7}, x_request_id="r1")).request == "r1"
    assert heard(binding(), answer({"request_id": 7})).request == "7"
    assert heard(binding(), answer({})).request is None


# ---------------------------------------------------------------- observations


def seen(reading: Reading, value: Any, **params: Any) -> tuple[Any, ...]:
    return heard(binding(reads=(reading,)), answer(value), **params).seen


def test_states_become_ours() -> None:
    """What is not in the table is unknown, with their word."""
    job = Reading(observation="JobSeen", fields={"job": "$.id", "state": "$.state"})
    assert seen(job, {"id": 1, "state": "QUEUED"}) == (JobSeen(job="1", state="queued"),)
    assert seen(job, {"id": 1, "state": "odd"}) == (JobSeen(job="1", state="unknown:odd"),)
    assert seen(job, {"id": 1, "state": None}) == (JobSeen(job="1"),)
    change = Reading(observation="ChangeSeen", fields={"change": "$.id", "state": "$.state"})
    assert seen(change, {"id": 1, "state": "waiting"}) == (ChangeSeen(change="1", state="open"),)


def test_without_a_table_the_target_speaks_our_words() -> None:
    """And only those."""
    plain = replace(TARGET, states={})
    bound = binding(reads=(Reading(observation="JobSeen", fields={"job": "$.id", "state": "$.s"}),))
    got = [read(plain, bound, ANN, {}, answer({"id": "1", "s": s})).seen[0] for s in ("running", "odd")]
    assert got == [JobSeen(job="1", state="running"), JobSeen(job="1", state="unknown:odd")]


def test_items_and_sources() -> None:
    """Of the item, of the whole body, of the call."""
    reading = Reading(
        observation="DecisionSeen",
        each="$.said",
        fields={
            "change": "body:$.number",
            "decision": ["$.id", "$.who"],
            "person": "$.who",
            "verdict": "$.ok",
            "stage": "param:stage",
            "digest": "header:X-Digest",
        },
        maps={"verdict": {"true": "approve", "false": "reject"}},
        when=Expression("item.who != 'system'"),
    )
    bound = binding(reads=(reading,))
    reply = answer(
        {"number": 4, "said": [{"who": "bo", "ok": True}, {"id": 9, "who": "cy", "ok": False}, {"who": "system"}]},
        x_digest="d",
    )
    assert heard(bound, reply, stage="first").seen == (
        DecisionSeen(change="4", decision="bo", person="bo", verdict="approve", stage="first", digest="d"),
        DecisionSeen(change="4", decision="9", person="cy", verdict="reject", stage="first", digest="d"),
    )


def test_maps() -> None:
    """Their words to ours: any other word, a missing one; what is not mapped stays."""
    reading = Reading(
        observation="ResultSeen",
        fields={"job": "$.id", "fallback": "$.via", "reason": "$.why"},
        maps={"fallback": {"quantum": False, "*": True, "null": False}, "reason": {"qf": "queue_full"}},
    )
    assert [
        (r.fallback, r.reason)
        for value in ({"via": "quantum", "why": "qf"}, {"via": "guess", "why": "other"}, {})
        for r in seen(reading, {"id": "1", **value})
    ] == [(False, "queue_full"), (True, "other"), (False, None)]


def test_values_are_of_the_fields_type_or_not_observable() -> None:
    """A number in quotes is a number; a truth value is none."""
    reading = Reading(
        observation="QuotaSeen",
        fields={"tenant": "actor:tenant", "dimension": {"const": "shots"}, "limit": "$.l", "used": "$.u"},
    )
    quota = QuotaSeen(tenant="acme & co", dimension="shots", limit=1.5)
    assert seen(reading, {"l": "1.5", "u": True}) == (quota,)
    assert seen(reading, {"l": 1.5, "u": [1]}) == (quota,)
    assert seen(reading, {"l": 1.5, "u": "lots"}) == (quota,)


def test_lists_of_values_are_tuples() -> None:
    """As a history that was read back has them."""
    reading = Reading(observation="ResultSeen", fields={"job": "$.id", "value": "$.v"})
    assert seen(reading, {"id": "1", "v": [1, [2]]}) == (ResultSeen(job="1", value=(1, (2,))),)


def test_no_observation_without_its_id() -> None:
    """Nor of a body that is none, nor of a refusal."""
    bound = binding(reads=(Reading(observation="JobSeen", fields={"job": "$.id"}),))
    assert heard(bound, answer({"state": "x"})).seen == ()
    assert heard(bound, Answer(200, {}, b"not json")).seen == ()
    assert heard(bound, Answer(200, {}, b'{"id": "1"')).seen == ()
    assert heard(bound, answer({"id": "1"}, 404)).seen == ()
    assert heard(bound, answer({"id": "1"}, 500)).seen == ()


def test_pages_are_joined() -> None:
    """One ListSeen of all pages, the other observations in order."""
    bound = binding(
        reads=(
            Reading(observation="ListSeen", fields={"of": {"const": "jobs"}, "ids": "$.items[*].id"}),
            Reading(observation="JobSeen", each="$.items", fields={"job": "$.id"}),
        )
    )
    pages = [heard(bound, answer({"items": [{"id": i} for i in ids]})) for ids in ((1, 2), (3,))]
    jobs = tuple(JobSeen(job=str(i)) for i in (1, 2, 3))
    assert joined(pages).seen == (ListSeen(of="jobs", ids=("1", "2", "3")), *jobs)
    assert joined(pages, complete=False).seen[0] == ListSeen(of="jobs", ids=("1", "2", "3"), complete=False)


def test_observes() -> None:
    """The fields that any binding reads."""
    target = load_target(FILES / "target.yaml")
    assert observes(target) == {
        "JobSeen": ("job", "state", "version"),
        "ListSeen": ("ids", "of"),
        "QuotaSeen": ("dimension", "limit", "reserved", "tenant", "used"),
    }


def test_a_sample_of_audit() -> None:
    """A list at the root, as `$[*]` or by itself."""
    fields = {"entry": "$.seq", "action": "$.action"}
    entries = [{"seq": 1, "action": "job.submit"}]
    for each in ("$", "$[*]", "$[?@.seq > 0]"):
        reading = Reading(observation="AuditSeen", each=each, fields=fields)
        assert seen(reading, entries) == (AuditSeen(entry="1", action="job.submit"),)


def test_it_is_quick() -> None:
    """Below 60 µs of CPU a call here; ten times that is the limit, for slower machines."""
    target = load_target(FILES / "target.yaml")
    bound = target.bindings["submit_job"]
    ann, params = target.actors["ann"], {"shots": 5, "payload": [0.1], "key": "k"}
    reply = answer({"id": "1", "status": "QUEUED", "status_version": 1}, 202, x_request_id="r")
    best = 1.0
    for _ in range(5):
        start = time.process_time()
        for _ in range(100):
            compose(target, bound, ann, 0, params)
            read(target, bound, ann, params, reply)
        best = min(best, (time.process_time() - start) / 100)
    assert best < 600e-6
