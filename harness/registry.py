"""A family is a package, a member is a module in it.

A member becomes known the moment its file exists: ``family`` imports every module of the package and collects the
objects of the family's type that the module itself defines. No list is kept by hand.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Hashable
from functools import cache
from types import MappingProxyType, ModuleType
from typing import Any, TypeVar, cast

from harness.errors import ContractBroken

M = TypeVar("M")


@cache
def modules(package: str) -> tuple[ModuleType, ...]:
    """All member modules of a package, sorted by name; names with a leading underscore are no members."""
    return tuple(importlib.import_module(f"{package}.{name}") for name in names(package))


@cache
def names(package: str) -> tuple[str, ...]:
    """Names of the member modules of a package, none of them imported."""
    parent = importlib.import_module(package)
    return tuple(sorted(m.name for m in pkgutil.iter_modules(parent.__path__) if m.name[0] != "_"))


def subclass(package: str, name: str, base: type[M]) -> type[M]:
    """The one member class below ``base`` in the module called ``name``; no other module is imported."""
    module = importlib.import_module(f"{package}.{name}")
    found = [v for v in vars(module).values() if _is_own(v, module, base)]
    if len(found) != 1 or getattr(found[0], "name", "") != name:
        raise ContractBroken(f"{module.__name__}: not one {base.__name__} called {name!r}")
    return cast(type[M], found[0])


def subclasses(package: str, base: type[M]) -> MappingProxyType[str, type[M]]:
    """Member classes below ``base``, by their ``name`` attribute."""
    return MappingProxyType(_subclasses(package, cast(Hashable, base)))


@cache
def _subclasses(package: str, base: Any) -> dict[str, type[Any]]:
    found: dict[str, type[Any]] = {}
    for module in modules(package):
        for value in vars(module).values():
            if _is_own(value, module, base):
                _add(found, str(getattr(value, "name", "")), value, module)
    return found


def _is_own(value: object, module: ModuleType, base: Any) -> bool:
    own = isinstance(value, type) and value.__module__ == module.__name__
    return own and issubclass(cast(type, value), base) and value is not base


def instances(package: str, kind: type[M], key: str = "id") -> MappingProxyType[str, M]:
    """Member objects of type ``kind`` at module level, by the attribute ``key``."""
    return MappingProxyType(_instances(package, cast(Hashable, kind), key))


@cache
def _instances(package: str, kind: Any, key: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for module in modules(package):
        for value in vars(module).values():
            if isinstance(value, kind):
                _add(found, str(getattr(value, key)), value, module)
    return found


def _add(found: dict[str, Any], name: str, value: object, module: ModuleType) -> None:
    if not name:
        raise ContractBroken(f"{module.__name__}: a member without a name")
    if name in found and found[name] is not value:
        raise ContractBroken(f"{module.__name__}: a second member called {name!r}")
    found[name] = value
