"""Playing stored findings again."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from itertools import zip_longest
from pathlib import Path

from harness.campaign.playing import Played, Player, World
from harness.campaign.repeating import REPEATS, fresh_noise, repeat, shuffled
from harness.campaign.shrink_live import is_race
from harness.commands._interrupt import Interrupts
from harness.commands._modes import Mode, make_world
from harness.commands._options import unknown
from harness.commands._plans import StoredPlan, digest, read_plan
from harness.errors import TargetError, UsageProblem, UserError
from harness.exhibits.words import gate_in_words
from harness.judging import Invariant, judge, known_invariants
from harness.model import History
from harness.reporters._replays import Replayed
from harness.store import encode_history, history_beside, read_history


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


#: ways to hold calls that are tried for a race that does not show by itself
_HELD = 3


@dataclass
class Replays:
    """Worlds for replays, each used for all findings that fit it.

    ``mode``: "": that in which a finding was found. ``plays``: how often it is played where plays differ.
    """

    interrupts: Interrupts
    target_path: str | None = None
    mode: Mode = ""
    plays: int = REPEATS
    _worlds: dict[tuple[str, ...], World] = field(default_factory=dict)

    def __enter__(self) -> Replays:
        return self

    def __exit__(self, *_: object) -> None:
        for world in self._worlds.values():
            world.close()

    def replay(self, path: Path) -> Replayed:
        """One finding; what is wrong with its file or its target is told in ``problem``."""
        self.interrupts.check()
        try:
            stored = read_plan(path, self.target_path)
            mode = self.mode or stored.mode
            if mode == stored.mode == "simulated":
                return self._play(path, stored)
            return self._repeat(path, stored, mode)
        except (UserError, TargetError) as error:
            return Replayed(file=str(path), id=path.stem, problem=str(error))

    def _play(self, path: Path, stored: StoredPlan) -> Replayed:
        history = self._world(stored, "simulated").play(stored.plan)
        broken = {f"{v.invariant}/{b.clause}": b.observed for v in judge(history, _rules(stored)) for b in v.violations}
        signature = str(stored.signature)
        result = Replayed(
            file=str(path),
            id=stored.id,
            signature=signature,
            reproduced=signature in broken,
            events=len(history),
            broken=tuple(sorted(broken)),
            observed=broken.get(signature, ""),
            shown=int(signature in broken),
        )
        return compare(result, history, history_beside(path), stored.history_digest)

    def _repeat(self, path: Path, stored: StoredPlan, mode: Mode) -> Replayed:
        """Several plays with fresh noise; with calls held, if a race does not show by itself."""
        player = Player(self._world(stored, mode), _rules(stored))
        beside = history_beside(path)
        known = read_history(beside) if beside.exists() else None
        vary = shuffled if player.deterministic else fresh_noise
        repeated = repeat(player, stored.plan, stored.signature, known, plays=self.plays, vary=vary)
        shown, held = repeated.shown, ""
        if shown is None and repeated.last is not None and is_race(stored.plan):
            shown, held = _held(player, stored, repeated.last)
        best = shown or repeated.last
        if best is None:
            raise TargetError(repeated.repeats.difference)
        violation = best.judged.violations.get(stored.signature)
        return Replayed(
            file=str(path),
            id=stored.id,
            signature=str(stored.signature),
            reproduced=shown is not None,
            events=len(best.history),
            broken=tuple(sorted(map(str, best.judged.violations))),
            observed=violation.observed if violation else "",
            mode=mode,
            plays=repeated.repeats.plays,
            shown=repeated.repeats.shown,
            difference=repeated.repeats.difference,
            held=held,
        )

    def _world(self, stored: StoredPlan, mode: Mode) -> World:
        target = stored.target
        if stored.variant and stored.variant not in target.variants:
            raise UsageProblem(unknown(stored.variant, "variant", target.variants))
        key = (mode, target.path, stored.variant, repr(sorted(stored.caps.items())))
        if key not in self._worlds:
            world = make_world(mode, target, stored.variant, stored.caps)
            self._worlds[key] = self.interrupts.obedient(world)
        return self._worlds[key]


def _rules(stored: StoredPlan) -> list[Invariant]:
    known = known_invariants()
    return [known[stored.signature.invariant]] if stored.signature.invariant in known else []


def _held(player: Player, stored: StoredPlan, played: Played) -> tuple[Played | None, str]:
    """A play that shows the finding because calls were held, and which ones."""
    from harness.campaign.racing import gated

    numbers = {s.id: i for i, s in enumerate(stored.plan.steps, 1)}
    for plan in gated(stored.plan, played.history, _HELD):
        again = player.play(plan)
        if stored.signature in again.judged.violations:
            return again, "; ".join(gate_in_words(g, numbers) for g in plan.gates) or "together"
    return None, ""


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
