"""Registers, and what of them an operand names."""

from __future__ import annotations

from collections.abc import Mapping

from harness.backend.qasm.expressions import Number, integer
from harness.backend.qasm.tokens import Cursor

#: of all registers together, qubits and classical bits each
MOST_BITS = 10_000


class Registers:
    """Names of groups of qubits, or of classical bits, numbered through in the order of their declaration."""

    def __init__(self) -> None:
        self.names: dict[str, tuple[int, ...]] = {}
        self.declared: list[tuple[str, tuple[int, ...]]] = []
        self.size = 0

    def declare(self, cursor: Cursor, name: str, size: int) -> tuple[int, ...]:
        """A new register; raises Unreadable."""
        if name in self.names:
            raise cursor.wrong(f"{name!r} is declared twice")
        if size < 1 or self.size + size > MOST_BITS:
            raise cursor.wrong(f"a register of {size} is not possible here")
        bits = tuple(range(self.size, self.size + size))
        self.size += size
        self.names[name] = bits
        self.declared.append((name, bits))
        return bits

    def physical(self, cursor: Cursor, text: str) -> int:
        """The qubit ``$k`` of a device."""
        digits = text[1:]
        if self.declared or len(digits) > 5 or int(digits) >= MOST_BITS:
            raise cursor.wrong(f"{text[:20]} is no qubit of this program")
        self.size = max(self.size, int(digits) + 1)
        return int(digits)


def operand(cursor: Cursor, registers: Registers, names: Mapping[str, Number]) -> tuple[int, ...]:
    """The bits that the operand here names: a register, some of it, or a physical qubit; raises Unreadable."""
    if cursor.token.kind == "physical":
        return (registers.physical(cursor, cursor.take().text),)
    name = cursor.token.text
    if cursor.token.kind != "name" or name not in registers.names:
        raise cursor.wrong(f"{name[:40]!r} is not declared")
    cursor.take()
    bits = registers.names[name]
    while cursor.follows("["):
        bits = _chosen(cursor, bits, names)
        cursor.expect("]")
    return bits


def _chosen(cursor: Cursor, bits: tuple[int, ...], names: Mapping[str, Number]) -> tuple[int, ...]:
    try:
        return tuple(bits[_within(k, len(bits))] for k in indices(cursor, names, len(bits)))
    except IndexError:
        raise cursor.wrong(f"an index is outside of a register of {len(bits)}") from None


def _within(index: int, size: int) -> int:
    if not -size <= index < size:
        raise IndexError
    return index


def indices(cursor: Cursor, names: Mapping[str, Number], most: int) -> list[int]:
    """``2``, ``0:3``, ``0:2:6`` (the end is included), ``{0, 2}``; at most ``most`` of them; raises Unreadable."""
    if cursor.follows("{"):
        found = [integer(cursor, names)]
        while cursor.follows(","):
            found.append(integer(cursor, names))
        cursor.expect("}")
        return found
    bounds = [0 if cursor.at(":") else integer(cursor, names)]
    while cursor.follows(":"):
        bounds.append(most - 1 if cursor.at("]") else integer(cursor, names))
    if len(bounds) == 1:
        return bounds
    return list(_range(cursor, bounds, most))


def _range(cursor: Cursor, bounds: list[int], most: int) -> range:
    start, step, end = (*bounds[:1], 1, *bounds[1:]) if len(bounds) == 2 else bounds[:3]
    if step == 0 or len(bounds) > 3:
        raise cursor.wrong("a range is start:end or start:step:end")
    found = range(start, end + (1 if step > 0 else -1), step)
    if len(found) > most:
        raise cursor.wrong(f"a range of {len(found)} is too long here")
    return found


def broadcast(cursor: Cursor, operands: list[tuple[int, ...]]) -> list[tuple[int, ...]]:
    """One tuple of bits a repetition: registers side by side, single bits with each of them; raises Unreadable."""
    sizes = {len(o) for o in operands if len(o) != 1}
    if len(sizes) > 1:
        raise cursor.wrong("registers of different sizes stand side by side")
    times = sizes.pop() if sizes else 1
    return [tuple(o[k] if len(o) > 1 else o[0] for o in operands) for k in range(times)]
