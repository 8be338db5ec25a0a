"""Steps, faults, times and answers in plain words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from harness.case import Case, NorthCall
from harness.facts import JOB_MAKERS, JobSeen, ResultSeen
from harness.injection import Fault
from harness.model import Basis, FaultUse, GateUse, History, Plan, Repeats, Schedule, Step, is_reference

#: role → what an actor does, with the role's parameters in braces
PHRASES: Mapping[str, str] = MappingProxyType(
    {
        "submit_job": "submits a job of {work}",
        "clone_job": "clones {job}{with_shots}",
        "get_job": "reads {job}",
        "list_jobs": "lists the jobs",
        "cancel_job": "cancels {job}",
        "delete_job": "deletes {job}",
        "get_result": "reads the result of {job}",
        "list_attempts": "reads the attempts of {job}",
        "create_change": "asks for approval of a run of {work}",
        "get_change": "reads {change}",
        "revise_change": "revises {change} to {work}",
        "decide": "decides “{verdict}” on {change}",
        "withdraw_decision": "withdraws {decision} on {change}",
        "execute_change": "executes {change}",
        "read_quota": "reads the quota",
        "set_quota": "sets the {dimension} limit to {limit}",
        "read_usage": "reads the usage ledger",
        "read_audit": "reads the audit trail",
        "read_limits": "reads the published limits",
        "set_abilities": "sets the abilities of {person} to {abilities}",
        "set_fallback": "sets classical fallback to {fallback}",
    }
)

_WORK = ("shots", "circuits", "repeats")
_SEEN_IN_WORK = frozenset({*_WORK, "payload"})
_SETTINGS_OF_ENVELOPE = frozenset(Fault.settings())


def duration(ms: float) -> str:
    """Milliseconds as a person would write them: 250 ms, 1.5 s, 2 min, 1 h."""
    for limit, unit_ms, unit in ((1_000, 1, "ms"), (120_000, 1_000, "s"), (7_200_000, 60_000, "min")):
        if abs(ms) < limit:
            return f"{_short(ms / unit_ms)} {unit}"
    return f"{_short(ms / 3_600_000)} h"


def plural(count: int, one: str, many: str = "") -> str:
    """1 plan, 2 plans, 1,204 requests."""
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def steps_in_words(plan: Plan) -> tuple[str, ...]:
    """Every step of a plan as one sentence, in order, references as step numbers."""
    numbers = {s.id: i for i, s in enumerate(plan.steps, 1)}
    return tuple(step_in_words(s, numbers) for s in plan.steps)


def step_in_words(step: Step, numbers: Mapping[str, int]) -> str:
    """One step as a sentence; ``numbers`` gives each step id its position in the plan."""
    if step.do == "wait":
        return f"{duration(float(step.params.get('ms', 0)))} pass"
    phrase, used = _phrase(step, numbers)
    rest = [_extra(k, v, numbers) for k, v in step.params.items() if k not in used and v is not None]
    if step.credential:
        rest.append(f"with credential {step.credential + 1}")
    who = f"{step.actor} " if step.actor else ""
    return f"{_moment(step)}{who}{phrase}" + (f" ({', '.join(rest)})" if rest else "")


def _moment(step: Step) -> str:
    """When a step starts: after the answers to those before it, or with them."""
    if step.together:
        return "at the same instant" + (f" plus {duration(step.after_ms)}" if step.after_ms else "") + ", "
    return f"{duration(step.after_ms)} later, " if step.after_ms else ""


def _phrase(step: Step, numbers: Mapping[str, int]) -> tuple[str, frozenset[str]]:
    """The phrase of a step, and the parameters that it tells."""
    template = PHRASES.get(step.do, step.do.replace("_", " "))
    used = set(re.findall(r"{(\w+)}", template))
    words = {k: _value(step.params.get(k), k, numbers) for k in used}
    if "work" in used:
        words["work"] = _work(step.params)
        used |= _SEEN_IN_WORK
    if "with_shots" in used:
        shots = step.params.get("shots")
        words["with_shots"] = f" with {shots} shots" if shots is not None else ""
        used |= {"shots"}
    return template.format_map(words), frozenset(used)


def _work(params: Mapping[str, Any]) -> str:
    factors = [str(params[k]) for k in ("circuits", "repeats") if params.get(k) not in (None, 1)]
    shots = params.get("shots")
    if shots is None:
        return "default size"
    return " × ".join([*factors, str(shots)]) + (" shot" if [*factors, shots] == [1] else " shots")


def _value(value: object, name: str, numbers: Mapping[str, int]) -> str:
    if isinstance(value, Mapping) and is_reference(value):
        return f"the {value['take']} of step {numbers.get(value['from'], '?')}"
    if isinstance(value, list | tuple):
        return ", ".join(str(v) for v in value) or "nothing"
    return f"the {name}" if value is None else str(value)


def _extra(name: str, value: object, numbers: Mapping[str, int]) -> str:
    return f"{name} {_value(value, name, numbers)}"


def fault_in_words(use: FaultUse, numbers: Mapping[str, int]) -> str:
    """One use of a fault: what, where, how often, when."""
    params = use.params
    own = [f"{k} {_value(v, k, numbers)}" for k, v in params.items() if k not in _SETTINGS_OF_ENVELOPE]
    words = use.fault.replace("_", " ") + (f" ({', '.join(own)})" if own else "")
    if params.get("on"):
        words += f" on {_value(params['on'], 'on', numbers)}"
    if params.get("where"):
        words += f" where {params['where']}"
    return ", ".join([words, *_when(params, numbers)])


def _when(params: Mapping[str, Any], numbers: Mapping[str, int]) -> list[str]:
    parts = []
    if skip := params.get("skip"):
        parts.append(f"after {plural(skip, 'call')} let through")
    if (every := params.get("every", 1)) > 1:
        parts.append(f"one of {every} calls")
    if (probability := params.get("probability", 1)) < 1:
        parts.append(f"by chance, {probability:.0%} of calls")
    times = params.get("times", 1)
    parts.append("until healed" if times == 0 else "once" if times == 1 else f"{times} times")
    if after := params.get("after_step"):
        parts.append(f"armed at step {numbers.get(after, '?')}")
    if from_ms := params.get("from_ms"):
        parts.append(f"from {duration(from_ms)} on")
    if for_ms := params.get("for_ms"):
        parts.append(f"for {duration(for_ms)}")
    if until := params.get("until_step"):
        parts.append(f"healed at step {numbers.get(until, '?')}")
    return parts


def schedule_in_words(schedule: Schedule) -> str:
    """How tasks were ordered; empty for the plain order."""
    if schedule.strategy == "fifo":
        return ""
    if schedule.strategy == "permute":
        return f"ready tasks shuffled (seed {schedule.seed})"
    return f"tasks held back by priority (seed {schedule.seed}, {schedule.depth} change points)"


def gate_in_words(gate: GateUse, numbers: Mapping[str, int]) -> str:
    """Which calls were held, and when they went on."""
    what = f"{_value(gate.on, 'on', numbers)} at {gate.at}" if gate.on else f"calls of {gate.at}"
    if gate.where:
        what += f" where {gate.where}"
    if gate.point == "after":
        what += ", done but not answered,"
    since = f" from step {numbers.get(gate.after_step, '?')} on" if gate.after_step else ""
    skipped = f", {plural(gate.skip, 'call')} let through," if gate.skip else ""
    if gate.until_step:
        return f"{what}{since}{skipped} held until step {numbers.get(gate.until_step, '?')} is answered"
    order = f" in the order {', '.join(str(n + 1) for n in gate.order)}" if gate.order else " as they came"
    after = ", each when the one before it is answered" if gate.one_by_one else ""
    return f"{what}{since}{skipped} held until {gate.calls} are there, then released{order}{after}"


def repeats_in_words(repeats: Repeats, basis: Basis) -> str:
    """How often it showed again, and what that means."""
    words = f"{repeats.shown}/{repeats.plays} with fresh noise"
    if repeats.mode != "live":
        words += f", {repeats.mode}"
    if repeats.shown < repeats.plays:
        words += f"; one that did not show it {repeats.difference}" if repeats.difference else ""
        words += "; the events of one play contradict each other, which is proof" if basis == "contradiction" else ""
    return words


def answers_in_words(history: History) -> Mapping[str, str]:
    """Step id → what came back for it, and where the job that it made ended."""
    case = Case(history)
    ends = _last_states(case)
    return {
        call.made.step: answer_in_words(call) + _end_of_job(call, ends)
        for call in case.all_calls
        if call.made.part == "play"
    }


def answer_in_words(call: NorthCall) -> str:
    """accepted, refused (quota) 429, no clear answer."""
    answer = call.answer
    if answer is None:
        return "no answer"
    words = {"unknown": "no clear answer"}.get(answer.outcome, answer.outcome)
    if answer.reason:
        words += f" ({answer.reason.replace('_', ' ')})"
    return words + (f" {answer.status}" if answer.status else "")


def _end_of_job(call: NorthCall, ends: Mapping[str, str]) -> str:
    makes = call.role in JOB_MAKERS
    job = call.first(JobSeen) if makes else None
    return f", job ends {ends[job.job]}" if job and job.job in ends else ""


def _last_states(case: Case) -> dict[str, str]:
    """Job → the last state that was seen, and what its result says of itself."""
    ends = {s.what.job: s.what.state for s in case.seen(JobSeen) if s.what.state}
    for seen in case.seen(ResultSeen):
        if (said := _provenance(seen.what)) and seen.what.job in ends:
            ends[seen.what.job] = f"{ends[seen.what.job].partition(' (')[0]} ({said})"
    return ends


def _provenance(result: ResultSeen) -> str:
    parts = [f"by {result.executed}"] if result.executed else []
    if result.fallback is not None:
        parts.append("said to be a fallback" if result.fallback else "said to be no fallback")
    return ", ".join(parts)


def _short(value: float) -> str:
    return f"{value:.1f}".rstrip("0").rstrip(".")
