"""One file a format; pure functions of a Report. Names with an underscore are pieces of formats."""

from __future__ import annotations

from collections.abc import Mapping

from harness.exhibits.report import Format
from harness.registry import instances


def known_formats() -> Mapping[str, Format]:
    """Every report format by id."""
    return instances("harness.reporters", Format)
