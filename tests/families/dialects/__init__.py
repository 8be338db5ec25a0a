"""How each provider's protocol is spoken to in tests: one file a protocol, found by its name."""

from __future__ import annotations

import importlib

from tests.families.dialects.base import Dialect


def dialect(protocol: str) -> type[Dialect]:
    """The dialect of a protocol; a protocol without one fails its tests by name."""
    return importlib.import_module(f"tests.families.dialects.{protocol}").DIALECT  # type: ignore[no-any-return]
