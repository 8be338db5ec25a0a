"""Deviations from a legal script: what a hasty, confused or malicious user does differently, one thing at a time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from harness.agents._draft import Draft, wait
from harness.agents._flows import Scene
from harness.agents._material import MANY_KEYS, SHORT_WAITS_MS, others
from harness.inputs.roles import ROLES
from harness.inputs.target import Actor

Drafts = list[Draft]
_WORK = ("shots", "circuits", "repeats")


def deviate(scene: Scene, drafts: Drafts) -> Drafts:
    """The same script with one deviation."""
    kind = scene.pen.pick(_KINDS)
    return kind(scene, list(drafts))


def insert(scene: Scene, drafts: Drafts) -> Drafts:
    """One more step, about something that the script made or reading the tenant's state."""
    at = 1 + scene.pen.below(len(drafts))
    follower = follow(scene, drafts[:at])
    return [*drafts[:at], follower, *drafts[at:]] if follower else drafts


def follow(scene: Scene, before: Drafts) -> Draft | None:
    """A step that could follow others; None if nothing can."""
    made = [d for d in before if d.do in ROLES and ROLES[d.do].makes in ("job", "change")]
    if not made:
        return None
    maker = scene.pen.pick(made)
    kind = ROLES[maker.do].makes
    roles = [r for r in _FOLLOWERS[kind] if scene.can(r)]
    return about(scene, scene.pen.pick(roles), maker, before) if roles else None


def about(scene: Scene, role: str, maker: Draft, before: Drafts) -> Draft:
    """A call of a role about an object, by anybody who may, with values drawn."""
    pen, m = scene.pen, scene.material
    draft = scene.on(role, maker, pen.pick(m.able(role, scene.tenant)))
    if role == "decide":
        stage = pen.pick(m.stages)
        draft.actor = pen.pick(m.eligible(stage, scene.tenant) or m.able(role, scene.tenant)).name
        draft.params.update(m.fit(role, {"verdict": pen.pick(("approve", "reject")), "stage": stage.name or None}))
    elif role == "revise_change":
        draft.params.update(m.fit(role, {**pen.pick(_other_work(scene, maker)), "payload": pen.pick(m.payloads)}))
    elif role == "clone_job":
        draft.params.update(m.fit(role, pen.pick([*m.heavy, *m.light])))
    elif role == "execute_change":
        draft.params.update(m.fit(role, {"subject": pen.pick(m.subjects)}))
    elif role == "withdraw_decision":
        decisions = [d for d in before if d.do == "decide" and d.refs.get("change", (None,))[0] is maker]
        if not decisions:
            return scene.on("get_change", maker) if scene.can("get_change") else wait(SHORT_WAITS_MS[0])
        taken_back = pen.pick(decisions)
        draft.actor, draft.refs["decision"] = taken_back.actor, (taken_back, "decision")
    return draft


def _other_work(scene: Scene, maker: Draft) -> list[dict[str, Any]]:
    mine = {k: maker.params.get(k) for k in ("shots",)}
    different = [w for w in reversed(scene.material.heavy) if w != mine]
    return [*different, *scene.material.light]


_FOLLOWERS = {
    "job": ("cancel_job", "get_job", "clone_job", "get_result", "delete_job", "list_attempts"),
    "change": ("revise_change", "decide", "execute_change", "withdraw_decision", "get_change"),
}


def repeat(scene: Scene, drafts: Drafts) -> Drafts:
    """A step again: by the same person, by another one, or with another credential; after it, with it, or last."""
    at = scene.pen.below(len(drafts))
    twin = drafts[at].copy()
    if twin.do != "wait":
        _as_somebody(scene, twin, [_same, _other_person, _other_credential])
    where = scene.pen.pick((at + 1, len(drafts)))
    twin.together = where == at + 1 and scene.pen.chance(2)
    return [*drafts[:where], twin, *drafts[where:]]


def change_actor(scene: Scene, drafts: Drafts) -> Drafts:
    """A step by somebody else: a person who did another step, anybody, or another credential."""
    step = _one_call(scene, drafts)
    if step is not None:
        twin = step.copy()
        _as_somebody(scene, twin, [_actor_of_another_step(drafts), _other_person, _other_credential])
        return _replaced(drafts, step, twin)
    return drafts


Disguise = Callable[[Scene, Draft], None]


def _as_somebody(scene: Scene, twin: Draft, ways: list[Disguise]) -> None:
    scene.pen.pick(ways)(scene, twin)


def _same(scene: Scene, twin: Draft) -> None:
    """The same person, in the same way."""


def _other_person(scene: Scene, twin: Draft) -> None:
    rest: list[Actor] = others(scene.material.everyone, twin.actor)
    if rest:
        twin.actor, twin.credential = scene.pen.pick(rest).name, 0


def _other_credential(scene: Scene, twin: Draft) -> None:
    count = len(scene.material.target.actors[twin.actor].credentials)
    if count > 1:
        twin.credential = (twin.credential + 1) % count


def _actor_of_another_step(drafts: Drafts) -> Disguise:
    def disguise(scene: Scene, twin: Draft) -> None:
        names = [d.actor for d in drafts if d.actor and d.actor != twin.actor]
        if names:
            twin.actor = scene.pen.pick(list(dict.fromkeys(names)))
        # The same person with another credential is still the same person.
        twin.credential = scene.pen.below(len(scene.material.target.actors[twin.actor].credentials))

    return disguise


def omit(scene: Scene, drafts: Drafts) -> Drafts:
    """A step left out, and what was about the object that it would have made."""
    gone = drafts[len(drafts) - 1 - scene.pen.below(len(drafts))]
    return [d for d in drafts if d is not gone and all(maker is not gone for maker, _ in d.refs.values())]


def change_value(scene: Scene, drafts: Drafts) -> Drafts:
    """One value of one step different: work at the contract's edges, key, subject, verdict, payload."""
    step = _one_call(scene, drafts)
    if step is None:
        return drafts
    twin = step.copy()
    options = [o for o in _VALUES if o(scene, twin) is not None]
    if options:
        values = scene.pen.pick(options)(scene, twin) or []
        chosen = scene.pen.pick(values)
        if "shots" in chosen:
            twin.params = {k: v for k, v in twin.params.items() if k not in _WORK}
        twin.params.update(scene.material.fit(twin.do, chosen))
    return _replaced(drafts, step, twin)


Values = list[dict[str, Any]]


def _works(scene: Scene, step: Draft) -> Values | None:
    m = scene.material
    return [*m.sneaky, *m.light, *m.heavy] if "shots" in step.params else None


def _keys(scene: Scene, step: Draft) -> Values | None:
    return [{"key": k} for k in MANY_KEYS] if scene.material.takes(step.do, "key") else None


def _subjects(scene: Scene, step: Draft) -> Values | None:
    rest = [s for s in scene.material.subjects if s != step.params.get("subject")]
    return [{"subject": s} for s in rest] if rest and scene.material.takes(step.do, "subject") else None


def _verdicts(scene: Scene, step: Draft) -> Values | None:
    return [{"verdict": "reject"}] if step.do == "decide" else None


def _payloads(scene: Scene, step: Draft) -> Values | None:
    rest = scene.material.payloads[1:]
    return [{"payload": p} for p in rest] if rest and "payload" in step.params else None


_VALUES = (_works, _subjects, _verdicts, _keys, _payloads)


def at_once(scene: Scene, drafts: Drafts) -> Drafts:
    """A step does not wait for the answer to the one before it; perhaps it comes a little later."""
    if len(drafts) < 2:
        return drafts
    step = drafts[1 + scene.pen.below(len(drafts) - 1)]
    delay = scene.pen.pick((0, *SHORT_WAITS_MS))
    return _replaced(drafts, step, step.copy(together=True, after_ms=delay))


def move(scene: Scene, drafts: Drafts) -> Drafts:
    """A step earlier or later than it should be, but after the makers of what it is about."""
    step = drafts[scene.pen.below(len(drafts))]
    rest = [d for d in drafts if d is not step]
    first = 1 + max((rest.index(m) for m, _ in step.refs.values()), default=-1)
    users = [i for i, d in enumerate(rest) if any(m is step for m, _ in d.refs.values())]
    last = min(users, default=len(rest))
    at = first + scene.pen.below(last - first + 1)
    return [*rest[:at], step, *rest[at:]]


def pause(scene: Scene, drafts: Drafts) -> Drafts:
    """Time passes somewhere."""
    at = len(drafts) - scene.pen.below(len(drafts))
    return [*drafts[:at], wait(scene.pen.pick(scene.material.waits_ms)), *drafts[at:]]


_KINDS = (insert, repeat, omit, change_value, change_actor, at_once, move, pause)


def _one_call(scene: Scene, drafts: Drafts) -> Draft | None:
    calls = [d for d in drafts if d.do != "wait"]
    return scene.pen.pick(list(reversed(calls))) if calls else None


def _replaced(drafts: Drafts, old: Draft, new: Draft) -> Drafts:
    """The drafts with one replaced, also where others are about what it makes."""
    copies: dict[int, Draft] = {id(old): new}
    for draft in drafts:
        if draft is not old and any(id(maker) in copies for maker, _ in draft.refs.values()):
            copies[id(draft)] = draft.copy()
    out = [copies.get(id(d), d) for d in drafts]
    for draft in copies.values():
        draft.refs = {k: (copies.get(id(m), m), kind) for k, (m, kind) in draft.refs.items()}
    return out
