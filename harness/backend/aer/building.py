"""Our circuits as qiskit's, made of a device's native gates, so that each of them errs once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from qiskit import QuantumCircuit, transpile
from qiskit.circuit import Gate as Opaque
from qiskit.circuit import IfElseOp, library
from qiskit.circuit.library import UnitaryGate
from qiskit.transpiler import Target

from harness.backend.circuit import ROTATIONS, UNITARY, Branch, Circuit, Gate, Measure, Reset, Step

_KINDS: dict[str, Any] = {
    "x": library.XGate,
    "y": library.YGate,
    "z": library.ZGate,
    "h": library.HGate,
    "s": library.SGate,
    "sdg": library.SdgGate,
    "t": library.TGate,
    "tdg": library.TdgGate,
    "sx": library.SXGate,
    "sxdg": library.SXdgGate,
    "rx": library.RXGate,
    "ry": library.RYGate,
    "rz": library.RZGate,
    "p": library.PhaseGate,
    "rxx": library.RXXGate,
    "ryy": library.RYYGate,
    "rzz": library.RZZGate,
    "swap": library.SwapGate,
}
#: two-qubit gates that qiskit's basis translation can make everything of, best first
_ENTANGLERS = ("cx", "cz", "ecr", "iswap")
#: trapped ions' own: native to every calibration, whatever it names
IONIC = {"gpi": 1, "gpi2": 1, "ms": 2, "zz": 2}


def native_gates(native: tuple[str, ...]) -> tuple[str, ...]:
    """What circuits are made of on a device: its native gates, and what is needed to reach the others."""
    entangler = next((e for e in _ENTANGLERS if e in native), "cx")
    return tuple(dict.fromkeys(("rz", "sx", "x", entangler, *native, *IONIC)))


def lowered(circuit: Circuit, native: tuple[str, ...]) -> Any:
    """Over the used qubits, the k-th of them as k; nothing is optimised away: what was asked for really errs."""
    basis = native_gates(native)
    opaque: dict[str, Gate] = {}
    built = _circuit(circuit)
    _add(built, circuit.gates, _Places(circuit), _Keeping(basis, opaque))
    known = [b for b in basis if b in library.standard_gates.get_standard_gate_name_mapping()]
    made = transpile(built, **_device(known, opaque), optimization_level=0, seed_transpiler=0)
    return _disclosed(made, opaque)


def _device(known: list[str], opaque: Mapping[str, Gate]) -> dict[str, Any]:
    """What to transpile for. Qiskit takes no names that it doesn't know as basis gates, only in a target."""
    if not opaque:
        return {"basis_gates": known}
    own = {name: Opaque(name, len(gate.targets), []) for name, gate in opaque.items()}
    target = Target.from_configuration([*known, "measure", "reset", *own], custom_name_mapping=own)
    target.add_instruction(IfElseOp, name="if_else")
    return {"target": target}


class _Places:
    """Where a circuit's qubits are in the one that is built."""

    def __init__(self, circuit: Circuit) -> None:
        self.of: Mapping[int, int] = {q: k for k, q in enumerate(positions(circuit))}

    def __call__(self, qubits: Iterable[int]) -> list[int]:
        return [self.of[q] for q in qubits]


def positions(circuit: Circuit) -> tuple[int, ...]:
    """The qubits that are simulated: a dynamic circuit's measured ones as well, for there all is done shot by shot."""
    if not circuit.dynamic:
        return circuit.used
    return tuple(sorted({*circuit.used, *(q for q, _ in circuit.readout)}))


class _Keeping:
    """Turns gates into instructions; a labelled unitary that is native becomes opaque, so that nothing unpacks it."""

    def __init__(self, basis: tuple[str, ...], opaque: dict[str, Gate]) -> None:
        self._basis, self._opaque = basis, opaque

    def __call__(self, gate: Gate) -> Any:
        if gate.name != UNITARY:
            kind = _KINDS[gate.name]
            made = kind(gate.angle_rad) if gate.name in ROTATIONS else kind()
        elif gate.label in self._basis and not gate.controls:
            name = f"{gate.label}_{len(self._opaque)}"
            self._opaque[name] = gate
            return Opaque(name, len(gate.targets), [])
        else:
            made = UnitaryGate([list(row) for row in gate.matrix or ()])
        return made.control(len(gate.controls)) if gate.controls else made


def _circuit(circuit: Circuit) -> Any:
    return QuantumCircuit(len(positions(circuit)), circuit.bits if circuit.dynamic else 0)


def _add(built: Any, steps: tuple[Step, ...], place: _Places, instruction: _Keeping) -> None:
    for step in steps:
        if isinstance(step, Gate):
            built.append(instruction(step), place(step.qubits))
        elif isinstance(step, Measure):
            built.measure(place.of[step.qubit], step.clbit)
        elif isinstance(step, Reset):
            built.reset(place.of[step.qubit])
        else:
            _branch(built, step, place, instruction)


def _branch(built: Any, step: Branch, place: _Places, instruction: _Keeping) -> None:
    """Bit by bit, innermost the last: qiskit compares one bit or one whole register."""
    if not step.clbits:
        _add(built, step.then if step.value == 0 else step.otherwise, place, instruction)
        return
    bit, rest = step.clbits[0], Branch(step.clbits[1:], step.value >> 1, step.then, step.otherwise)
    with built.if_test((built.clbits[bit], step.value & 1)) as fails:
        _branch(built, rest, place, instruction)
    with fails:
        _add(built, step.otherwise, place, instruction)


def _disclosed(made: Any, opaque: Mapping[str, Gate]) -> Any:
    """Opaque gates, and those that Aer doesn't know, become matrices, under the label that their noise goes by."""
    found = made.copy_empty_like()
    for item in made.data:
        operation = item.operation
        if operation.name in opaque:
            gate = opaque[operation.name]
            operation = UnitaryGate([list(row) for row in gate.matrix or ()], label=gate.label)
        elif operation.name == "iswap":
            operation = UnitaryGate(operation.to_matrix(), label="iswap")
        elif getattr(operation, "blocks", None):
            operation = operation.replace_blocks([_disclosed(b, opaque) for b in operation.blocks])
        found.append(operation, item.qubits, item.clbits)
    return found
