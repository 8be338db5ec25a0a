"""Parts of OQTOPUS's protocol on their own: expectation values, uploads, zips."""

from __future__ import annotations

import contextlib
import itertools
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from harness.backend import sampling
from harness.backend.circuit import Circuit, Gate
from harness.providers._oqtopus_estimation import Estimation, operator
from harness.providers._oqtopus_input import Job
from harness.providers._oqtopus_storage import multipart, unzipped, zipped
from harness.providers._oqtopus_views import result, together
from harness.providers._protocol import Refusal
from harness.tellings import Readout
from harness.wire import Request

PAULIS = {
    "I": np.eye(2),
    "X": np.array([[0, 1], [1, 0]]),
    "Y": np.array([[0, -1j], [1j, 0]]),
    "Z": np.diag([1, -1]),
}
ANGLES = st.floats(-math.pi, math.pi)
GATES = st.one_of(
    st.builds(
        lambda n, q, a: Gate(n, (q,), angle_rad=a), st.sampled_from(["rx", "ry", "rz"]), st.integers(0, 2), ANGLES
    ),
    st.builds(lambda q: Gate("x", ((q + 1) % 3,), (q,)), st.integers(0, 2)),
)
STRINGS = st.lists(st.tuples(st.text("IXYZ", min_size=3, max_size=3), st.floats(-3, 3)), min_size=1, max_size=6)


def rotation(gate: Gate) -> np.ndarray:
    half = (gate.angle_rad or 0) / 2
    return math.cos(half) * np.eye(2) - 1j * math.sin(half) * PAULIS[gate.name[1].upper()]


def state(gates: list[Gate]) -> np.ndarray:
    """Of three qubits, qubit 0 the least significant, by plain matrices."""
    vector = np.zeros(8, dtype=complex)
    vector[0] = 1
    for gate in gates:
        if gate.controls:
            control, target = gate.controls[0], gate.targets[0]
            vector = np.array([vector[i ^ (1 << target) if i >> control & 1 else i] for i in range(8)])
        else:
            factors = [rotation(gate) if q == gate.targets[0] else np.eye(2) for q in (2, 1, 0)]
            vector = np.kron(np.kron(factors[0], factors[1]), factors[2]) @ vector
    return vector


def exactly(estimation: Estimation, circuit: Circuit) -> tuple[float, float]:
    """With the exact weights of an ideal device."""
    found = [Readout(bits=3, shots=1, weights=sampling.exact(c, None)) for c in estimation.circuits(circuit)]
    return estimation.of(found)


@settings(max_examples=40, deadline=None)
@given(st.lists(GATES, max_size=8), STRINGS)
def test_an_expectation_value_is_the_textbooks(gates: list[Gate], terms: list[tuple[str, float]]) -> None:
    """⟨ψ|O|ψ⟩ and Σ |c| √(1 − ⟨P⟩²), whichever terms share a circuit; the text's last letter is qubit 0."""
    items = [{"pauli": " ".join(f"{p} {2 - i}" for i, p in enumerate(text)), "coeff": c} for text, c in terms]
    value, deviation = exactly(operator(items, 3), Circuit(3, tuple(gates)))
    vector = state(gates)
    means = []
    for text, _ in terms:
        matrix = np.kron(np.kron(PAULIS[text[0]], PAULIS[text[1]]), PAULIS[text[2]])
        means.append((vector.conj() @ matrix @ vector).real)
    assert value == pytest.approx(sum(c * m for (_, c), m in zip(terms, means, strict=True)), abs=1e-7)
    spread = sum(abs(c) * math.sqrt(max(1 - m * m, 0)) for (_, c), m in zip(terms, means, strict=True))
    assert deviation == pytest.approx(spread, abs=1e-4)


@given(STRINGS)
def test_terms_in_one_group_are_measured_in_one_basis(terms: list[tuple[str, float]]) -> None:
    """And none is lost."""
    items = [{"pauli": " ".join(f"{p} {i}" for i, p in enumerate(text)), "coeff": c} for text, c in terms]
    found = operator(items, 3)
    for group in found.groups:
        for one, other in itertools.combinations(group, 2):
            assert all(other.paulis.get(q, p) == p for q, p in one.paulis.items())
    assert sum(map(len, found.groups)) == sum(set(text) != {"I"} for text, _ in terms)
    assert len(found.groups) <= 27


@pytest.mark.parametrize("text", ["X0 Y1", "X 0 Y 1", "X 0Y 1", " X0Y1 "])
def test_pauli_strings_are_read_as_the_service_reads_them(text: str) -> None:
    assert operator([{"pauli": text}], 2).groups[0][0].paulis == {0: "X", 1: "Y"}


@pytest.mark.parametrize("weights", [{}, {0: -1.0, 1: 2.0}, {0: math.nan}, {0: math.inf, 1: 1.0}, {9: 0.5}])
def test_corrupt_readouts_give_some_answer(weights: dict[int, float]) -> None:
    """What faults make of results is told as far as it can be."""
    readout = Readout(bits=1, shots=10, weights=weights)
    estimation = operator([{"pauli": "Z 0", "coeff": 1.0}], 1)
    base: dict[str, Any] = {"infos": {}, "upload": b""}
    for kept in (Job(type="sampling", **base), Job(type="multi_manual", **base)):
        told = result(kept, (readout,))["sampling"]
        assert all(set(bits) <= {"0", "1"} for bits in told["counts"])
    assert "exp_value" in result(Job(type="estimation", estimation=estimation, **base), (readout,))["estimation"]


def test_a_program_without_a_result_is_left_out() -> None:
    good, bad = Readout(bits=1, shots=10, weights={1: 1.0}), Readout(bits=1, shots=10, weights={}, failed="burnt")
    kept = Job(type="multi_manual", infos={}, upload=b"")
    assert result(kept, (bad, good)) == {"sampling": {"counts": {}, "divided_counts": {"1": {"1": 10}}}}


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 40)), min_size=1, max_size=3), st.integers(0, 5))
def test_counts_over_all_bits_have_the_parts_as_marginals(shape: list[tuple[int, int]], seed: int) -> None:
    parts = []
    for i, (bits, weight) in enumerate(shape):
        weights = {0: weight / 40, 2**bits - 1: 1 - weight / 40}
        parts.append(Readout(bits=bits, shots=40, weights=weights, seed=seed * 10 + i))
    whole = together(parts)
    at = 0
    for part in parts:
        found: dict[int, int] = {}
        for key, n in whole.items():
            end = len(key) - at
            own = int(key[end - part.bits : end], 2)
            found[own] = found.get(own, 0) + n
        assert found == part.counts()
        at += part.bits


@given(st.dictionaries(st.text(max_size=5), st.integers() | st.text(max_size=9), max_size=5))
def test_zips_come_back(value: dict[str, Any]) -> None:
    assert unzipped(zipped("x", value)) == value
    assert zipped("x", value) == zipped("x", value)


@given(st.binary(max_size=200), st.binary(max_size=40))
def test_uploads_come_through_byte_by_byte(content: bytes, more: bytes) -> None:
    """Line ends, zeros and what looks like a boundary included."""
    content = content + b"\r\n--" + more
    field = b'--zQ\r\nContent-Disposition: form-data; name="key"\r\n\r\na/b.zip\r\n'
    file = (
        b'--zQ\r\ncontent-disposition: form-data; name="file"; filename="x.zip"\r\n\r\n' + content + b"\r\n--zQ--\r\n"
    )
    headers = {"content-type": 'multipart/form-data; boundary="zQ"'}
    found = multipart(Request("POST", "/storage", headers=headers, body=field + file))
    assert found == {"key": b"a/b.zip", "file": content}


@given(st.binary(max_size=100), st.text(max_size=40))
def test_bodies_that_are_no_forms_are_refused(body: bytes, kind: str) -> None:
    for content_type in (kind, f"multipart/form-data; boundary={kind}", "multipart/form-data; boundary=x"):
        with contextlib.suppress(Refusal):
            multipart(Request("POST", "/storage", headers={"content-type": content_type}, body=body))
