"""Drawing faults: which, where, after how many calls, how often."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import Field, dataclass, replace
from typing import Any

from harness.agents._draw import Pen, PlainPen
from harness.agents._material import is_choice
from harness.injection import Fault, known_faults
from harness.inputs.scenario import FaultChoice, Scenario
from harness.model import FaultUse, Step

#: awaits of the target, one by one, after which a crash may come: a request has some dozens. A power of two
_MOST_AWAITS = 64
#: calls of a process after which it may be killed or paused
_MOST_CALLS = 12


@dataclass(frozen=True)
class Site:
    """A fault at one operation ("" where it does not tell operations apart)."""

    choice: FaultChoice
    kind: type[Fault]
    operation: str


#: (fault, its ``at``) → whether there is anything that it could strike
Strikable = Callable[[type[Fault], str], bool]


def sites(scenario: Scenario, strikable: Strikable = lambda kind, at: True) -> tuple[Site, ...]:
    """Every call site × fault of a scenario that there is: first each fault once, then its further operations."""
    ranked: list[tuple[int, Site]] = []
    for choice in scenario.faults:
        kind, at = known_faults()[choice.fault], choice.params.get("at", "")
        if not strikable(kind, at if isinstance(at, str) else ""):
            continue
        # elsewhere than at home a fault knows no names of operations
        known = () if at not in ("", kind.service) else kind.drawn or kind.operations
        operations = tuple(choice.params.get("on") or known) or ("",)
        ranked += [(i, Site(choice, kind, operation)) for i, operation in enumerate(operations)]
    return tuple(site for _, site in sorted(ranked, key=lambda pair: pair[0]))


def both_ways(site: Site) -> tuple[FaultUse, ...]:
    """A fault for good, then once: retries hide the one, only they see the other."""
    once, times = draw_fault(PlainPen(), site, ()), site.kind.settings()["times"]
    if 0 not in times.metadata["choices"] or "times" in site.choice.params:
        return (once,)
    lasting = replace(once, params={**once.params, "times": 0})
    return lasting, once if times.default else replace(once, params={**once.params, "times": 1})


def crash_sweep(known: Sequence[Site]) -> tuple[FaultUse, ...]:
    """The first crash fault at every await, in an order that spreads evenly at any length (van der Corput's)."""
    crash = next((s.choice for s in known if s.kind.layer == "process" and not s.kind.needs_processes), None)
    if crash is None or "skip" in crash.params:
        return ()
    fixed = {k: v for k, v in crash.params.items() if not is_choice(v)}
    bits = _MOST_AWAITS.bit_length() - 1
    awaits = [int(f"{n:0{bits}b}"[::-1], 2) for n in range(_MOST_AWAITS)]
    return tuple(FaultUse(fault=crash.fault, params={**fixed, "skip": n} if n else fixed) for n in awaits)


def draw_faults(pen: Pen, known: Sequence[Site], steps: Sequence[Step], most: int = 3) -> tuple[FaultUse, ...]:
    """One fault mostly, sometimes a few; each fault as often as any other, however many sites it has."""
    by_fault: dict[str, list[Site]] = {}
    for site in known:
        by_fault.setdefault(site.choice.fault, []).append(site)
    kinds = list(by_fault.values())
    count = 1 + (pen.below(most) if pen.chance(3) else 0)
    return tuple(draw_fault(pen, pen.bent(pen.pick(kinds)), steps) for _ in range(count))


def draw_fault(pen: Pen, site: Site, steps: Sequence[Step]) -> FaultUse:
    """One use of a fault; what the scenario fixes is fixed."""
    params: dict[str, Any] = {"on": (site.operation,)} if site.operation else {}
    given = site.choice.params
    for name, setting in site.kind.settings().items():
        if name == "on":
            continue
        options = _given(given, name, setting.default) or _own(site.kind, name, setting, steps)
        value = pen.pick(options) if len(options) > 1 else options[0]
        if value != setting.default or name in given:
            params[name] = value
    return FaultUse(fault=site.choice.fault, params=params)


def _given(given: Mapping[str, Any], name: str, default: object) -> tuple[Any, ...]:
    """What the scenario leaves to choose from; a list is that, unless the parameter itself is one."""
    if name not in given:
        return ()
    value = given[name]
    if is_choice(value):
        return tuple(value["choices"])
    several = isinstance(value, list | tuple) and not isinstance(default, tuple)
    return tuple(value) if several else (value,)


def _own(kind: type[Fault], name: str, setting: Field[Any], steps: Sequence[Step]) -> tuple[Any, ...]:
    choices = tuple(setting.metadata["choices"])
    if kind.needs_processes and name == "skip":
        return tuple(range(_MOST_CALLS))
    if kind.layer == "process" and name == "skip":
        # Twice: most of what is fragile is in the first request's own awaits.
        return (*range(_MOST_AWAITS // 2), *range(_MOST_AWAITS), *(c for c in choices if c >= _MOST_AWAITS))
    if kind.layer == "process" and name == "after_step":
        return ("", *(s.id for s in steps if s.do != "wait"))
    return choices
