"""docs/clients.json and docs/clients.md: the table, and what follows from it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from tests.clients.environments import ROOT
from tests.clients.table.cells import Cell
from tests.clients.table.rows import CLIENTS, GROUPS, ROWS, Row

DATA, PAGE = ROOT / "docs" / "clients.json", ROOT / "docs" / "clients.md"
_HERE = Path(__file__).parent
_ORDER = {row.key: i for i, row in enumerate(ROWS)}


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
        return Table(
            cells={k: v for k, v in merged.items() if k in known}, versions={**self.versions, **versions}
        )

    def dump(self) -> str:
        """As JSON, in the rows' order."""
        rows: dict[str, dict[str, object]] = {}
        for key, client in sorted(self.cells, key=lambda k: (_ORDER[k[0]], list(CLIENTS).index(k[1]))):
            facts = self.cells[key, client].encode()
            rows.setdefault(key, {})[client] = {k: v for k, v in facts.items() if k not in ("client", "row")}
        lines = [f"  {json.dumps(k)}: {json.dumps(v, ensure_ascii=False, sort_keys=True)}" for k, v in rows.items()]
        body = ",\n".join(lines)
        return f'{{\n"versions": {json.dumps(self.versions, sort_keys=True)},\n"cells": {{\n{body}\n}}\n}}\n'


def render(table: Table) -> str:
    """docs/clients.md."""
    versions = "\n".join(
        f"| {sdk.package} | {table.versions.get(sdk.package, '–')} | {sdk.options} |" for sdk in CLIENTS.values()
    )
    parts = [(_HERE / "head.md").read_text().replace("{versions}", versions)]
    parts += [_group(table, group, says) for group, says in GROUPS.items()]
    return "\n".join(parts)


def _group(table: Table, group: str, says: str) -> str:
    rows = [r for r in ROWS if r.group == group]
    clients = [c for c in CLIENTS if any(c in r.only for r in rows)]
    lines = [f"### {group}: {says}", "", f"| | {' | '.join(clients)} |", f"|---|{'---|' * len(clients)}"]
    lines += [f"| {r.says} | {' | '.join(_text(table, r, c) for c in clients)} |" for r in rows]
    return "\n".join([*lines, ""])


def _text(table: Table, row: Row, client: str) -> str:
    cell = table.cells.get((row.key, client))
    return "" if cell is None else cell.text
