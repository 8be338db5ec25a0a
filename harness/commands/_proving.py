"""The proof's helpers: the planted defects of a target, and replays by another process."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from harness.campaign.prove import Defect
from harness.commands._options import unknown
from harness.commands._plans import plan_text
from harness.commands._terminal import note
from harness.errors import UsageProblem
from harness.inputs import documents
from harness.inputs.nodes import Node
from harness.inputs.scenario import Scenario
from harness.inputs.target import Target
from harness.model import Finding
from harness.store import encode_history, history_beside, write_whole

REPLAY_TIMEOUT_S = 300


def planted_defects(target: Target, ids: Sequence[str] = ()) -> tuple[Defect, ...]:
    """The defects that a target can be built with: all, or those of some ids in their order."""
    known = {d.id: d for d in map(_defect, _entries(target))}
    if strange := [i for i in ids if i not in known]:
        raise UsageProblem(unknown(strange[0], "defect", known))
    return tuple(known[i] for i in ids or known)


def waking_defects(target: Target) -> tuple[Defect, ...]:
    """A few defects that show quickly that the alarms are awake: those marked ``smoke: true``, else one an area."""
    marked = [_defect(n) for n in _entries(target) if (mark := n.entries().get("smoke")) and mark.flag()]
    first_of_area = {d.area: d for d in reversed([_defect(n) for n in _entries(target)])}
    return tuple(marked or reversed(first_of_area.values()))


def _entries(target: Target) -> list[Node]:
    if target.defects is None:
        raise UsageProblem(f"{target.name} has no planted defects; its target.yaml names no defects file")
    return documents.load(target.defects).listing(1)


def _defect(node: Node) -> Defect:
    entries = node.entries()
    if lacking := [k for k in ("id", "area", "title", "invariants") if k not in entries]:
        raise node.problem(f"lacks {lacking[0]!r}")
    return Defect(
        id=entries["id"].text(),
        area=entries["area"].text(),
        title=entries["title"].text(),
        invariants=entries["invariants"].texts(),
        needs=entries["needs"].text() if "needs" in entries else "",
    )


@dataclass(frozen=True)
class ProcessReplayer:
    """Replays findings in another process, from their files alone; one process a batch."""

    target_path: str
    caps: Mapping[str, Mapping[str, float]]
    folder: Path
    #: plan files by finding's place, for whoever wants to look
    files: list[Path] = field(default_factory=list)

    def __call__(self, variant: str, findings: Sequence[Finding]) -> Sequence[bool]:
        """For each finding: the same history, byte for byte, and the rule broken again."""
        batch = self.folder / variant.replace(":", "-")
        batch.mkdir(parents=True, exist_ok=True)
        files = [self._write(batch, n, variant, f) for n, f in enumerate(findings, 1)]
        self.files.extend(files)
        told = {str(entry["file"]): entry for entry in _replay(files)}
        return [_same(told.get(str(f), {})) for f in files]

    def _write(self, batch: Path, number: int, variant: str, finding: Finding) -> Path:
        path = batch / f"{number}-{finding.id}.yaml"
        write_whole(history_beside(path), encode_history(finding.history))
        caps = self.caps.get(finding.scenario, {})
        write_whole(path, plan_text(finding, self.target_path, variant, caps))
        return path


@contextmanager
def process_replayer(
    target_path: str, scenarios: Sequence[Scenario], keep: Path | None = None
) -> Iterator[ProcessReplayer]:
    """A replayer with a folder of its own, which is removed at the end unless it is named to keep it."""
    caps = {s.name: s.caps for s in scenarios}
    if keep is not None:
        yield ProcessReplayer(target_path, caps, keep)
        return
    with TemporaryDirectory(prefix="qharness-prove-") as folder:
        yield ProcessReplayer(target_path, caps, Path(folder))


def _replay(files: Sequence[Path]) -> Sequence[Mapping[str, object]]:
    command = [sys.executable, "-m", "harness", "replay", "--format", "json", *map(str, files)]
    project = str(Path(__file__).resolve().parents[2])
    paths = [project, *filter(None, [os.environ.get("PYTHONPATH")])]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}
    done = subprocess.run(
        command,
        env=environment,
        capture_output=True,
        text=True,
        timeout=REPLAY_TIMEOUT_S,
        check=False,
    )
    try:
        findings: Sequence[Mapping[str, object]] = json.loads(done.stdout)["findings"]
    except (ValueError, KeyError):
        # a replay that crashed is a replay that failed: told, and counted against the proof
        note(f"a replay ended with exit code {done.returncode}: {done.stderr.strip()[-400:]}")
        return []
    return findings


def _same(entry: Mapping[str, object]) -> bool:
    """Whether a replay counts; why not is told, since the table has no room for it."""
    why = entry.get("problem") or _why_not(entry)
    if why:
        note(f"replay of {entry.get('id', 'a finding')}: {why}")
    return not why


def _why_not(entry: Mapping[str, object]) -> str:
    if not entry:
        return "no answer"
    if not entry.get("same"):
        return f"the history differs, first at event {entry.get('first_difference')}"
    return "" if entry.get("reproduced") else "the same history is not judged the same"
