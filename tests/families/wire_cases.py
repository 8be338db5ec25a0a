"""What is played on the wire: each fault in each of its ways, and what came back."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from harness.catalogue.seen import SEEN
from harness.injection import Fault, build, known_faults
from harness.model import FaultUse
from harness.wire import Reply
from tests.families.dialects.base import Dialect

FAULTS = {n: k for n, k in known_faults().items() if k.service == "backend" and k.layer != "process"}
OPERATIONS = ("submit", "status", "result", "cancel", "list", "device")
HOUR_MS = 3_600_000
#: soon enough for a run that is held to be held still
LOOK_AFTER_MS = {"queue_stall": 4_500, "run_overrun": 4_500}

#: fault → where it shows best, if not at the first place that it knows
PLAYED_AT: Mapping[str, tuple[str, ...]] = {"wrong_tenant": ("status",), "duplicate_delivery": ("submit",)}
#: faults whose play is a story of its own, wherever they strike
STORIES = ("stale_reply", "wrong_tenant")
#: faults that are looked at in more than one request
LASTING = ("device_told", "backend_offline")


@dataclass(frozen=True)
class Case:
    """One fault with its settings."""

    fault: str
    params: Mapping[str, Any]

    @property
    def label(self) -> str:
        """As a test's id."""
        return "-".join([self.fault, *(f"{k}={v}" for k, v in self.params.items())]).replace(" ", "")

    @property
    def kind(self) -> type[Fault]:
        return FAULTS[self.fault]

    def get(self, name: str) -> Any:
        """A parameter's value, the default where it is not set."""
        return getattr(build(FaultUse(fault=self.fault, params=self.params)), name)

    @property
    def operation(self) -> str:
        """Where it is played."""
        usual = PLAYED_AT.get(self.fault, ())
        return str((*self.get("on"), *usual, *self.kind.drawn, *self.kind.operations)[0])


def cases() -> Iterator[Case]:
    """What was seen elsewhere, and each choice of each fault's own parameters."""
    for seen in SEEN:
        if seen.fault in FAULTS:
            yield Case(seen.fault, seen.params)
    for name, kind in FAULTS.items():
        yield Case(name, {})
        if kind.layer in ("http", "identity") and name not in STORIES:
            yield from (Case(name, {"on": [o]}) for o in OPERATIONS if o in kind.operations)
        if name == "http_error":
            yield from (Case(name, {"on": [o], "when": "after"}) for o in OPERATIONS)
        for field in kind.settings().values():
            own = field.name not in Fault.settings()
            more = MEANINGFUL.get((name, field.name), {})
            yield from (Case(name, {field.name: c, **more}) for c in field.metadata["choices"][1:] if own)


#: what a choice needs beside it so that anything is to be seen
MEANINGFUL: Mapping[tuple[str, str], Mapping[str, Any]] = {
    ("state_told", "during"): {"told": "canceled"},
    ("wrong_result", "way"): {"times": 0},
    ("wrong_result", "shots"): {"way": "shots"},
    ("wrong_result", "only_batches"): {"times": 0},
    ("device_told", "max_shots"): {"way": "shots"},
    ("noise", "over_ms"): {"way": "drift"},
    ("noise", "qubit"): {"way": "flip"},
    ("calibration_told", "age_h"): {"way": "stale"},
    ("session_time", "way"): {"ms": HOUR_MS},
}
CASES = {c.label: c for c in cases()}


@dataclass(frozen=True)
class Played:
    """What came back, and what the backend knows of it."""

    speaker: Dialect
    replies: tuple[Reply, ...]
    took_ms: int
    #: runs accepted, and strikes, since the stage was set
    accepted: int
    fired: int

    @property
    def last(self) -> Reply:
        """The last answer."""
        return self.replies[-1]
