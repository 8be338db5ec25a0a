"""qharness judge: judge a stored history again."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from harness.commands._options import Ids, format_option, unknown
from harness.commands._rules import rules
from harness.commands._terminal import emit, paint_for
from harness.errors import UsageProblem


@click.command("judge")
@click.argument("history", type=click.Path(path_type=Path))
@click.option("--invariants", type=Ids(), default=(), help="Judge these only, e.g. A1,Q1.")
@format_option("text", "json")
def judge(history: Path, invariants: tuple[str, ...], format_: str) -> int:
    """Judge a stored HISTORY (*.history.ndjson) without playing it.

    Exit 1 if a rule is broken, else 0.
    """
    from harness.judging import judge as judge_history
    from harness.judging import known_invariants
    from harness.reporters import _verdicts
    from harness.reporters.document import dumps
    from harness.store import read_history

    known = known_invariants()
    if strange := [i for i in invariants if i not in known]:
        raise UsageProblem(unknown(strange[0], "invariant", known))
    events = read_history(history)
    verdicts = judge_history(events, [known[i] for i in invariants or known])
    if format_ == "json":
        emit(dumps(_verdicts.document(str(history), verdicts, rules())))
    else:
        emit(_verdicts.text(verdicts, rules(), paint_for(sys.stdout)))
    return _verdicts.exit_code(verdicts)
