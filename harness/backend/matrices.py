"""What gates are: their matrices, in the conventions of qiskit's circuit library (and of OpenQASM's stdgates.inc)."""

from __future__ import annotations

import cmath
import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from types import MappingProxyType

from harness.backend.circuit import UNITARY, Gate, Matrix

_R = 1 / math.sqrt(2)
_FIXED: dict[str, Matrix] = {
    "x": ((0, 1), (1, 0)),
    "y": ((0, -1j), (1j, 0)),
    "z": ((1, 0), (0, -1)),
    "h": ((_R, _R), (_R, -_R)),
    "s": ((1, 0), (0, 1j)),
    "sdg": ((1, 0), (0, -1j)),
    "t": ((1, 0), (0, cmath.exp(1j * math.pi / 4))),
    "tdg": ((1, 0), (0, cmath.exp(-1j * math.pi / 4))),
    "sx": ((0.5 + 0.5j, 0.5 - 0.5j), (0.5 - 0.5j, 0.5 + 0.5j)),
    "sxdg": ((0.5 - 0.5j, 0.5 + 0.5j), (0.5 + 0.5j, 0.5 - 0.5j)),
    "swap": ((1, 0, 0, 0), (0, 0, 1, 0), (0, 1, 0, 0), (0, 0, 0, 1)),
}


@lru_cache(maxsize=4096)
def matrix_of(gate: Gate) -> Matrix:
    """Of a gate's targets, controls left aside."""
    if gate.name == UNITARY:
        return gate.matrix or ()
    return _FIXED[gate.name] if gate.name in _FIXED else _TURNS[gate.name](gate.angle_rad or 0.0)


def gpi(phase_turns: float) -> Matrix:
    """IonQ's GPI(φ): a half turn about an axis in the equator, [[0, e^−2πiφ], [e^2πiφ, 0]]."""
    e = cmath.exp(2j * math.pi * phase_turns)
    return ((0, e.conjugate()), (e, 0))


def gpi2(phase_turns: float) -> Matrix:
    """IonQ's GPI2(φ): a quarter turn about the same axis, [[1, −i e^−2πiφ], [−i e^2πiφ, 1]] / √2."""
    e = cmath.exp(2j * math.pi * phase_turns)
    return ((_R, -1j * e.conjugate() * _R), (-1j * e * _R, _R))


def ms(phase0_turns: float, phase1_turns: float, angle_turns: float = 0.25) -> Matrix:
    """IonQ's MS(φ0, φ1, θ), the first target with φ0; θ = 0.25, fully entangling, is the default.

    exp(−iπθ · A(φ1) ⊗ A(φ0)) with A(φ) = cos 2πφ X + sin 2πφ Y = GPI(φ).
    """
    cosine, sine = math.cos(math.pi * angle_turns), math.sin(math.pi * angle_turns)
    first, second = gpi(phase0_turns), gpi(phase1_turns)
    return tuple(
        tuple(cosine * (r == c) - 1j * sine * first[r & 1][c & 1] * second[r >> 1][c >> 1] for c in range(4))
        for r in range(4)
    )


def xy(angle_rad: float, axis_rad: float) -> Matrix:
    """A turn by ``angle_rad`` about an axis in the equator: qiskit's r, IQM's and Braket's prx."""
    cosine, sine = math.cos(angle_rad / 2), math.sin(angle_rad / 2)
    e = cmath.exp(1j * axis_rad)
    return ((cosine, -1j * e.conjugate() * sine), (-1j * e * sine, cosine))


def multiplied(left: Matrix, right: Matrix) -> Matrix:
    """left · right: ``right`` acts first."""
    columns = list(zip(*right, strict=True))
    return tuple(tuple(sum(a * b for a, b in zip(row, c, strict=True)) for c in columns) for row in left)


def adjoint(matrix: Matrix) -> Matrix:
    """The inverse of a unitary."""
    return tuple(tuple(complex(v).conjugate() for v in column) for column in zip(*matrix, strict=True))


def diagonal(values: Sequence[complex]) -> Matrix:
    """With these on the diagonal."""
    return tuple(tuple(v if r == c else 0j for c in range(len(values))) for r, v in enumerate(values))


def is_unitary(matrix: Matrix, tolerance: float = 1e-6) -> bool:
    """Square, of 2ⁿ rows, and its adjoint is its inverse."""
    size = len(matrix)
    if size < 2 or size & (size - 1) or any(len(row) != size for row in matrix):
        return False
    product = multiplied(adjoint(matrix), matrix)
    return all(abs(v - (r == c)) <= tolerance for r, row in enumerate(product) for c, v in enumerate(row))


def _ry(angle_rad: float) -> Matrix:
    cosine, sine = math.cos(angle_rad / 2), math.sin(angle_rad / 2)
    return ((cosine, -sine), (sine, cosine))


def _rz(angle_rad: float) -> Matrix:
    e = cmath.exp(0.5j * angle_rad)
    return diagonal((e.conjugate(), e))


def _rxx(angle_rad: float) -> Matrix:
    cosine, sine = math.cos(angle_rad / 2), -1j * math.sin(angle_rad / 2)
    return ((cosine, 0, 0, sine), (0, cosine, sine, 0), (0, sine, cosine, 0), (sine, 0, 0, cosine))


def _ryy(angle_rad: float) -> Matrix:
    cosine, sine = math.cos(angle_rad / 2), -1j * math.sin(angle_rad / 2)
    return ((cosine, 0, 0, -sine), (0, cosine, sine, 0), (0, sine, cosine, 0), (-sine, 0, 0, cosine))


def _rzz(angle_rad: float) -> Matrix:
    e = cmath.exp(0.5j * angle_rad)
    return diagonal((e.conjugate(), e, e, e.conjugate()))


_TURNS: MappingProxyType[str, Callable[[float], Matrix]] = MappingProxyType(
    {
        "rx": lambda angle_rad: xy(angle_rad, 0.0),
        "ry": _ry,
        "rz": _rz,
        "p": lambda angle_rad: diagonal((1, cmath.exp(1j * angle_rad))),
        "rxx": _rxx,
        "ryy": _ryy,
        "rzz": _rzz,
    }
)
