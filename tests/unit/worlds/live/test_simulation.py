"""The proof of simulation without a target: which job goes first, and what its play shows."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from harness.facts import CallAnswered, CallMade, JobSeen, RunAccepted, WorldStarted
from harness.inputs.load import load_target
from harness.inputs.target import Target
from harness.model import Event, History
from harness.worlds.live.simulation import SUBMITTING, Probe, judged, probes, unplayed, without_submitting
from tests.running import REFERENCE

TARGET = load_target(REFERENCE)
ALICE = TARGET.actors["alice"]
QASM2 = 'OPENQASM 2.0;\ninclude "qelib1.inc";\nqreg q[1];\n'


def first(target: Target, nonce: str = "n") -> Probe:
    return probes(target, ALICE, nonce)[0]


def test_what_can_lead_to_a_run_is_withheld_and_reading_is_not() -> None:
    assert set(SUBMITTING) == {"submit_job", "clone_job", "create_change", "revise_change", "execute_change", "decide"}
    target = without_submitting(TARGET, "because")
    assert not set(SUBMITTING) & set(target.bindings)
    assert {"get_job", "list_jobs", "cancel_job", "read_quota"} <= set(target.bindings)
    assert target.withheld["execute_change"] == "execute_change is withheld: because"


def test_the_job_is_as_small_as_it_can_be() -> None:
    assert first(TARGET).plan.steps[0].params["shots"] == 1
    marked = first(replace(TARGET, correlation=("watermark",)))
    assert marked.shots in range(37, 98)
    assert first(replace(TARGET, correlation=("serial",)), "other").shots in range(37, 98)
    assert all(p.shots <= 199 for p in probes(TARGET, ALICE, "n"))


@pytest.mark.parametrize(
    ("payload", "where"),
    [
        (QASM2, lambda p: p),
        ({"x": [1, {"program": QASM2}]}, lambda p: p["x"][1]["program"]),
        ([QASM2.replace("2.0", "3")], lambda p: p[0]),
        ({"qubits": 1, "circuit": [{"gate": "h", "target": 0}]}, lambda p: p["circuit"]),
    ],
)
def test_a_canary_takes_the_place_of_a_circuit(payload: Any, where: Any) -> None:
    probe = first(replace(TARGET, payloads=(payload,), correlation=("serial",)))
    assert probe.canary is not None
    assert probe.shots == 1
    assert where(probe.plan.steps[0].params["payload"]) in (
        probe.canary.qasm2,
        probe.canary.qasm3,
        probe.canary.ionq["circuit"],
    )
    assert payload != probe.plan.steps[0].params["payload"]


def test_a_payload_without_a_circuit_stays() -> None:
    probe = first(TARGET)
    assert probe.canary is None
    assert probe.plan.steps[0].params["payload"] == [0.5]


def test_every_backend_must_be_ours() -> None:
    assert TARGET.live is not None
    assert unplayed(TARGET) == "ionq"
    assert unplayed(replace(TARGET, live=replace(TARGET.live, doubles={"ionq": "http://127.0.0.1:1"}))) == ""
    assert unplayed(replace(TARGET, doubles=())) == "of a backend"


# ---------------------------------------------------------------- what a play shows


def history(*facts: Any, correlation: tuple[str, ...] = ("metadata:job",)) -> History:
    world = WorldStarted(
        target="t", roles=("submit_job",), observes={}, doubles=("backend",), faults=(), correlation=correlation,
        concurrency="", persons={}, lifecycle={}, audited={}, reference=(),
    )  # fmt: skip
    events = [Event(0, 0, "ok", world)]
    for n, fact in enumerate(facts, 1):
        answers = isinstance(fact, CallAnswered)
        phase: Any = "invoke" if isinstance(fact, CallMade) else "ok"
        made = max((e.n for e in events if isinstance(e.fact, CallMade)), default=None)
        events.append(Event(n, n, phase, fact, made if answers else None))
    return History(tuple(events))


MADE = CallMade(
    step="proof", role="submit_job", actor="a", person="a", tenant="t", params={"shots": 37}, credential=0, part="play"
)


def answered(outcome: str = "accepted", reason: str | None = None) -> CallAnswered:
    seen = (JobSeen(job="j1"),) if outcome == "accepted" else ()
    return CallAnswered(step="proof", role="submit_job", outcome=outcome, reason=reason, status=202, seen=seen)


def ran(shots: int, **metadata: str) -> RunAccepted:
    return RunAccepted(
        run="r", backend="b", region="x", circuits=1, shots=shots, qubits=1, digest="", metadata=metadata
    )


ONE, MARK = Probe(plan=first(TARGET).plan, shots=1), Probe(plan=first(TARGET).plan, shots=37)


@pytest.mark.parametrize(
    ("facts", "probe", "proved", "how"),
    [
        ((MADE, answered(), ran(1, job="j1")), ONE, True, "by metadata:job"),
        ((MADE, answered(), ran(1, job="j2")), ONE, False, "of 1 runs on our backend none is that job's"),
        ((MADE, answered(), ran(1)), ONE, False, "none is that job's"),
        ((MADE, answered(), ran(37)), MARK, True, "has the 37 shots of its job"),
        ((MADE, answered(), ran(111)), MARK, True, "has the 37 shots of its job"),
        ((MADE, answered(), ran(1000)), MARK, False, "none is that job's"),
        ((MADE, answered(), ran(37 * 1000)), MARK, False, "none is that job's"),
        ((ran(37), MADE, answered()), MARK, False, "none is that job's"),
        ((MADE, answered()), MARK, False, "of 0 runs on our backend"),
        ((MADE, answered("refused", "forbidden")), MARK, False, "refused the job that was to prove it: forbidden"),
        ((MADE, answered("unknown", "timeout")), MARK, False, "was asked for a job, and gave no answer"),
        ((MADE, answered("unknown", "timeout"), ran(37)), MARK, True, "37 shots"),
        ((), MARK, False, "refused"),
    ],
)
def test_what_a_play_shows(facts: Any, probe: Probe, proved: bool, how: str) -> None:
    proof = judged(history(*facts), probe, recognised=False)
    assert (proof.proved, how in proof.how) == (proved, True), proof


def test_a_recognised_canary_is_proof() -> None:
    assert judged(history(MADE, answered()), MARK, recognised=True).proved
