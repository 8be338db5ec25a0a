"""Where words go: the report to stdout, everything else to stderr; colour only where a person looks."""

from __future__ import annotations

import os
import sys
from typing import IO

import click

from harness.reporters._paint import Paint, ansi, plain


def paint_for(stream: IO[str]) -> Paint:
    """Colours for a terminal; none for a pipe, under NO_COLOR, or on a terminal that can't."""
    colours = stream.isatty() and "NO_COLOR" not in os.environ and os.environ.get("TERM") != "dumb"
    return ansi if colours else plain


def emit(text: str) -> None:
    """The command's result, to stdout."""
    # colour was decided by paint_for, so click must not strip it again
    click.echo(text, nl=not text.endswith("\n"), color=True)


def note(text: str) -> None:
    """Something beside the result, to stderr."""
    click.echo(text, err=True)


def is_live() -> bool:
    """Whether a person watches stderr."""
    return sys.stderr.isatty() and os.environ.get("TERM") != "dumb"
