"""qharness run: play scenarios on a target and report what is broken."""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands._modes import Mode, mode_of
from harness.commands._options import (
    DEFAULT_SCENARIOS,
    DEFAULT_TARGET,
    Seconds,
    find_scenarios,
    find_target,
    format_option,
    mode_option,
    out_option,
    shipped,
    target_option,
)
from harness.commands._terminal import emit, paint_for

if TYPE_CHECKING:
    from harness.exhibits.report import Report


@click.command("run")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@target_option(f"The pipeline to test.  [default: {DEFAULT_TARGET}]")
@click.option("--seed", type=click.IntRange(min=0), help="The seed of everything.  [default: a new one]")
@click.option("--plans", type=click.IntRange(min=1), help="Play so many plans in all; deterministic.")
@click.option("--budget", type=Seconds(), help="Stop after a time, e.g. 60s or 5m; not deterministic.")
@click.option("--variant", default="", help="A variant of the target, e.g. defect:QUO-01.")
@mode_option()
@out_option()
@format_option("text", "json", "junit", "html")
def run(
    *,
    scenarios: tuple[str, ...],
    target_path: str | None,
    seed: int | None,
    plans: int | None,
    budget: float | None,
    variant: str,
    mode: Mode | None,
    out: Path,
    format_: str,
) -> int:
    """Play SCENARIOs (files or folders; scenarios/smoke if none) on a target.

    Exit 0 if nothing is broken, 1 if something is, 2 if it could not be
    tested. The report is in reports/latest; the last line replays it.
    """
    target = find_target(target_path, variant)
    chosen = find_scenarios(scenarios)

    from harness.campaign.run import Budget
    from harness.commands._execution import Request, carry_out, fresh_seed
    from harness.commands._progress import view

    request = Request(
        target=target,
        target_path=target_path or shipped(DEFAULT_TARGET),
        scenarios=chosen,
        scenario_paths=scenarios or (shipped(DEFAULT_SCENARIOS),),
        seed=fresh_seed(time.time_ns) if seed is None else seed,
        budget=Budget(plans=plans, seconds=budget),
        variant=variant,
        mode=mode_of(mode or "", target),
        out=out,
    )
    with view() as listener:
        carried = carry_out(request, listener)
    _show(carried.report, format_)
    if carried.error is not None:
        raise carried.error
    return int(carried.report.run.exit_code)


def _show(report: Report, format_: str) -> None:
    from harness.reporters import known_formats, text

    if format_ == "text":
        emit(text.render(report, paint_for(sys.stdout)))
    else:
        emit(known_formats()[format_].render(report))
