"""Playing plans in a world and judging them, each plan once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Protocol

from harness.campaign._edits import size
from harness.errors import ContractBroken, RunStopped, TargetError
from harness.inputs.target import Target
from harness.judging import Invariant, judge, known_invariants
from harness.model import Event, History, Plan, Signature, Status, Verdict, Violation


class World(Protocol):
    """What can play plans, a fresh target for each."""

    @property
    def deterministic(self) -> bool:
        """Whether the same plan gives the same history, byte for byte."""

    def play(self, plan: Plan) -> History:
        """Play one plan to its end; TargetError if the target can't be tested, PlayCut if it is cut short."""

    def close(self) -> None:
        """Give back what it holds."""


class WorldFactory(Protocol):
    """How a campaign gets its worlds: one for each scenario."""

    def __call__(self, target: Target, variant: str = "", caps: Mapping[str, float] = ...) -> World:
        """A world of a target in a variant, published tolerances capped."""


def encode(plan: Plan) -> str:
    """A plan's identity: plans that play alike are alike. Scenario and agent only say where it comes from."""
    data = asdict(plan)
    del data["scenario"], data["agent"]
    return json.dumps(data, sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True)
class Judged:
    """What a play came to, without its history: verdicts, and violations by signature."""

    verdicts: tuple[Verdict, ...]
    violations: Mapping[Signature, Violation]


@dataclass(frozen=True)
class Played:
    """A play that really took place."""

    history: History
    judged: Judged


@dataclass
class Player:
    """A world with the invariants that judge its plays; remembers what each plan came to."""

    world: World
    invariants: Sequence[Invariant]
    #: oracles that crashed, with what they said; they judge no more
    crashed: dict[str, str] = field(default_factory=dict)
    #: oracles that crashed on a candidate of shrinking; they go on judging, or the finding would be lost
    stumbled: dict[str, str] = field(default_factory=dict)
    #: the smallest plan that showed each signature, with its play: a finding even if nothing more can be played
    witnesses: dict[Signature, tuple[Plan, Played]] = field(default_factory=dict)
    plays: int = 0
    #: the play that took place last
    last: Played | None = None
    _memory: dict[str, Judged] = field(default_factory=dict)

    @property
    def deterministic(self) -> bool:
        """Whether its plays are reproducible byte for byte."""
        return self.world.deterministic

    def recall(self, plan: Plan) -> Judged | None:
        """What an equal plan came to, if one was played."""
        return self._memory.get(encode(plan))

    def play(self, plan: Plan) -> Played:
        """Play and judge, whether or not it was played before."""
        self.plays += 1
        history = self.world.play(plan)
        judged = self._judge(history)
        self._memory[encode(plan)] = judged
        played = Played(history, judged)
        self.last = played
        self._witness(plan, played)
        return played

    def judge(self, plan: Plan) -> Judged:
        """What a plan comes to; played only if no equal one was."""
        return self.recall(plan) or self.play(plan).judged

    def shows(self, plan: Plan, signature: Signature, *, anew: bool = False) -> bool:
        """Whether a candidate of shrinking shows a signature; one that can't be played or judged does not.

        ``anew``: played even if an equal plan was, as plays that differ by themselves need.
        """
        before = dict(self.crashed)
        try:
            judged = self.play(plan).judged if anew else self.judge(plan)
            return signature in judged.violations
        except RunStopped:
            raise
        except (TargetError, ContractBroken):
            return False
        finally:
            self.stumbled |= {k: why for k, why in self.crashed.items() if k not in before}
            self.crashed = before

    def _witness(self, plan: Plan, played: Played) -> None:
        for signature in played.judged.violations:
            known = self.witnesses.get(signature)
            if known is None or size(plan) < size(known[0]):
                self.witnesses[signature] = plan, played

    def _judge(self, history: History) -> Judged:
        verdicts = self._all_at_once(history) or self._one_by_one(history)
        return Judged(verdicts, violations_of(verdicts))

    def _alive(self) -> list[Invariant]:
        return [i for i in self.invariants if i.id not in self.crashed]

    def _all_at_once(self, history: History) -> tuple[Verdict, ...] | None:
        try:
            return judge(history, self._alive())
        except ContractBroken:
            # One crashed oracle must not silence the others: judge again, each on its own.
            return None

    def _one_by_one(self, history: History) -> tuple[Verdict, ...]:
        verdicts: list[Verdict] = []
        for rule in self._alive():
            try:
                verdicts += judge(history, [rule])
            except ContractBroken as error:
                self.crashed[rule.id] = str(error)
        return tuple(verdicts)


def violations_of(verdicts: Sequence[Verdict]) -> dict[Signature, Violation]:
    """The first violation of each signature."""
    found: dict[Signature, Violation] = {}
    for verdict in verdicts:
        if verdict.status is Status.VIOLATED:
            for violation in verdict.violations:
                found.setdefault(Signature(verdict.invariant, violation.clause), violation)
    return found


def choose(ids: Sequence[str], known: Mapping[str, Invariant] | None = None) -> tuple[Invariant, ...]:
    """Invariants by id; ContractBroken for an id that nobody defines (files are checked when they are loaded)."""
    every = known_invariants() if known is None else known
    if unknown := [i for i in ids if i not in every]:
        raise ContractBroken(f"no invariant is called {unknown[0]!r}")
    return tuple(every[i] for i in ids)


def judge_history(history: History, ids: Sequence[str] = ()) -> tuple[Verdict, ...]:
    """The verdicts of a stored history; of all invariants unless some are named."""
    every = known_invariants()
    return judge(history, choose(tuple(ids) or tuple(every)))


def first_difference(one: History, other: History) -> str:
    """Where two histories part, in words; "" if they are the same, byte for byte."""
    for a, b in zip(one, other, strict=False):
        if (left := line(a)) != (right := line(b)):
            return f"event {a.n}: {left} ≠ {right}"
    if len(one) != len(other):
        return f"event {min(len(one), len(other))}: one history ends, the other goes on"
    return ""


def line(event: Event) -> str:
    """An event as one line of ndjson."""
    return json.dumps(event.encode(), sort_keys=True, separators=(",", ":"), default=str)
