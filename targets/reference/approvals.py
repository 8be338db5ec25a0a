"""Approvals: who may decide on a revision, and which decisions count.

A decision belongs to (revision, digest, target, base_version) and to a person. It is final except for its withdrawal
before execution. Who wrote any revision of a change decides on none. A rejection ends the revision.
"""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import sqlalchemy as sa
from sqlalchemy.engine import Connection, Row
from sqlalchemy.exc import IntegrityError

from targets.reference.defects import Defects
from targets.reference.errors import (
    ApprovalRequired,
    Conflict,
    Forbidden,
    FourEyes,
    Invalid,
    NotEligible,
    NotFound,
)
from targets.reference.identity import Actor, Directory
from targets.reference.policy import Stage, Verdict
from targets.reference.tables import decisions, writers
from targets.reference.timestamps import ms, now_ms

Choice = Literal["approve", "reject"]


@dataclass(frozen=True, kw_only=True)
class Subject:
    """What is decided on: a change in one revision."""

    change: str
    revision: int
    digest: str
    target: str
    base_version: int


@dataclass(frozen=True, kw_only=True)
class Decision:
    """One person's word on a revision."""

    id: str
    person: str
    seat: str
    verdict: Choice
    stage: str
    revision: int
    digest: str
    at_ms: int


class Approvals:
    """The rules of approval; the decisions are in the store."""

    def __init__(self, directory: Directory, defects: Defects, default_ttl_s: float) -> None:
        self._directory = directory
        self._defects = defects
        self._default_ttl_s = default_ttl_s

    def counted(self, guard: Verdict, given: Sequence[Decision]) -> dict[str, tuple[str, ...]]:
        """Stage name → whose approvals count, in order. Under ``strict`` an approval given before
        the earlier stages had their quorum doesn't."""
        seats: dict[str, list[str]] = {stage.name: [] for stage in guard.stages}
        for decision in given:
            if decision.verdict != "approve" or decision.stage not in seats:
                continue
            if self._in_turn(guard, seats, decision.stage):
                seats[decision.stage].append(decision.seat)
        return {name: tuple(dict.fromkeys(taken)) for name, taken in seats.items()}

    def met(self, guard: Verdict, given: Sequence[Decision]) -> bool:
        """Whether every stage has its quorum; a guard without stages can't be met."""
        counted = self.counted(guard, given)
        full = [len(counted[stage.name]) >= stage.quorum for stage in guard.stages]
        if "APR-10" in self._defects:
            return any(full)
        return bool(full) and all(full)

    def live(self, connection: Connection, subject: Subject) -> list[Decision]:
        """The decisions on exactly this revision that were not withdrawn, in order."""
        query = sa.select(decisions).where(decisions.c.change == subject.change, decisions.c.withdrawn_at_ms.is_(None))
        if "APR-01" not in self._defects:
            query = query.where(
                decisions.c.revision == subject.revision,
                decisions.c.digest == subject.digest,
                decisions.c.target == subject.target,
                decisions.c.base_version == subject.base_version,
            )
        return [_decision(row) for row in connection.execute(query.order_by(decisions.c.seq))]

    def demand(self, connection: Connection, subject: Subject, guard: Verdict) -> None:
        """ApprovalRequired unless at this moment the guard is met: by approvals that are fresh, of persons who
        are still able."""
        now = now_ms()
        ttl_ms = ms(self._default_ttl_s if guard.ttl_s is None else guard.ttl_s)
        abilities = {stage.name: stage.ability for stage in guard.stages}
        authors = self.authors(connection, subject.change)
        valid = [
            decision
            for decision in self.live(connection, subject)
            if now - decision.at_ms <= ttl_ms
            and decision.person not in authors
            and abilities.get(decision.stage) in self._directory.roles(connection, decision.person)
        ]
        if not guard.allow and not self.met(guard, valid):
            raise ApprovalRequired("the approvals in force don't suffice")

    def authors(self, connection: Connection, change: str) -> frozenset[str]:
        """Everybody who wrote a revision of the change."""
        if "APR-06" in self._defects:
            return frozenset()
        query = sa.select(writers.c.person).where(writers.c.change == change)
        return frozenset(connection.execute(query).scalars())

    def judge(
        self,
        connection: Connection,
        actor: Actor,
        subject: Subject,
        guard: Verdict,
        stage_name: str | None,
    ) -> Stage:
        """The stage that the actor may decide on now; raises what forbids it."""
        given = self.live(connection, subject)
        stage = self._stage(guard, given, stage_name)
        if actor.person in self.authors(connection, subject.change):
            raise FourEyes("who wrote a change can't decide on it")
        if stage.ability not in self._directory.roles(connection, actor.person):
            raise NotEligible(f"stage {stage.name} takes {stage.ability}")
        seats = self.counted(guard, given)
        if not self._in_turn(guard, seats, stage.name):
            raise Conflict("an earlier stage has no quorum yet", code="stage_order")
        if self._decided(actor, given):
            raise Conflict("you have decided on this revision", code="already_decided")
        return stage

    def insert(
        self,
        connection: Connection,
        actor: Actor,
        subject: Subject,
        verdict: Choice,
        stage: Stage,
    ) -> Decision:
        """Store a decision; Conflict if the person's seat is taken."""
        decision = Decision(
            id=str(uuid.uuid4()),
            person=actor.person,
            seat=self._seat(actor),
            verdict=verdict,
            stage=stage.name,
            revision=subject.revision,
            digest=subject.digest,
            at_ms=now_ms(),
        )
        try:
            connection.execute(
                decisions.insert().values(
                    id=decision.id,
                    change=subject.change,
                    revision=decision.revision,
                    digest=decision.digest,
                    target=subject.target,
                    base_version=subject.base_version,
                    person=decision.person,
                    seat=decision.seat,
                    verdict=decision.verdict,
                    stage=decision.stage,
                    at_ms=decision.at_ms,
                )
            )
        except IntegrityError as error:
            raise Conflict("you have decided on this revision", code="already_decided") from error
        return decision

    def withdraw(self, connection: Connection, actor: Actor, subject: Subject, decision: str) -> None:
        """Take an own approval back; the seat is free again."""
        row = connection.execute(
            sa.select(decisions).where(
                decisions.c.id == decision,
                decisions.c.change == subject.change,
                decisions.c.withdrawn_at_ms.is_(None),
            )
        ).first()
        if row is None:
            raise NotFound("no such decision")
        if row.person != actor.person:
            raise Forbidden("it is another person's decision")
        if row.verdict == "reject" or row.revision != subject.revision:
            raise Conflict("this decision is final")
        connection.execute(sa.update(decisions).where(decisions.c.id == decision).values(withdrawn_at_ms=now_ms()))

    def _seat(self, actor: Actor) -> str:
        if self._defects & {"APR-08", "APR-09"}:
            return str(uuid.uuid4())
        return actor.person

    def _decided(self, actor: Actor, given: Sequence[Decision]) -> bool:
        if "APR-08" in self._defects:
            return False
        return any(decision.person == actor.person for decision in given)

    def _in_turn(self, guard: Verdict, seats: dict[str, Any], stage_name: str) -> bool:
        if guard.order != "strict" or "APR-11" in self._defects:
            return True
        for stage in guard.stages:
            if stage.name == stage_name:
                return True
            if len(set(seats[stage.name])) < stage.quorum:
                return False
        return False

    def _stage(self, guard: Verdict, given: Sequence[Decision], name: str | None) -> Stage:
        if name is None:
            counted = self.counted(guard, given)
            missing = [s for s in guard.stages if len(counted[s.name]) < s.quorum]
            candidates = missing or list(guard.stages)
        else:
            candidates = [stage for stage in guard.stages if stage.name == name]
        if not candidates:
            raise Invalid("there is no such stage to decide on", code="no_such_stage")
        return candidates[0]


def _decision(row: Row[Any]) -> Decision:
    return Decision(
        id=row.id,
        person=row.person,
        seat=row.seat,
        verdict=row.verdict,
        stage=row.stage,
        revision=row.revision,
        digest=row.digest,
        at_ms=row.at_ms,
    )
