"""What one cell of the table is: what the caller got, and what went over the wire meanwhile."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from itertools import pairwise
from typing import Any, Self

from tests.clients.table.rows import Row

#: outcome → {bits, qubit 0 rightmost: probability}, see callers/_stories.py
IDEAL: Mapping[str, Mapping[str, float]] = {"top": {"001": 2 / 3, "101": 1 / 3}, "low": {"001": 2 / 3, "011": 1 / 3}}
#: total variation distance up to which counts are taken for right: devices are noisy, corruptions are gross
RIGHT_TVD = 0.2
#: gaps are told as the nearest of these, so that the same behaviour gives the same text; seconds
_GAPS_S = (0, 0.25, 0.5, 1, 2, 3, 4, 5, 6, 8, 10, 12, 16, 20, 30, 40, 60)
_LISTED_GAPS = 7
#: a count beyond this is told as one more than it: pollers that never rest poll as often as the machine lets them
MANY = 12


@dataclass(frozen=True, kw_only=True)
class Asked:
    """One request that reached the server. ``status`` None: no answer went back."""

    at_s: float
    operation: str
    method: str
    path: str
    status: int | None
    #: an idempotency key that it carried
    key: str = ""


@dataclass(frozen=True, kw_only=True)
class Cell:
    """What a caller of one client saw under one row's faults."""

    client: str
    row: str
    #: right, wrong (a result that is not the circuit's), none, empty, error, hang, other (a value of another kind)
    outcome: str
    #: the exception's type
    error: str = ""
    #: the type of what it was raised from
    cause: str = ""
    #: where it ended: device, submit, cancel, session, result, again
    stage: str = ""
    #: the first words of the exception, or what is wrong with the result; ids and addresses left out
    says: str = ""
    #: submissions on the wire, runs that were accepted, and different idempotency keys among the submissions
    submits: int = 0
    runs: int = 0
    keys: int = 0
    #: requests of the operation that the row disturbs, and the time from one to the next
    tries: int = 0
    gaps: str = ""
    #: the same of polls
    polls: int = 0
    poll_gaps: str = ""
    #: how long the caller waited, to the nearest of a few figures; a hang: until it was ended
    took_s: float = 0
    #: how often the faults struck
    fired: int = 0
    #: the SDK warned or logged a warning
    warned: bool = False

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> Self:
        """From its JSON."""
        return cls(**data)

    def encode(self) -> dict[str, Any]:
        """As JSON, defaults left out."""
        return {f: v for f, v in asdict(self).items() if v not in ("", 0, False)}


@dataclass(frozen=True, kw_only=True)
class Ended:
    """How a caller's process ended: its answer, or None if it had to be ended."""

    answer: Mapping[str, Any] | None
    stage: str
    took_s: float


@dataclass
class Wire:
    """What reached the server."""

    asked: list[Asked] = field(default_factory=list)
    runs: int = 0
    fired: int = 0
    #: what the server itself raised
    broken: list[Exception] = field(default_factory=list)


def judged(
    answer: Mapping[str, Any] | None, expected: Sequence[str], shots: int, reads: int = 1
) -> tuple[str, str, str]:
    """(outcome, error, says) of a caller's answer; ``expected``: the circuits that are due, in all ``reads``."""
    if answer is None:
        return "hang", "", ""
    if "error" in answer:
        return "error", str(answer["error"]), _plain(str(answer["message"]))
    value = answer["value"]
    if value is None or (isinstance(value, list) and value and all(c is None for c in value)):
        return "none", "", ""
    if not isinstance(value, list) or any(c is not None and not isinstance(c, dict) for c in value):
        return "other", "", _plain(str(value))
    if not value or not any(value):
        return "empty", "", ""
    wrong = _wrong(value, expected, shots)
    if not wrong and reads > 1 and value[: len(value) // reads] != value[len(value) // reads :]:
        wrong = "other counts at the second read"
    return ("wrong", "", wrong) if wrong else ("right", "", "")


def _wrong(value: Sequence[Mapping[str, int]], expected: Sequence[str], shots: int) -> str:
    """What is wrong with counts; empty: nothing."""
    if len(value) != len(expected):
        return f"{len(value)} results for {len(expected)} circuits"
    if None in value:
        return "None for a circuit"
    found = (_mistake(counts, IDEAL[circuit], shots) for counts, circuit in zip(value, expected, strict=True))
    return next((f for f in found if f), "")


def _mistake(counts: Mapping[str, int], ideal: Mapping[str, float], shots: int) -> str:
    width = len(next(iter(ideal)))
    if not counts:
        return "no counts"
    if strange := sorted({len(k) for k in counts} - {width}):
        return f"{strange[-1]} bits instead of {width}"
    if any(n < 0 for n in counts.values()):
        return "negative counts"
    total = sum(counts.values())
    if not total:
        return "no counts"
    distance = sum(abs(counts.get(k, 0) / total - ideal.get(k, 0)) for k in {*counts, *ideal}) / 2
    if distance > RIGHT_TVD:
        return "another distribution"
    return "" if total == shots else f"{total} shots instead of {shots}"


def _plain(text: str) -> str:
    """One line without what changes from run to run."""
    line = " ".join(text.split())
    for pattern, word in (
        (r"https?://[^\s'\"\\)>,]+", "<url>"),
        (r"127\.0\.0\.1(:\d+)?|port=\d+|0x[0-9a-f]+", "<address>"),
        (r"[0-9a-f]{8}-[0-9a-f-]{27}", "<id>"),
        (r"\b[0-9a-z]{16,}\b", "<id>"),
        (r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d+)?(Z|\+00:00)?", "<time>"),
        (r"\d+\.\d{4,}", "<number>"),
    ):
        line = re.sub(pattern, word, line)
    return line[:160]


def nearest_s(seconds: float) -> float:
    """The nearest of a few figures, so that a busy machine tells the same; in seconds."""
    if seconds < 0.15:
        return 0
    return min(_GAPS_S[1:], key=lambda g: abs(seconds / g - 1) if seconds > g else abs(g / seconds - 1))


def gaps_text(times_s: Sequence[float]) -> str:
    """The times between requests: "0 1 2 4 8 s", "5 s ×4"."""
    gaps = [nearest_s(b - a) for a, b in pairwise(times_s)]
    if not gaps:
        return ""
    listed = [f"{g:g}" for g in gaps[:_LISTED_GAPS]]
    more = " …" if len(gaps) > _LISTED_GAPS else ""
    if len(set(listed)) == 1 and len(listed) > 1:
        return f"every {listed[0]} s"
    return f"{' '.join(listed)}{more} s"


def cell_of(client: str, row: Row, ended: Ended, wire: Wire) -> Cell:
    """All that a table tells of one play."""
    outcome, error, says = judged(ended.answer, row.due, row.shots, 2 if row.story == "twice" else 1)
    submits = [a for a in wire.asked if a.operation == "submit"]
    tries = [a for a in wire.asked if a.operation == row.watched]
    polls = [a for a in wire.asked if a.operation == "status"]
    return Cell(
        client=client,
        row=row.key,
        outcome=outcome,
        error=error,
        cause=str((ended.answer or {}).get("cause", "")),
        stage=ended.stage if outcome != "right" else "",
        says=says,
        submits=len(submits),
        runs=wire.runs,
        keys=len({a.key for a in submits if a.key}),
        tries=min(len(tries), MANY + 1),
        gaps=gaps_text([a.at_s for a in tries]),
        polls=min(len(polls), MANY + 1),
        poll_gaps=gaps_text([a.at_s for a in polls]),
        took_s=nearest_s(ended.took_s),
        fired=min(wire.fired, MANY + 1),
        warned=bool((ended.answer or {}).get("warned")),
    )
