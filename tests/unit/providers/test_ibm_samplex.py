"""Samplexes, as IBM's client really sends them (ibm-sent.json), drawn and checked against plain linear algebra.

ibm-sent.json holds executor parameters written by qiskit-ibm-runtime 0.51.0 with samplomatic 0.21.0: one circuit on
three qubits with two parameters, sampled with twirling (all schema versions, both distributions) and without, and
estimated at resilience levels 0 and 1.
"""

from __future__ import annotations

import base64
import io
import json
import zlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from qiskit import QuantumCircuit, qpy
from qiskit.circuit import Parameter
from qiskit.quantum_info import Statevector

from harness.providers import _ibm_json as wire
from harness.providers import _ibm_samplex as samplexes
from harness.providers._protocol import Refusal

SENT: Mapping[str, Any] = json.loads((Path(__file__).parent / "ibm-sent.json").read_text())
VALUES = np.array([[0.1, 0.2], [0.5, -1.0]])
TWIRLED = sorted(name for name in SENT if name.startswith("sampler") and "plain" not in name)


def original(values: Sequence[float]) -> QuantumCircuit:
    """The circuit behind ibm-sent.json."""
    a, b = Parameter("a"), Parameter("b")
    circuit = QuantumCircuit(3)
    circuit.rz(0.3, 0)
    circuit.sx(0)
    circuit.rz(a, 0)
    circuit.cz(0, 1)
    circuit.sx(1)
    circuit.rz(b + a * 2, 1)
    circuit.sx(1)
    circuit.cx(1, 2)
    circuit.x(2)
    circuit.rz(1.1, 2)
    circuit.sx(2)
    circuit.ecr(0, 2)
    return circuit.assign_parameters(list(values))


def expressions(data: bytes, place: str) -> Callable[[Sequence[float]], Sequence[float]]:
    (circuit,) = qpy.load(io.BytesIO(data))

    def evaluate(values: Sequence[float]) -> Sequence[float]:
        bound = circuit.assign_parameters([float(v) for v in values]) if circuit.num_parameters else circuit
        return [float(step.operation.params[0]) for step in bound.data]

    return evaluate


def templates(params: Mapping[str, Any]) -> list[QuantumCircuit]:
    program = params["quantum_program"]
    if "circuits" not in program:
        return [qpy.load(io.BytesIO(base64.b64decode(i["circuit"]["circuit_b64"])))[0] for i in program["items"]]
    data = base64.b64decode(program["circuits"]["b64_data"])
    found: list[QuantumCircuit] = qpy.load(
        io.BytesIO(zlib.decompress(data) if params["schema_version"] == "v2.0" else data)
    )
    return found


def drawn(params: Mapping[str, Any], index: int = 0, seed: int = 1) -> dict[str, Any]:
    item = params["quantum_program"]["items"][index]
    compressed = params["schema_version"] == "v2.0"
    samplex = samplexes.read(item["samplex"]["samplex_json"], expressions, "samplex")
    arguments = {n: wire.tensor(t, n, compressed) for n, t in item["samplex_arguments"].items()}
    return samplexes.draw(samplex, arguments, tuple(item["shape"]), np.random.RandomState(seed), "item")


def probabilities(circuit: QuantumCircuit) -> Any:
    return Statevector(circuit.remove_final_measurements(inplace=False)).probabilities()


@pytest.mark.parametrize("name", TWIRLED)
def test_every_randomization_is_the_circuit_with_its_flips(name: str) -> None:
    """Twirled gates and flipped measurements, undone, give the distribution of the circuit that was twirled."""
    params = SENT[name]
    (template,), out = templates(params), drawn(params)
    for at in np.ndindex(*params["quantum_program"]["items"][0]["shape"]):
        bound = template.assign_parameters([float(v) for v in out["parameter_values"][at]])
        flips = sum(int(f) << k for k, f in enumerate(out["measurement_flips.c"][at][0]))
        got = probabilities(bound)[np.arange(8) ^ flips]
        np.testing.assert_allclose(got, probabilities(original(VALUES[at[-1]])), atol=1e-5)


def test_randomizations_differ_and_the_seed_decides() -> None:
    params = SENT["sampler v2.0 pauli"]
    one, again, other = drawn(params), drawn(params), drawn(params, seed=2)
    assert (one["parameter_values"] == again["parameter_values"]).all()
    assert (one["parameter_values"] != other["parameter_values"]).any()
    assert len({row.tobytes() for row in one["parameter_values"][:, 0]}) > 1


def test_balanced_paulis_are_each_drawn_as_often_as_the_others() -> None:
    samplex = samplexes.read(altered(), expressions, "here")
    play = samplexes._Play(samplex, {}, 8, np.random.RandomState(1))
    paulis = play._paulis({"id": "D3", "num_subsystems": 5})
    assert (np.sort(paulis, axis=1) == [0, 0, 1, 1, 2, 2, 3, 3]).all()


def test_bases_of_an_estimator_are_swept() -> None:
    """Two bases, one randomization: the first reads ZZX, the second XYI and I, so they need different angles."""
    out = drawn(SENT["estimator v2.0 level 0"])
    assert out["parameter_values"].shape[:2] == (1, 2)
    assert (out["parameter_values"][0, 0] != out["parameter_values"][0, 1]).any()


def test_an_item_without_arguments_is_all_randomizations() -> None:
    """The readout calibration that resilience level 1 adds."""
    flips = drawn(SENT["estimator v2.0 level 1"], index=1)["measurement_flips._meas"]
    assert flips.shape == (2, 1, 3)


@pytest.mark.parametrize("synth", ["RzSxSynth", "RzRxSynth"])
def test_angles_rebuild_every_gate(synth: str) -> None:
    """Random gates and the special ones, from the template's own gates, up to a phase."""
    from scipy.stats import unitary_group

    special = [
        np.eye(2),
        [[0, 1], [1, 0]],
        [[0, -1j], [1j, 0]],
        [[1, 0], [0, -1]],
        np.array([[1, 1], [1, -1]]) / 2**0.5,
    ]
    gates = np.array([*special, *unitary_group.rvs(2, size=50, random_state=1)], dtype=complex)[:, None]
    for gate, (first, middle, last) in zip(gates[:, 0], samplexes._angles(gates, synth)[:, 0], strict=True):
        circuit = QuantumCircuit(1)
        circuit.rz(first, 0)
        if synth == "RzSxSynth":
            circuit.sx(0)
            circuit.rz(middle, 0)
            circuit.sx(0)
        else:
            circuit.rx(middle, 0)
        circuit.rz(last, 0)
        made = np.asarray(circuit_matrix(circuit))
        assert abs(np.trace(made.conj().T @ gate)) == pytest.approx(2, abs=1e-9)


def circuit_matrix(circuit: QuantumCircuit) -> Any:
    from qiskit.quantum_info import Operator

    return Operator(circuit).data


def altered(**attrs: str) -> str:
    raw = json.loads(SENT["sampler v2.0 pauli"]["quantum_program"]["items"][0]["samplex"]["samplex_json"])
    raw["attrs"] |= attrs
    return json.dumps(raw)


@pytest.mark.parametrize("text", ["", "{}", "[]", "null", '{"attrs": {}}', altered(param_table="{}"), altered(ssv="9")])
def test_what_is_no_samplex_is_refused(text: str) -> None:
    with pytest.raises(Refusal) as refused:
        samplexes.read(text, expressions, "here")
    assert refused.value.status == 400


def test_a_cycle_is_refused() -> None:
    raw = json.loads(altered())
    raw["links"] += [{"source": link["target"], "target": link["source"]} for link in raw["links"][:1]]
    with pytest.raises(Refusal):
        samplexes.read(json.dumps(raw), expressions, "here")


def test_arguments_that_do_not_fit_are_refused() -> None:
    samplex = samplexes.read(altered(), expressions, "here")
    with pytest.raises(Refusal):
        samplexes.draw(samplex, {"parameter_values": np.zeros((3, 2))}, (8, 2), np.random.RandomState(1), "here")
    with pytest.raises(Refusal):
        samplexes.draw(samplex, {}, (8, 2), np.random.RandomState(1), "here")


def test_a_node_that_is_not_simulated_is_named() -> None:
    raw = json.loads(altered())
    raw["nodes"][0]["data"]["id"] = "N5"
    samplex = samplexes.read(json.dumps(raw), expressions, "here")
    with pytest.raises(Refusal, match="N5"):
        samplexes.draw(samplex, {"parameter_values": VALUES}, (8, 2), np.random.RandomState(1), "here")
