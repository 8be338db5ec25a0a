"""The pure parts of the Braket protocol: result pragmas, observables, S3's XML, filters, results.json."""

from __future__ import annotations

import math
import xml.etree.ElementTree as ET
from contextlib import suppress

import numpy as np
import pytest

from harness.backend.circuit import Circuit, Gate
from harness.backend.statevector import probabilities
from harness.providers import _braket_s3 as s3
from harness.providers import _braket_search as search
from harness.providers._braket_measuring import rotations, value
from harness.providers._braket_pragmas import Malformed, Matrix, result_types, touched, without_results
from harness.providers._braket_results import received
from harness.providers._braket_views import account_of, run_in, scope
from harness.providers._protocol import Refusal
from harness.tellings import Readout

HEAD = "OPENQASM 3.0;\nqubit[3] q;\nqubit r;\n"
S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def _types(*pragmas: str) -> tuple[object, ...]:
    source = HEAD + "".join(f"#pragma braket result {p}\n" for p in pragmas)
    return tuple(r.wire for r in result_types(source))


def test_result_pragmas_are_read_as_the_sdk_writes_them() -> None:
    assert _types(
        "expectation x(q[0]) @ z(r[0])",
        "probability q[2], q[0]",
        "probability all",
        "variance y all",
        "sample h(q[1])",
        'amplitude "00", "11"',
        "state_vector",
        "expectation i(q)",
    ) == (
        {"type": "expectation", "targets": [0, 3], "observable": ["x", "z"]},
        {"type": "probability", "targets": [2, 0]},
        {"type": "probability"},
        {"type": "variance", "observable": ["y"]},
        {"type": "sample", "targets": [1], "observable": ["h"]},
        {"type": "amplitude", "states": ["00", "11"]},
        {"type": "statevector"},
        {"type": "expectation", "observable": ["i"]},
    )


def test_a_hermitian_observable_is_read_with_all_forms_of_complex_numbers() -> None:
    (told,) = _types("expectation hermitian([[1, 0-2im], [2im, -1.5e0+0im]]) q[1]")
    assert told == {
        "type": "expectation",
        "targets": [1],
        "observable": [[[[1.0, 0.0], [0.0, -2.0]], [[0.0, 2.0], [-1.5, 0.0]]]],
    }


@pytest.mark.parametrize(
    "pragma",
    [
        "expectation w(q[0])",
        "expectation x(q[7])",
        "expectation x(nowhere[0])",
        "expectation x(q[0]) @ x(q[0])",
        "expectation x all @ z(q[0])",
        "expectation x(q[0]) z(q[1])",
        "expectation",
        "probability q[0], q[0]",
        "probability q[0",
        "amplitude 00",
        "adjoint_gradient expectation(x(q[0])) all",
        "sample hermitian([[1, 1], [2, 1]]) q[0]",
        "sample hermitian([[1, 0], [0, 1]]) q[0], q[1]",
        "sample hermitian([[1, 0], [0, 1]) q[0]",
        "sample hermitian([[1, x], [0, 1]]) q[0]",
    ],
)
def test_a_result_pragma_that_cannot_be_read_is_named(pragma: str) -> None:
    with pytest.raises(Malformed):
        _types(pragma)


def test_touched_qubits_are_those_mentioned_outside_declarations_and_comments() -> None:
    source = HEAD + "h q[0]; // q[1]\ncnot q[0], r;\n/* q[2] */"
    assert touched(source) == (0, 3)
    assert touched("h $4; x $2;") == (2, 4)
    assert touched(HEAD + "h q;") == (0, 1, 2)


def test_programs_keep_their_lines_without_result_pragmas() -> None:
    source = HEAD + "#pragma braket result probability\nh q[0];"
    assert without_results(source).splitlines()[4] == "h q[0];"
    assert "pragma" not in without_results(source)


def test_absurd_declarations_are_refused_at_once() -> None:
    with pytest.raises(Malformed):
        result_types("qubit[999999999] q;")


@pytest.mark.parametrize(
    "source",
    [
        "qubit" + " " * 400_000 + "x",
        "/*" * 200_000,
        "q " * 200_000,
        "#pragma braket result " + " " * 400_000 + "x",
        "#pragma braket result expectation x" + " " * 400_000 + "(",
        "#pragma braket result probability q" + " " * 400_000 + "[",
        "#pragma braket result expectation hermitian(" + "[" * 400_000,
        "#pragma braket result probability\n" * 10_000,
    ],
)
def test_hostile_programs_are_read_in_linear_time(source: str) -> None:
    """Quadratic reading would take minutes: the time-out of tests is the judge."""
    with suppress(Malformed):
        result_types(HEAD + source)
    touched(HEAD + source)
    without_results(HEAD + source)


# ------------------------------------------------------------ observables


def _random_hermitian(rng: np.random.Generator, size: int) -> Matrix:
    raw = rng.normal(size=(size, size)) + 1j * rng.normal(size=(size, size))
    return tuple(tuple(complex(e) for e in row) for row in (raw + raw.conj().T).tolist())


def _text(matrix: Matrix) -> str:
    rows = (", ".join(f"{e.real!r}{'-' if e.imag < 0 else '+'}{abs(e.imag)!r}im" for e in row) for row in matrix)
    return "[" + ", ".join(f"[{row}]" for row in rows) + "]"


_PAULI = {
    "x": np.array([[0, 1], [1, 0]]),
    "y": np.array([[0, -1j], [1j, 0]]),
    "z": np.diag([1, -1]),
    "h": np.array([[1, 1], [1, -1]]) / math.sqrt(2),
    "i": np.eye(2),
}
_PREPARATION = (
    Gate("ry", (0,), angle_rad=0.7),
    Gate("rx", (1,), angle_rad=1.1),
    Gate("x", (1,), controls=(0,)),
    Gate("ry", (2,), angle_rad=-0.4),
    Gate("s", (2,)),
    Gate("x", (0,), controls=(2,)),
)


def _state() -> np.ndarray:
    """|q2 q1 q0⟩ of the preparation, by plain matrices."""
    state = np.zeros(8, dtype=complex)
    state[0] = 1
    x, s = _PAULI["x"], np.diag([1, 1j])

    def on(qubit: int, matrix: np.ndarray) -> np.ndarray:
        factors = [matrix if q == qubit else np.eye(2) for q in (2, 1, 0)]
        return np.kron(np.kron(factors[0], factors[1]), factors[2])

    def turn(axis: str, angle: float) -> np.ndarray:
        return math.cos(angle / 2) * np.eye(2) - 1j * math.sin(angle / 2) * _PAULI[axis]

    def controlled(control: int, target: int) -> np.ndarray:
        return on(control, np.diag([1, 0])) + on(control, np.diag([0, 1])) @ on(target, x)

    for step in (
        on(0, turn("y", 0.7)),
        on(1, turn("x", 1.1)),
        controlled(0, 1),
        on(2, turn("y", -0.4)),
        on(2, s),
        controlled(2, 0),
    ):
        state = step @ state
    return state


def _readout(results: tuple[object, ...]) -> Readout:
    circuit = Circuit(qubits=3, gates=_PREPARATION + rotations(results, (0, 1, 2)))  # type: ignore[arg-type]
    vector = probabilities(circuit)
    return Readout(bits=3, shots=0, weights={i: float(p) for i, p in enumerate(vector)})


def _expected(factors: dict[int, np.ndarray]) -> tuple[float, float]:
    operator = np.eye(1)
    for qubit in (2, 1, 0):
        operator = np.kron(operator, factors.get(qubit, np.eye(2)))
    state = _state()
    mean = float((state.conj() @ operator @ state).real)
    return mean, float((state.conj() @ operator @ operator @ state).real) - mean**2


@pytest.mark.parametrize("names", ["x", "y", "z", "h", "i", "xy", "hzx", "iyh", "yyy"])
def test_pauli_products_have_the_expectation_and_variance_of_their_operators(names: str) -> None:
    text = " @ ".join(f"{n}(q[{q}])" for q, n in enumerate(names))
    mean, variance = result_types(
        HEAD + f"#pragma braket result expectation {text}\n#pragma braket result variance {text}"
    )
    readout = _readout((mean, variance))
    expected = _expected({q: _PAULI[n] for q, n in enumerate(names)})
    assert value(mean, readout, (0, 1, 2)) == pytest.approx(expected[0], abs=1e-9)
    assert value(variance, readout, (0, 1, 2)) == pytest.approx(expected[1], abs=1e-9)


def test_hermitian_observables_of_one_and_of_two_qubits_are_measured_in_their_eigenbasis() -> None:
    rng = np.random.default_rng(5)
    one, two = _random_hermitian(rng, 2), _random_hermitian(rng, 4)
    (result,) = result_types(HEAD + f"#pragma braket result expectation hermitian({_text(one)}) q[1]")
    assert value(result, _readout((result,)), (0, 1, 2)) == pytest.approx(_expected({1: np.array(one)})[0], abs=1e-9)
    (result,) = result_types(HEAD + f"#pragma braket result expectation hermitian({_text(two)}) q[2], q[0]")
    # Braket's first target is the most significant: the operator acts on |q2 q0⟩
    state = _state().reshape(2, 2, 2)
    pair = np.einsum("abcd,ced,aeb->", np.array(two).reshape(2, 2, 2, 2), state, state.conj())
    measured = value(result, _readout((result,)), (0, 1, 2))
    expected = sum(
        state[a, e, b].conjugate() * two[2 * a + b][2 * c + d] * state[c, e, d]
        for a in (0, 1)
        for b in (0, 1)
        for c in (0, 1)
        for d in (0, 1)
        for e in (0, 1)
    )
    assert pair == pytest.approx(expected)
    assert measured == pytest.approx(expected.real, abs=1e-9)


def test_results_without_targets_are_given_for_each_qubit() -> None:
    (result,) = result_types(HEAD + "#pragma braket result expectation y all")
    expected = [_expected({q: _PAULI["y"]})[0] for q in (0, 1, 2)]
    assert value(result, _readout((result,)), (0, 1, 2)) == pytest.approx(expected, abs=1e-9)


def test_probabilities_have_their_first_target_as_the_most_significant() -> None:
    (result,) = result_types(HEAD + "#pragma braket result probability q[2], q[0]")
    readout = Readout(bits=3, shots=4, weights={0b001: 0.25, 0b110: 0.75})
    assert value(result, readout, (0, 1, 2)) == [0.0, 0.25, 0.75, 0.0]


def test_samples_are_told_shot_by_shot() -> None:
    (result,) = result_types(HEAD + "#pragma braket result sample z(q[0]) @ z(q[1])")
    readout = Readout(bits=2, shots=8, weights={0b00: 0.5, 0b01: 0.5}, seed=3)
    samples = value(result, readout, (0, 1))
    assert samples == [1.0 if k == 0 else -1.0 for k in readout.memory()]
    assert sorted(set(samples)) == [-1.0, 1.0]


@pytest.mark.parametrize(
    ("pragmas", "together"),
    [
        (("expectation x(q[0])", "expectation z(q[0])"), False),
        (("expectation x(q[0])", "probability"), False),
        (("expectation x(q[0])", "probability q[1]"), True),
        (("expectation x(q[0])", "variance i(q[0])"), True),
        (("expectation x(q[0]) @ y(q[1])", "sample y(q[1])"), True),
        (("expectation x all", "expectation y(q[2])"), False),
    ],
)
def test_only_commuting_observables_are_measured_together(pragmas: tuple[str, ...], together: bool) -> None:
    results = result_types(HEAD + "".join(f"#pragma braket result {p}\n" for p in pragmas))
    if together:
        rotations(results, (0, 1, 2))
    else:
        with pytest.raises(Malformed, match="commute"):
            rotations(results, (0, 1, 2))


# ------------------------------------------------------------ S3, names, filters


def _stored(body: bytes) -> s3.Stored:
    return s3.Stored(body=body, modified_ns=0)


def test_ranges_of_an_object() -> None:
    stored = _stored(b"0123456789")
    assert s3.given(stored, None).status == 200
    part = s3.given(stored, "bytes=2-4")
    assert (part.status, part.body, part.headers["content-range"]) == (206, b"234", "bytes 2-4/10")
    assert s3.given(stored, "bytes=7-").body == b"789"
    assert s3.given(stored, "bytes=-2").body == b"89"
    assert s3.given(stored, "bytes=2-400").body == b"23456789"
    assert s3.given(stored, "bytes=99-").status == 416
    assert s3.given(stored, "lines=1-2").status == 200
    head = s3.given(stored, None, head=True)
    assert (head.body, head.headers["content-length"]) == (b"", "10")


def test_listing_by_pages_under_a_prefix() -> None:
    found = {f"a/{n}": _stored(b"x" * n) for n in range(5)} | {"b": _stored(b"")}
    first = ET.fromstring(s3.listing("bkt", found, {"prefix": "a/", "max-keys": "2"}).body)
    assert [k.text for k in first.iter(f"{S3}Key")] == ["a/0", "a/1"]
    assert first.findtext(f"{S3}IsTruncated") == "true"
    token = first.findtext(f"{S3}NextContinuationToken") or ""
    rest = ET.fromstring(s3.listing("bkt", found, {"prefix": "a/", "continuation-token": token}).body)
    assert [k.text for k in rest.iter(f"{S3}Key")] == ["a/2", "a/3", "a/4"]
    assert rest.findtext(f"{S3}IsTruncated") == "false"


def test_keys_are_escaped_or_encoded_as_asked() -> None:
    found = {"a&b <c>": _stored(b"")}
    plain = ET.fromstring(s3.listing("bkt", found, {}).body)
    assert plain.findtext(f"{S3}Contents/{S3}Key") == "a&b <c>"
    encoded = ET.fromstring(s3.listing("bkt", found, {"encoding-type": "url"}).body)
    assert encoded.findtext(f"{S3}Contents/{S3}Key") == "a%26b%20%3Cc%3E"


def test_a_store_takes_no_more_than_its_capacity(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "CAPACITY", 10)
    buckets = s3.Buckets()
    assert buckets.put("b", "k", _stored(b"12345678"))
    assert not buckets.put("b", "other", _stored(b"123"))
    assert buckets.put("b", "k", _stored(b"1234567890"))
    buckets.delete("b", "k")
    assert buckets.size == 0
    assert buckets.put("b", "other", _stored(b"123"))


def test_signatures_give_key_region_and_service() -> None:
    header = "AWS4-HMAC-SHA256 Credential=AKIA/20260101/eu-north-1/braket/aws4_request, SignedHeaders=host, Signature=0"
    assert scope({"authorization": header}, {}) == ("AKIA", "eu-north-1", "braket")
    assert scope({}, {"X-Amz-Credential": "AKIA/20260101/us-east-1/s3/aws4_request"}) == ("AKIA", "us-east-1", "s3")
    assert scope({"authorization": "apiKey abc"}, {}) is None
    assert scope({}, {}) is None


def test_accounts_and_arns() -> None:
    assert account_of("") == "123456789012"
    assert account_of("lab") != account_of("other")
    assert len(account_of("lab")) == 12
    assert run_in("arn:aws:braket:us-east-1:123456789012:quantum-task/ab-1") == "ab-1"
    assert run_in("arn:aws:braket:us-east-1:123456789012:job/ab-1") is None


def test_pages_and_their_tokens() -> None:
    found = [{"n": n} for n in range(5)]
    first, more = search.page(found, {"maxResults": 2})
    assert (first, more) == ([{"n": 0}, {"n": 1}], {"nextToken": "2"})
    assert search.page(found, {"maxResults": 2, "nextToken": "4"}) == ([{"n": 4}], {})
    for wrong in ({"maxResults": 0}, {"maxResults": 101}, {"maxResults": True}, {"nextToken": "x"}):
        with pytest.raises(Refusal):
            search.page(found, wrong)


def _filter(name: str, operator: str, *values: str) -> dict[str, object]:
    return {"filters": [{"name": name, "operator": operator, "values": list(values)}]}


def test_tasks_are_filtered_by_members_and_dates() -> None:
    told = {"status": "QUEUED", "createdAt": "2026-01-01T00:00:05.000Z"}
    assert search.task_filter(_filter("status", "EQUAL", "RUNNING", "QUEUED"))(told)
    assert not search.task_filter(_filter("status", "EQUAL", "RUNNING"))(told)
    assert search.task_filter(_filter("createdAt", "GTE", "2026-01-01T00:00:05Z"))(told)
    assert not search.task_filter(_filter("createdAt", "LT", "2026-01-01"))(told)
    assert search.task_filter(_filter("createdAt", "BETWEEN", "2026-01-01", "2026-01-02"))(told)
    assert not search.task_filter(_filter("createdAt", "LT", "2027-01-01"))({"status": "QUEUED"})


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"filters": None},
        {"filters": {}},
        {"filters": [1]},
        {"filters": [{"name": "status"}]},
        {"filters": [{"name": "status", "values": []}]},
        {"filters": [{"name": "status", "values": [1]}]},
        _filter("color", "EQUAL", "red"),
        _filter("status", "LT", "QUEUED"),
        _filter("status", "LIKE", "QUEUED"),
        _filter("createdAt", "BETWEEN", "2026-01-01"),
        _filter("createdAt", "LT", "yesterday"),
    ],
)
def test_wrong_filters_are_refused(body: dict[str, object]) -> None:
    with pytest.raises(Refusal) as caught:
        search.task_filter(body)
    assert caught.value.status == 400


def test_what_a_client_can_make_of_results() -> None:
    class Kept:
        pass

    task = Kept()
    assert received(task, b'{"measurements":[[1,0],[1,0],[0,1],[1,1]]}') == ({1: 0.5, 2: 0.25, 3: 0.25},)  # type: ignore[arg-type]
    assert received(task, b'{"measurementProbabilities":{"10":0.25,"01":0.75}}') == ({1: 0.25, 2: 0.75},)  # type: ignore[arg-type]
    for useless in (b"", b"{", b"[]", b"null", b'{"measurements":[]}', b'{"measurements":[[null]]}', b"{}"):
        assert received(task, useless) is None  # type: ignore[arg-type]
