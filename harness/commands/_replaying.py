"""Playing stored findings again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from harness.commands._options import unknown
from harness.commands._plans import StoredPlan, digest, read_plan
from harness.errors import TargetError, UsageProblem, UserError
from harness.judging import judge, known_invariants
from harness.model import History
from harness.reporters._replays import Replayed
from harness.store import encode_history, history_beside
from harness.worlds.asgi import AsgiWorld


def plan_files(paths: Iterable[Path]) -> Iterator[Path]:
    """The plan files of files, findings folders and run folders."""
    for path in paths:
        if not path.is_dir():
            yield path
            continue
        folder = path / "findings" if (path / "findings").is_dir() else path
        files = sorted(folder.glob("*.yaml"))
        if not files:
            raise UsageProblem(f"{path} holds no finding")
        yield from files


@dataclass
class Replays:
    """Worlds for replays, each used for all findings that fit it."""

    target_path: str | None = None
    _worlds: dict[tuple[str, str, str], AsgiWorld] = field(default_factory=dict)

    def __enter__(self) -> Replays:
        return self

    def __exit__(self, *_: object) -> None:
        for world in self._worlds.values():
            world.close()

    def replay(self, path: Path) -> Replayed:
        """One finding; what is wrong with its file or its target is told in ``problem``."""
        try:
            stored = read_plan(path, self.target_path)
            return self._play(path, stored)
        except (UserError, TargetError) as error:
            return Replayed(file=str(path), id=path.stem, problem=str(error))

    def _play(self, path: Path, stored: StoredPlan) -> Replayed:
        history = self._world(stored).play(stored.plan)
        known = known_invariants()
        rules = [known[stored.signature.invariant]] if stored.signature.invariant in known else []
        broken = {f"{v.invariant}/{b.clause}": b.observed for v in judge(history, rules) for b in v.violations}
        signature = str(stored.signature)
        result = Replayed(
            file=str(path),
            id=stored.id,
            signature=signature,
            reproduced=signature in broken,
            events=len(history),
            broken=tuple(sorted(broken)),
            observed=broken.get(signature, ""),
        )
        return compare(result, history, history_beside(path), stored.history_digest)

    def _world(self, stored: StoredPlan) -> AsgiWorld:
        target = stored.target
        if stored.variant and stored.variant not in target.variants:
            raise UsageProblem(unknown(stored.variant, "variant", target.variants))
        key = (target.path, stored.variant, repr(sorted(stored.caps.items())))
        if key not in self._worlds:
            self._worlds[key] = AsgiWorld(target, stored.variant, stored.caps)
        return self._worlds[key]


def compare(result: Replayed, history: History, beside: Path, known_digest: str) -> Replayed:
    """The result, compared with the stored history; a digest alone tells whether it differs, not where."""
    if not beside.exists():
        return replace(result, same=digest(history) == known_digest if known_digest else None)
    stored, now = beside.read_text(encoding="utf-8"), encode_history(history)
    if stored == now:
        return replace(result, same=True)
    pairs = zip_longest(stored.splitlines(), now.splitlines(), fillvalue="(nothing)")
    # line 0 is the head, so a line's index is its event's number plus one
    index, (old, new) = next((i, p) for i, p in enumerate(pairs) if p[0] != p[1])
    return replace(result, same=False, first_difference=max(index - 1, 0), stored=old, now=new)
