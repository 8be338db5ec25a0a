"""Contract over all registered invariants: a new one is tested the moment its file exists."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from harness import facts
from harness.fact import Fact, type_registry
from harness.facts import Observation, WorldStarted
from harness.inputs.contract import TERMS
from harness.inputs.roles import ROLES
from harness.judging import Invariant, judge, known_invariants
from harness.model import Event, History, Status
from tests.histories import ACTORS, CONTRACT, Story, world
from tests.unit.oracles.canaries import CANARIES

AREAS = frozenset({"approvals", "quotas", "fallback", "jobs", "audit"})
RULES = tuple(known_invariants().values())
_IDS = [r.id for r in RULES]
_IMPURE = ("import random", "import time", "httpx", "open(", "asyncio", "targets")


@pytest.mark.parametrize("rule", RULES, ids=_IDS)
def test_it_says_what_it_is(rule: Invariant) -> None:
    """A name, a rule in plain words, a known area, a documented judge."""
    assert rule.area in AREAS
    assert rule.name
    assert rule.rule.endswith(".")
    assert rule.judge.__doc__


@pytest.mark.parametrize("rule", RULES, ids=_IDS)
def test_its_needs_exist(rule: Invariant) -> None:
    """Every need is of a known form and names something that exists."""
    assert rule.needs
    for need in (one.strip() for joined in rule.needs for one in joined.split("|")):
        kind, _, name = need.partition(":")
        observation, _, field = name.partition(".")
        known: Mapping[str, Any] = {"role": ROLES, "contract": TERMS, "sees": type_registry}
        if kind in known:
            assert (observation if kind == "sees" else name) in known[kind], need
        if kind == "sees" and field:
            assert field in type_registry[observation].field_names(), need


@pytest.mark.parametrize("rule", RULES, ids=_IDS)
def test_it_has_a_canary(rule: Invariant) -> None:
    """Something must make it cry."""
    assert CANARIES.get(rule.id)


@pytest.mark.parametrize("rule", RULES, ids=_IDS)
def test_without_what_it_needs_it_is_not_observable(rule: Invariant) -> None:
    """Never held because it looked away."""
    blind = Story(roles=(), observes={}, doubles=(), correlation=(), audited={}, reference=())
    (verdict,) = judge(blind.history(), [rule])
    assert verdict.status is Status.NOT_OBSERVABLE
    assert verdict.reason


@pytest.mark.parametrize("rule", RULES, ids=_IDS)
def test_nothing_is_held_on_an_empty_play(rule: Invariant) -> None:
    """Held with no check does not exist."""
    (verdict,) = judge(Story().history(), [rule])
    assert verdict.status is Status.NOT_EXERCISED


def test_oracles_are_pure() -> None:
    """No I/O, clock, randomness or knowledge of any target."""
    modules = sorted((Path(__file__).parents[2] / "harness" / "oracles").glob("*.py"))
    assert modules
    for path in modules:
        text = path.read_text()
        assert not [word for word in _IMPURE if word in text], path


# ---------------------------------------------------------------- random histories

_IDENTIFIERS = st.sampled_from(["j1", "j2", "c1", "d1", "r1", "r2", "a1", "k1"])
_WORDS = st.sampled_from(
    [
        "approve",
        "reject",
        "peer",
        "security",
        "shots",
        "jobs",
        "classical_ms",
        "charge",
        "refund",
        "reserve",
        "ok",
        "qpu",
    ]
)
_NUMBERS = st.sampled_from([0, 1, 100, 500, 1000])
_STATES = st.sampled_from([*facts.STATES, "open", "approved", "rejected", "executed", "unknown:odd"])
_REASONS = st.sampled_from([None, *facts.REASONS])
_TYPED: Mapping[str, st.SearchStrategy[Any]] = {
    "state": _STATES,
    "ids": st.lists(_IDENTIFIERS, max_size=3).map(tuple),
    "complete": st.booleans(),
    "fallback": st.none() | st.booleans(),
    "value": st.none() | _NUMBERS | st.lists(_NUMBERS, max_size=2),
    "tenant": st.sampled_from(["north", "south"]),
    "dimension": st.sampled_from(["shots", "jobs", "classical_ms", "other"]),
    "what": st.sampled_from(["charge", "refund", "reserve"]),
    "person": st.sampled_from(["ann", "bob", "zoe"]),
    "outcome": st.sampled_from([None, "ok", "denied", "failed"]),
    "of": st.just("jobs"),
}
_NUMERIC = {"version", "shots", "limit", "reserved", "used", "amount", "revision", "circuits", "qubits"}
_OBSERVATIONS = tuple(k for k in type_registry.values() if issubclass(k, Observation) and k is not Observation)
_REQUIRED = frozenset({"job", "attempt", "change", "decision", "entry", "name"})


def _field(name: str) -> st.SearchStrategy[Any]:
    if name in _TYPED:
        return _TYPED[name]
    if name in _NUMERIC:
        return st.none() | _NUMBERS
    return _IDENTIFIERS if name in _REQUIRED else st.none() | _IDENTIFIERS | _WORDS


def _made(kind: type[Observation], values: Mapping[str, Any]) -> Observation:
    return kind(**values)


_SEEN = st.sampled_from(_OBSERVATIONS).flatmap(
    lambda kind: st.fixed_dictionaries({f: _field(f) for f in kind.field_names()}).map(lambda v: _made(kind, v))
)
_VALUES: Mapping[str, st.SearchStrategy[Any]] = {
    "job": _IDENTIFIERS,
    "change": st.sampled_from(["c1", "c2"]),
    "decision": st.just("d1"),
    "key": st.sampled_from(["k1", "k2"]),
    "int": _NUMBERS,
    "number": _NUMBERS,
    "text": st.sampled_from(["approve", "reject", "peer", "shots", "jobs", "ann", "allowed", "forbidden", "qpu"]),
    "json": st.sampled_from([None, ["peer"], [], {"batch": [[1], [2]]}]),
}


@st.composite
def _stories(draw: st.DrawFn) -> History:
    """Any order of calls, runs, faults and time; answers may be missing, ids may be of anything."""
    contract = dict.fromkeys(draw(st.sets(st.sampled_from(sorted(CONTRACT)), max_size=6)))
    story = Story(contract, observes={k.__name__: k.field_names() for k in _OBSERVATIONS})
    for _ in range(draw(st.integers(0, 14))):
        _line(draw, story)
    if draw(st.booleans()):
        story.heal().settle(quiet=draw(st.booleans()))
        for _ in range(draw(st.integers(0, 4))):
            _call(draw, story, "closing")
    return story.history()


def _line(draw: st.DrawFn, story: Story) -> None:
    kind = draw(st.sampled_from(["call", "call", "call", "run", "part", "strike", "service", "crash", "wait"]))
    run, job = draw(st.sampled_from(["r1", "r2"])), draw(st.sampled_from([None, "j1", "j2"]))
    shots = draw(_NUMBERS)
    if kind == "call":
        _call(draw, story, "play")
    elif kind == "run":
        story.run(run, job, shots)
    elif kind == "part":
        draw(st.sampled_from([story.start, story.end, story.deliver]))(run)
    elif kind == "strike":
        story.strike("job_failed", draw(st.none() | st.just(run)), draw(st.sampled_from(["backend", "policy"])))
    elif kind == "service":
        story.service(draw(st.sampled_from(["policy", "backend"])), good=draw(st.booleans()))
    elif kind == "crash":
        story.crash()
    else:
        story.wait(draw(st.sampled_from([0.1, 3, 20, 200])))


def _call(draw: st.DrawFn, story: Story, part: str) -> None:
    role = ROLES[draw(st.sampled_from(sorted(ROLES)))]
    params = {p.name: draw(_VALUES[p.type]) for p in role.params if p.required or draw(st.booleans())}
    asked = story.ask(role.name, draw(st.sampled_from(sorted(ACTORS))), part, **params)
    outcome = draw(st.sampled_from(["accepted", "accepted", "refused", "replayed", "unknown", "none"]))
    if outcome != "none":
        seen = draw(st.lists(_SEEN, max_size=3))
        reason = draw(_REASONS) if outcome == "refused" else None
        story.answer(asked, *seen, outcome=outcome, reason=reason, request=draw(st.none() | _IDENTIFIERS))


@settings(max_examples=300, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_stories())
def test_no_oracle_ever_crashes(history: History) -> None:
    """Whatever happened, there is a verdict, the same one twice, and its evidence exists."""
    verdicts = judge(history, RULES)
    assert verdicts == judge(history, RULES)
    for verdict in verdicts:
        assert (verdict.status is Status.HELD) <= (verdict.checks > 0)
        for violation in verdict.violations:
            assert violation.evidence
            assert set(violation.evidence) <= {e.n for e in history}


@settings(max_examples=100, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(_stories(), st.data())
def test_parts_of_a_history_may_be_missing(history: History, data: st.DataObject) -> None:
    """A play that broke off, or a record with gaps, is judged all the same."""
    keep = data.draw(st.lists(st.booleans(), min_size=len(history), max_size=len(history)))
    left = [e for e, kept in zip(history, keep, strict=True) if kept and not isinstance(e.fact, WorldStarted)]
    judge(History((Event(0, 0, "ok", world()), *left)), RULES)


def test_clauses_do_not_depend_on_ids() -> None:
    """The same story with other ids has the same signature."""
    for tales in CANARIES.values():
        for tale in tales:
            history = tale().history()
            renamed = History(tuple(_renamed(e) for e in history))
            for one, other in zip(judge(history, RULES), judge(renamed, RULES), strict=True):
                assert [v.clause for v in one.violations] == [v.clause for v in other.violations], tale.__name__


def _renamed(event: Event) -> Event:
    return Event(event.n, event.at_ns, event.phase, _rename(event.fact), event.cause)


def _rename(fact: Fact) -> Fact:
    if isinstance(fact, WorldStarted):
        return fact
    return type(fact).decode(_deep(fact.encode()))


def _deep(value: Any) -> Any:
    if isinstance(value, dict):
        return {k: _deep(v) for k, v in value.items()}
    if isinstance(value, list):
        return [_deep(v) for v in value]
    if isinstance(value, str) and len(value) == 2 and value[0] in "jrcdak" and value[1].isdigit():
        return f"{value[0]}-{int(value[1]) + 40}"
    return value
