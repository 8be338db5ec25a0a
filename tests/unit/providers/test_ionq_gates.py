"""IonQ's gates and programs: native, Pauli evolutions, OpenQASM 3, and what is compiled of them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from scipy.linalg import expm

from harness.backend import sampling
from harness.backend.circuit import Circuit
from harness.facts import ResultDelivered, RunAccepted
from harness.providers._ionq_compile import compiled
from harness.providers._ionq_formats import schema_of
from harness.providers._ionq_gates import gates
from harness.providers.ionq import IonQ
from tests.unit.backend.scene import Scene, bell, play
from tests.unit.providers.spec import complain
from tests.unit.providers.test_ionq import checked, get, submit
from tests.unit.providers.test_ionq_operations import LONG_MS, call

_X, _Y, _Z = np.array([[0, 1], [1, 0]]), np.array([[0, -1j], [1j, 0]]), np.diag([1, -1])
_PAULI = {"I": np.eye(2), "X": _X, "Y": _Y, "Z": _Z}


def pauli(term: str) -> Any:
    """The last letter acts on the least significant qubit, as np.kron orders it."""
    matrix = np.eye(1)
    for letter in term:
        matrix = np.kron(matrix, _PAULI[letter])
    return matrix


def outcome(gateset: str, items: list[dict[str, Any]], qubits: int) -> Any:
    """The exact distribution of a circuit, through the backend."""
    made = tuple(g for i, item in enumerate(items) for g in gates(gateset, item, str(i)))
    found = sampling.exact(Circuit(qubits, made), None)
    return [found.get(k, 0.0) for k in range(2**qubits)]


def gpi(phase: float) -> Any:
    turn = np.exp(2j * math.pi * phase)
    return np.array([[0, 1 / turn], [turn, 0]])


def gpi2(phase: float) -> Any:
    turn = np.exp(2j * math.pi * phase)
    return np.array([[1, -1j / turn], [-1j * turn, 1]]) / math.sqrt(2)


def test_native_gates_are_ionqs() -> None:
    """By the matrices of docs.ionq.com, phases and angles in turns, in a circuit that tells them all apart."""
    items = [
        {"gate": "gpi2", "target": 0, "phase": 0.1},
        {"gate": "gpi2", "target": 1, "phase": 0.35},
        {"gate": "ms", "targets": [0, 1], "phases": [0.15, 0.4], "angle": 0.2},
        {"gate": "gpi", "target": 1, "phase": 0.3},
        {"gate": "zz", "targets": [0, 1], "angle": 0.13},
        {"gate": "nop", "target": 0},
        {"gate": "gpi2", "target": 0, "phase": 0.7},
        {"gate": "gpi2", "target": 1, "phase": 0.05},
    ]
    state = np.array([1, 0, 0, 0], dtype=complex)
    one, two = (lambda m: np.kron(np.eye(2), m)), (lambda m: np.kron(m, np.eye(2)))
    both = np.kron(gpi(0.4), gpi(0.15))
    for matrix in [
        one(gpi2(0.1)),
        two(gpi2(0.35)),
        expm(-1j * math.pi * 0.2 * both),
        two(gpi(0.3)),
        expm(-1j * math.pi * 0.13 * pauli("ZZ")),
        one(gpi2(0.7)),
        two(gpi2(0.05)),
    ]:
        state = matrix @ state
    assert outcome("native", items, 2) == pytest.approx(list(abs(state) ** 2), abs=1e-9)


@pytest.mark.parametrize(
    ("terms", "coefficients", "tolerance"),
    [
        (["XYZ"], [0.7], 1e-9),
        (["XX", "YY", "ZZ"], [0.3, -0.2, 0.9], 1e-9),
        (["IX", "XI", "II"], [0.3, 0.4, 5], 1e-9),
        (["XX", "ZI", "IY"], [0.5, 0.7, 0.2], 5e-3),
    ],
)
def test_pauli_evolutions(terms: list[str], coefficients: list[float], tolerance: float) -> None:
    """exp(−i t Σ c P), exact for commuting terms; strings end with the first target."""
    qubits = len(terms[0])
    spread = [{"gate": "ry", "target": q, "rotation": 0.3 + q} for q in range(qubits)]
    item = {
        "gate": "pauliexp",
        "targets": list(range(qubits)),
        "terms": terms,
        "coefficients": coefficients,
        "time": 0.8,
    }
    state = np.eye(1, 2**qubits)[0]
    rotation = np.eye(1)
    for q in range(qubits):
        rotation = np.kron(expm(-0.5j * (0.3 + q) * _Y), rotation)
    hamiltonian = sum(c * pauli(t) for c, t in zip(coefficients, terms, strict=True))
    state = rotation @ expm(-0.8j * hamiltonian) @ rotation @ state
    assert outcome("qis", [*spread, item, *spread], qubits) == pytest.approx(list(abs(state) ** 2), abs=tolerance)


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(st.data(), st.sampled_from(["zz", "ms"]))
def test_what_is_compiled_is_the_same_circuit(data: st.DataObject, entangler: str) -> None:
    """Any gates that IonQ's clients send, on three qubits: the native circuit has the same distribution."""
    words = {"one": "h x y z s si t ti v vi not", "turn": "rx ry rz z", "two": "cnot swap", "both": "xx yy zz"}
    angle = st.floats(-7, 7).map(lambda v: round(v, 3))
    items = []
    for _ in range(data.draw(st.integers(1, 10))):
        kind = data.draw(st.sampled_from(sorted(words)))
        a, b = data.draw(st.permutations(range(3)))[:2]
        item: dict[str, Any] = {"gate": data.draw(st.sampled_from(words[kind].split()))}
        item |= {"targets": [a, b]} if kind == "both" or item["gate"] == "swap" else {"target": a}
        if item["gate"] == "cnot" or (kind in ("one", "turn") and data.draw(st.booleans())):
            item["control"] = b
        if kind in ("turn", "both"):
            item["rotation"] = data.draw(angle)
        items.append(item)
    circuit = Circuit(3, tuple(g for i, item in enumerate(items) for g in gates("qis", item, str(i))))
    native = compiled(circuit, entangler)
    assert not list(Draft202012Validator(schema_of("ionq.native.v1")).iter_errors(native))
    assert outcome("native", native["circuit"], 3) == pytest.approx(outcome("qis", items, 3), abs=1e-6)


def test_machines_hand_out_what_they_compiled() -> None:
    """Dry runs too, which have no results; not of gates that have no native form here."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        toffoli = {"gateset": "qis", "circuit": [{"gate": "x", "controls": [0, 1], "target": 2}]}
        dry, run, not_here = [
            await submit(scene, q, bell(**more)) for more in ({"dry_run": True}, {}, {"input": toffoli})
        ]
        await scene.clock.sleep_ms(LONG_MS)
        for job in (dry, run):
            view = checked(await get(scene, q, f"/jobs/{job}"), "SingleCircuitJob")
            (artifact,) = view["output"]["compilation"]["compiled_circuits"].values()
            native = await get(scene, q, f"/jobs/{job}/artifacts/{artifact['id']}")
            assert complain("IonqNativeV1", native) == []
            assert (view["results"] is None) == (job == dry)
        assert (await get(scene, q, f"/jobs/{not_here}"))["output"] == {}
        assert not scene.facts(ResultDelivered)
        await q.aclose()

    play(act)


def test_a_batch_mixes_gate_sets() -> None:
    """The document's own example: a circuit may override its parent's."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        payload = document_example()
        job = await submit(scene, q, payload)
        await scene.clock.sleep_ms(LONG_MS)
        first, second = (await get(scene, q, f"/jobs/{job}/results/probabilities")).values()
        assert first == {"0": 0.5, "1": 0.5}
        assert sum(second.values()) == pytest.approx(1)
        await q.aclose()

    play(act)


def document_example() -> Mapping[str, Any]:
    return {
        "type": "ionq.multi-circuit.v1",
        "backend": "simulator",
        "shots": 500,
        "input": {
            "gateset": "native",
            "qubits": 2,
            "circuits": [
                {
                    "name": "qis circuit override",
                    "gateset": "qis",
                    "circuit": [{"gate": "h", "target": 0}, {"gate": "cnot", "target": 0, "control": 1}],
                },
                {
                    "name": "native circuit from parent",
                    "circuit": [
                        {"gate": "ms", "targets": [0, 1], "phases": [0, 0.25]},
                        {"gate": "gpi2", "target": 0, "phase": 0.75},
                    ],
                },
            ],
        },
    }


QASM = """OPENQASM 3.0;
include "stdgates.inc";
bit[2] a;
bit b;
qubit[2] q;
x q[0];
cx q[0], q[1];
a[1] = measure q[1];
"""


def qasm(program: str, **more: Any) -> dict[str, Any]:
    return bell(**{"type": "ionq.qasm3.v1", "input": {"qubits": 2, "data": program}, **more})


def test_a_program_is_told_register_by_register() -> None:
    """With the bits that it declares, measured on the way or at the end."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        end = await submit(scene, q, qasm(QASM, backend="simulator"))
        way = await submit(scene, q, qasm(QASM + "x q[1];\nb = measure q[1];\n", backend="simulator", shots=7))
        await scene.clock.sleep_ms(LONG_MS)
        registers = {"a": {"10": 1}, "b": {"0": 1}, "output_all": {"010": 1}}
        told = await get(scene, q, f"/jobs/{end}/artifacts/probabilities-v2")
        assert told == {"probabilities": {"registers": registers}}
        assert checked(await get(scene, q, f"/jobs/{way}"), "SingleCircuitJob")["type"] == "ionq.qasm3.v1"
        shots = (await get(scene, q, f"/jobs/{way}/artifacts/shots-v2"))["shots"]
        assert shots == [{"registers": {"a": [0, 1], "b": [0], "output_all": [0, 1, 0]}}] * 7
        await q.aclose()

    play(act)


@pytest.mark.parametrize("program", ["", "OPENQASM 3;", "qubit[9", "OPENQASM 3; qubit[2] q; tea q[0];", 7, None])
def test_a_program_that_can_not_be_read_is_refused(program: Any) -> None:
    """With its key; nothing runs."""

    async def act(scene: Scene) -> None:
        q = IonQ.make(scene.south, {})
        await call(scene, q, "POST /jobs", qasm(program), 400)
        assert not scene.facts(RunAccepted)

    play(act)
