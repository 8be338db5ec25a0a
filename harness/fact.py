"""What a fact is: a frozen dataclass that is known by its name, and goes to plain data and back."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from harness.errors import ContractBroken

type_registry: dict[str, type[Fact]] = {}


@dataclass(frozen=True, kw_only=True)
class Fact:
    """Root of all facts; a subclass is registered under its own name."""

    def __init_subclass__(cls) -> None:
        type_registry[cls.__name__] = cls

    @classmethod
    def field_names(cls) -> tuple[str, ...]:
        """Names of the fields, in order."""
        return tuple(f.name for f in dataclasses.fields(cls))

    def encode(self) -> dict[str, Any]:
        """Plain data; fields that hold ``None`` are left out."""
        return {k: _plain(v) for k in self.field_names() if (v := getattr(self, k)) is not None}

    @classmethod
    def decode(cls, data: Mapping[str, Any]) -> Self:
        """The inverse of encode; lists become tuples."""
        known = set(cls.field_names())
        if unknown := set(data) - known:
            raise ContractBroken(f"{cls.__name__} has no field {', '.join(sorted(unknown))}")
        return cls(**{k: _rich(v) for k, v in data.items()})


def decode(kind: str, data: Mapping[str, Any]) -> Fact:
    """The fact of a kind (class name) from its plain data."""
    if kind not in type_registry:
        raise ContractBroken(f"no fact is called {kind!r}")
    return type_registry[kind].decode(data)


def _plain(value: object) -> object:
    if isinstance(value, Fact):
        return {"kind": type(value).__name__, **value.encode()}
    if isinstance(value, tuple | list):
        return [_plain(v) for v in value]
    if isinstance(value, Mapping):
        return {str(k): _plain(v) for k, v in value.items()}
    return value


def _rich(value: object) -> object:
    if isinstance(value, Mapping):
        if value.get("kind") in type_registry:
            return decode(str(value["kind"]), {k: v for k, v in value.items() if k != "kind"})
        return {k: _rich(v) for k, v in value.items()}
    if isinstance(value, list):
        return tuple(_rich(v) for v in value)
    return value
