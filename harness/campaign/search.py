"""Searching one scenario with one agent, a slice at a time: Hypothesis draws plans and makes the first cuts.

A slice is one Hypothesis run with a seed of its own, so a search can be interleaved with others, stopped and counted
in plans. Known signatures are set aside, so one defect doesn't mask another.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from harness.agents._brief import Agent, Brief
from harness.campaign._edits import size
from harness.campaign.following import FollowUps
from harness.campaign.playing import Judged, Played, Player
from harness.errors import ContractBroken, QHarnessError
from harness.model import Plan, Signature
from harness.seed import derive, stream

if TYPE_CHECKING:
    from hypothesis.strategies import SearchStrategy

#: draws that Hypothesis may spend on each new plan before a slice ends early: small searches repeat themselves
_DRAWS_A_PLAN = 4


@dataclass(frozen=True)
class Hit:
    """A plan with a new signature; smallest: what Hypothesis made of it."""

    signature: Signature
    plan: Plan
    smallest: Plan
    plays: int
    #: further new signatures of the plan as drawn
    also: tuple[Signature, ...] = ()
    #: Ctrl-C came while Hypothesis made its cuts: nothing more may be played
    interrupted: bool = False


class _Violated(Exception):
    """The one exception that Hypothesis sees, so that all failing plans are one failure to it."""


class _Enough(BaseException):
    """The slice is over; not an Exception, so that Hypothesis lets it pass."""


@dataclass
class Search:
    """One agent on one scenario. ``known``: signatures to set aside, shared by all searches of a run."""

    agent: Agent
    brief: Brief
    player: Player
    known: set[Signature]
    #: told of every plan that was drawn and really played
    drawn: Callable[[Plan, Played], None]
    #: whether to stop drawing, for budgets in seconds
    expired: Callable[[], bool] = lambda: False
    #: plays that Hypothesis may spend on shrinking before plan-level shrinking takes over
    hypothesis_plays: int = 20
    #: where plays differ by themselves: what is played after a plan that came out clean, so that races hit
    follow_ups: FollowUps | None = None
    slices: int = 0
    dealt: int = 0
    _deck: tuple[Plan, ...] | None = None

    def slice(self, plans: int, held: int = 0) -> Hit | None:
        """Play up to so many new plans; stops at a hit. Up to half from the agent's deck while it lasts.

        held: further plans, of those with calls held, that may follow them.
        """
        self.slices += 1
        allowance = _Allowance(plans, held)
        return self._deal(allowance, -(-plans // 2)) or self._draw(allowance)

    def _deal(self, allowance: _Allowance, most: int) -> Hit | None:
        if self._deck is None:
            self._deck = self._shuffled()
        while self.dealt < len(self._deck) and most and not self.expired():
            plan = self._deck[self.dealt]
            self.dealt += 1
            if plan.steps and self.player.recall(plan) is None:
                most -= 1
                if hit := self.attempt(plan, allowance):
                    return hit
        return None

    def _shuffled(self) -> tuple[Plan, ...]:
        """Dealt in one order under every seed, finding a defect on five seeds would be one observation, not five."""
        cards = list(self.agent.deck(self.brief))
        stream(self.brief.seed, self.brief.scenario.name, self.agent.name, "deck").shuffle(cards)
        return tuple(cards)

    def _draw(self, allowance: _Allowance) -> Hit | None:
        if allowance.left <= 0:
            return None
        hunt = _Hunt(self, allowance)
        seed = derive(self.brief.seed, self.brief.scenario.name, self.agent.name, self.slices)
        try:
            run_hypothesis(self.agent.plans(self.brief), seed, allowance.left * _DRAWS_A_PLAN, hunt.test)
        except KeyboardInterrupt:
            hit = hunt.hit()
            if hit is None:
                raise
            return replace(hit, interrupted=True)
        if hunt.error is not None:
            raise hunt.error
        return hunt.hit()

    def news(self, judged: Judged) -> tuple[Signature, ...]:
        """Signatures of a play that are not known yet, in the order of the invariants."""
        return tuple(s for s in judged.violations if s not in self.known)

    def attempt(self, plan: Plan, allowance: _Allowance) -> Hit | None:
        """Play one plan, and ways to hold its calls if it comes out clean where plays differ by themselves."""
        allowance.used += 1
        played = self._play(plan)
        if new := self.news(played.judged):
            return Hit(new[0], plan, plan, 0, new[1:])
        for follow in self.follow_ups.after(plan, played.history) if self.follow_ups else ():
            if self.expired() or allowance.held <= 0:
                break
            allowance.held -= 1
            if new := self.news(self._play(follow).judged):
                return Hit(new[0], follow, follow, 0, new[1:])
        return None

    def _play(self, plan: Plan) -> Played:
        played = self.player.play(plan)
        self.drawn(plan, played)
        return played


@dataclass
class _Allowance:
    """Plans that a slice may play."""

    most: int
    #: those with calls held
    held: int = 0
    used: int = 0

    @property
    def left(self) -> int:
        return self.most - self.used


@dataclass
class _Hunt:
    """What Hypothesis calls: generation until a new signature shows, then only that one counts."""

    search: Search
    allowance: _Allowance
    signature: Signature | None = None
    first: Plan | None = None
    smallest: Plan | None = None
    also: tuple[Signature, ...] = ()
    plays: int = 0
    #: what ended generation where plays differ by themselves; Hypothesis would play the same again to explain it
    error: QHarnessError | None = None
    _sizes: dict[str, Any] = field(default_factory=dict)

    def test(self, plan: Plan) -> None:
        """One example of Hypothesis."""
        if not plan.steps:
            return
        try:
            found = self._generating(plan) if self.signature is None else self._shrinking(plan)
        except QHarnessError as error:
            if self.search.follow_ups is None:
                raise
            self.error = error
            raise _Enough from None
        if found:
            raise _Violated

    def _generating(self, plan: Plan) -> bool:
        search = self.search
        if search.expired() or self.allowance.left <= 0:
            raise _Enough
        judged = search.player.recall(plan)
        if judged is None:
            hit = search.attempt(plan, self.allowance)
        else:
            new = search.news(judged)
            hit = Hit(new[0], plan, plan, 0, new[1:]) if new else None
        if hit is None:
            return False
        self.signature, self.also, self.first, self.smallest = hit.signature, hit.also, hit.plan, hit.plan
        if search.follow_ups is not None:
            # Hypothesis's cuts need plays that do not miss, and a held plan is none that it drew
            raise _Enough
        return True

    def _shrinking(self, plan: Plan) -> bool:
        search = self.search
        if search.player.recall(plan) is None:
            if self.plays >= search.hypothesis_plays or search.expired():
                raise _Enough
            self.plays += 1
        found = self.signature is not None and search.player.shows(plan, self.signature)
        if found and self.smallest is not None and size(plan) < size(self.smallest):
            self.smallest = plan
        return found

    def hit(self) -> Hit | None:
        """What was found, if anything was."""
        if self.signature is None or self.first is None or self.smallest is None:
            return None
        return Hit(self.signature, self.first, self.smallest, self.plays, self.also)


def run_hypothesis(plans: SearchStrategy[Plan], seed: int, examples: int, test: Callable[[Plan], None]) -> None:
    """Draw until ``test`` ends it, examples run out, or a failure is shrunk; a function of the seed."""
    import hypothesis

    settings = hypothesis.settings(
        max_examples=examples,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(hypothesis.Phase.generate, hypothesis.Phase.shrink),
        report_multiple_bugs=False,
        print_blob=False,
        verbosity=hypothesis.Verbosity.quiet,
        suppress_health_check=list(hypothesis.HealthCheck),
        backend="hypothesis",
    )

    def body(plan: Plan) -> None:
        test(plan)

    with no_local_constants(), suppress(_Violated, _Enough):
        hypothesis.seed(seed)(settings(hypothesis.given(plans)(body)))()


@contextmanager
def no_local_constants() -> Iterator[None]:
    """Draws without the literals that Hypothesis mines from locally imported modules.

    Otherwise the target's own thresholds leak into what is drawn, and draws change with its source. Private to
    Hypothesis (providers._get_local_constants, since 6.131), so its absence is an error, never ignored.
    """
    from hypothesis.internal.conjecture import providers

    if not hasattr(providers, "_get_local_constants"):
        raise ContractBroken("this Hypothesis mines local constants in a way that is not known here")
    mine, cache = providers._get_local_constants, providers.CONSTANTS_CACHE
    empty = type(providers.GLOBAL_CONSTANTS)()
    cache.cache.clear()
    providers._get_local_constants = lambda: empty
    try:
        yield
    finally:
        providers._get_local_constants = mine
        cache.cache.clear()
