"""Roles: what an operation means to the harness, with typed parameters.

The one table from which the reference in docs/ is generated: role → parameters → observations.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from harness.facts import (
    AttemptSeen,
    AuditSeen,
    ChangeSeen,
    ChargeSeen,
    DecisionSeen,
    JobSeen,
    LimitSeen,
    ListSeen,
    Observation,
    QuotaSeen,
    ResultSeen,
)

ParamType = Literal["int", "number", "text", "json", "job", "change", "decision", "key"]


@dataclass(frozen=True)
class Param:
    """One parameter of a role. Types job, change, decision refer to what an earlier step made."""

    name: str
    type: ParamType
    help: str
    required: bool = True

    @property
    def refers(self) -> bool:
        """Whether its value is an object that another step made."""
        return self.type in ("job", "change", "decision")


@dataclass(frozen=True)
class Role:
    """What an operation means. ``makes``: the kind of object an accepted call makes."""

    name: str
    help: str
    params: tuple[Param, ...] = ()
    sees: tuple[type[Observation], ...] = ()
    makes: Literal["job", "change", "decision", ""] = ""
    #: reads change nothing and may be called at will
    reads: bool = False
    #: never bound unasked, never drawn against something the harness did not make
    destructive: bool = False

    def param(self, name: str) -> Param | None:
        """The parameter of a name."""
        return next((p for p in self.params if p.name == name), None)


_SHOTS = Param("shots", "int", "shots per circuit")
_CIRCUITS = Param("circuits", "int", "circuits in the job", required=False)
_REPEATS = Param("repeats", "int", "times the whole is repeated", required=False)
_PAYLOAD = Param("payload", "json", "the target's own inputs; from target.yaml's payloads", required=False)
_KEY = Param("key", "key", "idempotency key", required=False)
_JOB = Param("job", "job", "the job")
_CHANGE = Param("change", "change", "the change")
_STAGE = Param("stage", "text", "name of the approval stage", required=False)
_DIMENSION = Param("dimension", "text", "quota dimension: shots, jobs, classical_ms")
_SUBJECT = Param("subject", "text", "what it is executed on (backend, group)", required=False)
_WORK = (_SHOTS, _CIRCUITS, _REPEATS, _PAYLOAD)

_ROLES = (
    Role("submit_job", "ask for a job", (*_WORK, _KEY), (JobSeen,), makes="job"),
    Role(
        "clone_job",
        "ask for a job like another",
        (_JOB, Param("shots", "int", "shots per circuit of the copy", required=False), _KEY),
        (JobSeen,),
        makes="job",
    ),
    Role("get_job", "read a job", (_JOB,), (JobSeen,), reads=True),
    Role("list_jobs", "read all jobs of the tenant", (), (ListSeen, JobSeen), reads=True),
    Role("cancel_job", "ask that a job stops", (_JOB,), (JobSeen,)),
    Role("delete_job", "remove a job", (_JOB,), (JobSeen,), destructive=True),
    Role("get_result", "read a job's result", (_JOB,), (ResultSeen,), reads=True),
    Role("list_attempts", "read a job's attempts", (_JOB,), (AttemptSeen,), reads=True),
    Role(
        "create_change",
        "ask for approval of a heavy run",
        (*_WORK, _SUBJECT),
        (ChangeSeen,),
        makes="change",
    ),
    Role("get_change", "read a change and its decisions", (_CHANGE,), (ChangeSeen, DecisionSeen), reads=True),
    Role("revise_change", "replace a change's content", (_CHANGE, *_WORK), (ChangeSeen,)),
    Role(
        "decide",
        "approve or reject a change",
        (_CHANGE, Param("verdict", "text", "approve or reject"), _STAGE),
        (DecisionSeen,),
        makes="decision",
    ),
    Role(
        "withdraw_decision",
        "take one's decision back",
        (_CHANGE, Param("decision", "decision", "the decision")),
        (),
    ),
    Role(
        "execute_change",
        "run what was approved",
        (_CHANGE, _SUBJECT, Param("shots", "int", "content said again, shots per circuit", required=False)),
        (JobSeen, ChangeSeen),
        makes="job",
    ),
    Role("read_quota", "read the tenant's quota", (), (QuotaSeen,), reads=True),
    Role(
        "set_quota",
        "set one limit of the tenant's quota",
        (_DIMENSION, Param("limit", "number", "the new limit, in the dimension's unit")),
        (QuotaSeen,),
    ),
    Role("read_usage", "read the tenant's usage ledger", (), (ChargeSeen,), reads=True),
    Role("read_audit", "read the audit trail", (), (AuditSeen,), reads=True),
    Role("read_limits", "read published limits and tolerances", (), (LimitSeen,), reads=True),
    Role(
        "set_abilities",
        "change what a person may do",
        (
            Param("person", "text", "the person's name in target.yaml"),
            Param("abilities", "json", "list of abilities"),
        ),
    ),
    Role(
        "set_fallback",
        "allow or forbid classical fallback for the tenant",
        (Param("fallback", "text", "allowed or forbidden"),),
    ),
)

ROLES: Mapping[str, Role] = MappingProxyType({r.name: r for r in _ROLES})
