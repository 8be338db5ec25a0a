"""The rows of the table: each kind of fault in each way that a caller can tell apart."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

#: a caller that spends so long in one stage hangs; its own time-out, where it has one, is TIMEOUT_S
BOUND_S, TIMEOUT_S = 45.0, 12.0

Faults = tuple[tuple[str, Mapping[str, Any]], ...]


@dataclass(frozen=True, kw_only=True)
class Sdk:
    """A client: its name, the protocol it speaks, the options that its caller uses beside the defaults, its devices."""

    package: str
    protocol: str
    options: str
    #: those that the server has; the quickest that the SDK can use
    devices: tuple[str, ...]
    #: packages below it that decide what it does under faults
    beside: tuple[str, ...] = ()


_IONQ: dict[str, Any] = {"protocol": "ionq", "devices": ("simulator", "qpu.forte-1")}
CLIENTS: Mapping[str, Sdk] = {
    "ibm": Sdk(
        package="qiskit-ibm-runtime",
        protocol="ibm",
        devices=("ibm_thule",),
        beside=("ibm-cloud-sdk-core",),
        options="`SamplerV2(backend).run`, `job.result(timeout=12)`",
    ),
    "ionq": Sdk(package="qiskit-ionq", options="`backend.run`, `job.result(timeout=12)`", **_IONQ),
    "cirq": Sdk(package="cirq-ionq", options="`service.create_job`, `job.results(timeout_seconds=12)`", **_IONQ),
    "pennylane": Sdk(package="pennylane-ionq", options="a QNode; it has no time-out for a job", **_IONQ),
    "braket": Sdk(
        package="amazon-braket-sdk",
        protocol="braket",
        devices=("SV1",),
        beside=("botocore",),
        options="`device.run(poll_timeout_seconds=12)`, `task.result()`",
    ),
    "oqtopus": Sdk(
        package="quri-parts-oqtopus",
        protocol="oqtopus",
        devices=("SVSim",),
        beside=("oqtopus-client",),
        options="`backend.sample`, `job.result(timeout=12)`",
    ),
}
_WITH_HANDLES = tuple(c for c in CLIENTS if c != "pennylane")
_WITH_SESSIONS = ("ibm", "ionq")


@dataclass(frozen=True, kw_only=True)
class Row:
    """One way of disturbing a caller."""

    group: str
    name: str
    says: str
    faults: Faults = ()
    story: str = "run"
    #: the circuits of the story, those whose counts are due
    circuits: tuple[str, ...] = ("top",)
    shots: int = 300
    #: how long a run takes
    busy_ms: int = 1_000
    #: the operation whose requests are counted
    watched: str = "submit"
    only: tuple[str, ...] = tuple(CLIENTS)
    #: whose stage lasts so long hangs
    bound_s: float = BOUND_S

    @property
    def key(self) -> str:
        """Its name in docs/clients.json and on the command line."""
        return f"{self.group}/{self.name}"

    @property
    def params(self) -> Mapping[str, Any]:
        """What the story is told."""
        told: dict[str, Any] = {"shots": self.shots}
        if self.story in ("run", "twice", "fleet"):
            told["circuits"] = list(self.circuits)
        return told

    @property
    def due(self) -> tuple[str, ...]:
        """The circuits whose counts a caller should get, in order."""
        return self.circuits * 2 if self.story == "twice" else self.circuits


def _rows(group: str, watched: str, *lines: tuple[Any, ...]) -> tuple[Row, ...]:
    """(name, says, faults, further fields of Row) a line."""
    return tuple(
        Row(group=group, watched=watched, name=name, says=says, faults=faults, **(more[0] if more else {}))
        for name, says, faults, *more in lines
    )


def _one(fault: str, **params: Any) -> Faults:
    return ((fault, params),)


_BATCH: dict[str, Any] = {"circuits": ("top", "low")}
_MID: dict[str, Any] = {"busy_ms": 3_000}
#: clients whose protocol can say it: where nothing would differ on the wire there is no cell
_LINKS: dict[str, Any] = {**_MID, "only": ("ionq", "cirq", "pennylane", "oqtopus")}
_PUBLISHED: dict[str, Any] = {"only": ("ibm",)}
_HANDLE: dict[str, Any] = {"only": _WITH_HANDLES}
#: only amazon-braket-sdk has one that tries again: run_batch
_FLEET: dict[str, Any] = {"story": "fleet", "only": ("braket",)}
_CANCEL: dict[str, Any] = {**_HANDLE, "story": "cancel", "busy_ms": 8_000}

CALM = _rows(
    "calm",
    "status",
    ("run", "one circuit", ()),
    ("batch", "two circuits in one job", (), _BATCH),
    ("two", "two jobs", (), {"story": "two"}),
    ("twice", "the result read again by the job's id", (), {"story": "twice", **_HANDLE}),
    ("cancel", "cancelled, then asked for its result", (), _CANCEL),
    ("session", "two jobs in a session", (), {"story": "session", "only": _WITH_SESSIONS}),
    ("fleet", "two jobs, by the SDK's own batch call", (), {**_FLEET, "circuits": ("top", "low")}),
)

_FORMS = ("absent", "seconds", "date", "past", "garbage", "huge")
_FORM_WORDS = {
    "absent": "no Retry-After",
    "seconds": "Retry-After: 2",
    "date": "Retry-After: a date 2 s ahead",
    "past": "Retry-After: a date gone by",
    "garbage": "Retry-After: soon",
    "huge": "Retry-After: ten years",
}


def _on(*operations: str) -> dict[str, Any]:
    return {"on": list(operations)}


def _refusals(operation: str) -> list[tuple[Any, ...]]:
    """Refused once or for ever, by status and Retry-After."""
    lines: list[tuple[Any, ...]] = []
    for status in (500, 502, 503, 504):
        lines.append((f"{status}_once", f"{status}, once", _one("http_error", **_on(operation), status=status)))
    for status in (500, 503, 504):
        forever = _one("http_error", **_on(operation), status=status, times=0)
        lines.append((f"{status}_for_ever", f"{status}, for ever", forever))
    for form in _FORMS:
        once = _one("rate_limited", **_on(operation), retry_after=form)
        lines.append((f"429_{form}", f"429, once, {_FORM_WORDS[form]}", once))
    limited = _one("rate_limited", **_on(operation), retry_after="absent", times=0)
    lines.append(("429_for_ever", "429, for ever, no Retry-After", limited))
    for form in ("seconds", "huge"):
        params = {**_on(operation), "status": 503, "retry_after": form}
        lines.append((f"503_{form}", f"503, once, {_FORM_WORDS[form]}", _one("http_error", **params)))
    return lines


def _statuses(operation: str, *statuses: int) -> list[tuple[Any, ...]]:
    return [(f"{s}_once", f"{s}, once", _one("http_error", **_on(operation), status=s)) for s in statuses]


_MALFORMED = {
    "half": "half of the JSON, well delivered",
    "empty": "an empty 2xx",
    "object": "{} as a 2xx",
    "null": "null as a 2xx",
    "log": "log text as a 2xx",
    "page": "a page of HTML as a 2xx",
    "type": "the right JSON, called text/html",
    "short": "a Content-Length of half the body",
    "long": "a Content-Length beyond the body",
}


def _malformed(operation: str) -> list[tuple[Any, ...]]:
    return [(way, says, _one("malformed_reply", **_on(operation), way=way)) for way, says in _MALFORMED.items()]


def _wires(operation: str) -> list[tuple[Any, ...]]:
    """What a connection can do."""
    at = _on(operation)
    return [
        ("refused_once", "connection lost before it was read", _one("reply_cut", **at, when="before")),
        ("reset_once", "connection reset before an answer", _one("reply_cut", **at, reset=True)),
        ("cut", "connection lost in the midst of the answer", _one("reply_cut", **at, point="half")),
        ("late", "answered after 5 s", _one("latency", **at, ms=5_000, when="after")),
        ("hang", "no answer, no end", _one("latency", **at, ms=600_000, when="after", times=0)),
        ("trickle", "a byte every 5 s", _one("slow_reply", **at, slice_bytes=1, slice_ms=5_000, times=0)),
    ]


SUBMIT = _rows("submit", "submit", *_refusals("submit"), *_statuses("submit", 400, 401, 403, 408, 409, 425))
ACCEPTED = _rows(
    "accepted",
    "submit",
    ("504_twice", "504, twice", _one("response_lost", way="504", times=2)),
    ("503_twice", "503, twice", _one("http_error", **_on("submit"), status=503, when="after", times=2)),
    ("500_twice", "500, twice", _one("http_error", **_on("submit"), status=500, when="after", times=2)),
    ("500_for_ever", "500, for ever", _one("http_error", **_on("submit"), status=500, when="after", times=0)),
    ("429_once", "429, once", _one("http_error", **_on("submit"), status=429, when="after")),
    ("401_once", "401, once", _one("http_error", **_on("submit"), status=401, when="after")),
    ("408_once", "408, once", _one("http_error", **_on("submit"), status=408, when="after")),
    ("lost_once", "connection lost, once", _one("response_lost", way="break")),
    ("lost_twice", "connection lost, twice", _one("response_lost", way="break", times=2)),
    ("reset_once", "connection reset, once", _one("reply_cut", **_on("submit"), reset=True)),
    ("cut", "connection lost in the midst of the answer", _one("reply_cut", **_on("submit"), point="half")),
    ("late", "answered after 5 s", _one("latency", **_on("submit"), ms=5_000, when="after")),
    ("late_35", "answered after 35 s", _one("latency", **_on("submit"), ms=35_000, when="after", times=0)),
    ("hang", "no answer, no end", _one("response_lost", way="hang", times=0)),
    ("trickle", "a byte every 5 s", _one("slow_reply", **_on("submit"), slice_bytes=1, slice_ms=5_000, times=0)),
    *_malformed("submit"),
    ("id_empty", "an empty id", _one("id_lost", way="empty")),
    ("id_unknown", "an id that nobody knows", _one("id_lost", way="unknown")),
    ("duplicate", "delivered twice by the network", _one("duplicate_delivery", **_on("submit"))),
)
POLL = _rows(
    "poll",
    "status",
    *_refusals("status"),
    ("500_twice", "500, twice", _one("poll_error", **_on("status"), status=500, times=2)),
    *_statuses("status", 401, 403, 404, 408, 409),
    *_wires("status"),
    *_malformed("status"),
    (
        "token_expired",
        "token expired in the midst, until renewed",
        _one("access_denied", **_on("status"), skip=1, times=0, same_caller=True),
        _MID,
    ),
    ("token_refused", "token refused in the midst, once", _one("access_denied", **_on("status"), skip=1), _MID),
    (
        "scope_lost",
        "scope lost in the midst, for ever",
        _one("access_denied", **_on("status"), reason="forbidden", skip=1, times=0),
        _MID,
    ),
    ("wrong_tenant", "taken for another tenant, once", _one("wrong_tenant", **_on("status"), skip=1), _MID),
    ("stale", "a cache repeats the first answer", _one("stale_reply", **_on("status"))),
)
_WORD = {"told": "on_hold", "during": "alive", "on": ["status"]}
STATE = _rows(
    "state",
    "status",
    ("queued_for_ever", "queued for ever", _one("queue_stall", ms=600_000), _MID),
    ("running_for_ever", "running for ever, though it ended", _one("state_told", told="started", times=0), _MID),
    ("unknown_once", "an unknown word, once", _one("state_told", **_WORD), _MID),
    ("unknown_for_ever", "an unknown word, for ever", _one("state_told", told="on_hold", times=0, on=["status"]), _MID),
    ("empty", "an empty state, once", _one("state_told", told="", on=["status"]), _MID),
    ("skipped", "queued until it is done", _one("state_told", told="submitted", during="alive", times=0), _MID),
    ("backward", "running, then queued, then done", _one("state_told", told="submitted", skip=1, on=["status"]), _MID),
    ("completed_early", "completed before it is", _one("state_told", told="completed", during="alive", times=0), _MID),
    ("completed_at_submit", "completed at once, before it is", _one("state_told", told="completed", times=0), _MID),
    ("failed_wrongly", "failed is told once, though it runs", _one("state_told", told="failed", on=["status"]), _MID),
    (
        "canceled_by_others",
        "cancelled by the operator",
        _one("state_told", told="canceled", times=0, on=["status"]),
        _MID,
    ),
    ("no_times", "no times", _one("field_lost", what="times", times=0), _MID),
    ("no_metadata", "no metadata", _one("field_lost", what="metadata", times=0), _MID),
    ("no_results", "completed without a link to results", _one("field_lost", what="results", times=0), _LINKS),
)
JOB = _rows(
    "job",
    "status",
    ("failed_before", "failed before it ran", _one("job_failed")),
    ("failed_after", "failed after all its shots", _one("job_failed", when="after")),
    ("failed_queued", "failed in the queue", _one("job_failed", on=["queue"], code="InputExpired")),
    (
        "failed_silently",
        "failed without a reason",
        (("job_failed", {}), ("field_lost", {"what": "reason", "times": 0})),
    ),
    ("slow", "takes 26 s, longer than the time-out", (), {"busy_ms": 26_000}),
    ("fleet_failed", "run_batch: the run fails", _one("job_failed", times=0), _FLEET),
    ("fleet_slow", "run_batch: it takes 20 s, the time-out is 5 s", (), {**_FLEET, "busy_ms": 20_000}),
)
RESULT = _rows(
    "result",
    "result",
    *_refusals("result"),
    *_statuses("result", 400, 403, 404),
    *_wires("result"),
    *_malformed("result"),
)
_WIDTHS: dict[str, Any] = {"circuits": ("low",), "only": ("braket", "oqtopus")}
TOLD = _rows(
    "told",
    "result",
    ("reversed", "bits reversed", _one("wrong_result", way="reversed", times=0)),
    ("shots", "1024 shots instead of 300", _one("wrong_result", way="shots", times=0)),
    ("few_shots", "100 shots instead of 300", _one("wrong_result", way="shots", shots=100, times=0)),
    ("rounded", "rounded down, counts lost", _one("wrong_result", way="rounded", times=0)),
    ("overwritten", "outcomes overwritten", _one("wrong_result", way="overwritten", times=0)),
    ("narrow", "leading zeros lost", _one("wrong_result", way="narrow", times=0), _WIDTHS),
    ("uniform", "noise only", _one("wrong_result", way="uniform", times=0)),
    ("foreign", "another job's result", _one("wrong_result", way="foreign", times=0), {"story": "two"}),
    ("sum", "weights sum to a half", _one("invalid_result", way="sum", times=0)),
    ("negative", "a negative weight", _one("invalid_result", way="negative", times=0)),
    ("nan", "a weight that is not a number", _one("invalid_result", way="nan", times=0)),
    ("wide", "27 bits for 3", _one("invalid_result", way="wide", times=0)),
    ("error", "an error in a 200", _one("invalid_result", way="error", times=0)),
    ("empty", "no outcome at all", _one("invalid_result", way="empty", times=0)),
    ("partial_last", "batch: the last circuit failed", _one("partial_batch", which="last", times=0), _BATCH),
    ("partial_first", "batch: the first circuit failed", _one("partial_batch", which="first", times=0), _BATCH),
    (
        "reversed_batch",
        "batch: bits reversed",
        _one("wrong_result", way="reversed", only_batches=True, times=0),
        _BATCH,
    ),
    (
        "resampled",
        "each fetch gives other counts",
        _one("wrong_result", way="resampled", times=0),
        {"story": "twice", **_HANDLE},
    ),
)
CANCEL = _rows(
    "cancel",
    "cancel",
    ("ignored", "answered, not done", _one("cancel_ignored", told="accepted"), _CANCEL),
    ("refused", "refused: it has ended already", _one("cancel_ignored", told="refused"), _CANCEL),
    ("hang_none", "no answer, not done", _one("cancel_hang", effect="none", times=0), _CANCEL),
    ("hang_done", "no answer, done", _one("cancel_hang", effect="done", times=0), _CANCEL),
    ("lost", "connection lost, done", _one("reply_cut", **_on("cancel")), _CANCEL),
    ("503_once", "503, once", _one("http_error", **_on("cancel"), status=503), _CANCEL),
    ("500_once", "500, once", _one("http_error", **_on("cancel"), status=500), _CANCEL),
    ("429_once", "429, once", _one("rate_limited", **_on("cancel"), retry_after="absent"), _CANCEL),
    ("404_once", "404, once", _one("http_error", **_on("cancel"), status=404), _CANCEL),
    ("duplicate", "delivered twice by the network", _one("duplicate_delivery", **_on("cancel")), _CANCEL),
    ("empty", "an empty 2xx", _one("malformed_reply", **_on("cancel"), way="empty"), _CANCEL),
)
DEVICE = _rows(
    "device",
    "device",
    ("offline", "told offline", _one("device_told", way="offline", times=0)),
    ("maintenance", "told in maintenance", _one("device_told", way="maintenance", times=0)),
    ("retired", "told retired", _one("device_told", way="retired", times=0)),
    ("small", "a qubit less", _one("device_told", way="small", times=0)),
    ("shots", "a cap of 1 shot is told", _one("device_told", way="shots", times=0)),
    ("busy", "a queue of a day is told", _one("device_told", way="busy", times=0)),
    ("wrong_calibration", "calibration told four times too good", _one("calibration_told", way="better"), _PUBLISHED),
    ("no_calibration", "no calibration", _one("calibration_told", way="none"), _PUBLISHED),
    ("stale_calibration", "calibration of last week", _one("calibration_told", way="stale"), _PUBLISHED),
    ("gone", "503 for everything", _one("backend_offline", way="refuse")),
    ("unreachable", "every connection breaks", _one("backend_offline", way="break")),
    ("404_once", "404 for a device, once", _one("http_error", **_on("device"), status=404)),
    ("500_once", "500 for a device, once", _one("http_error", **_on("device"), status=500)),
    ("half", "half of a device's JSON", _one("malformed_reply", **_on("device"), way="half")),
    ("hang", "no answer for a device", _one("latency", **_on("device"), ms=600_000, times=0)),
)
IDENTITY = _rows(
    "identity",
    "submit",
    ("expired", "credential expired, for ever", _one("access_denied", times=0)),
    ("forbidden", "scope missing, for ever", _one("access_denied", reason="forbidden", times=0)),
    ("expired_at_submit", "credential expired at the submission, once", _one("access_denied", **_on("submit"))),
    (
        "expired_at_result",
        "credential expired at the result, until renewed",
        _one("access_denied", **_on("result"), times=0, same_caller=True),
    ),
    (
        "other_tenant",
        "submitted as another tenant",
        _one("wrong_tenant", **_on("submit"), times=0),
    ),
)
_TOKEN: dict[str, Any] = {"only": ("ibm",)}
TOKEN = _rows(
    "token",
    "token",
    ("500_once", "500, once", _one("http_error", **_on("token"), status=500), {**_TOKEN, "bound_s": 100.0}),
    ("401_once", "401, once", _one("http_error", **_on("token"), status=401), {**_TOKEN, "bound_s": 100.0}),
    ("503_for_ever", "503, for ever", _one("http_error", **_on("token"), status=503, times=0), _TOKEN),
    ("hang", "no answer", _one("latency", **_on("token"), ms=600_000, times=0), _TOKEN),
)
_UPLOAD: dict[str, Any] = {"only": ("oqtopus",)}
UPLOAD = _rows(
    "upload",
    "upload",
    ("503_once", "503, once", _one("http_error", **_on("upload"), status=503), _UPLOAD),
    ("lost_once", "connection lost, once", _one("reply_cut", **_on("upload")), _UPLOAD),
    ("storage_lost", "connection lost at the storage, once", _one("reply_cut", **_on("upload"), skip=1), _UPLOAD),
)
_SESSION: dict[str, Any] = {"story": "session", "only": _WITH_SESSIONS}
SESSION = _rows(
    "session",
    "submit",
    ("evicted", "evicted between two jobs", _one("session_time", way="evicted", ms=500), _SESSION),
    ("503_once", "503 for the session, once", _one("http_error", **_on("session"), status=503), _SESSION),
    ("lost", "opened, connection lost", _one("reply_cut", **_on("session")), _SESSION),
)
ROWS: tuple[Row, ...] = (
    *CALM,
    *SUBMIT,
    *ACCEPTED,
    *POLL,
    *STATE,
    *JOB,
    *RESULT,
    *TOLD,
    *CANCEL,
    *DEVICE,
    *IDENTITY,
    *TOKEN,
    *UPLOAD,
    *SESSION,
)
#: group → what its rows disturb
GROUPS: Mapping[str, str] = {
    "calm": "Nothing is disturbed",
    "submit": "A submission is refused; nothing was accepted",
    "accepted": "A submission is accepted, and its answer is lost or wrong",
    "poll": "Polling is disturbed; the run goes on",
    "state": "A run's state is told wrongly",
    "job": "The run itself goes wrong",
    "result": "Fetching the result is disturbed",
    "told": "The result is told wrongly",
    "cancel": "Cancelling is disturbed; the result is asked for all the same",
    "device": "The device, or all of the backend, is told wrongly or gone",
    "identity": "Credentials",
    "token": "The login that gives a token (qiskit-ibm-runtime)",
    "upload": "The first two of three steps of a submission (quri-parts-oqtopus)",
    "session": "Sessions (qiskit-ibm-runtime, qiskit-ionq)",
}
