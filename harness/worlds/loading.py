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
    except (Exception, SystemExit) as error:
        what = f"can't load {name!r}: {type(error).__name__}: {error}"
        raise TargetUnreachable(f"{what}\n  {_advice(error, module)}") from error


def _advice(error: BaseException, module: str) -> str:
    if isinstance(error, ModuleNotFoundError) and not module.startswith(error.name or "?"):
        return f"The target itself imports {error.name}: install it here."
    if isinstance(error, ImportError | AttributeError):
        return "Write module:attribute, and list the folder of the module under python_path."
    return "The target's own module fails when it is imported."
