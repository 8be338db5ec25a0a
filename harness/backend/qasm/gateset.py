"""Gates by name: the standard libraries of OpenQASM 3 and 2, Braket's, and trapped ions' native ones."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

from harness.backend.circuit import GATES, ROTATIONS, UNITARY, Gate, Matrix
from harness.backend.matrices import adjoint, diagonal, gpi, gpi2, ms, xy

_ADJOINT = {"s": "sdg", "sdg": "s", "t": "tdg", "tdg": "t", "sx": "sxdg", "sxdg": "sx"}
_R = 1 / math.sqrt(2)
_TURN = 2 * math.pi
Made = Sequence[Gate]


@dataclass(frozen=True)
class Definition:
    """How many angles and qubits a gate takes, and the gates it is made of; exact, phases included."""

    angles: int
    qubits: int
    make: Callable[[Sequence[float], Sequence[int]], Made]


def inverse(gate: Gate) -> Gate:
    """The gate that undoes it."""
    if gate.name == UNITARY:
        return replace(gate, matrix=adjoint(gate.matrix or ()), label="")
    if gate.angle_rad is not None:
        return replace(gate, angle_rad=-gate.angle_rad)
    return replace(gate, name=_ADJOINT.get(gate.name, gate.name))


def unitary(matrix: Matrix, qubits: Sequence[int], label: str = "") -> Gate:
    """A gate that is its matrix; the first qubit is the least significant."""
    return Gate(UNITARY, tuple(qubits), (), None, tuple(tuple(complex(v) for v in row) for row in matrix), label)


def _plain(name: str, controls: int = 0) -> Definition:
    """One of our gates under 0, 1 … controls, which come first."""
    turned = name in ROTATIONS

    def make(angles: Sequence[float], qubits: Sequence[int]) -> Made:
        return (Gate(name, tuple(qubits[controls:]), tuple(qubits[:controls]), angles[0] if turned else None),)

    return Definition(int(turned), GATES[name] + controls, make)


def _matrix(qubits: int, label: str, matrix: Callable[..., Matrix], angles: int = 0) -> Definition:
    def make(given: Sequence[float], on: Sequence[int]) -> Made:
        return (unitary(matrix(*given), on, label),)

    return Definition(angles, qubits, make)


def _u(angles: Sequence[float], qubits: Sequence[int], controls: tuple[int, ...] = ()) -> Made:
    """[[cos θ/2, −e^iλ sin θ/2], [e^iφ sin θ/2, e^i(φ+λ) cos θ/2]] = p(φ) ry(θ) p(λ)."""
    theta, phi, lam = angles
    parts = (("p", lam), ("ry", theta), ("p", phi))
    return tuple(Gate(name, tuple(qubits), controls, angle) for name, angle in parts)


def _u2(angles: Sequence[float], qubits: Sequence[int]) -> Made:
    return _u((math.pi / 2, *angles), qubits)


def _cu(angles: Sequence[float], qubits: Sequence[int]) -> Made:
    control, target = qubits
    return (*_u(angles[:3], (target,), (control,)), Gate("p", (control,), (), angles[3]))


def _cu3(angles: Sequence[float], qubits: Sequence[int]) -> Made:
    return _u(angles, qubits[1:], (qubits[0],))


def _rzx(angles: Sequence[float], qubits: Sequence[int]) -> Made:
    target = (qubits[1],)
    return (Gate("h", target), Gate("rzz", tuple(qubits), (), angles[0]), Gate("h", target))


def _dcx(_: Sequence[float], qubits: Sequence[int]) -> Made:
    a, b = qubits
    return (Gate("x", (b,), (a,)), Gate("x", (a,), (b,)))


def _relative(ladder: str) -> Callable[[Sequence[float], Sequence[int]], Made]:
    """Of qelib1.inc's Toffolis with relative phases: h, t, T (its inverse) on the last qubit, a, b, c its controls."""

    def make(_: Sequence[float], qubits: Sequence[int]) -> Made:
        last = (qubits[-1],)
        kinds = {"h": "h", "t": "t", "T": "tdg"}
        return tuple(Gate(kinds[k], last) if k in kinds else Gate("x", last, (qubits["abc".index(k)],)) for k in ladder)

    return make


def ecr() -> Matrix:
    """qiskit's echoed cross-resonance gate."""
    r, i = _R, _R * 1j
    return ((0, r, 0, i), (r, 0, -i, 0), (0, i, 0, r), (-i, 0, r, 0))


def middle(same: complex, crossed: complex) -> Matrix:
    """On 01 and 10: ``same`` stays, ``crossed`` is exchanged; 00 and 11 are left alone."""
    return ((1, 0, 0, 0), (0, same, crossed, 0), (0, crossed, same, 0), (0, 0, 0, 1))


def _phase_at(state: int) -> Callable[[float], Matrix]:
    def matrix(angle: float) -> Matrix:
        return diagonal([cmath.exp(1j * angle) if k == state else 1 for k in range(4)])

    return matrix


_NOTHING = Definition(0, 1, lambda _, qubits: ())
_U = Definition(3, 1, _u)
_SHARED: dict[str, Definition] = {
    **{name: _plain(name) for name in GATES},
    "U": _U,
    "u": _U,
    "id": _NOTHING,
    "cy": _plain("y", 1),
    "cz": _plain("z", 1),
    "cswap": _plain("swap", 1),
    "iswap": _matrix(2, "iswap", lambda: middle(0, 1j)),
    "ecr": _matrix(2, "ecr", ecr),
    "prx": _matrix(1, "r", xy, 2),
}
#: stdgates.inc and qelib1.inc, what qiskit writes beyond them, and the native gates of IonQ with phases in turns
STANDARD: Mapping[str, Definition] = MappingProxyType(
    {
        **_SHARED,
        "cx": _plain("x", 1),
        "CX": _plain("x", 1),
        "ccx": _plain("x", 2),
        "c3x": _plain("x", 3),
        "c4x": _plain("x", 4),
        "ccz": _plain("z", 2),
        "ch": _plain("h", 1),
        "cs": _plain("s", 1),
        "csdg": _plain("sdg", 1),
        "csx": _plain("sx", 1),
        "cp": _plain("p", 1),
        "cphase": _plain("p", 1),
        "cu1": _plain("p", 1),
        "mcphase": _plain("p", 1),
        "crx": _plain("rx", 1),
        "cry": _plain("ry", 1),
        "crz": _plain("rz", 1),
        "phase": _plain("p"),
        "u1": _plain("p"),
        "u2": Definition(2, 1, _u2),
        "u3": _U,
        "u0": Definition(1, 1, lambda _, qubits: ()),
        "cu": Definition(4, 2, _cu),
        "cu3": Definition(3, 2, _cu3),
        "rzx": Definition(1, 2, _rzx),
        "dcx": Definition(0, 2, _dcx),
        "c3sqrtx": _plain("sx", 3),
        "rccx": Definition(0, 3, _relative("htbTatbTh")),
        "rc3x": Definition(0, 4, _relative("htcThatbTatbThtcTh")),
        "rcccx": Definition(0, 4, _relative("htcThatbTatbThtcTh")),
        "r": _matrix(1, "r", xy, 2),
        "gpi": _matrix(1, "gpi", gpi, 1),
        "gpi2": _matrix(1, "gpi2", gpi2, 1),
        "ms": _matrix(2, "ms", ms, 3),
    }
)
#: Amazon Braket's, angles in radians; of two qubits the first is the most significant in Braket's matrices
BRAKET: Mapping[str, Definition] = MappingProxyType(
    {
        **_SHARED,
        "i": _NOTHING,
        "si": _plain("sdg"),
        "ti": _plain("tdg"),
        "v": _plain("sx"),
        "vi": _plain("sxdg"),
        "cv": _plain("sx", 1),
        "cnot": _plain("x", 1),
        "ccnot": _plain("x", 2),
        "phaseshift": _plain("p"),
        "cphaseshift": _plain("p", 1),
        "cphaseshift00": _matrix(2, "", _phase_at(0), 1),
        "cphaseshift01": _matrix(2, "", _phase_at(2), 1),
        "cphaseshift10": _matrix(2, "", _phase_at(1), 1),
        "pswap": _matrix(2, "", lambda a: middle(0, cmath.exp(1j * a)), 1),
        "xy": _matrix(2, "xy", lambda a: middle(math.cos(a / 2), 1j * math.sin(a / 2)), 1),
        "xx": _plain("rxx"),
        "yy": _plain("ryy"),
        "zz": _plain("rzz"),
        "gpi": _matrix(1, "gpi", lambda a: gpi(a / _TURN), 1),
        "gpi2": _matrix(1, "gpi2", lambda a: gpi2(a / _TURN), 1),
        "ms": _matrix(2, "ms", lambda a, b, c: ms(a / _TURN, b / _TURN, c / _TURN), 3),
    }
)
