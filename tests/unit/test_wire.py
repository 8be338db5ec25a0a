"""Requests and replies as values."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from harness.wire import AT_ONCE, LOST, Pace, Reply, Request

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=5)


@given(st.dictionaries(TEXT, TEXT, max_size=3))
def test_a_query_survives_the_request_line(query: dict[str, str]) -> None:
    path, _, raw = Request("GET", "/jobs", query).target.partition("?")
    assert (path, Request.parse_query(raw)) == ("/jobs", query)


def test_of_a_name_said_twice_the_last_counts_and_an_empty_value_stays() -> None:
    assert Request.parse_query("a=1&b=&a=2") == {"a": "2", "b": ""}


def test_a_path_without_a_query_has_no_question_mark() -> None:
    assert Request("GET", "/jobs").target == "/jobs"


def test_a_body_that_is_no_json_is_said_to_be_none() -> None:
    assert Request("POST", "/", body=b"[1]").json() == [1]
    with pytest.raises(ValueError, match="Expecting"):
        Request("POST", "/", body=b"{").json()


def test_a_json_reply_is_the_same_bytes_whatever_the_order_of_its_keys() -> None:
    reply = Reply.of_json(429, {"b": 1, "a": [2]}, retry_after="3")
    assert reply == Reply.of_json(429, {"a": [2], "b": 1}, retry_after="3")
    assert (reply.status, reply.body) == (429, b'{"a":[2],"b":1}')
    assert reply.headers == {"content-type": "application/json", "retry-after": "3"}


def test_a_cut_reply_is_another_one_and_nothing_comes_of_a_lost_one() -> None:
    whole = Reply(200, b"abc")
    assert whole.cut(2) == Reply(200, b"abc", cut_at=2)
    assert whole.cut_at is None
    assert (LOST.status, LOST.body, LOST.cut_at) == (0, b"", 0)


@pytest.mark.parametrize(
    ("pace", "size", "total_ms"),
    [
        (AT_ONCE, 100, 0),
        (Pace(first_byte_ms=50), 100, 50),
        (Pace(slice_bytes=10, slice_ms=5), 100, 45),
        (Pace(first_byte_ms=1, slice_bytes=30, slice_ms=5), 100, 16),
        (Pace(slice_bytes=10, slice_ms=5), 0, 0),
    ],
)
def test_a_pace_takes_its_time(pace: Pace, size: int, total_ms: float) -> None:
    assert pace.total_ms(size) == total_ms


@pytest.mark.parametrize(
    ("declared", "body"), [("3", b"abc"), ("2", b"ab"), ("0", b""), ("4", None), ("many", b"abc"), (None, b"abc")]
)
def test_a_client_reads_what_is_declared(declared: str | None, body: bytes | None) -> None:
    headers = {} if declared is None else {"content-length": declared}
    assert Reply(200, b"abc", headers).declared_body == body


def test_values_that_are_repeated_are_all_kept() -> None:
    """The last one by name, all of them when asked; the request line has them again."""
    request = Request("GET", "/jobs", Request.parse_query("ids=a&ids=b&x=1"))
    assert (request.query["ids"], request.values("ids"), request.values("no")) == ("b", ("a", "b"), ())
    assert request.target == "/jobs?ids=a&ids=b&x=1"
    assert Request("GET", "/", {"ids": "a"}).values("ids") == ("a",)
