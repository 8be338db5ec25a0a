"""What a statement is about, read from its text: verb, tables, conditions. What can't be told is left empty."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

from harness.wires._postgres_conditions import Condition, Told, name_at, told_by
from harness.wires._postgres_tokens import Token, normalised, tokens_of

#: of a statement's text, this much is looked at
LOOKED_AT_CHARACTERS = 16_384
#: of the normalised text, this much is told
TOLD_CHARACTERS = 2_000

_VERBS = {
    "select": "select", "values": "select", "table": "select", "fetch": "select",
    "insert": "insert", "update": "update", "merge": "update", "delete": "delete",
    "begin": "begin", "start": "begin", "commit": "commit", "end": "commit", "rollback": "rollback",
    "abort": "rollback", "copy": "copy", "create": "ddl", "alter": "ddl", "drop": "ddl", "truncate": "ddl",
    "comment": "ddl", "grant": "ddl", "revoke": "ddl", "refresh": "ddl", "reindex": "ddl",
}  # fmt: skip
_WRITES = {"insert": True, "update": True, "delete": True, "ddl": True, "select": False}
_QUERIES = ("select", "values", "table", "insert", "update", "delete", "merge")
#: of several statements in one message, the one that says most
_BY_WEIGHT = ("commit", "rollback", "insert", "update", "delete", "copy", "ddl", "begin", "select", "other")


@dataclass(frozen=True, kw_only=True)
class Statement:
    """What is known of one statement. ``writes``: None if it can't be told."""

    operation: str
    text: str = ""
    tables: tuple[str, ...] = ()
    writes: bool | None = None
    #: it takes row or table locks: SELECT … FOR UPDATE, LOCK TABLE
    locks: bool = False
    #: its rows name what it touched: RETURNING, or rows that it locked
    returning: bool = False
    #: a transaction begins again at its end (COMMIT AND CHAIN)
    chains: bool = False
    conditions: tuple[Condition, ...] = ()


@lru_cache(maxsize=512)
def statements_of(sql: str) -> tuple[Statement, ...]:
    """The statements of a text, which may end anywhere."""
    return tuple(_statement(tokens) for tokens in _split(tokens_of(sql[:LOOKED_AT_CHARACTERS])))


def together(statements: Sequence[Statement]) -> Statement:
    """Several statements of one message as one: the operation that says most, and all that any of them touches."""
    if len(statements) == 1:
        return statements[0]
    operations = {s.operation for s in statements}
    return Statement(
        operation=next((o for o in _BY_WEIGHT if o in operations), "other"),
        text="; ".join(s.text for s in statements)[:TOLD_CHARACTERS],
        tables=tuple(dict.fromkeys(t for s in statements for t in s.tables)),
        writes=_any(s.writes for s in statements),
        locks=any(s.locks for s in statements),
        conditions=tuple(c for s in statements for c in s.conditions),
    )


def _any(values: Iterable[bool | None]) -> bool | None:
    """True if one is, None if one might be."""
    known = set(values)
    return True if True in known else None if None in known else False


def _split(tokens: tuple[Token, ...]) -> Iterator[tuple[Token, ...]]:
    """By semicolons outside of parentheses."""
    start = depth = 0
    for i, token in enumerate(tokens):
        if token.kind != "sign":
            continue
        depth += {"(": 1, ")": -1}.get(token.text, 0)
        if token.text == ";" and depth <= 0:
            if i > start:
                yield tokens[start:i]
            start, depth = i + 1, 0
    if len(tokens) > start:
        yield tokens[start:]


def _statement(tokens: tuple[Token, ...]) -> Statement:
    words = [t.text if t.kind == "word" else "" for t in tokens]
    text = normalised(tokens)[:TOLD_CHARACTERS]
    at = _verb_at(tokens, words)
    verb = words[at] if at < len(words) else ""
    operation = _operation(verb, words[at:])
    if operation in ("begin", "commit", "rollback"):
        return Statement(operation=operation, text=text, writes=False, chains=_chains(words))
    if operation == "ddl" or verb == "lock":
        tables = tuple(_named(tokens, words, verb))
        return Statement(operation=operation, text=text, tables=tables, writes=verb != "lock", locks=verb == "lock")
    if operation == "copy" and name_at(tokens, at + 1)[0]:
        name, _ = name_at(tokens, at + 1)
        return Statement(operation="copy", text=text, tables=(name,), writes="from" in words)
    told = told_by(tokens) if operation in _VERBS.values() or verb == "explain" else Told()
    return _query(operation, words, text, told)


def _query(operation: str, words: Sequence[str], text: str, told: Told) -> Statement:
    writes = _WRITES.get(operation)
    if operation == "select" and told.changes:
        writes = True
    if operation == "copy":
        writes = told.changes
    return Statement(
        operation=operation,
        text=text,
        tables=told.tables,
        writes=writes,
        locks=told.locks,
        returning=told.locks or "returning" in words,
        conditions=told.conditions,
    )


def _operation(verb: str, words: Sequence[str]) -> str:
    if verb in ("rollback", "abort") and "to" in words[1:4]:
        return "other"
    if verb == "declare":
        return "select"
    return _VERBS.get(verb, "other")


def _chains(words: Sequence[str]) -> bool:
    return list(words[-2:]) == ["and", "chain"]


def _verb_at(tokens: Sequence[Token], words: Sequence[str]) -> int:
    """Where the main verb is: behind parentheses, and behind what WITH defines."""
    first = next((i for i, t in enumerate(tokens) if t.text != "("), len(tokens))
    if first < len(words) and words[first] == "with":
        depth = 0
        for i in range(first + 1, len(tokens)):
            depth += {"(": 1, ")": -1}.get(tokens[i].text, 0) if tokens[i].kind == "sign" else 0
            if not depth and words[i] in _QUERIES:
                return i
    return first


def _named(tokens: Sequence[Token], words: Sequence[str], verb: str) -> Iterator[str]:
    """The tables that a definition or a lock names: behind TABLE or VIEW, or ON for an index or a grant."""
    start = next((i for i, w in enumerate(words) if w in ("table", "view", "on")), None)
    if start is None:
        start = 0 if verb in ("truncate", "lock") else None
    if start is None:
        return
    at = start + 1
    while at < len(tokens) and words[at] in ("if", "not", "exists", "only", "table", "concurrently"):
        at += 1
    while at < len(tokens) and tokens[at].kind in ("word", "name"):
        name, at = name_at(tokens, at)
        yield name
        if at >= len(tokens) or tokens[at].text != ",":
            return
        at += 1
