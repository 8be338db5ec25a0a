"""Stages and lanes: a scenario with its world and its tally, and an agent's share of its plans."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

from harness.agents._brief import Brief, known_agents
from harness.campaign._answers import Answers
from harness.campaign.following import FollowUps
from harness.campaign.playing import Played, Player, World, WorldFactory, choose
from harness.campaign.progress import Listener, PlanPlayed
from harness.campaign.search import Hit, Search
from harness.campaign.shrink_live import Gating
from harness.errors import RunStopped, UsageProblem
from harness.facts import CallMade, FaultFired
from harness.inputs.scenario import AgentUse, Scenario
from harness.inputs.target import Target
from harness.judging import Invariant, merge
from harness.model import History, Plan, Signature, Status, Verdict
from harness.results import ScenarioResult

#: slices in a row without a new plan after which an agent has nothing more to say
_IDLE_SLICES = 3
#: plays in a row without any answer after which a live target is given up
MOST_SILENT = 3


@dataclass
class Tally:
    """What the drawn plans of one scenario came to."""

    plans: int = 0
    requests: int = 0
    verdicts: dict[str, Verdict] = field(default_factory=dict)
    #: uses of each fault in plans, and those of them that struck at least once
    planned: Counter[str] = field(default_factory=Counter)
    fired: Counter[str] = field(default_factory=Counter)
    answers: Answers = field(default_factory=Answers)
    #: plays in a row in which the target was called and gave no answer at all
    silent: int = 0

    def add(self, plan: Plan, played: Played) -> int:
        """Count one play; returns its requests."""
        requests, struck = _counts(played.history)
        self.plans += 1
        self.requests += requests
        self.silent = self.silent + 1 if self.answers.add(played.history) else 0
        self.planned.update(f.fault for f in plan.faults)
        self.fired.update(plan.faults[i].fault for i in struck if i < len(plan.faults))
        for verdict in played.judged.verdicts:
            known = self.verdicts.get(verdict.invariant)
            self.verdicts[verdict.invariant] = merge(known, verdict) if known else verdict
        return requests


def _counts(history: History) -> tuple[int, set[int]]:
    requests, struck = 0, set()
    for event in history:
        if isinstance(event.fact, CallMade):
            requests += 1
        elif isinstance(event.fact, FaultFired) and event.phase == "invoke":
            struck.add(event.fact.index)
    return requests, struck


@dataclass
class Setting:
    """What all stages of a run share.

    invariants: the known ones; None: those of harness.oracles. gated: ways to hold calls, where plays differ by
    themselves; None: those of harness.campaign.racing.
    """

    world_factory: WorldFactory
    seed: int
    variant: str = ""
    invariants: Mapping[str, Invariant] | None = None
    gated: Gating | None = None
    _worlds: dict[tuple[tuple[str, float], ...], World] = field(default_factory=dict, init=False)

    def world(self, target: Target, caps: Mapping[str, float]) -> World:
        """The world for these caps; scenarios share it, because starting a target is dear."""
        key = tuple(sorted(caps.items()))
        if key not in self._worlds:
            self._worlds[key] = self.world_factory(target, self.variant, caps)
        return self._worlds[key]

    @cached_property
    def follow_ups(self) -> FollowUps:
        """What is played after plans that came out clean, for all stages."""
        if self.gated is not None:
            return FollowUps(self.gated)
        from harness.campaign.racing import gated

        return FollowUps(gated)

    def close(self) -> None:
        """Close all worlds."""
        for world in self._worlds.values():
            world.close()
        self._worlds.clear()


class Stage:
    """One scenario of a run: its world is made when it is first needed."""

    def __init__(self, scenario: Scenario, target: Target, setting: Setting) -> None:
        self.scenario, self.target, self._setting = scenario, target, setting
        self.tally = Tally()
        self.broken = False
        self._searches: dict[str, Search] = {}
        missing = [r for r in scenario.needs if r not in target.bindings]
        self.skipped = f"needs {', '.join(missing)}, which {target.name} does not bind" if missing else ""

    @cached_property
    def player(self) -> Player:
        """The world with the scenario's invariants."""
        rules = choose(self.scenario.invariants, self._setting.invariants)
        return Player(self._setting.world(self.target, self.scenario.caps), rules)

    def search(
        self,
        use: AgentUse,
        known: set[Signature],
        expired: Callable[[], bool],
        listen: Listener,
        count: Callable[[], int],
    ) -> Search:
        """The search of one agent, made when it is first needed."""
        if use.agent not in self._searches:
            agents = known_agents()
            if use.agent not in agents:
                raise UsageProblem(f"no agent is called {use.agent!r}; known: {', '.join(sorted(agents))}")
            if unknown := sorted(set(use.options) - set(agents[use.agent].options)):
                raise UsageProblem(f"agent {use.agent} has no option {unknown[0]!r}")
            brief = Brief(
                target=self.target,
                scenario=self.scenario,
                seed=self._setting.seed,
                live=not self.player.deterministic,
                options=use.options,
            )

            def drawn(plan: Plan, played: Played) -> None:
                requests = self.tally.add(plan, played)
                listen(
                    PlanPlayed(
                        number=count(),
                        scenario=self.scenario.name,
                        agent=use.agent,
                        steps=len(plan.steps),
                        faults=len(plan.faults),
                        requests=requests,
                        violated=tuple(played.judged.violations),
                        gates=len(plan.gates),
                    )
                )
                self._heed_silence()

            self._searches[use.agent] = Search(
                agents[use.agent](), brief, self.player, known, drawn, expired, follow_ups=self._follow_ups()
            )
        return self._searches[use.agent]

    @property
    def live(self) -> bool:
        """Whether its world is there, and one whose plays differ by themselves."""
        return "player" in self.__dict__ and not self.player.deterministic

    @property
    def gated(self) -> Gating:
        """Ways to hold calls so that they race."""
        return self._setting.follow_ups.gated

    def _follow_ups(self) -> FollowUps | None:
        """None where plays are reproducible, and schedules make races."""
        return None if self.player.deterministic else self._setting.follow_ups

    def _heed_silence(self) -> None:
        """A target of real time that hangs costs a time-out for every call: enough is enough."""
        if self.tally.silent >= MOST_SILENT and not self.player.deterministic:
            raise RunStopped(f"no answer to any request in {self.tally.silent} plays in a row: it hangs, or is gone")

    def crashes(self) -> tuple[str, ...]:
        """What crashed oracles said."""
        return tuple({**self.player.stumbled, **self.player.crashed}.values()) if "player" in self.__dict__ else ()

    def result(self) -> ScenarioResult:
        """What the scenario came to so far."""
        unmet = () if self.skipped else self._unmet()
        verdicts = tuple(self.tally.verdicts[k] for k in sorted(self.tally.verdicts))
        return ScenarioResult(
            name=self.scenario.name,
            plans=self.tally.plans,
            skipped=self.skipped,
            verdicts=verdicts,
            unmet=unmet,
        )

    def _unmet(self) -> tuple[str, ...]:
        tested = {Status.HELD, Status.VIOLATED}
        verdicts = self.tally.verdicts
        idle = [
            f"{i} {verdicts[i].status if i in verdicts else Status.NOT_EXERCISED}"
            + (f": {verdicts[i].reason}" if i in verdicts and verdicts[i].reason else "")
            for i in self.scenario.must_exercise
            if i not in verdicts or verdicts[i].status not in tested
        ]
        return (*idle, *(f"fault {f} never struck" for f in self.scenario.must_fire if not self.tally.fired[f]))


@dataclass
class Lane:
    """One agent's share of a scenario's plans; left None: as many as time allows."""

    stage: Stage
    use: AgentUse
    left: int | None
    idle: int = 0

    @property
    def open(self) -> bool:
        """Whether it has plans to play."""
        return (self.left is None or self.left > 0) and self.idle < _IDLE_SLICES and not self.stage.broken

    def stop(self) -> None:
        """No more plans."""
        self.left = 0

    def play(self, search: Search, plans: int) -> Hit | None:
        """One slice."""
        before = self.stage.tally.plans
        # where plays differ, half of a lane's plans are kept for those that follow others with calls held
        drawn = plans if self.left is None else min(plans, -(-self.left // 2) if self.stage.live else self.left)
        hit = search.slice(drawn, drawn if self.left is None else self.left - drawn)
        played = self.stage.tally.plans - before
        self.idle = 0 if played or hit else self.idle + 1
        if self.left is not None:
            self.left -= played
        return hit


def plan_lanes(stages: Sequence[Stage], plans: int | None, seconds: float | None) -> list[Lane]:
    """The lanes of a run, the agents of each scenario by weight, scenarios by the plans they ask for."""
    asked = {id(s): s.scenario.plans for s in stages}
    shares = list(asked.values()) if plans is None else apportion(plans, list(asked.values()))
    by_stage: list[list[Lane]] = []
    for stage, share in zip(stages, shares, strict=True):
        uses = stage.scenario.agents
        timed = plans is None and seconds is not None
        parts: list[int | None] = [None] * len(uses) if timed else [*apportion(share, [u.weight for u in uses])]
        by_stage.append([Lane(stage, u, n) for u, n in zip(uses, parts, strict=True)])
    most = max((len(lanes) for lanes in by_stage), default=0)
    # First every scenario's first agent, then every second one: a short run sees each scenario.
    return [lanes[i] for i in range(most) for lanes in by_stage if i < len(lanes)]


def apportion(total: int, weights: Sequence[int]) -> list[int]:
    """Whole shares of a total by weight, by largest remainder (Hamilton's method); the first one wins a tie."""
    whole = sum(weights)
    if not whole:
        return [0 for _ in weights]
    shares = [total * w // whole for w in weights]
    by_rest = sorted(range(len(weights)), key=lambda i: (-(total * weights[i] % whole), i))
    for i in by_rest[: total - sum(shares)]:
        shares[i] += 1
    return shares
