"""Why a finding is one: the rule, what was expected, what was seen, and what leads there, in plain words."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from harness.exhibits.report import Rule
from harness.exhibits.words import (
    answers_in_words,
    fault_in_words,
    gate_in_words,
    plural,
    repeats_in_words,
    schedule_in_words,
    steps_in_words,
)
from harness.model import Finding


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A finding in words; every reporter shows these, none makes its own."""

    rule: str
    expected: str
    observed: str
    steps: tuple[str, ...]
    #: what each step was answered, in the order of steps; "" where nothing is known
    answers: tuple[str, ...]
    #: the same of the control arm; empty if there is none
    control_answers: tuple[str, ...]
    faults: tuple[str, ...]
    #: how tasks were ordered, "" for the plain order
    order: str
    #: what became of the same plan without its faults
    control: str
    #: how it was found and made small
    history: str
    #: which calls were held, and when they went on
    gates: tuple[str, ...] = ()
    #: how often it showed again, "" where plays are reproducible
    repeats: str = ""

    def lines(self) -> Iterator[tuple[str, str]]:
        """Labelled lines, in the order to read them."""
        yield "Rule", self.rule
        yield "Expected", self.expected
        yield "Observed", self.observed
        for number, step in enumerate(self.steps, 1):
            yield ("Steps" if number == 1 else ""), f"{number}. {step}"
        for number, fault in enumerate(self.faults, 1):
            yield ("Fault" if number == 1 else ""), fault
        if self.order:
            yield "Order", self.order
        for number, gate in enumerate(self.gates, 1):
            yield ("Gate" if number == 1 else ""), gate
        yield "Control", self.control
        if self.repeats:
            yield "Repeats", self.repeats

    def text(self) -> str:
        """All of it as one text."""
        return "\n".join(f"{label + ':' if label else '':<10}{line}" for label, line in self.lines())


def explain(finding: Finding, rule: Rule) -> Explanation:
    """A finding in plain words, from its violation, its plan and its two histories alone."""
    plan = finding.plan
    numbers = {s.id: i for i, s in enumerate(plan.steps, 1)}
    return Explanation(
        rule=_rule_words(rule),
        expected=finding.violation.expected,
        observed=finding.violation.observed,
        steps=steps_in_words(plan),
        answers=_answers(finding, control=False),
        control_answers=_answers(finding, control=True),
        faults=tuple(fault_in_words(f, numbers) for f in plan.faults),
        order=schedule_in_words(plan.schedule),
        control=_control(finding),
        history=_how_found(finding),
        gates=tuple(gate_in_words(g, numbers) for g in plan.gates),
        repeats=repeats_in_words(finding.repeats, finding.violation.basis) if finding.repeats else "",
    )


def _rule_words(rule: Rule) -> str:
    return f"{rule.id} {rule.name}: {rule.rule}" if rule.rule else f"{rule.id} {rule.name}"


def _answers(finding: Finding, *, control: bool) -> tuple[str, ...]:
    history = finding.control if control else finding.history
    if history is None:
        return ()
    words = answers_in_words(history)
    return tuple(words.get(s.id, "") for s in finding.plan.steps)


def _control(finding: Finding) -> str:
    if not finding.plan.faults:
        return "no fault is needed; these steps alone break the rule"
    many = len(finding.plan.faults) > 1
    without = "without the faults" if many else "without the fault"
    if finding.survives_without_faults is None:
        return f"the plan was not played {without}"
    if finding.survives_without_faults:
        return f"{without} the rule is broken as well"
    return f"{without} the rule is not broken" + _first_difference(finding)


def _first_difference(finding: Finding) -> str:
    """Where the control arm went another way, if a step's answer shows it."""
    mine, other = _answers(finding, control=False), _answers(finding, control=True)
    for number, (a, b) in enumerate(zip(mine, other, strict=False), 1):
        if a != b and b:
            return f"; step {number} is then {b}, not {a or 'unanswered'}"
    return ""


def _how_found(finding: Finding) -> str:
    words = f"found after {plural(finding.found_after_plans, 'plan')}"
    if finding.plan.agent:
        words += f" by the {finding.plan.agent} agent"
    if finding.raw_steps:
        drawn = plural(finding.raw_steps, "step") + " and " + plural(finding.raw_faults, "fault")
        words += f"; drawn with {drawn}, shrunk in {plural(finding.shrink_plays, 'play')}"
    return words
