"""What was seen elsewhere, and which fault with which settings reproduces it.

Reports are failures of real backends and their clients, as told in public trackers. Kinds are what chaos tools and
testers of distributed systems disturb (Toxiproxy, Chaos Mesh, AWS FIS, Jepsen), at the layers that a backend has.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, kw_only=True)
class Seen:
    """One line: what happens, and the fault that makes it happen. ``reports``: owner/repo#number."""

    what: str
    fault: str
    params: Mapping[str, Any] = field(default_factory=dict)
    reports: tuple[str, ...] = ()
    area: str = ""


def _lines(area: str, *rows: tuple[Any, ...]) -> tuple[Seen, ...]:
    """(what, fault, params, reports…) a row."""
    return tuple(Seen(area=area, what=what, fault=fault, params=p, reports=tuple(r)) for what, fault, p, *r in rows)


_QUEUE = _lines(
    "queue and status",
    ("a status call sticks", "poll_hang", {"ms": 600_000}, "Qiskit/qiskit-ibm-runtime#317"),
    ("running for ever, the result lost", "state_told", {"told": "started", "times": 0}, "Qiskit/qiskit#1686"),
    (
        "a long queue evicts the inputs",
        "job_failed",
        {"on": ["queue"], "when": "after", "code": "InputExpired"},
        "Qiskit/qiskit-ibm-provider#517",
    ),
    (
        "running is told while it is queued",
        "state_told",
        {"told": "started", "during": "queued", "times": 0},
        "Qiskit/qiskit-ibmq-provider#662",
    ),
    ("completed, but the result never returns", "poll_hang", {"on": ["result"]}, "Qiskit/qiskit-ibm-runtime#509"),
    ("nulls right after a submission", "field_lost", {"what": "times", "times": 2}, "Qiskit/qiskit-api-py#75"),
)
_TRANSPORT = _lines(
    "transport",
    ("504 while polling", "http_error", {"on": ["status"], "status": 504}, "Qiskit/qiskit-metapackage#685"),
    ("one 5xx aborts polling", "poll_error", {"on": ["status"], "status": 503}, "dwavesystems/dwave-cloud-client#324"),
    ("a result fetch is not tried again", "poll_error", {"on": ["result"], "status": 500}, "rigetti/pyquil#1853"),
    (
        "the result's URL answers 400",
        "http_error",
        {"on": ["result"], "status": 400},
        "Qiskit/qiskit-ibmq-provider#617",
    ),
    (
        "the result's URL has expired",
        "http_error",
        {"on": ["result"], "status": 403, "times": 0},
        "microsoft/azure-quantum-python#553",
    ),
)
_AUTH = _lines(
    "identity",
    (
        "a token expires in the midst of polling",
        "access_denied",
        {"on": ["status"], "skip": 2, "times": 0, "same_caller": True},
        "amazon-braket/amazon-braket-sdk-python#651",
        "qilimanjaro-tech/qiboconnection#116",
    ),
    (
        "401 on a submission, yet the job appears",
        "http_error",
        {"on": ["submit"], "status": 401, "when": "after"},
        "Qiskit/qiskit-ibm-runtime#1491",
    ),
)
_SUBMISSION = _lines(
    "submission, limits, cost",
    (
        "500 and retries give six jobs",
        "http_error",
        {"on": ["submit"], "status": 500, "when": "after", "times": 5},
        "Qiskit/qiskit-ibm-runtime#1114",
    ),
    ("a 2xx without id gives a duplicate", "id_lost", {"way": "empty"}, "iqm-finland/QDMI-on-IQM#213"),
    ("the second submission fails", "submit_error", {"skip": 1, "status": 500}, "Qiskit/qiskit-ibm-runtime#708"),
    (
        "a cap on concurrency as HTTP 400",
        "submit_error",
        {"skip": 2, "times": 0, "status": 400},
        "Qiskit/qiskit-aqua#884",
    ),
    ("over its limit an instance queues silently", "queue_stall", {"ms": 600_000}, "Qiskit/qiskit-ibm-runtime#2453"),
    ("usage totals disagree", "cost_told", {"factor": 2.0, "times": 0}, "Qiskit/qiskit-ibm-runtime#2270"),
    (
        "a throttle on metadata discards a paid result",
        "rate_limited",
        {"on": ["status"], "skip": 1, "retry_after": "absent"},
        "marqov-dev/marqov-sdk#135",
    ),
    ("a queued job can't be cancelled, and is charged", "cancel_ignored", {"told": "refused"}, "rigetti/pyquil#1728"),
    ("a stop is ignored while queued", "cancel_ignored", {"told": "accepted"}, "Qiskit/qiskit-serverless#872"),
    ("the cost shows 0", "cost_told", {"factor": 0.0, "times": 0}, "amazon-braket/amazon-braket-examples#299"),
)
_BACKEND = _lines(
    "sessions and backend",
    (
        "a session lives for seven days",
        "session_time",
        {"way": "kept", "ms": 604_800_000},
        "Qiskit/qiskit-ibm-runtime#609",
    ),
    ("an expired session is used again", "session_time", {"way": "evicted"}, "Qiskit/qiskit-ibm-runtime#648"),
    ("the maximum time is ignored", "run_overrun", {"ms": 600_000}, "Qiskit/qiskit-ibm-runtime#475"),
    (
        "a retired backend breaks listings",
        "device_told",
        {"way": "retired", "times": 0},
        "Qiskit/qiskit-ibm-runtime#3012",
    ),
    (
        "404 for a configuration at start",
        "http_error",
        {"on": ["device"], "status": 404},
        "Qiskit/qiskit-ibm-runtime#190",
    ),
    ("the default calibration set changed", "calibration_told", {"way": "new"}, "iqm-finland/qiskit-on-iqm#124"),
    ("a wrong calibration is published", "calibration_told", {"way": "better"}, "Qiskit/qiskit-ibm-runtime#1590"),
    (
        "the cap on shots is misconfigured",
        "device_told",
        {"way": "shots", "max_shots": 1, "times": 0},
        "Qiskit/qiskit-ibm-runtime#1669",
    ),
    ("a valid job is rejected", "submit_error", {"status": 400}, "Qiskit/qiskit-ibm-runtime#1979"),
    (
        "polling every 100 ms is throttled",
        "rate_limited",
        {"on": ["status"], "times": 0},
        "Qiskit/qiskit-ibm-runtime#2755",
    ),
    (
        "accepted, then failed inside",
        "job_failed",
        {"code": "InternalError"},
        "amazon-braket/amazon-braket-sdk-python#239",
    ),
)
_RESULT = _lines(
    "results",
    ("the width of bit strings varies", "wrong_result", {"way": "narrow"}, "Qiskit/qiskit-ibm-runtime#336"),
    ("27-bit keys for 3 bits", "invalid_result", {"way": "wide"}, "Qiskit/qiskit-ibm-runtime#241"),
    ("shots are ignored", "wrong_result", {"way": "shots", "shots": 1024}, "Qiskit/qiskit-ibm-runtime#239"),
    (
        "rounding loses counts",
        "wrong_result",
        {"way": "rounded"},
        "qiskit-community/qiskit-ionq#19",
        "microsoft/azure-quantum-python#248",
    ),
    (
        "a second fetch gives other counts",
        "wrong_result",
        {"way": "resampled", "times": 0},
        "microsoft/azure-quantum-python#323",
    ),
    (
        "unmeasured qubits overwrite counts",
        "wrong_result",
        {"way": "overwritten"},
        "microsoft/azure-quantum-python#198",
    ),
    (
        "bits reversed in batches only",
        "wrong_result",
        {"way": "reversed", "only_batches": True, "times": 0},
        "amazon-braket/qiskit-braket-provider#374",
    ),
    (
        "bits reversed after an upgrade",
        "wrong_result",
        {"way": "reversed", "skip": 1, "times": 0},
        "Qiskit/qiskit-ibm-runtime#2904",
    ),
    (
        "log text where JSON belongs",
        "malformed_reply",
        {"on": ["result"], "way": "log"},
        "Qiskit/qiskit-ibm-provider#567",
    ),
    ("empty after an administrator's kill", "invalid_result", {"way": "empty"}, "Qiskit/qiskit-ibm-runtime#372"),
    ("a part of the batch failed", "partial_batch", {"which": "last"}, "Quantinuum/qnexus#48"),
    (
        "exhausted quota shown as no data",
        "field_lost",
        {"what": "reason", "times": 0},
        "microsoft/azure-quantum-python#178",
    ),
    ("a failed task gives no result, silently", "job_failed", {"when": "after"}, "Quantinuum/pytket-extensions#333"),
    (
        "the batch path drops the noise model",
        "noise",
        {"way": "none"},
        "amazon-braket/amazon-braket-pennylane-plugin-python#176",
    ),
)
_TARGET = _lines(
    "the target itself",
    ("its head is lost, it loops for ever", "crash", {"down_ms": 10_000}, "Qiskit/qiskit-serverless#685"),
    ("a dropped connection leaves it running", "crash", {"skip": 5}, "AgnostiqHQ/covalent-ssh-plugin#65"),
)
_MESSAGES = _lines(
    "queues of messages",
    ("a lost acknowledgement", "lost_ack", {"on": ["ack"]}, "celery/celery#4671", "celery/kombu#857"),
    ("what was acknowledged comes again", "redelivery", {}, "celery/celery#4671", "celery/kombu#857"),
    (
        "a long task becomes visible and runs twice",
        "visibility_timeout",
        {},
        "celery/celery#5935",
        "celery/celery#5306",
        "rabbitmq/rabbitmq-server#9046",
    ),
    (
        "a message that kills its consumer",
        "poison_message",
        {},
        "celery/celery#4308",
        "celery/py-amqp#277",
        "celery/kombu#2421",
    ),
    ("a full queue", "queue_full", {}, "celery/celery#5716", "sidekiq/sidekiq#5558"),
)
_PROCESSES = _lines(
    "processes",
    ("a killed process never gives its slots back", "process_killed", {"process": "*"}, "PrefectHQ/prefect#17415"),
    ("a killed head is lost", "process_killed", {"down_ms": 10_000}, "Qiskit/qiskit-serverless#685"),
)
#: failures reported against real backends, and against what pipelines are built of
REPORTS: tuple[Seen, ...] = (
    *_QUEUE,
    *_TRANSPORT,
    *_AUTH,
    *_SUBMISSION,
    *_BACKEND,
    *_RESULT,
    *_TARGET,
    *_MESSAGES,
    *_PROCESSES,
)

_HTTP = _lines(
    "HTTP",
    ("delay before the effect", "latency", {"when": "before", "ms": 5_000}),
    ("delay after the effect", "latency", {"when": "after", "ms": 5_000}),
    ("delays of a heavy tail", "latency", {"distribution": "pareto", "ms": 200, "times": 0}),
    ("effect done, response lost", "response_lost", {"way": "break"}),
    *((f"status {s}", "http_error", {"status": s}) for s in (408, 409, 425, 429, 500, 502, 503, 504)),
    *((f"Retry-After {w}", "rate_limited", {"retry_after": w}) for w in ("absent", "huge", "date", "garbage")),
    ("slow headers", "slow_reply", {"first_byte_ms": 2_000, "slice_bytes": 0}),
    ("slow body", "slow_reply", {"slice_bytes": 16, "slice_ms": 500}),
    ("truncated JSON", "malformed_reply", {"way": "half"}),
    ("wrong content type", "malformed_reply", {"way": "type"}),
    ("wrong content length", "malformed_reply", {"way": "long"}),
    ("connection reset in the midst of a response", "reply_cut", {"point": "half", "reset": True}),
    ("duplicate delivery", "duplicate_delivery", {"on": ["submit"]}),
    ("stale cache", "stale_reply", {"of": "request"}),
    ("valid by its schema but wrong", "stale_reply", {"of": "operation"}),
)
_JOB = _lines(
    "provider and job",
    ("duplicate submit", "duplicate_delivery", {"on": ["submit"], "gap_ms": 2_000}),
    ("accepted but unlisted", "job_unlisted", {}),
    ("lost id", "id_lost", {"way": "unknown"}),
    ("stuck queued", "queue_stall", {"ms": 600_000}),
    ("stuck running", "state_told", {"told": "started", "times": 0, "for_ms": 600_000}),
    ("illegal transition", "state_told", {"told": "canceled", "during": "running"}),
    ("backward transition", "state_told", {"told": "submitted", "during": "ended"}),
    ("skipped transition", "state_told", {"told": "submitted", "during": "alive", "times": 0}),
    ("unknown status", "state_told", {"told": "on_hold"}),
    ("done before the payload", "state_told", {"told": "completed", "during": "alive"}),
    ("cancel and completion cross", "cancel_ignored", {"told": "accepted"}),
    ("cancel unanswered", "cancel_hang", {"effect": "done"}),
    ("queue position going up", "queue_told", {"way": "up"}),
    ("session evicted", "session_time", {"way": "evicted", "ms": 1_000}),
    ("maintenance", "device_told", {"way": "maintenance", "times": 0}),
    ("retired backend", "device_told", {"way": "retired", "times": 0}),
    ("backend gone", "backend_offline", {"way": "break"}),
    ("calibration changed in between", "noise", {"way": "step", "factor": 2.0}),
    ("partial batch", "partial_batch", {"which": "second"}),
    ("region changed", "device_told", {"way": "region"}),
    ("firmware changed", "device_told", {"way": "firmware"}),
)
_PAYLOAD = _lines(
    "result",
    ("shots other than requested", "wrong_result", {"way": "shots", "shots": 100}),
    ("counts that don't sum", "invalid_result", {"way": "sum"}),
    ("reversed bit order", "wrong_result", {"way": "reversed"}),
    ("wrong register width", "invalid_result", {"way": "wide"}),
    ("negative quasi-probabilities", "invalid_result", {"way": "negative"}),
    ("NaN", "invalid_result", {"way": "nan"}),
    ("another job's result", "wrong_result", {"way": "foreign", "times": 0}),
    ("half a result", "truncated_result", {"way": "half"}),
    ("stale calibration", "calibration_told", {"way": "stale"}),
    ("noise step", "noise", {"way": "step"}),
    ("noise drift", "noise", {"way": "drift", "over_ms": 3_600_000}),
    ("dead qubit", "noise", {"way": "dead", "qubit": 0}),
    ("readout flip", "noise", {"way": "flip", "qubit": 1}),
    ("metadata lost", "field_lost", {"what": "metadata"}),
    ("a simulator posing as hardware", "noise", {"way": "none"}),
    ("a simulator that says it is hardware", "device_told", {"way": "hardware"}),
)
_KEYS = _lines(
    "identity",
    ("expiry in the midst of a job", "access_denied", {"reason": "expired", "skip": 2, "times": 0}),
    ("rotation with the old key cached", "access_denied", {"reason": "invalid", "same_caller": True, "times": 0}),
    ("issuer of tokens out", "http_error", {"on": ["token"], "status": 503, "times": 0}),
    ("scope lost", "access_denied", {"reason": "forbidden"}),
    ("wrong tenant", "wrong_tenant", {}),
)
_OTHERS = _lines(
    "other services",
    ("a policy service without a decision", "policy_outage", {"way": "timeout"}),
)
_TCP = _lines(
    "tcp",
    ("connections refused", "tcp_refused", {}),
    ("a black hole", "tcp_partition", {"after": "reset"}),
    ("a partition that heals", "tcp_partition", {"ms": 30_000}),
    ("an asymmetric partition", "tcp_partition", {"direction": "down"}),
    ("a reset before the response", "tcp_reset", {"when": "after"}),
    ("a reset in the midst of the response", "tcp_reset", {"when": "half"}),
    ("a half-open connection", "tcp_half_open", {}),
    ("a slow close", "tcp_slow_close", {}),
    ("little bandwidth", "tcp_bandwidth", {"bytes_per_s": 1_000}),
    ("slicing", "tcp_slices", {"slice_bytes": 1}),
    ("a limit of bytes", "tcp_byte_limit", {"limit_bytes": 1_000}),
    ("latency with jitter", "tcp_latency", {"distribution": "normal"}),
    ("an expired TLS certificate", "tls_certificate", {"way": "expired"}),
)
#: what chaos tools disturb
KINDS: tuple[Seen, ...] = (*_HTTP, *_JOB, *_PAYLOAD, *_KEYS, *_OTHERS, *_TCP)

SEEN: tuple[Seen, ...] = (*REPORTS, *KINDS)
