"""Proof of simulation: that the jobs of a target which runs elsewhere land on our backend, before plans submit any.

A ``url`` target was started and configured by somebody else. If it still talks to a vendor, every job that a plan
submits costs real money and real time on a real device. So one job goes first, as small as can be, and must be seen at
our double:

* by identity, where target.yaml says how a run tells its job (``correlation``: metadata, attempt): one circuit, 1 shot;
* by a watermark else: a prime number of shots from 37 to 97, of which what others run is hardly ever a multiple (no
  power of two or ten is), or to 199 if the target refuses to run so few;
* by a canary besides, where one of the target's payloads holds a circuit in a language we write: the circuit is put in
  its place, and our backend knows it whatever the target makes of it (harness.backend.canary).

That first job is the price of knowing: if the target does talk to a vendor, it has one job of a few dozen shots at most
to pay, less than any plan would submit, and it is cancelled if the target can. Who doesn't want to pay it writes
``submit: false``: then nothing is ever submitted. Nothing is submitted either if the job was not seen in time, was
refused, or if a backend of the target's is not among ``live.doubles``: then roles that can lead to a run are withheld
for the whole run, steps of theirs are recorded skips, and what only reads is still tested.

What it doesn't prove: that *every* job lands here. A target that sends some jobs elsewhere, by tenant or by device, is
beyond one job; its doubles must stand for all of its backends.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from harness.backend.canary import Canary
from harness.case import Case
from harness.facts import JobSeen
from harness.inputs.lanes import laned_actor
from harness.inputs.roles import ROLES
from harness.inputs.target import Actor, Target
from harness.model import History, Plan, Step
from harness.providers._protocol import Protocol
from harness.seed import stream
from harness.south import known_doubles
from harness.worlds import contract
from harness.worlds.live.play import LivePlay
from harness.worlds.live.stack import Stack

#: of real time; what has not arrived by then is not waited for
LIMIT_S: Final = 45.0
_TAKE_BACK_S: Final = 15.0
_SETTLE_S: Final = 1.0
_SCENARIO: Final = "proof of simulation"
_FEW: Final = (37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97)
_MORE: Final = (101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199)
_IDENTITIES: Final = ("metadata", "attempt")

#: what can lead to a run: asking for one, and having one asked for approved
SUBMITTING: Final = tuple(
    name for name, role in ROLES.items() if role.makes == "job" or role.param("shots") or name == "decide"
)


@dataclass(frozen=True, kw_only=True)
class Proof:
    """Whether the target's jobs land here; ``how`` it was told, or why it could not be."""

    proved: bool
    how: str


@dataclass(frozen=True, kw_only=True)
class Probe:
    """The job that goes first."""

    plan: Plan
    shots: int
    canary: Canary | None = None


def without_submitting(target: Target, why: str) -> Target:
    """The target as it may be called: roles that can lead to a run are withheld, and say why."""
    kept = {name: binding for name, binding in target.bindings.items() if name not in SUBMITTING}
    held = {name: f"{name} is withheld: {why}" for name in target.bindings if name in SUBMITTING}
    return replace(target, bindings=kept, withheld={**target.withheld, **held})


async def prove(target: Target, stack: Stack, caps: Mapping[str, float], nonce: str) -> Proof:
    """Send the job and look for it. ``target``: with the actors of a lane; ``nonce`` makes its job like no other."""
    if missing := unplayed(target):
        return Proof(proved=False, how=f"its double {missing} is not among live.doubles, so its jobs may go elsewhere")
    actor = _submitter(target)
    if actor is None:
        return Proof(proved=False, how="no actor can submit a job as small as the proof needs")
    proof = Proof(proved=False, how="")
    for probe in probes(target, actor, nonce):
        history, recognised = await _played(target, stack, caps, probe)
        proof = judged(history, probe, recognised)
        if proof.proved or not _is_refused_as_invalid(history):
            break
    if not proof.proved:
        await _take_back(target, stack, caps, actor, history)
    return proof


def unplayed(target: Target) -> str:
    """The first of the target's backends that nobody plays here, or what to say if it has none; "" if all are."""
    kinds = known_doubles()
    backends = [d.double for d in target.doubles if kinds[d.double].service == "backend"]
    given = target.live.doubles if target.live else {}
    return next((name for name in backends if name not in given), "") if backends else "of a backend"


# ---------------------------------------------------------------- the job


def probes(target: Target, actor: Actor, nonce: str) -> tuple[Probe, ...]:
    """The job that is tried, and a larger one for a target that finds it too small to be valid."""
    rng, canary = stream(0, _SCENARIO, nonce), Canary.of(nonce, secret=1)
    payload, is_canary = _planted(next(iter(target.payloads), None), canary)
    known = any(way.partition(":")[0] in _IDENTITIES for way in target.correlation)
    sizes = (1 if known or is_canary else rng.choice(_FEW), rng.choice(_MORE))
    return tuple(_probe(actor, shots, payload, canary if is_canary else None, nonce) for shots in sizes)


def _probe(actor: Actor, shots: int, payload: Any, canary: Canary | None, nonce: str) -> Probe:
    params = {"shots": shots, "circuits": 1, "repeats": 1, "payload": payload, "key": f"proof-{nonce}-{shots}"}
    given = {k: v for k, v in params.items() if v is not None}
    step = Step(id="proof", do="submit_job", actor=actor.name, params=given)
    return Probe(plan=Plan(scenario=_SCENARIO, steps=(step,)), shots=shots, canary=canary)


def _submitter(target: Target) -> Actor | None:
    binding = target.bindings.get("submit_job")
    able = target.actors_with(binding.ability) if binding else ()
    return next((a for a in able if a.tenant), None)


_QASM = re.compile(r"\s*OPENQASM\s+([23])")


def _planted(payload: Any, canary: Canary) -> tuple[Any, bool]:
    """A payload with the canary in the place of the first circuit in it, and whether there was one."""
    if isinstance(payload, str) and (match := _QASM.match(payload)):
        return canary.qasm3 if match[1] == "3" else canary.qasm2, True
    if isinstance(payload, Mapping):
        if isinstance(payload.get("circuit"), list) and payload.get("gateset", "qis") == "qis":
            return {**payload, **canary.ionq}, True
        return _planted_in(dict(payload), list(payload), canary)
    if isinstance(payload, list | tuple):
        return _planted_in(list(payload), range(len(payload)), canary)
    return payload, False


def _planted_in(whole: Any, keys: Any, canary: Canary) -> tuple[Any, bool]:
    for key in keys:
        part, done = _planted(whole[key], canary)
        if done:
            whole[key] = part
            return whole, True
    return whole, False


# ---------------------------------------------------------------- its play


async def _played(
    target: Target, stack: Stack, caps: Mapping[str, float], probe: Probe, limit_s: float = LIMIT_S
) -> tuple[History, bool]:
    """What happened until the job had ended, or in the time there is; and whether the canary ran here."""
    pace = target.live.pace if target.live else 1.0
    # nobody judges this play: it need not settle, nor wait for longer than there is time
    brief = {**caps, "timing.settle_s": _SETTLE_S, "jobs.deadline_s": limit_s * pace}
    play = LivePlay(target, probe.plan, contract.resolve(target, {}, pace), brief, stack)
    backends = [d.backend for d in play.doubles.values() if isinstance(d, Protocol)]
    if probe.canary is not None:
        for backend in backends:
            backend.plant(probe.canary)
    try:
        async with asyncio.timeout(limit_s):
            history = await play.run()
    except TimeoutError:
        history = play.recorder.history()
    recognised = probe.canary is not None and any(probe.canary.nonce in b.recognised for b in backends)
    return history, recognised


async def _take_back(target: Target, stack: Stack, caps: Mapping[str, float], actor: Actor, history: History) -> None:
    """Cancel what may be waiting at a vendor's."""
    jobs = [seen.job for call in Case(history).calls("submit_job") if (seen := call.first(JobSeen))]
    if jobs and "cancel_job" in target.bindings:
        steps = (Step(id="take-back", do="cancel_job", actor=actor.name, params={"job": jobs[0]}),)
        plan = Plan(scenario=_SCENARIO, steps=steps)
        await _played(target, stack, caps, Probe(plan=plan, shots=0), _TAKE_BACK_S)


# ---------------------------------------------------------------- what it shows


def judged(history: History, probe: Probe, recognised: bool) -> Proof:
    """What the play shows."""
    if recognised:
        return Proof(proved=True, how="its job, a canary's circuit, ran on our backend")
    case = Case(history)
    call = next(iter(case.calls("submit_job")), None)
    if call is None or call.outcome == "refused":
        why = f": {call.reason}" if call is not None and call.reason else ""
        return Proof(proved=False, how=f"it refused the job that was to prove it{why}")
    seen = call.first(JobSeen)
    for run, (job, way) in case.correlated.items():
        if seen is not None and job == seen.job and way.partition(":")[0] in _IDENTITIES:
            return Proof(proved=True, how=f"run {run} on our backend is that of its job, by {way}")
    mark = next((r for r in case.runs.values() if _is_marked(r.accepted.shots, probe.shots) and r.n > call.n), None)
    if mark is not None:
        return Proof(proved=True, how=f"run {mark.id} on our backend has the {probe.shots} shots of its job")
    took = f"took a job of {probe.shots} shot{'s' if probe.shots > 1 else ''}"
    what = took if call.surely_happened else "was asked for a job, and gave no answer"
    arrived = len(case.runs)
    return Proof(proved=False, how=f"it {what}, and of {arrived} runs on our backend none is that job's")


def _is_marked(shots: int, mark: int) -> bool:
    """Whether a run has the shots of a watermark: once for every circuit that the target made of it, of a few."""
    return mark >= _FEW[0] and shots > 0 and shots % mark == 0 and shots <= 16 * mark


def _is_refused_as_invalid(history: History) -> bool:
    call = next(iter(Case(history).calls("submit_job")), None)
    return call is not None and call.outcome == "refused" and call.reason == "invalid"


# ---------------------------------------------------------------- for the world


async def settled(target: Target, stack: Stack, caps: Mapping[str, float], nonce: str, lane: str) -> tuple[Target, str]:
    """The target as it may be called from now on, and what its user must know."""
    live = target.live
    if live is None or live.kind != "url" or not set(SUBMITTING) & set(target.bindings):
        return target, ""
    if not live.submit:
        return without_submitting(target, "target.yaml says submit: false"), "jobs are not submitted: submit: false"
    actors = {name: laned_actor(actor, lane) for name, actor in live.actors.items()} or dict(target.actors)
    proof = await prove(replace(target, actors=actors), stack, caps, nonce)
    if proof.proved:
        return target, f"its jobs land on our backend: {proof.how}"
    why = f"it is not proved that its jobs land on our backend: {proof.how}"
    return without_submitting(target, why), f"NOT ONE JOB IS SUBMITTED: {why}"
