"""qharness prove: plant every defect, find it, and raise no alarm on the correct build."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import click

from harness.commands._options import (
    DEFAULT_TARGET,
    Ids,
    find_scenarios,
    find_target,
    format_option,
    shipped,
    target_option,
)
from harness.commands._terminal import emit, paint_for

if TYPE_CHECKING:
    from harness.results import ProofResult

_Count = click.IntRange(min=0)


@click.command("prove")
@click.argument("scenarios", nargs=-1, metavar="[SCENARIO]...")
@target_option(f"A target with planted defects.  [default: {DEFAULT_TARGET}]")
@click.option("--list", "list_only", is_flag=True, help="Only list the planted defects.")
@click.option("--defects", type=Ids(), default=(), help="These only, e.g. QUO-01,APR-04.")
@click.option("--plans-per-defect", type=click.IntRange(min=1), default=400, show_default=True)
@click.option("--seeds", type=click.IntRange(min=1), default=1, show_default=True, help="Seeds a defect.")
@click.option("--correct-seeds", type=_Count, default=1, show_default=True, help="Seeds, correct build.")
@click.option("--correct-plans", type=_Count, default=400, show_default=True, help="Plans a seed there.")
@format_option("text", "json")
def prove(
    *,
    scenarios: tuple[str, ...],
    target_path: str | None,
    list_only: bool,
    defects: tuple[str, ...],
    plans_per_defect: int,
    seeds: int,
    correct_seeds: int,
    correct_plans: int,
    format_: str,
) -> int:
    """Prove the tool: find each planted defect by the rule that names it.

    For a defect only those scenarios are played that judge a rule named by
    it. It counts only if such a rule is broken on every seed, the same plan
    does not break it on the correct build, and another process replays the
    finding. Any alarm on the correct build, shown again or not, is a failure.

    Exit 0 if all is proved; 2 if the correct build had problems or played
    fewer plans than asked; else 1.
    """
    from harness.commands._proving import planted_defects

    target = find_target(target_path)
    chosen = planted_defects(target, defects)
    if list_only:
        _list([{"id": d.id, "area": d.area, "title": d.title} for d in chosen], format_)
        return 0

    from harness.campaign.prove import Scope
    from harness.campaign.prove import prove as run_proof
    from harness.commands._interrupt import Interrupts
    from harness.commands._progress import both, view
    from harness.commands._proving import process_replayer

    loaded = find_scenarios(scenarios)
    scope = Scope(
        seeds=tuple(range(1, seeds + 1)),
        plans=plans_per_defect,
        correct_seeds=tuple(range(1, correct_seeds + 1)) if correct_plans else (),
        correct_plans=correct_plans,
    )
    path = target_path or shipped(DEFAULT_TARGET)
    with view() as shown, process_replayer(path, loaded) as replayer, Interrupts() as interrupts:
        listen = both(interrupts.between_runs, shown)
        proof = run_proof(interrupts.world, target, loaded, chosen, scope=scope, replayer=replayer, listen=listen)
        interrupts.check()
    return _show(proof, format_)


def _list(defects: Sequence[Mapping[str, str]], format_: str) -> None:
    from harness.reporters import _proof
    from harness.reporters.document import dumps

    if format_ == "json":
        emit(dumps(_proof.list_document(defects)))
    else:
        emit(_proof.list_text(defects))


def _show(proof: ProofResult, format_: str) -> int:
    from harness.reporters import _proof
    from harness.reporters.document import dumps

    if format_ == "json":
        emit(dumps(_proof.document(proof)))
    else:
        emit(_proof.text(proof, paint_for(sys.stdout)))
    return int(_proof.exit_code(proof))
