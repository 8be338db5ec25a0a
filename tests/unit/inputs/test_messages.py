"""Every mistake in a file gives one exact message: its place, what is wrong, what to write instead."""

from __future__ import annotations

import pytest

from tests.unit.inputs.tables import FILES, LOADERS, Case, cases, message_of

ALL = [case for loader in LOADERS for case in cases(loader)]


@pytest.mark.parametrize("case", ALL, ids=str)
def test_message(case: Case) -> None:
    """The message of the table."""
    assert message_of(case) == case.message


@pytest.mark.parametrize("loader", LOADERS)
def test_the_good_file_is_good(loader: str) -> None:
    """The table's starting point has no mistake of its own."""
    LOADERS[loader](str(FILES / f"{loader}.yaml"))


def test_all_messages_name_a_line() -> None:
    """Only what concerns a whole other file has no line."""
    without = [c for c in ALL if c.message.split(": ")[0].count(":") != 2]
    assert [c.new for c in without] == ["openapi: defects.yaml"]
