"""Colour for terminals, as a function that text reports are given; plain by default."""

from __future__ import annotations

from collections.abc import Callable

Paint = Callable[[str, str], str]

_CODES = {"red": "31", "green": "32", "yellow": "33", "bold": "1", "dim": "2"}


def plain(style: str, words: str) -> str:
    """The words as they are."""
    return words


def ansi(style: str, words: str) -> str:
    """The words in a style: red, green, yellow, bold, dim."""
    return f"\x1b[{_CODES[style]}m{words}\x1b[0m"


PLAIN: Paint = plain
