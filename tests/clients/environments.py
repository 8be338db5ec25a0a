"""Where the vendors' clients are installed, each in an environment of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]


def folder() -> Path:
    """$QHARNESS_CLIENTS, else .clients in the project."""
    return Path(os.environ.get("QHARNESS_CLIENTS") or ROOT / ".clients")


def interpreter(client: str) -> Path:
    """The Python of a client's environment; fails the test if it has not been built."""
    found = folder() / client / "bin" / "python"
    if not found.exists():
        pytest.fail(f"the {client} client is not installed in {folder()}; run make clients")
    return found
