"""OpenQASM programs, read by playing them once: what comes out is the list of steps.

Understood: qubits and bits, ``gate``, gates with modifiers and broadcasting, ``measure``, ``reset``, ``if``/``else`` on
measured bits, ``for`` over numbers, classical values known in advance, ``input`` parameters, Braket's ``unitary`` and
``verbatim`` pragmas, ``box``; barriers and delays are read and left out. Refused by name: subroutines, ``while``,
``switch``, pulses, noise pragmas, classical arithmetic on measured bits.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import TypeVar

from harness.backend.circuit import Branch, Circuit, Gate, Measure, Reset, Step, closed
from harness.backend.qasm import expressions, pragmas
from harness.backend.qasm.calls import Defined, Gates, check, modified, modifiers
from harness.backend.qasm.expressions import Number
from harness.backend.qasm.gateset import Definition
from harness.backend.qasm.operands import MOST_BITS, Registers, broadcast, indices, operand
from harness.backend.qasm.tokens import Cursor, Token
from harness.backend.unreadable import Unreadable

T = TypeVar("T")

#: steps of a circuit, statements played to get them, and how deep gates, blocks and loops may be nested
MOST_STEPS, _MOST_PLAYED, _DEEPEST = 60_000, 120_000, 40
_NUMBERS = frozenset({"float", "int", "uint", "angle", "bool"})
_REFUSED = frozenset({"def", "extern", "defcal", "cal", "defcalgrammar", "while", "switch", "opaque", "return", "end"})
_LEFT_OUT = frozenset({"barrier", "delay", "nop"})
_CONDITION = "a condition compares measured bits with a number, or numbers that are known"


class Program:
    """One program while it is played. ``gates``: those known by name; ``inputs``: values of ``input`` parameters."""

    def __init__(self, tokens: list[Token], gates: Mapping[str, Definition], inputs: Mapping[str, float]) -> None:
        self._cursor = Cursor(tokens)
        self._gates: dict[str, Definition | Defined] = dict(gates)
        self._inputs = inputs
        self._qubits, self._bits = Registers(), Registers()
        self._names: dict[str, Number] = {}
        self._steps: list[Step] = []
        self._emitted = self._played = self._depth = self._branches = 0
        #: names of ``input`` parameters, in order; those without a value are taken as 0
        self.parameters: list[str] = []
        self._statements: dict[str, Callable[[], None]] = {
            "OPENQASM": self._version,
            "include": self._include,
            "qubit": lambda: self._declare(self._qubits),
            "bit": lambda: self._declare(self._bits),
            "qreg": lambda: self._declare_old(self._qubits),
            "creg": lambda: self._declare_old(self._bits),
            "input": self._input,
            "output": self._output,
            "const": self._const,
            "let": self._let,
            "gate": self._define,
            "measure": self._measure_arrow,
            "reset": self._reset,
            "if": self._if,
            "for": self._for,
            "box": self._box,
        }

    def play(self) -> Circuit:
        """The circuit; raises Unreadable."""
        while self._cursor.token.kind != "end":
            self._statement()
        return closed(self._qubits.size, self._steps, self._bits.size, tuple(self._bits.declared))

    # ------------------------------------------------------------ statements

    def _statement(self) -> None:
        self._spend()
        token = self._cursor.token
        if token.kind == "pragma":
            self._pragma(self._cursor.take())
        elif token.kind == "physical" or token.kind != "name":
            if not self._cursor.follows(";"):
                raise self._cursor.wrong(f"unexpected {token.text[:40]!r}")
        elif token.text in _REFUSED:
            raise self._cursor.wrong(f"{token.text!r} is not supported here")
        elif token.text in _LEFT_OUT:
            self._skip()
        elif token.text in self._statements:
            self._cursor.take()
            self._statements[token.text]()
        elif token.text in _NUMBERS:
            self._const()
        else:
            self._call_or_assignment()

    def _spend(self) -> None:
        self._played += 1
        if self._played > _MOST_PLAYED:
            raise self._cursor.wrong("the program is too long, unrolled")

    def _block(self) -> None:
        """One statement, or several in braces."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._cursor.wrong("blocks are nested too deeply")
        if self._cursor.follows("{"):
            while not self._cursor.follows("}"):
                if self._cursor.token.kind == "end":
                    raise self._cursor.wrong("a block has no end")
                self._statement()
        else:
            self._statement()
        self._depth -= 1

    def _skip(self) -> None:
        """To the end of the statement."""
        while not self._cursor.follows(";"):
            if self._cursor.take().kind == "end":
                raise self._cursor.wrong("expected ';'")

    def _version(self) -> None:
        if self._cursor.take().text.split(".")[0] not in ("2", "3"):
            raise self._cursor.wrong("only OpenQASM 2 and 3 are read here")
        self._cursor.expect(";")

    def _include(self) -> None:
        name = self._cursor.take().text.strip("\"'")
        if name not in ("stdgates.inc", "qelib1.inc"):
            raise self._cursor.wrong(f"{name[:40]!r} can't be included here")
        self._cursor.expect(";")

    def _pragma(self, token: Token) -> None:
        for gate in pragmas.gates(token, self._operands):
            self._emit(gate)

    # ------------------------------------------------------------ declarations

    def _declare(self, registers: Registers) -> None:
        size = self._size()
        name = self._cursor.name()
        bits = registers.declare(self._cursor, name, size)
        if self._cursor.follows("="):
            if registers is self._qubits or not self._cursor.follows("measure"):
                raise self._cursor.wrong("only a measurement can be assigned to bits")
            self._measure(bits)
        self._cursor.expect(";")

    def _declare_old(self, registers: Registers) -> None:
        name = self._cursor.name()
        registers.declare(self._cursor, name, self._size())
        self._cursor.expect(";")

    def _size(self) -> int:
        if not self._cursor.follows("["):
            return 1
        size = expressions.integer(self._cursor, self._names)
        self._cursor.expect("]")
        return size

    def _input(self) -> None:
        self._type()
        name = self._cursor.name()
        self._cursor.expect(";")
        self.parameters.append(name)
        self._names[name] = self._inputs.get(name, 0.0)

    def _output(self) -> None:
        if self._cursor.at("bit"):
            self._statement()
        else:
            raise self._cursor.wrong("only bits can be output here")

    def _type(self) -> str:
        kind = self._cursor.name()
        if kind not in _NUMBERS:
            raise self._cursor.wrong(f"values of the type {kind[:40]!r} are not supported here")
        if self._cursor.at("["):
            self._size()
        return kind

    def _const(self) -> None:
        kind = self._type()
        name = self._cursor.name()
        value: Number = 0
        if self._cursor.follows("="):
            value = self._value()
        self._cursor.expect(";")
        self._assign(name, int(value) if kind in ("int", "uint") else value)

    def _assign(self, name: str, value: Number) -> None:
        if self._branches:
            raise self._cursor.wrong("a value that depends on a measurement is not supported here")
        self._names[name] = value

    def _let(self) -> None:
        name = self._cursor.name()
        self._cursor.expect("=")
        bits = list(operand(self._cursor, self._qubits, self._names))
        while self._cursor.follows("++"):
            bits += operand(self._cursor, self._qubits, self._names)
        self._cursor.expect(";")
        self._qubits.names[name] = tuple(bits[:MOST_BITS])

    def _define(self) -> None:
        name = self._cursor.name()
        angles: list[str] = []
        if self._cursor.follows("(") and not self._cursor.follows(")"):
            angles = self._list(self._cursor.name)
            self._cursor.expect(")")
        qubits = self._list(self._cursor.name)
        body = self._cursor.skip_block()
        # a program's own copy of a standard gate (exporters write them) stays the gate that devices know
        if not isinstance(self._gates.get(name), Definition):
            self._gates[name] = Defined(tuple(angles), tuple(qubits), body)

    # ------------------------------------------------------------ what happens to qubits

    def _emit(self, step: Step) -> None:
        self._emitted += 1
        if self._emitted > MOST_STEPS:
            raise self._cursor.wrong(f"there are more than {MOST_STEPS} steps")
        self._steps.append(step)

    def _measure_arrow(self) -> None:
        qubits = operand(self._cursor, self._qubits, self._names)
        if self._cursor.follows("->"):
            bits = operand(self._cursor, self._bits, self._names)
            self._measured(qubits, bits)
        self._cursor.expect(";")

    def _measure(self, bits: Sequence[int]) -> None:
        self._measured(operand(self._cursor, self._qubits, self._names), bits)

    def _measured(self, qubits: Sequence[int], bits: Sequence[int]) -> None:
        if len(qubits) != len(bits):
            raise self._cursor.wrong(f"{len(qubits)} qubits are measured into {len(bits)} bits")
        for qubit, bit in zip(qubits, bits, strict=True):
            self._emit(Measure(qubit, bit))

    def _reset(self) -> None:
        for qubit in operand(self._cursor, self._qubits, self._names):
            self._emit(Reset(qubit))
        self._cursor.expect(";")

    def _box(self) -> None:
        if self._cursor.follows("["):
            while not self._cursor.follows("]"):
                if self._cursor.take().kind == "end":
                    raise self._cursor.wrong("expected ']'")
        self._block()

    def _call_or_assignment(self) -> None:
        name = self._cursor.token.text
        if name in self._bits.names and name not in self._gates:
            bits = operand(self._cursor, self._bits, self._names)
            self._cursor.expect("=")
            self._cursor.expect("measure")
            self._measure(bits)
            self._cursor.expect(";")
        elif name in self._names and name not in self._gates:
            self._cursor.take()
            self._cursor.expect("=")
            self._assign(name, self._value())
            self._cursor.expect(";")
        else:
            self._call()

    def _call(self) -> None:
        outer = modifiers(self._cursor, self._value)
        at, name = self._cursor.place, self._cursor.name()
        angles: list[float] = []
        if self._cursor.follows("(") and not self._cursor.follows(")"):
            angles = [float(v) for v in self._list(self._value)]
            self._cursor.expect(")")
        if name == "gphase":
            angles = [a * (-1 if sum(m.kind == "inv" for m in outer) % 2 else 1) for a in angles]
        operands = [] if self._cursor.at(";") else self._operands(self._cursor)
        self._cursor.expect(";")
        back, self._cursor.place = self._cursor.place, at
        wide = sum(m.controls for m in outer)
        for qubits in broadcast(self._cursor, operands):
            if name == "gphase":
                made = self._global_phase(angles, qubits)
            else:
                made = modified(self._cursor, self._made(name, angles, qubits[wide:]), outer, qubits[:wide])
            for gate in made:
                check(self._cursor, gate)
                self._emit(gate)
        self._cursor.place = back

    def _global_phase(self, angles: Sequence[float], qubits: Sequence[int]) -> Gates:
        """Under controls it is a phase of their being 1; else nobody sees it."""
        if len(angles) != 1:
            raise self._cursor.wrong("gphase takes one angle")
        return (Gate("p", tuple(qubits[-1:]), tuple(qubits[:-1]), angles[0]),) if qubits else ()

    def _made(self, name: str, angles: Sequence[float], qubits: Sequence[int]) -> Gates:
        known = self._gates.get(name)
        if known is None:
            raise self._cursor.wrong(f"the gate {name[:40]!r} is not known")
        wanted = (known.angles, known.qubits)
        if (len(angles), len(qubits)) != wanted:
            raise self._cursor.wrong(f"{name} takes {wanted[0]} angles and {wanted[1]} qubits")
        if isinstance(known, Definition):
            return tuple(known.make(angles, qubits))
        return self._unfolded(known, angles, qubits)

    def _unfolded(self, known: Defined, angles: Sequence[float], qubits: Sequence[int]) -> Gates:
        """The body, played with its own names, into a list of its own."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self._cursor.wrong("gates are nested too deeply")
        inner = Registers()
        inner.names = {q: (k,) for q, k in zip(known.qubit_names, qubits, strict=True)}
        kept = (self._names, self._qubits, self._steps, self._cursor.place, self._emitted)
        self._names = {**self._names, **dict(zip(known.angle_names, angles, strict=True))}
        self._qubits, self._steps, self._cursor.place = inner, [], known.body
        while not self._cursor.follows("}"):
            self._statement()
        made = tuple(s for s in self._steps if isinstance(s, Gate))
        if len(made) != len(self._steps):
            raise self._cursor.wrong("a gate can't measure or reset")
        self._names, self._qubits, self._steps, self._cursor.place, self._emitted = kept
        self._depth -= 1
        return made

    # ------------------------------------------------------------ control flow

    def _if(self) -> None:
        self._cursor.expect("(")
        bits = self._cursor.token.text in self._bits.names or self._cursor.at("!")
        clbits, value, turned = self._condition() if bits else ((), int(not self._value()), False)
        self._cursor.expect(")")
        self._branches += bool(clbits)
        then = self._side()
        otherwise = self._side() if self._cursor.follows("else") else ()
        self._branches -= bool(clbits)
        if turned:
            then, otherwise = otherwise, then
        if clbits:
            self._emit(Branch(clbits, value, then, otherwise))
        else:
            self._steps += then if value == 0 else otherwise

    def _side(self) -> tuple[Step, ...]:
        kept, self._steps = self._steps, []
        self._block()
        made, self._steps = self._steps, kept
        return tuple(made)

    def _condition(self) -> tuple[tuple[int, ...], int, bool]:
        """Which bits, least significant first, are to read what; or, turned, are not to."""
        clbits, value, turned = self._comparison()
        while self._cursor.follows("&&"):
            more, other, also = self._comparison()
            if turned or also:
                raise self._cursor.wrong(_CONDITION)
            clbits, value = (*clbits, *more), value | other << len(clbits)
        return clbits, value, turned

    def _comparison(self) -> tuple[tuple[int, ...], int, bool]:
        inverted = self._cursor.follows("!")
        clbits = operand(self._cursor, self._bits, self._names)
        if self._cursor.follows("=="):
            value, turned = expressions.integer(self._cursor, self._names), inverted
        elif self._cursor.follows("!="):
            value, turned = expressions.integer(self._cursor, self._names), not inverted
        elif len(clbits) == 1:
            value, turned = int(not inverted), False
        else:
            raise self._cursor.wrong(_CONDITION)
        if not 0 <= value < 2 ** len(clbits):
            raise self._cursor.wrong(f"{len(clbits)} bits never read {value}")
        if turned and len(clbits) == 1:
            value, turned = 1 - value, False
        return clbits, value, turned

    def _for(self) -> None:
        self._type()
        name = self._cursor.name()
        self._cursor.expect("in")
        braced = self._cursor.at("{")
        if not braced:
            self._cursor.expect("[")
        values = indices(self._cursor, self._names, _MOST_PLAYED)
        if not braced:
            self._cursor.expect("]")
        start, outer = self._cursor.place, self._names.get(name)
        if not values:
            raise self._cursor.wrong("a loop without a turn is not supported here")
        for value in values:
            self._spend()
            self._cursor.place = start
            self._names[name] = value
            self._block()
        self._names.pop(name)
        if outer is not None:
            self._names[name] = outer

    # ------------------------------------------------------------ helpers

    def _value(self) -> Number:
        return expressions.value(self._cursor, self._names)

    def _operands(self, cursor: Cursor) -> list[tuple[int, ...]]:
        found = [operand(cursor, self._qubits, self._names)]
        while cursor.follows(","):
            found.append(operand(cursor, self._qubits, self._names))
        return found

    def _list(self, read: Callable[[], T]) -> list[T]:
        found = [read()]
        while self._cursor.follows(","):
            found.append(read())
        return found


def played(
    tokens: list[Token], gates: Mapping[str, Definition], inputs: Mapping[str, float]
) -> tuple[Circuit, list[str]]:
    """The circuit of a program and the names of its parameters; raises Unreadable, and nothing else."""
    program = Program(tokens, gates, inputs)
    try:
        return program.play(), program.parameters
    except RecursionError:
        raise Unreadable("the program is nested too deeply") from None
