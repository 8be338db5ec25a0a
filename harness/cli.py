"""The command line: commands, and how errors become exit codes.

0 clean, 1 findings, 2 could not test (a wrong file, a target that is down, nothing exercised), 130 interrupted.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Sequence
from types import FrameType

import click

from harness import __version__
from harness.errors import ContractBroken, QHarnessError, TargetError, UserError
from harness.registry import instances, names

NOT_TESTED, INTERRUPTED = 2, 130


@click.group(context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 80})
@click.version_option(__version__, prog_name="qharness")
def qharness() -> None:
    """Test a hybrid quantum-classical pipeline from both sides at once.

    Exit codes: 0 clean, 1 findings, 2 could not test, 130 interrupted.
    """


# A file is a command of its name; the commands below a group are the group's alone.
for _name, _command in instances("harness.commands", click.Command, key="name").items():
    if _name in names("harness.commands"):
        qharness.add_command(_command)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code. Errors of the tree are one message each, never a traceback."""
    _interrupt_on_terminate()
    try:
        code = qharness.main(
            args=None if arguments is None else list(arguments),
            prog_name="qharness",
            standalone_mode=False,
        )
        sys.stdout.flush()
    except click.ClickException as error:
        error.show()
        return NOT_TESTED
    except (click.Abort, KeyboardInterrupt):
        _say("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # whoever read our output has left; the interpreter's own flush must not complain again
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return NOT_TESTED
    except QHarnessError as error:
        if os.environ.get("QHARNESS_DEBUG"):
            raise
        _say(describe(error))
        return NOT_TESTED
    except OSError as error:
        # a full disk or a folder without rights is nobody's bug; anything else shows itself under QHARNESS_DEBUG
        if os.environ.get("QHARNESS_DEBUG"):
            raise
        _say(f"{error.filename or 'the system'}: {error.strerror or error}")
        return NOT_TESTED
    return int(code or 0)


def describe(error: QHarnessError) -> str:
    """An error as one message, saying whose it is."""
    if isinstance(error, UserError):
        return str(error)
    if isinstance(error, TargetError):
        return f"the target could not be tested: {error}"
    if isinstance(error, ContractBroken):
        return f"a bug in qharness itself, please report it: {error}\n  QHARNESS_DEBUG=1 shows where"
    return str(error)


def _say(message: str) -> None:
    click.echo(f"qharness: {message}", err=True)


def _interrupt_on_terminate() -> None:
    """SIGTERM (a build server's time-out) is told like Ctrl-C, so it leaves the same readable partial report."""

    def interrupt(_number: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    if hasattr(signal, "SIGTERM"):
        signal.signal(signal.SIGTERM, interrupt)
