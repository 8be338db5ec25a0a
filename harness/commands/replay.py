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
    from harness.commands._modes import Mode
    from harness.reporters._replays import Replayed


@click.command("replay")
@click.argument("findings", nargs=-1, required=True, metavar="FINDING...", type=click.Path(path_type=Path))
@target_option("Play it against this target.yaml instead of the one it was found with.")
@click.option(
    "--mode",
    type=click.Choice(["simulated", "live"]),
    default=None,
    help="One process and virtual time, or real processes.  [default: as it was found]",
)
@click.option(
    "--plays", type=click.IntRange(min=1), default=5, show_default=True, help="How often, where plays differ."
)
@format_option("text", "json")
def replay(findings: tuple[Path, ...], target_path: str | None, mode: Mode | None, plays: int, format_: str) -> int:
    """Play stored findings again (a findings/*.yaml, or a folder of them).

    Says whether the history is the same, byte for byte, and whether the rule
    is broken again. Plays of real processes differ, so there it says how many
    of several break it, and where the first other one went another way.
    Exit 1 if one is reproduced, 0 if none, 2 if one could not be played.
    """
    from harness.commands._interrupt import Interrupts
    from harness.commands._replaying import Replays, plan_files
    from harness.reporters import _replays
    from harness.reporters.document import dumps

    with Interrupts() as interrupts, Replays(interrupts, target_path, mode or "", plays) as replays:
        results = [replays.replay(f) for f in plan_files(findings)]
        interrupts.check()
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
