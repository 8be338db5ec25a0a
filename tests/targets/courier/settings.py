"""What the courier is started with, read once from a mapping of strings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field

#: the faults that can be built in (setting BUGS), described in defects.yaml
BUGS = frozenset({"budget-race", "double-ok", "deaf-stop", "false-via", "twice"})


@dataclass(frozen=True, kw_only=True)
class Settings:
    """Credits are shots. Times are seconds."""

    qpu_api: str
    qpu_key: str
    machine: str = "qpu.forte-1"
    #: org → person → the secrets with which that person may come
    people: Mapping[str, Mapping[str, tuple[str, ...]]] = field(default_factory=dict)
    #: an org's credits, once and for all
    credits: int = 2000
    #: work of more credits needs the sign-off of ``oks`` other people of the org
    signoff_over: int = 500
    oks: int = 2
    #: work of at most so many credits is answered when it is done, within small_wait_s
    small: int = 100
    small_wait_s: float = 10.0
    #: works of one org that may be at the machine at once
    lanes: int = 2
    patience_s: float = 30.0
    timeout_s: float = 5.0
    #: a submission that was not answered, and is not in the machine's list by then, never will be
    lost_after_s: float = 130.0
    bugs: frozenset[str] = frozenset()

    @staticmethod
    def read(given: Mapping[str, str]) -> Settings:
        """The settings of a mapping, names in capitals; ValueError for a bug that is none."""
        bugs = frozenset(filter(None, given.get("BUGS", "").replace(" ", "").split(",")))
        if unknown := bugs - BUGS:
            raise ValueError(f"BUGS: unknown {', '.join(sorted(unknown))}")
        people = json.loads(given.get("PEOPLE", "{}"))
        return Settings(
            qpu_api=given["QPU_API"].rstrip("/"),
            qpu_key=given["QPU_KEY"],
            machine=given.get("MACHINE", Settings.machine),
            people={o: {p: tuple(s) for p, s in of.items()} for o, of in people.items()},
            credits=int(given.get("CREDITS", Settings.credits)),
            signoff_over=int(given.get("SIGNOFF_OVER", Settings.signoff_over)),
            small=int(given.get("SMALL", Settings.small)),
            lanes=int(given.get("LANES", Settings.lanes)),
            patience_s=float(given.get("PATIENCE_S", Settings.patience_s)),
            lost_after_s=float(given.get("LOST_AFTER_S", Settings.lost_after_s)),
            bugs=bugs,
        )
