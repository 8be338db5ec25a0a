"""The proof on real processes: defects in several lanes at once, each a process; results are kept as they come."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from harness.campaign.prove import Defect
from harness.commands._interrupt import Interrupts
from harness.commands._proof_lane import GRACE_S, decode, encode
from harness.errors import FileProblem, Place
from harness.results import Attempt, DefectModes, ModesProof
from harness.store import read_lines

_TURN_S = 0.2
#: of real time that a lane gets to heal and end after a signal
_PATIENCE_S = 60.0
#: simulated trial, correct build and replays of a lane beside its budget
_BESIDE_S = 1500.0


@dataclass
class Results:
    """A file with a line for each defect that was tried; a killed proof loses none but those under way."""

    path: Path
    known: dict[str, DefectModes] = field(default_factory=dict)

    @classmethod
    def open(cls, path: Path, resume: bool) -> Results:
        """Begin anew, or go on where an earlier proof was; FileProblem if the file is none of ours."""
        path.parent.mkdir(parents=True, exist_ok=True)
        if not resume or not path.exists():
            path.write_text("", encoding="utf-8")
            return cls(path)
        results = cls(path)
        results.read()
        return results

    def read(self) -> None:
        """Take in what lanes have written."""
        for number, line in read_lines(self.path):
            try:
                result = decode(line)
            except (KeyError, TypeError) as error:
                raise FileProblem(Place(str(self.path), number, 1), f"no result of a proof: {error}") from error
            self.known[result.id] = result

    def append(self, result: DefectModes) -> None:
        """One line, whole: lanes append at the same time."""
        line = json.dumps(encode(result), sort_keys=True) + "\n"
        handle = os.open(self.path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)


@dataclass(frozen=True, kw_only=True)
class Pool:
    """How lanes are started. command: without the defect; told: hears of each result, with its place in all."""

    command: Sequence[str]
    jobs: int
    seconds: float
    told: Callable[[DefectModes, int, int], None]

    def run(self, defects: Sequence[Defect], results: Results, interrupts: Interrupts) -> ModesProof:
        """Try what is not known yet."""
        began = time.monotonic()
        todo = [d for d in defects if d.id not in results.known]
        lanes = _Lanes(self.command, self.seconds + GRACE_S + _BESIDE_S)
        done = len(defects) - len(todo)
        for defect, why in lanes.run(todo, self.jobs, interrupts):
            results.read()
            done += 1
            if defect.id not in results.known and not interrupts.noted:
                results.append(_failed(defect, why))
                results.read()
            if defect.id in results.known:
                self.told(results.known[defect.id], done, len(defects))
        return ModesProof(
            defects=tuple(results.known[d.id] for d in defects if d.id in results.known),
            asked=len(defects),
            seconds=time.monotonic() - began,
            budget_s=self.seconds,
            interrupted=interrupts.noted,
        )


def _failed(defect: Defect, why: str) -> DefectModes:
    return DefectModes(
        id=defect.id,
        area=defect.area,
        title=defect.title,
        needs=defect.needs,
        live=Attempt(found=False, why=why),
    )


class _Lanes:
    """Processes, one a defect, so many at once."""

    def __init__(self, command: Sequence[str], limit_s: float) -> None:
        self._command, self._limit_s = command, limit_s
        self._running: dict[str, subprocess.Popen[str]] = {}

    def run(self, todo: Sequence[Defect], jobs: int, interrupts: Interrupts) -> Iterator[tuple[Defect, str]]:
        """Each defect when it is done, with what its lane said if it failed."""
        waiting, futures = list(todo), dict[Future[str], Defect]()
        with ThreadPoolExecutor(max_workers=jobs) as threads:
            try:
                while waiting or futures:
                    while waiting and len(futures) < jobs and not interrupts.noted:
                        defect = waiting.pop(0)
                        futures[threads.submit(self._lane, defect)] = defect
                    if interrupts.noted:
                        waiting.clear()
                        self._stop()
                    done, _ = wait(futures, timeout=_TURN_S, return_when=FIRST_COMPLETED)
                    for future in done:
                        yield futures.pop(future), future.result()
            finally:
                self._stop()

    def _lane(self, defect: Defect) -> str:
        """One process to its end; what it said last if it failed."""
        # of a group of its own, or a Ctrl-C at a terminal would reach it twice
        lane = subprocess.Popen(
            [*self._command, "--defects", defect.id],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env=_environment(),
            process_group=0,
        )
        self._running[defect.id] = lane
        try:
            _, said = lane.communicate(timeout=self._limit_s)
        except subprocess.TimeoutExpired:
            _end(lane)
            said = f"its lane was not done after {self._limit_s:.0f} s"
        finally:
            del self._running[defect.id]
        return f"its lane ended with {lane.returncode}: {said.strip()[-300:]}"

    def _stop(self) -> None:
        """Tell every lane once; those that don't end in time are killed."""
        told = list(self._running.values())
        for lane in told:
            with suppress(ProcessLookupError):
                lane.send_signal(signal.SIGINT)
        deadline = time.monotonic() + _PATIENCE_S
        for lane in told:
            try:
                lane.wait(max(deadline - time.monotonic(), 0.0))
            except subprocess.TimeoutExpired:
                _kill(lane)


def _end(lane: subprocess.Popen[str]) -> None:
    lane.send_signal(signal.SIGINT)
    try:
        lane.communicate(timeout=_PATIENCE_S)
    except subprocess.TimeoutExpired:
        _kill(lane)
        lane.communicate()


def _kill(lane: subprocess.Popen[str]) -> None:
    """A lane with what it started: the group is its own."""
    with suppress(ProcessLookupError):
        os.killpg(lane.pid, signal.SIGKILL)


def _environment() -> Mapping[str, str]:
    project = str(Path(__file__).resolve().parents[2])
    paths = [project, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def lane_command(arguments: Sequence[str], results: Path) -> list[str]:
    """How a lane is started: the same command, told to write into a file."""
    return [sys.executable, "-m", "harness", "prove", *arguments, "--mode", "live", "--into", str(results)]
