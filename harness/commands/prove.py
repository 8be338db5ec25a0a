"""qharness prove: plant every defect, find it, and raise no alarm on the correct build."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import click

from harness.commands._options import (
    DEFAULT_TARGET,
    Ids,
    Seconds,
    find_scenarios,
    find_target,
    format_option,
    shipped,
    target_option,
)
from harness.commands._terminal import emit, paint_for

if TYPE_CHECKING:
    from harness.campaign.prove import Defect
    from harness.inputs.target import Target
    from harness.results import DefectModes, ModesProof, ProofResult

#: what a defect needs that only shows where processes are killed and paused, and what looks for it
LIVE, LIVE_SCENARIO = "live", "scenarios/nightly/processes.yaml"
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
@click.option(
    "--mode",
    type=click.Choice(["simulated", "live"]),
    default="simulated",
    show_default=True,
    help="live: both modes, on real processes as well.",
)
@click.option("--budget-per-defect", type=Seconds(), default=600.0, help="Live: for each defect.  [default: 10m]")
@click.option("--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Live: defects at once.")
@click.option(
    "--results",
    type=click.Path(dir_okay=False, path_type=Path),
    default=Path("reports/proof/live.ndjson"),
    show_default=True,
    help="Live: a line for each defect, as it comes.",
)
@click.option("--resume", is_flag=True, help="Live: leave out the defects that --results knows.")
@click.option("--keep", type=click.Path(file_okay=False, path_type=Path), help="Keep the findings' plan files here.")
@click.option("--into", type=click.Path(dir_okay=False, path_type=Path), hidden=True)
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
    mode: str,
    budget_per_defect: float,
    jobs: int,
    results: Path,
    resume: bool,
    keep: Path | None,
    into: Path | None,
    format_: str,
) -> int:
    """Prove the tool: find each planted defect by the rule that names it.

    For a defect only those scenarios are played that judge a rule named by
    it. It counts only if such a rule is broken on every seed, the same plan
    does not break it on the correct build, and another process replays the
    finding. Any alarm on the correct build, shown again or not, is a failure.

    With --mode live each defect is looked for in both modes, on real
    processes for so long; there it counts if another process sees it again
    and the same plan leaves the correct build clean three times.

    Exit 0 if all is proved; 2 if the correct build had problems or played
    fewer plans than asked; else 1.
    """
    from harness.commands._proving import planted_defects

    target = find_target(target_path)
    chosen = planted_defects(target, defects)
    if list_only:
        _list([{"id": d.id, "area": d.area, "title": d.title} for d in chosen], format_)
        return 0
    if mode == "live":
        live = _Live(target_path or shipped(DEFAULT_TARGET), scenarios, budget_per_defect, plans_per_defect, results)
        return live.lane(target, chosen, into) if into else live.run(chosen, jobs, resume, format_)

    chosen = _possible(chosen, named=bool(defects))

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
    with view() as shown, process_replayer(path, loaded, keep) as replayer, Interrupts() as interrupts:
        listen = both(interrupts.between_runs, shown)
        proof = run_proof(interrupts.world, target, loaded, chosen, scope=scope, replayer=replayer, listen=listen)
        interrupts.check()
    return _show(proof, format_)


def _possible(defects: Sequence[Defect], named: bool) -> tuple[Defect, ...]:
    """Those that simulated mode can show; one that was asked for by name is tried all the same."""
    from harness.commands._terminal import note

    aside = [d.id for d in defects if d.needs == LIVE and not named]
    if aside:
        note(f"left out, as they show only with --mode live: {', '.join(aside)}")
    return tuple(d for d in defects if d.id not in aside)


@dataclass(frozen=True)
class _Live:
    """The proof on real processes: the pool of lanes, or one lane of it."""

    target_path: str
    scenario_paths: tuple[str, ...]
    seconds: float
    simulated_plans: int
    results: Path

    def run(self, defects: Sequence[Defect], jobs: int, resume: bool, format_: str) -> int:
        """All defects, several at once; the table at the end, whatever the end is."""
        from harness.commands._interrupt import Interrupts
        from harness.commands._proof_pool import Pool, Results, lane_command

        results = Results.open(self.results, resume)
        arguments = [*self.scenario_paths, "--target", self.target_path, "--budget-per-defect", f"{self.seconds:g}"]
        arguments += ["--plans-per-defect", str(self.simulated_plans)]
        pool = Pool(command=lane_command(arguments, self.results), jobs=jobs, seconds=self.seconds, told=_tell_of_lane)
        with Interrupts() as interrupts:
            proof = pool.run(defects, results, interrupts)
        return _show_modes(proof, format_)

    def lane(self, target: Target, defects: Sequence[Defect], into: Path) -> int:
        """Defects in this process, each appended to a file."""
        from harness.commands._interrupt import Interrupts
        from harness.commands._progress import Lines
        from harness.commands._proof_lane import Lane, try_defect
        from harness.commands._proof_pool import Results

        with Interrupts("live") as interrupts, Lines() as lines:
            for defect in defects:
                live_only = defect.needs == LIVE
                paths = self.scenario_paths or ((shipped(LIVE_SCENARIO),) if live_only else ())
                lane = Lane(
                    target=target,
                    target_path=self.target_path,
                    scenarios=find_scenarios(paths),
                    scenario_paths=paths,
                    seconds=self.seconds,
                    simulated_plans=0 if live_only else self.simulated_plans,
                    folder=into.parent / "findings",
                )
                Results(into).append(try_defect(lane, defect, interrupts, lines))
                interrupts.check()
        return 0


def _tell_of_lane(result: DefectModes, number: int, of: int) -> None:
    from harness.commands._terminal import note

    live = result.live
    found = live is not None and live.found
    why = "" if live is None or found else f": {live.why}"
    took = f" in {live.seconds:.0f} s, {live.plans} plans, {live.steps} steps" if live is not None and found else ""
    note(f"[{number}/{of}] {result.id}: {result.seen}{took}{why}")


def _show_modes(proof: ModesProof, format_: str) -> int:
    from harness.reporters import _modes
    from harness.reporters.document import dumps

    if format_ == "json":
        emit(dumps(_modes.document(proof)))
    else:
        emit(_modes.text(proof, paint_for(sys.stdout)))
    return int(proof.exit_code)


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
