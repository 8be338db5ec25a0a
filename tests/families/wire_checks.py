"""What must be seen on the wire of each fault: asserts about one play with the fault beside one without it.

A new fault names its check in ``CHECKS``: one of these, or one of its own that says what its bytes must be. That they
differ is no check by itself: so do those of a fault that does something else.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from harness.wire import Reply
from tests.families.wire_cases import LOOK_AFTER_MS, Case, Played


def _is_refusal(case: Case, plain: Played, struck: Played, status: int) -> None:
    assert struck.last.status == status
    assert struck.speaker.is_error(case.operation, struck.last), struck.last.body
    assert plain.last.status < 300


def check_error(case: Case, plain: Played, struck: Played) -> None:
    """An error of the provider's form; on which side of the effect shows at the backend."""
    status = 429 if case.fault == "rate_limited" else case.get("status")
    _is_refusal(case, plain, struck, status)
    done = case.operation == "submit" and case.params.get("when") == "after"
    asked = len(plain.replies) if case.operation == "submit" else 0
    assert struck.accepted == (asked if done else max(asked - 1, 0))
    form = case.get("retry_after") if case.fault in ("rate_limited", "http_error") else "absent"
    value = struck.last.headers.get("retry-after")
    seconds = str(case.get("retry_after_s")) if form == "seconds" else ""
    shapes = {"absent": None, "seconds": seconds, "garbage": "soon"}
    assert value == shapes[form] if form in shapes else value


def check_lost(case: Case, plain: Played, struck: Played) -> None:
    """No byte, at once or after a silence; the effect is there, or isn't."""
    if case.params.get("way") == "504":
        check_error(Case("http_error", {"status": 504, "when": "after", "on": ["submit"]}), plain, struck)
        return
    first = struck.replies[0]
    assert first.cut_at == 0
    hung = case.fault in ("poll_hang", "cancel_hang") or case.params.get("way") == "hang"
    assert struck.took_ms - plain.took_ms == ((case.get("ms") if "hang" in case.fault else 600_000) if hung else 0)
    done = case.fault == "response_lost" or case.params.get("when") != "before"
    assert struck.accepted == (1 if case.operation == "submit" and done else 0)
    if case.fault == "cancel_hang":
        told, states = struck.speaker.state_of(struck.last), struck.speaker.states
        assert told == states["canceled" if case.get("effect") == "done" else "started"]


def check_cut(case: Case, plain: Played, struck: Played) -> None:
    """Nothing, half, or all but one byte; with FIN or RST."""
    assert struck.last.pace.reset == case.get("reset")
    if case.get("point") == "start" or case.get("when") == "before" or not plain.last.body:
        check_lost(case, plain, struck)
        return
    size = len(plain.last.body)
    assert struck.last.body == plain.last.body
    assert struck.last.cut_at == {"half": max(size // 2, 1), "end": max(size - 1, 1)}[case.get("point")]


def check_latency(case: Case, plain: Played, struck: Played) -> None:
    """The same bytes, later."""
    later_ms = struck.took_ms - plain.took_ms
    assert later_ms == case.get("ms") if case.get("distribution") == "fixed" else later_ms > 0
    # the others tell times of their own
    if case.operation in ("cancel", "result"):
        assert struck.last == plain.last


def check_slow(case: Case, plain: Played, struck: Played) -> None:
    """The same bytes, at this pace."""
    pace = struck.last.pace
    assert replace(struck.last, pace=plain.last.pace) == plain.last
    assert (pace.first_byte_ms, pace.slice_bytes, pace.slice_ms) == (
        case.get("first_byte_ms"),
        case.get("slice_bytes"),
        case.get("slice_ms"),
    )


def check_malformed(case: Case, plain: Played, struck: Played) -> None:
    """Still a success; its body or its headers are not."""
    way, was, now = case.get("way"), plain.last, struck.last
    assert now.status == was.status
    if way in ("half", "empty"):
        assert now.body == was.body[: len(was.body) // 2 if way == "half" else 0]
    elif way in ("type", "short", "long"):
        header = "content-type" if way == "type" else "content-length"
        assert now.body == was.body
        assert now.headers[header] != was.headers.get(header, str(len(was.body)))
    else:
        assert now.body != was.body
        assert (now.body in (b"{}", b"null")) == (way in ("object", "null"))


def check_truncated(case: Case, plain: Played, struck: Played) -> None:
    """Half, cut, or empty under a 200."""
    got = struck.last.body[: struck.last.cut_at]
    assert struck.last.status == 200
    assert got == plain.last.body[: 0 if case.get("way") == "empty" else len(plain.last.body) // 2]


def check_duplicate(case: Case, plain: Played, struck: Played) -> None:
    """Two runs, unless the client made its request safe to repeat; the answer names one of them."""
    safe = case.operation == "submit" and struck.speaker.name in SAFE_TO_REPEAT
    assert struck.accepted == (0 if case.operation == "cancel" else 1 if safe else 2)
    assert struck.last == plain.last or case.operation == "submit"
    assert struck.took_ms - plain.took_ms == case.get("gap_ms")


#: protocols whose submissions carry a key (clientToken, a registered id): a second one makes no second run
SAFE_TO_REPEAT = ("braket", "oqtopus")


def check_mutated(case: Case, plain: Played, struck: Played) -> None:
    """The same JSON but for one value; what is no JSON is left alone."""
    assert struck.last.status == plain.last.status
    if not plain.last.body or plain.last.headers["content-type"] == "application/zip":
        assert struck.last == plain.last
        return
    was, now = _leaves(_json(plain.last)), _leaves(_json(struck.last))
    differ = {k for k in {*was, *now} if was.get(k, "none") != now.get(k, "none")}
    assert len(differ) == 1, differ


def _leaves(value: Any, at: str = "") -> dict[str, Any]:
    """JSON Pointer → value, of all that have no parts."""
    if isinstance(value, dict | list):
        parts = value.items() if isinstance(value, dict) else enumerate(value)
        return {k: v for name, part in parts for k, v in _leaves(part, f"{at}/{name}").items()}
    return {at: value}


def check_stale(case: Case, plain: Played, struck: Played) -> None:
    """The second answer is the first one's bytes."""
    assert plain.replies[0].body != plain.replies[1].body
    assert struck.replies[1].body == plain.replies[0].body


def check_state(case: Case, plain: Played, struck: Played) -> None:
    """Another state, in the provider's words; a word of nobody's as it is."""
    told, speaker = case.get("told"), struck.speaker
    if case.operation == "status":
        assert speaker.state_of(struck.last) == speaker.states.get(told, told) or told == "failed"
    assert struck.last.status == 200
    assert struck.last.body != plain.last.body


def check_told_otherwise(case: Case, plain: Played, struck: Played) -> None:
    """A success of the same form that says something else."""
    assert struck.last.status == plain.last.status
    assert struck.last.body != plain.last.body
    assert type(_json(struck.last)) is type(_json(plain.last))


def check_published(case: Case, plain: Played, struck: Played) -> None:
    """Somewhere it shows; and what is retired may have no description any more."""
    assert [r.body for r in struck.replies] != [r.body for r in plain.replies]
    assert all(r.status == 200 for r in struck.replies) or case.params.get("way") == "retired"


def _json(reply: Reply) -> Any:
    try:
        return json.loads(reply.body)
    except ValueError:
        return None


def check_id(case: Case, plain: Played, struck: Played) -> None:
    """A run was accepted, and the answer does not name it."""
    assert struck.accepted == 1
    given, told = plain.speaker.id_of(plain.last), struck.speaker.id_of(struck.last)
    assert given != told
    assert len(told) < len(given) if case.get("way") == "empty" else len(told) == len(given)


def check_unlisted(case: Case, plain: Played, struck: Played) -> None:
    """The list is shorter."""
    assert struck.last.status == 200
    assert len(struck.last.body) < len(plain.last.body)


def check_run(case: Case, plain: Played, struck: Played) -> None:
    """What is told of a run that went another way."""
    speaker = struck.speaker
    told, states = speaker.state_of(struck.replies[0]), speaker.states
    if case.fault == "job_failed":
        assert told not in (*states.values(), speaker.state_of(plain.replies[0]))
    elif case.get("ms") > LOOK_AFTER_MS[case.fault]:
        assert told == states["submitted" if case.fault == "queue_stall" else "started"]


def check_noise(case: Case, plain: Played, struck: Played) -> None:
    """Other counts, of the same shots."""
    assert len(struck.replies) == 4
    assert struck.last.status == 200
    assert struck.last.body != plain.last.body


def check_cancel(case: Case, plain: Played, struck: Played) -> None:
    """It is told as done or as refused, and the run goes on."""
    speaker = struck.speaker
    assert speaker.state_of(plain.replies[1]) == speaker.states["canceled"]
    assert speaker.state_of(struck.replies[1]) == speaker.states["started"]
    if case.get("told") == "accepted":
        assert struck.replies[0] == plain.replies[0]
    else:
        assert struck.replies[0].status >= 400
        assert speaker.is_error("cancel", struck.replies[0])


def check_access(case: Case, plain: Played, struck: Played) -> None:
    """The provider's own refusal of a credential."""
    assert struck.last.status in (400, 401, 403)
    _is_refusal(case, plain, struck, struck.last.status)
    assert struck.accepted == max(len(plain.replies) - 1, 0) * (case.operation == "submit")


def check_tenant(case: Case, plain: Played, struck: Played) -> None:
    """The caller's own job is somebody else's, or nobody's."""
    _is_refusal(case, plain, struck, struck.last.status)
    assert struck.last.status in (403, 404)


def check_offline(case: Case, plain: Played, struck: Played) -> None:
    """503, or nothing."""
    if case.operation == "device" and case.get("way") == "refuse":
        check_published(case, plain, struck)
    elif case.get("way") == "break":
        assert struck.last.cut_at == 0
    else:
        _is_refusal(case, plain, struck, 503)


def check_invalid(case: Case, plain: Played, struck: Played) -> None:
    """A success that can't be true."""
    way = case.get("way")
    assert struck.last.status == 200
    assert struck.last.body != plain.last.body
    if way == "error":
        assert "error" in json.loads(struck.last.body)
        return
    (counts,), (right,) = struck.speaker.counts_of(struck.last), plain.speaker.counts_of(plain.last)
    values = list(map(float, counts.values()))
    signs = {
        "sum": lambda: sum(values) < 0.75 * sum(right.values()),
        "negative": lambda: min(values) < 0,
        "wide": lambda: set(counts).isdisjoint(right),
        "nan": lambda: any(map(math.isnan, values)),
        "empty": lambda: not sum(values),
    }
    assert signs[way]()


def check_wrong(case: Case, plain: Played, struck: Played) -> None:
    """A success of the same form with other values."""
    assert struck.last.status == 200
    assert plain.replies[-1].body != struck.last.body
    if case.params.get("way") == "resampled":
        assert struck.replies[0].body != struck.replies[1].body
    struck.speaker.counts_of(struck.last)


def check_nothing(case: Case, plain: Played, struck: Played) -> None:
    """The same bytes."""
    assert struck.replies == plain.replies


CHECKS: Mapping[str, Callable[[Case, Played, Played], None]] = {
    "access_denied": check_access,
    "backend_offline": check_offline,
    "calibration_told": check_told_otherwise,
    "cancel_hang": check_lost,
    "cancel_ignored": check_cancel,
    "cost_told": check_told_otherwise,
    "device_told": check_published,
    "duplicate_delivery": check_duplicate,
    "field_lost": check_told_otherwise,
    "http_error": check_error,
    "id_lost": check_id,
    "invalid_result": check_invalid,
    "job_failed": check_run,
    "job_unlisted": check_unlisted,
    "latency": check_latency,
    "malformed_reply": check_malformed,
    "noise": check_noise,
    "noop": check_nothing,
    "partial_batch": check_wrong,
    "poll_error": check_error,
    "poll_hang": check_lost,
    "queue_stall": check_run,
    "queue_told": check_told_otherwise,
    "rate_limited": check_error,
    "reply_cut": check_cut,
    "mutated_reply": check_mutated,
    "response_lost": check_lost,
    "run_overrun": check_run,
    "session_time": check_told_otherwise,
    "slow_reply": check_slow,
    "stale_reply": check_stale,
    "state_told": check_state,
    "submit_error": check_error,
    "truncated_result": check_truncated,
    "wrong_result": check_wrong,
    "wrong_tenant": check_tenant,
}
