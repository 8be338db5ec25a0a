"""Values of OpenQASM's classical expressions: numbers and truth, known when a program is read."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping

from harness.backend.qasm.tokens import Cursor

Number = int | float | bool

_CONSTANTS = {
    "pi": math.pi,
    "π": math.pi,
    "tau": math.tau,
    "τ": math.tau,
    "euler": math.e,
    "ℇ": math.e,
    "true": True,
    "false": False,
}
_FUNCTIONS: Mapping[str, Callable[[float], float]] = {
    "sin": math.sin,
    "cos": math.cos,
    "tan": math.tan,
    "arcsin": math.asin,
    "arccos": math.acos,
    "arctan": math.atan,
    "exp": math.exp,
    "ln": math.log,
    "log": math.log,
    "sqrt": math.sqrt,
    "abs": abs,
    "ceiling": math.ceil,
    "floor": math.floor,
    "float": float,
    "int": int,
    "uint": int,
    "bool": bool,
    "angle": float,
}
#: operators from the loosest to the tightest
_LEVELS: tuple[Mapping[str, Callable[[Number, Number], Number]], ...] = (
    {"||": lambda a, b: bool(a) or bool(b)},
    {"&&": lambda a, b: bool(a) and bool(b)},
    {"==": operator.eq, "!=": operator.ne},
    {"<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.truediv, "%": operator.mod},
)
_DEEPEST, _LARGEST = 60, 2**62


def value(cursor: Cursor, names: Mapping[str, Number], depth: int = 0, level: int = 0) -> Number:
    """The value of the expression here; raises Unreadable. ``names``: what identifiers stand for."""
    if depth > _DEEPEST:
        raise cursor.wrong("an expression is nested too deeply")
    if level == len(_LEVELS):
        return _signed(cursor, names, depth)
    found = value(cursor, names, depth, level + 1)
    while cursor.token.kind == "sign" and (act := _LEVELS[level].get(cursor.token.text)) is not None:
        cursor.take()
        found = _computed(cursor, act, found, value(cursor, names, depth, level + 1))
    return found


def integer(cursor: Cursor, names: Mapping[str, Number]) -> int:
    """As ``value``, and whole."""
    found = value(cursor, names)
    if isinstance(found, float) and not found.is_integer():
        raise cursor.wrong(f"expected a whole number, not {found}")
    return int(found)


def _computed(cursor: Cursor, act: Callable[..., Number], *operands: Number) -> Number:
    try:
        found = act(*operands)
    except (ValueError, ZeroDivisionError, OverflowError, TypeError):
        raise cursor.wrong("an expression has no value") from None
    if isinstance(found, complex) or not abs(found) <= _LARGEST:
        raise cursor.wrong("the value of an expression is no number, or too large")
    return found


def _signed(cursor: Cursor, names: Mapping[str, Number], depth: int) -> Number:
    for sign, act in (("-", operator.neg), ("+", operator.pos), ("!", operator.not_)):
        if cursor.follows(sign):
            if depth > _DEEPEST:
                raise cursor.wrong("an expression is nested too deeply")
            return _computed(cursor, act, _signed(cursor, names, depth + 1))
    base = _atom(cursor, names, depth)
    if cursor.follows("**") or cursor.follows("^"):
        exponent = _signed(cursor, names, depth + 1)
        return _computed(cursor, lambda a, b: float(a) ** float(b), base, exponent)
    return base


def _atom(cursor: Cursor, names: Mapping[str, Number], depth: int) -> Number:
    token = cursor.token
    if cursor.follows("("):
        found = value(cursor, names, depth + 1)
        cursor.expect(")")
        return found
    if token.kind == "real":
        return _computed(cursor, float, cursor.take().text.replace("_", ""))  # type: ignore[arg-type]
    if token.kind == "whole":
        return _computed(cursor, lambda t: int(t, 0), _whole(cursor.take().text))  # type: ignore[arg-type]
    name = cursor.name()
    if cursor.at("(") or cursor.at("["):
        return _called(cursor, name, names, depth)
    if name in names:
        return names[name]
    if name not in _CONSTANTS:
        raise cursor.wrong(f"{name!r} has no value")
    return _CONSTANTS[name]


def _whole(text: str) -> str:
    """As Python reads it: decimal ones may start with zeros."""
    text = text.replace("_", "")
    return text if text[:2].lower() in ("0x", "0b") else text.lstrip("0") or "0"


def _called(cursor: Cursor, name: str, names: Mapping[str, Number], depth: int) -> Number:
    if cursor.follows("["):  # float[64](x)
        value(cursor, names, depth + 1)
        cursor.expect("]")
    if name not in _FUNCTIONS and name not in ("mod", "pow"):
        raise cursor.wrong(f"the function {name!r} is not known")
    cursor.expect("(")
    first = value(cursor, names, depth + 1)
    if name in _FUNCTIONS:
        cursor.expect(")")
        return _computed(cursor, _FUNCTIONS[name], first)
    cursor.expect(",")
    second = value(cursor, names, depth + 1)
    cursor.expect(")")
    act = operator.mod if name == "mod" else (lambda a, b: float(a) ** float(b))
    return _computed(cursor, act, first, second)
