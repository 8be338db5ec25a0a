"""One lane of the proof on real processes: one planted defect, in this process, simulated first and then live."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness.campaign.playing import World
from harness.campaign.progress import Listener, Progress
from harness.campaign.prove import Defect
from harness.campaign.prove_live import LiveScope, try_live, try_plan
from harness.commands._interrupt import Interrupts
from harness.commands._modes import make_world
from harness.commands._plans import plan_text, read_plan
from harness.commands._progress import both
from harness.inputs.scenario import Scenario
from harness.inputs.target import Target
from harness.model import Finding
from harness.results import Attempt, DefectModes
from harness.store import encode_history, history_beside, write_whole

#: plays by another process
REPLAYS = 3
#: of real time beyond the budget, for shrinking, repeats and the correct build
GRACE_S = 240.0
_SIMULATED_LIMIT_S, _REPLAY_LIMIT_S = 600.0, 600.0


@dataclass(frozen=True, kw_only=True)
class Lane:
    """What one lane does: where the target is, as typed, and how much to try."""

    target: Target
    target_path: str
    scenarios: Sequence[Scenario]
    scenario_paths: Sequence[str]
    seconds: float
    simulated_plans: int
    seed: int = 1
    #: where plan files of findings are kept
    folder: Path = Path("reports/proof")


def try_defect(lane: Lane, defect: Defect, interrupts: Interrupts, listen: Listener) -> DefectModes:
    """Both modes, one after the other."""
    simulated = _simulated(lane, defect) if lane.target.factory and lane.simulated_plans else None
    interrupts.check()
    scope = LiveScope(seconds=lane.seconds, seed=lane.seed, limited=partial(interrupts.limited, grace_s=GRACE_S))
    live = try_live(
        partial(_world, interrupts),
        lane.target,
        lane.scenarios,
        defect,
        scope=scope,
        replayer=partial(_replayed, lane),
        listen=both(listen, _Orphan()),
    )
    if not live.found:
        live = _with_simulated_plan(lane, defect, interrupts, scope, live)
    return DefectModes(
        id=defect.id,
        area=defect.area,
        title=defect.title,
        needs=defect.needs,
        simulated=simulated,
        live=live,
    )


def _with_simulated_plan(
    lane: Lane, defect: Defect, interrupts: Interrupts, scope: LiveScope, live: Attempt
) -> Attempt:
    """What the search live did not find: does the plan that shows it in simulated mode show it live? Told as that."""
    plan_file = next(iter(sorted(_simulated_folder(lane, defect).rglob("*.yaml"))), None)
    if plan_file is None:
        return live
    stored = read_plan(plan_file, lane.target_path)
    attempt = try_plan(
        partial(_world, interrupts),
        lane.target,
        lane.scenarios,
        defect,
        (stored.plan, stored.signature),
        scope=scope,
        replayer=partial(_replayed, lane),
    )
    told = replace(attempt, seconds=live.seconds + attempt.seconds, plans=live.plans)
    return told if attempt.found else replace(live, why=f"{live.why}; {attempt.why}")


def _simulated_folder(lane: Lane, defect: Defect) -> Path:
    return lane.folder / "simulated" / defect.id


def _world(interrupts: Interrupts, target: Target, variant: str = "", caps: Mapping[str, float] | None = None) -> World:
    return interrupts.obedient(make_world("live", target, variant, caps))


class _Orphan:
    """A listener that ends the lane when whoever started it is gone: nobody would read its result."""

    def __init__(self) -> None:
        self._parent = os.getppid()

    def __call__(self, progress: Progress) -> None:
        """Look at each event."""
        if os.getppid() != self._parent:
            raise KeyboardInterrupt


# ---------------------------------------------------------------- other processes


def _harness(*arguments: str, limit_s: float) -> tuple[Mapping[str, Any], str]:
    """The document that a command of ours prints, or why there is none."""
    project = str(Path(__file__).resolve().parents[2])
    paths = [project, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    command = [sys.executable, "-m", "harness", *arguments, "--format", "json"]
    try:
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=limit_s, check=False)
        return json.loads(done.stdout), ""
    except subprocess.TimeoutExpired:
        return {}, f"another process was not done after {limit_s:.0f} s"
    except ValueError:
        return {}, f"another process ended with {done.returncode}: {done.stderr.strip()[-300:]}"


def _simulated(lane: Lane, defect: Defect) -> Attempt:
    """The proof of simulated mode, by a process of its own: it changes how this process sees time and sockets."""
    plans = ["--plans-per-defect", str(lane.simulated_plans), "--correct-plans", "0"]
    folder = _simulated_folder(lane, defect)
    shutil.rmtree(folder, ignore_errors=True)
    target = ["--target", lane.target_path, "--defects", defect.id, "--keep", str(folder), *plans]
    document, why = _harness("prove", *lane.scenario_paths, *target, limit_s=_SIMULATED_LIMIT_S)
    if why:
        return Attempt(found=False, why=why)
    (told,) = document["defects"]
    replayed = sum(told["replayed"])
    found = told["found"] and replayed == len(told["replayed"])
    lacking = "its finding does not replay" if told["found"] else f"nothing was broken in {told['plans'][0]} plans"
    return Attempt(
        found=found,
        signature=told["invariant"],
        seconds=sum(told["seconds"]),
        plans=sum(told["plans"]),
        steps=(told["steps"] or [0])[0],
        replayed=replayed,
        replays=len(told["replayed"]),
        why="" if found else "; ".join([*told["not_counted"], lacking]),
    )


def _replayed(lane: Lane, variant: str, finding: Finding) -> tuple[int, int]:
    """How often another process sees a finding again, given its plan file alone."""
    caps = next((s.caps for s in lane.scenarios if s.name == finding.scenario), {})
    lane.folder.mkdir(parents=True, exist_ok=True)
    path = lane.folder / f"{variant.replace(':', '-')}-{finding.id}.yaml"
    write_whole(history_beside(path), encode_history(finding.history))
    write_whole(path, plan_text(finding, lane.target_path, variant, caps))
    arguments = ("replay", str(path), "--mode", "live", "--plays", str(REPLAYS))
    document, why = _harness(*arguments, limit_s=_REPLAY_LIMIT_S)
    if why:
        return 0, 0
    (told,) = document["findings"]
    return (0, 0) if told["problem"] else (told["shown"], told["plays"])


# ---------------------------------------------------------------- as a line of a file


def encode(result: DefectModes) -> dict[str, Any]:
    """Plain data, one line."""
    return asdict(result)


def decode(line: Mapping[str, Any]) -> DefectModes:
    """The inverse of encode."""
    attempts = {mode: Attempt(**line[mode]) if line[mode] else None for mode in ("simulated", "live")}
    return DefectModes(**{**line, **attempts})
