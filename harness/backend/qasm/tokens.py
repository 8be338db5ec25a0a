"""From text to tokens, and a cursor over them."""

from __future__ import annotations

import re
from dataclasses import dataclass

from harness.backend.unreadable import Unreadable

#: longest program, in characters
MOST_CHARACTERS = 4_000_000

_TOKEN = re.compile(
    r"""(?P<space>[ \t\r\f]+|//[^\n]*)
    |(?P<line>\n)
    |(?P<comment>/\*)
    |(?P<pragma>(?:\#[ \t]*pragma|pragma\b|@[A-Za-z_])[^\n]*)
    |(?P<real>(?:\d[\d_]*\.[\d_]*|\.\d[\d_]*)(?:[eE][+-]?\d+)?|\d[\d_]*[eE][+-]?\d+)
    |(?P<whole>0[xX][0-9a-fA-F_]+|0[bB][01_]+|\d[\d_]*)
    |(?P<name>[^\W\d]\w*)
    |(?P<physical>\$\d+)
    |(?P<text>"[^"\n]*"|'[^'\n]*')
    |(?P<sign>->|==|!=|<=|>=|&&|\|\||\*\*|\+\+|<<|>>|\+=|-=|\*=|/=|[-+*/%^~!<>=&|(){}\[\];,.:@])""",
    re.VERBOSE,
)


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: name, real, whole, physical, text, sign, pragma, or end."""

    kind: str
    text: str
    line: int


def tokens_of(source: str) -> list[Token]:
    """All tokens, and one of kind ``end`` behind them; raises Unreadable."""
    if len(source) > MOST_CHARACTERS:
        raise Unreadable(f"the program is longer than {MOST_CHARACTERS} characters")
    found: list[Token] = []
    place, line = 0, 1
    while place < len(source):
        match = _TOKEN.match(source, place)
        if match is None:
            raise Unreadable(f"line {line}: unexpected character {source[place]!r}")
        kind, place = match.lastgroup or "", match.end()
        if match.group().startswith("@") and found and found[-1].line == line:  # of a modifier, no annotation
            kind, place = "sign", match.start() + 1
            found.append(Token(kind, "@", line))
            continue
        if kind == "comment":
            end = source.find("*/", place)
            if end < 0:
                raise Unreadable(f"line {line}: a comment has no end")
            line, place = line + source.count("\n", place, end), end + 2
        elif kind == "line":
            line += 1
        elif kind != "space":
            found.append(Token(kind, match.group(), line))
    found.append(Token("end", "the end of the program", line))
    return found


class Cursor:
    """A place among tokens."""

    def __init__(self, tokens: list[Token], place: int = 0) -> None:
        self.tokens, self.place = tokens, place

    @property
    def token(self) -> Token:
        """The next one."""
        return self.tokens[self.place]

    def take(self) -> Token:
        """The next one, and go on."""
        token = self.tokens[self.place]
        self.place = min(self.place + 1, len(self.tokens) - 1)
        return token

    def at(self, text: str) -> bool:
        """Whether the next one is this sign or word."""
        token = self.tokens[self.place]
        return token.text == text and token.kind in ("sign", "name")

    def follows(self, text: str) -> bool:
        """As ``at``, and go on behind it if so."""
        if self.at(text):
            self.place += 1
            return True
        return False

    def expect(self, text: str) -> None:
        """Go on behind this sign or word; raises Unreadable if it is not there."""
        if not self.follows(text):
            raise self.wrong(f"expected {text!r}, not {self.token.text[:40]!r}")

    def name(self) -> str:
        """An identifier; raises Unreadable."""
        if self.token.kind != "name":
            raise self.wrong(f"expected a name, not {self.token.text[:40]!r}")
        return self.take().text

    def wrong(self, message: str) -> Unreadable:
        """An error here."""
        return Unreadable(f"line {self.token.line}: {message}")

    def skip_block(self) -> int:
        """Behind the bracket that closes the one here; tells the place of the token behind the opening one."""
        self.expect("{")
        start, depth = self.place, 1
        while depth:
            token = self.take()
            if token.kind == "end":
                raise self.wrong("a block has no end")
            if token.kind == "sign":
                depth += (token.text == "{") - (token.text == "}")
        return start
