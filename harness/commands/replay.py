"""qharness replay: play a stored finding again and compare, byte for byte."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands._options import format_option, target_option
from harness.commands._terminal import emit, paint_for

if TYPE_CHECKING:
    from harness.reporters._replays import Replayed


@click.command("replay")
@click.argument("findings", nargs=-1, required=True, metavar="FINDING...", type=click.Path(path_type=Path))
@target_option("Play it against this target.yaml instead of the one it was found with.")
@format_option("text", "json")
def replay(findings: tuple[Path, ...], target_path: str | None, format_: str) -> int:
    """Play stored findings again (a findings/*.yaml, or a folder of them).

    Says whether the history is the same, byte for byte, and whether the rule
    is broken again. Exit 1 if one is reproduced, 0 if none, 2 if one could
    not be played.
    """
    from harness.commands._replaying import Replays, plan_files
    from harness.reporters import _replays
    from harness.reporters.document import dumps

    with Replays(target_path) as replays:
        results = [replays.replay(f) for f in plan_files(findings)]
    if format_ == "json":
        emit(dumps(_replays.document(results)))
    else:
        emit("".join(map(_text, results)))
    return int(_replays.exit_code(results))


def _text(result: Replayed) -> str:
    """One finding's block; the advice of a problem stays on lines of its own."""
    from harness.reporters import _replays

    problem, *advice = result.problem.splitlines() or [""]
    block = _replays.text([replace(result, problem=problem)], paint_for(sys.stdout))
    return block + "".join(f"      {line.strip()}\n" for line in advice)
