"""What there is to draw from: the contract's numbers, the actors who may, values at the contract's edges.

Everything comes from the target and the scenario; nothing is guessed about either.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from harness.agents._brief import Brief
from harness.agents._draw import Pen
from harness.agents._text import wants_text, written
from harness.inputs.roles import ROLES
from harness.inputs.target import Actor, Target
from harness.model import Schedule, Strategy

#: virtual milliseconds that a wait may take beside the contract's times: awaits, polls, queue times
SHORT_WAITS_MS = (1, 5, 20)
WAITS_MS = (1_000, 100, 2_000, 5_000, 500, 10_000, 3_500, 30_000)
MANY_KEYS = ("k1", "k2")
_TIMES = ("approvals.ttl_s", "quota.shots.window_s", "timing.propagation_s", "timing.cancel_s", "timing.retry_s")
#: an hour costs nothing of virtual time, but a day of polling would
LONGEST_WAIT_S = 7_200
_EVERYDAY_SHOTS = 100


@dataclass(frozen=True)
class Stage:
    """One approval stage of the contract."""

    name: str
    quorum: int
    ability: str


def draw_contract(pen: Pen, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The scenario's contract with one of each list of ``choices``."""
    return {k: pen.pick(v["choices"]) if is_choice(v) else v for k, v in asked.items()}


def is_choice(value: object) -> bool:
    """Whether a value in a scenario is a list to draw one from."""
    return isinstance(value, Mapping) and set(value) == {"choices"} and bool(value["choices"])


def draw_schedule(pen: Pen, brief: Brief, racy: bool = False) -> Schedule:
    """First-in-first-out mostly; of a racy plan seldom."""
    known = [s for s in _SCHEDULES if s in brief.scenario.schedules]
    shuffled = [s for s in known if s != "fifo"]
    if not shuffled or ("fifo" in known and pen.below(4) < (1 if racy else 3)):
        return Schedule()
    return Schedule(strategy=pen.pick(shuffled), seed=pen.below(32), depth=1 + pen.below(3))


_SCHEDULES: tuple[Strategy, ...] = ("fifo", "permute", "pct")


class Material:
    """Options to draw from, for one brief and one drawn contract; simplest first everywhere."""

    def __init__(self, brief: Brief, contract: Mapping[str, Any]) -> None:
        self.brief, self.target = brief, brief.target
        self.contract = effective(brief.target, contract)
        self.roles = frozenset(r for r in brief.scenario.roles if r in brief.target.bindings)

    # ------------------------------------------------------------ who

    def can(self, *roles: str) -> bool:
        """Whether all these roles may be called."""
        return self.roles.issuperset(roles)

    @cached_property
    def tenants(self) -> tuple[str, ...]:
        """Tenants whose actors can do something; the empty one only where there is no other."""
        return self.target.tenants() or ("",)

    def able(self, role: str, tenant: str) -> tuple[Actor, ...]:
        """Actors of a tenant who may call a role; operators where the tenant has none."""
        ability = self.target.bindings[role].ability
        return self.target.actors_with(ability, tenant) or self.target.actors_with(ability)

    @cached_property
    def everyone(self) -> tuple[Actor, ...]:
        """Every actor, in the file's order."""
        return tuple(self.target.actors.values())

    def eligible(self, stage: Stage, tenant: str, but: Iterable[str] = ()) -> tuple[Actor, ...]:
        """One actor for each person who may decide in a stage, without some persons."""
        able = [a for a in self.able("decide", tenant) if not stage.ability or stage.ability in a.abilities]
        persons = {a.person: a for a in reversed(able) if a.person not in set(but)}
        return tuple(reversed(persons.values()))

    def authors(self, tenant: str) -> tuple[Actor, ...]:
        """Who may ask for a change; first those without whom every stage still has its quorum."""
        able = self.able("create_change", tenant)
        spare = [a for a in able if self._is_spare(a, tenant)]
        return (*spare, *(a for a in able if a not in spare))

    def _is_spare(self, actor: Actor, tenant: str) -> bool:
        return all(len(self.eligible(s, tenant, [actor.person])) >= s.quorum for s in self.stages)

    # ------------------------------------------------------------ the contract's numbers

    @cached_property
    def stages(self) -> tuple[Stage, ...]:
        """The approval stages in order; one of two persons where the contract says nothing."""
        given = self.contract.get("approvals.stages")
        if given is None:
            return (Stage("", 2, ""),)
        return tuple(Stage(s["name"], int(s["quorum"]), s.get("ability", "")) for s in given)

    def number(self, term: str) -> int | None:
        """A term of the contract as an integer, if its value is known."""
        value = self.contract.get(term)
        return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None

    @cached_property
    def waits_ms(self) -> tuple[int, ...]:
        """Times to let pass: everyday ones, the contract's (just over, half), very short ones."""
        times = [int(t * 1000) for k in _TIMES if (t := self.contract.get(k)) and t <= LONGEST_WAIT_S]
        edges = [ms for t in times for ms in (t + 1000, t // 2) if ms]
        return tuple(dict.fromkeys((*WAITS_MS, *edges, *SHORT_WAITS_MS)))

    # ------------------------------------------------------------ work

    @cached_property
    def light(self) -> tuple[dict[str, Any], ...]:
        """Runs that need no approval, from everyday ones to those at the limits."""
        heavy, limit = self.number("approvals.heavy_weight"), self.number("quota.shots.limit")
        most = min(n for n in (heavy, limit, 10 * _EVERYDAY_SHOTS) if n is not None)
        return self._single(self._light_shots(min(_EVERYDAY_SHOTS, most), heavy, limit))

    def _light_shots(self, everyday: int, heavy: int | None, limit: int | None) -> list[int]:
        shots = [everyday, *self.near_limit, 1]
        if heavy is not None:
            shots.append(heavy)
        if limit is not None:
            shots.append(limit + 1)
        return [s for s in shots if s > 0 and (heavy is None or s <= heavy)]

    @cached_property
    def near_limit(self) -> tuple[int, ...]:
        """Shots of which few fit the budget: more than half, half, all of it; as far as no approval is needed."""
        limit, heavy = self.number("quota.shots.limit"), self.number("approvals.heavy_weight")
        if limit is None:
            return ()
        most = heavy if heavy is not None and heavy < limit else limit
        return tuple(dict.fromkeys(s for s in (min(limit // 2 + 1, most), min(limit // 2, most), most) if s))

    @cached_property
    def heavy(self) -> tuple[dict[str, Any], ...]:
        """Runs that need approval, the lightest first, those that fit the budget before the others."""
        weight, limit = self.number("approvals.heavy_weight"), self.number("quota.shots.limit")
        if weight is None:
            return self.light
        fits = [w for w in (weight + 1, weight + 2, 2 * weight) if limit is None or w <= limit]
        return self._single(dict.fromkeys([*fits, weight + 1, 10 * weight]))

    @cached_property
    def sneaky(self) -> tuple[dict[str, Any], ...]:
        """Heavy runs whose heaviness is only in the product: circuits × shots × repeats over the threshold."""
        weight = self.number("approvals.heavy_weight")
        if weight is None:
            return ()
        products = [{"shots": weight // n + 1, by: n} for n in (2, 10) for by in ("circuits", "repeats")]
        return tuple(p for p in products if all(self.takes("submit_job", name) for name in p))

    def takes(self, role: str, param: str) -> bool:
        """Whether the target's binding of a role has a place for a parameter."""
        known, binding = ROLES[role].param(param), self.target.bindings.get(role)
        return known is not None and binding is not None and param in binding.request

    def fit(self, role: str, params: Mapping[str, Any]) -> dict[str, Any]:
        """The parameters that the binding of a role has a place for, and those that it can't do without."""
        return {k: v for k, v in params.items() if v is not None and self.takes(role, k)}

    def _single(self, shots: Iterable[int]) -> tuple[dict[str, Any], ...]:
        return tuple({"shots": s} for s in dict.fromkeys(shots))

    @cached_property
    def payloads(self) -> tuple[Any, ...]:
        """Payloads of the target, simplest first; those with free text in several scripts."""
        if not any(wants_text(p) for p in self.target.payloads):
            return self.target.payloads or (None,)
        told = [written(p, self.brief.seed) if wants_text(p) else (p,) for p in self.target.payloads]
        return tuple(version for versions in told for version in versions)

    @cached_property
    def subjects(self) -> tuple[Any, ...]:
        """What a change can be about, from the agent's options."""
        return tuple(self.brief.options.get("subjects", ())) or self.target.subjects or (None,)

    @cached_property
    def dimensions(self) -> tuple[tuple[str, int], ...]:
        """Quota dimensions whose limit is known."""
        names = ("shots", "jobs", "classical_ms")
        known = ((n, self.number(f"quota.{n}.limit")) for n in names)
        return tuple((n, limit) for n, limit in known if limit is not None)


def effective(target: Target, asked: Mapping[str, Any]) -> dict[str, Any]:
    """The values that will be in force as far as they can be known before a play: fixed ones win over asked ones."""
    fixed = {k: s.fixed for k, s in target.contract.items() if s.fixed is not None}
    return {**asked, **fixed}


def others(actors: Sequence[Actor], actor: str) -> list[Actor]:
    """Actors without one of them."""
    return [a for a in actors if a.name != actor]
