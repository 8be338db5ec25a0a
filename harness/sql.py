"""How a statement ends for its client, as a value: the answer of a call in layer ``sql``."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal


@dataclass(frozen=True, kw_only=True)
class SqlAnswer:
    """The answer to one statement; without arguments: the server's own, as it is.

    ``sqlstate``: an error, the server's or ours (``ours``; it then takes the answer's place, and the transaction fails
    with it). ``end``: the connection breaks: ``before`` anything of the answer left, or ``after`` all of it did.
    """

    #: what the server says was done: ``INSERT 0 1``
    tag: str = ""
    #: five characters of PostgreSQL's appendix A; "": no error
    sqlstate: str = ""
    message: str = ""
    ours: bool = False
    #: the error ends the connection (severity FATAL), as those of the server's own end do
    fatal: bool = False
    end: Literal["", "before", "after"] = ""
    #: with a reset (RST) instead of an orderly end (FIN)
    reset: bool = False
    #: rows and tag of a read as they go over the wire, unless too long to be kept; a fault may tell older ones
    rows: bytes | None = field(default=None, repr=False)


PASSED = SqlAnswer()
"""The server's own answer."""
