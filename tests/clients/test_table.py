"""docs/clients.md says what clients do: its data is whole, its page current, and telling cells are played again."""

from __future__ import annotations

import asyncio

import pytest

from tests.clients.environments import interpreter
from tests.clients.table.__main__ import wanted
from tests.clients.table.cells import MANY, gaps_text, judged, nearest_s
from tests.clients.table.document import PAGE, Table, render
from tests.clients.table.playing import Theatre
from tests.clients.table.rows import CLIENTS, GROUPS, ROWS

_ROWS = {row.key: row for row in ROWS}
#: quick, and each of them a reason for somebody's duplicate, lost or wrong job
REPLAYED = {
    "ibm": ("calm/run", "accepted/504_twice", "poll/429_absent", "result/empty"),
    "ionq": ("submit/503_for_ever", "accepted/504_twice", "poll/500_once", "told/reversed"),
    "cirq": ("accepted/lost_once", "poll/504_once", "told/partial_last", "cancel/ignored"),
    "pennylane": ("accepted/lost_twice", "submit/500_once", "state/completed_early", "told/foreign"),
    "braket": ("accepted/504_twice", "calm/cancel", "job/failed_after", "result/half"),
    "oqtopus": ("submit/503_for_ever", "accepted/504_twice", "poll/500_once", "accepted/empty"),
}
#: beside devices, which not every client asks for: an id comes from another step, results from a signed URL
NOT_ASKED = {
    ("accepted/id_empty", "oqtopus"),
    ("accepted/id_unknown", "oqtopus"),
    ("identity/expired_at_result", "oqtopus"),
}


@pytest.mark.parametrize("client", CLIENTS)
@pytest.mark.timeout(180)
def test_what_the_page_says_of_a_client_happens_again(client: str) -> None:
    interpreter(client)
    told = Table.load()

    async def play() -> tuple[list[object], dict[str, str]]:
        async with Theatre() as theatre:
            cells = await asyncio.gather(*(theatre.play(client, _ROWS[key]) for key in REPLAYED[client]))
            return list(cells), theatre.versions

    cells, versions = asyncio.run(play())
    package = CLIENTS[client].package
    assert told.versions[package] == versions[package], f"run: python -m tests.clients.table --only {client}"
    assert [_facts(c) for c in cells] == [_facts(told.cells[key, client]) for key in REPLAYED[client]]


def _facts(cell: object) -> dict[str, object]:
    """What must not change: no times, no texts."""
    names = ("row", "outcome", "error", "stage", "submits", "runs", "keys")
    return {name: getattr(cell, name) for name in names}


def test_the_page_is_current() -> None:
    assert PAGE.read_text() == render(Table.load()), "run: python -m tests.clients.table --document"


def test_every_cell_is_there_and_its_fault_struck() -> None:
    cells = Table.load().cells
    assert set(cells) == {(r.key, c) for r in ROWS for c in r.only}
    assert not [c for c in cells.values() if c.stage == "start" or c.error == "Died"]
    calm = {r.key for r in ROWS if not r.faults}
    missed = {key for key, cell in cells.items() if not cell.fired and key[0] not in calm}
    assert {(row, client) for row, client in missed if not row.startswith("device/")} <= NOT_ASKED


def test_nothing_disturbed_every_client_is_right() -> None:
    calm = {k: c.outcome for k, c in Table.load().cells.items() if k[0] in ("calm/run", "calm/two", "calm/session")}
    assert set(calm.values()) == {"right"}


def test_rows_have_names_of_their_own_and_groups_that_are_told() -> None:
    assert len(_ROWS) == len(ROWS)
    assert {r.group for r in ROWS} == set(GROUPS)


@pytest.mark.parametrize(
    ("selector", "count"),
    [
        ("ionq:submit/503_once", 1),
        ("submit/503_once", 6),
        ("calm", sum(len(r.only) for r in ROWS if r.group == "calm")),
    ],
)
def test_cells_are_selected(selector: str, count: int) -> None:
    assert len(wanted([selector])) == count


def test_a_client_is_selected() -> None:
    assert {c for c, _ in wanted(["pennylane"])} == {"pennylane"}


_RIGHT = {"001": 200, "101": 100}


@pytest.mark.parametrize(
    ("value", "outcome", "says"),
    [
        ([_RIGHT], "right", ""),
        ([{"001": 203, "101": 97}], "right", ""),
        (None, "none", ""),
        ([], "empty", ""),
        ([{}], "empty", ""),
        ("log", "other", "log"),
        ([{"100": 200, "101": 100}], "wrong", "another distribution"),
        ([{"001": 100, "101": 50}], "wrong", "150 shots instead of 300"),
        ([{"1": 200, "101": 100}], "wrong", "1 bits instead of 3"),
        ([_RIGHT, _RIGHT], "wrong", "2 results for 1 circuits"),
    ],
)
def test_answers_are_judged(value: object, outcome: str, says: str) -> None:
    assert judged({"value": value}, ("top",), 300) == (outcome, "", says)


def test_a_second_read_that_differs_is_wrong() -> None:
    other = {"001": 201, "101": 99}
    assert judged({"value": [_RIGHT, other]}, ("top", "top"), 300, reads=2)[0] == "wrong"
    assert judged({"value": [_RIGHT, _RIGHT]}, ("top", "top"), 300, reads=2)[0] == "right"


def test_no_answer_is_a_hang_and_an_exception_is_told_without_what_changes() -> None:
    assert judged(None, ("top",), 300) == ("hang", "", "")
    error = {"error": "E", "message": "job 0b5e3f1c-1111-2222-3333-444455556666 at http://127.0.0.1:4711/v0.4: no"}
    assert judged(error, ("top",), 300) == ("error", "E", "job <id> at <url> no")


def test_gaps_are_told_by_the_nearest_figure() -> None:
    assert gaps_text([0, 0.01, 1.02, 3.04, 7.1, 15.3]) == "0 1 2 4 8 s"
    assert gaps_text([0, 5.01, 10.03]) == "every 5 s"
    assert gaps_text([4.2]) == ""
    assert gaps_text(range(MANY)) == "every 1 s"
    assert nearest_s(33) == 30
