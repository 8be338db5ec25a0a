"""Result types of Braket's OpenQASM: ``#pragma braket result …`` as values. Pure.

The grammar is the one of Amazon's own simulator (BraketPragmasParser.g4), as far as results go.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["expectation", "variance", "sample", "probability", "state_vector", "density_matrix", "amplitude"]
Matrix = tuple[tuple[complex, ...], ...]

_OBSERVED = ("expectation", "variance", "sample")
_STANDARD = ("x", "y", "z", "h", "i")
# possessive throughout: a program may be hostile, reading it must stay linear
_PRAGMA = re.compile(r"^[ \t]*+#?pragma[ \t]++braket[ \t]++result\b([^\n]*+)", re.MULTILINE)
_COMMENT = re.compile(r"//[^\n]*+|/\*(?:.*?\*/|.*+)", re.DOTALL)
_QUBITS = re.compile(r"\bqubit\b\s*+(?:\[\s*+(\d{1,9})\s*+\]\s*+)?([A-Za-z_]\w*+)\s*+;")
_OPERAND = re.compile(r"\s*+(?:\$(\d{1,9})|([A-Za-z_]\w*+)\s*+(?:\[\s*+(\d{1,9})\s*+\])?)\s*+")
_NUMBER = r"(\d++\.?+\d*+(?:[eE][+-]?\d++)?|\.\d++(?:[eE][+-]?\d++)?)"
_COMPLEX = re.compile(rf"(-?){_NUMBER}(?:(im)|([+-])(-?){_NUMBER}im)?")
_FACTOR = re.compile(r"\s*+(x|y|z|h|i)(?:\s*+\(([^()]*+)\)|\s++(all)\b)\s*+|\s*+hermitian\s*+\(([^()]*+)\)\s*+([^@]*+)")
#: a Hermitian observable of more qubits than this is refused: its matrix has 4ⁿ entries
_WIDEST = 6
_MOST_RESULTS = 100
#: what no device here has
_REGISTERS, _MOST_QUBITS = 64, 4096


class Malformed(ValueError):
    """A result pragma that can't be read; the text says why."""


@dataclass(frozen=True, kw_only=True)
class Factor:
    """One factor of an observable. ``targets`` empty: every qubit, one by one."""

    name: str
    targets: tuple[int, ...] = ()
    #: of ``hermitian``: rows over the targets, the first the most significant
    matrix: Matrix = ()

    @property
    def wire(self) -> object:
        """As results.json names it."""
        if self.name != "hermitian":
            return self.name
        return [[[entry.real, entry.imag] for entry in row] for row in self.matrix]


@dataclass(frozen=True, kw_only=True)
class ResultType:
    """What a program asks for. ``targets`` empty: all qubits."""

    kind: Kind
    targets: tuple[int, ...] = ()
    factors: tuple[Factor, ...] = ()
    states: tuple[str, ...] = ()

    @property
    def wire(self) -> Mapping[str, Any]:
        """As results.json names it, in the words of braket.ir.jaqcd.results."""
        named: dict[str, Any] = {"type": self.kind.replace("_", "")}
        if self.kind == "amplitude":
            return {**named, "states": list(self.states)}
        if self.targets:
            named["targets"] = list(self.targets)
        return {**named, "observable": [f.wire for f in self.factors]} if self.factors else named


def registers(source: str) -> Mapping[str, range]:
    """Name of each qubit register → its qubits, in order of declaration; raises Malformed for too many."""
    found: dict[str, range] = {}
    start = 0
    for match in _QUBITS.finditer(_COMMENT.sub(" ", source)):
        size = int(match[1] or 1)
        found[match[2]] = range(start, start + size)
        start += size
        if len(found) > _REGISTERS or start > _MOST_QUBITS:
            raise Malformed("Too many qubits")
    return found


def touched(source: str) -> tuple[int, ...]:
    """The qubits that a program mentions after their declaration, ascending; raises Malformed."""
    named = registers(source)
    bare = _QUBITS.sub(" ", _COMMENT.sub(" ", source))
    found: set[int] = {int(m) for m in re.findall(r"\$(\d{1,9})", bare)}
    for name, qubits in named.items():
        for index in re.findall(rf"\b{name}\b\s*+(?:\[\s*+(\d{{1,9}})\s*+\])?", bare):
            found.update(qubits if not index else qubits[int(index) : int(index) + 1])
    return tuple(sorted(found))


def without_results(source: str) -> str:
    """The program alone; lines keep their numbers."""
    return _PRAGMA.sub("", source)


def result_types(source: str) -> tuple[ResultType, ...]:
    """All result pragmas, in order; raises Malformed."""
    named = registers(source)
    found = [match[1] for match in _PRAGMA.finditer(source)]
    if len(found) > _MOST_RESULTS:
        raise Malformed(f"A program has at most {_MOST_RESULTS} result types here, not {len(found)}")
    return tuple(_result(text, named) for text in found)


def _result(text: str, named: Mapping[str, range]) -> ResultType:
    kind, rest = (*text.split(None, 1), "", "")[:2]
    rest = rest.strip()
    if kind == "state_vector" and not rest:
        return ResultType(kind="state_vector")
    if kind == "probability":
        return ResultType(kind="probability", targets=_targets(rest, named))
    if kind == "density_matrix":
        return ResultType(kind="density_matrix", targets=_targets(rest, named))
    if kind == "amplitude":
        return ResultType(kind="amplitude", states=_states(rest))
    if kind in _OBSERVED:
        factors = _factors(rest, named)
        targets = tuple(t for f in factors for t in f.targets)
        if len(set(targets)) != len(targets):
            raise Malformed(f"Observable {rest[:80]!r} names a qubit twice")
        return ResultType(kind=kind, targets=targets, factors=factors)  # type: ignore[arg-type]
    raise Malformed(f"Unsupported result type: {text.strip()[:80]!r}")


def _states(text: str) -> tuple[str, ...]:
    states = tuple(re.findall(r'"([01]+)"', text))
    if not re.fullmatch(r'\s*"[01]+"\s*(,\s*"[01]+"\s*)*', text):
        raise Malformed(f"Amplitude needs bit strings, not {text[:80]!r}")
    return states


def _targets(text: str, named: Mapping[str, range]) -> tuple[int, ...]:
    """Operands separated by commas; nothing or ``all``: every qubit."""
    if text.strip() in {"", "all"}:
        return ()
    found = tuple(q for operand in text.split(",") for q in _operand(operand, named))
    if len(set(found)) != len(found):
        raise Malformed(f"Targets {text[:80]!r} name a qubit twice")
    return found


def _operand(text: str, named: Mapping[str, range]) -> tuple[int, ...]:
    if (match := _OPERAND.fullmatch(text)) is None:
        raise Malformed(f"Expected a qubit, not {text.strip()[:40]!r}")
    if match[1]:
        return (int(match[1]),)
    if match[2] not in named:
        raise Malformed(f"Qubit register {match[2]!r} is not declared")
    qubits = named[match[2]]
    if match[3] is None:
        return tuple(qubits)
    if int(match[3]) >= len(qubits):
        raise Malformed(f"Index {match[3]} is out of range of {match[2]!r}")
    return (qubits[int(match[3])],)


def _factors(text: str, named: Mapping[str, range]) -> tuple[Factor, ...]:
    parts, at = [], 0
    while (match := _FACTOR.match(text, at)) is not None:
        parts.append(_factor(match, named))
        at = match.end()
        if at == len(text):
            break
        if text[at] != "@":
            raise Malformed(f"Expected '@' in {text[:80]!r}")
        at += 1
    if not parts or at != len(text):
        raise Malformed(f"Unreadable observable: {text[:80]!r}")
    if len(parts) > 1 and not all(f.targets for f in parts):
        raise Malformed("A tensor product needs the qubits of each factor")
    return tuple(parts)


def _factor(match: re.Match[str], named: Mapping[str, range]) -> Factor:
    if match[1] is None:
        return _hermitian(match[4], match[5], named)
    targets = () if match[3] else _operand(match[2], named)
    # a bare register is broadcast, as ``all`` is
    return Factor(name=match[1], targets=targets if len(targets) == 1 else ())


def _hermitian(matrix: str, operands: str, named: Mapping[str, range]) -> Factor:
    targets = _targets(operands, named)
    if len(targets) > _WIDEST:
        raise Malformed(f"A hermitian observable has at most {_WIDEST} qubits here")
    compact = re.sub(r"\s+", "", matrix)
    rows = re.findall(r"\[([^\[\]]*)\]", compact)
    entries = tuple(tuple(_complex(e) for e in row.split(",")) for row in rows)
    if compact != "[" + ",".join(f"[{r}]" for r in rows) + "]":
        raise Malformed("Unreadable matrix of a hermitian observable")
    size = 2 ** (len(targets) or 1)
    if len(entries) != size or any(len(row) != size for row in entries):
        raise Malformed(f"The matrix of a hermitian observable on {len(targets) or 1} qubits must be {size} by {size}")
    if any(abs(entries[i][j] - entries[j][i].conjugate()) > 1e-8 for i in range(size) for j in range(i + 1)):
        raise Malformed("The matrix is not hermitian")
    return Factor(name="hermitian", targets=targets, matrix=entries)


def _complex(text: str) -> complex:
    if (match := _COMPLEX.fullmatch(text)) is None:
        raise Malformed(f"Unreadable number in a matrix: {text[:40]!r}")
    sign, first, only_im, plus, inner, second = match.groups()
    value = float(f"{sign}{first}")
    if only_im:
        return complex(0, value)
    if second is None:
        return complex(value, 0)
    imaginary = float(second) * (-1 if plus == "-" else 1) * (-1 if inner else 1)
    return complex(value, imaginary)
