"""qharness check: are these files right?"""

from __future__ import annotations

import click

from harness.commands._terminal import emit, note


@click.command("check")
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
def check(files: tuple[str, ...]) -> int:
    """Check target, scenario and plan files, and scenarios against targets.

    Every mistake is told with its line, its column and what to write instead.
    Exit 0 if all is right, else 2.
    """
    from harness.inputs.load import check as check_files
    from harness.inputs.load import notes

    problems = check_files(files)
    for problem in problems:
        note(str(problem))
    for line in notes(files):
        note(f"not checked: {line}")
    if not problems:
        emit(f"{len(files)} file{'s' if len(files) > 1 else ''} checked: all right")
    return 2 if problems else 0
