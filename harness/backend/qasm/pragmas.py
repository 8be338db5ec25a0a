"""Braket's pragmas inside programs: a gate that is given as its matrix; what else changes nothing, or is refused."""

from __future__ import annotations

from collections.abc import Callable

from harness.backend.circuit import Gate
from harness.backend.matrices import is_unitary
from harness.backend.qasm import expressions
from harness.backend.qasm.gateset import unitary
from harness.backend.qasm.tokens import Cursor, Token, tokens_of
from harness.backend.unreadable import Unreadable

#: rows of the widest matrix: on five qubits
_MOST_ROWS = 32


def gates(pragma: Token, operands: Callable[[Cursor], list[tuple[int, ...]]]) -> tuple[Gate, ...]:
    """What a pragma or an annotation does; raises Unreadable. ``operands`` reads qubits."""
    words = pragma.text.lstrip("#").split(maxsplit=2)
    if len(words) < 3 or words[:2] != ["pragma", "braket"]:
        return ()
    if words[2].startswith("noise"):
        raise Unreadable(f"line {pragma.line}: noise operations are not supported here")
    if not words[2].startswith("unitary"):
        return ()
    cursor = Cursor([Token(t.kind, t.text, pragma.line) for t in tokens_of(words[2])])
    cursor.expect("unitary")
    cursor.expect("(")
    rows = _rows(cursor)
    cursor.expect(")")
    qubits = [q for operand in operands(cursor) for q in operand]
    if len(rows) != 2 ** len(qubits) or len(set(qubits)) != len(qubits) or not is_unitary(tuple(rows)):
        raise cursor.wrong(f"this is no unitary matrix on {len(qubits)} qubits")
    # Braket's first target is the most significant
    return (unitary(tuple(rows), qubits[::-1]),)


def _rows(cursor: Cursor) -> list[tuple[complex, ...]]:
    rows: list[tuple[complex, ...]] = []
    cursor.expect("[")
    while True:
        cursor.expect("[")
        row = [_entry(cursor)]
        while cursor.follows(","):
            row.append(_entry(cursor))
        cursor.expect("]")
        rows.append(tuple(row))
        if len(rows) > _MOST_ROWS:
            raise cursor.wrong("the matrix is too large")
        if not cursor.follows(","):
            cursor.expect("]")
            return rows


def _entry(cursor: Cursor) -> complex:
    """``0.5``, ``-1im``, ``0.5 - 0.5im``."""
    found, sign = 0j, 1
    while True:
        while cursor.at("+") or cursor.at("-"):
            sign *= -1 if cursor.take().text == "-" else 1
        number = 1.0
        if cursor.token.kind in ("real", "whole"):
            number = float(expressions.value(Cursor([cursor.take(), cursor.tokens[-1]]), {}))
        elif not cursor.at("im"):
            raise cursor.wrong(f"{cursor.token.text[:20]!r} is no number")
        found += sign * number * (1j if cursor.follows("im") else 1)
        if not (cursor.at("+") or cursor.at("-")):
            return found
        sign = 1
