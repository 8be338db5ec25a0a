"""Plays every cell and writes docs/clients.json and docs/clients.md.

python -m tests.clients.table                             # all of it
python -m tests.clients.table --only ionq:submit          # rows of one client; the others stay as they are
python -m tests.clients.table --only submit/503_once --show
python -m tests.clients.table --document                  # only docs/clients.md, from docs/clients.json
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from tests.clients.environments import folder
from tests.clients.table.cells import Cell
from tests.clients.table.document import DATA, PAGE, Table, render
from tests.clients.table.playing import BrokenDown, Theatre
from tests.clients.table.rows import CLIENTS, ROWS, Row

#: most of a cell is waiting
AT_ONCE = 12


def wanted(only: Sequence[str]) -> list[tuple[str, Row]]:
    """The cells of some selectors, all without any: client, group, group/name, or client:group[/name]."""
    return [(c, r) for r in ROWS for c in r.only if not only or any(_fits(s, c, r) for s in only)]


def _fits(selector: str, client: str, row: Row) -> bool:
    head, colon, tail = selector.partition(":")
    if not colon:
        head, tail = (selector, "") if selector in CLIENTS else ("", selector)
    return head in ("", client) and tail in ("", row.group, row.key)


async def play(cells: Sequence[tuple[str, Row]], show: bool) -> tuple[list[Cell], dict[str, str]]:
    """The cells played, several at once, and the versions of what played them; a cell that can't be is told instead."""
    slots, begun_s, done = asyncio.Semaphore(AT_ONCE), time.monotonic(), 0

    async def one(theatre: Theatre, client: str, row: Row) -> Cell | None:
        nonlocal done
        async with slots:
            try:
                cell = await theatre.play(client, row)
            except BrokenDown as broken:
                print(f"{broken}: {broken.__cause__!r}", file=sys.stderr, flush=True)
                return None
        done += 1
        if show:
            print(f"{cell.client}:{cell.row}: {cell.encode()}", flush=True)
        elif sys.stderr.isatty() or done % 50 == 0:
            print(f"{done}/{len(cells)} cells, {time.monotonic() - begun_s:.0f} s", file=sys.stderr, flush=True)
        return cell

    async with Theatre() as theatre:
        found = await asyncio.gather(*(one(theatre, c, r) for c, r in cells))
        return [c for c in found if c is not None], dict(theatre.versions)


def main() -> int:
    """Play, store, write."""
    parser = argparse.ArgumentParser(prog="python -m tests.clients.table", description=__doc__.split("\n")[0])
    parser.add_argument("--only", action="append", default=[], metavar="[CLIENT:]GROUP[/ROW]", help="repeatable")
    parser.add_argument("--show", action="store_true", help="print each cell, and write nothing")
    parser.add_argument("--document", action="store_true", help="play nothing; write the page from the data")
    asked = parser.parse_args()
    cells = [] if asked.document else wanted(asked.only)
    if not cells and not asked.document:
        parser.error(f"no cell fits {', '.join(asked.only)}")
    if missing := sorted({c for c, _ in cells if not (folder() / c / "bin" / "python").exists()}):
        parser.error(f"not installed in {folder()}: {', '.join(missing)}; run: make clients")
    found, versions = asyncio.run(play(cells, asked.show))
    if asked.show:
        return 0
    table = (Table.load() if DATA.exists() else Table()).with_cells(found, versions)
    DATA.write_text(table.dump())
    PAGE.write_text(render(table))
    return 0 if len(found) == len(cells) else 1


if __name__ == "__main__":
    sys.exit(main())
