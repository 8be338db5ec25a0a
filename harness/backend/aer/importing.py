"""Circuits from qiskit's own format, QPY, and from its circuits."""

from __future__ import annotations

import cmath
import io
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from qiskit import qpy
from qiskit.circuit import CircuitError, Clbit, ControlledGate
from qiskit.circuit.classical import expr
from qiskit.circuit.library import UnitaryGate, get_standard_gate_name_mapping

from harness.backend import qpy_shape
from harness.backend.circuit import Branch, Circuit, Gate, Measure, Reset, Step, closed
from harness.backend.matrices import diagonal
from harness.backend.qasm.gateset import STANDARD, unitary
from harness.backend.unreadable import Unreadable

_VERSION_AT = 6
_MOST_STEPS = 150_000
_DEEPEST, _WIDEST_MATRIX, _WIDEST_UNPACKED = 40, 6, 64
_LEFT_OUT = frozenset({"barrier", "id", "global_phase", "noop"})
_KINDS = get_standard_gate_name_mapping()
_CONDITION = "a condition compares measured bits with a number; others are not supported here"

Bits = Mapping[Any, int]


@dataclass(frozen=True)
class Loaded:
    """One circuit of a file."""

    circuit: Any
    parameters: tuple[str, ...]

    def bind(self, values: Sequence[float]) -> Circuit:
        """With values for its parameters, in their order; raises Unreadable."""
        with _unreadable("the circuit's values can't be used"):
            bound = self.circuit
            if self.parameters:
                bound = bound.assign_parameters(dict(zip(bound.parameters, values, strict=True)))
            return circuit_of(bound)


@contextmanager
def _unreadable(what: str) -> Iterator[None]:
    """Anything that goes wrong inside, as Unreadable: the reader promises no particular exceptions for broken files."""
    try:
        yield
    except Unreadable:
        raise
    except RecursionError:
        raise Unreadable("the circuit is nested too deeply") from None
    except Exception as error:
        raise Unreadable(f"{what}: {str(error)[:200]}") from None
    except BaseException as error:
        if type(error).__name__ != "PanicException":  # of the reader's Rust part, no Exception
            raise
        raise Unreadable(f"{what}: it is broken") from None


def load(data: bytes) -> tuple[Loaded, ...]:
    """The circuits of a QPY file; raises Unreadable, whatever is in it."""
    qpy_shape.check(data)
    if data[_VERSION_AT] > qpy.common.QPY_VERSION:
        raise Unreadable(f"this is QPY version {data[_VERSION_AT]}; up to {qpy.common.QPY_VERSION} is read here")
    with _unreadable("this QPY can't be read"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # written by another version of qiskit: fine if it can be read
            found = qpy.load(io.BytesIO(data))
        return tuple(Loaded(c, tuple(p.name for p in c.parameters)) for c in found)


def circuit_of(source: Any) -> Circuit:
    """A qiskit circuit without parameters as ours; raises Unreadable."""
    if source.num_qubits > qpy_shape.MOST_BITS or source.num_clbits > qpy_shape.MOST_BITS:
        raise Unreadable(f"the circuit has {source.num_qubits} qubits and {source.num_clbits} bits: too many")
    qubits = {q: k for k, q in enumerate(source.qubits)}
    clbits = {c: k for k, c in enumerate(source.clbits)}
    registers = tuple((r.name, tuple(clbits[c] for c in r)) for r in source.cregs)
    steps = _Walk().steps(source, qubits, clbits, 0)
    return closed(source.num_qubits, steps, source.num_clbits, registers)


class _Walk:
    """Through a circuit, its blocks and definitions; counts what comes out."""

    def __init__(self) -> None:
        self._left = _MOST_STEPS
        #: how many gates around this one put controls on it: only there a global phase is seen
        self._controls = 0

    def steps(self, source: Any, qubits: Bits, clbits: Bits, depth: int) -> list[Step]:
        """All steps of a circuit, in its order."""
        if depth > _DEEPEST:
            raise Unreadable("the circuit is nested too deeply")
        found: list[Step] = []
        for item in source.data:
            if item.name == "delay":
                _check_delay(item.params)
                continue
            on = [qubits[q] for q in item.qubits]
            into = [clbits[c] for c in item.clbits]
            for step in self._made(item.operation, on, into, clbits, depth):
                self._left -= 1
                if self._left < 0:
                    raise Unreadable(f"the circuit has more than {_MOST_STEPS} steps")
                found.append(step)
        return found

    def _made(self, operation: Any, on: list[int], into: list[int], clbits: Bits, depth: int) -> Iterator[Step]:
        name = operation.name
        if name in _LEFT_OUT:
            return
        if name == "measure":
            yield Measure(on[0], into[0])
        elif name == "reset":
            yield Reset(on[0])
        elif name == "if_else":
            yield self._branch(operation, on, into, clbits, depth)
        elif name in ("for_loop", "box"):
            yield from self._blocks(operation, on, into, depth)
        elif getattr(operation, "blocks", None) is not None or name in ("store", "break_loop", "continue_loop"):
            raise Unreadable(f"{name} is not supported here")
        else:
            yield from self._gates(operation, on, into, depth)

    # ------------------------------------------------------------ control flow

    def _inner(self, block: Any, on: list[int], into: list[int], depth: int) -> tuple[Step, ...]:
        qubits = dict(zip(block.qubits, on, strict=True))
        clbits = dict(zip(block.clbits, into, strict=True))
        return tuple(self.steps(block, qubits, clbits, depth + 1))

    def _branch(self, operation: Any, on: list[int], into: list[int], clbits: Bits, depth: int) -> Branch:
        bits, value = _condition(operation.condition, clbits)
        sides = [self._inner(block, on, into, depth) if block is not None else () for block in operation.params]
        return Branch(bits, value, *sides)

    def _blocks(self, operation: Any, on: list[int], into: list[int], depth: int) -> Iterator[Step]:
        if operation.name == "box":
            yield from self._inner(operation.blocks[0], on, into, depth)
            return
        values, parameter, body = operation.params
        for value in values:
            self._left -= 1
            if self._left < 0:
                raise Unreadable(f"the circuit has more than {_MOST_STEPS} steps")
            bound = body if parameter is None else body.assign_parameters({parameter: value})
            yield from self._inner(bound, on, into, depth)

    # ------------------------------------------------------------ gates

    def _gates(self, operation: Any, on: list[int], into: list[int], depth: int) -> Iterator[Step]:
        if isinstance(operation, ControlledGate) and operation.name not in _native(operation):
            yield from self._controlled(operation, on, depth)
        elif isinstance(operation, UnitaryGate):
            yield _matrix(operation, on)
        elif operation.name in _native(operation):
            angles = [float(p) for p in operation.params]
            yield from STANDARD[operation.name].make(angles, on)
        elif (definition := _definition(operation)) is not None:
            yield from self._inner(definition, on, into, depth)
            phase = cmath.exp(1j * float(definition.global_phase))
            if self._controls and phase != 1:
                yield unitary(diagonal((phase, phase)), on[:1])
        else:
            yield _matrix(operation, on)

    def _controlled(self, operation: Any, on: list[int], depth: int) -> Iterator[Step]:
        count = operation.num_ctrl_qubits
        controls, targets = tuple(on[:count]), on[count:]
        off = [Gate("x", (c,)) for k, c in enumerate(controls) if not operation.ctrl_state >> k & 1]
        yield from off
        self._controls += 1
        base = list(self._gates(operation.base_gate, targets, [], depth + 1))
        self._controls -= 1
        for step in base:
            if not isinstance(step, Gate):
                raise Unreadable(f"{operation.name} can't be controlled")
            yield replace(step, controls=(*controls, *step.controls), label="")
        yield from off


def _check_delay(params: Sequence[Any]) -> None:
    """Without making the instruction: QPY loses units, so qiskit itself refuses good ones (7.25 ns, or parameters)."""
    for duration in params:
        if isinstance(duration, int | float) and not 0 <= duration < math.inf:
            raise Unreadable(f"a delay can't last {duration}")


def _native(operation: Any) -> tuple[str, ...]:
    """The operation's name, if it is the standard gate of that name, closed controls included; else nothing."""
    name = operation.name
    kind = _KINDS.get(name)
    if kind is None or name not in STANDARD or operation.base_class is not kind.base_class:
        return ()
    if isinstance(operation, ControlledGate) and operation.ctrl_state != 2**operation.num_ctrl_qubits - 1:
        return ()
    return (name,)


def _definition(operation: Any) -> Any:
    if operation.num_qubits > _WIDEST_UNPACKED:
        raise Unreadable(f"{operation.name} on {operation.num_qubits} qubits is too wide to be unpacked here")
    return operation.definition


def _matrix(operation: Any, on: list[int]) -> Gate:
    if len(on) > _WIDEST_MATRIX or not hasattr(operation, "to_matrix"):
        raise Unreadable(f"the gate {operation.name} on {len(on)} qubits is not supported here")
    try:
        found = operation.to_matrix()
    except CircuitError:
        raise Unreadable(f"the gate {operation.name} has neither a definition nor a matrix") from None
    return unitary(tuple(map(tuple, found.tolist())), on)


# ---------------------------------------------------------------- conditions


def _condition(condition: Any, clbits: Bits) -> tuple[tuple[int, ...], int]:
    """The bits, least significant first, and what they are to read."""
    if isinstance(condition, expr.Expr):
        return _expression(condition, clbits)
    target, value = condition
    bits = (clbits[target],) if isinstance(target, Clbit) else tuple(clbits[c] for c in target)
    return bits, int(value)


def _expression(node: Any, clbits: Bits) -> tuple[tuple[int, ...], int]:
    """``bit``, ``!bit``, ``bit or register == number``, and what ``&&`` puts together of these."""
    if isinstance(node, expr.Cast):
        return _expression(node.operand, clbits)
    if isinstance(node, expr.Var):
        bits = _bits(node, clbits)
        if len(bits) == 1:
            return bits, 1
    if isinstance(node, expr.Unary) and node.op in (expr.Unary.Op.LOGIC_NOT, expr.Unary.Op.BIT_NOT):
        bits, value = _expression(node.operand, clbits)
        if len(bits) == 1:
            return bits, 1 - value
    if isinstance(node, expr.Binary) and node.op in (expr.Binary.Op.LOGIC_AND, expr.Binary.Op.BIT_AND):
        (left, low), (right, high) = (_expression(side, clbits) for side in (node.left, node.right))
        return (*left, *right), low | high << len(left)
    if isinstance(node, expr.Binary) and node.op is expr.Binary.Op.EQUAL and isinstance(node.right, expr.Value):
        return _bits(node.left, clbits), int(node.right.value)
    raise Unreadable(_CONDITION)


def _bits(node: Any, clbits: Bits) -> tuple[int, ...]:
    while isinstance(node, expr.Cast):
        node = node.operand
    if not isinstance(node, expr.Var) or node.standalone:
        raise Unreadable(_CONDITION)
    return (clbits[node.var],) if isinstance(node.var, Clbit) else tuple(clbits[c] for c in node.var)
