"""What simulated and live plays have in common: imposing the contract, playing, healing, settling, reading."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from harness.clock import Clock
from harness.facts import ContractImposed, FaultsHealed, LimitSeen, WorldStarted
from harness.injection import Injector, known_faults
from harness.inputs.binding import observes
from harness.inputs.target import Target
from harness.model import Plan
from harness.recording import Recorder
from harness.worlds import contract
from harness.worlds.player import DEFAULT_DEADLINE_S, Player, Transport
from harness.worlds.reference import ReferenceRecorder

DEFAULT_SETTLE_S = 5.0
#: faults go on for so long after the last step while work is unfinished; then they heal and liveness is owed
LINGER_S = 30.0


@dataclass(frozen=True, kw_only=True)
class Frame:
    """What a world says of itself: the services it plays or watches, and the concurrency it offers."""

    services: tuple[str, ...]
    concurrency: str
    #: it can stop and start processes
    controls: bool = False


@dataclass
class Staging:
    """One play on one target, however it runs."""

    target: Target
    plan: Plan
    terms: contract.Terms
    caps: Mapping[str, float]
    clock: Clock
    recorder: Recorder
    injector: Injector
    transport: Transport
    frame: Frame
    #: waits until what faults stopped runs again
    mended: Callable[[], Awaitable[object]]
    pace: float = 1.0
    contract: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.player = Player(self.target, self.plan, self.recorder, self.clock, self.transport, self.injector)

    # ------------------------------------------------------------ before

    async def impose(self) -> None:
        """Say what this world can see, and put the contract in force."""
        self.recorder.record(self._opening())
        self.contract = {k: contract.capped(k, v, self.caps) for k, v in self.terms.values.items()}
        for term, (value, template) in self.terms.settable.items():
            if await self._set(template, contract.to_target(term, value, self.pace)):
                self.contract[term] = value
        await self._read_published()
        self.recorder.record(ContractImposed(values=dict(sorted(self.contract.items()))))

    async def _set(self, template: Mapping[str, Any], value: Any) -> bool:
        binding = self.target.bindings[str(template["role"])]
        params, imposed = contract.filled(template, value), True
        for tenant in self.target.tenants():
            actor = self.player.reader(binding.role, tenant)
            if actor is None:
                return False
            acting = actor if actor.tenant else replace(actor, tenant=tenant)
            answered = await self.player.call(binding, acting, params, step="contract", part="setup")
            imposed = imposed and answered.happened
        return imposed

    async def _read_published(self) -> None:
        binding = self.target.bindings.get("read_limits")
        if binding is None or not self.terms.readable:
            return
        actor = next(iter(self.target.actors_with(binding.ability)))
        answered = await self.player.call(binding, actor, {}, step="contract", part="setup")
        published = {o.name: o.value for o in answered.seen if isinstance(o, LimitSeen)}
        for term, name in self.terms.readable.items():
            if published.get(name) is not None:
                value = contract.from_target(term, published[name], self.pace)
                self.contract[term] = contract.capped(term, value, self.caps)

    # ------------------------------------------------------------ the play

    async def play(self) -> None:
        """Steps, healing, settling, reading."""
        self.injector.begin()
        await self.player.play_steps()
        if self.plan.faults or self.plan.gates:
            await self.player.linger(LINGER_S)
        self.injector.heal()
        await self.mended()
        self.recorder.record(FaultsHealed())
        await self.player.settle(
            float(self.contract.get("jobs.deadline_s", DEFAULT_DEADLINE_S)),
            float(self.contract.get("timing.settle_s", DEFAULT_SETTLE_S)),
        )
        await self.player.read_everything()
        ReferenceRecorder(self.target, self.recorder).record_all()

    def _opening(self) -> WorldStarted:
        target, controls = self.target, self.frame.controls
        return WorldStarted(
            target=target.name,
            roles=tuple(sorted(target.bindings)),
            observes=observes(target),
            doubles=tuple(sorted(self.frame.services)),
            faults=tuple(sorted(n for n, kind in known_faults().items() if controls or not kind.needs_processes)),
            correlation=target.correlation,
            concurrency=self.frame.concurrency,
            persons={a.person: a.abilities for a in target.actors.values()},
            lifecycle=target.lifecycle,
            audited=target.audited,
            reference=tuple(sorted(target.reference)),
        )
