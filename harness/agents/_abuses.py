"""Abuses: scripts of people who try to get round approvals, limits and keys, each in the simplest known way."""

from __future__ import annotations

from harness.agents._draft import Draft, wait
from harness.agents._flows import CHANGE, Flow, Scene, has_keys
from harness.agents._material import LONGEST_WAIT_S, MANY_KEYS, Stage, others
from harness.inputs.target import Actor


def unapproved(scene: Scene) -> list[Draft]:
    """Ask for a heavy run as if it were a light one."""
    return [scene.submit(scene.pen.pick(scene.material.heavy))]


def heavy_product(scene: Scene) -> list[Draft]:
    """Ask for a run whose every number is small, but not their product."""
    return [scene.submit(scene.pen.pick(scene.material.sneaky))]


def growing_clone(scene: Scene) -> list[Draft]:
    """Have a light job accepted, then ask for a heavy one like it."""
    job = scene.submit(scene.material.light[0])
    return [job, scene.on("clone_job", job, shots=scene.pen.pick(scene.material.heavy)["shots"])]


def rejected(scene: Scene) -> list[Draft]:
    """Somebody rejects before the others have approved; then it is run."""
    pen = scene.pen
    author, seats = _author_with_critics(scene)
    change = scene.create(author)
    approvals = scene.approvals(change, author)
    if not seats:
        return [change, *approvals, scene.execute(change, author)]
    critic, stage = pen.pick(seats)
    at = 1 + pen.below(len(approvals)) if approvals else 0
    no = scene.decide(change, critic, stage, "reject")
    return [change, *approvals[: at - 1], no, *approvals[at - 1 :], scene.execute(change, author)]


def _author_with_critics(scene: Scene) -> tuple[Actor, list[tuple[Actor, Stage]]]:
    """An author for whose changes somebody may decide whose approval is not needed; if there is none, anybody may."""
    m = scene.material
    authors = m.authors(scene.tenant)
    for author in authors:
        if free := [s for s in _seats(scene, author) if s[0].name not in _needed(scene, author)]:
            return author, free
    return authors[0], _seats(scene, authors[0])


def _seats(scene: Scene, author: Actor) -> list[tuple[Actor, Stage]]:
    m = scene.material
    return [(person, stage) for stage in m.stages for person in m.eligible(stage, scene.tenant, [author.person])]


def _needed(scene: Scene, author: Actor) -> set[str]:
    m = scene.material
    return {a.name for s in m.stages for a in m.eligible(s, scene.tenant, [author.person])[: s.quorum]}


def self_approval(scene: Scene) -> list[Draft]:
    """The author takes a seat among the approvers."""
    change, approvals, run = _change(scene)
    seat = _seat(scene, approvals)
    if seat is not None:
        seat.actor = change.actor
    return [change, *approvals, run]


def one_for_two(scene: Scene) -> list[Draft]:
    """One person approves twice, in the place of two; perhaps with a second credential."""
    change, approvals, run = _change(scene)
    shared = [d for d in approvals if [x.params.get("stage") for x in approvals].count(d.params.get("stage")) > 1]
    if len(shared) > 1:
        first, second = shared[0], shared[1]
        second.actor = first.actor
        second.credential = len(scene.material.target.actors[first.actor].credentials) - 1
        if scene.pen.chance(2):
            second.credential = 0
    return [change, *approvals, run]


def empty_seat(scene: Scene) -> list[Draft]:
    """One approval is missing: the last one first."""
    change, approvals, run = _change(scene)
    gone = len(approvals) - 1 - scene.pen.below(len(approvals)) if approvals else 0
    return [change, *(d for i, d in enumerate(approvals) if i != gone), run]


def stages_reversed(scene: Scene) -> list[Draft]:
    """The last stage decides first."""
    change, approvals, run = _change(scene)
    return [change, *reversed(approvals), run]


def revised(scene: Scene) -> list[Draft]:
    """The change is replaced by another one after its approvals, then run; perhaps back and forth."""
    pen, m = scene.pen, scene.material
    change, approvals, run = _change(scene)
    other = [w for w in reversed(m.heavy) if w != {"shots": change.params.get("shots")}]
    revise = scene.on("revise_change", change, m.target.actors[change.actor], **pen.pick(other or list(m.heavy)))
    at = len(approvals) - pen.below(len(approvals) + 1)
    return [change, *approvals[:at], revise, *approvals[at:], run]


def executed_twice(scene: Scene) -> list[Draft]:
    """What was approved once is run twice."""
    change, approvals, run = _change(scene)
    return [change, *approvals, run, run.copy()]


def elsewhere(scene: Scene) -> list[Draft]:
    """What was approved for one subject is run on another."""
    change, approvals, run = _change(scene)
    run.params["subject"] = scene.pen.pick(scene.material.subjects[1:])
    return [change, *approvals, run]


def withdrawn(scene: Scene) -> list[Draft]:
    """One approval is taken back before the change is run."""
    change, approvals, run = _change(scene)
    seat = _seat(scene, approvals)
    if seat is None:
        return [change, run]
    back = scene.on("withdraw_decision", change, scene.material.target.actors[seat.actor])
    back.refs["decision"] = (seat, "decision")
    return [change, *approvals, back, run]


def revoked(scene: Scene) -> list[Draft]:
    """An approver loses every ability before the change is run."""
    change, approvals, run = _change(scene)
    seat = _seat(scene, approvals)
    if seat is None:
        return [change, run]
    person = scene.material.target.actors[seat.actor].person
    return [change, *approvals, scene.call("set_abilities", person=person, abilities=[]), run]


def late(scene: Scene) -> list[Draft]:
    """The change is run after its approvals have expired."""
    change, approvals, run = _change(scene)
    return [change, *approvals, wait(int(1000 * scene.material.contract["approvals.ttl_s"]) + 1000), run]


def key_with_other_body(scene: Scene) -> list[Draft]:
    """The same key for two different jobs."""
    m = scene.material
    return [scene.submit(w, key="k1") for w in (m.light[0], scene.pen.pick(m.light[1:] or m.light))]


def foreign_key(scene: Scene) -> list[Draft]:
    """The same key and body by somebody else, of another tenant first."""
    m = scene.material
    first = scene.submit(key="k1")
    rest = others(m.everyone, first.actor)
    abroad = [a for a in rest if a.tenant and a.tenant != scene.tenant]
    able = [a for a in (*abroad, *rest) if a in m.able("submit_job", a.tenant)]
    return [first, first.copy(actor=scene.pen.pick(able).name)] if able else [first]


def many_keys(scene: Scene) -> list[Draft]:
    """Two jobs that are alike but for their key."""
    first = scene.submit(key=MANY_KEYS[0])
    return [first, first.copy(params={**first.params, "key": MANY_KEYS[1]})]


def _change(scene: Scene) -> tuple[Draft, list[Draft], Draft]:
    author = scene.material.authors(scene.tenant)[0]
    change = scene.create(author)
    return change, scene.approvals(change, author), scene.execute(change, author)


def _seat(scene: Scene, approvals: list[Draft]) -> Draft | None:
    return scene.pen.pick(approvals) if approvals else None


ABUSES = (
    Flow("unapproved", ("submit_job",), unapproved, lambda s: s.material.number("approvals.heavy_weight") is not None),
    Flow("heavy_product", ("submit_job",), heavy_product, lambda s: bool(s.material.sneaky)),
    Flow("growing_clone", ("submit_job", "clone_job"), growing_clone),
    Flow("self_approval", CHANGE, self_approval),
    Flow("one_for_two", CHANGE, one_for_two),
    Flow("empty_seat", CHANGE, empty_seat),
    Flow("stages_reversed", CHANGE, stages_reversed, lambda s: len(s.material.stages) > 1),
    Flow("rejected", CHANGE, rejected),
    Flow("revised", (*CHANGE, "revise_change"), revised),
    Flow("executed_twice", CHANGE, executed_twice),
    Flow("elsewhere", CHANGE, elsewhere, lambda s: len(s.material.subjects) > 1),
    Flow("withdrawn", (*CHANGE, "withdraw_decision"), withdrawn),
    Flow("revoked", (*CHANGE, "set_abilities"), revoked),
    Flow("late", CHANGE, late, lambda s: 0 < (s.material.number("approvals.ttl_s") or 0) <= LONGEST_WAIT_S),
    Flow("key_with_other_body", ("submit_job",), key_with_other_body, has_keys),
    Flow("foreign_key", ("submit_job",), foreign_key, has_keys),
    Flow("many_keys", ("submit_job",), many_keys, has_keys),
)
