"""Is a QPY file what its own headers say? Walks through it without building anything.

The reader of qiskit makes room for whatever a header promises, and ends the process where there is no such room, or
loops over it. So sizes are checked before: in each circuit of the file and in circuits inside it (definitions, blocks).
The format is described in the documentation of ``qiskit.qpy``; versions 13 to 18.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

from harness.backend.unreadable import Unreadable

#: older versions hold expressions as text that is evaluated
OLDEST, NEWEST = 13, 18
#: the first versions whose files tell where each circuit begins, have annotations, have no calibrations any more
_WITH_OFFSETS, _WITH_ANNOTATIONS, _WITHOUT_CALIBRATIONS = 16, 15, 18
#: stands for a bit that is not in the circuit
_NOWHERE, _NOWHERE_18 = -1, 2**32 - 1
MOST_BYTES, MOST_BITS = 20_000_000, 10_000
_MOST_INSTRUCTIONS, _MOST_CONTROLS, _LONGEST_VECTOR, _DEEPEST = 200_000, 64, 100_000, 40

_FILE = struct.Struct("!6sBBBBQc")
_OFFSET = struct.Struct("!Q")
_CIRCUIT = struct.Struct("!H1cHIIQIQI")
_REGISTER, _REGISTER_18 = struct.Struct("!1c?IH?"), struct.Struct("!1c?IH?B")
_COUNT = struct.Struct("!Q")
_NAMESPACES = struct.Struct("!I")
_CUSTOM = struct.Struct("!H1cII?QIIQ")
_INSTRUCTION = struct.Struct("!HHHIIBHqII")
_ARGUMENT = struct.Struct("!1cI")
_VALUE = struct.Struct("!1cQ")
_CALIBRATIONS = struct.Struct("!H")
_LAYOUT = struct.Struct("!?iiiIi")
_RANGE = struct.Struct("!qqq")
_VECTORS, _VECTOR = struct.Struct("!H"), struct.Struct("!HQ16s")
_EXPRESSION, _SYMBOL, _PARAMETER = struct.Struct("!QQ"), struct.Struct("!ccQ"), struct.Struct("!H16s")
_ELEMENT, _ELEMENT_18 = struct.Struct("!HQ16sQ"), struct.Struct("!HQ")


def check(data: bytes) -> None:
    """Raises Unreadable."""
    if len(data) > MOST_BYTES:
        raise Unreadable(f"the QPY is larger than {MOST_BYTES} bytes")
    if len(data) < _FILE.size or data[:6] != b"QISKIT":
        raise Unreadable("this is no QPY")
    _, version, _, _, _, programs, _ = _FILE.unpack_from(data)
    if not OLDEST <= version <= NEWEST:
        raise Unreadable(f"this is QPY version {version}; versions {OLDEST} to {NEWEST} are read here")
    walk = _Walk(data, version)
    try:
        walk.file(programs)
    except (struct.error, IndexError, OverflowError):
        raise Unreadable("this QPY can't be read: it ends too early") from None


def broken(what: str) -> Unreadable:
    """A file that contradicts itself."""
    return Unreadable(f"this QPY can't be read: {what}")


class _Walk:
    """A place in a file, and what is left of what may be walked through."""

    def __init__(self, data: bytes, version: int) -> None:
        self._data, self._version = data, version
        self._place, self._left = _FILE.size, _MOST_INSTRUCTIONS

    def _take(self, shape: struct.Struct) -> tuple[Any, ...]:
        found = shape.unpack_from(self._data, self._place)
        self._place += shape.size
        return found

    def _skip(self, size: int) -> int:
        """Goes on behind so many bytes, and tells where they began."""
        start = self._place
        if size > len(self._data) - start:
            raise broken("it ends too early")
        self._place += size
        return start

    def _spend(self) -> None:
        self._left -= 1
        if self._left < 0:
            raise Unreadable(f"the QPY has more than {_MOST_INSTRUCTIONS} instructions")

    def file(self, programs: int) -> None:
        """All circuits, where they are or where they are said to be."""
        self._kind()
        if programs * _OFFSET.size > len(self._data):
            raise broken("it ends too early")
        offsets = None
        if self._version >= _WITH_OFFSETS:
            offsets = [self._take(_OFFSET)[0] for _ in range(programs)]
        for k in range(programs):
            if offsets is not None:
                self._place = 0
                self._skip(offsets[k])
            laid_out = self._circuit(0)
            if laid_out and offsets is None and k + 1 < programs:
                # a layout has no size of its own, so the next circuit can't be found
                raise Unreadable("several circuits with layouts in one file need QPY version 16")

    def _kind(self) -> None:
        if self._data[self._skip(1)] != ord("q"):
            raise broken("it holds no circuits")

    def _circuit(self, depth: int) -> bool:
        """Tells whether it has a layout, which is not walked through."""
        if depth > _DEEPEST:
            raise Unreadable("the circuit is nested too deeply")
        name, kind, phase, qubits, clbits, metadata, registers, instructions, variables = self._take(_CIRCUIT)
        if max(qubits, clbits) > MOST_BITS:
            raise Unreadable(f"the circuit has {qubits} qubits and {clbits} bits: too many")
        if variables:
            raise Unreadable("classical variables are not supported here")
        self._skip(name)
        self._typed(kind, phase, depth)
        self._skip(metadata)
        for _ in range(registers):
            self._register(qubits, clbits)
        if self._version >= _WITH_ANNOTATIONS and self._take(_NAMESPACES) != (0,):
            raise Unreadable("annotations are not supported here")
        if self._version >= _WITHOUT_CALIBRATIONS:
            self._vectors()
        for _ in range(self._take(_COUNT)[0]):
            self._custom(depth)
        for _ in range(instructions):
            self._instruction(qubits, clbits, depth)
        if self._version < _WITHOUT_CALIBRATIONS and self._take(_CALIBRATIONS) != (0,):
            raise Unreadable("calibrations of pulses are not supported here")
        return self._layout()

    def _register(self, qubits: int, clbits: int) -> None:
        self._spend()
        late = self._version >= _WITHOUT_CALIBRATIONS
        kind, _, size, name, _, *together = self._take(_REGISTER_18 if late else _REGISTER)
        self._skip(name)
        most, count = clbits if kind == b"c" else qubits, 1 if together == [1] else size
        found = struct.unpack_from(f"!{count}I" if late else f"!{count}q", self._data, self._place)
        self._skip((4 if late else 8) * count)
        if together == [1]:
            found = (*found, found[0] + max(size, 1) - 1)
        nowhere = _NOWHERE_18 if late else _NOWHERE
        if any(k != nowhere and not 0 <= k < most for k in found):
            raise broken("a register has bits that the circuit has not")

    def _vectors(self) -> None:
        """Of parameters: the reader makes all of a vector, whatever is used of it."""
        for _ in range(self._take(_VECTORS)[0]):
            name, size, _ = self._take(_VECTOR)
            self._vector(name, size)

    def _vector(self, name: int, size: int) -> None:
        if size > _LONGEST_VECTOR:
            raise Unreadable(f"a vector of {size} parameters is too long")
        self._skip(name)

    def _custom(self, depth: int) -> None:
        self._spend()
        name_size, _, qubits, clbits, defined, size, controls, _, base = self._take(_CUSTOM)
        start = self._skip(name_size)
        if max(qubits, clbits) > MOST_BITS or controls > min(qubits, _MOST_CONTROLS):
            raise Unreadable("an operation of its own has too many qubits or controls")
        if defined:
            if self._data[start : start + name_size].startswith(b"###PauliEvolutionGate"):
                raise Unreadable("PauliEvolutionGate is not supported here: decompose it before")
            self._within(size, lambda: self._circuit(depth + 1))
        if base:
            self._within(base, lambda: self._instruction(MOST_BITS, MOST_BITS, depth + 1, alone=True))

    def _within(self, size: int, walk: Callable[[], object]) -> None:
        """Something that has to fit into so many bytes."""
        end = self._skip(size) + size
        self._place = end - size
        walk()
        if self._place > end:
            raise broken("a part is larger than its header says")
        self._place = end

    def _instruction(self, qubits: int, clbits: int, depth: int, alone: bool = False) -> None:
        """``alone``: as the base of a controlled operation, without arguments."""
        self._spend()
        name, label, parameters, qargs, cargs, extras, condition, _, controls, _ = self._take(_INSTRUCTION)
        if controls > _MOST_CONTROLS or qargs > MOST_BITS or cargs > MOST_BITS:
            raise Unreadable("an instruction has too many qubits, bits or controls")
        if extras & ~0b11:
            raise Unreadable("annotations are not supported here")
        self._skip(name + label + condition)
        if extras == 2:
            self._value(depth)
        if not alone:
            for count, kind, most in ((qargs, b"q", qubits), (cargs, b"c", clbits)):
                for _ in range(count):
                    if (found := self._take(_ARGUMENT))[0] != kind or found[1] >= most:
                        raise broken("an instruction acts on bits that the circuit has not")
        for _ in range(parameters):
            self._value(depth)

    def _value(self, depth: int) -> None:
        self._spend()
        kind, size = self._take(_VALUE)
        self._typed(kind, size, depth)

    def _typed(self, kind: bytes, size: int, depth: int) -> None:
        if kind == b"q":
            self._within(size, lambda: self._circuit(depth + 1))
        elif kind == b"t":
            self._within(size, lambda: self._tuple(depth + 1))
        elif kind == b"r":
            start, stop, step = _RANGE.unpack_from(self._data, self._skip(size))
            if step == 0 or abs(stop - start) // abs(step) > _MOST_INSTRUCTIONS:
                raise Unreadable("a loop is too long")
        elif kind == b"v":
            self._within(size, self._element)
        elif kind == b"e":
            self._within(size, self._expression)
        else:
            self._skip(size)

    def _element(self) -> None:
        """Of a vector of parameters."""
        if self._version >= _WITHOUT_CALIBRATIONS:
            self._take(_ELEMENT_18)
        else:
            name, size, *_ = self._take(_ELEMENT)
            self._vector(name, size)

    def _expression(self) -> None:
        """Of parameters: how it is computed, then the parameters in it."""
        symbols, size = self._take(_EXPRESSION)
        self._skip(size)
        for _ in range(symbols):
            self._spend()
            symbol, _, value = self._take(_SYMBOL)
            if symbol == b"v":
                self._element()
            else:
                self._skip(self._take(_PARAMETER)[0])
            self._skip(value)

    def _tuple(self, depth: int) -> None:
        if depth > _DEEPEST:
            raise Unreadable("the circuit is nested too deeply")
        for _ in range(self._take(_COUNT)[0]):
            self._value(depth)

    def _layout(self) -> bool:
        exists, *sizes = self._take(_LAYOUT)
        if exists and any(n > MOST_BITS for n in sizes):
            raise broken("its layout has too many qubits")
        return bool(exists)
