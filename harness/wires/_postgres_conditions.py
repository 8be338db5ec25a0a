"""Which tables a query names, and where it compares a column with one value.

No parser: a walk over tokens. Under OR and NOT a comparison says little of what is touched, so nothing is said.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from harness.wires._postgres_tokens import Token

_MOST_CONDITIONS = 64


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


#: functions that have FROM among their arguments
_FROM_INSIDE = ("extract", "substring", "trim", "overlay")
_QUERY_STARTS = ("select", "with", "values", "insert", "update", "delete", "merge", "table")
_NO_ALIAS = _words(
    "where set on using join inner left right full cross natural group order limit offset having returning values "
    "select for union intersect except window fetch tablesample default with when from overriding do not"
)
_CLAUSES = _words("group order limit offset returning for window union intersect except having fetch set on")
#: NOT with one of these is a condition of its own, and leaves those beside it as they are
_AFTER_NOT = ("exists", "in", "like", "ilike", "between", "null")
_LOCKING = ("update", "share", "no", "key")


@dataclass(frozen=True, kw_only=True)
class Condition:
    """A column equal to one value: a literal, or the parameter of this number (from 0)."""

    table: str
    column: str
    literal: str | None = None
    parameter: int | None = None


@dataclass(frozen=True, kw_only=True)
class Told:
    """What a walk found. ``changes``: a part of the query writes."""

    tables: tuple[str, ...] = ()
    conditions: tuple[Condition, ...] = ()
    locks: bool = False
    changes: bool = False


@dataclass
class _Scope:
    """One query, or what stands between parentheses in it (``query`` is False then, and it shares all with it)."""

    #: alias → table; "" for what is no plain table
    sources: dict[str, str] = field(default_factory=dict)
    conditions: list[Condition] = field(default_factory=list)
    query: bool = True
    in_where: bool = False
    #: OR, NOT or CASE: what is compared says little of what is touched
    vague: bool = False
    outer: _Scope | None = None

    def table_of(self, qualifier: str | None) -> str:
        """The table that a column belongs to; "" if it can't be told."""
        if qualifier is None:
            # more than one source: any of them may have the column
            return next(iter(self.sources.values())) if len(self.sources) == 1 else ""
        scope: _Scope | None = self
        while scope is not None:
            if qualifier in scope.sources:
                return scope.sources[qualifier]
            scope = scope.outer
        return ""


def name_at(tokens: Sequence[Token], at: int) -> tuple[str, int]:
    """A name with its schema, unless that is ``public``, and where it ends; ("", at) if there is none."""
    if at >= len(tokens) or tokens[at].kind not in ("word", "name"):
        return "", at
    parts = [tokens[at].text]
    at += 1
    while at + 1 < len(tokens) and tokens[at].text == "." and tokens[at + 1].kind in ("word", "name"):
        parts.append(tokens[at + 1].text)
        at += 2
    return ".".join(p for i, p in enumerate(parts) if i == len(parts) - 1 or p != "public"), at


def told_by(tokens: Sequence[Token]) -> Told:
    """Tables and conditions of a query."""
    return _Walk(tokens).told()


class _Walk:
    def __init__(self, tokens: Sequence[Token]) -> None:
        self._tokens = tokens
        self._scopes = [_Scope()]
        self._tables: dict[str, None] = {}
        self._defined: set[str] = set()
        self._conditions: list[Condition] = []
        self._locks = self._changes = False

    def told(self) -> Told:
        self._defined = self._with_names()
        at = 0
        while at < len(self._tokens):
            at = self._step(at)
        while self._scopes:
            self._leave()
        tables = tuple(t for t in self._tables if t)
        conditions = tuple(self._conditions[:_MOST_CONDITIONS])
        return Told(tables=tables, conditions=conditions, locks=self._locks, changes=self._changes)

    # ------------------------------------------------------------ steps

    def _step(self, at: int) -> int:
        """What a token means; where to go on."""
        token = self._tokens[at]
        if token.kind == "sign":
            return self._sign(token.text, at)
        if token.kind == "word":
            keyword = getattr(self, f"_on_{token.text}", None) if token.text in _KEYWORDS else None
            if keyword is not None and self._word(at - 1) != ".":
                return int(keyword(at))
            if token.text in _CLAUSES:
                self._scope.in_where = False
        return at + 1

    def _sign(self, text: str, at: int) -> int:
        if text == "(":
            self._enter(at)
        elif text == ")" and len(self._scopes) > 1:
            self._leave()
        elif text == "=" and self._scope.in_where:
            self._compare(at)
        return at + 1

    def _on_from(self, at: int) -> int:
        if self._word(at - 1) == "distinct" or self._scope.sources.get("") == "function":
            return at + 1
        self._scope.in_where = False
        return self._sources(at + 1)

    def _on_using(self, at: int) -> int:
        # JOIN … USING (columns) names no table
        return at + 1 if self._text(at + 1) == "(" else self._sources(at + 1)

    def _on_join(self, at: int) -> int:
        return self._source(at + 1)

    def _on_into(self, at: int) -> int:
        self._changes = True
        if self._word(at - 1) == "merge":
            return self._source(at + 1)
        name, after = name_at(self._tokens, at + 1)
        self._tables.setdefault(name)
        return self._inserted(name, after) if self._word(at - 1) == "insert" else after

    def _on_update(self, at: int) -> int:
        if self._word(at - 1) in ("for", "key", "do", "then"):
            return at + 1
        self._changes = True
        return self._source(at + 1)

    def _on_delete(self, at: int) -> int:
        self._changes = self._changes or self._word(at - 1) != "then"
        return at + 1

    def _on_where(self, at: int) -> int:
        self._scope.in_where = True
        return at + 1

    def _on_or(self, at: int) -> int:
        self._scope.vague = self._scope.vague or self._scope.in_where
        return at + 1

    def _on_case(self, at: int) -> int:
        return self._on_or(at)

    def _on_not(self, at: int) -> int:
        narrows = self._word(at - 1) == "is" or self._word(at + 1) in _AFTER_NOT
        return at + 1 if narrows else self._on_or(at)

    def _on_for(self, at: int) -> int:
        self._locks = self._locks or self._word(at + 1) in _LOCKING
        self._scope.in_where = False
        return at + 1

    def _on_in(self, at: int) -> int:
        """``column IN (value, …)``: equal to each."""
        column = self._column_before(at)
        if column is None or not self._scope.in_where or self._text(at + 1) != "(" or self._word(at - 1) == "not":
            return at + 1
        found, place = [], at + 2
        while (value := self._value(place)) is not None:
            found.append(replace(value[0], table=column[0], column=column[1]))
            place = value[1] + 1
            if self._text(value[1]) == ")":
                self._scope.conditions.extend(found)
                return place
            if self._text(value[1]) != ",":
                break
        return at + 1

    # ------------------------------------------------------------ scopes

    @property
    def _scope(self) -> _Scope:
        return self._scopes[-1]

    def _enter(self, at: int) -> None:
        if self._word(at + 1) in _QUERY_STARTS:
            self._scopes.append(_Scope(outer=self._scope))
        elif self._word(at - 1) in _FROM_INSIDE:
            self._scopes.append(_Scope(outer=self._scope, sources={"": "function"}))
        else:
            outer = self._scope
            self._scopes.append(_Scope(outer.sources, outer.conditions, False, outer.in_where, False, outer.outer))

    def _leave(self) -> None:
        scope = self._scopes.pop()
        if not scope.query:
            # (a OR b) in a condition makes the whole of it vague; its conditions were shared
            self._scope.vague = self._scope.vague or scope.vague
        elif not scope.vague:
            self._conditions.extend(scope.conditions)

    # ------------------------------------------------------------ tables

    def _sources(self, at: int) -> int:
        at = self._source(at)
        while self._text(at) == ",":
            at = self._source(at + 1)
        return at

    def _source(self, at: int) -> int:
        """A table, a function or a query in FROM, with its alias."""
        while self._word(at) in ("only", "lateral"):
            at += 1
        if self._text(at) == "(":
            # its inside is walked as any other; it is one more source, whose columns are nobody's
            self._scope.sources[f"({at}"] = ""
            return at
        name, after = name_at(self._tokens, at)
        if not name:
            return at
        table = "" if self._text(after) == "(" or name in self._defined else name
        self._tables.setdefault(table)
        alias, after = self._alias(after) if self._text(after) != "(" else ("", after)
        self._scope.sources[alias or name.rpartition(".")[2]] = table
        return after

    def _alias(self, at: int) -> tuple[str, int]:
        if self._text(at) == "*":
            at += 1
        if self._word(at) == "as":
            return self._text(at + 1), at + 2
        named = at < len(self._tokens) and self._tokens[at].kind in ("word", "name")
        return (self._text(at), at + 1) if named and self._word(at) not in _NO_ALIAS else ("", at)

    def _with_names(self) -> set[str]:
        """What WITH defines: ``name [(columns)] AS [[NOT] MATERIALIZED] (``."""
        if not any(t.text == "with" for t in self._tokens):
            return set()
        found = set()
        for i, token in enumerate(self._tokens):
            follows = self._word(i - 1) in ("with", "recursive") or self._text(i - 1) == ","
            if token.kind in ("word", "name") and follows and (self._word(i + 1) == "as" or self._text(i + 1) == "("):
                found.add(token.text)
        return found

    # ------------------------------------------------------------ values

    def _compare(self, at: int) -> None:
        """``column = value`` or ``value = column``."""
        column, value = self._column_before(at), self._value(at + 1)
        if column is not None and value is not None and self._text(value[1]) not in ("+", "-", "*", "/", "||", "."):
            self._scope.conditions.append(replace(value[0], table=column[0], column=column[1]))
            return
        before, (name, after) = self._value(at - 1), name_at(self._tokens, at + 1)
        if before is not None and before[1] == at and name and self._text(after) not in ("(", "+", "-", "*", "/", "||"):
            qualifier, _, plain = name.rpartition(".")
            if table := self._scope.table_of(qualifier or None):
                self._scope.conditions.append(replace(before[0], table=table, column=plain))

    def _column_before(self, at: int) -> tuple[str, str] | None:
        """Table and column of the name that ends before ``at``, if it stands alone and its table is known."""
        end = at - 1 if self._word(at - 1) != "not" else at - 2
        if end < 0 or self._tokens[end].kind not in ("word", "name"):
            return None
        qualifier, before = None, self._text(end - 1)
        if before == "." and end >= 2:
            qualifier, before = self._text(end - 2), self._text(end - 3)
        if before in ("+", "-", "*", "/", "||", ".", "::", "%"):
            return None
        table = self._scope.table_of(qualifier)
        return (table, self._text(end)) if table else None

    def _value(self, at: int) -> tuple[Condition, int] | None:
        """A literal or parameter with its casts, and where it ends; None: something else is there."""
        minus = "-" if self._text(at) == "-" else ""
        at += len(minus)
        if at < 0 or at >= len(self._tokens):
            return None
        token, after = self._tokens[at], at + 1
        while self._text(after) == "::":
            _, after = name_at(self._tokens, after + 1)
        if token.kind == "parameter" and not minus:
            return Condition(table="", column="", parameter=int(token.text[1:]) - 1), after
        plain = token.kind in ("number", "string") or (token.kind == "word" and token.text in ("true", "false"))
        return (Condition(table="", column="", literal=minus + token.text), after) if plain else None

    def _inserted(self, table: str, at: int) -> int:
        """``(columns) VALUES (values), …``: each value is a condition on what is touched."""
        _, at = self._alias(at)
        columns, after = self._list(at)
        if not columns or self._word(after) != "values":
            return at
        place = after + 1
        while self._text(place) == "(":
            end = self._row(table, columns, place + 1)
            if end is None or self._text(end) != ",":
                break
            place = end + 1
        return after

    def _list(self, at: int) -> tuple[list[str], int]:
        """Names between parentheses."""
        found: list[str] = []
        if self._text(at) != "(":
            return found, at
        at += 1
        while at + 1 < len(self._tokens) and self._tokens[at].kind in ("word", "name"):
            found.append(self._tokens[at].text)
            if self._text(at + 1) == ")":
                return found, at + 2
            at += 2
        return [], at

    def _row(self, table: str, columns: Sequence[str], at: int) -> int | None:
        """One row of values; where it ends, None if it doesn't."""
        for i, column in enumerate(columns):
            value = self._value(at)
            if value is not None and self._text(value[1]) in (",", ")"):
                self._conditions.append(replace(value[0], table=table, column=column))
            end = self._end_of_expression(at)
            if end is None:
                return None
            if self._text(end) == ")" or i == len(columns) - 1:
                return end + 1
            at = end + 1
        return None

    def _end_of_expression(self, at: int) -> int | None:
        depth = 0
        for i in range(at, len(self._tokens)):
            token = self._tokens[i]
            if token.kind != "sign":
                continue
            if not depth and token.text in (",", ")"):
                return i
            depth += {"(": 1, ")": -1, "[": 1, "]": -1}.get(token.text, 0)
        return None

    # ------------------------------------------------------------ looking

    def _text(self, at: int) -> str:
        """The token's text if it is a sign, a word or a name."""
        known = 0 <= at < len(self._tokens) and self._tokens[at].kind in ("sign", "word", "name")
        return self._tokens[at].text if known else ""

    def _word(self, at: int) -> str:
        """The token's text if it is a word."""
        return self._tokens[at].text if 0 <= at < len(self._tokens) and self._tokens[at].kind == "word" else ""


_KEYWORDS = _words("from using join into update delete where or case not for in")
