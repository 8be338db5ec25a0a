"""Everything that can go wrong, drawn once.

    QHarnessError
    ├── UserError            what the user wrote is wrong; exit 2, one message, no traceback
    │   ├── FileProblem      a file: path, line, column, what is wrong, what to write instead
    │   └── UsageProblem     a command line or a combination of options
    ├── TargetError          the pipeline could not be tested; exit 2
    │   ├── TargetUnreachable   it does not start, or does not answer
    │   ├── NeedsLiveMode    it does foreign I/O (a real socket, a thread) in simulated mode
    │   └── RunStopped       a stop condition was met: nothing more may be asked of it
    ├── PlayCut              a play was cut short: Ctrl-C, or the time was over; nobody's fault
    └── ContractBroken       one of our own parts broke its promise; a bug of ours, exit 2

A failed check is a verdict, never an exception.
"""

from __future__ import annotations

from dataclasses import dataclass


class QHarnessError(Exception):
    """Root of the tree; catch it only at the edge (cli)."""


class UserError(QHarnessError):
    """What the user wrote is wrong; the message says what to write instead."""


@dataclass(frozen=True)
class Place:
    """A position in a file; line and column count from 1, 0 when unknown."""

    path: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        return f"{self.path}:{self.line}:{self.column}" if self.line else self.path


class FileProblem(UserError):
    """One thing that is wrong in one file."""

    def __init__(self, place: Place, what: str, instead: str = "") -> None:
        self.place, self.what, self.instead = place, what, instead
        super().__init__(f"{place}: {what}" + (f"\n  {instead}" if instead else ""))


class UsageProblem(UserError):
    """The command line, or a combination of its options, makes no sense."""


class TargetError(QHarnessError):
    """The pipeline under test could not be tested."""


class TargetUnreachable(TargetError):
    """The target does not start, or does not answer."""


class NeedsLiveMode(TargetError):
    """The target does I/O that a virtual clock can't carry; the message names it."""


class RunStopped(TargetError):
    """A stop condition was met: the run ends, with everything so far reported."""


class PlayCut(QHarnessError):
    """A play was cut short from outside and healed; it has no history. The message says why."""


class ContractBroken(QHarnessError):
    """A part of the harness broke its own promise: a bug of ours, never of the target."""
