"""docs/clients.json and docs/clients.md: the table, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.clients.environments import ROOT
from tests.clients.table.cells import MANY, Cell
from tests.clients.table.rows import CLIENTS, GROUPS, ROWS, Row, Sdk

DATA, PAGE = ROOT / "docs" / "clients.json", ROOT / "docs" / "clients.md"
_HERE = Path(__file__).parent
_ORDER = {row.key: i for i, row in enumerate(ROWS)}
#: rows whose tries are told with the time between them
_RETRIES = (
    "submit/500_for_ever",
    "submit/503_for_ever",
    "submit/504_for_ever",
    "submit/429_for_ever",
    "submit/429_seconds",
    "submit/503_seconds",
    "accepted/504_twice",
    "accepted/lost_twice",
    "poll/500_for_ever",
    "poll/503_for_ever",
    "poll/429_for_ever",
    "poll/429_seconds",
    "poll/503_seconds",
    "poll/hang",
    "result/500_for_ever",
    "result/503_for_ever",
    "result/429_for_ever",
    "calm/run",
)


@dataclass(frozen=True, kw_only=True)
class Table:
    """All cells, by row and client."""

    cells: Mapping[tuple[str, str], Cell] = field(default_factory=dict)
    #: package → version
    versions: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def load(cls) -> Self:
        """From docs/clients.json."""
        data = json.loads(DATA.read_text())
        cells = (Cell.of({"client": c, "row": r, **v}) for r, row in data["cells"].items() for c, v in row.items())
        return cls(cells={(c.row, c.client): c for c in cells}, versions=data["versions"])

    def with_cells(self, cells: Sequence[Cell], versions: Mapping[str, str]) -> Table:
        """With some cells played anew; those of rows that are no more are dropped."""
        known = {(r.key, c) for r in ROWS for c in r.only}
        merged = {**self.cells, **{(c.row, c.client): c for c in cells}}
        return Table(cells={k: v for k, v in merged.items() if k in known}, versions={**self.versions, **versions})

    def dump(self) -> str:
        """As JSON, in the rows' order."""
        rows: dict[str, dict[str, object]] = {}
        for key, client in sorted(self.cells, key=lambda k: (_ORDER[k[0]], list(CLIENTS).index(k[1]))):
            facts = self.cells[key, client].encode()
            rows.setdefault(key, {})[client] = {k: v for k, v in facts.items() if k not in ("client", "row")}
        lines = [f'"{row}": {{\n{_lines(cells)}\n}}' for row, cells in rows.items()]
        return f'{{\n"versions": {json.dumps(self.versions, sort_keys=True)},\n"cells": {{\n{_joined(lines)}\n}}\n}}\n'


def _lines(cells: Mapping[str, object]) -> str:
    return _joined([f'"{c}": {json.dumps(v, ensure_ascii=False, sort_keys=True)}' for c, v in cells.items()])


def _joined(lines: Sequence[str]) -> str:
    return ",\n".join(lines)


def render(table: Table) -> str:
    """docs/clients.md."""
    versions = [f"| {c} | {_packages(table, s)} | {s.options} |" for c, s in CLIENTS.items()]
    head = (_HERE / "head.md").read_text().replace("{versions}", "\n".join(versions))
    roots = (_HERE / "roots.md").read_text()
    parts = [head, _dangers(table), roots, _retries(table)]
    parts += ["## The table\n", *(_group(table, group, says) for group, says in GROUPS.items())]
    return "\n".join(parts)


def _packages(table: Table, sdk: Sdk) -> str:
    """A client's packages with their versions."""
    first, *rest = (f"{p} {table.versions.get(p, '–')}" for p in (sdk.package, *sdk.beside))
    return f"{first} ({', '.join(rest)})" if rest else first


# ------------------------------------------------------------ what follows from the cells


def _dangers(table: Table) -> str:
    """Per client: the rows in which it does the worst."""
    kinds: Mapping[str, Callable[[Cell, Row], bool]] = {
        "more runs accepted than were asked for": lambda cell, row: cell.runs > _wanted(row),
        "… by the client's own doing": _is_duplicate,
        "… because the network delivered a submission twice": lambda cell, row: (
            cell.runs > _wanted(row) and not _is_duplicate(cell, row)
        ),
        "an exception instead of an id, though a run was accepted": _is_orphan,
        "does not come back": lambda cell, row: cell.outcome == "hang",
        "a result that is not the circuit's": lambda cell, row: cell.outcome in ("wrong", "other"),
        "None or nothing for a result": lambda cell, row: cell.outcome in ("none", "empty"),
    }
    lines = ["## In short", "", f"In how many of the rows below:\n\n| | {' | '.join(CLIENTS)} |"]
    lines.append(f"|---|{'---|' * len(CLIENTS)}")
    for says, fits in kinds.items():
        counts = [str(sum(1 for r in ROWS if (c := table.cells.get((r.key, k))) and fits(c, r))) for k in CLIENTS]
        lines.append(f"| {says} | {' | '.join(counts)} |")
    lines.append(f"| of so many rows | {' | '.join(str(sum(k in r.only for r in ROWS)) for k in CLIENTS)} |")
    return "\n".join([*lines, ""])


def _wanted(row: Row) -> int:
    return 2 if row.story in ("two", "session") else len(row.circuits) if row.story == "fleet" else 1


def _is_duplicate(cell: Cell, row: Row) -> bool:
    """More runs than the caller asked for, and not by the network's doing."""
    return cell.runs > _wanted(row) and row.name != "duplicate"


def _is_orphan(cell: Cell, row: Row) -> bool:
    """The caller has no id, and there is a run."""
    return cell.outcome == "error" and cell.stage == "submit" and cell.runs > 0


# ------------------------------------------------------------ tables


def _retries(table: Table) -> str:
    says = {row.key: f"{_OPERATION[row.group]}: {row.says}" for row in ROWS}
    lines = ["## How often, how fast", "", "Requests of the disturbed operation, and the seconds between them.", ""]
    lines += [f"| | {' | '.join(CLIENTS)} |", f"|---|{'---|' * len(CLIENTS)}"]
    for key in _RETRIES:
        cells = (table.cells.get((key, c)) for c in CLIENTS)
        lines.append(f"| {says[key]} | {' | '.join(_tries(c) for c in cells)} |")
    return "\n".join([*lines, ""])


_OPERATION = {group: group for group in GROUPS} | {"accepted": "submit, accepted", "calm": "polls undisturbed"}


def _tries(cell: Cell | None) -> str:
    if cell is None:
        return ""
    count = f"> {MANY}" if cell.tries > MANY else str(cell.tries)
    return f"{count}: {cell.gaps}" if cell.gaps else count


def _group(table: Table, group: str, says: str) -> str:
    rows = [r for r in ROWS if r.group == group]
    clients = [c for c in CLIENTS if any(c in r.only for r in rows)]
    lines = [f"### {says}", "", f"| {group} | {' | '.join(clients)} |", f"|---|{'---|' * len(clients)}"]
    lines += [f"| {r.says} | {' | '.join(_text(table, r, c) for c in clients)} |" for r in rows]
    return "\n".join([*lines, ""])


def _text(table: Table, row: Row, client: str) -> str:
    """A cell in a few words."""
    cell = table.cells.get((row.key, client))
    if cell is None:
        return ""
    if row.faults and not cell.fired:
        return "–"
    words = [_OUTCOMES.get(cell.outcome, cell.error)]
    if cell.outcome in ("wrong", "other"):
        words.append(cell.says)
    elif cell.outcome == "hang" and cell.stage != "result":
        words.append(f"in {cell.stage}")
    if _counts_tries(row, cell):
        words.append(f"×{cell.tries}")
    text = " ".join(words)
    if cell.runs > _wanted(row):
        text += f", **{cell.runs} runs**"
    elif not cell.runs and row.group == "accepted":
        text += ", no run"
    return text


#: an error is told by its type
_OUTCOMES = {"right": "✓", "wrong": "**wrong:**", "other": "**wrong:**", "none": "**None**", "empty": "**empty**"}
_OUTCOMES["hang"] = "**hangs**"


def _counts_tries(row: Row, cell: Cell) -> bool:
    """Whether the number of tries says something: polls that succeed in the end would be there anyway."""
    repeats = row.group in ("submit", "accepted", "token", "upload") or (
        row.group in ("poll", "result") and cell.outcome == "error"
    )
    return repeats and 1 < cell.tries <= MANY
