"""SQL as tokens, as PostgreSQL's lexer splits it: comments nest, strings have four forms. No text makes it fail."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

TokenKind = Literal["word", "name", "string", "number", "parameter", "sign"]

#: an unterminated string or comment goes on to the end
_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\n\f\v]+|--[^\n]*)
    |(?P<comment>/\*)
    |(?P<parameter>\$\d+)
    |(?P<dollar>\$(?:[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_\x80-\U0010ffff]*)?\$)
    |(?P<escaped>[eE]'(?:[^'\\]+|\\.|'')*(?:'|$))
    |(?P<string>(?:[uU]&|[bBxXnN])?'[^']*(?:''[^']*)*(?:'|$))
    |(?P<name>(?:[uU]&)?"[^"]*(?:""[^"]*)*(?:"|$))
    |(?P<number>(?:\d[\d_]*\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)
    |(?P<word>[A-Za-z_\x80-\U0010ffff][A-Za-z0-9_$\x80-\U0010ffff]*)
    |(?P<sign>::|:=|<=|>=|<>|!=|\|\||.)""",
    re.VERBOSE | re.DOTALL,
)
_COMMENT_EDGE = re.compile(r"/\*|\*/")


@dataclass(frozen=True, slots=True)
class Token:
    """One token. ``text``: words in lower case, names and strings without quotes. ``spaced``: a gap was before it."""

    kind: TokenKind
    text: str
    spaced: bool


def tokens_of(sql: str) -> tuple[Token, ...]:
    """All tokens of a text; whatever is no SQL comes out as signs."""
    found: list[Token] = []
    place, spaced = 0, False
    while (match := _TOKEN.match(sql, place)) is not None:
        kind, text, place = match.lastgroup, match.group(), match.end()
        if kind in ("space", "comment"):
            place = _after_comment(sql, place) if kind == "comment" else place
            spaced = True
            continue
        if kind == "dollar":
            end = sql.find(text, place)
            text, place = sql[place : end if end >= 0 else len(sql)], len(sql) if end < 0 else end + len(text)
        found.append(_token(str(kind), text, spaced))
        spaced = False
    return tuple(found)


def _after_comment(sql: str, place: int) -> int:
    """The end of a comment that began before ``place``; they nest."""
    depth = 1
    while depth:
        edge = _COMMENT_EDGE.search(sql, place)
        if edge is None:
            return len(sql)
        depth += 1 if edge.group() == "/*" else -1
        place = edge.end()
    return place


def _token(kind: str, text: str, spaced: bool) -> Token:
    if kind == "dollar":
        return Token("string", text, spaced)
    if kind == "word":
        return Token("word", text.lower(), spaced)
    if kind in ("string", "escaped"):
        inner = text[text.index("'") + 1 :].removesuffix("'").replace("''", "'")
        return Token("string", _unescaped(inner) if kind == "escaped" else inner, spaced)
    if kind == "name":
        return Token("name", text[text.index('"') + 1 :].removesuffix('"').replace('""', '"'), spaced)
    if kind == "number":
        return Token("number", text.replace("_", ""), spaced)
    return Token("parameter" if kind == "parameter" else "sign", text, spaced)


def _unescaped(text: str) -> str:
    """Of C's escapes those that occur in keys: a quote and a backslash; others stay as written."""
    return re.sub(r"\\(['\\])", r"\1", text)


def normalised(tokens: tuple[Token, ...]) -> str:
    """A statement's text for predicates: no comments, single spaces, lower case, literals as ``?``."""
    parts: list[str] = []
    for token in tokens:
        if token.spaced and parts:
            parts.append(" ")
        if token.kind in ("string", "number"):
            parts.append("?")
        else:
            parts.append(f'"{token.text}"' if token.kind == "name" else token.text)
    return "".join(parts)
