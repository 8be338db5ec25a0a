"""The model's two ways to the same number."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from targets.reference.science import (
    WEIGHTS,
    InvalidResult,
    circuit,
    predict_classically,
    predict_from_probabilities,
)

rows = st.lists(st.floats(-10, 10), min_size=1, max_size=4)


@given(rows)
def test_the_state_vector_agrees_with_the_closed_form(features: list[float]) -> None:
    """<Z0> = cos w0 cos x0 - sin w0 sin x0 sin x1 ..., by pulling Z0 back through the circuit."""
    z0 = math.cos(WEIGHTS[0]) * math.cos(features[0])
    z0 -= math.sin(WEIGHTS[0]) * math.prod(math.sin(x) for x in features)
    assert predict_classically(features) == pytest.approx((1 - z0) / 2, abs=1e-12)


@pytest.mark.parametrize("features", [[0.4], [0.4, 1.3], [0.4, 1.3, -2.0], [0.4, 1.3, -2.0, 0.1]])
def test_the_circuit_means_what_the_classical_path_computes(features: list[float]) -> None:
    """Checked against another simulator."""
    qiskit = pytest.importorskip("qiskit")
    from qiskit.quantum_info import Statevector

    built = qiskit.QuantumCircuit(len(features))
    for gate in circuit(features):
        if gate["gate"] == "ry":
            built.ry(gate["rotation"], gate["target"])
        else:
            built.cx(gate["control"], gate["target"])
    probabilities = {str(i): float(p) for i, p in enumerate(Statevector(built).probabilities())}
    delivered = predict_from_probabilities(features, probabilities)
    assert delivered == pytest.approx(predict_classically(features), abs=1e-9)


def test_qubit_0_is_the_least_significant_bit() -> None:
    """Odd keys are ones."""
    assert predict_from_probabilities([0.1, 0.2], {"1": 0.75, "2": 0.25}) == 0.75


@pytest.mark.parametrize(
    "probabilities",
    [{}, {"0": 0.5}, {"4": 1.0}, {"-1": 1.0}, {"x": 1.0}, {"0": 2.0, "1": -1.0}, {"0": math.nan}],
)
def test_what_is_no_distribution_is_refused(probabilities: dict[str, float]) -> None:
    """Never a prediction from nonsense."""
    with pytest.raises(InvalidResult):
        predict_from_probabilities([0.1, 0.2], probabilities)
