"""From a hit to a finding where plays differ by themselves: shrunk with few plays, then repeated with fresh noise.

A contradiction inside one history is proof, however often it shows. What rests on a deadline or on a sample must show
in more than one play, or it is a problem that is told: a slow machine misses deadlines too.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from harness.campaign._deadline import Deadline
from harness.campaign.findings import Lead, Prober, first_choices
from harness.campaign.playing import Played, encode
from harness.campaign.progress import ShrinkProgress
from harness.campaign.repeating import Repeated, repeat
from harness.campaign.shrink_live import Gating, Witness, shrink_live, ungated
from harness.errors import ContractBroken, RunStopped, TargetError
from harness.model import Finding, History, Plan, Signature

#: plays without faults that say whether a finding needs them
_CONTROLS = 2


@dataclass(frozen=True)
class _Shown:
    """A plan with a play of it that shows the finding."""

    plan: Plan
    played: Played


@dataclass
class LiveProber(Prober):
    """Makes findings of one scenario's hits in a world whose plays differ."""

    gated: Gating = ungated
    _shown: list[_Shown] = field(default_factory=list)

    def _verified(self, lead: Lead) -> tuple[Finding | None, str]:
        signature = lead.signature
        first = _Shown(*self.player.witnesses[signature])
        self._shown = [first]
        plays = self._shrunk(signature, first)
        best, repeated = self._repeated(signature)
        violation = best.played.judged.violations[signature]
        if violation.basis != "contradiction" and not repeated.repeats.shown:
            again = f"showed once, not again in {repeated.repeats.plays} plays"
            why = f"{signature} {again}; it rests on {_BASES[violation.basis]}"
            return None, f"{self.scenario.name}: {why}"
        control, survives = self._control(signature, best.plan)
        finding = self._of(lead, best.plan, best.played, plays)
        told = replace(finding, repeats=repeated.repeats, control=control, survives_without_faults=survives)
        return told, ""

    def _shrunk(self, signature: Signature, first: _Shown) -> int:
        """Collects ever smaller plans that show; the plays it took."""
        patience = Deadline(self.effort.live_seconds)
        witness = Witness(
            plan=first.plan, history=first.played.history, violation=first.played.judged.violations[signature]
        )
        shrunk = shrink_live(
            witness,
            lambda candidate: self._shows(candidate, signature),
            gated=self.gated,
            most_plays=self.effort.live_plays,
            first_contract=first_choices(self.scenario.contract),
            seen=lambda plan, plays: self._seen(signature, plan, plays),
            expired=lambda: patience.passed() or self.expired(),
        )
        kept = [s for s in self._shown if encode(s.plan) == encode(shrunk.plan)]
        self._shown = [first, *(kept[-1:] if shrunk.plan != first.plan else [])]
        return shrunk.plays

    def _seen(self, signature: Signature, plan: Plan, plays: int) -> None:
        self.listen(ShrinkProgress(signature=signature, plays=plays, steps=len(plan.steps), faults=len(plan.faults)))

    def _shows(self, candidate: Plan, signature: Signature) -> bool:
        shown = self.player.shows(candidate, signature, anew=True)
        if shown and self.player.last is not None:
            self._shown.append(_Shown(replace(candidate, agent=self._shown[0].plan.agent), self.player.last))
        return shown

    def _repeated(self, signature: Signature) -> tuple[_Shown, Repeated]:
        """The smallest plan repeated; the first one if the smallest never shows again."""
        for shown in reversed(self._shown):
            repeated = repeat(
                self.player,
                shown.plan,
                signature,
                shown.played.history,
                plays=self.effort.repeats,
                over=self.expired,
            )
            if repeated.repeats.shown or shown is self._shown[0]:
                break
        return shown, repeated

    def _control(self, signature: Signature, plan: Plan) -> tuple[History | None, bool | None]:
        if not plan.faults:
            return None, None
        control = None
        for _ in range(_CONTROLS):
            try:
                control = self.player.play(plan.without_faults())
            except RunStopped:
                raise
            except (TargetError, ContractBroken):
                # the finding stands; whether it needs its faults is not known
                return None, None
            if signature in control.judged.violations:
                return control.history, True
            if self.expired():
                break
        return (control.history if control else None), False


_BASES = {"deadline": "a deadline, which a slow machine misses too", "statistics": "a sample"}
