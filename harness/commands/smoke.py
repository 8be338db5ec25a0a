"""qharness smoke: are the alarms awake, and is the correct pipeline clean?"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands._options import (
    DEFAULT_SCENARIOS,
    DEFAULT_TARGET,
    Ids,
    find_scenarios,
    find_target,
    out_option,
    shipped,
)
from harness.commands._terminal import emit, paint_for
from harness.results import Exit

if TYPE_CHECKING:
    from harness.inputs.scenario import Scenario
    from harness.inputs.target import Target
    from harness.results import ProofResult

PLANS_A_DEFECT = 400
#: enough for every scenario to exercise what it must
CLEAN_PLANS = 160
#: plays to shrink one finding: by Hypothesis, and by deletion. Small but good enough to be read within the minute
SHRINKING = (40, 200)


@click.command("smoke")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option(
    "--plans", type=click.IntRange(min=1), default=CLEAN_PLANS, show_default=True, help="Plans of the clean run."
)
@click.option("--defects", type=Ids(), default=(), help="Wake the alarms with these instead of the marked ones.")
@out_option()
def smoke(*, seed: int, plans: int, defects: tuple[str, ...], out: Path) -> int:
    """First wake the alarms, then run the shipped scenarios.

    A few planted defects (those marked `smoke: true` in the target's list,
    else one an area) must be caught, shrunk, and replayed by another process;
    then the correct pipeline must be clean.
    """
    target, scenarios = find_target(None), find_scenarios(())
    proof = _wake(target, scenarios, seed, defects)
    awake = _tell(proof)
    code = _clean_run(target, scenarios, seed, plans, out)
    return code if awake else max(code, int(Exit.NOT_TESTED))


def _wake(target: Target, scenarios: tuple[Scenario, ...], seed: int, ids: tuple[str, ...]) -> ProofResult:
    from harness.campaign.findings import Effort
    from harness.campaign.prove import Scope, prove
    from harness.commands._interrupt import Interrupts
    from harness.commands._progress import both, view
    from harness.commands._proving import planted_defects, process_replayer, waking_defects

    defects = planted_defects(target, ids) if ids else waking_defects(target)
    effort = Effort(hypothesis_plays=SHRINKING[0], delta_plays=SHRINKING[1])
    scope = Scope(seeds=(seed,), plans=PLANS_A_DEFECT, effort=effort)
    path = shipped(DEFAULT_TARGET)
    with view() as shown, process_replayer(path, scenarios) as replayer, Interrupts() as interrupts:
        listen = both(interrupts.between_runs, shown)
        proof = prove(interrupts.world, target, scenarios, defects, scope=scope, replayer=replayer, listen=listen)
        interrupts.check()
    return proof


def _tell(proof: ProofResult) -> bool:
    """Print the planted defects; whether every alarm is awake."""
    from harness.reporters import _proof

    emit("1. Are the alarms awake? Planted defects, each must be caught and replayed:\n")
    emit(_proof.text(proof, paint_for(sys.stdout)))
    return _proof.exit_code(proof) is Exit.CLEAN


def _clean_run(target: Target, scenarios: tuple[Scenario, ...], seed: int, plans: int, out: Path) -> int:
    from harness.campaign.run import Budget
    from harness.commands._execution import Request, carry_out
    from harness.commands._progress import view
    from harness.reporters import text

    request = Request(
        target=target,
        target_path=shipped(DEFAULT_TARGET),
        scenarios=scenarios,
        scenario_paths=(shipped(DEFAULT_SCENARIOS),),
        seed=seed,
        budget=Budget(plans=plans),
        out=out,
    )
    with view() as listener:
        carried = carry_out(request, listener)
    emit("2. Is the correct pipeline clean?\n")
    emit(text.render(carried.report, paint_for(sys.stdout)))
    if carried.error is not None:
        raise carried.error
    return int(carried.report.run.exit_code)
