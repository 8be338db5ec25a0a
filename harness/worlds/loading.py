"""Objects of a target, by the name that its target.yaml gives them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterable
from typing import Any

from harness.errors import TargetUnreachable


def load_object(name: str, python_path: Iterable[str] = ()) -> Any:
    """The object called ``module:attribute``; ``python_path`` goes in front of the module search path.

    Raises TargetUnreachable in one line: a target that can't be imported can't be tested.
    """
    for entry in python_path:
        if entry not in sys.path:
            sys.path.insert(0, entry)
    module, _, attribute = name.partition(":")
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise TargetUnreachable(
            f"can't load {name!r}: {error}\n"
            "  Write module:attribute, and list the folder of the module under python_path."
        ) from error
