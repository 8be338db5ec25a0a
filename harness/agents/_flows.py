"""Legal scripts: what a well-behaved user of the pipeline does, built from the contract's happy path."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from harness.agents._draft import Draft, wait
from harness.agents._draw import Pen
from harness.agents._material import Material, Stage
from harness.inputs.roles import ROLES
from harness.inputs.target import Actor


@dataclass(frozen=True)
class Scene:
    """Who plays and with what: one tenant of one material, one pen."""

    pen: Pen
    material: Material
    tenant: str

    def call(self, role: str, actor: Actor | None = None, **params: Any) -> Draft:
        """A call by an actor (default: the first who may), with the parameters that its binding takes."""
        who = actor or self.material.able(role, self.tenant)[0]
        return Draft(role, who.name, self.material.fit(role, params))

    def on(self, role: str, made: Draft, actor: Actor | None = None, **params: Any) -> Draft:
        """A call about what another step makes."""
        kind = ROLES[made.do].makes
        draft = self.call(role, actor, **params)
        draft.refs[kind] = (made, kind)
        return draft

    def can(self, *roles: str) -> bool:
        """Whether all these roles may be called, each by somebody."""
        m = self.material
        return m.can(*roles) and all(m.able(r, self.tenant) for r in roles)

    # ------------------------------------------------------------ jobs

    def submit(self, work: dict[str, Any] | None = None, key: str | None = None) -> Draft:
        """A job; an everyday one unless said otherwise."""
        m = self.material
        asked = work or self.pen.bent(m.light)
        return self.call("submit_job", payload=self.payload(), key=key, **asked)

    def payload(self) -> Any:
        """Mostly the first payload."""
        return self.pen.bent(self.material.payloads)

    # ------------------------------------------------------------ changes

    def create(self, author: Actor, work: dict[str, Any] | None = None) -> Draft:
        """A change that asks for a heavy run."""
        m = self.material
        asked = work or self.pen.bent(m.heavy)
        return self.call("create_change", author, payload=self.payload(), subject=m.subjects[0], **asked)

    def decide(self, change: Draft, actor: Actor, stage: Stage, verdict: str = "approve") -> Draft:
        """A decision on a change."""
        return self.on("decide", change, actor, verdict=verdict, stage=stage.name or None)

    def execute(self, change: Draft, actor: Actor) -> Draft:
        """The approved change is run; by its author if that one may, else by the first who may."""
        able = self.material.able("execute_change", self.tenant)
        who = actor if actor in able else able[0]
        return self.on("execute_change", change, who, subject=self.material.subjects[0])

    def approvals(self, change: Draft, author: Actor) -> list[Draft]:
        """Just enough decisions, by different persons, stage after stage."""
        drafts: list[Draft] = []
        for stage in self.material.stages:
            persons = self.material.eligible(stage, self.tenant, [author.person])
            drafts += [self.decide(change, a, stage) for a in persons[: stage.quorum]]
        return drafts


# ------------------------------------------------------------------ flows


def run_job(scene: Scene) -> list[Draft]:
    """Ask for a job."""
    return [scene.submit()]


def heavy_run(scene: Scene) -> list[Draft]:
    """Ask for a heavy run, have it approved, run it."""
    author = scene.pen.bent(scene.material.authors(scene.tenant))
    change = scene.create(author)
    return [change, *scene.approvals(change, author), scene.execute(change, author)]


def cancel(scene: Scene) -> list[Draft]:
    """Ask for a job, then stop it at some time."""
    job, m = scene.submit(), scene.material
    stop = scene.on("cancel_job", job)
    # A second: long enough to be on its way, short enough not to be over.
    first, *rest = m.waits_ms
    ms = scene.pen.pick((first, 0, *rest))
    return [job, wait(ms), stop] if ms else [job, stop]


def retry(scene: Scene) -> list[Draft]:
    """Ask for a job and, as if no answer had come, ask again with the same key, late enough to be owed an answer."""
    job = scene.submit(key="k1")
    return [job, *patience(scene), job.copy()]


def patience(scene: Scene) -> list[Draft]:
    """A pause after which a retry is owed a final answer, where that is known; perhaps another one, or none."""
    m = scene.material
    owed_s = m.number("timing.retry_s")
    owed = (1000 * owed_s + 1000,) if owed_s else ()
    ms = scene.pen.pick((*owed, *owed, 0, *m.waits_ms[:4]))
    return [wait(ms)] if ms else []


def clone(scene: Scene) -> list[Draft]:
    """Ask for a job, then for another like it, with other shots."""
    job = scene.submit()
    shots = scene.pen.pick([*scene.material.light, *scene.material.heavy])["shots"]
    return [job, scene.on("clone_job", job, shots=shots)]


def fill_quota(scene: Scene) -> list[Draft]:
    """Two jobs that do not both fit the budget, one after the other."""
    near = scene.material.near_limit
    shots = [scene.pen.pick(near), scene.pen.pick(near)] if near else [None, None]
    return [scene.submit({"shots": s} if s else None) for s in shots]


def lower_limit(scene: Scene) -> list[Draft]:
    """Use some of a budget, lower its limit, ask for more than is left."""
    m, pen = scene.material, scene.pen
    dimension, limit = pen.pick(m.dimensions)
    new = pen.pick((limit // 2, 1, limit // 4, 2 * limit))
    work = {"shots": m.near_limit[0]} if m.near_limit else None
    setter = scene.call("set_quota", dimension=dimension, limit=new)
    pauses = [wait(ms) for ms in m.waits_ms[:1] if not pen.chance(4)]
    first = [scene.submit(work)] if pen.chance(2) else []
    return [*first, setter, *pauses, scene.submit(work)]


def forbid_fallback(scene: Scene) -> list[Draft]:
    """Forbid classical fallback, then ask for a job."""
    return [scene.call("set_fallback", fallback="forbidden"), scene.submit()]


def delete(scene: Scene) -> list[Draft]:
    """Ask for a job, remove it while it may run, ask for another."""
    job = scene.submit()
    first, *rest = scene.material.waits_ms
    ms = scene.pen.pick((first, 0, *rest))
    gone = scene.on("delete_job", job)
    return [job, *([wait(ms)] if ms else []), gone, scene.submit()]


@dataclass(frozen=True)
class Flow:
    """A script, the roles it can't do without, and what else must be there."""

    name: str
    needs: tuple[str, ...]
    write: Callable[[Scene], list[Draft]]
    also: Callable[[Scene], bool] = lambda scene: True

    def fits(self, scene: Scene) -> bool:
        """Whether the target and the scenario allow it."""
        return scene.can(*self.needs) and self.also(scene)


def has_keys(scene: Scene) -> bool:
    """Whether jobs can be asked for with an idempotency key."""
    return scene.material.takes("submit_job", "key")


CHANGE = ("create_change", "decide", "execute_change")
FLOWS = (
    Flow("run_job", ("submit_job",), run_job),
    Flow("heavy_run", CHANGE, heavy_run),
    Flow("cancel", ("submit_job", "cancel_job"), cancel),
    Flow("retry", ("submit_job",), retry, has_keys),
    Flow("clone", ("submit_job", "clone_job"), clone),
    Flow("fill_quota", ("submit_job",), fill_quota),
    Flow("lower_limit", ("submit_job", "set_quota"), lower_limit, lambda s: bool(s.material.dimensions)),
    Flow("forbid_fallback", ("submit_job", "set_fallback"), forbid_fallback),
    Flow("delete", ("submit_job", "delete_job"), delete),
)


def fitting(scene: Scene, known: Sequence[Flow]) -> tuple[Flow, ...]:
    """Those that fit; only those that the agent's options name, if they name any."""
    wanted = scene.material.brief.options.get("flows")
    return tuple(f for f in known if (not wanted or f.name in wanted) and f.fits(scene))


def weighted(scene: Scene, known: Sequence[Flow]) -> tuple[Flow, ...]:
    """The same flows, in order, then once more those that do all that the scenario says it is about (its needs)."""
    core = {r for r in scene.material.brief.scenario.needs if r in ROLES and not ROLES[r].reads}
    return (*known, *(f for _ in range(2) for f in known if core and core <= set(f.needs)))
